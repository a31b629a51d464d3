"""Sites that drew more than their cap: told with the run's other warnings, since it was promised not to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import polars as pl

from gpufleet.base.errors import Finding, explain_code, finding
from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration, format_power
from gpufleet.results.measures_power import MWH_J

if TYPE_CHECKING:
    from gpufleet.plan import Plan

OVER_CAP: Final = explain_code(
    "P273",
    "a site drew more than its cap",
    "A cap holds starts back, and stops or slows what runs. It does not stop jobs that are "
    "`preemptible: false`, nor any with `over_cap: run-on`, and free GPUs draw their idle power whatever the "
    "cap says. What the meter shows above the cap is in `over_cap_s` and `over_cap_j` of power.parquet.",
    "sites:     {lab: {curtailments: [{from: 2026-07-01, until: 2026-07-02, power: 1 MW}], ...}}\n"
    "workloads: {llm: {preemptible: false, ...}}      # holds 2 MW at that time, and is not stopped",
).code


def over_caps(plan: Plan, power: pl.DataFrame) -> Iterator[Finding]:
    """A warning for each site that drew more than its cap.

    Args: power: rows of power.parquet.
    """
    sums = power.group_by("site", maintain_order=True).agg(
        pl.col("over_cap_s", "over_cap_j").sum(), (pl.col("peak_w") - pl.col("cap_w")).max().alias("most_w")
    )
    for site, seconds, joules, most_w in sums.iter_rows():
        if seconds:
            says = say(
                "{site} drew more than its cap for {time}, {energy:,.3f} MWh in all, {most} at most; {why}",
                site=site,
                time=format_duration(seconds),
                energy=joules / MWH_J,
                most=format_power(most_w),
                why=_why(plan),
            )
            fix = say("slow its jobs (`on_cap: slow`), or leave less to jobs that may not be stopped")
            keys = [key for key in ("curtailments", "power") if plan.line(f"sites.{site}.{key}")]
            at = plan.line(f"sites.{site}.{keys[0]}") if keys else None
            yield finding(OVER_CAP, says, fix, at, severity="warning")


def _why(plan: Plan) -> Said:
    """Who was not stopped."""
    kept = [name for name, workload in plan.workloads.items() if not workload.preemptible]
    if plan.power is not None and plan.power.over_cap == "run-on":
        return say("jobs run on there (`over_cap: run-on`)")
    if kept:
        return say("no cap stops jobs of {workloads:, } (`preemptible: false`)", workloads=kept)
    return say("free GPUs alone draw more")
