"""Every value of the plan with unit, trust, source and line; the sources; what differs in another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpufleet.catalog.profiles import load_profile
from gpufleet.plan.load import load_plan
from gpufleet.report import inputs
from gpufleet.report.html import render_html
from gpufleet.report.page import page_of
from gpufleet.report.tables import Link
from gpufleet.results.run import Run
from gpufleet.study import simulate


@pytest.fixture
def nation(report_of: Any) -> Any:
    return report_of("nation")


def test_every_leaf_is_there_with_what_is_known_of_it(nation: Any) -> None:
    leaves = {leaf.path: leaf for leaf in inputs.leaves(nation.run)}
    power = leaves["sites.seaside.power"]
    assert (power.unit, power.trust, power.line) == ("W", "assumption", "nation.yaml:14")
    lot = leaves["deliveries.round-1.gpus"]
    assert (lot.value, lot.unit, lot.source, lot.trust) == (1048, "GPU", "press", "stated")
    assert leaves["promises.pledge-sk.for"].value == "sk"
    assert leaves["promises.pledge-sk.from"].unit == "date"
    assert leaves["actuals.1.gpus"].value == 904
    assert leaves["policy.order"].line == ""  # a default
    assert not [path for path in leaves if path.endswith(("_range", ".source", ".trust"))]


def test_each_source_opens_its_row(nation: Any) -> None:
    page = nation.page
    assert page.cited is not None
    assert page.cited.ids == ("source-1", "source-2")
    cells = [cell for row in page.inputs.rows for cell in row if isinstance(cell, Link)]
    assert {cell.to for cell in cells} == {"source-1", "source-2"}
    uses = {row[0]: row[4] for row in page.cited.rows}
    assert sum(uses.values()) == len(cells)
    assert "https://example.org/press" in nation.seen.text  # as text: nothing is opened


def test_a_profile_has_its_own_source_and_trust(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        "gpufleet: 1\nname: made-up\nstart: 2026-01-05\nend: 2026-01-07\nsites: {lab: {}}\n"
        "deliveries: [{to: lab, system: DGX B200, gpus: 64, at: 2026-01-05}]\ntenants: {a: {}}\n"
        "workloads: {w: {kind: profile, profile: philly, queue: a, load: 0.1}}\n"
    )
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    leaf = {leaf.path: leaf for leaf in inputs.leaves(run)}["profiles.philly"]
    profile = load_profile("philly")
    assert (leaf.value, leaf.trust) == (profile.title, profile.trust)
    assert leaf.line == "catalog/profiles/philly.json"
    cited = inputs.cited(run)
    assert cited is not None
    ((name, title, address, _, uses, note),) = cited.rows
    assert (name, title, address) == ("profile philly", profile.title, profile.source)
    assert (uses, note) == (1, profile.made_by)
    waits = next(each for each in run.ledger["entries"] if each["name"] == "wait_p90_s" and not each["by"])
    assert "profile philly" in waits["source"]  # what jobs did rests on what they are like
    assert profile.title in render_html(run)


def test_a_system_of_the_catalogue_brings_its_source(nation: Any) -> None:
    leaves = {leaf.path: leaf for leaf in inputs.leaves(nation.run)}
    rack = leaves["systems.GB200-NVL72.rack_power"]
    assert rack.trust in ("confirmed", "partly")
    assert rack.source


def test_a_large_plan_is_cut_with_a_word(nation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = len(list(inputs.leaves(nation.run)))
    monkeypatch.setattr(inputs, "MAX_INPUTS", 10)
    table = inputs.inputs(nation.run)
    assert table is not None
    assert len(table.rows) == 10
    assert table.caption == f"The first 10 of {whole:,} values of the plan; plan.lock.yaml has all"


# --- another run


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The nation with one lot a year later."""
    plan = load_plan(Path(__file__).with_name("nation.yaml"), scenarios=["lot-late"])
    return simulate(plan, out=tmp_path_factory.mktemp("late") / "late")


def test_what_differs_is_listed_with_before_and_after(nation: Any, late: Run) -> None:
    beside = page_of(late, nation.run).against
    assert beside is not None
    assert beside.plan is not None
    assert [row[0] for row in beside.plan.rows] == ["deliveries.ulsan-1.at", "deliveries.ulsan-1.at_range"]
    rows = {row[0]: row for row in beside.headlines.rows}
    assert rows["GPUs at the plan's end (step online)"][3] == "no change"
    before, after = (run.measure("waiting_gpu_h") for run in (nation.run, late))
    assert (before == after) == (rows["GPU-hours waited for"][3] == "no change")
    assert beside.plan.rows[0][1:] == ("2027-06-01", "2028-06-01")
    assert {figure.id for figure in beside.figures} == {"against-online", "against-waiting"}
    online = beside.figures[0]
    apart = {row[0]: row[1] - row[2] for row in online.table.rows}
    assert apart["2027-12"] == 2_592 - 0
    assert apart["2030-12"] == 0


def test_a_run_against_itself_differs_in_nothing(nation: Any) -> None:
    beside = page_of(nation.run, nation.run).against
    assert beside is not None
    assert beside.plan is beside.measures is None
    assert {row[3] for row in beside.headlines.rows} == {"no change"}
    assert beside.figures[0].title == "The same GPUs are online in every month"


def test_only_the_page_that_is_asked_for_has_another_run(nation: Any, late: Run) -> None:
    assert 'id="against"' not in nation.html
    html = render_html(late, other=nation.run)
    assert "scenario lot-late" in html
    assert "scenario" not in nation.page.variant
    assert 'id="against"' in html
    assert len(html.encode()) <= 3_000_000


def test_two_plans_side_by_side_are_told_at_the_top(report_of: Any) -> None:
    run, other = report_of("nation").run, report_of("three tenants").run
    html = render_html(run, other=other)
    says = f"These are two different plans, {other.plan['name']} and nation: what differs is not"
    assert says in html[: html.index('class="answer"')]
    same = page_of(run, run).against
    assert same is not None
    assert same.note == ""
