"""The Vega-Lite specification of campaigns: planned as an outline, simulated as a filled bar in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpufleet.base.say import say
from gpufleet.report.charts import Spec
from gpufleet.report.layers import layered, named_rows, span
from gpufleet.report.marks import Mark


def campaigns_chart(rows: Sequence[Mapping[str, Any]], ran: Mark) -> Spec:
    """Two bars over time per row.

    Args:
        rows: row, planned, planned_end, start, end (ms; None: it has not run), text, planned_says, ran_says.
        ran: paint of what was simulated.
    """
    called, y, height = named_rows([row["row"] for row in rows])
    values = [{**row, "row": called[row["row"]], "last": _last(row)} for row in rows]
    first = min(min(row["planned"], row["start"] or row["planned"]) for row in rows)
    last = max(row["last"] for row in values)
    room = (last - first) // 4 or 1  # for the words behind the bars
    x = span((first, last + room))
    x["scale"] = {"type": "utc", "nice": False}  # bars with two ends bear no domain: two points make it
    done = [row for row in values if row["start"] is not None]
    bar = {"type": "bar", "height": {"band": 0.45}, "fill": ran.stroke}
    outline = {
        "type": "bar",
        "fill": "none",
        "stroke": "var(--fg)",
        "strokeDash": [4, 3],
        "height": {"band": 0.75},
    }
    tooltip = _tooltip()
    simulated = {"x": {**x, "field": "start"}, "x2": {"field": "end"}, "y": y, "tooltip": tooltip}
    planned = {"x": {**x, "field": "planned"}, "x2": {"field": "planned_end"}, "y": y, "tooltip": tooltip}
    words = {"x": {**x, "field": "last"}, "y": y, "text": {"field": "text"}}
    ends = [{"last": first}, {"last": last + room}]
    corners: Spec = {
        "data": {"values": ends},
        "mark": {"type": "point", "opacity": 0},
        "encoding": {"x": {**x, "field": "last"}},
    }
    layers: list[Spec] = [
        corners,
        {"data": {"values": done}, "mark": bar, "encoding": simulated},
        {"data": {"values": values}, "mark": outline, "encoding": planned},
        {"data": {"values": values}, "mark": {"type": "text", "align": "left", "dx": 6}, "encoding": words},
    ]
    return layered(layers, height)


def _last(row: Mapping[str, Any]) -> int:
    return max(int(row["planned_end"]), int(row["end"] or 0))


def _tooltip() -> list[Spec]:
    fields = (("row", " "), ("planned_says", say("planned")), ("ran_says", say("simulated")))
    return [{"field": field, "type": "nominal", "title": str(name)} for field, name in fields]
