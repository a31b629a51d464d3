"""Candidates: works that policy lets a preemptor take GPUs from, best victim first."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.sharing.state import (
    CYCLE,
    IN_QUEUE,
    N_CANDIDATES,
    RECLAIMED,
    THIS_PASS,
    WHILE_BORROWING,
    Share,
)
from gpufleet.engine.sharing.tree import headroom, is_within
from gpufleet.world.layout import (
    ANY_PRIORITY,
    LOWER_OR_NEWER_EQUAL,
    LOWER_PRIORITY,
    NEVER,
    NO_THRESHOLD,
    Tree,
)

# Groups of candidates, in the order in which they are taken; those already evicted come before all.
HIERARCHICAL, BY_PRIORITY, OWN = 0, 1, 2
_N_BANDS = 3
WITHOUT_BORROWING = 4  # variant: a victim only while the preemptor does not borrow


@kernel
def _uses_what_is_needed(h: Share, i: int) -> bool:
    for u in range(h.work[i].n_use):  # noqa: SIM110  (any() is slow in a kernel)
        if h.need[h.use_k[i, u]] and h.use[i, u] > 0:
            return True
    return False


@kernel
def _is_allowed(h: Share, policy: int, i: int, victim: int) -> bool:
    """Whether a policy lets work ``i`` take the victim."""
    a, b = h.work[i], h.work[victim]
    if policy == NEVER:
        return False
    if policy == ANY_PRIORITY or b.priority < a.priority:
        return True
    return bool(policy == LOWER_OR_NEWER_EQUAL and b.priority == a.priority and a.time < b.time)


@kernel
def _variant(t: Tree, h: Share, i: int, victim: int, group: int) -> int:
    """Why, and while what, a work of another queue may be a victim."""
    if group == HIERARCHICAL:
        return RECLAIMED
    queue, priority = h.work[i].queue, h.work[victim].priority
    if t.borrow_within[queue] == NEVER or priority >= h.work[i].priority:
        return WITHOUT_BORROWING
    if t.threshold[queue] != NO_THRESHOLD and priority > t.threshold[queue]:
        return WITHOUT_BORROWING
    return WHILE_BORROWING


@kernel
def add_candidates(t: Tree, h: Share, i: int, queue: int, group: int, top: int) -> None:
    """Collect the candidates of one queue; ``top`` is the lowest cohort that it shares with the preemptor."""
    own = queue == h.work[i].queue
    policy = t.within[queue] if own else t.reclaim[h.work[i].queue]
    if policy == NEVER or (policy == LOWER_PRIORITY and h.least[queue] >= h.work[i].priority):
        return
    victim, least = h.first[queue], NO_THRESHOLD
    while victim >= 0:
        work = h.work[victim]
        gone = work.preemptible == 0 or work.passed == h.scalar[THIS_PASS]
        gone = gone or (work.away != 0 and work.away == h.scalar[CYCLE])
        if not gone and _is_allowed(h, policy, i, victim) and _uses_what_is_needed(h, victim):
            at = h.scalar[N_CANDIDATES]
            h.scalar[N_CANDIDATES] += 1
            row = h.candidate[at]
            row.work, row.queue, row.top, row.taken = victim, queue, top, 0
            row.variant = IN_QUEUE if own else _variant(t, h, i, victim, group)
            row.band = group if work.evicted else group + _N_BANDS
            h.order[at] = at
        least = min(least, work.priority)
        victim = work.next
    h.least[queue] = least


@kernel
def _after(t: Tree, node: int, top: int) -> int:
    """The next node under ``top`` that is not under ``node``, -1 if there is none."""
    while node != top:
        if t.sibling[node] >= 0:
            return int(t.sibling[node])
        node = t.parent[node]
    return -1


@kernel
def _collect_under(t: Tree, h: Share, i: int, top: int, seen: int, group: int) -> None:
    """Candidates of all queues under ``top`` but those under ``seen``, as far as nodes exceed their quota."""
    node = t.child[top]
    while node >= 0:
        enter = node != seen and not is_within(t, h, node)
        if enter and t.queue[node]:
            add_candidates(t, h, i, node, group, top)
        down = enter and not t.queue[node] and t.child[node] >= 0
        node = t.child[node] if down else _after(t, node, top)


@kernel
def _fits_quota(t: Tree, h: Share, node: int) -> bool:
    """Whether the node's own quota holds the rest of the request; takes off what it keeps room for."""
    fits = True
    for k in range(len(h.rest)):
        if h.rest[k] > 0:
            fits = fits and h.usage[node, k] + h.rest[k] <= h.subtree[node, k]
            h.rest[k] = max(0, h.rest[k] - headroom(h, node, k))
    return fits


@kernel
def _fits_above(t: Tree, h: Share, queue: int) -> bool:
    """Whether the own quota of the queue, or of a cohort above it, holds what is asked for."""
    for k in range(len(h.rest)):
        h.rest[k] = h.request[k]
    node = queue
    while node >= 0:
        if _fits_quota(t, h, node):
            return True
        node = t.parent[node]
    return False


@kernel
def none_can_help(t: Tree, h: Share, i: int) -> bool:
    """Whether it is clear without a look at any work that no victims make room; by shares it never is.

    Without victims in its own queue, a work that its own quota does not hold would borrow, and then only
    takes from others if `borrow_within` says so, or if a cohort above it owns what it lacks.
    """
    queue, work = h.work[i].queue, h.work[i]
    own = t.within[queue] != NEVER and h.first[queue] >= 0
    if t.within[queue] == LOWER_PRIORITY:
        own = own and h.least[queue] < work.priority
    if own:
        return False
    if t.parent[queue] < 0 or t.reclaim[queue] == NEVER:
        return True
    return bool(t.borrow_within[queue] == NEVER and not _fits_above(t, h, queue))


@kernel
def collect(t: Tree, h: Share, i: int) -> None:
    """All candidates for the request of work ``i``.

    On the way up from the queue: as soon as a node's own quota holds the request, what borrows from outside
    of it is to be given back, whatever its priority.
    """
    h.scalar[N_CANDIDATES] = 0
    queue = h.work[i].queue
    add_candidates(t, h, i, queue, OWN, queue)
    if t.parent[queue] < 0 or t.reclaim[queue] == NEVER:
        return
    for k in range(len(h.rest)):
        h.rest[k] = h.request[k]
    advantage = _fits_quota(t, h, queue)
    seen, top = queue, t.parent[queue]
    while top >= 0:
        _collect_under(t, h, i, top, seen, HIERARCHICAL if advantage else BY_PRIORITY)
        advantage = _fits_quota(t, h, top) or advantage
        seen, top = top, t.parent[top]


@kernel
def precedes(h: Share, a: int, b: int, queue: int) -> bool:
    """Whether candidate work a is to be taken before b, for a preemptor of this queue."""
    x, y = h.work[a], h.work[b]
    if x.evicted != y.evicted:
        return bool(x.evicted > y.evicted)
    if (x.queue == queue) != (y.queue == queue):
        return bool(y.queue == queue)
    if x.priority != y.priority:
        return bool(x.priority < y.priority)
    if x.reserved != y.reserved:
        return bool(x.reserved > y.reserved)
    return bool(x.rank < y.rank)


@kernel
def _goes_before(h: Share, a: int, b: int, queue: int) -> bool:
    x, y = h.candidate[a], h.candidate[b]
    if x.band != y.band:
        return bool(x.band < y.band)
    return precedes(h, x.work, y.work, queue)


@kernel
def _sift(h: Share, at: int, n: int, queue: int) -> None:
    """Restore the heap below ``at``."""
    while 2 * at + 1 < n:
        down = 2 * at + 1
        if down + 1 < n and _goes_before(h, h.order[down + 1], h.order[down], queue):
            down += 1
        if not _goes_before(h, h.order[down], h.order[at], queue):
            return
        h.order[at], h.order[down] = h.order[down], h.order[at]
        at = down


@kernel
def make_heap(h: Share, queue: int) -> int:
    """Have the first candidate on top of ``order``: a heap, since few of many are taken. Returns its size."""
    n = h.scalar[N_CANDIDATES]
    for at in range(n):
        h.order[at] = at
    for up in range(n // 2):
        _sift(h, n // 2 - 1 - up, n, queue)
    return int(n)


@kernel
def pop(h: Share, n: int, queue: int) -> int:
    """Take the first of ``n`` candidates off the heap."""
    top = h.order[0]
    h.order[0] = h.order[n - 1]
    _sift(h, 0, n - 1, queue)
    return int(top)
