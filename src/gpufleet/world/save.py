"""A world in a file: saved, it runs again without the plan. The same world gives the same bytes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from gpufleet.base.errors import GpufleetError, Place, explain_code, finding
from gpufleet.base.say import say
from gpufleet.world.arrivals import Arrivals
from gpufleet.world.generate import Stream
from gpufleet.world.layout import (
    Accounts,
    Capacity,
    Cells,
    Classes,
    ClassRules,
    Clock,
    Failures,
    Gates,
    Jobs,
    Nodes,
    NodeSets,
    Options,
    Policy,
    Power,
    Queues,
    Restarts,
    SharedQuotas,
    Tree,
    World,
)
from gpufleet.world.names import Names
from gpufleet.world.own import own_from_json, own_json

FORMAT: Final = "gpufleet.world/4"
NOT_A_WORLD: Final = explain_code(
    "R060",
    "not a saved world",
    "world.npz in a run folder holds the arrays that the engine ran on. The file is damaged, or was written "
    "by another version of gpufleet, or is something else.",
    "gpufleet run plan.yaml --out runs/again       # writes a new run folder",
).code

_TABLES: Final = {
    "nodes": Nodes,
    "cells": Cells,
    "capacity": Capacity,
    "queues": Queues,
    "classes": Classes,
    "options": Options,
    "policy": Policy,
    "clock": Clock,
    "jobs": Jobs,
}
_OPTIONAL: Final = {
    "failures": Failures,
    "restarts": Restarts,
    "node_sets": NodeSets,
    "accounts": Accounts,
    "gates": Gates,
    "power": Power,
}
"""Tables that a world may do without."""
_INNER: Final = {"tree": Tree, "classes": ClassRules}
"""Tables that are fields of the shared quotas."""
_STREAM: Final = "generated_{}"
"""Table of the numbers that make the jobs of one workload."""
_WORKLOAD: Final = "jobs.workload"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every entry, so that the bytes do not tell when they were written."""


def world_bytes(world: World, arrivals: Arrivals, names: Names) -> bytes:
    """A world, its jobs and its names as the bytes of an .npz file, always the same for the same world.

    Recorded jobs are arrays; generated ones are the seed and the numbers that make them.
    """
    tables: dict[str, Any] = {**world._asdict(), "jobs": arrivals.jobs}
    shared, own = tables.pop("shared"), tables.pop("own")
    absent = [table for table in _OPTIONAL if tables[table] is None]
    for table in absent:
        del tables[table]
    if shared is not None:
        tables |= {"shared": shared, **{f"shared.{table}": getattr(shared, table) for table in _INNER}}
    tables |= {_STREAM.format(i): stream for i, stream in enumerate(arrivals.streams)}
    about = {
        "format": FORMAT,
        "generated": len(arrivals.streams),
        "shared": shared is not None,
        "absent": absent,
        "own": own_json(own),
        "names": json.loads(names.to_json()),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "about.json", json.dumps(about).encode())
        for table, fields in tables.items():
            for field, value in fields._asdict().items():
                if isinstance(value, tuple):
                    continue  # a table of its own
                _add(archive, f"{table}.{field}.npy", _npy(value))
        _add(archive, f"{_WORKLOAD}.npy", _npy(arrivals.workload))
    return buffer.getvalue()


def _npy(value: Any) -> bytes:
    entry = io.BytesIO()
    np.lib.format.write_array(entry, np.asarray(value), allow_pickle=False)
    return entry.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _LONG_AGO)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content, compresslevel=1)  # jobs are random numbers: more effort gains nothing


def save_world(path: Path, world: World, arrivals: Arrivals, names: Names) -> None:
    """Write ``world.npz``. Raises OSError as `Path.write_bytes` does."""
    path.write_bytes(world_bytes(world, arrivals, names))


def load_world(path: Path) -> tuple[World, Arrivals, Names]:
    """Read what `save_world` wrote.

    Raises: GpufleetError R060 if the file is missing, damaged, or something else.
    """
    with _opened(path) as (archive, about):
        tables = {name: _read(archive, name, kind) for name, kind in _TABLES.items()}
        shared = _read_shared(archive) if about["shared"] else None
        for name in sorted(_OPTIONAL.keys() - set(about["absent"])):
            tables[name] = _read(archive, name, _OPTIONAL[name])
        streams = [_read(archive, _STREAM.format(i), Stream) for i in range(about["generated"])]
        workload = _array(archive, _WORKLOAD)
        names = Names.from_json(json.dumps(about["names"]))
        own = own_from_json(about.get("own", {}), names.queues)
    jobs = tables.pop("jobs")
    return World(**tables, shared=shared, own=own), Arrivals(jobs, workload, tuple(streams)), names


def load_shared(path: Path) -> tuple[SharedQuotas | None, Names]:
    """The shared quotas of a saved world, None where quotas are hard, and its names; without its jobs.

    Raises: GpufleetError R060 if the file is missing, damaged, or something else.
    """
    with _opened(path) as (archive, about):
        shared = _read_shared(archive) if about["shared"] else None
        return shared, Names.from_json(json.dumps(about["names"]))


def load_accounts(path: Path) -> tuple[Accounts | None, Names]:
    """The accounts of a saved world, None where nothing is limited, and its names; without its jobs.

    Raises: GpufleetError R060 if the file is missing, damaged, or something else.
    """
    with _opened(path) as (archive, about):
        accounts = _read(archive, "accounts", Accounts) if "accounts" not in about["absent"] else None
        return accounts, Names.from_json(json.dumps(about["names"]))


def load_power(path: Path) -> tuple[Power | None, Cells, Names]:
    """What jobs of a saved world draw, None without a section `power`, where, and its names.

    Raises: GpufleetError R060 if the file is missing, damaged, or something else.
    """
    with _opened(path) as (archive, about):
        power = _read(archive, "power", Power) if "power" not in about["absent"] else None
        return power, _read(archive, "cells", Cells), Names.from_json(json.dumps(about["names"]))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """A saved world, and what it says of itself. Raises: GpufleetError R060."""
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("about.json"))
            if about["format"] != FORMAT:
                raise ValueError(f"its format is {about['format']!r}, not {FORMAT!r}")
            yield archive, about
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        fix = say("name a world.npz of a run folder, or run the plan again")
        raise GpufleetError(
            finding(NOT_A_WORLD, say("{path}: {error}", path=path, error=error), fix, Place(str(path), 0))
        ) from error


def _read_shared(archive: zipfile.ZipFile) -> SharedQuotas:
    """Shared quotas, with the tables in them."""
    inner = {table: _read(archive, f"shared.{table}", kind) for table, kind in _INNER.items()}
    shared: SharedQuotas = _read(archive, "shared", SharedQuotas, **inner)
    return shared


def _read(archive: zipfile.ZipFile, table: str, kind: type[Any], **fields: Any) -> Any:
    """One table of the archive, numbers as Python numbers; fields that are given are not read."""
    for field in kind._fields:
        if field in fields:
            continue
        array = _array(archive, f"{table}.{field}")
        fields[field] = array.item() if array.ndim == 0 else array
    return kind(**fields)


def _array(archive: zipfile.ZipFile, name: str) -> Any:
    return np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
