"""Measures of power, energy and carbon; only of plans with a section `power`."""

from __future__ import annotations

from typing import Final

import polars as pl

from gpufleet.results.facts import Facts
from gpufleet.results.measures import Rows, measure

MWH_J: Final = 3.6e9
_PARTS: Final = ("idle", "jobs", "overhead")


@measure(
    "energy_mwh",
    "MWh",
    "sum of meter_j of power.parquet; by part: idle_j, jobs_j, overhead_j, which sum to it; by kind of "
    "work: IT energy of its jobs, which sum to the part jobs; over the whole run",
    needs=("power.meter_j", "power.idle_j", "power.jobs_j", "power.overhead_j", "sites"),
)
def energy_mwh(facts: Facts) -> Rows:
    """Energy from the grid, by site, by part of the meter, and by kind of work."""
    rows = facts.run.power
    if not facts.seen.drawn:
        return
    yield {}, int(rows["meter_j"].sum()) / MWH_J
    for part in _PARTS:
        yield {"part": part}, int(rows[f"{part}_j"].sum()) / MWH_J
    for name, total in rows.group_by("site", maintain_order=True).agg(pl.col("meter_j").sum()).iter_rows():
        yield {"site": name}, total / MWH_J
    kinds: dict[str, int] = {}
    for drawn in facts.seen.drawn:
        for kind, joules in drawn.jobs_j:
            kinds[kind] = kinds.get(kind, 0) + joules
    for kind, joules in kinds.items():
        yield {"work": kind}, joules / MWH_J


@measure(
    "peak_mw",
    "MW",
    "highest power that a site draws from the grid for at least a second, over the whole run",
    needs=("power.peak_w", "sites"),
)
def peak_mw(facts: Facts) -> Rows:
    """Highest power from the grid, by site."""
    for drawn in facts.seen.drawn:
        yield {"site": drawn.site}, drawn.peak_w / 1e6


@measure(
    "p99_mw",
    "MW",
    "power from the grid that a site does not exceed in 99 % of the seconds of the run; in steps of 1/16384 "
    "of what all of its GPUs could draw, rounded up",
    needs=("power.peak_w", "sites"),
)
def p99_mw(facts: Facts) -> Rows:
    """Power from the grid that is exceeded in 1 % of the time, by site."""
    for drawn in facts.seen.drawn:
        yield {"site": drawn.site}, drawn.p99_w / 1e6


@measure(
    "carbon_t",
    "t",
    "sum of carbon_kg of power.parquet / 1000; only of sites with an intensity in all bins",
    needs=("power.carbon_kg", "sites"),
)
def carbon_t(facts: Facts) -> Rows:
    """CO2 equivalent of the energy from the grid, by site."""
    if not facts.seen.drawn:
        return
    sums = facts.run.power.group_by("site", maintain_order=True).agg(
        pl.col("carbon_kg").sum(), missing=pl.col("carbon_kg").null_count()
    )
    for name, kg, missing in sums.iter_rows():
        if not missing:
            yield {"site": name}, kg / 1000.0


@measure(
    "over_cap_h",
    "h",
    "sum of over_cap_s of power.parquet / 3600; only of sites with a cap",
    needs=("power.over_cap_s", "sites"),
)
def over_cap_h(facts: Facts) -> Rows:
    """Time in which a site drew more than its cap, as what ran there could not be stopped."""
    for site, seconds, _ in _capped(facts):
        yield {"site": site}, seconds / 3600.0


@measure(
    "over_cap_mwh",
    "MWh",
    "sum of over_cap_j of power.parquet; only of sites with a cap",
    needs=("power.over_cap_j", "sites"),
)
def over_cap_mwh(facts: Facts) -> Rows:
    """Energy from the grid above the cap, by site."""
    for site, _, joules in _capped(facts):
        yield {"site": site}, joules / MWH_J


@measure(
    "slowed_gpu_h",
    "GPU·h",
    "sum of gpus x slowed_s over the jobs / 3600, whatever the time; only where a cap slows jobs",
    needs=("jobs.slowed_s", "jobs.gpus", "sites"),
)
def slowed_gpu_h(facts: Facts) -> Rows:
    """GPU-hours that jobs ran longer because caps of power slowed them down."""
    if "slow" in (site.get("on_cap") for site in facts.run.plan["sites"].values()):
        longer = facts.run.scan_jobs().select((pl.col("gpus").cast(pl.Int64) * pl.col("slowed_s")).sum())
        yield {}, int(longer.collect().item() or 0) / 3600.0


def _capped(facts: Facts) -> list[tuple[str, int, int]]:
    """(site, seconds, joules) above the cap, of sites with one."""
    if not facts.seen.drawn:
        return []
    capped = facts.run.power.filter(pl.col("cap_w").is_not_null())
    sums = capped.group_by("site", maintain_order=True).agg(pl.col("over_cap_s", "over_cap_j").sum())
    return [(str(site), int(seconds), int(joules)) for site, seconds, joules in sums.iter_rows()]
