"""Who shared what, on the page and in the terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gpufleet.base.language import speaking
from gpufleet.plan.load import load_plan
from gpufleet.report.html import render_html
from gpufleet.report.page import page_of
from gpufleet.report.text import summary
from gpufleet.results.run import Run
from gpufleet.study import simulate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return simulate(load_plan(ROOT / "plans/kueue-cohort"), out=tmp_path_factory.mktemp("runs") / "shared")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    plan = load_plan(ROOT / "plans/kueue-cohort", scenarios=["no-lending"])
    return simulate(plan, out=tmp_path_factory.mktemp("runs") / "alone")


def test_the_table_has_each_tenant_with_its_measures(run: Run) -> None:
    with speaking("en"):
        page = page_of(run)
    assert page.shared_table is not None
    rows = {row[0]: row[1:] for row in page.shared_table.rows}
    assert list(rows) == ["llm", "vision", "serving"]
    for tenant, (own, used, borrowed, lent, got, lost, waited) in rows.items():
        assert own == run.measure("own_quota_gpu_h", tenant=tenant)
        assert used == run.measure("busy_gpu_h", tenant=tenant)
        assert borrowed == run.measure("borrowed_gpu_h", tenant=tenant)
        assert lent == run.measure("lent_gpu_h", tenant=tenant)
        assert got == (run.measure("taken_gpus", tenant=tenant) or 0)
        assert lost == (run.measure("lost_gpu_h", tenant=tenant) or 0)
        assert waited == run.measure("waiting_gpu_h", tenant=tenant)


def test_charts_hold_what_the_ledger_holds(run: Run) -> None:
    with speaking("en"):
        shared, preempted = page_of(run).shared
    assert shared.title == "llm borrowed most, 1,280 GPU-hours; serving lent most, 1,280"
    assert [panel.title for panel in shared.panels] == ["llm", "vision", "serving"]
    for panel in shared.panels:
        values = panel.spec["data"]["values"]
        hours = (values[1]["time"] - values[0]["time"]) / 3_600_000
        of = run.quotas.filter(name=panel.title)
        for field, column in (("borrowed", "borrowed_gpu_h"), ("lent", "lent_gpu_h")):
            drawn = sum(value[field] for value in values[:-2]) * hours
            assert drawn == pytest.approx(of[column].sum(), abs=30)  # the last bin may be shorter
    assert preempted.title == "13 preemptions cost 34.2 GPU-hours of work, of 4,440 in use"
    assert [row[1:3] for row in preempted.table.rows] == [
        ("InCohortReclamation", 11), ("InCohortFairSharing", 2),
    ]  # fmt: skip


def test_nobody_borrows_where_nobody_lends(alone: Run) -> None:
    with speaking("en"):
        page = page_of(alone)
        assert "Nobody borrowed: every queue kept to its own quota" in summary(alone)
    assert [figure.id for figure in page.shared] == ["shared"]  # no preemption
    assert alone.measure("borrowed_gpu_h") == alone.measure("lent_gpu_h") == 0


@pytest.mark.parametrize("language", ["en", "ko", "ja"])
def test_the_section_stands_in_every_language(run: Run, language: str) -> None:
    html = render_html(run, language)
    assert 'id="sharing"' in html
    assert 'href="#sharing"' in html
    section = html[html.index('id="sharing"') : html.index('id="limits"')]
    if language != "en":
        words = re.sub(r"<[^>]*>|\w+_gpu_h", " ", section)
        assert not re.search(r"borrowed|lent to|own quota", words)
    specs = json.loads(re.search(r'id="specs">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    assert {"shared-1", "shared-2", "shared-3", "preempted"} <= set(specs)


def test_the_terminal_says_who_borrowed(run: Run) -> None:
    with speaking("en"):
        text = summary(run)
    assert re.search(r"^serving +2,310 +306 +0 +1,280 +0$", text, re.MULTILINE)
