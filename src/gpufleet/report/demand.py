"""Demand against supply: GPUs that running and waiting jobs want, against GPUs online."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.report import frames
from gpufleet.report.charts import Spec, number_labels
from gpufleet.report.figures import INK, MAX_ROWS, Figure, Legend, Panel
from gpufleet.report.layers import layered, span
from gpufleet.report.marks import Mark
from gpufleet.report.series import timed
from gpufleet.report.tables import Kind, table

if TYPE_CHECKING:
    from gpufleet.report.frames import Bins
    from gpufleet.report.view import View

PANEL_BINS: Final = 80
HEIGHT_PX: Final = 180
HELD: Final = Mark("held", "grey-2", "plain")
WANTED: Final = Mark("wanted", "accent", "slash")


def demand(view: View) -> Figure | None:
    """GPUs held and waited for over time, against GPUs online; by tenant where there are several."""
    if not view.tenants:
        return None
    grid = frames.bins(view.run, PANEL_BINS)
    tenants = view.tenants[:MAX_ROWS] if len(view.tenants) > 1 else []
    whole = _frame(view, grid, None)
    each = {tenant: _frame(view, grid, tenant) for tenant in tenants}
    panels = [Panel(say("all tenants"), _spec(view, grid, whole))]
    panels += [Panel(tenant, _spec(view, grid, frame)) for tenant, frame in each.items()]
    return Figure(
        id="demand",
        title=_says(whole),
        subtitle=say(
            "{gpus} held by running jobs, wanted by waiting jobs, and online, mean per {time}; each chart "
            "with its own scale; GPUs that all share are in the line of every tenant",
            gpus=view.gpus_word,
            time=format_duration(grid.width_s),
        ),
        panels=tuple(panels),
        legend=(
            Legend(say("held by running jobs"), "area", HELD),
            Legend(say("wanted by waiting jobs"), "area", WANTED),
            Legend(say("GPUs online"), "line", INK),
        ),
        table=table(
            say("GPUs held, wanted and online"),
            _columns(),
            [
                (who, view.local(t), *counts)
                for who, frame in [(say("all tenants"), whole), *each.items()]
                for t, *counts in frame.select("t_s", "held", "wanted", "online").iter_rows()
            ],
        ),
        measures=("busy_gpu_h", "online_gpu_h", "waiting_gpu_h"),
    )


def _columns() -> Sequence[tuple[str, Kind]]:
    return [
        (say("tenant"), "name"), (say("from"), "time"), (say("held, GPUs"), "number"),
        (say("wanted, GPUs"), "number"), (say("online, GPUs"), "number"),
    ]  # fmt: skip


def _frame(view: View, grid: Bins, tenant: str | None) -> pl.DataFrame:
    """Mean GPUs per bin: t_s, held, wanted, online; of one tenant, or of all."""
    bins = pl.DataFrame({"t_s": grid.starts_s}, schema={"t_s": pl.Int64})
    for column, kind in (("held", "busy"), ("wanted", "waiting"), ("online", "online")):
        rows = frames.kind(view.run, kind)
        if tenant is not None:
            mine = pl.col("tenant") == tenant
            rows = rows.filter(mine | pl.col("tenant").is_null() if kind == "online" else mine)
        found = frames.binned(rows, grid).select("t_s", pl.col("gpus").round(3).alias(column))
        bins = bins.join(found, on="t_s", how="left")
    return bins.with_columns(pl.col("held", "wanted", "online").fill_null(0.0)).sort("t_s")


def _spec(view: View, grid: Bins, frame: pl.DataFrame) -> Spec:
    """One chart: held below wanted, and the line of what is online."""
    closed = pl.concat([frame, frame.tail(1).with_columns(t_s=pl.lit(grid.end_s, pl.Int64))])
    data = {"values": timed(view, closed).drop("t_s").to_dicts()}
    ends = [row["time"] for row in data["values"]]
    x = span((min(ends), max(ends)), most=4)
    axis = {"tickCount": 4, "labelExpr": number_labels()}
    y = {"field": "held", "type": "quantitative", "title": None, "axis": axis, "stack": None}
    top = {"calculate": "datum.held + datum.wanted", "as": "both"}
    tooltip = [
        {"field": "label", "type": "nominal", "title": say("from")},
        {"field": "held", "type": "quantitative", "title": say("held"), "format": ",.4~r"},
        {"field": "wanted", "type": "quantitative", "title": say("wanted"), "format": ",.4~r"},
        {"field": "online", "type": "quantitative", "title": say("online"), "format": ",.4~r"},
    ]
    area = {"type": "area", "interpolate": "step-after"}
    line = {"type": "line", "interpolate": "step-after", "stroke": "var(--fg)", "strokeWidth": 2}
    wanted = {"x": x, "y": {**y, "field": "both"}, "y2": {"field": "held"}, "tooltip": tooltip}
    layers = [
        {"mark": {**area, "fill": HELD.fill}, "encoding": {"x": x, "y": y, "tooltip": tooltip}},
        {"transform": [top], "mark": {**area, "fill": WANTED.fill}, "encoding": wanted},
        {"mark": line, "encoding": {"x": x, "y": {**y, "field": "online"}}},
    ]
    return layered(layers, HEIGHT_PX) | {"data": data}


def _says(frame: pl.DataFrame) -> Said:
    """In how much of the time more is wanted than online."""
    over = frame.filter(pl.col("held") + pl.col("wanted") > pl.col("online")).height
    bins = frame.height
    if not any(frame["held"]) and not any(frame["wanted"]):
        return say("No job wanted a GPU")
    if not over:
        return say("Jobs never want more GPUs than are online")
    want = (frame["held"] + frame["wanted"]).to_list()
    most = max(range(bins), key=lambda i: want[i])
    return say(
        "Jobs want more GPUs than are online in {share:.0f} % of the time, at most {want:short} against "
        "{online:short}",
        share=100 * over / bins,
        want=want[most],
        online=float(frame["online"][most]),
    )
