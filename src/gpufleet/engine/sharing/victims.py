"""Which victims make room for a work: the classic search, by priority and reclaim."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.candidates import (
    HIERARCHICAL,
    OWN,
    WITHOUT_BORROWING,
    collect,
    drop_top,
    make_heap,
    next_candidate,
    none_can_help,
    sift,
    variant_of,
)
from gpufleet.engine.sharing.fair import search_fair
from gpufleet.engine.sharing.hopeless import (
    begin_note,
    end_note,
    is_hopeless,
    lacking_nodes,
    lacking_quota,
    note_attempt,
)
from gpufleet.engine.sharing.state import N_CANDIDATES, N_FOUND, RECLAIMED, Share
from gpufleet.engine.sharing.taking import has_room, put_back, restore, take_victim
from gpufleet.engine.sharing.tree import available, is_within
from gpufleet.engine.state import State
from gpufleet.world.layout import NEVER, Tree


@kernel
def _exceeds(t: Tree, h: Share, at: int) -> bool:
    """Whether a queue, and all below the common cohort, exceed their quota: within it nobody is taken."""
    node = h.candidate[at].queue
    while node != h.candidate[at].top:
        if is_within(t, h, node):
            return False
        node = t.parent[node]
    return True


@kernel
def _lacking_at_best(t: Tree, h: Share, i: int, borrowing: bool) -> int:
    """Quota that is lacking even if all candidates were taken; if any, there is no need to try."""
    queue, lacking = h.work[i].queue, 0
    for k in range(len(h.rest)):
        h.rest[k] = 0
    for at in range(h.scalar[N_CANDIDATES]):
        row = h.candidate[at]
        if borrowing or row.queue == queue:
            for k in range(len(h.rest)):
                h.rest[k] += h.usage[row.queue, k]
    for k in range(len(h.request)):
        if h.request[k] > 0:
            room = available(t, h, queue, k) if borrowing else t.nominal[queue, k] - h.usage[queue, k]
            lacking = max(lacking, h.request[k] - room - h.rest[k])
    return lacking


@kernel
def _attempt(w: Rules, s: State, t: Tree, h: Share, i: int, borrowing: bool) -> bool:
    """Take candidates until the request fits; usage is as before when it returns."""
    queue = h.work[i].queue
    h.scalar[N_FOUND] = 0
    lacking = _lacking_at_best(t, h, i, borrowing)
    if lacking > 0:
        if t.placed:
            note_attempt(s, i, borrowing, 0, lacking)
        return False
    n = make_heap(h, queue)
    while n > 0:
        at = h.order[0]
        row = h.candidate[at]
        victim, variant = row.work, variant_of(t, h, i, at)
        spared = borrowing and variant == WITHOUT_BORROWING
        if row.queue != queue and (not _exceeds(t, h, at) or (spared and not h.work[victim].evicted)):
            n = drop_top(h, n, queue)  # none behind is one either: they have higher priorities
            continue
        row.work = next_candidate(t, h, i, h.work[victim].next)
        if row.work < 0:
            n = drop_top(h, n, queue)
        else:
            sift(h, 0, n, queue)
        if not spared:
            take_victim(w, s, t, h, victim, RECLAIMED if variant == WITHOUT_BORROWING else variant)
            if has_room(w, s, t, h, i, borrowing):
                put_back(w, s, t, h, i, borrowing)
                restore(w, s, t, h)
                return True
    if t.placed:
        note_attempt(s, i, borrowing, lacking_nodes(w, s, i), lacking_quota(t, h, i, borrowing))
    restore(w, s, t, h)
    h.scalar[N_FOUND] = 0
    return False


@kernel
def _is_under_nominal(t: Tree, h: Share, queue: int) -> bool:
    for k in range(len(h.need)):  # noqa: SIM110
        if h.need[k] and h.usage[queue, k] >= t.nominal[queue, k]:
            return False
    return True


@kernel
def _counts(h: Share) -> tuple[int, int]:
    """(candidates of other queues, hierarchical ones)."""
    others, hierarchical = 0, 0
    for at in range(h.scalar[N_CANDIDATES]):
        group = h.candidate[at].group
        others += int(group != OWN)
        hierarchical += int(group == HIERARCHICAL)
    return others, hierarchical


@kernel
def search(w: Rules, s: State, t: Tree, h: Share, i: int) -> int:
    """Find the victims that make room for ``request`` of work ``i``; their number, 0 if nothing helps.

    ``need`` says where room is lacking. The victims are in ``found``; usage is as before.
    """
    h.scalar[N_FOUND] = 0
    if t.fair:
        search_fair(w, s, t, h, i)
        return int(h.scalar[N_FOUND])
    if none_can_help(t, h, i) or (t.placed and is_hopeless(w, s, t, h, i)):
        return 0
    collect(t, h, i)
    if h.scalar[N_CANDIDATES] == 0:
        return 0
    if t.placed:
        begin_note(s, t, h, i)
    queue = h.work[i].queue
    others, hierarchical = _counts(h)
    never = t.borrow_within[queue] == NEVER
    if others == 0 or (never and not _is_under_nominal(t, h, queue)):
        _attempt(w, s, t, h, i, True)
    else:
        borrow_last = never and hierarchical == 0
        if not _attempt(w, s, t, h, i, not borrow_last):
            _attempt(w, s, t, h, i, borrow_last)
    if t.placed and h.scalar[N_FOUND] == 0:
        end_note(w, s, h, i)
    return int(h.scalar[N_FOUND])
