"""Cases worked by hand from docs/explanation/engine.md: who starts when, and what the others wait for.

Nodes have 8 GPUs. Job letters in the comments are rows: A = 0, B = 1, and so on. `6g/10` is a job of 6 GPUs
and 10 s of work.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.oracle.by_hand import jobs, make
from tests.oracle.compare import differences
from tests.oracle.oracle import OracleResult, simulate

from gpufleet.engine import run as engine
from gpufleet.world import layout as code
from gpufleet.world.layout import CONSOLIDATE, REFUSALS

EASY: dict[str, Any] = {"backfill": code.EASY}
CONSERVATIVE: dict[str, Any] = {"backfill": code.CONSERVATIVE}
BIG = 1 << 40


def starts(result: OracleResult) -> list[int]:
    return [int(t) for t in result.outcomes.start_s]


def ends(result: OracleResult) -> list[int]:
    return [int(t) for t in result.outcomes.end_s]


def waits(result: OracleResult, job: int, by: str = "refusal") -> dict[str, int]:
    row: Any = getattr(result.outcomes, f"wait_by_{by}_s")[job].tolist()
    assert sum(row) == result.outcomes.wait_s[job]
    return {REFUSALS[i]: seconds for i, seconds in enumerate(row) if seconds}


def states(result: OracleResult) -> list[str]:
    return [code.STATES[s] for s in result.outcomes.state]


def last(result: OracleResult, job: int) -> str:
    return REFUSALS[result.outcomes.last_refusal[job]]


# ---------------------------------------------------------------------- no backfill

HEAD_IN_THE_WAY = jobs((0, 6, 10), (1, 4, 5), (2, 2, 3))


def test_strict_closes_the_lane() -> None:
    # A 0-10. B does not fit (2 free). C would, but is behind B; both start at 10.
    r = simulate(make([[8]]), HEAD_IN_THE_WAY)
    assert starts(r) == [0, 10, 10]
    assert waits(r, 1) == {"no_free": 9}
    assert waits(r, 2) == {"order": 8}
    assert waits(r, 2, "root") == {"no_free": 8}
    assert r.outcomes.behind.tolist() == [-1, -1, 1]
    assert [last(r, j) for j in range(3)] == ["startable", "no_free", "order"]


def test_best_effort_passes_the_head() -> None:
    r = simulate(make([[8]], strict=0), HEAD_IN_THE_WAY)
    assert starts(r) == [0, 10, 2]


def test_root_of_order_changes_with_the_head() -> None:
    # A 5g/30 on node 0, B 5g/40 on node 1, C 3g/10 on node 0: 3 free. D 6g at 1 is NO_FREE, E behind it.
    # At 10 C ends: 3 + 3 are free but on no one node: D is FRAGMENTED, and so is E's root.
    # At 30 node 0 is idle.
    r = simulate(make([[8, 8]]), jobs((0, 5, 30), (0, 5, 40), (0, 3, 10), (1, 6, 5), (2, 1, 5)))
    assert starts(r) == [0, 0, 0, 30, 30]
    assert waits(r, 3) == {"no_free": 9, "fragmented": 20}
    assert waits(r, 4) == {"order": 28}
    assert waits(r, 4, "root") == {"no_free": 8, "fragmented": 20}


def test_arrival_pass_leaves_the_others_alone() -> None:
    # A and B 5g/20 on a node each. C 6g at 1: 6 free, FRAGMENTED. D 2g/8 at 2 starts: 4 free, but C is not
    # examined in an arrival pass. E 2g/17 at 3. D ends at 10: full pass, 4 free, C is NO_FREE until 20.
    world = make([[8, 8]], strict=0)
    r = simulate(world, jobs((0, 5, 20), (0, 5, 20), (1, 6, 5), (2, 2, 8), (3, 2, 17)))
    assert starts(r) == [0, 0, 20, 2, 3]
    assert waits(r, 2) == {"fragmented": 9, "no_free": 10}


def test_new_job_ahead_of_the_head_closes_the_lane() -> None:
    # A 8g 0-20. B NO_FREE at 1, C behind it at 2. D at 5 has a higher priority and does not fit: B and C are
    # now behind D. At 20 D and B start, and C is the head until 25.
    r = simulate(
        make([[8]], order=code.PRIORITY),
        jobs((0, 8, 20), (1, 4, 5), (2, 1, 5), (5, 4, 5), priority=[0, 0, 0, 5]),
    )
    assert waits(r, 1) == {"no_free": 4, "order": 15}
    assert waits(r, 1, "root") == {"no_free": 19}
    assert waits(r, 2) == {"order": 18, "no_free": 5}
    assert r.outcomes.behind.tolist() == [-1, 3, 3, -1]


def test_sjf_orders_by_limit_or_work() -> None:
    # All at 0 on one node: A has work 5, B work 9 but limit 4 (killed), C work 4.5 -> 5, after A by its row.
    r = simulate(make([[8]], order=code.SJF), jobs((0, 8, 5), (0, 8, 9), (0, 8, 4.5), limit_s=[0, 4, 0]))
    assert starts(r) == [4, 0, 9]
    assert states(r) == ["done", "killed", "done"]
    r = simulate(make([[8]], over_limit=code.RUN_ON), jobs((0, 8, 9), limit_s=[4]))
    assert (ends(r), states(r)) == ([9], ["done"])


def test_like_jobs_share_one_refusal() -> None:
    # Best effort. A 6g 0-10. B 3g is refused at 1. C is like it (no test), D is smaller and starts.
    r = simulate(make([[8]], strict=0), jobs((0, 6, 10), (1, 3, 5), (1, 3, 5), (1, 2, 5)))
    assert starts(r) == [0, 10, 10, 1]
    assert last(r, 2) == "no_free"


# ---------------------------------------------------------------------- EASY


def test_easy_reserves_by_placement_not_by_count() -> None:
    # A 4g/10 and B 4g/30 fill node 0, C 4g/20 is on node 1. D 8g at 1: at 10 there are 8 GPUs free, but on
    # two nodes; node 1 is idle at 20, so T = 20. E 4g/15 at 2 ends at 17 <= 20: it starts on node 1 at once.
    r = simulate(make([[8, 8]], **EASY), jobs((0, 4, 10), (0, 4, 30), (0, 4, 20), (1, 8, 5), (2, 4, 15)))
    assert starts(r) == [0, 0, 0, 20, 2]


def test_easy_holds_back_what_would_delay_the_holder() -> None:
    # As above, but E takes 19 s: 2 + 19 > 20 on node 1, and D could not be placed at 20 any more. At 10 A's
    # half of node 0 is free, best fit takes the lower index, and D at 20 on node 1 is not touched.
    r = simulate(make([[8, 8]], **EASY), jobs((0, 4, 10), (0, 4, 30), (0, 4, 20), (1, 8, 5), (2, 4, 19)))
    assert starts(r) == [0, 0, 0, 20, 10]
    assert waits(r, 3) == {"no_free": 9, "fragmented": 10}
    assert waits(r, 4) == {"reservation": 8}
    assert waits(r, 4, "root") == {"no_free": 8}
    assert r.outcomes.behind.tolist() == [-1, -1, -1, -1, 3]


def test_easy_without_estimates_lets_nobody_pass() -> None:
    rows = (0, 6, 10), (1, 4, 5), (2, 2, 3)
    r = simulate(make([[8]], **EASY), jobs(*rows))
    assert starts(r) == [0, 10, 2]
    r = simulate(make([[8]], estimate=code.NO_ESTIMATE, **EASY), jobs(*rows))
    assert starts(r) == [0, 10, 10]
    assert waits(r, 2) == {"reservation": 8}


def test_easy_memory_of_shapes_lets_shorter_ones_be_tested() -> None:
    # A 4g 0-20. B 8g is the holder, T = 20. C 4g/30 is refused, D 4g/40 like it, E 4g/19 is shorter: it ends
    # at 20 and starts.
    r = simulate(make([[8]], **EASY), jobs((0, 4, 20), (1, 8, 5), (1, 4, 30), (1, 4, 40), (1, 4, 19)))
    assert starts(r) == [0, 20, 25, 25, 1]
    assert r.outcomes.behind.tolist() == [-1, -1, 1, 1, -1]


def test_easy_depth_counts_from_the_first_of_the_lane() -> None:
    # A 6g 0-10. At 1 B 8g, C 2g/5 (would start) and D: with depth 1 only B is examined.
    r = simulate(make([[8]], depth=1, **EASY), jobs((0, 6, 10), (1, 8, 5), (1, 2, 5), (1, 1, 5)))
    assert waits(r, 2) == {"beyond_depth": 14}
    # At 10 only B is examined (and starts); at 15 only C; D waits for the next pass, when C ends at 20.
    # C is not examined at 10 either: the started B counts.
    assert starts(r) == [0, 10, 15, 20]
    r = simulate(make([[8]], depth=2, **EASY), jobs((0, 6, 10), (1, 8, 5), (1, 2, 5), (1, 1, 5)))
    assert starts(r) == [0, 10, 1, 15]


def test_easy_strict_quota_closes_the_lane() -> None:
    # Quota 6. A 4g 0-10; B 4g is over it; C 2g is not.
    rows = (0, 4, 10), (1, 4, 5), (2, 2, 5)
    r = simulate(make([[8]], quota=[6], **EASY), jobs(*rows))
    assert starts(r) == [0, 10, 10]
    assert waits(r, 1) == {"own_quota": 9}
    assert waits(r, 2) == {"order": 8}
    assert waits(r, 2, "root") == {"own_quota": 8}
    r = simulate(make([[8]], quota=[6], strict=0, **EASY), jobs(*rows))
    assert starts(r) == [0, 10, 2]


def test_easy_holders_of_all_lanes_are_asked() -> None:
    # Lane 1 holds B 8g (T = 10); C of lane 0 would hold 2 GPUs until 22.
    lanes = [[(0, 1.0)], [(0, 1.0)]]
    r = simulate(make([[8]], lanes=lanes, **EASY), jobs((0, 6, 10), (1, 8, 5), (2, 2, 20), cls=[0, 1, 0]))
    assert starts(r) == [0, 10, 15]
    assert waits(r, 2) == {"reservation": 8, "no_free": 5}
    assert r.outcomes.behind[2] == 1


# ---------------------------------------------------------------------- conservative


def test_conservative_protects_every_planned_start() -> None:
    # A 8g/10 on node 0, B 4g/20 on node 1. At 1: C 8g/30 is planned on node 0 for 10-40, D 8g/10 on node 1
    # for 20-30. E 4g/25 at 2 would fit node 1 until 27: it would delay D. It is planned when D ends, at 30.
    # It stands behind the first that is planned in its cell: C, and from 10, when C starts, D.
    rows = jobs((0, 8, 10), (0, 4, 20), (1, 8, 30), (1, 8, 10), (2, 4, 25))
    r = simulate(make([[8, 8]], **CONSERVATIVE), rows)
    assert starts(r) == [0, 0, 10, 20, 30]
    assert waits(r, 4) == {"reservation": 18, "no_free": 10}
    assert r.outcomes.behind[4] == 3
    # EASY asks C only (T = 10, on node 0).
    assert starts(simulate(make([[8, 8]], **EASY), rows)) == [0, 0, 10, 27, 2]


def test_conservative_window_and_resolution() -> None:
    # A 6g 0-10, B 8g/5 at 1. With a window of 8 s the start at 10 is not planned, and C 2g/20 passes.
    rows = jobs((0, 6, 10), (1, 8, 5), (1, 2, 20))
    assert starts(simulate(make([[8]], **CONSERVATIVE), rows)) == [0, 10, 15]
    assert starts(simulate(make([[8]], window_s=8, **CONSERVATIVE), rows)) == [0, 21, 1]
    # With a resolution of 15 s B is planned for 15, so that C 2g/14 at 1 ends in time. (At 10, when A ends,
    # C still has 2 GPUs.)
    rows = jobs((0, 6, 10), (1, 8, 5), (1, 2, 14))
    assert starts(simulate(make([[8]], **CONSERVATIVE), rows)) == [0, 10, 15]
    assert starts(simulate(make([[8]], resolution_s=15, **CONSERVATIVE), rows)) == [0, 15, 1]


def test_conservative_plans_with_nodes_to_come() -> None:
    # Node 1 comes at 12. A 8g/20 on node 0; B 8g is planned there on node 1 at 12.
    r = simulate(make([[8, 8]], changes=[(12, code.UP, 1, 1)], **CONSERVATIVE), jobs((0, 8, 20), (1, 8, 5)))
    assert starts(r) == [0, 12]


# ---------------------------------------------------------------------- SRTF

BY_COUNT: dict[str, Any] = {
    "order": code.SRTF,
    "select": code.SELECT_COUNT,
    "strict": 0,
    "finish_lag_s": 1,
    "bands": ((8, 40), (BIG, 60)),
    "placement": CONSOLIDATE,
}


def test_count_preempts_with_overhead_and_ends_a_second_late() -> None:
    # A 8g/100. At 5 B 16g/10 has less left and takes all the budget: A keeps 95, pays 40. B ends at
    # 5 + 10 + 1.
    r = simulate(make([[8, 8]], **BY_COUNT), jobs((0, 8, 100), (5, 16, 10)))
    assert ends(r) == [16 + 95 + 40 + 1, 16]
    assert r.outcomes.preemptions.tolist() == [1, 0]
    assert r.outcomes.attempts.tolist() == [2, 1]
    assert waits(r, 0) == {"no_free": 11}
    assert r.outcomes.run_s.tolist() == [5 + 136, 11]


def test_count_ignores_fragments_and_skips_what_cannot_be_placed() -> None:
    # A and B 5g/100 on a node each. At 1 C 6g/50 gets budget first (16 = 6 + 5 + 5) but no node has 6 free:
    # it is skipped. D 3g/200 gets no budget, though 3 GPUs are free on each node.
    r = simulate(make([[8, 8]], **BY_COUNT), jobs((0, 5, 100), (0, 5, 100), (1, 6, 50), (1, 3, 200)))
    assert starts(r) == [0, 0, 101, 101]
    assert waits(r, 2) == {"fragmented": 100}
    assert waits(r, 3) == {"no_free": 100}


def test_count_waiting_goes_before_running_at_a_tie() -> None:
    # At 10 A has 10 s left, as much as B: B goes first, A pays 40.
    r = simulate(make([[8]], **BY_COUNT), jobs((0, 8, 20), (10, 8, 10)))
    assert ends(r) == [21 + 50 + 1, 21]


def test_count_strict_closes_all_lanes() -> None:
    # A 5g and B 4g on a node each (4 and 3 free). C 6g has budget and no node; D 1g of another lane has both.
    lanes = [[(0, 1.0)], [(0, 1.0)]]
    rows = jobs((0, 5, 100), (0, 4, 100), (1, 6, 50), (1, 1, 150), cls=[0, 0, 0, 1])
    r = simulate(make([[8, 8]], lanes=lanes, **BY_COUNT), rows)
    assert starts(r) == [0, 0, 101, 1]
    r = simulate(make([[8, 8]], lanes=lanes, **{**BY_COUNT, "strict": 1}), rows)
    assert starts(r) == [0, 0, 101, 101]
    assert waits(r, 3, "root") == {"fragmented": 100}
    assert r.outcomes.behind[3] == 2


def test_placement_takes_the_victim_with_most_left() -> None:
    # A 4g/50, B 4g/80. At 10 C 4g/10: B has most left and goes; A stays. B comes back with 70 + 5 at 20.
    r = simulate(make([[8]], order=code.SRTF, bands=((8, 5),)), jobs((0, 4, 50), (0, 4, 80), (10, 4, 10)))
    assert starts(r) == [0, 0, 10]
    assert r.outcomes.preemptions.tolist() == [0, 1, 0]
    assert ends(r) == [50, 20 + 75, 20]


def test_placement_spares_jobs_with_no_more_left() -> None:
    # At 10 A has 10 left, as much as B, so B waits; C, with 9, takes A's place, and B is behind C's end.
    r = simulate(make([[8]], order=code.SRTF), jobs((0, 8, 20), (10, 8, 10)))
    assert starts(r) == [0, 20]
    r = simulate(make([[8]], order=code.SRTF), jobs((0, 8, 20), (10, 8, 9)))
    assert ends(r) == [29, 19]


# ---------------------------------------------------------------------- capacity


def test_kill_puts_the_job_back_in_its_old_place() -> None:
    # A on node 0, B on node 1, 20 s each; C waits. Node 0 is killed at 10: A loses 10 s of work, is ahead of
    # C again, gets node 1 at 20. C is head (NO_FREE) 1-10, behind A 10-20, head again 20-40.
    r = simulate(make([[8, 8]], changes=[(0, code.UP, 0, 2), (10, code.KILL, 0, 1)]),
                 jobs((0, 8, 20), (0, 8, 20), (1, 8, 5)))  # fmt: skip
    assert ends(r) == [40, 20, 45]
    assert r.outcomes.preemptions.tolist() == [1, 0, 0]
    assert r.outcomes.run_s[0] == 30
    assert waits(r, 0) == {"no_free": 10}
    assert waits(r, 2) == {"no_free": 29, "order": 10}


def test_drained_node_finishes_its_jobs_and_gives_nothing_back() -> None:
    # Node 0 is drained at 5 under A 8g/20. B 4g/100 is on node 1. C 8g at 21 cannot have node 0 before it is
    # back at 30.
    changes = [(0, code.UP, 0, 2), (5, code.DRAIN, 0, 1), (30, code.UP, 0, 1)]
    r = simulate(make([[8, 8]], changes=changes), jobs((0, 8, 20), (0, 4, 100), (21, 8, 5)))
    assert ends(r) == [20, 100, 35]
    assert waits(r, 2) == {"no_free": 9}


def test_never() -> None:
    # Over the quota for good; larger than the cell ever is; and at 20 B of another shape becomes impossible.
    r = simulate(make([[8, 8]], quota=[9]), jobs((0, 10, 5), (0, 8, 5)))
    assert states(r) == ["refused", "done"]
    assert last(r, 0) == "own_quota"
    r = simulate(make([[8]]), jobs((0, 9, 5), (0, 8, 5)))
    assert (states(r), last(r, 0), starts(r)) == (["refused", "done"], "not_online", [-1, 0])
    r = simulate(
        make([[8, 8]], changes=[(0, code.UP, 0, 2), (20, code.DRAIN, 1, 1)]), jobs((0, 8, 90), (1, 16, 5))
    )
    assert (states(r), last(r, 1)) == (["done", "refused"], "not_online")
    assert waits(r, 1) == {"no_free": 19}


def test_a_node_to_come_is_waited_for() -> None:
    changes = [(50, code.UP, 1, 1)]
    r = simulate(make([[8, 8]], changes=changes), jobs((0, 16, 5)))
    assert starts(r) == [50]
    assert waits(r, 0) == {"not_online": 50}
    # Without `finish`, what comes at the end comes never.
    r = simulate(make([[8, 8]], changes=changes, clock=(50, 0, 10)), jobs((0, 16, 5)))
    assert states(r) == ["refused"]


# ---------------------------------------------------------------------- time, options, accounts


def test_passes_at_multiples_of_the_interval() -> None:
    # A at 3 waits for 10. B at 12 for 20, though it is at 15 that A ends.
    r = simulate(make([[8]], interval_s=10), jobs((3, 8, 5), (12, 8, 5)))
    assert starts(r) == [10, 20]
    assert waits(r, 0) == {"between_passes": 7}
    assert last(r, 0) == "between_passes"


def test_options_in_order_with_their_speeds() -> None:
    # Cell 0 first; B goes to the second option at half the speed.
    r = simulate(make([[8], [8]], lanes=[[(0, 1.0), (1, 0.5)]]), jobs((0, 8, 10), (0, 8, 10)))
    assert ends(r) == [10, 20]
    assert r.outcomes.cell.tolist() == [0, 1]


def test_the_end_and_the_tallies() -> None:
    # Until 20 in bins of 10. A 4g 3-13, B 8g from 13, C waits from 15 for B.
    r = simulate(make([[8]], clock=(20, 0, 10)), jobs((3, 4, 10), (5, 8, 100), (15, 2, 1), (20, 1, 1)))
    assert states(r) == ["done", "running", "waiting", "waiting"]
    assert r.outcomes.run_s.tolist() == [10, 7, 0, 0]
    assert r.tallies.busy[0, 0].tolist() == [4 * 7, 4 * 3 + 8 * 7]
    assert r.tallies.waiting[0, code.NO_FREE].tolist() == [8 * 5, 8 * 3 + 2 * 5]
    assert r.tallies.waiting.sum() == 8 * 8 + 2 * 5
    assert r.end_s == 20


@pytest.mark.parametrize("strict", [0, 1])
def test_a_fleet_with_more_options_than_a_byte_counts(strict: int) -> None:
    """150 queues with an option each: the last one's job runs where its own option says."""
    lanes = [((at % 2, 1.0 + at),) for at in range(150)]
    world = make([[8] * 20, [8] * 20], lanes=lanes, strict=strict)
    each = jobs(*[(at, 8, 300.0) for at in range(150)], cls=range(150))
    assert differences(world, each) == []
    assert engine.simulate(world, each).outcomes.cell.tolist() == [at % 2 for at in range(150)]
