"""Cycle after cycle: what is kept from one to the next, and what events change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.oracle.sharing.cases import Case, load, work_of, world_of
from tests.oracle.sharing.cycle import run_cycle, settle
from tests.oracle.sharing.world import World, arrive, finish, release_evicted

CASES = {case["id"]: case for case in load(Path(__file__).parents[2] / "golden" / "sharing-cases.json")}


def world(name: str) -> World:
    return world_of(CASES[name])


def held(fleet: World) -> set[str]:
    return set(fleet.admitted)


def waiting(fleet: World, queue: str = "a") -> tuple[list[str], list[str]]:
    line = fleet.lines[queue]
    return [work.key for work in line.ordered()], sorted(line.parked)


def pending(name: str, gpus: int, priority: int = 0, created_s: int = 0, queue: str = "a") -> Any:
    raw: Case = {
        "name": name,
        "cluster_queue": queue,
        "priority": priority,
        "created_s": created_s,
        "pod_sets": [{"name": "main", "count": 1, "requests": {"gpu": gpus}}],
    }
    return work_of(raw)


def test_queues_are_emptied_as_far_as_they_go() -> None:
    fleet = world("admitted-in-one-cycle")
    cycles = settle(fleet)
    assert [sorted(cycle.admitted) for cycle in cycles] == [["a1", "b1"], ["a2"], []]


def test_a_blocked_strict_head_ends_it() -> None:
    fleet = world("strict-head-blocks")
    assert len(settle(fleet)) == 1
    assert waiting(fleet) == (["big", "small"], [])


def test_the_next_cycle_goes_on_with_the_next_flavor() -> None:
    fleet = world("flavors-left-to-try")
    first, second, _ = settle(fleet)
    assert not first.admitted
    assert second.admitted["a1"].flavors == {"main": {"gpu": "f2", "cpu": "f2"}}


def test_a_preemptor_waits_for_its_victims_and_keeps_its_place() -> None:
    fleet = world("flavor-stops-when-preempting")
    first, second = settle(fleet)
    assert [v.work.key for v in first.preempted] == ["a0"]
    assert second.fared == {"a1": "PendingPreemption"}
    assert not second.preempted
    arrive(fleet, pending("urgent", 4, priority=9))
    assert waiting(fleet) == (["a1", "urgent"], [])
    release_evicted(fleet)
    assert waiting(fleet) == (["a1", "urgent", "a0"], [])
    assert sorted(run_cycle(fleet).admitted) == ["a1"]
    assert fleet.lines["a"].sticky is None


def test_equal_shapes_park_until_something_is_released() -> None:
    fleet = world("parked-with-its-shape")
    settle(fleet)
    assert held(fleet) == {"small"}
    arrive(fleet, pending("big3", 8))
    arrive(fleet, pending("middle", 3))
    assert waiting(fleet) == (["middle"], ["big1", "big2", "big3"])
    settle(fleet)
    assert waiting(fleet) == ([], ["big1", "big2", "big3", "middle"])
    finish(fleet, "small")
    assert waiting(fleet) == (["big1", "big2", "big3", "middle"], [])
    settle(fleet)
    assert held(fleet) == {"middle"}


def test_a_parked_work_reserves_nothing() -> None:
    # In the first cycle a1's reservation keeps b1 out; then a1 is parked, and b1 gets in.
    first, second, _ = settle(world("reservation-within-nominal"))
    assert first.fared == {"a1": "NoCandidates", "b1": "Skipped"}
    assert sorted(second.admitted) == ["b1"]


def test_a_release_reaches_the_whole_cohort_and_no_other() -> None:
    case = CASES["reservation-within-nominal"]
    alone = CASES["parked-with-its-shape"]["cluster_queues"][0] | {"name": "z"}
    fleet = world_of(case | {"cluster_queues": [*case["cluster_queues"], alone]})
    arrive(fleet, pending("z1", 9, queue="z"))
    settle(fleet)
    assert (waiting(fleet, "a"), waiting(fleet, "z")) == (([], ["a1"]), ([], ["z1"]))
    finish(fleet, "b0")
    assert (waiting(fleet, "a"), waiting(fleet, "z")) == ((["a1"], []), ([], ["z1"]))
    settle(fleet)
    assert held(fleet) == {"a1", "b1"}
