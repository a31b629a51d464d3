"""Which victims make room for a work under fair sharing: from those who hold more than their share."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.candidates import next_candidate
from gpufleet.engine.sharing.state import (
    FAIR_SHARE,
    IN_QUEUE,
    N_FOUND,
    RECLAIMED,
    Share,
)
from gpufleet.engine.sharing.taking import has_room, put_back, restore, take_victim
from gpufleet.engine.sharing.tree import (
    add_usage,
    count_work,
    discount_work,
    is_less,
    is_within,
    root_of,
    share_of,
    take_usage,
)
from gpufleet.engine.sharing.victim_order import precedes
from gpufleet.engine.state import State
from gpufleet.world.layout import FINAL_SHARE, NEVER, NO_STRATEGY, Tree


@kernel
def _is_under(t: Tree, node: int, top: int) -> bool:
    """Whether ``node`` is ``top`` or lies below it."""
    while node >= 0:
        if node == top:
            return True
        node = t.parent[node]
    return False


@kernel
def _collect_fair(t: Tree, h: Share, i: int) -> bool:
    """Find the best victim of each queue of the tree; False if there is none."""
    queue, any_found = h.work[i].queue, False
    root = root_of(t, queue)
    for node in range(len(t.parent)):
        h.queue_first[node], h.retry_first[node], h.pruned[node] = -1, -1, 0
        if not t.queue[node]:
            continue
        others = t.reclaim[queue] != NEVER and _is_under(t, node, root) and not is_within(t, h, node)
        if node == queue or others:
            h.queue_first[node] = next_candidate(t, h, i, h.first[node])
            any_found = any_found or h.queue_first[node] >= 0
    return any_found


@kernel
def _take_first(t: Tree, h: Share, i: int, queue: int) -> int:
    """Take the best victim off those of a queue."""
    victim = h.queue_first[queue]
    h.queue_first[queue] = next_candidate(t, h, i, h.work[victim].next)
    return int(victim)


@kernel
def _refuse(h: Share, queue: int, victim: int) -> None:
    """The second strategy may take the first victim that the first one refused."""
    if h.retry_first[queue] < 0:
        h.retry_first[queue] = victim


@kernel
def _try_again(h: Share) -> None:
    """Have those refused come first; nothing is pruned any more."""
    for node in range(len(h.queue_first)):
        h.queue_first[node], h.pruned[node] = h.retry_first[node], 0


@kernel
def _richest_queue(t: Tree, h: Share, cohort: int, queue: int) -> tuple[int, int, float]:
    """(queue of the cohort with the highest share, its share); -1 = none. Prunes those out of question."""
    best, best_infinite, best_share = -1, 0, 0.0
    node = t.child[cohort]
    while node >= 0:
        if t.queue[node] and not h.pruned[node]:
            infinite, share = share_of(t, h, node)
            if h.queue_first[node] < 0 or (node != queue and infinite == 0 and share == 0.0):
                h.pruned[node] = 1
            elif best < 0 or is_less(best_infinite, best_share, infinite, share):
                best, best_infinite, best_share = node, infinite, share
            elif infinite == best_infinite and share == best_share:
                first = h.queue_first[node]
                best = node if precedes(h, first, h.queue_first[best], queue) else best
        node = t.sibling[node]
    return best, best_infinite, best_share


@kernel
def _richest_cohort(t: Tree, h: Share, cohort: int, queue: int) -> tuple[int, int, float]:
    """(cohort in the cohort with the highest share, its share); -1 = none. Prunes those out of question."""
    best, best_infinite, best_share = -1, 0, 0.0
    node = t.child[cohort]
    while node >= 0:
        if not t.queue[node] and not h.pruned[node]:
            infinite, share = share_of(t, h, node)
            if infinite == 0 and share == 0.0 and not _is_under(t, queue, node):
                h.pruned[node] = 1
            elif best < 0 or not is_less(infinite, share, best_infinite, best_share):
                best, best_infinite, best_share = node, infinite, share
        node = t.sibling[node]
    return best, best_infinite, best_share


@kernel
def _next_target(t: Tree, h: Share, queue: int) -> int:
    """The queue to take from next: down from the root by the highest share; -1 when nobody is left."""
    root = root_of(t, queue)
    if root == queue:
        return queue if h.queue_first[queue] >= 0 else -1
    node = root
    while not h.pruned[root]:
        best, infinite, share = _richest_queue(t, h, node, queue)
        cohort, cohort_infinite, cohort_share = _richest_cohort(t, h, node, queue)
        if best < 0 and cohort < 0:
            h.pruned[node] = 1
            node = root
        elif cohort >= 0 and (best < 0 or not is_less(cohort_infinite, cohort_share, infinite, share)):
            node = cohort
        else:
            return best
    return -1


@kernel
def _below_common(t: Tree, node: int, other: int) -> int:
    """The ancestor of ``node`` (or itself) one step below the lowest one that ``other`` is under too."""
    while not _is_under(t, other, t.parent[node]):
        node = t.parent[node]
    return node


@kernel
def _add_request(t: Tree, h: Share, queue: int) -> None:
    for k in range(len(h.request)):
        add_usage(t, h, queue, k, h.request[k])


@kernel
def _take_request(t: Tree, h: Share, queue: int) -> None:
    for k in range(len(h.request)):
        take_usage(t, h, queue, k, h.request[k])


@kernel
def _fits(w: Rules, s: State, t: Tree, h: Share, i: int) -> bool:
    """Whether the request of work ``i``, which is counted, fits."""
    queue = h.work[i].queue
    _take_request(t, h, queue)
    fits = has_room(w, s, t, h, i, True)
    _add_request(t, h, queue)
    return fits


@kernel
def _is_left_enough(t: Tree, h: Share, mine: int, theirs: int, victim: int) -> bool:
    """Whether those that a victim is taken from are left with no smaller share than the preemptor gets."""
    infinite, share = share_of(t, h, mine)
    discount_work(t, h, victim)
    left_infinite, left = share_of(t, h, theirs)
    count_work(t, h, victim)
    return not is_less(left_infinite, left, infinite, share)


@kernel
def _take_by_share(w: Rules, s: State, t: Tree, h: Share, i: int, target: int) -> None:
    """Take the first victim of another queue that the first strategy allows; those before it may be tried
    again."""
    queue = h.work[i].queue
    mine, theirs = _below_common(t, queue, target), _below_common(t, target, queue)
    infinite, share = share_of(t, h, mine)
    had_infinite, had = share_of(t, h, theirs)
    final = t.strategies[0] == FINAL_SHARE
    # what is left is never more than there is: if that is too little, nobody need be looked at
    richer = is_less(infinite, share, had_infinite, had)
    none = is_less(had_infinite, had, infinite, share) or not (final or richer)
    while h.queue_first[target] >= 0:
        if none:
            _refuse(h, target, h.queue_first[target])
            h.queue_first[target] = -1
            return
        victim = _take_first(t, h, i, target)
        if not final or _is_left_enough(t, h, mine, theirs, victim):
            take_victim(w, s, t, h, victim, FAIR_SHARE)
            return
        _refuse(h, target, victim)


@kernel
def _first_strategy(w: Rules, s: State, t: Tree, h: Share, i: int) -> bool:
    queue = h.work[i].queue
    while True:
        target = _next_target(t, h, queue)
        if target < 0:
            return False
        before = h.scalar[N_FOUND]
        if target == queue:
            take_victim(w, s, t, h, _take_first(t, h, i, target), IN_QUEUE)
        elif is_within(t, h, queue):
            take_victim(w, s, t, h, _take_first(t, h, i, target), RECLAIMED)
        else:
            _take_by_share(w, s, t, h, i, target)
        if h.scalar[N_FOUND] > before and _fits(w, s, t, h, i):
            return True


@kernel
def _second_strategy(w: Rules, s: State, t: Tree, h: Share, i: int) -> bool:
    """One victim of each queue whose share is more than the preemptor's."""
    queue = h.work[i].queue
    _try_again(h)
    while True:
        target = _next_target(t, h, queue)
        if target < 0:
            return False
        infinite, share = share_of(t, h, _below_common(t, queue, target))
        had_infinite, had = share_of(t, h, _below_common(t, target, queue))
        if is_less(infinite, share, had_infinite, had):
            take_victim(w, s, t, h, h.queue_first[target], FAIR_SHARE)
            if _fits(w, s, t, h, i):
                return True
        h.pruned[target] = 1


@kernel
def search_fair(w: Rules, s: State, t: Tree, h: Share, i: int) -> None:
    """Find victims by share; ``found`` holds them, or none if nothing helps."""
    queue = h.work[i].queue
    if not _collect_fair(t, h, i):
        return
    _add_request(t, h, queue)
    fits = _first_strategy(w, s, t, h, i)
    if not fits and t.strategies[1] != NO_STRATEGY:
        fits = _second_strategy(w, s, t, h, i)
    _take_request(t, h, queue)
    if fits:
        put_back(w, s, t, h, i, True)
    restore(w, s, t, h)
    if not fits:
        h.scalar[N_FOUND] = 0
