"""The Vega-Lite specification of promises against actuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpufleet.base.say import say
from gpufleet.report.charts import Spec, number_labels
from gpufleet.report.layers import layered, named_rows
from gpufleet.report.marks import Mark


def arrived_chart(rows: Sequence[Mapping[str, Any]], came: Mark, assumed: Mark) -> Spec:
    """What has arrived of what is due: a filled bar inside an outline, one row each.

    Args:
        rows: row, due, came, sure (of those that came, not assumed; GPUs), text.
        came, assumed: paint of the two parts of the bar.
    """
    called, y, height = named_rows([row["row"] for row in rows])
    values = [{**row, "row": called[row["row"]], "end": max(row["due"], row["came"])} for row in rows]
    data = {"data": {"values": values}}
    most = max((row["end"] for row in values), default=0)
    x = _axis(most or 1)
    bar = {"type": "bar", "height": {"band": 0.45}}
    outline = {
        "type": "bar",
        "fill": "none",
        "stroke": "var(--fg)",
        "strokeDash": [4, 3],
        "height": {"band": 0.7},
    }
    label = {"type": "text", "align": "left", "dx": 6}
    tooltip = _tooltip()
    sure = {"x": {**x, "field": "sure"}, "y": y, "tooltip": tooltip}
    guess = {"x": {**x, "field": "sure"}, "x2": {"field": "came"}, "y": y, "tooltip": tooltip}
    layers: list[Spec] = [
        {**data, "mark": {**bar, "fill": came.stroke}, "encoding": sure},
        {**data, "mark": {**bar, "fill": assumed.fill}, "encoding": guess},
        {**data, "mark": outline, "encoding": {"x": {**x, "field": "due"}, "y": y, "tooltip": tooltip}},
        {**data, "mark": label, "encoding": {"x": {**x, "field": "end"}, "y": y, "text": {"field": "text"}}},
    ]  # fmt: skip
    return layered(layers, height)


def _axis(most: int) -> Spec:
    return {
        "type": "quantitative",
        "title": say("GPUs"),
        "scale": {"domain": [0, most], "nice": False},
        "axis": {"tickCount": 4, "labelExpr": number_labels()},
        "stack": None,
    }


def _tooltip() -> list[Spec]:
    fields = (("due", say("due")), ("came", say("arrived")), ("sure", say("of these not assumed")))
    return [
        {"field": "row", "type": "nominal", "title": " "},
        *({"field": field, "type": "quantitative", "title": name, "format": ",d"} for field, name in fields),
    ]
