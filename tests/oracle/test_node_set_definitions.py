"""Partitions and reservations worked by hand from docs/explanation/engine.md, on nodes of 8 GPUs.

Unless a case says so, one queue with one class may use all nodes and holds nothing; windows are (group, from,
to), each of a reservation of its own. The engine says the same as the oracle in every case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.oracle.by_hand import ints, jobs, make
from tests.oracle.compare import differences
from tests.oracle.oracle import OracleResult, simulate

from gpufleet.world import layout as code
from gpufleet.world.layout import REFUSALS, Jobs, NodeSets, World

TWO: Any = (((0, 1.0),), ((0, 1.0),))  # two queues, each with one class in cell 0
EASY = {"backfill": code.EASY}
CONSERVATIVE = {"backfill": code.CONSERVATIVE}


def kept(
    world: World,
    groups: Sequence[int],
    windows: Sequence[tuple[int, int, int]] = (),
    *,
    may: Sequence[Sequence[int]] = (),
    holds: Sequence[Sequence[int]] = (),
) -> World:
    """The world with node sets. may: per queue the groups that it may use; holds: per queue its windows."""
    n, n_groups = len(world.queues.tenant), max(groups) + 1
    table = np.ones((n, n_groups), np.int64)
    for queue, allowed in enumerate(may):
        table[queue] = [int(group in allowed) for group in range(n_groups)]
    held = np.zeros((n, len(windows)), np.int64)
    for queue, mine in enumerate(holds):
        held[queue, list(mine)] = 1
    rows = sorted((group, i, begins, ends) for i, (group, begins, ends) in enumerate(windows))
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    return world._replace(node_sets=NodeSets(ints(groups), table, held, held, *map(ints, columns)))


def agreed(world: World, work: Jobs) -> OracleResult:
    assert differences(world, work, debug=True) == []
    return simulate(world, work)


def starts(result: OracleResult) -> list[int]:
    return [int(t) for t in result.outcomes.start_s]


def waits(result: OracleResult, job: int, by: str = "refusal") -> dict[str, int]:
    row: Any = getattr(result.outcomes, f"wait_by_{by}_s")[job].tolist()
    return {REFUSALS[i]: seconds for i, seconds in enumerate(row) if seconds}


def test_a_job_that_ends_when_a_window_begins_may_run_and_a_longer_one_may_not() -> None:
    # Node 0 is kept over [10, 20). A 8g/10 runs 0-10; B 8g/11 at 10 waits for the end, and that is a pass.
    r = agreed(kept(make([[8]]), [0], [(0, 10, 20)]), jobs((0, 8, 10), (0, 8, 11)))
    assert starts(r) == [0, 20]
    assert waits(r, 1) == {"no_free": 10, "reservation": 10}
    assert waits(r, 1, "root") == {"no_free": 10, "reservation": 10}, "a window is no job to stand behind"
    assert r.outcomes.behind.tolist() == [-1, -1]


def test_who_holds_the_reservation_starts_in_it() -> None:
    # Queue 1 holds it. A of queue 0 is kept off; B of queue 1 runs in the window, C of queue 1 before it.
    world = kept(make([[8]], lanes=TWO), [0], [(0, 10, 20)], holds=[[], [0]])
    r = agreed(world, jobs((1, 8, 12), (2, 8, 3), (10, 8, 5), cls=[0, 1, 1]))
    assert starts(r) == [20, 2, 10]
    assert waits(r, 0) == {"reservation": 19}, "it was looked at before the others, in their passes"
    assert r.tallies.kept.tolist() == [[8 * 5, 0, 8 * 3]]


def test_who_runs_when_a_window_begins_goes_on() -> None:
    # A is estimated at 10 s (its limit) and runs on to 15, into the window.
    world = kept(make([[8]], over_limit=code.RUN_ON), [0], [(0, 10, 20)])
    r = agreed(world, jobs((0, 8, 15), limit_s=[10]))
    assert starts(r) == [0]
    assert r.outcomes.end_s.tolist() == [15]
    assert r.tallies.kept.tolist() == [[0, 8 * 5, 8 * 10]]


def test_a_job_without_an_estimate_waits_for_the_last_window() -> None:
    world = kept(make([[8]], estimate=code.NO_ESTIMATE), [0], [(0, 10, 20), (0, 500, 510)])
    assert starts(agreed(world, jobs((0, 8, 1)))) == [510]


def test_a_job_of_its_own_reservation_goes_to_its_nodes_first() -> None:
    # Node 1 is kept for queue 1 over [0, 20). Best fit would give A the lowest node; it gets node 1, so that
    # B of queue 0 has node 0. C does not fit beside A on node 1 and waits for node 0.
    world = kept(make([[8, 8]], lanes=TWO), [0, 1], [(1, 0, 20)], holds=[[], [0]])
    r = agreed(world, jobs((0, 8, 9), (1, 8, 9), (2, 8, 9), cls=[1, 0, 1]))
    assert starts(r) == [0, 1, 9]
    assert r.tallies.kept.tolist() == [[8 * 18, 0, 0]]


def test_partitions_overlap_and_a_gang_spans_them() -> None:
    # Groups 0 1 2; queue 0 may use 0 and 1, queue 1 may use 1 and 2. A 16g of queue 0 takes nodes 0 and 1;
    # B 8g of queue 1 has node 2 left, C 8g of queue 1 waits for A, though only 16 of its 16 GPUs were free.
    world = kept(make([[8, 8, 8]], lanes=TWO), [0, 1, 2], may=[[0, 1], [1, 2]])
    r = agreed(world, jobs((0, 16, 10), (1, 8, 50), (2, 8, 5), cls=[0, 1, 1]))
    assert starts(r) == [0, 1, 10]
    assert waits(r, 2) == {"no_free": 8}


def test_what_its_partitions_never_hold_is_refused_for_ever() -> None:
    world = kept(make([[8, 8]]), [0, 1], may=[[0]])
    r = agreed(world, jobs((0, 16, 10), (0, 8, 10)))
    assert [code.STATES[s] for s in r.outcomes.state] == ["refused", "done"]
    assert r.outcomes.last_refusal[0] == code.NOT_ONLINE


def test_fragmented_is_of_the_nodes_of_the_partition() -> None:
    # Queue 0 may use nodes 0 and 1. A 5g and B 5g fill them in part; C 6g finds 3 + 3 free there, and 8 on
    # node 2 that it may not use.
    world = kept(make([[8, 8, 8]]), [0, 0, 1], may=[[0]])
    r = agreed(world, jobs((0, 5, 10), (0, 5, 20), (1, 6, 5)))
    assert waits(r, 2) == {"fragmented": 9}


def test_easy_reserves_behind_a_window_for_its_holder() -> None:
    # Nodes 0 and 1; node 1 is kept over [10, 30). A 8g/10 on node 0 at 0. B 16g/40 at 1 has its time at 30,
    # when node 1 is open. C 8g/20 at 2 would run on node 1 into the window. D 8g/8 at 2 ends in time.
    # E 8g/15 at 11 on node 0 ends before 30.
    world = kept(make([[8, 8]], **EASY), [0, 1], [(1, 10, 30)])
    r = agreed(world, jobs((0, 8, 10), (1, 16, 40), (2, 8, 20), (2, 8, 8), (11, 8, 15)))
    assert starts(r)[1] == 30
    assert starts(r)[3] == 2
    assert waits(r, 1) == {"no_free": 9, "reservation": 20}
    assert waits(r, 1, "root") == {"no_free": 9, "reservation": 20}


def test_easy_lets_a_job_pass_on_nodes_that_the_holder_may_never_use() -> None:
    # Queue 0 may use node 0 only. B 8g of queue 0 holds a reservation there whose time is not known (A has
    # no limit). C of queue 1 on node 1 is none of its business.
    world = kept(make([[8, 8]], lanes=TWO, estimate=code.NO_ESTIMATE, **EASY), [0, 1], may=[[0], [1]])
    r = agreed(world, jobs((0, 8, 100), (1, 8, 5), (2, 8, 5), cls=[0, 0, 1]))
    assert starts(r) == [0, 100, 2]


def test_conservative_plans_around_a_window() -> None:
    # One node, kept over [10, 20). A 8g/15 is planned at 20; B 8g/5 runs before the window. In each pass A is
    # looked at before B, and the node is free.
    world = kept(make([[8]], **CONSERVATIVE), [0], [(0, 10, 20)])
    r = agreed(world, jobs((0, 8, 15), (1, 8, 5)))
    assert starts(r) == [20, 1]
    assert waits(r, 0) == {"reservation": 20}


@pytest.mark.parametrize("select", [code.SELECT_PLACEMENT])
def test_srtf_takes_victims_only_where_it_may_run(select: int) -> None:
    # Queue 1 may use node 1 only. A (100 s) on node 0 and B (90 s) on node 1. C of queue 1 is shorter than
    # both: B gives way, though A has more left.
    world = kept(make([[8, 8]], lanes=TWO, order=code.SRTF, select=select), [0, 1], may=[[0], [1]])
    r = agreed(world, jobs((0, 8, 100), (0, 8, 90), (1, 8, 5), cls=[0, 1, 1]))
    assert starts(r)[2] == 1
    assert r.outcomes.preemptions.tolist() == [0, 1, 0]
