"""Which flavors a work gets: the flavors of each resource group in their order, and how well each serves."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.quota import limits_admit
from gpufleet.engine.sharing.physical import place_for, power_lets
from gpufleet.engine.sharing.state import (
    FIT,
    N_FOUND,
    NO_CANDIDATES,
    NO_FIT,
    PREEMPT,
    RECLAIM,
    SEARCHED,
    SEARCHED_FOR,
    Share,
)
from gpufleet.engine.sharing.tree import available, count_work, discount_work, level_of
from gpufleet.engine.sharing.victims import search
from gpufleet.engine.state import State
from gpufleet.world.layout import NEVER, NOT_ONLINE, STARTABLE, Tree


@kernel
def _ask_for(h: Share, k: int, amount: int) -> None:
    """Have a search make room for one amount only."""
    for other in range(len(h.request)):
        h.request[other], h.need[other] = 0, 0
    h.request[k], h.need[k] = amount, 1


@kernel
def _if_preempting(w: Rules, s: State, t: Tree, h: Share, i: int, k: int, amount: int) -> tuple[int, int]:
    """(mode, level) if victims make room for the amount."""
    queue = h.work[i].queue
    _ask_for(h, k, amount)
    h.scalar[SEARCHED], h.scalar[SEARCHED_FOR] = k, amount
    if search(w, s, t, h, i) == 0:
        return NO_CANDIDATES, level_of(t, h, queue, k, amount)[0]
    mode = RECLAIM
    for at in range(h.scalar[N_FOUND]):
        if h.work[h.found[at]].queue == queue:
            mode = PREEMPT
        discount_work(t, h, h.found[at])
    level = level_of(t, h, queue, k, amount)[0]
    for at in range(h.scalar[N_FOUND]):
        count_work(t, h, h.found[at])
    return mode, level


@kernel
def mode_of(w: Rules, s: State, t: Tree, h: Share, i: int, k: int, amount: int) -> tuple[int, int]:
    """(how well one flavor serves one resource of work ``i``, level)."""
    queue = h.work[i].queue
    if amount > h.potential[queue, k]:
        return NO_FIT, 0
    if t.placed and w.accounts and not limits_admit(w, s, s.slot[i].cls, k, amount):
        return NO_FIT, 0
    if t.placed and w.power and not power_lets(w, s, i, k):
        return NO_FIT, 0
    level, may_reclaim = level_of(t, h, queue, k, amount)
    if amount <= max(0, available(t, h, queue, k)):
        place = place_for(w, s, i, k)[0] if t.placed else STARTABLE
        if place == STARTABLE:
            return FIT, level
        return (NO_FIT, 0) if place == NOT_ONLINE else _if_preempting(w, s, t, h, i, k, amount)
    by_share = t.fair and t.reclaim[queue] != NEVER
    may_preempt = may_reclaim or t.borrow_within[queue] != NEVER or by_share
    if amount <= t.nominal[queue, k] or may_preempt:
        return _if_preempting(w, s, t, h, i, k, amount)
    return NO_FIT, 0


@kernel
def is_better(t: Tree, queue: int, mode: int, level: int, than_mode: int, than_level: int) -> bool:
    """Whether one (mode, level) is preferred to another by the queue's preference."""
    if mode != than_mode and min(mode, than_mode) <= NO_CANDIDATES:
        return bool(mode > than_mode)
    if t.rather_preempt[queue] and level != than_level:
        return bool(level < than_level)
    if mode != than_mode:
        return bool(mode > than_mode)
    return bool(level < than_level)


@kernel
def _goes_on(t: Tree, queue: int, mode: int, level: int) -> bool:
    """Whether the scan tries the next flavor after one of this mode."""
    if mode <= NO_CANDIDATES:
        return True
    if mode < FIT and t.next_if_preempting[queue]:
        return True
    return bool(level > 0 and t.next_if_borrowing[queue])


@kernel
def _asks(h: Share, i: int, p: int, resource: int) -> int:
    return int(h.ask[h.work[i].shape_no, p, resource] * h.counts[p])


@kernel
def _try_flavor(
    w: Rules, s: State, t: Tree, h: Share, i: int, p: int, g: int, flavor: int
) -> tuple[int, int]:
    """(mode, level) of a flavor for all that pod set ``p`` asks of a group: the worst over its resources."""
    queue, n_resources = h.work[i].queue, t.group.shape[1]
    mode, level = FIT, 0
    first = True
    for r in range(n_resources):
        amount = _asks(h, i, p, r)
        if t.group[queue, r] != g or amount == 0:
            continue
        k = flavor * n_resources + r
        one_mode, one_level = mode_of(w, s, t, h, i, k, amount + h.taken[k])
        h.trial[0, r], h.trial[1, r], h.trial[2, r] = flavor, one_mode, one_level
        if first or is_better(t, queue, mode, level, one_mode, one_level):
            mode, level, first = one_mode, one_level, False
        if mode == NO_FIT:
            break
    return mode, level


@kernel
def _accept_trial(t: Tree, h: Share, i: int, p: int, g: int) -> None:
    queue, n_resources = h.work[i].queue, t.group.shape[1]
    for r in range(n_resources):
        if t.group[queue, r] == g and _asks(h, i, p, r) > 0:
            h.flavor[p, r], h.mode[p, r], h.level[p, r] = h.trial[0, r], h.trial[1, r], h.trial[2, r]


@kernel
def _solve_group(w: Rules, s: State, t: Tree, h: Share, i: int, p: int, g: int, anew: bool) -> int:
    """Choose the flavor of a group for pod set ``p``; its mode."""
    queue, shape, n_flavors = h.work[i].queue, h.work[i].shape_no, h.flavors.shape[2]
    best_mode, best_level = NO_FIT, 0
    at = 0 if anew else h.tried[i, p, g] + 1
    h.stopped[p, g] = -1
    while at < n_flavors and h.flavors[shape, g, at] >= 0:
        flavor = h.flavors[shape, g, at]
        if h.only[p, g] < 0 or h.only[p, g] == flavor:
            mode, level = _try_flavor(w, s, t, h, i, p, g, flavor)
            stop = not _goes_on(t, queue, mode, level)
            if stop or is_better(t, queue, mode, level, best_mode, best_level):
                best_mode, best_level = mode, level
                _accept_trial(t, h, i, p, g)
            if stop:
                more = at + 1 < n_flavors and h.flavors[shape, g, at + 1] >= 0
                h.stopped[p, g] = at if more else -1
                break
        at += 1
    return best_mode


@kernel
def _take_group(t: Tree, h: Share, i: int, p: int, g: int) -> None:
    """Later pod sets find less by what this one took."""
    queue, n_resources = h.work[i].queue, t.group.shape[1]
    for r in range(n_resources):
        if t.group[queue, r] == g and _asks(h, i, p, r) > 0:
            h.taken[h.flavor[p, r] * n_resources + r] += _asks(h, i, p, r)


@kernel
def assign(w: Rules, s: State, t: Tree, h: Share, i: int, anew: bool) -> int:
    """Assign flavors to all pod sets of work ``i``, at ``counts`` pods each; the worst mode.

    ``anew``: from the first flavor on, whatever an earlier scan has seen. The assignment is in ``flavor``,
    ``mode``, ``level``; the amounts in ``taken``.
    """
    queue, n_resources = h.work[i].queue, t.group.shape[1]
    for k in range(len(h.taken)):
        h.taken[k] = 0
    worst = FIT
    for p in range(h.n_pods[h.work[i].shape_no]):
        for r in range(n_resources):
            h.flavor[p, r], h.mode[p, r], h.level[p, r] = -1, FIT, 0
        for r in range(n_resources):
            if _asks(h, i, p, r) == 0 or h.flavor[p, r] >= 0:
                continue
            g = t.group[queue, r]
            mode = NO_FIT if g < 0 else _solve_group(w, s, t, h, i, p, g, anew)
            if mode == NO_FIT:
                return NO_FIT
            _take_group(t, h, i, p, g)
            worst = min(worst, mode)
    return worst


@kernel
def highest_level(t: Tree, h: Share, i: int) -> int:
    """The highest level of the assignment: 0 = within nominal quota."""
    level = 0
    for p in range(h.n_pods[h.work[i].shape_no]):
        for r in range(t.group.shape[1]):
            level = max(level, h.level[p, r])
    return level


@kernel
def ask_for_assignment(t: Tree, h: Share, i: int) -> None:
    """Have a search make room for the whole assignment, where room is lacking."""
    n_resources = t.group.shape[1]
    for k in range(len(h.request)):
        h.request[k], h.need[k] = h.taken[k], 0
    for p in range(h.n_pods[h.work[i].shape_no]):
        for r in range(n_resources):
            if h.flavor[p, r] >= 0 and h.mode[p, r] < FIT:
                h.need[h.flavor[p, r] * n_resources + r] = 1


@kernel
def is_answered(h: Share) -> bool:
    """Whether the last search was for just this assignment: one amount, and nothing beside it."""
    k = h.scalar[SEARCHED]
    if k < 0 or h.taken[k] != h.scalar[SEARCHED_FOR]:
        return False
    for other in range(len(h.taken)):  # noqa: SIM110
        if other != k and h.taken[other] > 0:
            return False
    return True
