"""What a trace asks for: its queues, and the most GPUs in use at once. `gpufleet new --from` starts here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from gpufleet.traces.trace import Trace


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """One queue of a trace."""

    name: str | None  # None: jobs without a queue
    jobs: int
    peak_gpus: int  # most GPUs in use at once
    largest_gpus: int  # of one job
    gpu_hours: float


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in a few numbers."""

    queues: tuple[QueueSummary, ...]  # by GPU hours, most first
    jobs: int
    peak_gpus: int  # most GPUs in use at once, all queues together
    largest_gpus: int  # of one job
    gpu_hours: float
    first_submit: datetime  # UTC
    last_submit: datetime
    last_end: datetime
    recorded_share: (
        float  # 0..1, share of the jobs whose recorded start was used; the others start when submitted
    )
    over_limit: int  # jobs whose recorded run time exceeds their time limit

    def __repr__(self) -> str:
        hours = (self.last_submit - self.first_submit).total_seconds() / 3600
        return (
            f"{self.jobs:,} jobs in {len(self.queues)} queues, submitted over {hours:,.0f} h from "
            f"{self.first_submit:%Y-%m-%d %H:%M} UTC; at most {self.peak_gpus:,} GPUs at once, "
            f"{self.largest_gpus:,} for one job; {self.gpu_hours:,.0f} GPU hours"
        )


def summarise(trace: Trace) -> TraceSummary:
    """Sum up a trace.

    A job holds its GPUs from its recorded start to its recorded end; where these are not known, from its
    submit time for its run time, as if it had never waited. GPUs freed in a second can be taken in it.

    >>> import tempfile, pathlib
    >>> from gpufleet.traces.read import read_trace
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "jobs.csv"
    >>> _ = file.write_text("job,submit_s,gpus,duration_s,queue\\na,0,8,60,x\\nb,30,4,60,y\\nc,60,8,60,x\\n")
    >>> found = summarise(read_trace(file))
    >>> found.peak_gpus, [(q.name, q.peak_gpus) for q in found.queues]
    (12, [('x', 8), ('y', 4)])
    """
    held = trace.jobs.select(
        "queue",
        pl.col("gpus").cast(pl.Int64),
        "run_s",
        pl.coalesce("recorded_start_s", "submit_s").alias("begin_s"),
        pl.col("recorded_end_s").alias("end_s"),
    ).with_columns(
        pl.coalesce("end_s", pl.col("begin_s") + pl.col("run_s").ceil().cast(pl.Int64)).alias("end_s")
    )
    groups = held.group_by("queue", maintain_order=True)
    queues = [_queue(None if key[0] is None else str(key[0]), jobs) for key, jobs in groups]
    total = _queue(None, held)
    submit = trace.jobs["submit_s"]
    return TraceSummary(
        tuple(sorted(queues, key=lambda q: (-q.gpu_hours, q.name or ""))),
        total.jobs,
        total.peak_gpus,
        total.largest_gpus,
        total.gpu_hours,
        _time(trace, submit[0]),
        _time(trace, submit[-1]),
        _time(trace, int(held.select(pl.col("end_s").max()).item())),
        trace.jobs["recorded_start_s"].is_not_null().mean() or 0.0,  # type: ignore[arg-type]
        trace.jobs.filter((pl.col("limit_s") > 0) & (pl.col("run_s") > pl.col("limit_s"))).height,
    )


def _queue(name: str | None, held: pl.DataFrame) -> QueueSummary:
    largest, hours = held.select(
        pl.col("gpus").max().alias("largest"), (pl.col("gpus") * pl.col("run_s")).sum().alias("gpu_s") / 3600
    ).row(0)
    return QueueSummary(name, held.height, _peak(held), int(largest), float(hours))


def _peak(held: pl.DataFrame) -> int:
    """Most GPUs in use at once. A job that runs for no time counts as one second."""
    begin, end = (
        pl.col("begin_s").alias("t_s"),
        pl.max_horizontal("end_s", pl.col("begin_s") + 1).alias("t_s"),
    )
    changes = pl.concat([held.select(begin, pl.col("gpus")), held.select(end, -pl.col("gpus"))])
    in_use = changes.group_by("t_s").agg(pl.col("gpus").sum()).sort("t_s")["gpus"].cum_sum()
    return int(in_use.max())  # type: ignore[arg-type]


def _time(trace: Trace, second: int) -> datetime:
    return trace.start + timedelta(seconds=second)
