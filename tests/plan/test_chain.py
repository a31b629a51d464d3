"""The chain of lots: dates worked by hand, laws, and what is wrong with a plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError, Place
from gpufleet.plan import Plan
from gpufleet.plan.chain import STEPS, LeadTimes, Milestone, Needs
from gpufleet.plan.chain_times import NEVER, Times, circle_of, fails_at
from gpufleet.plan.chain_walk import Reached, reached_at, walk
from gpufleet.plan.load import load_plan
from gpufleet.plan.supply import Delivery

HEAD = """\
gpufleet: 1
name: test
start: 2026-01-01
end: 2027-06-01
sites: {hall: {}}
tenants: {research: {}}
"""


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[[str], Plan]:
    def load(text: str) -> Plan:
        path = tmp_path / "plan.yaml"
        path.write_text(HEAD + text)
        return load_plan(path)

    return load


def days(steps: tuple[Reached, ...]) -> dict[str, str]:
    return {each.step: f"{each.at:%Y-%m-%d} {each.cause}" for each in steps if each.at}


def test_a_chain_worked_by_hand(plan_of: Callable[[str], Plan]) -> None:
    """Budget on 1 February, a tender of 60 days that fails once and is held again after 30: 2 May.

    Late: 1 April + 90 + 2 x 30 days = 29 August. Early: 15 January + 50 days = 6 March.
    """
    plan = plan_of("""
milestones:
  money: {kind: budget, at: {value: 2026-02-01, range: [2026-01-15, 2026-04-01]}}
  tender: {kind: tender, after: money, takes: {value: 60 d, range: [50 d, 90 d]},
           fails: {value: 1, range: [0, 2]}, repeat_after: 30 d}
deliveries:
  - {name: lot, to: hall, system: DGX B200, gpus: 64, ordered: 2026-01-10,
     needs: {ordered: tender},
     lead_times: {made: 20 d, shipped: 0 s, delivered: 10 d, installed: 7 d, accepted: 0 s}}
""")
    value, late, early = plan.chains["lot"]
    assert days(value) == {
        "ordered": "2026-05-02 milestone",
        "made": "2026-05-22 lead",
        "shipped": "2026-05-22 before",
        "delivered": "2026-06-01 lead",
        "installed": "2026-06-08 lead",
        "accepted": "2026-06-08 before",
    }
    lot = plan.deliveries[0]
    assert (lot.at, lot.ready) == (at("2026-06-01"), at("2026-06-08"))
    assert reached_at(late, "ordered") == at("2026-08-29")
    assert reached_at(early, "ordered") == at("2026-03-06")
    assert lot.ready_range == (at("2026-04-12"), at("2026-10-05"))


def test_what_is_stated_is_not_made_earlier_and_what_has_come_waits_for_nothing(
    plan_of: Callable[[str], Plan],
) -> None:
    plan = plan_of("""
milestones: {grid: {kind: grid, at: 2026-09-01}}
lead_times: {default: {installed: 30 d}, DGX B200: {installed: 10 d}}
deliveries:
  - {name: first, to: hall, system: DGX B200, gpus: 8, at: 2026-03-01, steps: {installed: 2026-03-20}}
  - {name: held, to: hall, system: DGX H100, gpus: 8, at: 2026-03-01, needs: {installed: grid}}
  - {name: here, to: hall, system: DGX H100, gpus: 8, at: 2026-01-01, status: online,
     needs: {installed: grid}}
""")
    assert days(plan.chains["first"][0])["installed"] == "2026-03-20 date"
    assert days(plan.chains["held"][0])["installed"] == "2026-09-01 milestone"
    assert days(plan.chains["here"][0])["accepted"] == "2026-01-01 before"
    assert [lot.at for lot in plan.deliveries[:2]] == [at("2026-03-01")] * 2


def test_a_lot_without_a_date_takes_the_usual_times(plan_of: Callable[[str], Plan]) -> None:
    from gpufleet.catalog.lead_times import lead_times

    plan = plan_of("deliveries: [{to: hall, system: DGX B200, gpus: 8, ordered: 2026-02-01}]")
    usual_s = sum(each.seconds for step, each in lead_times().items() if step in STEPS)
    assert plan.deliveries[0].ready == at("2026-02-01") + timedelta(seconds=usual_s)
    assert not plan_of("deliveries: [{to: hall, system: DGX B200, gpus: 8, at: 2026-02-01}]").chains


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("milestones: {a: {after: b, takes: 1 d}, b: {after: a, takes: 1 d}}", "P201", "a, b, a wait for"),
        ("milestones: {a: {kind: grid}}", "P200", "neither `at` nor `after`"),
        ("milestones: {a: {at: 2026-02-01, after: a}}", "P200", "both `at` and `after`"),
        ("milestones: {a: {at: 2026-02-01, takes: 3 d}}", "P200", "`takes` and no `after`"),
        ("milestones: {a: {at: 2026-02-01, fails: 3}}", "P200", "`fails` and no `repeat_after`"),
        ("milestones: {a: {at: 2026-02-01}}\nlead_times: {DGX B2000: {made: 3 d}}", "C001", "DGX B2000"),
        ("lead_times: {default: {made: -3 d}}", "P011", "must be 0 or more"),
    ],
)
def test_bad_milestones(plan_of: Callable[[str], Plan], text: str, code: str, says: str) -> None:
    with pytest.raises(GpufleetError) as error:
        plan_of(f"deliveries: [{{to: hall, system: DGX B200, gpus: 8, at: 2026-02-01}}]\n{text}")
    assert any(code == each.code and says in str(each.says) for each in error.value.findings), error.value


def test_lots_name_milestones_that_are_there(plan_of: Callable[[str], Plan]) -> None:
    with pytest.raises(GpufleetError) as error:
        plan_of("""
milestones: {grid-2: {at: 2026-05-01}}
deliveries:
  - {to: hall, system: DGX B200, gpus: 8, at: 2026-02-01, needs: {installed: grid2}}
  - {to: hall, system: DGX B200, gpus: 8}
""")
    assert [each.code for each in error.value.findings] == ["P016", "P007"]
    assert "grid-2" in str(error.value.findings[0].fix)


def test_a_lot_that_is_delivered_waits_for_its_hall(plan_of: Callable[[str], Plan]) -> None:
    """It waits no more for what comes before the delivery; what comes after it is still to be done."""
    plan = plan_of("""
milestones: {grid: {kind: grid, at: 2026-09-01}}
lead_times: {default: {made: 90 d, installed: 30 d}}
deliveries:
  - {name: here, to: hall, system: DGX H100, gpus: 8, at: 2026-03-01, status: delivered, ordered: 2026-02-01,
     needs: {shipped: grid}}
  - {name: dark, to: hall, system: DGX H100, gpus: 8, at: 2026-03-01, status: delivered,
     needs: {installed: grid}}
""")
    assert days(plan.chains["here"][0])["delivered"] == "2026-03-01 date"
    assert days(plan.chains["here"][0])["installed"] == "2026-03-31 lead"
    assert days(plan.chains["dark"][0])["installed"] == "2026-09-01 milestone"


def test_dates_that_do_not_hold_are_told(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("""
milestones: {grid: {kind: grid, at: 2026-09-01}}
deliveries:
  - name: early
    to: hall
    system: DGX B200
    gpus: 8
    at: 2026-03-01
    lead_times: {installed: 30 d}
    steps: {installed: 2026-03-10, accepted: 2026-03-20}
  - {name: held, to: hall, system: DGX B200, gpus: 8, at: 2026-03-01, needs: {installed: grid},
     steps: {installed: 2026-03-10}}
""")
    found = [(str(each.at), str(each.says)) for each in plan.warnings if each.code == "P202"]
    assert found == [
        ("plan.yaml:16", "early: installed on 2026-03-10 as written; it is delivered on 2026-03-01, and "
         "30 d later is 2026-03-31"),
        ("plan.yaml:16", "early: accepted on 2026-03-20 as written; it is installed on 2026-03-31 only"),
    ]  # fmt: skip


def test_a_building_takes_what_is_usual(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("""
milestones: {ground: {kind: building, at: 2024-01-01}, hall: {kind: building, after: ground}}
deliveries:
  - {name: lot, to: hall, system: DGX B200, gpus: 8, at: 2026-02-01, needs: {installed: hall}}
""")
    assert plan.deliveries[0].ready == at("2024-01-01") + timedelta(days=822)
    assert plan.deliveries[0].ready_range == (at("2026-04-02"), at("2024-01-01") + timedelta(days=1157))
    assert any("hall takes" in note for note in plan.notes)


def test_a_tender_is_drawn_from_the_seed_unless_it_is_stated(plan_of: Callable[[str], Plan]) -> None:
    text = """
milestones:
  a: {kind: tender, at: 2026-02-01, p_success: 0.3, repeat_after: 30 d%s}
  b: {kind: tender, at: 2026-02-01, p_success: 0.3, repeat_after: 30 d}
deliveries: [{name: lot, to: hall, system: DGX B200, gpus: 8, at: 2026-02-01, needs: {installed: a}}]
"""
    plan, again, stated = plan_of(text % ""), plan_of(text % ""), plan_of(text % ", fails: 7")
    fails = {name: each.fails for name, each in plan.milestones.items()}
    assert {name: each.fails for name, each in again.milestones.items()} == fails
    assert stated.milestones["a"].fails == 7
    assert stated.milestones["b"].fails == fails["b"]
    assert plan.deliveries[0].ready == at("2026-02-01") + timedelta(days=30 * fails["a"])
    assert plan.milestones["a"].fails_range == (0, max(8, fails["a"]))  # nine of ten: 1 - 0.7^9 = 0.96
    assert any("the tender a fails" in note for note in plan.notes)
    drawn = [plan_of(f"seed: {seed}\n{text % ''}").milestones["a"].fails for seed in range(40)]
    assert 1.2 < sum(drawn) / len(drawn) < 3.8  # 0.7 / 0.3 = 2.3 on average


def test_a_better_chance_never_fails_more_often() -> None:
    for share in (0.0, 0.2, 0.7, 0.99):
        fails = [fails_at(share, p) for p in (0.05, 0.2, 0.5, 0.9, 1.0)]
        assert fails == sorted(fails, reverse=True)
        assert fails[-1] == 0


def test_a_thousand_milestones_behind_each_other(plan_of: Callable[[str], Plan]) -> None:
    chain = "\n".join(f"  m{i}: {{after: m{i - 1}, takes: 1 h}}" for i in range(3000, 0, -1))
    lot = "{name: lot, to: hall, system: DGX B200, gpus: 8, at: 2026-02-01, needs: {installed: m3000}}"
    plan = plan_of(f"milestones:\n{chain}\n  m0: {{at: 2026-02-01}}\ndeliveries: [{lot}]")
    assert plan.deliveries[0].ready == at("2026-02-01") + timedelta(hours=3000)
    ring = {f"m{i}": Milestone(line=LINE, name=f"m{i}", after=(f"m{(i + 1) % 3000}",)) for i in range(3000)}
    assert len(circle_of(ring)) == 3001


def test_what_takes_longer_than_there_are_dates_is_never_reached(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("""
milestones:
  a: {at: 2026-02-01}
  b: {after: a, takes: 30000 d, fails: 100, repeat_after: 36000 d}
deliveries: [{name: lot, to: hall, system: DGX B200, gpus: 8, at: 2026-02-01, needs: {installed: b}}]
""")
    assert plan.deliveries[0].ready == NEVER


# --- laws

DAYS = st.integers(0, 400)
LINE = Place("plan.yaml", 1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lot_of(ordered: int, lead: dict[str, int], needs: dict[str, tuple[str, ...]]) -> Delivery:
    values: dict[str, Any] = {
        "name": "lot",
        "to": "hall",
        "system": "DGX B200",
        "gpus": 8,
    }
    return Delivery(
        line=LINE,
        ordered=START + timedelta(days=ordered),
        lead_times=LeadTimes(line=LINE, **{step: days * 86_400 for step, days in lead.items()}),
        needs=Needs(line=LINE, **needs),
        at_stated=False,
        **values,
    )


@given(
    st.tuples(DAYS, DAYS, DAYS),
    st.tuples(DAYS, DAYS, DAYS),
    st.dictionaries(st.sampled_from(["made", "shipped", "delivered", "installed", "accepted"]), DAYS),
    st.dictionaries(
        st.sampled_from(["ordered", "made", "shipped", "installed", "accepted"]),
        st.sampled_from([("a",), ("b",), ("a", "b")]),
    ),
)
def test_a_later_date_makes_nothing_earlier(
    first: tuple[int, int, int], more: tuple[int, int, int], lead: dict[str, int], needs: dict[str, Any]
) -> None:
    def steps(ordered: int, a: int, b: int) -> tuple[Reached, ...]:
        milestones = {
            "a": Milestone(line=LINE, name="a", at=START + timedelta(days=a)),
            "b": Milestone(line=LINE, name="b", after=("a",), takes_s=b * 86_400),
        }
        return walk(lot_of(ordered, lead, needs), Times(milestones, {}, None))

    before = steps(*first)
    after = steps(*(x + y for x, y in zip(first, more, strict=True)))
    for old, new in zip(before, after, strict=True):
        assert old.at is not None
        assert new.at is not None
        assert old.at <= new.at
    dates = [each.at for each in before]
    assert dates == sorted(dates)  # type: ignore[type-var]


def test_circles_are_found_however_long() -> None:
    def ring(*names: str) -> dict[str, Milestone]:
        pairs = zip(names, [*names[1:], names[0]], strict=True)
        return {a: Milestone(line=LINE, name=a, after=(b,)) for a, b in pairs}

    assert circle_of(ring("a", "b", "c")) == ["a", "b", "c", "a"]
    assert circle_of(ring("a")) == ["a", "a"]
    assert circle_of({"a": Milestone(line=LINE, name="a", at=START)}) == []
