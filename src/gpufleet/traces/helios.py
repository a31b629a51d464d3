"""Schedules written by the Helios simulator: jobs of virtual clusters with the starts that it gave them."""

from __future__ import annotations

from collections import Counter
from typing import Final

import polars as pl

from gpufleet.traces.cells import MAX_S, gpu_count, plan_second, seconds, text, whole
from gpufleet.traces.formats import Column, Format, Joined


def in_cluster_order(jobs: pl.DataFrame) -> Joined:
    """Rows by their place in their cluster's list, which is the order among jobs of one second."""
    if "_order" in jobs.columns:
        jobs = jobs.sort("_order", maintain_order=True).drop("_order")
    return Joined(jobs, Counter(), ())


HELIOS: Final = Format(
    name="helios",
    title="Helios simulator schedule (vc, order_in_vc, job_id, gpu_num, submit_s, duration_s, start_s)",
    columns=(
        Column("name", ("job_id",), text, "job id", need=True),
        Column("submit_s", ("submit_s",), plan_second, "seconds from the plan's start", need=True),
        Column("gpus", ("gpu_num",), gpu_count, "whole GPUs", need=True),
        Column("run_s", ("duration_s",), seconds, "seconds", need=True),
        Column("queue", ("vc",), text, "virtual cluster", need=True),
        Column("recorded_start_s", ("start_s",), plan_second, "first start, as simulated there"),
        Column("recorded_end_s", ("end_s",), plan_second, "end, as simulated there"),
        Column("_order", ("order_in_vc",), whole(0, MAX_S), "order among jobs of one second"),
    ),
    by_time=False,
    finish=in_cluster_order,
)
