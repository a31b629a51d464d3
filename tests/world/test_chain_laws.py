"""Laws of supply with chains: more makes no promise later, later nothing earlier, parts are the whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.world.names import Names
from gpufleet.world.supply import staircase

DAYS = st.integers(0, 500)
STEPS = ("made", "shipped", "installed", "accepted")


@st.composite
def lots(draw: st.DrawFn) -> dict[str, Any]:
    lot: dict[str, Any] = {"gpus": 8 * draw(st.integers(1, 20)), "day": draw(DAYS)}
    lot["stated"] = draw(st.booleans())
    lot["needs"] = {draw(st.sampled_from(STEPS)): draw(st.sampled_from("abc"))}
    lot["steps"] = {draw(st.sampled_from(STEPS)): draw(DAYS)}
    lot["lead"] = {step: draw(st.integers(0, 60)) for step in STEPS}
    lot["parts"] = draw(st.lists(st.tuples(st.integers(1, 2), DAYS), max_size=2))
    lot["cancelled"] = draw(st.none() | DAYS)
    return lot


PLANS = st.tuples(st.lists(lots(), min_size=1, max_size=4), st.lists(DAYS, min_size=3, max_size=3))


def day(n: int) -> str:
    return f"{datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=n):%Y-%m-%d}"


def text_of(lots: list[dict[str, Any]], milestones: list[int]) -> str:
    """A plan with promises to be kept by these lots, no power, no slots, nothing that is shared."""
    rows = []
    for i, lot in enumerate(lots):
        steps = ", ".join(f"{step}: {day(at)}" for step, at in lot["steps"].items())
        needs = ", ".join(f"{step}: {name}" for step, name in lot["needs"].items())
        lead = ", ".join(f"{step}: {days} d" for step, days in lot["lead"].items())
        parts = ", ".join(f"{{gpus: {gpus}, at: {day(at)}}}" for gpus, at in lot["parts"])
        cut = "" if lot["cancelled"] is None else f", cancelled: {day(lot['cancelled'])}"
        rows.append(
            f"  - {{name: l{i}, to: hall, system: DGX B200, gpus: {lot['gpus']},"
            f" {'at' if lot['stated'] else 'ordered'}: {day(lot['day'])}, for: lab, counts_toward: p,"
            f" steps: {{{steps}}}, needs: {{{needs}}}, lead_times: {{{lead}}}, parts: [{parts}]{cut}}}"
        )
    a, b, c = milestones
    return (
        "gpufleet: 1\nname: t\nstart: 2027-01-01\nend: 2031-01-01\nsites: {hall: {}}\ntenants: {lab: {}}\n"
        "promises: {p: {for: lab, gpus: 500, at: 2027-01-01, until: 2030-12-01}}\n"
        f"milestones:\n  a: {{at: {day(a)}}}\n  b: {{after: a, takes: {b} d}}\n"
        f"  c: {{after: [a, b], takes: {c} d}}\ndeliveries:\n" + "\n".join(rows) + "\n"
    )


def read(text: str) -> Plan:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        path.write_text(text)
        return load_plan(path)


def online(plan: Plan) -> np.ndarray[Any, Any]:
    return staircase(plan, Names.of(plan)).value.online.sum(axis=0)


@settings(max_examples=40, deadline=None)
@given(PLANS, lots())
def test_more_supply_makes_no_promise_later(plan: Any, more: dict[str, Any]) -> None:
    before, after = (online(read(text_of(lots, plan[1]))) for lots in (plan[0], [*plan[0], more]))
    assert (after >= before).all()


@settings(max_examples=40, deadline=None)
@given(PLANS, st.integers(0, 2), st.integers(1, 200))
def test_a_later_milestone_makes_no_step_earlier(plan: Any, which: int, days: int) -> None:
    later = list(plan[1])
    later[which] += days
    before, after = (read(text_of(plan[0], dates)) for dates in (plan[1], later))
    for name, (value, *_) in before.chains.items():
        moved = {each.step: each.at for each in after.chains[name][0]}
        for each in value:
            at = moved.get(each.step)
            assert at is None or each.at is None or each.step == "cancelled" or at >= each.at, (name, each)
    assert (online(after) <= online(before)).all()


@settings(max_examples=40, deadline=None)
@given(PLANS, st.integers(0, 3), st.integers(1, 200))
def test_a_later_lot_moves_only_itself_and_nothing_earlier(plan: Any, which: int, days: int) -> None:
    lots, dates = plan
    mine = which % len(lots)
    moved = [lot | {"day": lot["day"] + (days if i == mine else 0)} for i, lot in enumerate(lots)]
    before, after = read(text_of(lots, dates)), read(text_of(moved, dates))
    for one, other in zip(before.deliveries, after.deliveries, strict=True):
        assert (other.ready or other.at) >= (one.ready or one.at)
        if (one.whole or one.name) != f"l{mine}":
            assert (other.ready, other.stopped) == (one.ready, one.stopped)


@settings(max_examples=40, deadline=None)
@given(PLANS)
def test_parts_are_the_whole_at_every_month(plan: Any) -> None:
    read_plan = read(text_of(*plan))
    assert sum(lot.gpus for lot in read_plan.deliveries) == sum(lot["gpus"] for lot in plan[0])
    stairs = staircase(read_plan, Names.of(read_plan))
    for lot, *counts in zip(read_plan.deliveries, *stairs.value[:4], strict=True):
        ordered, delivered, powered, up = counts
        assert (lot.gpus >= ordered).all()
        assert (ordered >= delivered).all()
        assert (delivered >= powered).all()
        assert (powered >= up).all()
