"""Who shared what: own quota, use, what was borrowed and lent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.report import frames, measured
from gpufleet.report.charts import Spec, number_labels
from gpufleet.report.figures import INK, MAX_ROWS, Figure, Legend, Panel
from gpufleet.report.layers import layered, span
from gpufleet.report.marks import Mark
from gpufleet.report.series import timed
from gpufleet.report.tables import Kind, Table, table
from gpufleet.report.words import short

if TYPE_CHECKING:
    from gpufleet.report.frames import Bins
    from gpufleet.report.view import View

PANEL_BINS: Final = 48
HEIGHT_PX: Final = 150
COLUMNS: Final = ("own", "borrowed", "lent")
OWN, BORROWED, LENT = (Mark("", colour, hatch) for colour, hatch in (
    ("grey-1", "plain"), ("grey-1", "slash"), ("grey-3", "dots"),
))  # fmt: skip


def shares(view: View) -> bool:
    """Whether queues share in this run."""
    return measured.total(view.run, "borrowed_gpu_h") is not None


def by_tenant(view: View) -> list[tuple[str, float, float, float, float, float, float, float]]:
    """Own quota, used, borrowed, lent (GPU-hours), GPUs got back, work lost, waited for; by tenant."""
    names = (
        "own_quota_gpu_h", "busy_gpu_h", "borrowed_gpu_h", "lent_gpu_h", "taken_gpus", "lost_gpu_h",
        "waiting_gpu_h",
    )  # fmt: skip
    columns = [measured.by(view.run, name, "tenant") for name in names]
    tenants = [*view.tenants, *(name for name in columns[0] if name not in view.tenants)]
    return [(name, *(column.get(name, 0.0) for column in columns)) for name in tenants]  # type: ignore[misc]


def shared_table(view: View) -> Table:
    """One row per tenant."""
    columns: list[tuple[str, Kind]] = [
        (say("tenant"), "name"), (say("own quota, GPU-hours"), "number"), (say("used, GPU-hours"), "number"),
        (say("borrowed, GPU-hours"), "number"), (say("lent, GPU-hours"), "number"),
        (say("got by preemption, GPUs"), "whole"), (say("work lost, GPU-hours"), "number"),
        (say("waited for, GPU-hours"), "number"),
    ]  # fmt: skip
    return table(say("Who shared what, by tenant"), columns, by_tenant(view))


def says(view: View) -> Said:
    """Who borrowed most, and who lent most."""
    borrowed, lent = (measured.by(view.run, name, "tenant") for name in ("borrowed_gpu_h", "lent_gpu_h"))
    if not any(borrowed.values()):
        return say("Nobody borrowed: every queue kept to its own quota")
    most, lender = max(borrowed, key=lambda t: borrowed[t]), max(lent, key=lambda t: lent[t])
    if not lent[lender]:
        return say(
            "{tenant} used most beyond its own: {hours:short} GPU-hours", tenant=most, hours=borrowed[most]
        )
    return say(
        "{tenant} borrowed most, {hours:short} GPU-hours; {lender} lent most, {lent:short}",
        tenant=most,
        hours=borrowed[most],
        lender=lender,
        lent=lent[lender],
    )


def over_time(view: View) -> Figure | None:
    """Use of each queue against its own quota over time, with what it borrowed and lent."""
    if not shares(view):
        return None
    grid = frames.bins(view.run, PANEL_BINS)
    rows = _frame(view, grid)
    queues, others = _worth_showing(rows)
    by_queue = {queue: rows.filter(pl.col("name") == queue).sort("t_s") for queue in queues}
    return Figure(
        id="shared",
        title=says(view),
        subtitle=say(
            "{gpus} of each queue: what it used of its own quota, what it borrowed, what it lent to others, "
            "mean per {time}; the line is its own quota; each chart with its own scale",
            gpus=view.gpus_word,
            time=format_duration(grid.width_s),
        ),
        panels=tuple(Panel(queue, _spec(view, grid, by_queue[queue])) for queue in queues[:MAX_ROWS]),
        legend=_legend(),
        table=_queue_table(view, by_queue),
        note=say(
            "{n:,} queue that neither borrowed nor lent is not shown.",
            "{n:,} queues that neither borrowed nor lent are not shown.",
            n=others,
        ) if others else "",
        measures=("own_quota_gpu_h", "borrowed_gpu_h", "lent_gpu_h"),
    )  # fmt: skip


def _worth_showing(rows: pl.DataFrame) -> tuple[list[str], int]:
    """Queues that borrowed or lent, the largest user first (else all), and how many are left out."""
    sums = rows.group_by("name").agg(pl.col("own", "borrowed", "lent", "quota").sum())
    shared = sums.filter(pl.col("borrowed") + pl.col("lent") > 0)
    shown = shared if shared.height else sums
    used = pl.col("own") + pl.col("borrowed")
    ordered = shown.sort(used, "quota", "name", descending=[True, True, False])
    return list(ordered["name"]), sums.height - shown.height


def _legend() -> tuple[Legend, ...]:
    return (
        Legend(say("used of its own"), "area", OWN),
        Legend(say("borrowed"), "area", BORROWED),
        Legend(say("lent to others"), "area", LENT),
        Legend(say("own quota"), "line", INK),
    )


def _queue_table(view: View, by_queue: dict[str, pl.DataFrame]) -> Table:
    """The numbers of all queues that are worth showing, bin by bin."""
    columns: list[tuple[str, Kind]] = [
        (say("queue"), "name"), (say("from"), "time"), (say("own quota, GPUs"), "number"),
        (say("of its own used, GPUs"), "number"), (say("borrowed, GPUs"), "number"),
        (say("lent, GPUs"), "number"),
    ]  # fmt: skip
    rows = [
        (queue, view.local(t), *values)
        for queue, frame in by_queue.items()
        for t, *values in frame.select("t_s", "quota", *COLUMNS).iter_rows()
    ]
    return table(say("Own quota, used, borrowed and lent, by queue"), columns, rows)


def _frame(view: View, grid: Bins) -> pl.DataFrame:
    """Mean GPUs per queue and bin: name, t_s, quota (null = no limit), own, borrowed, lent."""
    queues = view.run.quotas.filter(pl.col("kind") == "queue")
    width = pl.lit(grid.width_s)
    quota = (
        pl.when(pl.col("nominal_gpu_h").is_null().all()).then(None).otherwise(pl.col("nominal_gpu_h").sum())
    )
    binned = (
        queues.with_columns(t_s=pl.col("t_s") // width * width)
        .group_by("name", "t_s")
        .agg(quota=quota, used=pl.col("used_gpu_h").sum(), borrowed=pl.col("borrowed_gpu_h").sum(),
             lent=pl.col("lent_gpu_h").sum())
        .with_columns(own=pl.col("used") - pl.col("borrowed"))
    )  # fmt: skip
    names = queues.select(pl.col("name").unique(maintain_order=True))
    every = names.join(grid.hours(), how="cross").join(binned, on=["name", "t_s"], how="left")
    values = ("quota", *COLUMNS)
    gpus = every.with_columns((pl.col(value) / pl.col("hours")).round(3) for value in values)
    return gpus.with_columns(pl.col(COLUMNS).fill_null(0.0)).select("name", "t_s", *values)


def _spec(view: View, grid: Bins, frame: pl.DataFrame) -> Spec:
    """One queue: used of its own, borrowed above it, lent above that, and the line of its own quota."""
    closed = pl.concat([frame, frame.tail(1).with_columns(t_s=pl.lit(grid.end_s, pl.Int64))])
    data = {"values": timed(view, closed).drop("t_s", "name").to_dicts()}
    ends = [row["time"] for row in data["values"]]
    x = span((min(ends), max(ends)), most=4)
    axis = {"tickCount": 4, "labelExpr": number_labels()}
    y = {"field": "own", "type": "quantitative", "title": None, "axis": axis, "stack": None}
    titles = (
        ("quota", say("own quota")), ("own", say("used of its own")), ("borrowed", say("borrowed")),
        ("lent", say("lent to others")),
    )  # fmt: skip
    tooltip = [{"field": "label", "type": "nominal", "title": say("from")}]
    tooltip += [
        {"field": field, "type": "quantitative", "title": title, "format": ",.4~r"} for field, title in titles
    ]
    sums = [
        {"calculate": "datum.own + datum.borrowed", "as": "used"},
        {"calculate": "datum.own + datum.borrowed + datum.lent", "as": "all"},
    ]
    area = {"type": "area", "interpolate": "step-after"}
    line = {"type": "line", "interpolate": "step-after", "stroke": "var(--fg)", "strokeWidth": 2}

    def band(mark: Mark, top: str, base: str) -> Spec:
        encoding = {"x": x, "y": {**y, "field": top}, "y2": {"field": base}, "tooltip": tooltip}
        return {"transform": sums, "mark": {**area, "fill": mark.fill}, "encoding": encoding}

    layers = [
        {"mark": {**area, "fill": OWN.fill}, "encoding": {"x": x, "y": y, "tooltip": tooltip}},
        band(BORROWED, "used", "own"),
        band(LENT, "all", "used"),
        {"mark": line, "encoding": {"x": x, "y": {**y, "field": "quota"}}},
    ]
    return layered(layers, HEIGHT_PX) | {"data": data}


def summary_rows(view: View) -> list[tuple[str, ...]]:
    """The table of a terminal: head and one row per tenant."""
    head = (
        say("shared, GPU-hours"), say("own quota"), say("used"), say("borrowed"), say("lent"), say("lost"),
    )  # fmt: skip
    rows = [
        (name, *(str(short(value)) for value in (own, used, borrowed, lent, lost)))
        for name, own, used, borrowed, lent, _, lost, _ in by_tenant(view)
    ]
    return [tuple(str(cell) for cell in head), *rows]
