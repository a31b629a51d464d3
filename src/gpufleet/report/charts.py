"""Altair specifications of the report's charts: frames in, Vega-Lite dictionaries out.

Colours are CSS variables. A chart has no title of its own: its finding and its subtitle are text of the page,
where they wrap on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import polars as pl

from gpufleet.base.language import spoken
from gpufleet.base.say import say
from gpufleet.report.marks import Mark

Spec = dict[str, Any]

VEGA_LITE: Final = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
"""Version of Vega-Lite that the specifications are written in."""

ROW_PX: Final = 30
WAIT_TICKS_S: Final = (0, 60, 600, 3_600, 21_600, 86_400, 604_800, 2_592_000, 31_536_000)
_KOREAN: Final = "'Noto Sans KR', 'Noto Sans CJK KR'"
_JAPANESE: Final = "'Noto Sans JP', 'Noto Sans CJK JP'"
_LARGE: Final = {"ko": (("조", 12), ("억", 8), ("만", 4)), "ja": (("兆", 12), ("億", 8), ("万", 4))}
"""How numbers on an axis count: unit and its power of ten."""

CONFIG: Final[Spec] = {
    "font": f"system-ui, 'Noto Sans', {_KOREAN}, {_JAPANESE}, sans-serif",
    "background": "transparent",
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--grid)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "labelLimit": 220,
        "labelSeparation": 12,
    },
    "text": {"color": "var(--fg)", "fontSize": 13},
    "rule": {"color": "var(--line)"},
}


def config() -> Spec:
    """Looks of every chart. A character may be drawn differently in Japanese than in Korean: fonts follow."""
    if spoken() != "ja":
        return CONFIG
    return {**CONFIG, "font": f"system-ui, 'Noto Sans', {_JAPANESE}, {_KOREAN}, sans-serif"}


def number_labels() -> str:
    """Labels of an axis of numbers, as a Vega expression: 20,000 or 2만 or 2万."""
    plain = "format(datum.value, ',')"
    for unit, power in reversed(_LARGE.get(spoken(), ())):
        large = f"format(datum.value / 1e{power}, ',') + '{unit}'"
        plain = f"abs(datum.value) >= 1e{power} ? {large} : {plain}"
    return plain


def _wait_labels() -> str:
    """Labels of an axis of waits, as a Vega expression."""
    minutes, hours, days = (f"' + {value} + '" for value in (
        "datum.value / 60", "datum.value / 3600", "format(datum.value / 86400, ',')"
    ))  # fmt: skip
    return (
        f"datum.value < 60 ? '0' : datum.value < 3600 ? '{say('{m} min', m=minutes)}' : "
        f"datum.value < 86400 ? '{say('{h} h', h=hours)}' : '{say('{d} d', d=days)}'"
    )


def _finished(chart: Any, height: int) -> Spec:
    sized = chart.properties(width="container", height=height)
    spec: Spec = sized.to_dict()
    spec["config"] = config()
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def _chart(frame: pl.DataFrame) -> Any:
    return alt.Chart(alt.InlineData(values=frame.to_dicts()))


def _numbers(**more: Any) -> Any:
    """Axis of numbers."""
    return alt.Axis(labelExpr=number_labels(), **more)


def _paint(marks: Sequence[Mark], *, line: bool = False) -> Any:
    paints = [m.stroke if line else m.fill for m in marks]
    return alt.Scale(domain=[m.name for m in marks], range=paints)


def _time(frame: pl.DataFrame) -> Any:
    """Time axis; the format says no more than the span needs."""
    times = [int(t) for t in frame.get_column("time")]
    days = (max(times) - min(times)) / 86_400_000
    form = say("%-d %b %H:%M") if days <= 3 else say("%-d %b") if days <= 400 else say("%b %Y")
    axis = alt.Axis(title=None, grid=False, labelOverlap="greedy", tickCount=8, format=str(form))
    return alt.X("time:T", scale=alt.Scale(type="utc"), axis=axis)


def _when() -> Any:
    return alt.Tooltip("label:N", title=str(say("from")))


def steps(
    frame: pl.DataFrame,
    marks: Sequence[Mark],
    *,
    unit: str,
    ceiling: pl.DataFrame | None = None,
    end_ms: int | None = None,
) -> Spec:
    """Stacked steps over time, with an optional line above them.

    Args:
        frame: columns time (ms), label, name, value, rank; every name at every time, the last time twice.
        marks: one per name.
        unit: title of the value axis.
        ceiling: columns time, label, value: drawn as a dark step line.
        end_ms: where the plan ends, if the chart goes on beyond it.
    """
    layers = []
    x = _time(ceiling if ceiling is not None else frame)
    if not frame.is_empty():
        layers.append(_areas(frame, marks, unit, x))
    if ceiling is not None:
        line = _chart(ceiling).mark_line(interpolate="step-after", stroke="var(--fg)", strokeWidth=2)
        layers.append(line.encode(x=x, y=alt.Y("value:Q", title=str(unit), axis=_numbers(tickCount=5))))
    if end_ms is not None:
        layers += _end_rule(end_ms, x)
    return _finished(alt.layer(*layers), 280)


def _areas(frame: pl.DataFrame, marks: Sequence[Mark], unit: str, x: Any) -> Any:
    area = _chart(frame).mark_area(interpolate="step-after", stroke="var(--bg)", strokeWidth=0.5)
    value = alt.Tooltip("value:Q", title=str(unit), format=",.4~r")
    return area.encode(
        x=x,
        y=alt.Y("value:Q", title=str(unit), stack="zero", axis=_numbers(tickCount=5)),
        fill=alt.Fill("name:N", scale=_paint(marks), legend=None),
        order=alt.Order("rank:Q"),
        tooltip=[_when(), alt.Tooltip("name:N", title=" "), value],
    )


def _end_rule(end_ms: int, x: Any) -> list[Any]:
    base = _chart(pl.DataFrame({"time": [end_ms], "says": [str(say("plan ends"))]})).encode(x=x)
    rule = base.mark_rule(stroke="var(--fg)", strokeDash=[4, 4])
    text = base.mark_text(baseline="bottom", y=-3).encode(text="says:N")
    return [rule, text]


def _wait_axis(longest_s: float) -> Any:
    ticks = [t for t in WAIT_TICKS_S if t <= max(longest_s, 60)]
    axis = alt.Axis(values=ticks, labelExpr=_wait_labels(), title=None, labelOverlap="greedy")
    scale = alt.Scale(type="symlog", constant=60, domain=[0, max(longest_s * 1.5, 60)], nice=False)
    return axis, scale


def spreads(frame: pl.DataFrame, marks: Sequence[Mark]) -> Spec:
    """P50, P90 and P99 of a wait, one row per group, shapes apart from colour.

    Args:
        frame: columns name, paint, p50_s, p90_s, p99_s, label; in the order of the rows.
        marks: one per name; their stroke paints the row's points.
    """
    order = frame.get_column("name").to_list()
    axis, scale = _wait_axis(max(float(wait) for wait in frame.get_column("p99_s")))
    base = _chart(frame).encode(y=_groups("name", order))
    rule = base.mark_rule(strokeWidth=2).encode(x=alt.X("p50_s:Q", axis=axis, scale=scale), x2="p99_s:Q")
    p99 = alt.X("p99_s:Q", axis=axis, scale=scale)
    label = base.mark_text(align="left", dx=10).encode(x=p99, text="label:N")
    waits = [alt.Tooltip(f"p{p}:N", title=f"P{p}") for p in (50, 90, 99)]
    tooltip = [alt.Tooltip("name:N", title=" "), *waits]
    look: Spec = {"size": 90, "filled": True, "opacity": 1, "stroke": "var(--fg)", "strokeWidth": 0.7}
    points = [
        base.mark_point(shape=shape, **look).encode(
            x=alt.X(f"{column}:Q", axis=axis, scale=scale),
            fill=alt.Fill("name:N", scale=_paint(marks, line=True), legend=None),
            tooltip=tooltip,
        )
        for column, shape in (("p50_s", "circle"), ("p90_s", "diamond"), ("p99_s", "triangle-up"))
    ]
    return _finished(alt.layer(rule, label, *points), ROW_PX * len(order) + 10)


def _groups(column: str, order: Sequence[str]) -> Any:
    """Rows of a chart, one per group, in the given order."""
    axis = alt.Axis(ticks=False, domain=False, offset=10)
    return alt.Y(f"{column}:N", sort=list(order), title=None, axis=axis)


def bars(frame: pl.DataFrame, marks: Sequence[Mark], *, unit: str) -> Spec:
    """Stacked horizontal bars, one row per group, a label with the row's sum at its end.

    Args:
        frame: columns row, name, value, rank, text (the sum's label, on one segment per row, else ""), total.
        marks: one per name.
        unit: title of the value axis.
    """
    order = list(dict.fromkeys(frame.get_column("row").to_list()))
    longest = max(float(total) for total in frame.get_column("total"))
    letters = max(len(text) for text in frame.get_column("text"))  # room for the label, on a phone too
    scale = alt.Scale(domain=[0, longest * (1.05 + 0.035 * letters) or 1.0], nice=False)
    base = _chart(frame).encode(y=_groups("row", order))
    bar = base.mark_bar(stroke="var(--bg)", strokeWidth=0.5, height={"band": 0.7}).encode(
        x=alt.X("value:Q", title=str(unit), stack="zero", scale=scale, axis=_numbers(tickCount=4)),
        fill=alt.Fill("name:N", scale=_paint(marks), legend=None),
        order=alt.Order("rank:Q"),
        tooltip=[
            alt.Tooltip("row:N", title=" "),
            alt.Tooltip("name:N", title="  "),
            alt.Tooltip("value:Q", title=str(unit), format=",.4~r"),
        ],
    )
    label = base.mark_text(align="left", dx=5).encode(x=alt.X("total:Q", scale=scale), text="text:N")
    return _finished(bar + label, ROW_PX * len(order) + 10)


def shares(frame: pl.DataFrame) -> Spec:
    """Share of one per row: a filled bar inside an outline that stands for 100 %.

    Args:
        frame: columns row, value (0..1), text.
    """
    order = frame.get_column("row").to_list()
    scale = alt.Scale(domain=[0, 1.12], nice=False)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1], title=None)
    base = _chart(frame).encode(y=_groups("row", order))
    whole = base.mark_bar(fill="none", stroke="var(--line)", height={"band": 0.6}).encode(
        x=alt.X(datum=0, type="quantitative", scale=scale, axis=axis), x2=alt.X2Datum(1)
    )
    bar = base.mark_bar(fill="var(--grey-1)", height={"band": 0.6}).encode(
        x=alt.X("value:Q", scale=scale, axis=axis, stack=None),
        tooltip=[alt.Tooltip("row:N", title=" "), alt.Tooltip("text:N", title=str(say("in use")))],
    )
    label = base.mark_text(align="left", dx=5).encode(x=alt.X("value:Q", scale=scale), text="text:N")
    return _finished(alt.layer(whole, bar, label), ROW_PX * len(order) + 10)


def curves(frame: pl.DataFrame, longest_s: float) -> Spec:
    """Two distributions as step curves: recorded solid and broad, simulated dashed on top.

    Args:
        frame: columns which (simulated|recorded), wait_s, share, text.
        longest_s: right end of the axis, s.
    """
    axis, scale = _wait_axis(longest_s)
    x = alt.X("wait_s:Q", axis=axis, scale=scale)
    y = alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1]))
    tooltip = [
        alt.Tooltip("name:N", title=" "),
        alt.Tooltip("share:Q", title=str(say("share of jobs")), format=".1%"),
        alt.Tooltip("text:N", title=str(say("wait at most"))),
    ]
    looks: list[tuple[str, str, Spec]] = [
        (
            "recorded",
            str(say("recorded")),
            {"stroke": "var(--grey-2)", "strokeWidth": 6, "strokeCap": "butt"},
        ),
        ("simulated", str(say("simulated")), {"stroke": "var(--fg)", "strokeWidth": 2, "strokeDash": [6, 3]}),
    ]
    lines = [
        _chart(frame.filter(pl.col("which") == which).with_columns(name=pl.lit(name)))
        .mark_line(interpolate="step-after", **look)
        .encode(x=x, y=y, tooltip=tooltip)
        for which, name, look in looks
    ]
    return _finished(alt.layer(*lines), 260)


def strips(frame: pl.DataFrame, order: Sequence[str], *, unit: str) -> Spec:
    """One strip per group over time, the stronger the more: for more groups than colours.

    Args:
        frame: columns time, until (ms), label, name, value.
        order: names, top first.
        unit: of the values.
    """
    rect = (
        _chart(frame)
        .mark_rect(fill="var(--grey-1)")
        .encode(
            x=_time(frame),
            x2="until:T",
            y=_groups("name", order),
            fillOpacity=alt.FillOpacity("value:Q", scale=alt.Scale(range=[0, 1], zero=True), legend=None),
            tooltip=[
                _when(),
                alt.Tooltip("name:N", title=" "),
                alt.Tooltip("value:Q", title=str(unit), format=",.4~r"),
            ],
        )
    )
    return _finished(rect, 24 * len(order) + 10)
