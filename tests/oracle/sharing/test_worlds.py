"""The random cases are cases, everything happens in some, and what the twin does keeps the quota."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from tests.oracle.sharing.cases import Case, answer, answers, world_of
from tests.oracle.sharing.cycle import settle
from tests.oracle.sharing.flavors import Scan, nominate
from tests.oracle.sharing.tree import Snapshot
from tests.oracle.sharing.world import World, release_evicted
from tests.oracle.sharing.worlds import cases, random_case


def overused(now: Snapshot) -> set[str]:
    """Queues above them somebody uses more than there is, or who are over a limit of theirs."""
    return {
        leaf.name
        for leaf in now.leaves.values()
        for fr in leaf.root().all_frs()
        if now.available(leaf, fr) < 0
    }


def to_come(world: World) -> Snapshot:
    """The moment when all that is evicted is gone."""
    return world.snapshot().without(w for w in world.admitted.values() if w.evicted)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_nobody_uses_more_than_there_is(case: Case) -> None:
    world = world_of(case)
    assert not overused(world.snapshot())
    for _ in range(3):
        settle(world)
        assert not overused(to_come(world))
        release_evicted(world)
        assert not overused(world.snapshot())


@settings(max_examples=60, deadline=None)
@given(cases())
def test_victims_make_room_and_none_is_spare(case: Case) -> None:
    world = world_of(case)
    for head in world.heads():
        made = nominate(Scan(world.snapshot(), head, world.rules))
        victims = [victim.work for victim in made.victims]
        if not victims:
            continue
        leaf = world.leaves[head.queue]
        now = world.snapshot().without(victims)
        assert now.fits(leaf, made.usage)
        borrows = any(now.over(leaf, fr, amount) for fr, amount in made.usage.items())
        for victim in victims:
            with_it = now.copy()
            with_it.put(victim)
            returns = with_it.fits(leaf, made.usage)
            beyond = not borrows and any(with_it.over(leaf, fr, n) for fr, n in made.usage.items())
            assert not returns or beyond


@settings(max_examples=30, deadline=None)
@given(cases())
def test_every_work_is_in_one_place(case: Case) -> None:
    world = world_of(case)
    settle(world)
    places = [*world.admitted]
    for line in world.lines.values():
        places += [*line.active, *line.parked]
    assert sorted(places) == sorted(work["name"] for work in [*case["admitted"], *case["pending"]])


def test_everything_happens() -> None:
    fared: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    reduced = 0
    for seed in range(300):
        world = world_of(random_case(seed))
        for cycle in settle(world):
            fared.update(cycle.fared.values())
            reasons.update(victim.reason for victim in cycle.preempted)
        reduced += any(
            work.admission is not None and work.admission.counts.get(p.name, 0) < p.count
            for work in world.admitted.values()
            for p in work.pod_sets
        )
    assert set(fared) == {"Admitted", "NoFit", "NoCandidates", "Skipped", "PendingPreemption"}
    assert min(fared.values()) > 30, fared
    kinds = {"InClusterQueue", "InCohortReclamation", "InCohortFairSharing", "InCohortReclaimWhileBorrowing"}
    assert set(reasons) == kinds
    assert min(reasons.values()) > 5, reasons
    assert reduced > 5


def test_a_seed_is_a_case() -> None:
    assert random_case(7) == random_case(7)
    told = answers(random_case(7), releases=2)
    assert told == answers(random_case(7), releases=2)
    assert told[0] == answer(random_case(7))
