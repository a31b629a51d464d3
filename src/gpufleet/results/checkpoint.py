"""Puts a run aside while it goes on, so that it can go on from there if it is killed.

A checkpoint is a folder beside the files of the jobs table: the engine's state, the jobs that are alive, the
rows that are in no file yet, and how far the run had come. It is written under another name, brought to the
disk, and renamed; so it is whole or not there. Each replaces the one before.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpufleet.results.swap import sync_file, sync_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from gpufleet.results.jobs import JobsWriter
    from gpufleet.results.living import Living

PARTS: Final = "jobs.parts"
"""Folder of the files of the jobs table while the run goes on, beside the place of the table."""

SCHEMA: Final = "gpufleet.checkpoint/1"
STATE, LIVING, TAIL, ABOUT = "state.npz", "living.arrow", "tail.arrow", "about.json"

UNREADABLE: Final = (
    *(OSError, ValueError, LookupError, TypeError, EOFError, NotImplementedError),
    zipfile.BadZipFile,
)
"""What reading a damaged checkpoint raises."""

_NAMED: Final = "checkpoint-"


def part_name(number: int) -> str:
    """What a file of the jobs table is called.

    >>> part_name(3)
    'part-00003.parquet'
    """
    return f"part-{number:05}.parquet"


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a run, on disk."""

    path: Path
    parts: int  # files of the jobs table that are done
    batch: int  # number of the batch of jobs that the next job comes from
    rows: int  # outcomes handed out
    next_id: int  # number of the next job to come
    now_s: int  # s from the plan's start

    def state(self) -> dict[str, NDArray[Any]]:
        """The engine's arrays. Raises: one of `UNREADABLE`."""
        import numpy as np

        with np.load(self.path / STATE, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}

    def living(self) -> Living:
        """The jobs that were alive. Raises: one of `UNREADABLE`."""
        from gpufleet.results.living import Living

        return Living.from_arrow(_read(self.path / LIVING), self.next_id)

    def tail(self) -> list[pa.RecordBatch]:
        """Rows that were in no file yet. Raises: one of `UNREADABLE`."""
        return _read(self.path / TAIL).to_batches()  # type: ignore[no-any-return]


def save_state(folder: Path, arrays: Mapping[str, NDArray[Any]], rows: int) -> Path:
    """Begin a checkpoint with the engine's arrays; `keep` ends it. They may change afterwards."""
    import numpy as np

    new = folder / f"{_NAMED}new-{rows}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    np.savez(new / STATE, **arrays)  # type: ignore[arg-type]
    return new


def keep(new: Path, writer: JobsWriter, *, fingerprint: str, batch: int, now_s: int) -> bool:
    """End a checkpoint, when the writer has got all rows of that moment.

    Args:    new: of `save_state`; fingerprint: of all that decides about the run's bytes.
    Returns: False if rows after the last whole file are in a file already; then there is no checkpoint.
    """
    tail = writer.tail
    if tail is None:
        shutil.rmtree(new)
        return False
    _write(new / LIVING, writer.living.to_arrow())
    _write(new / TAIL, tail)
    files = [writer.folder / part_name(i) for i in range(writer.parts)]
    about = {
        "schema": SCHEMA,
        "fingerprint": fingerprint,
        "part_rows": writer.part_rows,
        "bytes": [file.stat().st_size for file in files],
        "batch": batch,
        "rows": writer.rows,
        "next_id": writer.living.next_id,
        "now_s": now_s,
    }
    (new / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    for name in (STATE, LIVING, TAIL, ABOUT):
        sync_file(new / name)
    sync_folder(new)
    new.replace(writer.folder / f"{_NAMED}{writer.rows:012}")
    sync_folder(writer.folder)
    for old in _all(writer.folder)[1:]:
        shutil.rmtree(old)
    return True


def find(folder: Path, fingerprint: str | None = None) -> Checkpoint | None:
    """The last whole checkpoint with the fingerprint (None: any) in a folder of files of the jobs table."""
    for path in _all(folder):
        try:
            about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
            sizes = [(folder / part_name(i)).stat().st_size for i in range(len(about["bytes"]))]
            same = fingerprint in (None, about["fingerprint"])
            if about["schema"] == SCHEMA and same and sizes == about["bytes"]:
                numbers = {name: int(about[name]) for name in ("batch", "rows", "next_id", "now_s")}
                return Checkpoint(path, len(sizes), **numbers)
        except UNREADABLE:
            continue
    return None


def drop(folder: Path, *, but: Path | None = None) -> None:
    """Remove all checkpoints, also those that were not ended; one may stay."""
    for path in folder.glob(f"{_NAMED}*"):
        if path != but:
            shutil.rmtree(path)


def _all(folder: Path) -> list[Path]:
    """Checkpoints that have got their name, the last first."""
    found = [path for path in folder.glob(f"{_NAMED}*") if path.name.removeprefix(_NAMED).isdecimal()]
    return sorted(found, reverse=True)


def _write(path: Path, table: pa.Table) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read(path: Path) -> pa.Table:
    import pyarrow as pa

    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()
