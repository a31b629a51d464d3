"""The picture of a training: days by part of a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import altair as alt

from gpufleet.base.say import say, significant, tell
from gpufleet.base.wide import wrapped
from gpufleet.models.layouts import PARTS, layout_text
from gpufleet.models.sizing import DAY_S, Course
from gpufleet.report.charts import config
from gpufleet.report.training import PART_NAMES, headline, ranked

_COLOURS: Final = {
    "gemm": "#0072b2",
    "attention": "#56b4e9",
    "other": "#9b9b9b",
    "tp": "#e69f00",
    "cp": "#f0e442",
    "ep": "#cc79a7",
    "pp": "#c9c9c9",
    "dp": "#009e73",
    "bubble": "#d55e00",
    "optimizer": "#1b1b1b",
}
"""By part: blue what computes, warm colours what waits (Okabe and Ito's, apart for all eyes)."""
_PLAIN: Final = {"--muted": "#555555", "--grid": "#e3e3e3", "--line": "#808080", "--fg": "#1b1b1b"}
_WIDTH: Final = 860


def picture(courses: Sequence[Course], *, compared: bool) -> dict[str, Any]:
    """One training, best layout and next best, or several products: one bar each, as Vega-Lite."""
    bars = list(_bars(courses, compared=compared))
    order = list(dict.fromkeys(row["row"] for row in bars))
    used = [part for part in PARTS if any(row["name"] == tell(PART_NAMES[part]) for row in bars)]
    names = [tell(PART_NAMES[part]) for part in used]
    paint = alt.Scale(domain=names, range=[_COLOURS[part] for part in used])
    base = alt.Chart(alt.InlineData(values=bars)).encode(
        y=alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=320, ticks=False, domain=False))
    )
    drawn = base.mark_bar(stroke="white", strokeWidth=0.7).encode(
        x=alt.X("days:Q", stack="zero", title=str(say("days, by part of a step"))),
        color=alt.Color("name:N", scale=paint, legend=alt.Legend(title=None, orient="bottom", columns=3)),
        order=alt.Order("rank:Q"),
    )
    total = base.mark_text(align="left", dx=5).encode(x=alt.X("total:Q"), text="label:N")
    title = wrapped(headline(ranked(courses)[0]), 100).splitlines()
    chart = (drawn + total.transform_filter("datum.rank == 0")).properties(
        width=_WIDTH, height=44 * len(order), title=alt.TitleParams(title, anchor="start", offset=14)
    )
    spec: dict[str, Any] = chart.to_dict()
    spec["config"] = _plain(config()) | {"background": "white"}
    return spec


def _bars(courses: Sequence[Course], *, compared: bool) -> Iterator[dict[str, Any]]:
    """One record for each bar and part, in days."""
    for of in ranked(courses):
        rows = [of.row] if compared or of.runner_up is None else [of.row, of.runner_up]
        for row in rows:
            tokens = float(of.options.layouts.tokens[row])
            share = of.question.budget() / tokens / DAY_S / of.finish.goodput
            parts = {name: s * share for name, s in of.options.parts_s(row).items() if s > 0}
            label = layout_text(of.options.layouts, row)
            if compared:
                label = f"{of.gpus:,} {of.options.at.product}"
            for name, days in parts.items():
                yield {
                    "row": label,
                    "name": tell(PART_NAMES[name]),
                    "days": days,
                    "rank": PARTS.index(name),
                    "total": sum(parts.values()),
                    "label": significant(sum(parts.values())),
                }


def _plain(value: Any) -> Any:
    """A specification without variables of a page's style sheet: a picture stands alone."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, str) and value.startswith("var("):
        return _PLAIN[value[4:-1]]
    return value
