"""Lots that wait for a budget: in the order in which they are ready, never beyond it, and only for money."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.plan.conftest import Load

from gpufleet.base.errors import GpufleetError
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.plan import Plan

PLAN = """\
gpufleet: 1
name: wait
start: 2026-01-01
end: 2031-01-01
sites: {lab: {}}
deliveries:
LOTS
tenants: {t: {}}
money:
  currency: USD
  payers: {state: {}}
  funding: {chips: {payer: state, when_short: wait, carry_over: CARRY, ceilings: {CEILINGS}}}
  costs: {servers: {kind: hardware, price: 300 kUSD/node, paid_by: chips}}
"""
FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Lots = list[tuple[int, int]]  # nodes, month of 2026 to 2028


def plan_of(load: Load, lots: Lots, ceilings: dict[int, int], *, carry: bool = True) -> Plan:
    rows = [
        f"  - {{name: lot-{i}, to: lab, system: DGX H100, gpus: {nodes * 8}, "
        f"at: {2026 + month // 12}-{month % 12 + 1:02}-01}}"
        for i, (nodes, month) in enumerate(lots)
    ]
    money = ", ".join(f"{year}: {amount} kUSD" for year, amount in ceilings.items())
    text = PLAN.replace("LOTS", "\n".join(rows)).replace("CARRY", str(carry).lower())
    return load(text.replace("CEILINGS", money))


def dates(plan: Plan) -> list[datetime]:
    return [lot.at for lot in plan.deliveries]


def test_who_is_ready_first_is_paid_first(load: Load) -> None:
    plan = plan_of(load, [(2, 2), (2, 5), (4, 6)], {2026: 700, 2027: 700})
    assert dates(plan) == [datetime(2026, 3, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), NEVER]
    step = plan.chains["lot-1"][0][0]
    assert (step.step, step.cause, step.name, step.path) == (
        "delivered", "funding", "chips", "money.funding.chips",
    )  # fmt: skip


def test_what_a_year_leaves_is_lost_without_carry_over(load: Load) -> None:
    lots, money = [(2, 2), (3, 5)], {2026: 700, 2027: 850, 2028: 900}
    assert dates(plan_of(load, lots, money))[1] == datetime(2027, 1, 1, tzinfo=UTC)
    assert dates(plan_of(load, lots, money, carry=False))[1] == datetime(2028, 1, 1, tzinfo=UTC)


def test_what_is_here_is_paid_already(load: Load) -> None:
    text = PLAN.replace("LOTS", (
        "  - {name: a, to: lab, system: DGX H100, gpus: 16, at: 2026-01-01, status: online}\n"
        "  - {name: b, to: lab, system: DGX H100, gpus: 8, at: 2026-03-01}"
    ))  # fmt: skip
    plan = load(text.replace("CARRY", "true").replace("CEILINGS", "2026: 700 kUSD, 2027: 300 kUSD"))
    assert dates(plan) == [datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]


lots_of = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 35)), min_size=1, max_size=5)
money_of = st.dictionaries(st.integers(2026, 2030), st.integers(0, 4000), min_size=1, max_size=4)


@FAST
@given(lots_of, money_of, st.booleans())
def test_no_year_spends_more_than_there_is(
    load: Load, lots: Lots, money: dict[int, int], carry: bool
) -> None:
    plan = plan_of(load, lots, money, carry=carry)
    spent: dict[int, int] = {}
    for at, (nodes, month) in zip(dates(plan), lots, strict=True):
        assert at >= datetime(2026 + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        if at < NEVER:
            spent[at.year] = spent.get(at.year, 0) + 300 * nodes
    left = 0
    for year in range(2026, 2032):
        left = (left if carry else 0) + money.get(year, 0) - spent.get(year, 0)
        assert left >= 0


@FAST
@given(st.integers(1, 6), st.integers(0, 35), money_of, st.integers(2026, 2030), st.integers(1, 3000))
def test_more_money_makes_a_lot_by_itself_no_later(
    load: Load, nodes: int, month: int, money: dict[int, int], year: int, more: int
) -> None:
    before = dates(plan_of(load, [(nodes, month)], money))
    after = dates(plan_of(load, [(nodes, month)], {**money, year: money.get(year, 0) + more}))
    assert after <= before


def test_what_can_never_be_paid_holds_no_money_back(load: Load) -> None:
    plan = plan_of(load, [(1, 0), (4, 0), (1, 3)], {2026: 600})
    assert dates(plan) == [datetime(2026, 1, 1, tzinfo=UTC), NEVER, datetime(2026, 4, 1, tzinfo=UTC)]
    assert any(
        found.code == "P089" and "lot-1 (32 GPUs) never comes" in found.says for found in plan.warnings
    )


def test_a_budget_that_lots_cannot_wait_for(load: Load) -> None:
    text = PLAN.replace("LOTS", "  - {name: a, to: lab, system: DGX H100, gpus: 16, at: 2026-01-01}")
    text = text.replace("CARRY", "true").replace("CEILINGS", "2026: 700 kUSD")
    more = "paid_by: chips}, x: {paid_by: chips, "
    for old, new, words in (
        ("paid_by: chips}}", more + "kind: staff, price: 1 kUSD/month}}", "x too"),
        ("paid_by: chips}}", more + "kind: network, price: 1 kUSD/node, due: ordered}}",
         "at several steps: delivered, ordered"),
        ("2026: 700 kUSD}}", "2026: 700 kUSD}}, b: {payer: state, within: chips, ceilings: {2026: 1 kUSD}}",
         "others are within it"),
    ):  # fmt: skip
        with pytest.raises(GpufleetError) as error:
            load(text.replace(old, new))
        assert any(found.code == "P253" and words in found.says for found in error.value.findings)
