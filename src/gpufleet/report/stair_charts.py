"""Vega-Lite specifications of staircases: pledged, ordered, delivered, powered, online.

Written as plain dictionaries: layers share one scale of time, and texts come in the reader's language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from gpufleet.base.say import say
from gpufleet.report.charts import Spec, number_labels
from gpufleet.report.layers import MOST_TICKS, layered, span
from gpufleet.report.marks import Mark
from gpufleet.report.stairs import Flight, Level, month_after, month_day, month_ms

TALL_PX: Final = 300
SMALL_PX: Final = 170
LABEL_GAP_PX: Final = 15
SMALL_TICKS: Final = 4
_LINES: Final = {  # greys of growing weight: what is not online yet
    "ordered": ("var(--grey-2)", 1.5),
    "delivered": ("var(--grey-1)", 1.5),
    "powered": ("var(--fg)", 1.0),
}


_Row = TypeVar("_Row", bound=tuple[Any, ...])
"""A month with what had been reached by its end."""


def labels(step: str, gpus: int) -> str:
    """A step with its GPUs, as it stands at the end of a line."""
    return {
        "pledged": say("pledged {gpus:short}", gpus=gpus),
        "ordered": say("ordered {gpus:short}", gpus=gpus),
        "delivered": say("delivered {gpus:short}", gpus=gpus),
        "powered": say("powered {gpus:short}", gpus=gpus),
        "online": say("online {gpus:short}", gpus=gpus),
    }[step]


def staircase(flight: Flight, mark: Mark, *, top: int, as_of_ms: int | None, small: bool = False) -> Spec:
    """One staircase: pledged as a pale area, online as a coloured one with its range, lines between them.

    Args:
        flight: the levels.
        mark: of the tenant; paints what is online.
        top: end of the value axis, so that like charts share one.
        as_of_ms: solid until then, dashed from then on; None: all dashed.
        small: one of many.
    """
    height = SMALL_PX if small else TALL_PX
    x, y = _time(flight, SMALL_TICKS if small else MOST_TICKS), _value(top, small)
    layers = []
    if "pledged" in flight.levels:
        layers += _pledged(flight.levels["pledged"], x, y)
    layers += _online(flight.levels["online"], mark, x, y)
    for step, (stroke, width) in _LINES.items():
        layers += _line(step, flight.levels[step], as_of_ms, {"stroke": stroke, "strokeWidth": width}, x, y)
    online = {"stroke": mark.stroke, "strokeWidth": 2.5}
    layers += _line("online", flight.levels["online"], as_of_ms, online, x, y)
    if as_of_ms is not None:
        layers += _today(as_of_ms, x, small)
    ends = _ends(flight, top, height, ("pledged", "online") if small else tuple(flight.levels))
    layers += _end_labels(ends, x, y)
    return layered(layers, height)


def _time(flight: Flight, most: int) -> Spec:
    """The axis of time, from the first month's start to the last one's end."""
    months = [level.month for level in flight.levels["online"]]
    return span((month_ms(months[0]), month_ms(month_after(months[-1]))), most=most)


def _value(top: int, small: bool) -> Spec:
    axis = {"tickCount": 4, "labelExpr": number_labels()}
    return {
        "field": "value",
        "type": "quantitative",
        "title": None if small else say("GPUs"),
        "scale": {"domain": [0, top], "nice": False},
        "axis": axis,
    }


def held(levels: Sequence[_Row]) -> Iterator[tuple[int, _Row]]:
    """Levels with the moments to draw them at: each over its own month, the last to the month's end.

    What arrives on the second of March is thus seen in March, not at the start of April.

    >>> [(at // 86_400_000, month) for at, (month, _) in held([("1970-01", 5), ("1970-02", 8)])]
    [(0, '1970-01'), (31, '1970-02'), (59, '1970-02')]
    """
    for level in levels:
        yield month_ms(level[0]), level
    if levels:
        yield month_ms(month_after(levels[-1][0])), levels[-1]


def _steps(levels: Sequence[Level]) -> list[dict[str, Any]]:
    """Levels where they change, and the last to the end of its month."""
    moments = list(held(levels))
    kept = [
        (at_ms, level)
        for i, (at_ms, level) in enumerate(moments)
        if i in (0, len(moments) - 1) or level[1:] != moments[i - 1][1][1:]
    ]
    return [
        {
            "time": at_ms,
            "value": level.gpus,
            "low": level.low,
            "high": level.high,
            "label": say("end of {month:%Y-%m}", month=month_day(level.month)),
        }
        for at_ms, level in kept
    ]


def _pledged(levels: Sequence[Level], x: Spec, y: Spec) -> list[Any]:
    data = {"values": _steps(levels)}
    area = {"type": "area", "interpolate": "step-after", "fill": "var(--grey-3)", "fillOpacity": 0.35}
    line = {"type": "line", "interpolate": "step-after", "stroke": "var(--grey-2)", "strokeWidth": 1}
    return [
        {"data": data, "mark": area, "encoding": {"x": x, "y": y}},
        {"data": data, "mark": line, "encoding": {"x": x, "y": y}},
        _points("pledged", data["values"], x, y),
    ]


def _online(levels: Sequence[Level], mark: Mark, x: Spec, y: Spec) -> list[Any]:
    data = {"values": _steps(levels)}
    area = {"type": "area", "interpolate": "step-after", "fill": mark.stroke, "fillOpacity": 0.22}
    layers: list[Any] = [{"data": data, "mark": area, "encoding": {"x": x, "y": y}}]
    if any(level.low != level.high for level in levels):
        band = {"type": "area", "interpolate": "step-after", "fill": mark.stroke, "fillOpacity": 0.3}
        span = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
        layers.append({"data": data, "mark": band, "encoding": {"x": x, **span}})
    return layers


def _line(
    step: str, levels: Sequence[Level], as_of_ms: int | None, look: Mapping[str, Any], x: Spec, y: Spec
) -> list[Any]:
    """A step as a line, solid until `as_of_ms` and dashed from then on."""
    rows = _steps(levels)
    known = [row for row in rows if as_of_ms is not None and row["time"] <= as_of_ms]
    planned = [row for row in rows if row not in known]
    if known and planned and as_of_ms is not None:
        turn = {**known[-1], "time": as_of_ms}
        known, planned = [*known, turn], [turn, *planned]
    encoding = {"x": x, "y": y}
    mark = {"type": "line", "interpolate": "step-after", **look}
    layers: list[Any] = []
    if len(known) > 1:
        layers.append({"data": {"values": known}, "mark": mark, "encoding": encoding})
    if len(planned) > 1:
        dashed = {**mark, "strokeDash": [5, 3]}
        layers.append({"data": {"values": planned}, "mark": dashed, "encoding": encoding})
    return [*layers, _points(step, rows, x, y)]


def _points(step: str, rows: Sequence[Mapping[str, Any]], x: Spec, y: Spec) -> Spec:
    """Where a reader points: not to be seen, but with the exact values."""
    spread = [
        {"field": "low", "type": "quantitative", "title": say("low"), "format": ",d"},
        {"field": "high", "type": "quantitative", "title": say("high"), "format": ",d"},
    ]
    value = {"field": "value", "type": "quantitative", "title": step_name(step), "format": ",d"}
    tooltip = [{"field": "label", "type": "nominal", "title": say("at")}, value, *spread]
    return {
        "data": {"values": list(rows)},
        "mark": {"type": "point", "opacity": 0, "size": 120, "filled": True},
        "encoding": {"x": x, "y": y, "tooltip": tooltip},
    }


def step_name(step: str) -> str:
    """A step as a reader's word.

    >>> str(step_name("powered"))
    'powered'
    """
    words = {
        "pledged": say("pledged"),
        "ordered": say("ordered"),
        "delivered": say("delivered"),
        "powered": say("powered"),
        "online": say("online"),
        "cancelled": say("cancelled"),
        "left_over": say("left over"),
    }
    return words[step]


def _today(as_of_ms: int, x: Spec, small: bool) -> list[Any]:
    """A dotted line between what is known and what is planned, its day on the side that has more room."""
    first, last = x["scale"]["domain"]
    early = 2 * as_of_ms < first + last
    day = datetime.fromtimestamp(as_of_ms / 1000, UTC).date()
    data = {"data": {"values": [{"time": as_of_ms, "says": str(say("as of {day}", day=day))}]}}
    rule = {"type": "rule", "stroke": "var(--fg)", "strokeDash": [1, 3], "strokeWidth": 1.5}
    text = {
        "type": "text",
        "align": "left" if early else "right",
        "baseline": "top",
        "dx": 5 if early else -5,
        "y": 18,
    }
    label = {**data, "mark": text, "encoding": {"x": x, "text": {"field": "says", "type": "nominal"}}}
    return [{**data, "mark": rule, "encoding": {"x": x}}, *([] if small else [label])]


def _ends(flight: Flight, top: int, height: int, steps: Sequence[str]) -> list[dict[str, Any]]:
    """Labels at the ends of lines, the highest first, none on another; of equal levels the furthest step."""
    furthest = {flight.last(step).gpus: step for step in steps if step in flight.levels}
    when = month_ms(month_after(flight.levels["online"][-1].month))
    rows: list[dict[str, Any]] = []
    below = -float(LABEL_GAP_PX)
    for gpus, step in sorted(furthest.items(), reverse=True):
        at = max(height * (1 - gpus / (top or 1)), below + LABEL_GAP_PX)
        below = at
        rows.append({"time": when, "at": at, "value": gpus, "text": labels(step, gpus)})
    for i, row in enumerate(reversed(rows)):  # those pushed below the axis move up again
        row["at"] = min(row["at"], height - i * LABEL_GAP_PX)
    return [{**row, "dy": round(row["at"] - height * (1 - row["value"] / (top or 1)), 1)} for row in rows]


def _end_labels(ends: Sequence[Mapping[str, Any]], x: Spec, y: Spec) -> list[Any]:
    """Texts beside the last month."""
    layers = []
    for end in ends:
        text = {"type": "text", "align": "left", "baseline": "middle", "dx": 6, "dy": end["dy"]}
        shown = {"time": end["time"], "value": end["value"], "text": end["text"]}
        encoding = {"x": x, "y": y, "text": {"field": "text", "type": "nominal"}}
        layers.append({"data": {"values": [shown]}, "mark": text, "encoding": encoding})
    return layers
