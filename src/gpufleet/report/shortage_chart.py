"""The Vega-Lite specification of the map of shortages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gpufleet.base.say import say
from gpufleet.report.charts import Spec
from gpufleet.report.layers import layered, named_rows, span
from gpufleet.report.marks import Mark

_BOX: Final = {"type": "rect", "height": {"band": 0.86}}
_LETTER: Final = {"type": "text", "align": "left", "baseline": "middle", "dx": 4, "fontWeight": "bold"}
_HALO: Final = {**_LETTER, "stroke": "var(--bg)", "strokeWidth": 4, "strokeJoin": "round"}


def shortage_map(
    cells: Sequence[Mapping[str, Any]],
    rows: Sequence[str],
    marks: Mapping[str, Mark],
    *,
    ends: tuple[int, int],
) -> Spec:
    """GPUs short by row and month: pattern and letter say which step is missing, the stronger the more GPUs.

    Args:
        cells: row, from, until (ms), gpus, step, letter ("" where the step goes on), months, says (the
            step in words).
        rows: names, top first.
        marks: one per step.
        ends: first and last moment, ms.
    """
    called, y, height = named_rows(rows)
    shown = [{**cell, "row": called[cell["row"]], "weight": cell["gpus"] ** 0.5} for cell in cells]
    x = span(ends, "from")
    x["scale"] = {"type": "utc", "nice": False}  # boxes with two ends bear no domain: two points make it
    corners = [{"from": end, "row": called[rows[0]]} for end in ends]
    letters = {"data": {"values": [cell for cell in shown if cell["letter"]]}}
    place = {"x": x, "y": y, "text": {"field": "letter", "type": "nominal"}}
    layers = [
        {
            "data": {"values": corners},
            "mark": {"type": "point", "opacity": 0},
            "encoding": {"x": x, "y": y},
        },
        {"data": {"values": shown}, "mark": _BOX, "encoding": {"x": x, "y": y, **_paint(marks)}},
        {**letters, "mark": _HALO, "encoding": place},
        {**letters, "mark": _LETTER, "encoding": place},
    ]
    return layered(layers, height)


def _paint(marks: Mapping[str, Mark]) -> Spec:
    """How a box ends, looks, and what it says where a reader points."""
    patterns = {"domain": list(marks), "range": [mark.fill for mark in marks.values()]}
    tooltip = [
        {"field": "months", "type": "nominal", "title": say("at")},
        {"field": "says", "type": "nominal", "title": say("missing")},
        {"field": "gpus", "type": "quantitative", "title": say("GPUs"), "format": ",d"},
    ]
    return {
        "x2": {"field": "until"},
        "fill": {"field": "step", "type": "nominal", "legend": None, "scale": patterns},
        "fillOpacity": {
            "field": "weight",
            "type": "quantitative",
            "legend": None,
            "scale": {"range": [0.25, 1], "zero": True},
        },
        "tooltip": tooltip,
    }
