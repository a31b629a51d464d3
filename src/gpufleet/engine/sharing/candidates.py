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
from gpufleet.engine.sharing.victim_order import least_priority, precedes
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
def next_candidate(t: Tree, h: Share, i: int, victim: int) -> int:
    """The first candidate of work ``i`` from ``victim`` on in its queue's list; -1 if there is none."""
    if victim < 0:
        return -1
    queue, me = h.work[victim].queue, h.work[i]
    policy = t.within[queue] if queue == me.queue else t.reclaim[me.queue]
    while victim >= 0:
        work = h.work[victim]
        if policy != ANY_PRIORITY and not work.evicted:
            too_high = (
                work.priority >= me.priority if policy == LOWER_PRIORITY else work.priority > me.priority
            )
            if policy == NEVER or too_high:  # so are all behind
                return -1
        gone = work.preemptible == 0 or work.passed == h.scalar[THIS_PASS]
        gone = gone or (work.away != 0 and work.away == h.scalar[CYCLE])
        if not gone and _is_allowed(h, policy, i, victim) and _uses_what_is_needed(h, victim):
            return victim
        victim = work.next
    return -1


@kernel
def _add_queue(t: Tree, h: Share, i: int, queue: int, group: int, top: int) -> None:
    """Collect the candidates of one queue; ``top`` is the lowest cohort that it shares with the preemptor."""
    first = next_candidate(t, h, i, h.first[queue])
    if first >= 0:
        row = h.candidate[h.scalar[N_CANDIDATES]]
        h.scalar[N_CANDIDATES] += 1
        row.first, row.group, row.queue, row.top = first, group, queue, top


@kernel
def variant_of(t: Tree, h: Share, i: int, at: int) -> int:
    """Why, and while what, the next candidate of a queue is one."""
    row = h.candidate[at]
    if row.queue == h.work[i].queue:
        return IN_QUEUE
    return _variant(t, h, i, row.work, row.group)


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
            _add_queue(t, h, i, node, group, top)
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
        own = own and least_priority(h, queue) < work.priority
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
    _add_queue(t, h, i, queue, OWN, queue)
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
def _goes_before(h: Share, a: int, b: int, queue: int) -> bool:
    x, y = h.candidate[a], h.candidate[b]
    evicted, other = h.work[x.work].evicted, h.work[y.work].evicted
    if evicted != other:
        return bool(evicted > other)
    if x.group != y.group:
        return bool(x.group < y.group)
    return precedes(h, x.work, y.work, queue)


@kernel
def sift(h: Share, at: int, n: int, queue: int) -> None:
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
    """Have the queue whose next candidate goes first on top of ``order``, a heap. Returns its size."""
    n = h.scalar[N_CANDIDATES]
    for at in range(n):
        h.order[at] = at
        h.candidate[at].work = h.candidate[at].first
    for up in range(n // 2):
        sift(h, n // 2 - 1 - up, n, queue)
    return int(n)


@kernel
def drop_top(h: Share, n: int, queue: int) -> int:
    """Take the queue on top off the heap; the heap's size."""
    h.order[0] = h.order[n - 1]
    sift(h, 0, n - 1, queue)
    return n - 1
