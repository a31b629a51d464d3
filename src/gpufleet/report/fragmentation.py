"""How the free GPUs lie together: in idle blocks, idle domains, on idle nodes, or beside other jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from gpufleet.base.say import Said, say, tell
from gpufleet.report import charts, measured
from gpufleet.report.figures import Figure, Legend
from gpufleet.report.marks import Mark
from gpufleet.report.series import closed
from gpufleet.report.tables import Kind, Table, table
from gpufleet.report.words import percent

if TYPE_CHECKING:
    from gpufleet.report.view import View

LEVELS: Final[tuple[str, ...]] = ("node", "domain", "block")
PARTS: Final = {
    "block": (say("in idle blocks"), "grey-1", "plain"),
    "domain": (say("in idle domains"), "grey-1", "slash"),
    "node": (say("on idle nodes"), "grey-3", "dots"),
    "free": (say("on nodes in use"), "accent", "plain"),
}
"""Where free GPUs are, from whole blocks to pieces of nodes: name, colour, hatch."""


def over_time(view: View) -> Figure | None:
    """Free GPUs over time, by how much of an idle part of the fleet they are in."""
    shares = measured.by(view.run, "fragmentation", "level")
    if not shares:
        return None
    levels = [level for level in reversed(LEVELS) if level in shares]
    frame = _frame(view, levels)
    marks = [_mark(part) for part in (*levels, "free")]
    return Figure(
        id="fragmentation",
        title=_says(levels[0], shares[levels[0]]),
        subtitle=say(
            "free {gpus} in service, by what of the fleet is idle around them: looked at once per bin of the "
            "timeline, mean {per_bin}",
            gpus=view.gpus_word,
            per_bin=view.bin_word,
        ),
        spec=charts.steps(_rows(view, frame, levels), marks, unit=say("GPUs"), end_ms=view.end_ms),
        legend=tuple(Legend(mark.name, "area", mark) for mark in marks[::-1]),
        table=_table(view, frame, levels),
        measures=("fragmentation",),
    )


def _mark(part: str) -> Mark:
    name, colour, hatch = PARTS[part]
    return Mark(str(tell(name)), colour, hatch)


def _says(level: str, share: float) -> Said:
    """What share of the free GPUs a job of the size of the widest level could not use."""
    shown = percent(share)
    if level == "node":
        return say("{share} of the free GPUs are on nodes in part use: jobs of whole nodes cannot use them",
                   share=shown)  # fmt: skip
    if level == "domain":
        return say("{share} of the free GPUs are in no idle domain: jobs of whole domains cannot use them",
                   share=shown)  # fmt: skip
    return say("{share} of the free GPUs are in no idle block: jobs of whole blocks cannot use them",
               share=shown)  # fmt: skip


def _frame(view: View, levels: Sequence[str]) -> pl.DataFrame:
    """Per bin of the chart: t_s, free, and each level's whole parts and largest job; means of samples."""
    width = pl.lit(view.bins.width_s)
    rows = view.run.fragmentation.with_columns(at=pl.col("t_s") // width * width)
    # a product without a level has its free GPUs in whole parts of the next narrower one
    each = [rows.filter(pl.col("level") == "node").select("t_s", "at", "product", free="free_gpus")]
    before = None
    for level in reversed(levels):
        mine = rows.filter(pl.col("level") == level).select(
            "t_s", "product", pl.col("whole_gpus").alias(level), pl.col("largest_gpus").alias(f"most_{level}")
        )
        joined = each[-1].join(mine, on=["t_s", "product"], how="left")
        if before is not None:
            joined = joined.with_columns(
                pl.col(level).fill_null(pl.col(before)), pl.col(f"most_{level}").fill_null(0)
            )
        each.append(joined)
        before = level
    sums = (
        each[-1]
        .group_by("at", "t_s")
        .agg(pl.col("free", *levels).sum(), pl.col(*(f"most_{level}" for level in levels)).max())
    )
    return sums.drop("t_s").group_by("at").mean().rename({"at": "t_s"}).sort("t_s")


def _rows(view: View, frame: pl.DataFrame, levels: Sequence[str]) -> pl.DataFrame:
    """Rows of a stacked chart: what is in idle parts of a level and in none of the wider ones."""
    parts, inside = [], pl.lit(0.0)
    for rank, part in enumerate((*levels, "free")):
        value = pl.col(part) - inside
        inside = pl.col(part)
        name = pl.lit(_mark(part).name)
        parts.append(frame.select("t_s", name=name, value=value, rank=pl.lit(rank, pl.Int64)))
    return closed(view, pl.concat(parts).sort("t_s", "rank"))


def _table(view: View, frame: pl.DataFrame, levels: Sequence[str]) -> Table:
    columns: list[tuple[str, Kind]] = [(say("from"), "time"), (say("free GPUs"), "number")]
    for level in reversed(levels):
        columns.append((tell(_IDLE[level]), "number"))
        columns.append((tell(_LARGEST[level]), "number"))
    names = [column for level in reversed(levels) for column in (level, f"most_{level}")]
    rows = [(view.local(t), *values) for t, *values in frame.select("t_s", "free", *names).iter_rows()]
    return table(
        say("Free GPUs and how they lie together, mean {per_bin}", per_bin=view.bin_word), columns, rows
    )


_IDLE: Final = {
    "node": say("on idle nodes, GPUs"),
    "domain": say("in idle domains, GPUs"),
    "block": say("in idle blocks, GPUs"),
}
_LARGEST: Final = {
    "node": say("most on one node, GPUs"),
    "domain": say("largest job in one domain, GPUs"),
    "block": say("largest job in one block, GPUs"),
}
