"""Vega-Lite charts made of layers that share a scale of time, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gpufleet.base.say import say
from gpufleet.report.charts import VEGA_LITE, Spec, config

MOST_TICKS: Final = 8
STEPS_MONTHS: Final = (1, 2, 3, 6, 12)


def month_ms(month: int) -> int:
    """First moment of a month, counted from the year 0, as a chart's time.

    >>> month_ms(12 * 1970 + 1) // 86_400_000
    31
    """
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)


def _month(ms: int) -> int:
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.year * 12 + at.month - 1


def span(ends: tuple[int, int], field: str = "time", most: int = MOST_TICKS) -> Spec:
    """A time axis between two moments, ms, with at most so many ticks, all alike far apart."""
    axis: Spec = {"title": None, "grid": False, "labelOverlap": "parity", "format": str(say("%b %Y"))}
    first, last = (_month(ms) for ms in ends)
    step = next((m for m in STEPS_MONTHS if last - first <= m * most), 12 * -(-(last - first) // (12 * most)))
    if last - first <= 1:  # within two months the day is what tells moments apart
        axis["format"] = str(say("%-d %b"))
    else:
        ticks = (month_ms(month) for month in range(first, last + 1) if month % step == 0)
        axis["values"] = [t for t in ticks if ends[0] <= t <= ends[1]]
    if step >= 12:
        axis["format"] = "%Y"
    scale = {"type": "utc", "domain": list(ends), "nice": False}
    return {"field": field, "type": "temporal", "scale": scale, "axis": axis}


def layered(layers: Sequence[Any], height: float) -> Spec:
    """A chart as wide as its place; labels beyond the last moment find room by themselves."""
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE.split('.')[0]}.json",
        "config": config(),
        "autosize": {"type": "fit-x", "contains": "padding"},
        "width": "container",
        "height": height,
        "layer": list(layers),
    }
