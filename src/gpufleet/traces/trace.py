"""What a reader gives back: one table of jobs, and an account of every row that is not in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from gpufleet.base.errors import Finding, Place, finding
from gpufleet.base.say import say
from gpufleet.traces.findings import counted

JOBS: Final[dict[str, type[pl.DataType]]] = {
    "name": pl.String,  # job id in the trace
    "submit_s": pl.Int64,  # when it became eligible, seconds from the start, >= 0, ascending
    "gpus": pl.Int32,  # whole GPUs, >= 1
    "run_s": pl.Float64,  # run time, s, >= 0
    "limit_s": pl.Int64,  # wall-clock limit, s, 0 = none
    "priority": pl.Int32,  # higher goes first
    "queue": pl.String,
    "user": pl.String,
    "state": pl.String,  # as recorded
    "recorded_start_s": pl.Int64,  # first start in the log, seconds from the start
    "recorded_end_s": pl.Int64,  # last end in the log
}
"""Columns of `Trace.jobs` and their types. The first six are never null."""


@dataclass(frozen=True)
class Trace:
    """Jobs of a log, sorted by submit time (ties: as the file has them).

    ``rows_read == jobs.height + sum(dropped.values())``, always.
    """

    jobs: pl.DataFrame  # columns: JOBS
    dropped: Mapping[str, int]  # reason -> rows
    rows_read: int  # rows with text in them, without the header and comments
    format: str
    notes: tuple[str, ...]  # what was understood or assumed, for people
    path: Path
    start: datetime  # second 0 of the times, UTC
    dated: bool  # False: the file has no calendar, its second 0 was put at `start`
    findings: tuple[Finding, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        lost = (
            f", {sum(self.dropped.values()):,} rows dropped ({counted(self.dropped)})" if self.dropped else ""
        )
        return (
            f"Trace of {self.jobs.height:,} jobs from {self.path.name} ({self.format}){lost}\n"
            f"  .jobs: {', '.join(self.jobs.columns)}\n"
            "  .dropped .notes .rows_read .start; see also gpufleet.traces.summary.summarise(trace)"
        )


def warnings_of(
    trace_path: Path, dropped: Mapping[str, int], rows_read: int, late: int
) -> tuple[Finding, ...]:
    """What people should know about a trace that is usable: dropped rows (T010), rows out of order (T011)."""
    at, found = Place(str(trace_path), 0), []
    if dropped:
        says = say(
            "{sum:,} of {rows_read:,} rows were dropped: {counted}",
            sum=sum(dropped.values()),
            rows_read=rows_read,
            counted=counted(dropped),
        )
        fix = say("mend these rows if they matter; the run goes on without them")
        found.append(finding("T010", says, fix, at, severity="warning"))
    if late:
        says = say(
            "{late:,} of {rows_read:,} rows come after one that was submitted later; sorted, stably",
            late=late,
            rows_read=rows_read,
        )
        found.append(finding("T011", says, say("sort the file by submit time"), at, severity="warning"))
    return tuple(found)
