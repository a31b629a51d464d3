"""Nomination: what the head of a queue would get, and whom it would take it from."""

from __future__ import annotations

from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.flavors import ask_for_assignment, assign, highest_level, is_answered
from gpufleet.engine.sharing.state import (
    CYCLE,
    DEFERRED,
    FIT,
    N_ENTRIES,
    N_FOUND,
    N_POOL,
    NO_CANDIDATES,
    NO_FIT,
    REFUSED_NOW,
    RELEASES,
    SEARCHED,
    Share,
)
from gpufleet.engine.sharing.victims import search
from gpufleet.engine.state import State
from gpufleet.world.layout import Tree


@kernel
def try_counts(w: Rules, s: State, t: Tree, h: Share, i: int, anew: bool) -> int:
    """Assign and, where room is lacking, search for victims: the mode, NO_CANDIDATES if none help."""
    h.scalar[N_FOUND], h.scalar[SEARCHED] = 0, -1
    mode = assign(w, s, t, h, i, anew)
    if mode == NO_FIT or mode == FIT:
        h.scalar[N_FOUND] = 0
        return mode
    if is_answered(h):
        return mode if h.scalar[N_FOUND] > 0 else NO_CANDIDATES
    ask_for_assignment(t, h, i)
    return mode if search(w, s, t, h, i) > 0 else NO_CANDIDATES


@kernel
def _spare_pods(h: Share, i: int) -> int:
    """By how many pods the work can do with less than it asks for."""
    shape, total = h.work[i].shape_no, 0
    for p in range(h.n_pods[shape]):
        total += h.pods[shape, p] - h.least_pods[shape, p]
    return total


@kernel
def set_counts(h: Share, i: int, step: int, total: int) -> None:
    """Pods of each pod set at a step of 0 (all) to ``total`` (the least)."""
    shape = h.work[i].shape_no
    for p in range(h.n_pods[shape]):
        spare = h.pods[shape, p] - h.least_pods[shape, p]
        h.counts[p] = h.pods[shape, p] - (spare * step // total if total > 0 else 0)


@kernel
def _serves(mode: int) -> bool:
    return mode > NO_CANDIDATES


@kernel
def find_assignment(w: Rules, s: State, t: Tree, h: Share, i: int, anew: bool) -> int:
    """Assignment and victims of work ``i``: of all its pods or, where it allows that, of as many as can be.

    Returns the mode; ``counts``, ``flavor`` and ``found`` hold the rest.
    """
    set_counts(h, i, 0, 0)
    mode = try_counts(w, s, t, h, i, anew)
    total = _spare_pods(h, i)
    if _serves(mode) or total == 0:
        return mode
    low, high = 0, total + 1
    while low < high:
        middle = (low + high) // 2
        set_counts(h, i, middle, total)
        if _serves(try_counts(w, s, t, h, i, anew)):
            high = middle
        else:
            low = middle + 1
    set_counts(h, i, low if low <= total else 0, total)
    return try_counts(w, s, t, h, i, anew)


@kernel
def keep_in_entry(t: Tree, h: Share, e: int, mode: int) -> None:
    """Copy the assignment at hand, and its victims, into an entry of the cycle."""
    row = h.entry[e]
    i = row.work
    row.mode, row.level, row.n_use = mode, highest_level(t, h, i), 0
    if mode == NO_FIT:
        row.level = 0
    for p in range(h.n_pods[h.work[i].shape_no]):
        h.entry_count[e, p] = h.counts[p]
        for r in range(t.group.shape[1]):
            h.entry_flavor[e, p, r] = h.flavor[p, r]
        for g in range(h.stopped.shape[1]):
            h.entry_stopped[e, p, g] = h.stopped[p, g]
    for k in range(len(h.taken)):
        if h.taken[k] > 0 and mode != NO_FIT:
            h.entry_k[e, row.n_use], h.entry_use[e, row.n_use] = k, h.taken[k]
            row.n_use += 1
    row.first_victim, row.n_victims = h.scalar[N_POOL], h.scalar[N_FOUND]
    if h.scalar[N_POOL] + h.scalar[N_FOUND] > h.pool.shape[1]:  # the next cycle sees to it
        row.mode, row.n_victims = DEFERRED, 0
        return
    for at in range(h.scalar[N_FOUND]):
        h.pool[0, h.scalar[N_POOL]], h.pool[1, h.scalar[N_POOL]] = h.found[at], h.found_why[at]
        h.scalar[N_POOL] += 1


@kernel
def free_choice(t: Tree, h: Share) -> None:
    """Let every flavor be tried."""
    for p in range(h.only.shape[0]):
        for g in range(h.only.shape[1]):
            h.only[p, g], h.stopped[p, g] = -1, -1


@entry
def nominate(w: Rules, s: State, t: Tree, h: Share, i: int) -> int:
    """Make work ``i`` an entry of the cycle; the entry's row."""
    e = h.scalar[N_ENTRIES]
    h.scalar[N_ENTRIES] += 1
    free_choice(t, h)
    anew = h.work[i].tried_in < h.scalar[CYCLE] - 1 and h.work[i].tried_at != h.scalar[RELEASES]
    mode = find_assignment(w, s, t, h, i, anew)
    row = h.entry[e]
    row.work, row.result = i, REFUSED_NOW
    keep_in_entry(t, h, e, mode)
    return int(e)


@entry
def victims_for(w: Rules, s: State, t: Tree, h: Share, i: int) -> int:
    """Victims for work ``i`` when flavors are chosen already: ``request`` and ``need`` are given."""
    return int(search(w, s, t, h, i))
