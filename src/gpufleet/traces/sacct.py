"""Slurm's accounting log as ``sacct -P`` prints it: ``|`` between fields, one line per job, attempt or step.

Ask Slurm for it with::

    sacct -a -X -D -P -S 2026-01-01 -E now \
      --format=JobIDRaw,User,Account,Partition,QOS,Submit,Eligible,Start,End,ElapsedRaw,TimelimitRaw,ReqTRES,AllocTRES,State

Times are local to the cluster: give its ``time_zone``. A job's submit time is when it became eligible, since
before that (``--begin``, dependencies) no scheduler could have started it. ``Priority`` is not taken: it is
the scheduler's own number of that moment, not something that the user asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import polars as pl

from gpufleet.base.say import say
from gpufleet.traces.cells import (
    MAX_S,
    Cells,
    Clock,
    date_time,
    gpu_count,
    number,
    seconds,
    span_seconds,
    text,
)
from gpufleet.traces.formats import Column, Format, Joined

NO_LIMIT: Final = ("UNLIMITED", "Partition_Limit")
STEP: Final = "job step (its job has its own line)"
CANCELLED: Final = "cancelled before it started"
NEVER: Final = "never started"
NO_GPUS: Final = "asked for no GPU"
MERGED: Final = "earlier attempt of a requeued job (merged into its last)"


def tres_gpus(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """GPUs in a TRES list: ``gres/gpu=8``, or the sum of ``gres/gpu:b200=4`` and the like; 0 without any."""
    have = [c.str.extract(r"(?:^|,)gres/gpu=(\d+)").fill_null(_typed_gpus(c)) for c in columns]
    first = have[0].zip_with(columns[0].is_not_null(), have[-1])
    return gpu_count([first.fill_null("0").alias(columns[0].name)], clock)


def _typed_gpus(tres: pl.Series) -> pl.Series:
    """Sum over ``gres/gpu:TYPE=N``, as text; null where there is none."""
    if not tres.str.contains("gres/gpu:", literal=True).any():
        return pl.Series(tres.name, [None], pl.String).new_from_index(0, tres.len())
    counts = tres.str.extract_all(r"gres/gpu:[^=,]+=\d+").list.eval(
        pl.element().str.extract(r"=(\d+)$").cast(pl.Int64, strict=False)
    )
    return counts.list.sum().cast(pl.String).alias(tres.name)


def minutes(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """A time limit in minutes as seconds; none for UNLIMITED and Partition_Limit."""
    value, reason = number(_no_limit(columns[0]), 0, MAX_S // 60)
    return Cells(value * 60, reason)


def span(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """``1-02:00:00`` as seconds; none for UNLIMITED and Partition_Limit."""
    cells = _no_limit(columns[0])
    value = span_seconds(cells)
    known = pl.select(
        pl.when(value.is_null() & cells.is_not_null()).then(cells).otherwise(value.cast(pl.String))
    )
    return number(known.to_series().alias(cells.name), 0, MAX_S)


def _no_limit(cells: pl.Series) -> pl.Series:
    return cells.replace(dict.fromkeys(NO_LIMIT))


def not_jobs(raw: pl.DataFrame) -> Sequence[tuple[str, pl.Expr]]:
    """Lines of steps, and jobs that never started or use no GPU."""
    job = pl.col("JobIDRaw" if "JobIDRaw" in raw.columns else "JobID")
    tres = pl.coalesce([c for c in ("AllocTRES", "ReqTRES") if c in raw.columns])
    waits = pl.col("Start").is_null()
    state = pl.col("State") if "State" in raw.columns else pl.lit("")
    return (
        (STEP, job.str.contains(".", literal=True)),
        (CANCELLED, waits & state.str.starts_with("CANCELLED")),
        (NEVER, waits),
        (NO_GPUS, ~tres.str.contains("gres/gpu", literal=True)),
    )


def merge_attempts(jobs: pl.DataFrame) -> Joined:
    """One row per job: the last attempt's run, the first attempt's submit time and start."""
    running = jobs.filter(pl.col("state").str.starts_with("RUNNING")).height
    still = say("{n:,} job was still running: its run time is what had passed",
                "{n:,} jobs were still running: their run time is what had passed", n=running)  # fmt: skip
    notes = [still] if running else []
    merged = jobs.height - jobs["name"].n_unique()
    if not merged:
        return Joined(jobs, Counter(), tuple(notes))
    last = jobs.sort("recorded_start_s", maintain_order=True).unique("name", keep="last", maintain_order=True)
    first = jobs.group_by("name").agg(
        pl.col("submit_s", "recorded_start_s").min(), pl.len().alias("_attempts")
    )
    place = jobs.select("name").unique("name", keep="first", maintain_order=True)
    last = last.drop("submit_s", "recorded_start_s").join(first, on="name")
    joined = place.join(last, on="name", how="left", maintain_order="left")
    requeued = joined.filter(pl.col("_attempts") > 1).height
    notes.append(
        say(
            "{n:,} job was requeued: {merged:,} earlier attempts were merged into the last",
            "{n:,} jobs were requeued: {merged:,} earlier attempts were merged into the last",
            n=requeued,
            merged=merged,
        )
    )
    return Joined(joined.select(jobs.columns), Counter({MERGED: merged}), tuple(notes))


SACCT: Final = Format(
    name="sacct",
    title="Slurm accounting, `sacct -P`",
    columns=(
        Column("name", ("JobIDRaw", "JobID"), text, "job id", need=True),
        Column(
            "submit_s",
            ("Eligible", "Submit"),
            date_time,
            "when it became eligible, else submitted",
            need=True,
        ),
        Column(
            "gpus", ("AllocTRES", "ReqTRES"), tres_gpus, "gres/gpu, or the sum of gres/gpu:TYPE", need=True
        ),
        Column("run_s", ("ElapsedRaw",), seconds, "seconds, of the last attempt", need=True),
        Column("run_s", ("Elapsed",), span, "[days-]hours:minutes:seconds", need=True),
        Column("recorded_start_s", ("Start",), date_time, "start of the first attempt", need=True),
        Column("recorded_end_s", ("End",), date_time, "end of the last attempt"),
        Column("limit_s", ("TimelimitRaw",), minutes, "minutes; none if UNLIMITED"),
        Column("limit_s", ("Timelimit",), span, "[days-]hours:minutes:seconds; none if UNLIMITED"),
        Column("queue", ("Account",), text, "account"),
        Column("queue", ("Partition",), text, "partition, where the log has no account"),
        Column("queue", ("QOS",), text, "QOS, where it has neither"),
        Column("user", ("User",), text, "user"),
        Column("state", ("State",), text, "final state"),
    ),
    separator="|",
    quotes=False,
    nothing=("", "Unknown", "None", "N/A", "INVALID"),
    aside=(STEP, CANCELLED, NEVER, NO_GPUS, MERGED),
    by_time=False,
    refuse=not_jobs,
    finish=merge_attempts,
)
