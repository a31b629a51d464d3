"""Promises against actuals: what is due by today, what has arrived of it, and how sure the arrivals are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from gpufleet.base.say import Said, say
from gpufleet.report import measured
from gpufleet.report.arrived_chart import arrived_chart
from gpufleet.report.figures import MAX_ROWS, Figure, Legend
from gpufleet.report.marks import Mark
from gpufleet.report.promises import anchor, called, origin
from gpufleet.report.stairs import Stairs
from gpufleet.report.tables import Kind, Link, Table, table

CAME, ASSUMED, DUE = Mark("", "grey-1", "plain"), Mark("", "grey-2", "slash"), Mark("", "fg", "plain")
MAX_NAMED = 3
"""Lots without a promise that the note names."""


class ToDate(NamedTuple):
    """A promise, or a lot, as of today. GPUs."""

    name: str
    due: int
    came: int
    assumed: int  # of those that came

    @property
    def late(self) -> int:
        """GPUs that are due and have not come."""
        return max(0, self.due - self.came)


def by_promise(stairs: Stairs) -> Figure | None:
    """What of each promise is due by today, against what has arrived; None without promises or actuals."""
    if not stairs.promises or not stairs.run.plan.get("actuals"):
        return None
    rows = _rows(stairs, "promise", "due_gpus", list(stairs.promises))
    apart = _without_promise(stairs)
    shown = [(called(stairs.promises, row.name), row) for row in rows if row.due or row.came]
    return Figure(
        id="arrived",
        title=_says(stairs, [row for row in rows if row.name in stairs.pledges]),
        subtitle=say(
            "GPUs by promise: what is due by the end of this month, in equal parts each month of its window, "
            "and what has really arrived; promises stand side by side and are not added up"
        ),
        spec=_spec(shown),
        legend=_legend(rows, say("due")),
        note=_says_apart(apart),
        table=_promise_table(stairs, rows, apart),
        measures=("due_gpus", "actual_gpus", "assumed_actual_gpus"),
    )


def by_lot(stairs: Stairs) -> Figure | None:
    """What has arrived of each lot, against the lot's own date; None where the plan holds no actuals."""
    if not stairs.run.plan.get("actuals"):
        return None
    rows = _rows(stairs, "lot", "planned_gpus", list(stairs.run.plan["deliveries"]))
    rows = [row for row in rows if row.due or row.came]
    return Figure(
        id="arrived-lots",
        title=_says_lots(stairs, rows),
        subtitle=say("GPUs by lot: what the plan has delivered by then, and what has really arrived"),
        spec=_spec([(row.name, row) for row in rows]),
        legend=_legend(rows, say("planned")),
        table=_lot_table(stairs, rows),
        measures=("actual_gpus", "planned_gpus"),
    )


def _rows(stairs: Stairs, dim: str, due: str, names: Sequence[str]) -> list[ToDate]:
    found = [measured.values(stairs.run, name, dim) for name in (due, "actual_gpus", "assumed_actual_gpus")]
    return [ToDate(name, *(round(values.get((name,), 0)) for values in found)) for name in names]


def _without_promise(stairs: Stairs) -> list[ToDate]:
    """Lots that count toward no promise, and have arrived: kept apart from all promises."""
    lots = stairs.run.plan["deliveries"]
    names = [name for name, lot in lots.items() if not lot.get("counts_toward")]
    return [row._replace(due=0) for row in _rows(stairs, "lot", "planned_gpus", names) if row.came]


def _spec(rows: Sequence[tuple[str, ToDate]]) -> dict[str, Any] | None:
    bars = [
        {
            "row": name, "due": row.due, "came": row.came, "sure": row.came - row.assumed,
            "text": say("{came:,} of {due:,}", came=row.came, due=row.due),
        }
        for name, row in rows[:MAX_ROWS]
    ]  # fmt: skip
    return arrived_chart(bars, CAME, ASSUMED) if bars else None


def _legend(rows: Sequence[ToDate], due: str) -> tuple[Legend, ...]:
    assumed = [Legend(say("arrived, assumed"), "area", ASSUMED)] if any(row.assumed for row in rows) else []
    return (Legend(say("arrived"), "area", CAME), *assumed, Legend(due, "dashed", DUE))


def _today(stairs: Stairs) -> date:
    return (stairs.as_of or stairs.run.start).date()


def _says(stairs: Stairs, rows: Sequence[ToDate]) -> Said:
    """Of the promises that may be added up: what has arrived of what is due."""
    due, came = sum(row.due for row in rows), sum(row.came for row in rows)
    values = {"came": came, "due": due, "day": _today(stairs)}
    if not due:
        return say("{came:,} promised GPUs have arrived by {day}; none was due", **values)
    return say("{came:,} of {due:,} promised GPUs that are due have arrived by {day}", **values)


def _says_lots(stairs: Stairs, rows: Sequence[ToDate]) -> Said:
    due, came = sum(row.due for row in rows), sum(row.came for row in rows)
    values = {"came": came, "due": due, "day": _today(stairs)}
    if not due:
        return say("{came:,} GPUs have arrived by {day}; no lot was to come by then", **values)
    return say("{came:,} of {due:,} GPUs of lots that were to come by {day} have arrived", **values)


def _says_apart(apart: Sequence[ToDate]) -> str:
    """What has arrived and is no promise's."""
    if not apart:
        return ""
    most = sorted(apart, key=lambda row: -row.came)[:MAX_NAMED]
    lots = [say("{lot} {gpus:,}", lot=row.name, gpus=row.came) for row in most]
    came = sum(row.came for row in apart)
    if len(apart) > len(most):
        return say(
            "Apart from these, {came:,} GPUs that count toward no promise have arrived ({lots:, }, ...).",
            came=came, lots=lots,
        )  # fmt: skip
    return say(
        "Apart from these, {came:,} GPUs that count toward no promise have arrived ({lots:, }).",
        came=came, lots=lots,
    )  # fmt: skip


def _promise_table(stairs: Stairs, rows: Sequence[ToDate], apart: Sequence[ToDate]) -> Table:
    columns: list[tuple[str, Kind]] = [
        (say("promise"), "name"), (say("promised, GPUs"), "whole"), (say("due by now, GPUs"), "whole"),
        (say("arrived, GPUs"), "whole"), (say("of these assumed, GPUs"), "whole"),
        (say("late, GPUs"), "whole"), (say("line of the plan"), "place"),
    ]  # fmt: skip
    cells: list[tuple[Any, ...]] = []
    for row in rows:
        to = anchor(stairs.promises, row.name)
        numbers = (stairs.promises[row.name]["gpus"], row.due, row.came, row.assumed, row.late)
        name = called(stairs.promises, row.name)
        line = origin(stairs.run, f"promises.{row.name}.gpus", f"promises.{row.name}")["line"]
        cells.append((Link(name, to), *(Link(number, to) for number in numbers), line))
    for row in apart:
        line = origin(stairs.run, f"deliveries.{row.name}")["line"]
        name = say("no promise: {lot}", lot=row.name)
        cells.append((name, None, None, row.came, row.assumed, None, line))
    return table(say("Due and arrived, by promise; lots without a promise apart"), columns, cells)


def _lot_table(stairs: Stairs, rows: Sequence[ToDate]) -> Table:
    lots: Mapping[str, Any] = stairs.run.plan["deliveries"]
    columns: list[tuple[str, Kind]] = [
        (say("lot"), "name"), (say("counts toward"), "name"), (say("planned, GPUs"), "whole"),
        (say("arrived, GPUs"), "whole"), (say("of these assumed, GPUs"), "whole"),
        (say("late, GPUs"), "whole"), (say("line of the plan"), "place"),
    ]  # fmt: skip
    cells = [
        (
            row.name,
            ", ".join(called(stairs.promises, name) for name in lots[row.name].get("counts_toward") or ()),
            row.due,
            row.came,
            row.assumed,
            row.late,
            origin(stairs.run, f"deliveries.{row.name}")["line"],
        )
        for row in rows
    ]
    return table(say("Planned and arrived, by lot"), columns, cells)
