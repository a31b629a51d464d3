"""Power from the grid over time: what jobs, free GPUs and the rest of the sites draw, beside the caps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from gpufleet.base.say import say, tell
from gpufleet.report import charts, measured
from gpufleet.report.figures import Figure, Legend
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


def over_time(view: View) -> Figure | None:
    """Mean power of all sites over time, and energy, peak, P99, cap and carbon of each."""
    energy = measured.by(view.run, "energy_mwh", "site")
    if not energy:
        return None
    marks = [Mark(str(tell(name)), colour, hatch) for name, colour, hatch in PARTS.values()]
    width = pl.lit(view.bins.width_s)
    bins = view.run.power.with_columns(at=pl.col("t_s") // width * width).group_by("at")
    sums = bins.agg(pl.col(f"{part}_j").sum() for part in PARTS).rename({"at": "t_s"}).sort("t_s")
    rows = pl.concat(
        sums.select(
            "t_s",
            name=pl.lit(mark.name),
            value=pl.col(f"{part}_j") / view.bins.width_s / MW,
            rank=pl.lit(rank, pl.Int64),
        )
        for rank, (part, mark) in enumerate(zip(PARTS, marks, strict=True))
    )
    total = sum(energy.values())
    return Figure(
        id="power",
        title=say("The sites draw {total:,.1f} MWh from the grid", total=total),
        subtitle=say("power from the grid, mean {per_bin}, by what draws it", per_bin=view.bin_word),
        spec=charts.steps(closed(view, rows.sort("t_s", "rank")), marks, unit=say("MW"), end_ms=view.end_ms),
        legend=tuple(Legend(mark.name, "area", mark) for mark in marks[::-1]),
        table=_table(view, energy),
        measures=("energy_mwh", "peak_mw", "p99_mw", "carbon_t"),
    )


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
