"""One scheduling cycle, and cycles until nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .entries import Entry, next_entry
from .flavors import FIT, NO_FIT, PREEMPT, Assignment, Scan, nominate
from .model import ANY, HAS_PLACE, STRICT, Admission, Amount, Amounts, Rules, Victim, Work
from .tree import Node, Snapshot
from .world import World

ADMITTED, REFUSED_NO_FIT, REFUSED_NO_CANDIDATES = "Admitted", "NoFit", "NoCandidates"
SKIPPED, PENDING = "Skipped", "PendingPreemption"


@dataclass
class Cycle:
    """What a cycle did: who was admitted to what, whom it preempted, and how each head fared."""

    admitted: dict[str, Assignment] = field(default_factory=dict)
    preempted: list[Victim] = field(default_factory=list)
    fared: dict[str, str] = field(default_factory=dict)


@dataclass
class _Round:
    """A cycle while it runs: the snapshot that it changes, and the victims that it has chosen so far."""

    now: Snapshot
    rules: Rules
    taken: dict[str, Work] = field(default_factory=dict)


def run_cycle(world: World, at_s: Amount = 0) -> Cycle:
    """One head per queue is nominated, put in order, and admitted, made room for, or refused."""
    world.cycle += 1
    running = _Round(world.snapshot(), world.rules)
    entries = [_entry(world, running, head) for head in world.heads()]
    done = Cycle()
    while entries:
        entry = next_entry(running.now, entries, world.rules.fair)
        entries.remove(entry)
        fared = done.fared[entry.work.key] = _process(running, entry)
        if fared == ADMITTED:
            done.admitted[entry.work.key] = entry.made
            _admit(world, entry, at_s)
        else:
            _requeue(world, entry, fared)
        if fared == PENDING:
            done.preempted += _evict(world, entry)
    return done


def cycles(world: World, at_s: Amount = 0) -> Iterator[Cycle]:
    """Cycles at one instant until one leads to a state that was there before; that one is the last."""
    seen = [world.state()]
    while True:
        yield run_cycle(world, at_s)
        state = world.state()
        if state in seen:
            return
        seen.append(state)


def settle(world: World, at_s: Amount = 0) -> list[Cycle]:
    """All of `cycles`."""
    return list(cycles(world, at_s))


def _entry(world: World, running: _Round, head: Work) -> Entry:
    scan = Scan(running.now, head, world.rules, world.recall(head))
    return Entry(head, nominate(scan))


def _process(running: _Round, entry: Entry) -> str:
    """Changes the snapshot, and the entry if it is re-assigned. How the entry fared."""
    now, queue = running.now, entry.work.queue
    deferred = _reassign(running, entry)
    made = entry.made
    if made.mode == NO_FIT:
        return REFUSED_NO_FIT
    if made.mode == PREEMPT and not made.victims:
        if _policy_reclaim(now.leaves[queue]) != ANY:
            now.add(queue, reservation(now, entry))
        return REFUSED_NO_CANDIDATES
    if deferred:
        now.add(queue, made.usage)
        return PENDING
    victims = [v.work for v in made.victims]
    if not _fits(running, now.without([*running.taken.values(), *victims]), entry):
        return SKIPPED
    running.taken |= {work.key: work for work in victims}
    now.add(queue, made.usage)
    return ADMITTED if made.mode == FIT else PENDING


def _fits(running: _Round, then: Snapshot, entry: Entry) -> bool:
    request, room = entry.made.usage, running.rules.room
    has_place = all(room.place(entry.work, flavor, then.gone) == HAS_PLACE for flavor, _ in request)
    return has_place and then.fits(then.leaves[entry.work.queue], request)


def _reassign(running: _Round, entry: Entry) -> bool:
    """If its victims are taken already: the same flavors, as if those were gone. Does it fit then.

    Those who are gone are no candidates, so the victims of the new assignment never overlap.
    """
    if not any(victim.work.key in running.taken for victim in entry.made.victims):
        return False
    gone = running.now.without(running.taken.values())
    entry.made = nominate(Scan(gone, entry.work, running.rules, only=entry.made.flavors))
    entry.reassigned = True
    return entry.made.mode == FIT


def reservation(now: Snapshot, entry: Entry) -> Amounts:
    """The room that later entries cannot take although this one could not use it yet."""
    leaf = now.leaves[entry.work.queue]
    kept: Amounts = {}
    for fr, asked in entry.made.usage.items():
        quota, used = leaf.quota(fr), now.usage(leaf, fr)
        if entry.made.level == 0:
            kept[fr] = max(0, min(asked, quota.nominal - used))
        elif quota.borrowing_limit is None:
            kept[fr] = asked
        else:
            kept[fr] = min(asked, quota.nominal + quota.borrowing_limit - used)
    return kept


def _policy_reclaim(leaf: Node) -> str:
    assert leaf.queue is not None
    return leaf.queue.policy.reclaim


def _admit(world: World, entry: Entry, at_s: Amount) -> None:
    work, made = entry.work, entry.made
    work.admission = Admission(at_s, made.counts, made.flavors, made.usage)
    world.lines[work.queue].leave(work)
    world.memory.pop(work.key, None)
    world.admitted[work.key] = work
    world.rules.room.start(work, made.usage)


def _evict(world: World, entry: Entry) -> list[Victim]:
    """Those who are evicted by now are not evicted again. They hold their usage until they are released."""
    fresh = [victim for victim in entry.made.victims if not victim.work.evicted]
    for victim in fresh:
        victim.work.evicted = True
    world.rules.room.make_way(fresh, entry.work)
    world.rules.room.hold(entry.work, entry.made.usage)
    return fresh


def _requeue(world: World, entry: Entry, fared: str) -> None:
    work, line = entry.work, world.lines[entry.work.queue]
    forget = fared == PENDING or entry.reassigned
    world.remember(work, {} if forget else entry.made.stops)
    if line.strategy == STRICT:
        return
    if fared == PENDING:
        line.sticky = work.key
    if fared in (REFUSED_NO_FIT, REFUSED_NO_CANDIDATES) and not world.recall(work):
        line.park(work.shape)
