"""Dates that lie after the plan's end: they can be meant, so that the run goes on and they are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpufleet.plan import Plan

Load = Callable[..., Plan]

PLAN = """\
gpufleet: 1
name: late
start: 2026-01-01
end: 2026-04-01
sites:
  lab: {power: [{from: 2026-01-01, value: 100 kW}, {from: 2026-02-01, value: 200 kW}], pue: 1.3}
promises:
  fifty: {for: a, gpus: 16, at: 2026-01-10, until: 2026-03-31}
deliveries:
  - {name: l1, to: lab, system: DGX B200, gpus: 8, at: 2026-01-20, for: a, counts_toward: fifty}
  - {name: l2, to: lab, system: DGX B200, gpus: 8, at: 2026-02-10, for: a, counts_toward: fifty}
retirements:
  - {from: lab, system: DGX B200, gpus: 8, at: 2026-03-01}
tenants: {a: {quota: {B200: 16}}}
workloads:
  big: {kind: campaign, queue: a, gpus: 8, duration: 1 d, at: 2026-02-10}
"""


def test_dates_inside_the_plan_are_not_told(load: Load) -> None:
    assert load(PLAN).warnings == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("gpus: 8, at: 2026-02-10, for: a", "gpus: 8, at: 2026-04-01, for: a", 11,
         "l2 (8 GPUs) comes on 2026-04-01, after the plan's end, 2026-04-01: no job can use it"),
        ("until: 2026-03-31", "until: 2027-12-31", 8, "fifty (16 GPUs) is due by 2027-12-31, after"),
        ("at: 2026-01-10, until: 2026-03-31", "at: 2026-05-01, until: 2027-12-31", 8, "never counted"),
        ("from: 2026-02-01", "from: 2026-06-01", 6, "the power of lab changes on 2026-06-01"),
        ("gpus: 8, at: 2026-03-01", "gpus: 8, at: 2026-07-01", 13, "8 DGX-B200 GPUs leave lab on 2026-07-01"),
    ],
)  # fmt: skip
def test_a_date_after_the_end_is_a_warning(load: Load, old: str, new: str, line: int, words: str) -> None:
    assert PLAN.count(old) == 1
    found = [each for each in load(PLAN.replace(old, new)).warnings if each.code == "P089"]
    assert [each.at.line for each in found if each.at] == [line]
    assert words in found[0].says
    assert found[0].severity == "warning"
    assert found[0].fix


def test_a_promise_that_is_due_at_the_end_is_inside(load: Load) -> None:
    assert load(PLAN.replace("until: 2026-03-31", "until: 2026-04-01")).warnings == ()


def test_a_lot_after_the_end_counts_nowhere_but_where_jobs_run_on(load: Load) -> None:
    stays = PLAN.replace("gpus: 8, at: 2026-03-01", "gpus: 8, at: 2026-04-03")
    late = stays.replace("gpus: 8, at: 2026-02-10, for: a", "gpus: 8, at: 2026-04-02, for: a")
    assert [each.code for each in load(late).warnings] == [
        "P018",
        "P089",
        "P089",
    ]  # a quota that is never reached
    plan = load(late.replace("tenants:", "after_end: finish\ntenants:"))
    assert [each.code for each in plan.warnings] == ["P089", "P089"]
    assert "only jobs that are left then can use it" in plan.warnings[0].says


def test_a_delivered_lot_may_be_older_than_the_plan(load: Load) -> None:
    old = PLAN.replace("gpus: 8, at: 2026-01-20", "gpus: 8, status: delivered, at: 2025-01-20")
    assert load(old).deliveries[0].status == "delivered"
