"""The Standard Workload Format of the Parallel Workloads Archive: 18 numbers per job, -1 = not known.

Processors are counted as GPUs. Second 0 of the file is its ``UnixStartTime`` (UTC); a file without one starts
with the plan.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import polars as pl

from gpufleet.base.say import say
from gpufleet.traces.cells import Cells, Clock, gpu_count, label, plan_second, rounded_seconds, seconds, text
from gpufleet.traces.formats import Column, Format, Joined

FIELDS: Final = (
    *("job", "submit", "wait", "run", "allocated", "cpu_time", "memory", "requested", "requested_time"),
    *(
        "requested_memory",
        "status",
        "user",
        "group",
        "program",
        "queue",
        "partition",
        "after_job",
        "think_time",
    ),
)
"""Names of the 18 fields, in the order of the standard."""


def unix_start(comments: Sequence[str]) -> int | None:
    """Unix time of second 0, from the header comments.

    >>> unix_start(["; Version: 2.2", ";  UnixStartTime: 1027839845"])
    1027839845
    >>> unix_start(["; UnixStartTime: 0"]) is None
    True
    """
    found = re.search(r"^;\s*UnixStartTime:\s*(\d{1,11})\s*$", "\n".join(comments), re.MULTILINE)
    return int(found[1]) or None if found else None


def start_after_wait(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """The recorded start: submit time + wait. Unknown if either is."""
    submit = plan_second(columns[:1], clock)
    wait = rounded_seconds(columns[1:2], clock)
    return Cells(submit.value + wait.value.cast(pl.Int64), wait.reason)


def end_after_run(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """The recorded end: submit time + wait + run time. Unknown if one of them is."""
    start = start_after_wait(columns, clock)
    return Cells(start.value + rounded_seconds(columns[2:3], clock).value.cast(pl.Int64))


PART: Final = "part of a job that was swapped out (status 2 to 4; the whole job has its own line)"
CANCELLED: Final = "cancelled before it started (status 5, no run time)"
NEVER: Final = "never started (run time -1)"


def not_jobs(raw: pl.DataFrame) -> Sequence[tuple[str, pl.Expr]]:
    """Lines that are no whole job, or one that never ran."""
    no_run = pl.col("run").is_null()
    return (
        (PART, pl.col("status").is_in(["2", "3", "4"])),
        (CANCELLED, (pl.col("status") == "5") & (no_run | (pl.col("run") == "0"))),
        (NEVER, no_run & pl.col("submit").is_not_null()),
    )


def name_queues(jobs: pl.DataFrame) -> Joined:
    """Queues by queue number; in a file that gives none, by user group."""
    own = ("_queue", "_group")
    if jobs["queue"].null_count() < jobs.height:
        return Joined(jobs.drop(own), Counter(), ())
    column, says = ("_queue", say("queue number (q1, q2, ...)"))
    if jobs["_queue"].null_count() == jobs.height:
        column, says = ("_group", say("user group (g1, g2, ...): the file has no queue numbers"))
    jobs = jobs.with_columns(pl.col(column).alias("queue")).drop(own)
    return Joined(jobs, Counter(), (say("processors are counted as GPUs; queue = {says}", says=says),))


SWF: Final = Format(
    name="swf",
    title="Standard Workload Format (Parallel Workloads Archive), 18 fields",
    columns=(
        Column("name", ("job",), text, "field 1, job number", need=True),
        Column("submit_s", ("submit",), plan_second, "field 2, seconds from UnixStartTime", need=True),
        Column("run_s", ("run",), seconds, "field 4, seconds", need=True),
        Column("gpus", ("allocated", "requested"), gpu_count, "field 5, else 8: processors", need=True),
        Column("limit_s", ("requested_time",), rounded_seconds, "field 9, seconds; none if not known"),
        Column("user", ("user",), label("u"), "field 12: u1, u2, ..."),
        Column("state", ("status",), text, "field 11"),
        Column("recorded_start_s", ("submit", "wait"), start_after_wait, "field 2 + 3"),
        Column("recorded_end_s", ("submit", "wait", "run"), end_after_run, "field 2 + 3 + 4"),
        Column("_queue", ("queue",), label("q"), "field 15: q1, q2, ..."),
        Column("_group", ("group",), label("g"), "field 13: g1, g2, ..., if no row has a queue"),
    ),
    separator=" ",
    quotes=False,
    comment=";",
    header=FIELDS,
    nothing=("", "-1"),
    aside=(PART, CANCELLED, NEVER),
    zero=unix_start,
    refuse=not_jobs,
    finish=name_queues,
)
