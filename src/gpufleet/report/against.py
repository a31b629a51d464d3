"""Another run beside this one: what differs in their plans, and what that changes in supply and waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.report import charts, frames, measured
from gpufleet.report.answers import answered
from gpufleet.report.figures import Figure, Legend
from gpufleet.report.layers import layered, span
from gpufleet.report.marks import Mark
from gpufleet.report.sources import Entry, entry_id
from gpufleet.report.stair_charts import held
from gpufleet.report.stairs import Stairs, month_day
from gpufleet.report.tables import Kind, Link, Table, table
from gpufleet.report.view import View
from gpufleet.results import compared, measure_words
from gpufleet.results.compare import STAIRS, Change, Clock, clock_of, differences
from gpufleet.results.measures import MEASURES

if TYPE_CHECKING:
    from gpufleet.results.run import Run

MOST_CHANGES: Final = 400
HEADLINES: Final = ("contracted_gpus", "utilisation", "wait_p50_s", "wait_p90_s", "waiting_gpu_h", "jobs",
                    "refused_jobs", "unpowered_gpu_h")  # fmt: skip
"""Measures for the whole run whose before and after lead the section."""
BEFORE, AFTER = Mark("", "grey-2", "plain"), Mark("", "fg", "plain")


@dataclass(frozen=True)
class Against:
    """The section about another run: before is the other, after is this one."""

    note: str  # that the two are of different plans, "" if they are of one
    title: str
    subtitle: str
    answers: tuple[tuple[str, str], ...]  # before and after, in a sentence each
    headlines: Table
    figures: tuple[Figure, ...]
    plan: Table | None
    measures: Table | None

    @property
    def tables(self) -> tuple[tuple[str, Table], ...]:
        """The lists of changes, by id."""
        named = (("plan-changes", self.plan), ("measure-changes", self.measures))
        return tuple((id_, table) for id_, table in named if table is not None)


def against(run: Run, other: Run, ledger: Sequence[Entry]) -> Against:
    """Args: run: after; other: before; ledger: of this run, for links."""
    plan, measures = differences(other, run)
    figures = (_online(run, other), _waiting(run, other))
    return Against(
        note=compared.two_plans(other.plan["name"], run.plan["name"]) or "",
        title=_says(run, other, plan),
        subtitle=say(
            "before: {before} ({path}); after: this run", before=_called(other), path=other.path.name
        ),
        answers=((say("before"), _first(other)), (say("after"), _first(run))),
        headlines=_headlines(run, other, {entry.id for entry in ledger}),
        figures=tuple(figure for figure in figures if figure is not None),
        plan=_plan_changes(plan, (clock_of(other), clock_of(run))) if plan else None,
        measures=_measure_changes(measures) if measures else None,
    )


def _called(run: Run) -> str:
    return str(run.plan.get("title") or run.plan["name"])


def _first(run: Run) -> str:
    return answered(run.answer, set()).first


def _says(run: Run, other: Run, plan: Sequence[Change]) -> Said:
    """What the change comes to: GPUs online, else waiting."""
    ends = [_end_online(one) for one in (other, run)]
    if None not in ends and ends[0] != ends[1]:
        return say(
            "{n:,} value of the plan differs: {before:,} → {after:,} GPUs online at the end",
            "{n:,} values of the plan differ: {before:,} → {after:,} GPUs online at the end",
            n=len(plan), before=ends[0], after=ends[1],
        )  # fmt: skip
    waits = [measured.total(one, "waiting_gpu_h") or 0.0 for one in (other, run)]
    return say(
        "{n:,} value of the plan differs: {before:short} → {after:short} GPU-hours waited for",
        "{n:,} values of the plan differ: {before:short} → {after:short} GPU-hours waited for",
        n=len(plan), before=waits[0], after=waits[1],
    )  # fmt: skip


def _end_online(run: Run) -> int | None:
    found = measured.values(run, "supply_gpus", "step").get(("online",))
    return None if found is None else round(found)


def _headlines(run: Run, other: Run, ids: set[str]) -> Table:
    """Before and after of the measures that lead the page, and of the steps of supply."""
    rows = []
    for name in HEADLINES:
        before, after = (measured.total(one, name) for one in (other, run))
        if before is not None or after is not None:
            rows.append(_row(name, {}, before, after, ids))
    for step in STAIRS:
        before, after = (measured.values(one, "supply_gpus", "step").get((step,)) for one in (other, run))
        if before is not None and after is not None:
            rows.append(_row("supply_gpus", {"step": step}, before, after, ids))
    columns: list[tuple[str, Kind]] = [
        (say("measure"), "name"), (say("before"), "figure"), (say("after"), "figure"),
        (say("change"), "figure"),
    ]  # fmt: skip
    return table(say("Before and after"), columns, rows)


def _row(
    name: str, by: Mapping[str, str], before: float | None, after: float | None, ids: set[str]
) -> tuple[Any, ...]:
    """A measure before and after; after opens what stands behind it."""
    unit, to = MEASURES[name].unit, entry_id(name)
    first, then = measure_words.values(name, unit, before, after)
    change = measure_words.change(name, unit, before, after) or None
    return measure_words.title(name, by), first, Link(then, to) if to in ids else then, change


def _plan_changes(changes: Sequence[Change], clocks: tuple[Clock, Clock]) -> Table:
    """Values of the plan before and after, as the plan writes them."""
    rows = [
        (
            compared.plan_path(one.what),
            *(
                "–" if value is None else compared.plan_value(one.what, value, clock)
                for value, clock in zip((one.before, one.after), clocks, strict=True)
            ),
        )
        for one in changes[:MOST_CHANGES]
    ]
    columns: list[tuple[str, Kind]] = [(say("what"), "name"), (say("before"), "name"), (say("after"), "name")]
    return _listed(say("What differs in the plan"), columns, rows, len(changes))


def _measure_changes(changes: Sequence[Change]) -> Table:
    """Measures before and after: those that lead come first."""
    ordered = [one for part in compared.split(changes) for one in part]
    rows = []
    for one in ordered[:MOST_CHANGES]:
        first, then = measure_words.values(one.name, one.unit, one.before, one.after)
        change = measure_words.change(one.name, one.unit, one.before, one.after) or None
        rows.append((measure_words.title(one.name, dict(one.by)), first, then, change))
    columns: list[tuple[str, Kind]] = [
        (say("measure"), "name"), (say("before"), "figure"), (say("after"), "figure"),
        (say("change"), "figure"),
    ]  # fmt: skip
    return _listed(say("What differs in the measures"), columns, rows, len(changes))


def _listed(
    caption: str, columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[Any]], all_rows: int
) -> Table:
    """A list of changes with a box to filter it; what is left out is counted."""
    rest = all_rows - len(rows)
    if rest > 0:
        more = (say("and {n:,} more", n=rest), *[""] * (len(columns) - 1))
        rows = [*rows, more]
    made = table(caption, columns, rows)
    return Table(made.caption, made.columns, made.rows, filtered=len(rows) > 12)


# --- both in one chart


def _online(run: Run, other: Run) -> Figure | None:
    """GPUs online of both at the end of each month."""
    pairs = [(say("before"), _months(other)), (say("after"), _months(run))]
    if not all(levels for _, levels in pairs):
        return None
    rows = [
        {
            "time": at_ms,
            "which": str(which),
            "value": gpus,
            "label": str(say("end of {month:%Y-%m}", month=month_day(month))),
        }
        for which, levels in pairs
        for at_ms, (month, gpus) in held(levels)
    ]
    before, after = dict(pairs[0][1]), dict(pairs[1][1])
    months = sorted({*before, *after})
    apart = {month: before.get(month, 0) - after.get(month, 0) for month in months}
    most = max(months, key=lambda month: abs(apart[month]))
    columns: list[tuple[str, Kind]] = [
        (say("at the end of"), "month"), (say("before, GPUs"), "whole"), (say("after, GPUs"), "whole"),
    ]  # fmt: skip
    return Figure(
        id="against-online",
        title=_says_apart(apart[most], most),
        subtitle=say(
            "GPUs online of all lots at the end of each month, in both runs; drawn from the month's first day"
        ),
        spec=_two(rows, say("GPUs")),
        legend=_legend(),
        table=table(
            say("GPUs online in both runs"),
            columns,
            [(month, before.get(month), after.get(month)) for month in months],
        ),
        measures=("supply_gpus",),
    )


def _says_apart(fewer: int, month: str) -> Said:
    return compared.apart(-fewer, month) if fewer else say("The same GPUs are online in every month")


def _months(run: Run) -> list[tuple[str, int]]:
    stairs = Stairs(run)
    online = stairs.lots.filter(pl.col("step") == "online").group_by("month").agg(pl.col("gpus").sum())
    return online.sort("month").rows()


def _waiting(run: Run, other: Run) -> Figure | None:
    """GPUs that waiting jobs want, of both."""
    pairs = [(say("before"), View(other)), (say("after"), View(run))]
    rows, cells = [], []
    for which, view in pairs:
        grid = frames.bins(view.run)
        mean = frames.binned(frames.kind(view.run, "waiting"), grid)
        gpus = dict(mean.select("t_s", "gpus").iter_rows())
        for t in grid.starts_s:
            value = round(gpus.get(t, 0.0), 3)
            stamp = str(view.stamp(t))
            rows.append({"time": view.chart_ms(t), "which": str(which), "value": value, "label": stamp})
            cells.append((which, view.local(t), value))
    if not any(row["value"] for row in rows):
        return None
    hours = [measured.total(view.run, "waiting_gpu_h") or 0.0 for _, view in pairs]
    columns: list[tuple[str, Kind]] = [
        (say("run"), "text"), (say("from"), "time"), (say("wanted by waiting jobs, GPUs"), "number"),
    ]  # fmt: skip
    return Figure(
        id="against-waiting",
        title=say("{before:short} → {after:short} GPU-hours waited for", before=hours[0], after=hours[1]),
        subtitle=say(
            "GPUs that waiting jobs want, mean {per_bin}, in both runs", per_bin=pairs[1][1].bin_word
        ),
        spec=_two(rows, say("GPUs")),
        legend=_legend(),
        table=table(say("GPUs wanted by waiting jobs in both runs"), columns, cells),
        measures=("waiting_gpu_h",),
    )


def _legend() -> tuple[Legend, ...]:
    return (Legend(say("before"), "broad", BEFORE), Legend(say("after"), "dashed", AFTER))


def _two(rows: Sequence[dict[str, Any]], unit: str) -> charts.Spec:
    """Two step lines: before grey and broad, after dark and dashed on top."""
    ends = [row["time"] for row in rows]
    x = span((min(ends), max(ends)))
    y = {"field": "value", "type": "quantitative", "title": unit,
         "axis": {"tickCount": 4, "labelExpr": charts.number_labels()}}  # fmt: skip
    tooltip = [
        {"field": "label", "type": "nominal", "title": say("at")},
        {"field": "which", "type": "nominal", "title": " "},
        {"field": "value", "type": "quantitative", "title": unit, "format": ",.4~r"},
    ]
    looks: list[tuple[str, charts.Spec]] = [
        (str(say("before")), {"stroke": "var(--grey-2)", "strokeWidth": 5}),
        (str(say("after")), {"stroke": "var(--fg)", "strokeWidth": 2, "strokeDash": [6, 3]}),
    ]
    layers = [
        {
            "data": {"values": [row for row in rows if row["which"] == which]},
            "mark": {"type": "line", "interpolate": "step-after", **look},
            "encoding": {"x": x, "y": y, "tooltip": tooltip},
        }
        for which, look in looks
    ]
    return layered(layers, 240)
