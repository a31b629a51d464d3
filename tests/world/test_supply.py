"""The staircase of supply: worked out by hand, and what holds for any plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from staircases import B_HIGH, B_LOW, BY_HAND, STEPS, plans

from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.world.capacity import capacity_of
from gpufleet.world.layout import UP
from gpufleet.world.names import Names
from gpufleet.world.supply import Staircase, month_ends, service_of, staircase

STAIRS = ("ordered", "delivered", "powered", "online")


def read(folder: Path, text: str) -> Plan:
    path = folder / "plan.yaml"
    path.write_text(text)
    return load_plan(path)


@pytest.fixture
def stairs(tmp_path: Path) -> Staircase:
    plan = read(tmp_path, BY_HAND)
    return staircase(plan, Names.of(plan))


def test_months_end_by_the_plans_calendar(stairs: Staircase) -> None:
    assert stairs.months == ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06")
    assert (stairs.ends_s // 86400).tolist() == [31, 59, 90, 120, 151, 181]


@pytest.mark.parametrize("step", STAIRS)
def test_each_stair_by_hand(stairs: Staircase, step: str) -> None:
    assert getattr(stairs.value, step).tolist() == [STEPS[lot][step] for lot in ("a", "b", "#3")]
    assert getattr(stairs.low, step)[1].tolist() == B_LOW[step]
    assert getattr(stairs.high, step)[1].tolist() == B_HIGH[step]


@pytest.mark.parametrize(
    ("old", "new", "low", "high"),
    [  # lot a: four boxes of 10 kW on 40 kW, and on 60 kW from April; online as planned 32 in each month
        ("pue: 1.0", "pue: {value: 1.0, range: [1.0, 1.25]}", [24, 24, 24, 32], [32] * 4),
        ("value: 40 kW", "value: {value: 40 kW, range: [20 kW, 45 kW]}", [16, 16, 16, 32], [32] * 4),
        ("value: 40 kW", "value: {value: 30 kW, range: [30 kW, 40 kW]}", [24, 24, 24, 32], [32] * 4),
        (
            "{from: 2026-04-15",
            "{from: {value: 2026-04-15, range: [2026-02-15, 2026-05-15]}",
            [32] * 4,
            [32] * 4,
        ),
        ("node_power: 10 kW", "node_power: {value: 10 kW, range: [8 kW, 20 kW]}", [16, 16, 16, 24], [32] * 4),
    ],
)
def test_ranges_of_power_widen_what_is_online(
    tmp_path: Path, old: str, new: str, low: list[int], high: list[int]
) -> None:
    assert BY_HAND.count(old) == 1
    plan = read(tmp_path, BY_HAND.replace(old, new))
    stairs = staircase(plan, Names.of(plan))
    assert stairs.low.online[0, :4].tolist() == stairs.low.powered[0, :4].tolist() == low
    assert stairs.high.online[0, :4].tolist() == high


def test_a_step_of_power_that_may_come_late_or_early(tmp_path: Path) -> None:
    """Lot b's first rack goes on with the step: 15 April as planned, from February to May."""
    text = BY_HAND.replace("{from: 2026-04-15", "{from: {value: 2026-04-15, range: [2026-03-15, 2026-05-15]}")
    text = text.replace("{value: 20, range: [12, 28], trust: estimate}", "20")
    text = text.replace(
        "{value: 2026-03-10, range: [2026-02-10, 2026-05-10], trust: assumption}", "2026-03-10"
    )
    plan = read(tmp_path, text)
    stairs = staircase(plan, Names.of(plan))
    assert stairs.value.online[1].tolist() == [0, 0, 0, 12, 12, 20]
    assert stairs.low.online[1].tolist() == [0, 0, 0, 0, 12, 20]
    assert stairs.high.online[1].tolist() == [0, 0, 12, 12, 12, 20]


def test_promises_by_hand(stairs: Staircase) -> None:
    assert stairs.pledged.tolist() == [[100] * 6, [0, 0, 10, 10, 10, 10]]
    assert stairs.due.tolist() == [[0, 25, 50, 75, 100, 100], [0, 0, 5, 10, 10, 10]]


def test_what_is_retired_is_gone(stairs: Staircase) -> None:
    assert stairs.value.retired.tolist() == [[0] * 5 + [16], [0] * 6, [0] * 6]
    assert not stairs.value.retired_dark.any()


@pytest.mark.parametrize(
    ("status", "ordered", "months"),
    [
        ("pledged", "", [0, 0, 8, 8]),  # taken as the delivery date
        ("ordered", "", [0, 8, 8, 8]),  # known today: as_of at the latest
        ("ordered", "ordered: 2025-03-01, ", [8, 8, 8, 8]),
        ("pledged", "ordered: 2026-03-02, ", [0, 0, 8, 8]),
    ],
)
def test_an_order_without_a_date(tmp_path: Path, status: str, ordered: str, months: list[int]) -> None:
    plan = read(
        tmp_path,
        "gpufleet: 1\nname: n\nstart: 2026-01-01\nend: 2026-05-01\nas_of: 2026-02-15\nsites: {lab: {}}\n"
        f"deliveries: [{{to: lab, system: DGX B200, gpus: 8, at: 2026-03-09, {ordered}status: {status}}}]\n"
        "tenants: {a: {}}\n",
    )
    assert staircase(plan, Names.of(plan)).value.ordered.tolist() == [months]


@pytest.mark.parametrize("end", ["2026-03-14 12:00", "2026-04-01", "2026-12-31"])
def test_the_last_month_ends_with_the_plan(tmp_path: Path, end: str) -> None:
    plan = read(
        tmp_path,
        f"gpufleet: 1\nname: n\nstart: 2026-01-20 06:00\nend: {end}\ntime_zone: Europe/Berlin\n"
        "sites: {lab: {}}\ndeliveries: []\ntenants: {a: {}}\n",
    )
    months, ends_s = month_ends(plan)
    assert (months[0], ends_s[-1]) == ("2026-01", plan.horizon_s)
    assert [f"{plan.local(int(t_s) - 1):%Y-%m}" for t_s in ends_s] == list(months)
    assert all(plan.local(int(t_s)).day == 1 and plan.local(int(t_s)).hour == 0 for t_s in ends_s[:-1])
    assert staircase(plan, Names.of(plan)).value.online.shape == (0, len(months))


@given(text=plans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_laws(text: str, tmp_path: Path) -> None:
    plan = read(tmp_path, text)
    stairs = staircase(plan, Names.of(plan))
    for counts in (stairs.low, stairs.value, stairs.high):
        ordered, delivered, powered, online = (getattr(counts, step) for step in STAIRS)
        assert (ordered >= delivered).all()
        assert (delivered >= powered).all()
        assert (powered >= online).all()
        assert (online >= 0).all()
        for step in (ordered, delivered, powered):
            assert (np.diff(step, axis=1) >= 0).all()
    for step in STAIRS:
        low, value, high = (getattr(c, step) for c in (stairs.low, stairs.value, stairs.high))
        assert (low <= value).all()
        assert (value <= high).all()
    value = stairs.value
    assert (value.retired >= value.retired_dark).all()
    assert (value.delivered >= value.powered + value.retired_dark).all()
    assert (value.powered - value.online >= value.retired - value.retired_dark).all()
    gpus = np.array([lot.gpus for lot in plan.deliveries])[:, None]
    assert np.isin(value.delivered, [0, *gpus.ravel()]).all()
    assert (value.delivered[:, -1:] == gpus).all()


@given(text=plans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_online_is_what_the_simulation_has(text: str, tmp_path: Path) -> None:
    plan = read(tmp_path, text)
    fleet = capacity_of(plan, Names.of(plan))
    stairs = staircase(plan, Names.of(plan))
    for month, end_s in enumerate(stairs.ends_s.tolist()):
        up = np.zeros(fleet.nodes.size.size, bool)
        for t_s, kind, first, n, _ in zip(*(c.tolist() for c in fleet.capacity), strict=True):
            if t_s < end_s:
                up[first : first + n] = kind == UP
        assert stairs.value.online[:, month].sum() == fleet.nodes.size[up].sum()
        n_lots = len(plan.deliveries)
        for lot in range(n_lots):
            steps = [s for s in service_of(fleet.nodes, fleet.capacity, lot, n_lots) if s.from_s < end_s]
            powered, online = (steps[-1].powered, steps[-1].online) if steps else (0, 0)
            assert (stairs.value.powered[lot, month], stairs.value.online[lot, month]) == (powered, online)


@given(text=plans())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_promise_falls_due_in_equal_parts(text: str, tmp_path: Path) -> None:
    plan = read(tmp_path, text)
    due = staircase(plan, Names.of(plan)).due
    steps = np.diff(due, axis=1)
    assert (steps >= 0).all()
    promise, row = plan.promises["p"], due[0]
    falling = np.diff(np.concatenate([[0], row]))[2 : plan.local(promise.until).month]
    assert falling.sum() == promise.gpus
    assert falling.max() - falling.min() <= 1
    assert row[1] == 0
    assert row[-1] == promise.gpus


def test_a_slip_of_one_lot_gives_its_power_to_another(
    tmp_path: Path, replaced: Callable[[str, str, str], str]
) -> None:
    text = replaced(BY_HAND, "gpus: 32, at: 2026-01-20", "gpus: 32, at: 2026-05-20")
    plan = read(tmp_path, text.replace("status: delivered, for: x,\n     ordered: 2025-12-01,", "for: x,"))
    stairs = staircase(plan, Names.of(plan))
    # b came first: all of it (25 kW) has power from March on, of a the three boxes that fit the rest of 60 kW
    assert stairs.value.online[1].tolist() == [0, 0, 20, 20, 20, 20]
    assert stairs.value.online[0].tolist() == [0, 0, 0, 0, 24, 16]


@pytest.fixture
def replaced() -> Callable[[str, str, str], str]:
    def replace_once(text: str, old: str, new: str) -> str:
        assert text.count(old) == 1
        return text.replace(old, new)

    return replace_once
