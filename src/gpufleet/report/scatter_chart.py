"""Predicted against measured, one point each, as a picture that stands alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gpufleet.base.say import say
from gpufleet.report.charts import VEGA_LITE, Spec

COLOURS: Final = ("#1f5fa8", "#c8691c", "#3d8a4f", "#7a4fa3")
_SIDE_PX: Final = 420


def scatter_chart(rows: Sequence[Mapping[str, Any]], band: float = 0.2) -> Spec:
    """Points of measured and predicted tokens per second and GPU, on logarithmic axes, with a band of error.

    Args: rows: measured, predicted, group, text; band: share that is shaded around what was measured.
    """
    values = [dict(row) for row in rows]
    low = min(min(row["measured"], row["predicted"]) for row in values)
    high = max(max(row["measured"], row["predicted"]) for row in values)
    scale = {"type": "log", "domain": [low, high], "nice": False}
    line = [{"x": x, "low": x * (1 - band), "high": x * (1 + band)} for x in (low, high)]
    axis = {"tickCount": 5, "format": ",.3~s", "grid": True}
    x = {"type": "quantitative", "scale": scale, "axis": axis}
    measured = str(say("measured, tokens/s per GPU"))
    predicted = str(say("predicted, tokens/s per GPU"))
    colour = {"field": "group", "type": "nominal", "title": None, "scale": {"range": list(COLOURS)}}
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE.split('.')[0]}.json",
        "width": _SIDE_PX,
        "height": _SIDE_PX,
        "layer": [
            {
                "data": {"values": line},
                "mark": {"type": "area", "color": "#888888", "opacity": 0.15},
                "encoding": {
                    "x": {**x, "field": "x", "title": measured},
                    "y": {**x, "field": "low", "title": predicted},
                    "y2": {"field": "high"},
                },
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "opacity": 0.6, "size": 26},
                "encoding": {
                    "x": {**x, "field": "measured"},
                    "y": {**x, "field": "predicted"},
                    "color": colour,
                    "tooltip": {"field": "text", "type": "nominal"},
                },
            },
        ],
        "config": {"background": "white", "legend": {"orient": "top", "columns": 1}},
    }


def write_picture(spec: Spec, path: Path) -> None:
    """Write a chart as PNG if the name ends so, else as SVG.

    Raises: OSError if it cannot be written.
    """
    import vl_convert

    text = json.dumps(spec)
    if path.suffix == ".png":
        path.write_bytes(vl_convert.vegalite_to_png(text, scale=2))
    else:
        path.write_text(vl_convert.vegalite_to_svg(text), encoding="utf-8")
