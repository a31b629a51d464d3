"""The figures of supply: staircases from pledged to online, and the map of what is short, where, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet.base.say import say
from gpufleet.report import stair_charts
from gpufleet.report.figures import MAX_ROWS, Figure, Legend, Panel
from gpufleet.report.marks import Mark
from gpufleet.report.promises import anchor, called
from gpufleet.report.shortage_chart import shortage_map
from gpufleet.report.stairs import GAPS, SHARED, STEPS, Flight, Gap, Stairs, month_after, month_day, month_ms
from gpufleet.report.tables import Kind, Link, Table, table

if TYPE_CHECKING:
    from gpufleet.report.view import View

ANYBODY: Final = Mark("", "tenant-0", "plain")
"""The mark of GPUs that are not one tenant's."""
PLEDGED: Final = Mark("", "grey-3", "plain")
GAP_MARKS: Final = {
    "not_ordered": Mark("", "accent", "plain"),
    "not_delivered": Mark("", "accent", "slash"),
    "not_installed": Mark("", "accent", "backslash"),
    "not_powered": Mark("", "accent", "cross"),
    "not_online": Mark("", "accent", "dots"),
}
"""The pattern of each missing step."""
LETTERS: Final = dict(zip(GAPS, "ABCDE", strict=True))
"""The letter of each missing step, in the order of the steps."""


def staircase(view: View, stairs: Stairs) -> Figure:
    """Pledged, ordered, delivered, powered, online, over the whole horizon."""
    flight = stairs.whole()
    return Figure(
        id="staircase",
        title=_says_whole(flight, stairs.due),
        subtitle=_subtitle(stairs),
        spec=stair_charts.staircase(flight, ANYBODY, top=_top([flight]), as_of_ms=stairs.as_of_ms),
        legend=_legend(flight, ANYBODY),
        note=_known(stairs),
        table=_levels(view, stairs),
        measures=("supply_gpus", "promised_gpus"),
    )


def _says_whole(flight: Flight, month: str) -> str:
    """How many are online when the last of the promises is due, or at the end of the plan; of how many."""
    online, day = flight.at("online", month), month_day(month)
    if "pledged" in flight.levels:
        pledged = flight.at("pledged", month).gpus
        if online.low == online.high:
            return say(
                "{online:,} of {pledged:,} pledged GPUs are online at the end of {day:%Y-%m}",
                online=online.gpus,
                pledged=pledged,
                day=day,
            )
        return say(
            "{online:,} of {pledged:,} pledged GPUs are online at the end of {day:%Y-%m}, "
            "at least {low:,}, at most {high:,}",
            online=online.gpus,
            pledged=pledged,
            day=day,
            low=online.low,
            high=online.high,
        )
    return say(
        "{online:,} of {delivered:,} delivered GPUs are online at the end of {day:%Y-%m}",
        online=online.gpus,
        delivered=flight.at("delivered", month).gpus,
        day=day,
    )


def _end_of(flight: Flight) -> date:
    return month_day(flight.levels["online"][-1].month)


def _subtitle(stairs: Stairs) -> str:
    if not stairs.promises:
        return say(
            "GPUs of all lots by the step that they have reached, at the end of each month, drawn from the "
            "month's first day"
        )
    if stairs.overlapping:
        return say(
            "GPUs of the lots that count toward the largest pledge of each tenant, by the step that they "
            "have reached, at the end of each month, drawn from the month's first day; of each pledge at "
            "most what was promised; unlike products count as one GPU each"
        )
    return say(
        "GPUs of the lots that count toward pledges, by the step that they have reached, at the end of each "
        "month, drawn from the month's first day; of each pledge at most what was promised; unlike products "
        "count as one GPU each"
    )


def _known(stairs: Stairs) -> str:
    """What solid, dashed, and the band mean."""
    if stairs.as_of is None:
        return say(
            "All of this is planned. The band around the GPUs online is the range of counts, dates and power."
        )
    return say(
        "Solid until {day}, as of which the plan is known; dashed from then on: planned. The band around the "
        "GPUs online is the range of counts, dates and power.",
        day=stairs.as_of.date(),
    )


def _legend(flight: Flight, mark: Mark) -> tuple[Legend, ...]:
    pledged = [Legend(say("pledged"), "area", PLEDGED)] if "pledged" in flight.levels else []
    return (
        *pledged,
        Legend(say("ordered"), "line", Mark("", "grey-2", "plain")),
        Legend(say("delivered"), "line", Mark("", "grey-1", "plain")),
        Legend(say("powered"), "line", Mark("", "fg", "plain")),
        Legend(say("online"), "broad", mark),
    )


def _top(flights: Sequence[Flight]) -> int:
    """End of the value axis: a little above the highest level, so that it does not hide in the frame."""
    most = max((flight.ceiling for flight in flights), default=0)
    return int(most * 1.04) + 1


def _levels(view: View, stairs: Stairs) -> Table:
    """All lots at the end of each year: GPUs, TFLOPS and MW, by owner, operator and step."""
    columns: list[tuple[str, Kind]] = [
        (say("at the end of"), "month"), (say("tenant"), "name"), (say("operator"), "name"),
        (say("step"), "text"),
        (say("GPUs"), "whole"), (say("low"), "whole"), (say("high"), "whole"),
        (say("TFLOPS BF16, dense"), "whole"), (say("MW, rated"), "number"),
    ]  # fmt: skip
    rows = [
        (month, _owner(tenant), operator, stair_charts.step_name(step), *numbers)
        for month, tenant, operator, step, *numbers in stairs.table()
    ]
    made = table(
        say("GPUs of all lots by owner, operator and step, what they compute and draw; – where not known"),
        columns,
        rows,
    )
    return Table(made.caption, made.columns, made.rows, filtered=True)


def _owner(tenant: str | None) -> str:
    return say("shared") if tenant in (None, SHARED) else str(tenant)


def staircases(view: View, stairs: Stairs) -> Figure | None:
    """The same by promise, or by owner or site: small multiples with one scale."""
    flights = stairs.flights()
    if not flights:
        return None
    shown = flights[:MAX_ROWS]
    top = _top(shown)
    panels = tuple(
        Panel(
            _panel_title(stairs, flight),
            stair_charts.staircase(
                flight, _mark(view, flight.tenant), top=top, as_of_ms=stairs.as_of_ms, small=True
            ),
        )
        for flight in shown
    )
    return Figure(
        id="staircases",
        title=_says_parts(stairs, flights),
        subtitle=say(
            "GPUs by the step that they have reached, at the end of each month, all with the same scale; "
            "a lot that counts toward two promises is in both"
        )
        if stairs.promises
        else say(
            "GPUs by the step that they have reached, at the end of each month, all with the same scale"
        ),
        panels=panels,
        legend=_legend(stairs.whole(), Mark("", "grey-1", "plain")),
        table=_parts_table(stairs, flights),
        measures=("supply_gpus",),
    )


def _panel_title(stairs: Stairs, flight: Flight) -> str:
    if flight.name in stairs.promises:
        return say("{promise} ({tenant})", promise=called(stairs.promises, flight.name), tenant=flight.tenant)
    if stairs.promises:
        if flight.tenant is None:
            return say("shared by all: counts toward no promise")
        return say("{tenant}: counts toward no promise", tenant=flight.tenant)
    return _owner(flight.name)


def _mark(view: View, tenant: str | None) -> Mark:
    """The tenant's mark everywhere on the page; one without jobs is grey."""
    return view.marks.get(tenant or "") or Mark("", "grey-1", "plain")


def _says_parts(stairs: Stairs, flights: Sequence[Flight]) -> str:
    """Which part is furthest behind."""
    behind = {
        flight.name: flight.last("pledged").gpus - flight.last("online").gpus
        for flight in flights
        if "pledged" in flight.levels
    }
    if not behind:
        most = max(flights, key=lambda flight: flight.last("online").gpus)
        return say(
            "{name} has most GPUs online: {gpus:,}", name=_owner(most.name), gpus=most.last("online").gpus
        )
    name = max(behind, key=lambda promise: behind[promise])
    if behind[name] <= 0:
        return say("Every promise is kept at the end of {day:%Y-%m}", day=_end_of(flights[0]))
    return say(
        "{promise} is furthest behind: {gpus:,} GPUs at the end of {day:%Y-%m}",
        promise=called(stairs.promises, name),
        gpus=behind[name],
        day=_end_of(flights[0]),
    )


def _parts_table(stairs: Stairs, flights: Sequence[Flight]) -> Table:
    steps = stair_charts.step_name
    columns: list[tuple[str, Kind]] = [
        (say("of"), "name"), (say("at the end of"), "month"), (steps("pledged"), "whole"),
        (steps("ordered"), "whole"), (steps("delivered"), "whole"), (steps("powered"), "whole"),
        (steps("online"), "whole"), (say("online, low"), "whole"), (say("online, high"), "whole"),
    ]  # fmt: skip
    rows = []
    for flight in flights:
        ends = {level.month[:4]: i for i, level in enumerate(flight.levels["online"])}
        for i in ends.values():
            counts = [flight.levels[s][i].gpus if s in flight.levels else None for s in STEPS]
            online = flight.levels["online"][i]
            name = _panel_title(stairs, flight)
            rows.append((_linked(stairs, flight.name, name), online.month, *counts, online.low, online.high))
    return table(say("GPUs by step at the end of each year"), columns, rows)


def _linked(stairs: Stairs, promise: str, text: Any) -> Any:
    """A cell that opens what stands behind a promise."""
    return Link(text, anchor(stairs.promises, promise)) if promise in stairs.promises else text


# --- shortage


def shortage(view: View, stairs: Stairs) -> Figure | None:
    """Which GPUs are short, where, since when, and for which step. None where nothing was promised."""
    if not stairs.has_shortage():
        return None
    gaps = stairs.gaps
    rows = list(dict.fromkeys(_row_name(stairs, gap) for gap in gaps))
    shown = rows[:MAX_ROWS]
    steps = [step for step in GAPS if any(gap.step == step for gap in gaps)]
    cells = list(_cells(stairs, gaps, shown))
    ends = month_ms(stairs.months[0]), month_ms(month_after(stairs.months[-1]))
    return Figure(
        id="shortage",
        title=_says_shortage(stairs),
        subtitle=say(
            "GPUs that are due, or delivered, and not online at the end of each month, by site; letter and "
            "pattern: the step that most of them lack; the stronger, the more GPUs; a lot that counts toward "
            "two promises counts once"
        ),
        spec=shortage_map(cells, shown, {step: GAP_MARKS[step] for step in steps}, ends=ends)
        if cells
        else None,
        legend=tuple(Legend(_lettered(step), "area", GAP_MARKS[step]) for step in steps),
        table=_gap_table(stairs),
        measures=("overdue_gpus", "shortage_gpus"),
    )


def _row_name(stairs: Stairs, gap: Gap) -> str:
    if gap.row:
        return gap.row
    return say("no site: {promise}", promise=called(stairs.promises, gap.promise))


def gap_name(step: str) -> str:
    """What GPUs lack, in words.

    >>> str(gap_name("not_ordered"))
    'no order'
    """
    words = {
        "not_ordered": say("no order"),
        "not_delivered": say("not delivered"),
        "not_installed": say("not installed"),
        "not_powered": say("no power"),
        "not_online": say("not online"),
    }
    return words[step]


def _lettered(step: str) -> str:
    return say("{letter}: {step}", letter=LETTERS[step], step=gap_name(step))


def _cells(stairs: Stairs, gaps: Sequence[Gap], rows: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Cells of the map; the letter stands where a step begins."""
    cells: list[Mapping[str, Any]] = []
    before: dict[str, tuple[str, str]] = {}
    for gap in gaps:
        row = _row_name(stairs, gap)
        if row not in rows:
            continue
        goes_on = before.get(row) == (gap.step, gap.first)
        before[row] = (gap.step, month_after(gap.last))
        cells.append(
            {
                "row": row,
                "from": month_ms(gap.first),
                "until": month_ms(month_after(gap.last)),
                "gpus": gap.gpus,
                "step": gap.step,
                "says": gap_name(gap.step),
                "letter": "" if goes_on else LETTERS[gap.step],
                "months": _months(gap),
            }
        )
    return cells


def _months(gap: Gap) -> str:
    if gap.first == gap.last:
        return say("{first:%Y-%m}", first=month_day(gap.first))
    return say("{first:%Y-%m} to {last:%Y-%m}", first=month_day(gap.first), last=month_day(gap.last))


def _says_shortage(stairs: Stairs) -> str:
    """What is missing most at the end of the plan."""
    last = [gap for gap in stairs.gaps if gap.last == stairs.months[-1]]
    if not last:
        return say(
            "No GPU that is due is missing at the end of {day:%Y-%m}", day=month_day(stairs.months[-1])
        )
    most = max(last, key=lambda gap: gap.gpus)
    where = _row_name(stairs, most)
    values = {"gpus": most.gpus, "where": where, "day": month_day(most.last)}
    says = {
        "not_ordered": say("{gpus:,} GPUs have no order at the end of {day:%Y-%m} ({where})", **values),
        "not_delivered": say("{gpus:,} GPUs are not delivered at the end of {day:%Y-%m} ({where})", **values),
        "not_installed": say("{gpus:,} GPUs are not installed at the end of {day:%Y-%m} ({where})", **values),
        "not_powered": say("{gpus:,} GPUs have no power at the end of {day:%Y-%m} ({where})", **values),
        "not_online": say("{gpus:,} GPUs are not online at the end of {day:%Y-%m} ({where})", **values),
    }
    return says[most.step]


def _gap_table(stairs: Stairs) -> Table:
    """What is short at the end of each year, by promise and lot, each with its line of the plan."""
    ends = {month[:4]: month for month in stairs.months}
    rows = stairs.shortage.filter(pl.col("month").is_in(list(ends.values())))
    columns: list[tuple[str, Kind]] = [
        (say("at the end of"), "month"), (say("promise"), "name"), (say("lot"), "name"),
        (say("site"), "name"), (say("operator"), "name"),
        (say("missing"), "text"), (say("short, GPUs"), "whole"), (say("of these due, GPUs"), "whole"),
        (say("line of the plan"), "place"),
    ]  # fmt: skip
    wanted = ("month", "promise", "lot", "site", "operator", "step", "gpus", "overdue", "place")
    cells = [
        (
            month,
            _linked(stairs, promise, called(stairs.promises, promise)) if promise else say("none"),
            lot or say("no lot"),
            site or say("no site yet"),
            operator,
            gap_name(step),
            _linked(stairs, promise, gpus),
            _linked(stairs, promise, overdue) if promise else None,
            place,
        )
        for month, promise, lot, site, operator, step, gpus, overdue, place in rows.select(wanted).iter_rows()
    ]
    return table(say("What is short, by promise and lot"), columns, cells)
