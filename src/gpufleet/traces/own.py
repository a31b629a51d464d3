"""Our own format: a CSV or Parquet file with one row per job.

Smallest form::

    job,submit,gpus,duration_s
    j1,2026-01-05 09:00:00,8,5400

``submit`` is a date and time (with a zone, or local to the workload's ``time_zone``); ``submit_s`` counts
seconds from the plan's start instead. Job logs that were converted to CSV elsewhere use other names for the
same columns; the usual ones are known, and so are those of `Trace.jobs`: written to a file, it reads back.
"""

from __future__ import annotations

from typing import Final

from gpufleet.traces.cells import (
    MAX_PRIORITY,
    date_time,
    gpu_count,
    plan_second,
    rounded_seconds,
    seconds,
    text,
    whole,
)
from gpufleet.traces.formats import Column, Format

OWN: Final = Format(
    name="gpufleet",
    title="own CSV or Parquet (job, submit, gpus, duration_s, ...)",
    columns=(
        Column("name", ("job", "job_id", "name"), text, "job id; without the column, rows are numbered"),
        Column("submit_s", ("submit",), date_time, "date and time it became eligible", need=True),
        Column("submit_s", ("submit_s",), plan_second, "or seconds from the plan's start", need=True),
        Column("gpus", ("gpus", "num_gpus", "procs"), gpu_count, "whole GPUs, all at once", need=True),
        Column("run_s", ("duration_s", "run_s", "run_time_s"), seconds, "run time, seconds", need=True),
        Column("limit_s", ("limit_s", "requested_time_s"), rounded_seconds, "time limit, seconds; 0 = none"),
        Column(
            "priority", ("priority",), whole(-MAX_PRIORITY, MAX_PRIORITY), "higher goes first; 0 if not given"
        ),
        Column("queue", ("queue",), text, "queue of the plan, or of its `queue.map`"),
        Column("user", ("user",), text, "user"),
        Column("state", ("state",), text, "final state in the log"),
        Column("recorded_start_s", ("start",), date_time, "recorded start, date and time"),
        Column(
            "recorded_start_s",
            ("start_s", "recorded_start_s"),
            plan_second,
            "or seconds from the plan's start",
        ),
        Column("recorded_end_s", ("end",), date_time, "recorded end, date and time"),
        Column(
            "recorded_end_s", ("end_s", "recorded_end_s"), plan_second, "or seconds from the plan's start"
        ),
    ),
    nothing=("", "null", "None", "NA", "N/A"),
    numbered="j",
)
