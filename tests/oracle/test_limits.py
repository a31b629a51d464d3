"""Limits and dependencies, worked by hand; the engine gives the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.oracle import oracle
from tests.oracle.by_hand import ints, jobs, make
from tests.oracle.compare import differences

from gpufleet.world.layout import (
    CONSERVATIVE,
    EASY,
    NO_BACKFILL,
    REFUSALS,
    STATES,
    UNKNOWN_S,
    UNLIMITED,
    Accounts,
    Gates,
    Jobs,
    Outcomes,
    World,
)


def simulate(world: World, some: Jobs) -> Outcomes:
    """Outcomes of the oracle, with which the engine agrees, laws included."""
    assert differences(world, some, debug=True) == []
    return oracle.simulate(world, some).outcomes


def accounts(of_class: list[list[int]], **columns: list[Any]) -> Accounts:
    """Accounts of one product; what is not said is unlimited."""
    n = max(a for mine in of_class for a in mine) + 1
    width = max(map(len, of_class))
    return Accounts(
        of_class=ints([*mine, *[-1] * width][:width] for mine in of_class),
        limit=ints([gpus] for gpus in columns.get("limit", [UNLIMITED] * n)),
        total=ints(columns.get("total", [UNLIMITED] * n)),
        jobs=ints(columns.get("jobs", [UNLIMITED] * n)),
        end_s=ints(columns.get("end_s", [UNKNOWN_S] * n)),
    )


def classes(world: World, n: int) -> World:
    """The world with its class n times, so that accounts and gates tell them apart."""
    return world._replace(classes=type(world.classes)(*(np.repeat(c, n) for c in world.classes)))


def words(out: Outcomes, column: str) -> list[str]:
    of = STATES if column == "state" else REFUSALS
    return [of[code] for code in getattr(out, column)]


TWO_USERS = jobs((0, 4, 10), (0, 4, 10), (1, 4, 10), cls=[0, 0, 1])


def test_a_user_at_the_limit_holds_a_strict_lane() -> None:
    # 16 GPUs. Ann may hold 4: her second job is refused at 0 and closes the lane; Bob's stands behind it.
    # At 10 her first ends: both start.
    world = classes(make([[8, 8]]), 2)._replace(accounts=accounts([[0], [1]], limit=[4, 4]))
    out = simulate(world, TWO_USERS)
    assert out.start_s.tolist() == [0, 10, 10]
    assert words(out, "last_refusal") == ["startable", "limit", "order"]
    assert out.wait_by_refusal_s[1, REFUSALS.index("limit")] == 10
    assert out.wait_by_root_s[2, REFUSALS.index("limit")] == 9


@pytest.mark.parametrize("backfill", [NO_BACKFILL, EASY, CONSERVATIVE])
def test_best_effort_passes_a_user_at_the_limit(backfill: int) -> None:
    # The same: Bob's job starts at once, whatever the backfill: who is at a limit reserves nothing.
    world = classes(make([[8, 8]], strict=0, backfill=backfill), 2)
    out = simulate(world._replace(accounts=accounts([[0], [1]], limit=[4, 4])), TWO_USERS)
    assert out.start_s.tolist() == [0, 10, 1]


def test_an_array_runs_so_many_at_once() -> None:
    # Four tasks of 1 GPU and 10 s, two at once, on 8 free GPUs.
    world = make([[8]])._replace(accounts=accounts([[0]], jobs=[2]))
    out = simulate(world, jobs(*[(0, 1, 10)] * 4))
    assert out.start_s.tolist() == [0, 0, 10, 10]


def test_all_accounts_of_a_job_must_have_room() -> None:
    # Both classes count in account 2 (6 GPUs of all products): 4 + 4 are too many, 4 + 2 are not.
    world = classes(make([[8, 8]], strict=0), 2)
    shared = accounts([[0, 2], [1, 2]], limit=[8, 8, UNLIMITED], total=[UNLIMITED, UNLIMITED, 6])
    out = simulate(world._replace(accounts=shared), jobs((0, 4, 10), (1, 4, 10), (2, 2, 10), cls=[0, 1, 1]))
    assert out.start_s.tolist() == [0, 10, 2]


def test_what_is_larger_than_the_limit_never_runs() -> None:
    world = make([[8]])._replace(accounts=accounts([[0]], limit=[4]))
    out = simulate(world, jobs((0, 5, 10), (0, 4, 10)))
    assert words(out, "state") == ["refused", "done"]
    assert words(out, "last_refusal") == ["limit", "startable"]


def test_a_project_that_has_ended_starts_nothing_and_stops_nothing() -> None:
    # It ends at 10. A runs 0-20. B waits for A and is refused for ever when A ends; C comes at 15: at once
    world = make([[8]])._replace(accounts=accounts([[0]], end_s=[10]))
    out = simulate(world, jobs((0, 8, 20), (5, 8, 5), (15, 1, 5)))
    assert out.end_s.tolist() == [20, -1, -1]
    assert words(out, "last_refusal") == ["startable", "limit", "limit"]
    assert out.wait_s.tolist() == [0, 15, 0]


def gates(
    of_class: list[int], source: list[int], *conditions: tuple[int, int, int], last_s: list[int]
) -> Gates:
    gate, after, any_end = (ints(column) for column in zip(*conditions, strict=True))
    return Gates(ints(of_class), ints(source), gate, after, any_end, ints(last_s))


def test_jobs_are_eligible_when_all_others_have_ended() -> None:
    # Class 1 waits for class 0, whose jobs end at 10 and 25. Its own came at 2: its wait begins at 25.
    world = classes(make([[8]]), 2)._replace(gates=gates([-1, 0], [0, -1], (0, 0, 0), last_s=[5]))
    out = simulate(world, jobs((0, 4, 10), (2, 8, 5), (5, 4, 20), (24, 8, 5), cls=[0, 1, 0, 1]))
    assert out.start_s.tolist() == [0, 25, 5, 30]
    assert out.held_s.tolist() == [0, 23, 0, 1]
    assert out.wait_s.tolist() == [0, 0, 0, 5]


def test_a_job_that_was_killed_shuts_the_gate_for_good() -> None:
    # A is killed at its limit of 5 s. B wants it done, C takes any end.
    world = classes(make([[8]]), 3)
    shut = gates([-1, 0, 1], [0, -1, -1], (0, 0, 0), (1, 0, 1), last_s=[0])
    some = jobs((0, 1, 10), (0, 1, 3), (0, 1, 3), cls=[0, 1, 2], limit_s=[5, 0, 0])
    out = simulate(world._replace(gates=shut), some)
    assert words(out, "state") == ["killed", "refused", "done"]
    assert words(out, "last_refusal") == ["startable", "dependency", "startable"]
    assert out.held_s.tolist() == [0, -1, 5]


def test_refusals_go_down_a_chain_in_one_second() -> None:
    # A has 9 GPUs of 8: refused for ever at 0. B depends on A, C on B: both go with it.
    world = classes(make([[8]]), 3)
    chain = gates([-1, 0, 1], [0, 1, -1], (0, 0, 0), (1, 1, 0), last_s=[0, 0])
    out = simulate(world._replace(gates=chain), jobs((0, 9, 1), (0, 1, 1), (0, 1, 1), cls=[0, 1, 2]))
    assert words(out, "last_refusal") == ["not_online", "dependency", "dependency"]


def test_held_jobs_wait_for_nothing() -> None:
    # The run stops at 50; A runs until 100. B is held to the end: no second of it is waiting.
    world = classes(make([[8]], clock=(50, 0, 50)), 2)
    out = simulate(
        world._replace(gates=gates([-1, 0], [0, -1], (0, 0, 0), last_s=[0])),
        jobs((0, 1, 100), (1, 1, 1), cls=[0, 1]),
    )
    assert words(out, "state") == ["running", "waiting"]
    assert (words(out, "last_refusal")[1], out.wait_s[1], out.held_s[1]) == ("dependency", 0, -1)
