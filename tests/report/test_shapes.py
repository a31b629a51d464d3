"""Shaping for charts: bins, groups, distributions; what is drawn is what the run holds."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.report import charts, figures, findings, frames, waits
from gpufleet.report.marks import MAX_COLOURS, tenant_marks
from gpufleet.report.page import page_of
from gpufleet.report.text import summary
from gpufleet.report.view import View
from gpufleet.report.waits import Spread
from gpufleet.report.words import short


def _rows(spec: dict[str, Any], layer: int) -> list[dict[str, Any]]:
    """Data of a layer."""
    found: list[dict[str, Any]] = spec["datasets"][spec["layer"][layer]["data"]["name"]]
    return found


@given(st.integers(1, 100_000), st.integers(1, 10**9), st.integers(1, 500))
def test_bins_are_few_and_on_the_grid(grid_s: int, span_s: int, most: int) -> None:
    width = frames.chart_width_s(grid_s, span_s, most)
    assert width % grid_s == 0
    assert -(-span_s // width) <= most


def test_nothing_is_lost_in_bins(each: Any) -> None:
    view = View(each.run)
    for kind, frame in (("busy", view.in_use), ("online", view.online), ("waiting", view.waiting)):
        whole = frames.kind(each.run, kind).get_column("gpu_s").sum() / 3_600
        assert frame.get_column("gpu_h").sum() == pytest.approx(whole)


def test_mean_of_a_cut_bin_is_over_its_own_hours(three: Any) -> None:
    grid = frames.Bins((0, 3_600), 3_600, 5_400)
    assert grid.hours().get_column("hours").to_list() == [1.0, 0.5]


def test_stack_sums_to_the_whole(report_of: Any) -> None:
    figure = next(f for f in report_of("fifteen tenants").page.figures if f.id == "in-use")
    assert figure.spec is not None
    rows = _rows(figure.spec, 0)
    assert len({row["name"] for row in rows}) == MAX_COLOURS + 1
    view = View(report_of("fifteen tenants").run)
    first = {row["time"]: 0.0 for row in rows}
    for row in rows:
        first[row["time"]] += row["value"]
    by_bin = view.in_use.group_by("t_s").agg(pl.col("gpus").sum())
    for t_s, gpus in by_bin.iter_rows():
        assert first[view.chart_ms(t_s)] == pytest.approx(gpus, abs=0.01)


def test_steps_come_down_at_the_end(three: Any) -> None:
    view = View(three.run)
    figure = figures.in_use(view)
    assert figure.spec is not None
    times = {row["time"] for row in _rows(figure.spec, 1)}
    assert max(times) == view.chart_ms(view.bins.end_s)


def test_a_tenant_looks_the_same_everywhere(three: Any) -> None:
    view = View(three.run)
    area = figures.in_use(view).spec
    dots = figures.waits_by_tenant(view).spec
    assert area is not None
    assert dots is not None
    fills = area["layer"][0]["encoding"]["fill"]["scale"]
    strokes = dots["layer"][2]["encoding"]["fill"]["scale"]
    for name, fill in zip(fills["domain"], fills["range"], strict=True):
        stroke = strokes["range"][strokes["domain"].index(name)]
        assert stroke.removeprefix("var(--").rstrip(")") in fill


def test_marks_differ_by_colour_and_pattern() -> None:
    marks = list(tenant_marks([f"t{i}" for i in range(MAX_COLOURS)]).values())
    assert len({m.colour for m in marks}) == len({m.hatch for m in marks}) == MAX_COLOURS


def test_distributions_are_exact(three: Any) -> None:
    got = waits.compared(three.run)
    assert got is not None
    both = three.run.jobs.drop_nulls(["start_s", "recorded_start_s"])
    assert got.jobs == both.height
    mine = both.get_column("start_s") - both.get_column("submit_s")
    curve = got.curves.filter(pl.col("which") == "simulated")
    for _, wait, share in curve.iter_rows():
        assert share == pytest.approx((mine <= wait).sum() / both.height)
    assert curve.height <= waits.CURVE_POINTS + 2
    assert 0 <= got.gap <= 1


def test_chart_data_stay_small(each: Any) -> None:
    for figure in each.page.figures:
        rows = sum(map(len, (figure.spec or {}).get("datasets", {}).values()))
        assert rows <= 201 * (MAX_COLOURS + 2)


def test_specs_are_fit_for_the_bundled_library() -> None:
    assert charts.VEGA_LITE.split(".")[0].isdigit()


@pytest.mark.parametrize("days", [7, 14, 28])
def test_gpus_in_use_are_means_over_the_time_that_counts(three: Any, tmp_path: Path, days: int) -> None:
    """The frames cover 14 days: a run that ends after the plan's end, at it, and before it."""
    fakes = sys.modules["report_fakes"]
    lock = {**three.run.plan, "end": f"{three.run.start + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"}
    ended_s = 14 * 86_400
    run = fakes.write_run(tmp_path, three.run.jobs, three.run.timeline, lock, ended_s=ended_s)
    counted = min(days * 86_400, ended_s)
    assert run.counted_s == counted
    sums = [
        frames.kind(run, kind).filter(pl.col("t_s") < counted).get_column("gpu_s").sum() / counted
        for kind in ("busy", "online")
    ]
    says = f"On average {short(sums[0])} of {short(sums[1])} GPUs were in use"
    assert findings.in_use(View(run)).startswith(says)
    assert says in " ".join(summary(run).split())
    assert any(figure.title.startswith(says) for figure in page_of(run).figures)


def test_states_name_the_killed_and_the_refused() -> None:
    says = findings.states({"done": 4, "killed": 397})
    assert says == "1.0 % of 401 jobs finished; 397 killed at their limit"
    assert findings.states({"done": 1, "refused": 1}) == "50 % of 2 jobs finished; 1 can never run"


def _spread(name: str, *ranks: float) -> Spread:
    return Spread(name, *ranks, 0.0)


def test_findings_follow_the_numbers() -> None:
    small, large = _spread("1 GPU", 0, 60, 90), _spread("9–64 GPUs", 0, 7_200, 9_000)
    assert findings.waits_by_size([small, large]).startswith("Larger jobs wait longer: P90 1 min at 1 GPU")
    assert findings.waits_by_size([large, small]) == "Jobs of 9–64 GPUs wait longest: P90 2 h"
    assert findings.waits_by_tenant([small, large]).startswith("9–64 GPUs waits longest")
    nothing = _spread("a", 0, 0, 0)
    assert findings.waits_by_tenant([nothing]) == "99 % of every tenant's jobs start at once"
    assert findings.waits_by_size([nothing]) == "Nine in ten jobs of every size start at once"
    assert findings.waits_by_size([]) == findings.waits_by_tenant([]) == "No job came"


@pytest.mark.parametrize(
    ("ours", "theirs", "gap", "says"),
    [
        (100, 100, 0.0, "match the recorded ones"),
        (100, 200, 0.3, "are shorter than recorded"),
        (200, 100, 0.3, "are longer than recorded"),
        (100, 101, 0.3, "differ in shape by 30 %"),
    ],
)
def test_comparison_says_which_is_longer(ours: float, theirs: float, gap: float, says: str) -> None:
    got = waits.Compared(
        10,
        0,
        _spread("simulated", 0, ours, ours),
        _spread("recorded", 0, theirs, theirs),
        pl.DataFrame(),
        gap,
        (),
    )
    assert says in findings.compared(got)
