"""Slots that lots share: turns worked by hand, a slow twin, and what is wrong with a slot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError, Place
from gpufleet.plan import Plan
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.load import load_plan
from gpufleet.plan.slot_turns import Sharing, Turns
from gpufleet.plan.slots import Slot

HEAD = """\
gpufleet: 1
name: test
start: 2027-01-01
end: 2029-01-01
sites: {hall: {}, barn: {}}
tenants: {lab: {}}
"""
START = datetime(2027, 1, 1, tzinfo=UTC)
DAY_S = 86_400


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[[str], Plan]:
    def load(text: str) -> Plan:
        path = tmp_path / "plan.yaml"
        path.write_text(HEAD + text)
        return load_plan(path)

    return load


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ready(plan: Plan) -> dict[str, str]:
    return {lot.name: f"{lot.ready:%Y-%m-%d}" for lot in plan.deliveries if lot.ready}


def test_turns_worked_by_hand(plan_of: Callable[[str], Plan]) -> None:
    """100 GPUs a month. March: b 60 (ready on the 1st), a 40 of its 80 (the 2nd). April: 40 of a, 60 of c,
    which is ready on the same day and stands behind a; May: 40 of c, and d, ready in May, in the other 60.
    The barn needs no crew, nor does what is online.
    """
    plan = plan_of("""
slots: {crews: {step: installed, sites: hall, gpus_per_month: 100}}
deliveries:
  - {name: a, to: hall, system: DGX B200, gpus: 80, at: 2027-03-02}
  - {name: b, to: hall, system: DGX B200, gpus: 60, at: 2027-03-01}
  - {name: c, to: hall, system: DGX B200, gpus: 100, at: 2027-03-02}
  - {name: d, to: hall, system: DGX B200, gpus: 56, at: 2027-05-20}
  - {name: e, to: barn, system: DGX B200, gpus: 800, at: 2027-03-01}
  - {name: f, to: hall, system: DGX B200, gpus: 800, at: 2026-03-01, status: online}
""")
    assert ready(plan) == {
        "a": "2027-04-01", "b": "2027-03-01", "c": "2027-05-01", "d": "2027-05-20", "f": "2026-03-01",
    }  # fmt: skip
    step = next(each for each in plan.chains["c"][0] if each.step == "installed")
    assert (step.cause, step.name, step.path) == ("slot", "crews", "slots.crews")


def test_a_plant_holds_lots_of_which_only_the_date_is_known(plan_of: Callable[[str], Plan]) -> None:
    """To come on 1 March a lot is made by 15 February: 14 days of shipping. b has its turn in April."""
    plan = plan_of("""
slots: {plant: {step: made, products: B200, gpus_per_month: [{from: 2027-01-01, value: 0},
                                                             {from: 2027-02-15, value: 64}]}}
lead_times: {default: {shipped: 7 d, delivered: 7 d}}
deliveries:
  - {name: a, to: hall, system: DGX B200, gpus: 64, at: 2027-03-01}
  - {name: b, to: hall, system: DGX B200, gpus: 64, at: 2027-03-01}
  - {name: c, to: hall, system: DGX H100, gpus: 64, at: 2027-03-01}
""")
    assert [f"{lot.at:%Y-%m-%d}" for lot in plan.deliveries] == ["2027-03-15", "2027-04-15", "2027-03-01"]


def test_who_is_cancelled_before_its_turn_takes_nothing(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("""
slots: {crews: {step: installed, gpus_per_month: 64}}
deliveries:
  - {name: a, to: hall, system: DGX B200, gpus: 640, at: 2027-03-01, cancelled: 2027-06-01}
  - {name: b, to: hall, system: DGX B200, gpus: 64, at: 2027-03-01}
""")
    assert ready(plan)["b"] == "2027-03-01"
    assert plan.deliveries[0].stopped == at("2027-06-01")


def test_a_slot_that_ends_is_never_reached(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("""
slots: {crews: {step: accepted, gpus_per_month: [{from: 2027-01-01, value: 8}, {from: 2027-05-01, value: 0}]}}
deliveries: [{name: a, to: hall, system: DGX B200, gpus: 64, at: 2027-03-01}]
""")
    assert plan.deliveries[0].ready == NEVER


@pytest.mark.parametrize(
    ("slot", "code", "says"),
    [
        ("{step: installed, gpus_per_month: []}", "P207", "empty"),
        ("{step: installed, gpus_per_month: 0}", "P010", "1 to"),
        ("{step: installed, gpus_per_month: [{from: 2027-01-01, value: 0}]}", "P207", "no GPU"),
        ("{step: ordered, gpus_per_month: 5}", "P015", "ordered"),
        ("{step: made}", "P007", "gpus_per_month"),
        ("{step: made, gpus_per_month: 5, sites: hal}", "P016", "hal"),
        ("{step: made, gpus_per_month: 5, products: B2000}", "C001", "B2000"),
    ],
)
def test_bad_slots(plan_of: Callable[[str], Plan], slot: str, code: str, says: str) -> None:
    lot = "{name: a, to: hall, system: DGX B200, gpus: 64, at: 2027-03-01}"
    with pytest.raises(GpufleetError) as error:
        plan_of(f"slots: {{s: {slot}}}\ndeliveries: [{lot}]\n")
    assert [(each.code, says in str(each.says)) for each in error.value.findings] == [(code, True)]


def test_a_slot_for_nobody_is_told(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("""
slots: {s: {step: made, sites: barn, gpus_per_month: 5}}
deliveries: [{name: a, to: hall, system: DGX B200, gpus: 64, at: 2027-03-01}]
""")
    assert [str(each.at) for each in plan.warnings if each.code == "P208"] == ["plan.yaml:8"]


# --- the twin

ZONE = ZoneInfo("Asia/Seoul")
MONTHLY = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 90)), min_size=1, max_size=4)
ASKS = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 400)), min_size=1, max_size=8)


def slow(monthly: list[tuple[int, int]], asks: list[tuple[int, int]]) -> list[datetime]:
    """GPU by GPU: each goes into the first month, not before it is ready, nor before who asked first."""

    def first(month: int) -> datetime:
        return datetime(month // 12, month % 12 + 1, 1, tzinfo=ZONE).astimezone(UTC)

    def most(month: int) -> int:
        found = [gpus for day, gpus in monthly if START + timedelta(days=day) <= first(month)]
        return found[-1] if found else 0

    used: dict[int, int] = {}
    month, found = 0, []
    for day, gpus in asks:
        moment = START + timedelta(days=day)
        here = moment.astimezone(ZONE)
        month = max(month, here.year * 12 + here.month - 1)
        for _ in range(gpus):
            while used.get(month, 0) >= most(month) and month < 2060 * 12:
                month += 1
            used[month] = used.get(month, 0) + 1
        found.append(NEVER if month >= 2060 * 12 else max(moment, first(month)))
    return found


@given(MONTHLY, ASKS)
def test_turns_are_those_of_the_slow_twin(
    monthly: list[tuple[int, int]], asks: list[tuple[int, int]]
) -> None:
    monthly = sorted(dict(monthly).items())
    asks = sorted(asks)
    steps = tuple((day * DAY_S, gpus) for day, gpus in monthly)
    slot = Slot(line=Place("plan.yaml", 1), name="s", step="made", gpus_per_month=steps)
    turns = Turns(slot, Sharing((slot,), {}, START, ZONE))
    fast = [turns.take(START + timedelta(days=day), gpus) for day, gpus in asks]
    assert [min(one, at("2060-01-01")) for one in fast] == [
        min(one, at("2060-01-01")) for one in slow(monthly, asks)
    ]


@given(MONTHLY, ASKS, st.integers(0, 7), st.integers(1, 300))
def test_a_later_date_makes_no_turn_of_its_own_earlier(
    monthly: list[tuple[int, int]], asks: list[tuple[int, int]], which: int, more: int
) -> None:
    """Neither does another lot that asks before, nor more GPUs."""
    steps = tuple((day * DAY_S, gpus) for day, gpus in sorted(dict(monthly).items()))
    slot = Slot(line=Place("plan.yaml", 1), name="s", step="made", gpus_per_month=steps)

    def turn_of(asks: list[tuple[int, int]], mine: int) -> datetime:
        turns = Turns(slot, Sharing((slot,), {}, START, ZONE))
        order = sorted(range(len(asks)), key=lambda row: (asks[row][0], row))
        at = {row: turns.take(START + timedelta(days=asks[row][0]), asks[row][1]) for row in order}
        return at[mine]

    mine = which % len(asks)
    day, gpus = asks[mine]
    before = turn_of(asks, mine)
    assert turn_of([*asks[:mine], (day + more, gpus), *asks[mine + 1 :]], mine) >= before
    assert turn_of([*asks[:mine], (day, gpus + more), *asks[mine + 1 :]], mine) >= before
    assert turn_of([*asks[:mine], *asks[mine:], (0, more)], mine) >= before
