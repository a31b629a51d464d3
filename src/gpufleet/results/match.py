"""The jobs of two runs side by side, one workload after the other: never all of them in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet.world.layout import STATES

if TYPE_CHECKING:
    from gpufleet.results.run import Run

COMPARED: Final = ("start_s", "end_s", "state")
"""What of a job is held against the other run."""

_KEY: Final = ["name", "nth"]


def matched(a: Run, b: Run) -> Iterator[tuple[str, pl.DataFrame]]:
    """Workloads with the jobs of both runs, one row for each job.

    Jobs are matched by workload and name (like names: in their order), generated ones by their number within
    the workload. Times of the second run are seconds from the first run's start.

    Yields: the workload, and name, job, start_s, end_s, state, job_b, start_s_b, end_s_b, state_b; null where
            a run does not have the job.
    """
    offset_s = int((b.start - a.start).total_seconds())
    for workload in dict.fromkeys([*a.names.workloads, *b.names.workloads]):
        frames = [_jobs(run, workload, shift) for run, shift in ((a, 0), (b, offset_s))]
        named = [frame.filter(pl.col("name").is_not_null()) for frame in frames]
        nameless = [frame.filter(pl.col("name").is_null()) for frame in frames]
        yield workload, pl.concat([_beside(*nameless), _joined(*named)])


def _jobs(run: Run, workload: str, offset_s: int) -> pl.DataFrame:
    """Jobs of a workload by number."""
    jobs = run.scan_jobs().filter(pl.col("workload") == workload)
    times = [pl.col(name) + offset_s for name in ("start_s", "end_s")]
    columns = jobs.select("name", "job", *times, pl.col("state").cast(pl.Enum(STATES)))
    return columns.collect(engine="streaming").sort("job")


def _joined(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """By name; like names in their order."""
    nth: Any = pl.int_range(pl.len()).over("name").alias("nth")
    both = a.with_columns(nth).join(b.with_columns(nth), on=_KEY, how="full", suffix="_b", coalesce=True)
    return both.drop("nth")


def _beside(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """By their number within the workload."""
    n = max(a.height, b.height)
    first, second = (pl.concat([frame, frame.clear(n - frame.height)]) for frame in (a, b.drop("name")))
    return pl.concat([first, second.rename({name: f"{name}_b" for name in second.columns})], how="horizontal")
