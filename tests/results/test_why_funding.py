"""Why of a budget: what it pays, what it owes, who waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpufleet.plan.load import load_plan
from gpufleet.results.run import Run
from gpufleet.study import simulate

PLAN = """\
gpufleet: 1
name: wait
start: 2026-01-01
end: 2029-01-01
sites: {lab: {}}
deliveries:
  - {name: a, to: lab, system: DGX H100, gpus: 16, at: 2026-03-01}
  - {name: b, to: lab, system: DGX H100, gpus: 16, at: 2026-06-01}
  - {name: c, to: lab, system: DGX H100, gpus: 32, at: 2026-07-01}
tenants: {t: {}}
money:
  currency: USD
  payers: {state: {}}
  funding: {chips: {payer: state, when_short: WHEN, ceilings: {2026: 700 kUSD, 2027: 700 kUSD}}}
  costs: {servers: {kind: hardware, price: 300 kUSD/node, paid_by: chips}}
"""


def run_of(folder: Path, when: str) -> Run:
    (folder / "plan.yaml").write_text(PLAN.replace("WHEN", when), encoding="utf-8")
    return simulate(load_plan(folder / "plan.yaml"), out=folder / "run")


def test_who_waits(tmp_path: Path) -> None:
    why = run_of(tmp_path, "wait").why("chips")
    assert str(why).splitlines() == [
        "budget chips never pays for 32 GPUs that wait",
        "  money of state; pays for servers; plan.yaml:14",
        "  2026: 700 kUSD there, 600 kUSD falls due, 600 kUSD paid, 0 USD owed at its end",
        "  2027: 700 kUSD there, 600 kUSD falls due, 600 kUSD paid, 0 USD owed at its end",
        "  b: 16 GPUs wait for it until 2027-01-01 (plan.yaml:8)",
        "  c: 32 GPUs wait for it, and never come (plan.yaml:9)",
    ]


def test_what_it_owes(tmp_path: Path) -> None:
    why = run_of(tmp_path, "owe").why("money.funding.chips")
    assert str(why).startswith("budget chips lacks 1.7 MUSD at the end of 2026; first in 2026\n")
    data = why.to_json()
    assert data["schema"] == "gpufleet.why-funding/1"
    assert [row["owed"] for row in data["years"]] == [170_000_000, 100_000_000, 100_000_000]  # cents
    assert data["waiting"] == []


@pytest.mark.parametrize("when", ["owe", "wait"])
def test_the_page_names_the_budget(tmp_path: Path, when: str) -> None:
    from gpufleet.report.html import render_html

    text = render_html(run_of(tmp_path, when), "en")
    assert ("chips lacks" in text) == (when == "owe")
    assert ("waits for money of chips" in text) == (when == "wait")
