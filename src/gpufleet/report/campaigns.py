"""Campaigns and trainings: when they were planned to run, when they did, and what they lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.report.campaigns_chart import campaigns_chart
from gpufleet.report.figures import MAX_ROWS, Figure, Legend
from gpufleet.report.marks import Mark
from gpufleet.report.tables import Kind, Table, table
from gpufleet.results.campaigns import Campaign, campaigns_of, whole

if TYPE_CHECKING:
    from gpufleet.report.view import View

PLANNED, RAN = Mark("", "fg", "plain"), Mark("", "grey-1", "plain")
HOUR_S = 3600
MOST_PHASES = 12
"""Rows with which a chart shows the phases of trainings."""


def campaigns(view: View) -> Figure | None:
    """Planned against simulated, one row per campaign or phase; None where there are none."""
    rows = campaigns_of(view.run)
    if not rows:
        return None
    return Figure(
        id="campaigns-planned",
        title=str(_says(whole(rows))),
        subtitle=say(
            "Planned: of a campaign its date and duration, of a training what is predicted, with failures; "
            "simulated: from the first job's start to the last one's end"
        ),
        spec=campaigns_chart([_bar(view, row) for row in _few(rows)[:MAX_ROWS]], RAN),
        legend=(Legend(say("planned"), "dashed", PLANNED), Legend(say("simulated"), "area", RAN)),
        note=str(_note(view, rows)),
        table=_table(view, rows),
    )


def _few(rows: Sequence[Campaign]) -> Sequence[Campaign]:
    """Each phase by itself, as long as there are few; else trainings as a whole."""
    return rows if len(rows) <= MOST_PHASES else whole(rows)


def _says(rows: Sequence[Campaign]) -> Said:
    """How many are done in time, and the one that is latest."""
    late = [(row.late_s, row) for row in rows if row.late_s is not None]
    done = say(
        "{done:,} of {n:,} campaign or training is done",
        "{done:,} of {n:,} campaigns and trainings are done",
        done=len(late),
        n=len(rows),
    )
    worst = max(late, key=lambda pair: pair[0], default=(0, None))
    if worst[1] is None or worst[0] < HOUR_S:
        return say("{done}, none later than planned", done=done) if late else done
    words = {"name": worst[1].name, "time": format_duration(worst[0])}
    return say("{done}; {name} is {time} later than planned", done=done, **words)


def _note(view: View, rows: Sequence[Campaign]) -> str:
    """What to know beside: nothing fails without `failures`; rows that are left out of the chart."""
    notes = []
    if view.run.plan.get("trainings") and view.run.plan.get("failures") is None:
        says = say(
            "The plan has no `failures`: nothing fails in the run; predictions take the published rate."
        )
        notes.append(str(says))
    if len(_few(rows)) > MAX_ROWS:
        more = len(_few(rows)) - MAX_ROWS
        notes.append(str(say("The table has {n:,} more.", n=more)))
    return " ".join(notes)


def _bar(view: View, row: Campaign) -> dict[str, Any]:
    """A row of the chart; what has not ended is drawn to the end of the jobs."""
    end_s = row.end_s if row.end_s is not None else view.run.end_s
    ran = row.start_s is not None
    return {
        "row": row.name,
        "planned": view.chart_ms(row.planned_start_s),
        "planned_end": view.chart_ms(row.planned_end_s),
        "start": view.chart_ms(row.start_s) if row.start_s is not None else None,
        "end": view.chart_ms(end_s) if ran else None,
        "text": _late_text(row),
        "planned_says": _stamps(view, row.planned_start_s, row.planned_end_s),
        "ran_says": _stamps(view, row.start_s, row.end_s),
    }


def _stamps(view: View, start_s: int | None, end_s: int | None) -> str:
    """From a moment to a moment, as far as there are."""
    return " – ".join("…" if t_s is None else str(view.stamp(t_s)) for t_s in (start_s, end_s))


def _late_text(row: Campaign) -> str:
    if row.start_s is None:
        return str(say("has not started"))
    if row.late_s is None:
        return str(say("not done"))
    time = format_duration(abs(row.late_s))
    if abs(row.late_s) < HOUR_S:
        return str(say("as planned"))
    return str(say("{time} later", time=time) if row.late_s > 0 else say("{time} earlier", time=time))


def _table(view: View, rows: Sequence[Campaign]) -> Table:
    columns: list[tuple[str, Kind]] = [
        (say("campaign"), "name"), (say("jobs"), "whole"), (say("GPUs of each"), "whole"),
        (say("product"), "name"), (say("planned start"), "time"), (say("planned end"), "time"),
        (say("simulated start"), "time"), (say("simulated end"), "time"), (say("later by"), "wait"),
        (say("failures predicted"), "number"), (say("failures"), "whole"),
        (say("done again, GPU-hours"), "number"),
    ]  # fmt: skip
    cells = [
        (
            row.name,
            row.jobs,
            row.gpus,
            ", ".join(row.products) or None,
            *(None if t_s is None else view.local(t_s) for t_s in _moments(row)),
            row.late_s,
            row.planned_failures,
            row.failures,
            row.lost_gpu_s / HOUR_S,
        )
        for row in rows
    ]
    return table(say("Campaigns and trainings, planned and simulated"), columns, cells)


def _moments(row: Campaign) -> tuple[int | None, ...]:
    return row.planned_start_s, row.planned_end_s, row.start_s, row.end_s


def summary_rows(view: View) -> list[tuple[str, ...]]:
    """The table of a terminal: head, and one row per phase of a training; of many phases, per training."""
    trained = view.run.plan.get("trainings", {})
    rows = _few([row for row in campaigns_of(view.run) if row.workload in trained])
    head = (say("training"), say("GPUs"), say("predicted"), say("simulated"), say("failures"))
    table = [
        (
            row.name,
            f"{row.gpus:,}",
            _span(view, row.planned_start_s, row.planned_end_s),
            _span(view, row.start_s, row.end_s),
            f"{row.failures:,}",
        )
        for row in rows
    ]
    return [tuple(str(cell) for cell in head), *table] if table else []


def _span(view: View, start_s: int | None, end_s: int | None) -> str:
    """From a day to a day; a dash for one that is not there."""
    days = ["–" if t_s is None else f"{view.local(t_s):%Y-%m-%d}" for t_s in (start_s, end_s)]
    return " … ".join(days)
