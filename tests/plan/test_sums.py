"""Sums of a plan: what adds up to what is read, held against what was published, and counts nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpufleet.plan import Plan
from gpufleet.plan.sums import Part, parts_of, total_of

Load = Callable[..., Plan]
Codes = Callable[..., list[str]]

PLAN = """\
gpufleet: 1
name: sums
start: 2026-01-01
end: 2027-01-01
sites: {lab: {}}
promises:
  half: {for: a, gpus: 64, at: 2026-01-10, until: 2026-12-31}
  rest: {for: a, gpus: 32, at: 2026-01-10, until: 2026-12-31}
deliveries:
  - {name: l1, to: lab, system: DGX B200, gpus: 48, at: 2026-02-03, for: a, counts_toward: half}
  - {name: l2, to: lab, system: DGX B200, gpus: {value: 24, range: [16, 32]}, at: 2026-02-03, for: a}
tenants: {a: {}}
workloads:
  big: {kind: campaign, queue: a, gpus: 8, duration: 1 d, at: 2026-02-10}
sums:
  both: {title: Both promises, promises: [half, rest], makes: 96}
  all: {sums: both, lots: l2, makes: 120}
  short: {lots: l1, against: half}
"""


def changed(old: str, new: str) -> str:
    """The plan with one text replaced."""
    assert PLAN.count(old) == 1, old
    return PLAN.replace(old, new)


def test_sums_are_read_and_added_up(load: Load) -> None:
    plan = load(PLAN)
    assert plan.warnings == ()
    assert list(parts_of(plan.sums, "all")) == [
        Part("lot", "l2"),
        Part("promise", "half"),
        Part("promise", "rest"),
    ]
    assert {name: total_of(plan, name) for name in plan.sums} == {"both": 96, "all": 120, "short": 48}
    assert (plan.sums["short"].makes, plan.sums["short"].against) == (None, "half")


BAD = {
    "nothing": (("{lots: l1, against: half}", "{against: half}"), "P007", 18),
    "an unknown lot": (("lots: l1", "lots: l9"), "P016", 18),
    "an unknown promise": (("against: half", "against: hlf"), "P016", 18),
    "an unknown sum": (("sums: both", "sums: boht"), "P016", 17),
    "no number": (("makes: 96", "makes: many"), "P010", 16),
    "a circle": (("makes: 96", "sums: all"), "P091", 16),
    "a lot twice": (("{lots: l1, against: half}", "{sums: all, lots: l2}"), "P092", 18),
    "a name twice": (("lots: l1", "lots: [l1, l1]"), "P020", 18),
    "a promise and its lot": (("lots: l2", "lots: [l2, l1]"), "P092", 17),
    "two promises of one lot": (("counts_toward: half", "counts_toward: [half, rest]"), "P092", 16),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_added_is_refused(codes: Codes, name: str) -> None:
    (old, new), code, line = BAD[name]
    found = codes(changed(old, new))
    assert f"{code} plan.yaml:{line}" in found
    assert {each.split()[0] for each in found} - {"P085"} == {code}  # of a circle or twice: no total is told


def test_a_wrong_sum_is_a_warning_with_numbers(load: Load) -> None:
    (found,) = load(changed("makes: 96", "makes: 100")).warnings
    assert (found.code, str(found.at)[-12:]) == ("P093", "plan.yaml:16")
    assert found.says == "both comes to 96 GPUs, not 100 (4 fewer)"
    (found,) = load(changed("makes: 96", "makes: 90")).warnings
    assert found.says == "both comes to 96 GPUs, not 90 (6 more)"
    assert load(changed("makes: 96", "makes: {value: 100, range: [90, 100]}")).warnings == ()


def test_a_changed_lot_breaks_its_sum(load: Load) -> None:
    warnings = load(PLAN, sets=["deliveries.l2.gpus=32"]).warnings
    assert [found.says for found in warnings] == ["all comes to 128 GPUs, not 120 (8 more)"]
