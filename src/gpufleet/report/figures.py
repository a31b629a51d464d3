"""The figures of the page: each has a finding as its title, a chart, and the table behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_count, format_duration
from gpufleet.report import charts, findings, frames, measured, waits
from gpufleet.report.marks import MAX_COLOURS, Mark, cause_mark
from gpufleet.report.series import closed, stacked, timed, wide
from gpufleet.report.tables import Kind, Table, table
from gpufleet.report.words import STATES, percent, root_name, short
from gpufleet.results.columns import MEANINGS

if TYPE_CHECKING:
    from gpufleet.report.view import View

MAX_ROWS = 24
"""Rows of a bar or dot chart; the table behind it has all."""
STRIP_BINS = 100
"""Bins of a strip per tenant."""


@dataclass(frozen=True)
class Legend:
    """One entry: what it is called, how it is drawn, and what it means if that needs saying."""

    name: str
    shape: str  # area, line, broad, dashed, circle, diamond, triangle
    mark: Mark
    meaning: str = ""


@dataclass(frozen=True)
class Panel:
    """One of several small charts with one look."""

    title: str
    spec: charts.Spec


@dataclass(frozen=True)
class Figure:
    """A finding with what shows it."""

    id: str
    title: str
    subtitle: str
    table: Table
    spec: charts.Spec | None = None
    panels: tuple[Panel, ...] = ()  # instead of one chart
    legend: tuple[Legend, ...] = ()
    note: str = ""
    marks: tuple[Mark, ...] = ()  # marks of the chart that the legend does not show
    measures: tuple[str, ...] = ()  # measures that the numbers are, or are bins of
    until: str = ""  # how far the jobs that it shows are simulated, where that is not the plan's end

    @property
    def specs(self) -> dict[str, charts.Spec]:
        """The charts by the id of their place in the page."""
        one = {self.id: self.spec} if self.spec else {}
        return one | {f"{self.id}-{i + 1}": panel.spec for i, panel in enumerate(self.panels)}


INK = Mark("", "fg", "plain")
JOBS = Mark("jobs", "grey-1", "plain")


def in_use(view: View) -> Figure:
    """GPUs in use by tenant over time, against GPUs online."""
    marks = view.stacked
    used = stacked(view, view.in_use, "tenant", marks)
    online = closed(view, view.online.select("t_s", value="gpus"))
    spec = None
    if not online.is_empty():
        spec = charts.steps(used, marks, unit=say("GPUs"), ceiling=online, end_ms=view.end_ms)
    return Figure(
        id="in-use",
        title=findings.in_use(view),
        subtitle=say(
            "{gpus} in use by tenant, and online, mean {per_bin}", gpus=view.gpus_word, per_bin=view.bin_word
        ),
        spec=spec,
        legend=(*(Legend(m.name, "area", m) for m in marks[::-1]), Legend(say("GPUs online"), "line", INK)),
        table=_in_use_table(view),
        measures=("busy_gpu_h", "online_gpu_h"),
    )


def _in_use_table(view: View) -> Table:
    online = dict(view.online.select("t_s", "gpus").iter_rows())
    used = wide(view, view.in_use, "tenant", view.tenants, "gpus")
    each: list[tuple[str, Kind]] = [
        (say("{tenant}, GPUs", tenant=tenant), "number") for tenant in view.tenants
    ]
    return table(
        say("GPUs online and in use by tenant, mean {per_bin}", per_bin=view.bin_word),
        [(say("from"), "time"), (say("GPUs online"), "number"), *each],
        [(view.local(t), online.get(t, 0.0), *values) for t, *values in used],
    )


def in_use_each(view: View) -> Figure | None:
    """Each tenant by itself, where there are more tenants than colours."""
    if len(view.tenants) <= MAX_COLOURS:
        return None
    grid = frames.bins(view.run, STRIP_BINS)
    used = timed(
        view, frames.in_use(view.run, grid, view.tenants).rename({"tenant": "name", "gpus": "value"})
    )
    until = {t: view.chart_ms(min(t + grid.width_s, grid.end_s)) for t in grid.starts_s}
    rows = used.with_columns(
        until=pl.col("t_s").replace_strict(until, return_dtype=pl.Int64), value=pl.col("value").round(3)
    )
    shown = view.tenants[:MAX_ROWS]
    hours = measured.by(view.run, "busy_gpu_h", "tenant")
    return Figure(
        id="in-use-each",
        title=findings.concentration(hours),
        subtitle=_cut(
            say(
                "{gpus} in use by each tenant, the stronger the more: mean per {time}",
                gpus=view.gpus_word,
                time=format_duration(grid.width_s),
            ),
            len(view.tenants),
        ),
        spec=charts.strips(
            rows.filter(pl.col("name").is_in(shown)).drop("t_s", "gpu_h"), shown, unit=say("GPUs")
        ),
        table=table(
            say("GPU-hours in use by tenant"),
            [(say("tenant"), "name"), (say("GPU-hours in use"), "number"), (say("share"), "share")],
            [(t, hours.get(t, 0.0), hours.get(t, 0.0) / (sum(hours.values()) or 1.0)) for t in view.tenants],
        ),
        measures=("busy_gpu_h",),
    )


def waiting(view: View) -> Figure:
    """Waiting GPU-hours by root cause over time."""
    causes = _causes(view)
    marks = [cause_mark(cause) for cause in causes]
    named = view.waiting.with_columns(cause=pl.col("cause").map_elements(root_name, return_dtype=pl.String))
    spec = None
    if causes:
        rows = stacked(view, named, "cause", marks, "gpu_h")
        spec = charts.steps(rows, marks, unit=say("GPU-hours"), end_ms=view.end_ms)
    return Figure(
        id="waiting",
        title=findings.waiting(view.causes),
        subtitle=say(
            "waiting GPU-hours by root cause, {per_bin}: GPUs asked for × hours waited", per_bin=view.bin_word
        ),
        spec=spec,
        legend=_cause_legend(causes)[::-1],
        table=table(
            say("Waiting GPU-hours by root cause, {per_bin}", per_bin=view.bin_word),
            [(say("from"), "time"), *_cause_columns(causes)],
            [(view.local(t), *row) for t, *row in wide(view, view.waiting, "cause", causes, "gpu_h")],
        ),
        measures=("waiting_gpu_h",),
    )


def _causes(view: View) -> list[str]:
    """Causes that occur, in the fixed order of stacks and legends."""
    return list(dict.fromkeys(view.waiting.get_column("cause").to_list()))


def _cause_legend(causes: Sequence[str]) -> tuple[Legend, ...]:
    return tuple(Legend(root_name(c), "area", cause_mark(c), tell(MEANINGS.get(c, ""))) for c in causes)


def _cause_columns(causes: Sequence[str]) -> list[tuple[str, Kind]]:
    return [(say("{cause}, GPU-hours", cause=root_name(cause)), "number") for cause in causes]


def waiting_by_tenant(view: View) -> Figure:
    """Waiting GPU-hours by tenant and root cause."""
    causes, hours = _causes(view), view.waiting_by_tenant
    total = {t: sum(hours.get((t, c), 0.0) for c in causes) for t in view.tenants}
    order = sorted(view.tenants, key=lambda t: -total[t])
    segments = [
        {"row": t, "name": root_name(c), "value": hours.get((t, c), 0.0), "rank": i, "total": total[t]}
        for t in order[:MAX_ROWS]
        for i, c in enumerate(causes)
    ]
    marks = [cause_mark(cause) for cause in causes]
    return Figure(
        id="waiting-by-tenant",
        title=findings.waiting_by_tenant(hours),
        subtitle=_cut(say("waiting GPU-hours by tenant and root cause, whole run"), len(order)),
        spec=charts.bars(with_sums(segments), marks, unit=say("GPU-hours")) if causes else None,
        legend=_cause_legend(causes),
        table=table(
            say("Waiting GPU-hours by tenant and root cause"),
            [(say("tenant"), "name"), (say("all, GPU-hours"), "number"), *_cause_columns(causes)],
            [(t, total[t], *(hours.get((t, c), 0.0) for c in causes)) for t in order],
        ),
        measures=("waiting_gpu_h",),
    )


def _cut(subtitle: Said, rows: int) -> Said:
    """A subtitle that says when not all rows are drawn."""
    if rows <= MAX_ROWS:
        return subtitle
    return say(
        "{subtitle}; the first {most:,} of {rows:,}, all in the table",
        subtitle=subtitle,
        most=MAX_ROWS,
        rows=rows,
    )


def with_sums(segments: Sequence[dict[str, Any]], write: Callable[[float], str] = short) -> pl.DataFrame:
    """Segments of bars with the label of each row's sum on its first segment."""
    schema = {"row": pl.String, "name": pl.String, "value": pl.Float64, "rank": pl.Int64, "total": pl.Float64}
    frame = pl.DataFrame(list(segments), schema=schema).with_columns(pl.col("value", "total").round(3))
    label = pl.col("total").map_elements(lambda total: str(write(total)), return_dtype=pl.String)
    return frame.with_columns(text=pl.when(pl.col("rank") == 0).then(label).otherwise(pl.lit("")))


def waits_by_tenant(view: View) -> Figure:
    """P50, P90, P99 of the waits by tenant."""
    spreads = waits.by_tenant(view.run, view.tenants)
    marks = [view.marks[spread.name] for spread in spreads]
    by = say("wait of a job by tenant"), say("Waits by tenant"), say("tenant")
    return _waits("tenant", by, spreads, findings.waits_by_tenant(spreads), marks, INK)


def waits_by_size(view: View) -> Figure:
    """P50, P90, P99 of the waits by number of GPUs."""
    spreads = waits.by_size(view.run)
    marks = [replace(JOBS, name=str(spread.name)) for spread in spreads]
    by = say("wait of a job by size"), say("Waits by size"), say("size")
    return _waits("size", by, spreads, findings.waits_by_size(spreads), marks, JOBS)


def _waits(
    id_: str,
    by: tuple[Said, Said, Said],
    spreads: Sequence[waits.Spread],
    title: str,
    marks: Sequence[Mark],
    key: Mark,
) -> Figure:
    """Args: by: what is shown, the table's caption, and its first column."""
    shown = [
        {**s._asdict(), "name": str(s.name), **{f"p{p}": str(format_duration(wait)) for p, wait in s.ranks()}}
        for s in spreads[:MAX_ROWS]
    ]
    frame = pl.DataFrame([{**row, "label": row["p99"]} for row in shown])
    return Figure(
        id=f"waits-by-{id_}",
        title=title,
        subtitle=_cut(
            say(
                "{shown}: half of the jobs wait less than P50, one in ten more than P90, "
                "one in a hundred more than P99 (labelled)",
                shown=by[0],
            ),
            len(spreads),
        ),
        spec=charts.spreads(frame, marks[:MAX_ROWS]) if shown else None,
        legend=(Legend("P50", "circle", key), Legend("P90", "diamond", key), Legend("P99", "triangle", key)),
        note=say(
            "A job still waiting at the end counts with its wait so far; one refused for ever does not."
        ),
        table=table(
            by[1],
            [(by[2], "name"), ("P50", "wait"), ("P90", "wait"), ("P99", "wait"), (say("mean"), "wait")],
            spreads,
        ),
        measures=tuple(f"wait_p{p}_s" for p in waits.PERCENTILES),
    )


def compared(view: View) -> Figure | None:
    """Simulated against recorded waits; None when no job has a recorded and a simulated start."""
    got = waits.compared(view.run)
    if got is None:
        return None
    wait = pl.col("wait_s")
    curves = got.curves.with_columns(
        text=wait.map_elements(lambda s: str(format_duration(s)), return_dtype=pl.String),
        share=pl.col("share").round(5),
    )
    counted = say("{jobs:,} jobs with a recorded and a simulated start", jobs=got.jobs)
    if got.left_out:
        counted = say(
            "{counted}; {left_out:,} without both are left out", counted=counted, left_out=got.left_out
        )
    shares: list[tuple[str, Kind]] = [(say("share of jobs that waited at most"), "share")]
    return Figure(
        id="compared",
        title=findings.compared(got),
        subtitle=say(
            "share of jobs that waited at most so long until their first start; {counted}", counted=counted
        ),
        spec=charts.curves(curves, max(curves.get_column("wait_s"))),
        legend=(
            Legend(say("recorded"), "broad", RECORDED),
            Legend(say("simulated"), "dashed", SIMULATED),
        ),
        note=say(
            "The curves are at most {gap} of the jobs apart. How the recorded scheduler decided and what "
            "failed or was down is not known here, so a difference has no one side to blame.",
            gap=percent(got.gap),
        )
        if got.gap
        else say("The two distributions are the same."),
        table=table(
            say("Waits until the first start by share of jobs"),
            [*shares, (say("simulated"), "wait"), (say("recorded"), "wait")],
            got.ranks,
        ),
        measures=tuple(
            f"first_wait_{w}_p{p}_s" for w in ("simulated", "recorded") for p in waits.PERCENTILES
        ),
    )


RECORDED, SIMULATED = Mark("", "grey-2", "plain"), Mark("", "fg", "plain")


def states(view: View) -> Figure:
    """Jobs by the state in which the run left them."""
    ended = measured.by(view.run, "jobs", "state")
    codes = (*STATES, *sorted(ended.keys() - STATES.keys()))
    counts = {str(tell(STATES.get(code, code))): ended[code] for code in codes if ended.get(code)}
    mark = replace(JOBS, name=str(say("jobs")))
    rows = [
        {"row": state, "name": mark.name, "value": n, "rank": 0, "total": n} for state, n in counts.items()
    ]
    return Figure(
        id="states",
        title=findings.states(ended),
        subtitle=say("jobs by the state in which the run left them"),
        spec=charts.bars(with_sums(rows, format_count), [mark], unit=say("jobs")) if rows else None,
        marks=(mark,),
        table=table(
            say("Jobs by end state"),
            [(say("state"), "text"), (say("jobs"), "whole"), (say("share of jobs"), "share")],
            [(state, n, n / sum(counts.values())) for state, n in counts.items()],
        ),
        measures=("jobs",),
    )


def utilisation(view: View) -> Figure:
    """Share of the online GPU-hours that jobs held, per site and per product."""
    rows = [
        (name, dim, share)
        for dim in ("site", "product")
        for name, share in measured.by(view.run, "utilisation", dim).items()
    ]
    kinds = {"site": say("site"), "product": say("product")}
    shown = [
        {"row": f"{name} ({kinds[dim]})", "value": share, "text": str(percent(share))}
        for name, dim, share in rows
    ]
    return Figure(
        id="utilisation",
        title=findings.utilisation([(name, share) for name, dim, share in rows if dim == "site"]),
        subtitle=_cut(
            say(
                "GPU-hours held by jobs as share of those online, by site and by product, to the plan's end, "
                "or the run's end if that is earlier"
            ),
            len(rows),
        ),
        spec=charts.shares(pl.DataFrame(shown[:MAX_ROWS])) if shown else None,
        table=table(
            say("Utilisation"),
            [(say("of"), "name"), (say("which is a"), "text"), (say("in use"), "share")],
            [(name, kinds[dim], share) for name, dim, share in rows],
        ),
        measures=("utilisation",),
    )
