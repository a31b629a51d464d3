"""Campaigns and trainings in the report: planned beside simulated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpufleet.plan.load import load_plan
from gpufleet.report.campaigns import campaigns, summary_rows
from gpufleet.report.html import render_html
from gpufleet.report.view import View
from gpufleet.results.run import Run
from gpufleet.study import simulate

PLAN = """\
gpufleet: 1
name: team
start: 2027-01-01
end: 2027-03-01
sites: {lab: {}}
deliveries:
  - {to: lab, system: DGX B200, gpus: 64, at: 2027-01-01}
tenants: {team: {}, others: {}}
"""
BLOCK = "  block: {kind: campaign, queue: others, gpus: 64, duration: 10 d, at: 2027-01-01}\n"
SWEEP = (
    "  sweep: {kind: campaign, queue: others, gpus: 8, duration: 1 d, at: 2027-02-20, tasks: 4, at_once: 2}\n"
)
TRAINED = """\
  sovereign: {kind: training, model: llama-3-8b, tokens: 500B, queue: team, products: B200, gpus: 64,
              at: 2027-01-02, phases: {ablations: {jobs: 4, gpus: 16}}}
"""
Made = Callable[[str], Run]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    def make(workloads: str) -> Run:
        folder = tmp_path_factory.mktemp("campaigns")
        (folder / "plan.yaml").write_text(f"{PLAN}workloads:\n{workloads}")
        return simulate(load_plan(folder / "plan.yaml"), out=folder / "run")

    return make


def test_a_training_that_waits_is_later_than_planned(made: Made) -> None:
    run = made(BLOCK + SWEEP + TRAINED)
    figure = campaigns(View(run))
    assert figure is not None
    assert figure.table is not None
    assert figure.title.startswith(
        "3 of 3 campaigns and trainings are done; sovereign is 8 d 23 h later than planned"
    )
    assert "nothing fails in the run" in str(figure.note)
    rows = {row[0]: row for row in figure.table.rows}
    assert list(rows) == ["block", "sweep", "sovereign/ablations", "sovereign/pre-training"]
    assert rows["block"][8] == rows["sweep"][8] == 0  # later by: all four of the sweep, two at a time
    assert rows["sweep"][1:3] == (4, 8)
    assert 8 * 86_400 < rows["sovereign/ablations"][8] < 9.01 * 86_400
    told = [row[0] for row in summary_rows(View(run))]
    assert told == ["training", "sovereign/ablations", "sovereign/pre-training"]
    page = render_html(run)
    assert '<h2 id="campaigns">' in page
    assert "sovereign/pre-training" in page


def test_what_is_not_done_is_told(made: Made) -> None:
    run = made(BLOCK.replace("10 d", "90 d") + TRAINED)
    figure = campaigns(View(run))
    assert figure is not None
    assert figure.table is not None
    rows = {row[0]: row for row in figure.table.rows}
    assert figure.title.startswith("0 of 2 campaigns and trainings are done")
    assert [rows[name][6:9] for name in ("sovereign/ablations", "sovereign/pre-training")] == 2 * [
        (None,) * 3
    ]


def test_without_campaigns_there_is_no_section(made: Made) -> None:
    run = made("  daily: {kind: profile, profile: philly, load: 0.1, queue: team, to: 2027-01-05}\n")
    assert campaigns(View(run)) is None
    assert 'id="campaigns"' not in render_html(run)
