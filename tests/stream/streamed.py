"""Worlds with jobs as `simulate_jobs` takes them, without a plan, and small enough to be cut everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.oracle.worlds import world_of

from gpufleet.engine import run as engine
from gpufleet.engine.room import new_state
from gpufleet.results.folder import JOBS, new_run, take_over
from gpufleet.stream import Watcher, simulate_jobs
from gpufleet.world.demand import Batch
from gpufleet.world.layout import Jobs, World
from gpufleet.world.names import Names

PART_ROWS = 7
BATCH = 5


@dataclass(frozen=True)
class Demand:
    """Jobs of which every second one has a name and a user."""

    jobs: Jobs

    def batches(self) -> Iterator[Batch]:
        n = len(self.jobs.gpus)
        for at in range(0, n, BATCH):
            ids = range(at, min(at + BATCH, n))
            table = {
                "workload": pl.Series([i % 2 for i in ids], dtype=pl.Int32),
                "name": pl.Series([f"j{i}" if i % 2 else None for i in ids], dtype=pl.String),
                "user": pl.Series([f"u{i % 3}" if i % 2 else None for i in ids], dtype=pl.String),
                "recorded_start_s": pl.Series([i if i % 2 else None for i in ids], dtype=pl.Int64),
                "recorded_end_s": pl.Series([None for _ in ids], dtype=pl.Int64),
            }
            yield Batch(Jobs(*(column[at : at + BATCH] for column in self.jobs)), pl.DataFrame(table))


@dataclass(frozen=True)
class Built:
    """What of a built plan the stream looks at."""

    world: World
    names: Names
    demand: Demand


def built(seed: int, n_jobs: int, rules: tuple[int, int, int, int]) -> Any:
    """A random world of a policy."""
    world, jobs = world_of(seed, max(1, n_jobs), rules)
    jobs = Jobs(*(column[:n_jobs] for column in jobs))

    def names(what: str, codes: Any) -> tuple[str, ...]:
        return tuple(f"{what}{i}" for i in range(int(np.max(codes, initial=-1)) + 1))

    of = world.cells
    tenants = names("tenant", [*of.tenant, *world.queues.tenant])
    queues = tuple(f"queue{i}" for i in range(len(world.queues.tenant)))
    found = Names(names("product", of.product), names("site", of.site), tenants, queues, ("even", "odd"), ())
    return Built(world, found, Demand(jobs))


@contextmanager
def small_steps(n_out: int = 2) -> Iterator[None]:
    """Outcomes leave the kernels a few at a time, so that there is a checkpoint for each small part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "new_state", partial(new_state, n_out=n_out))
        yield


def stream(table: Path, of: Any, mark: str = "", watcher: Watcher | None = None) -> None:
    """Write a jobs table in small parts."""
    simulate_jobs(table, of, mark, watcher=watcher, part_rows=PART_ROWS)


def write(out: Path, of: Any, watcher: Watcher | None = None, mark: str = "same") -> None:
    """A run folder with nothing but the jobs, as the study writes it."""
    with new_run(out, resume=True) as part:
        take_over(part, out, mark)
        stream(part / JOBS, of, mark, watcher)


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder, however deep."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }
