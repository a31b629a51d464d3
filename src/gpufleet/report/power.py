"""Power from the grid over time: what jobs, free GPUs and the rest of the sites draw, beside the caps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from gpufleet.base.say import Said, say, tell
from gpufleet.report import charts, measured
from gpufleet.report.figures import INK, Figure, Legend, Panel
from gpufleet.report.marks import Mark
from gpufleet.report.series import closed
from gpufleet.report.tables import Kind, Table, table

if TYPE_CHECKING:
    from gpufleet.report.view import View

PARTS: Final = {
    "jobs": (say("GPUs in use, with their part of nodes"), "accent", "plain"),
    "idle": (say("free GPUs, with their part of nodes"), "grey-3", "dots"),
    "overhead": (say("cooling and all else"), "grey-1", "plain"),
}
"""What is drawn: name, colour, hatch."""
MW: Final = 1e6
MWH_J: Final = 3.6e9
MOST_SITES: Final = 8
"""Charts of single sites; the table has all."""


def over_time(view: View) -> Figure | None:
    """Mean power of all sites over time under their caps, and energy, peak, P99, cap and carbon of each."""
    energy = measured.by(view.run, "energy_mwh", "site")
    if not energy:
        return None
    drawn, cap = _drawn(view, view.run.power), _cap(view, view.run.power)
    total = sum(energy.values())
    return Figure(
        id="power",
        title=_title(view, total),
        subtitle=say("power from the grid, mean {per_bin}, by what draws it", per_bin=view.bin_word),
        spec=charts.steps(drawn, _marks(), unit=say("MW"), ceiling=cap, end_ms=view.end_ms),
        legend=_legend(cap is not None),
        table=_table(view, energy),
        measures=("energy_mwh", "peak_mw", "p99_mw", "carbon_t", "over_cap_h", "over_cap_mwh"),
    )


def by_site(view: View) -> Figure | None:
    """The same of each site, where there are several; the table has what their caps did."""
    energy = measured.by(view.run, "energy_mwh", "site")
    if len(energy) < 2:
        return None
    most = sorted(energy, key=lambda name: -energy[name])[:MOST_SITES]
    panels, capped = [], False
    for name in most:
        rows = view.run.power.filter(pl.col("site") == name)
        cap = _cap(view, rows)
        capped = capped or cap is not None
        spec = charts.steps(_drawn(view, rows), _marks(), unit=say("MW"), ceiling=cap, end_ms=view.end_ms)
        panels.append(Panel(name, spec))
    return Figure(
        id="power-sites",
        title=say("{site} draws most of it, {mwh:,.1f} MWh", site=most[0], mwh=energy[most[0]]),
        subtitle=say("power of each site from the grid, mean {per_bin}", per_bin=view.bin_word),
        panels=tuple(panels),
        legend=_legend(capped),
        table=_caps_table(view),
        measures=("energy_mwh", "over_cap_h", "over_cap_mwh"),
    )


def _title(view: View, total: float) -> Said:
    """The energy, and by how much it was above the caps."""
    above = sum(measured.by(view.run, "over_cap_mwh", "site").values())
    if above:
        return say(
            "The sites draw {total:,.1f} MWh from the grid, {above:,.3f} MWh of it above their caps",
            total=total,
            above=above,
        )
    return say("The sites draw {total:,.1f} MWh from the grid", total=total)


def _marks() -> list[Mark]:
    return [Mark(str(tell(name)), colour, hatch) for name, colour, hatch in PARTS.values()]


def _legend(capped: bool) -> tuple[Legend, ...]:
    parts = tuple(Legend(mark.name, "area", mark) for mark in _marks()[::-1])
    meaning = say("the lowest of each bin; it falls where the grid calls")
    cap = Legend(str(say("cap")), "line", INK, meaning)
    return (*parts, cap) if capped else parts


def _binned(view: View, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of power.parquet with the bin of the page that they are in."""
    width = pl.lit(view.bins.width_s)
    return rows.with_columns(at=pl.col("t_s") // width * width)


def _drawn(view: View, rows: pl.DataFrame) -> pl.DataFrame:
    """Mean power by what draws it, as rows of a stacked chart."""
    bins = _binned(view, rows).group_by("at")
    sums = bins.agg(pl.col(f"{part}_j").sum() for part in PARTS).rename({"at": "t_s"}).sort("t_s")
    stacks = pl.concat(
        sums.select(
            "t_s",
            name=pl.lit(mark.name),
            value=pl.col(f"{part}_j") / view.bins.width_s / MW,
            rank=pl.lit(rank, pl.Int64),
        )
        for rank, (part, mark) in enumerate(zip(PARTS, _marks(), strict=True))
    )
    return closed(view, stacks.sort("t_s", "rank"))


def _cap(view: View, rows: pl.DataFrame) -> pl.DataFrame | None:
    """The caps of the sites together, as a line; None where not all have one all the time."""
    if rows.is_empty() or rows.get_column("cap_w").null_count():
        return None
    lowest = _binned(view, rows).group_by("site", "at").agg(pl.col("cap_w").min())
    caps = lowest.group_by("at").agg(pl.col("cap_w").sum()).sort("at")
    return closed(view, caps.select(t_s="at", value=pl.col("cap_w") / MW))


def _caps_table(view: View) -> Table:
    """What the cap of each site did over the whole run."""
    columns: list[tuple[str, Kind]] = [
        (say("site"), "name"),
        (say("above its cap, h"), "exact"),
        (say("above its cap, MWh"), "exact"),
        (say("jobs slowed, h"), "exact"),
        (say("least share of power that jobs had"), "exact"),
    ]
    sums = view.run.power.group_by("site", maintain_order=True).agg(
        pl.col("over_cap_s", "over_cap_j", "slowed_s").sum(), pl.col("level").min()
    )
    rows = [
        (site, over_s / 3600, over_j / MWH_J, slowed_s / 3600, level)
        for site, over_s, over_j, slowed_s, level in sums.iter_rows()
    ]
    return table(say("Caps of each site over the run"), columns, rows)


def _table(view: View, energy: dict[str, float]) -> Table:
    """Each site over the whole run."""
    columns: list[tuple[str, Kind]] = [
        (say("site"), "name"),
        (say("energy, MWh"), "exact"),
        (say("highest power, MW"), "exact"),
        (say("P99, MW"), "exact"),
        (say("lowest cap, MW"), "exact"),
        (say("carbon, t"), "exact"),
    ]
    peak, p99, carbon = (measured.by(view.run, name, "site") for name in ("peak_mw", "p99_mw", "carbon_t"))
    caps = dict(view.run.power.group_by("site").agg(pl.col("cap_w").min()).iter_rows())
    rows = [
        (name, mwh, peak.get(name), p99.get(name), caps[name] and caps[name] / MW, carbon.get(name))
        for name, mwh in energy.items()
    ]
    return table(say("Power of each site over the run"), columns, rows)
