"""Vega-Lite charts made of layers that share a scale of time, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gpufleet.base.say import say
from gpufleet.base.wide import wrapped
from gpufleet.report.charts import ROW_PX, VEGA_LITE, Spec, config

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
    if last - first > 1:
        ticks = (month_ms(month) for month in range(first, last + 1) if month % step == 0)
        axis["values"] = [t for t in ticks if ends[0] <= t <= ends[1]]
    if step >= 12:
        axis["format"] = "%Y"
    scale = {"type": "utc", "domain": list(ends), "nice": False}
    return {"field": field, "type": "temporal", "scale": scale, "axis": axis}


LABEL_COLUMNS: Final = 22
LINE_PX: Final = 16


def named_rows(names: Sequence[str]) -> tuple[dict[str, str], Spec, float]:
    """Rows of a chart by name; long names take several lines.

    Returns: what each name is called in the field `row`, the axis, and the chart's height, px.

    >>> called, axis, height = named_rows(["lab", "no site: NVIDIA's pledge to the government"])
    >>> called["no site: NVIDIA's pledge to the government"].splitlines(), height
    (["no site: NVIDIA's", 'pledge to the', 'government'], 134.0)
    """
    called = {name: wrapped(name, LABEL_COLUMNS) or name for name in names}
    lines = max((text.count("\n") + 1 for text in called.values()), default=1)
    rows = list(called.values())
    raised = [  # a label hangs from its first line: those of several lines go up by half of the others
        {"test": f"length(split(datum.label, '\\n')) === {n}", "value": -(n - 1) * LINE_PX / 2}
        for n in range(2, lines + 1)
    ]
    axis: Spec = {"ticks": False, "domain": False, "offset": 6, "labelLimit": 0,
                  "labelExpr": "split(datum.label, '\\n')", "labelLineHeight": LINE_PX,
                  "labelOffset": {"condition": raised, "value": 0}}  # fmt: skip
    y: Spec = {"field": "row", "type": "nominal", "sort": rows, "title": None, "scale": {"domain": rows}}
    return called, {**y, "axis": axis}, float(max(ROW_PX, lines * LINE_PX + 14) * len(rows) + 10)


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
