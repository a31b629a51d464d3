"""The Philly job list: one row per job of Microsoft's Philly clusters, 2017, as published with Pollux."""

from __future__ import annotations

from typing import Final

from gpufleet.traces.cells import date_time, gpu_count, rounded_seconds, text
from gpufleet.traces.formats import Column, Format

PHILLY: Final = Format(
    name="philly",
    title="Philly job list (timestamp, duration, num_gpus, gpu_time, cluster)",
    columns=(
        Column(
            "submit_s", ("timestamp",), date_time, "submit time, local to the workload's time_zone", need=True
        ),
        Column("gpus", ("num_gpus",), gpu_count, "whole GPUs", need=True),
        Column(
            "run_s", ("duration",), rounded_seconds, "seconds, rounded to whole ones, half to even", need=True
        ),
        Column("queue", ("cluster",), text, "virtual cluster"),
    ),
    numbered="j",
)
"""Jobs have no id in the file: they are named j000000, j000001, ... by row."""
