"""One admission cycle: the heads of all queues, nominated, put in order, and admitted or refused.

The cycle works on the usage itself and puts it back as it was at the end; only then what was admitted counts.
"""

from __future__ import annotations

from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.books import book_borrowing, write_event
from gpufleet.engine.sharing.hopeless import note_start
from gpufleet.engine.sharing.nominate import find_assignment, free_choice, keep_in_entry, nominate
from gpufleet.engine.sharing.physical import begin, evict, has_place_for, hold, let_go, may_yield
from gpufleet.engine.sharing.state import (
    ACTIVE,
    ADMITTED,
    ADMITTED_IN,
    ANY_STICKY,
    CYCLE,
    DEFERRED,
    FIT,
    N_AGAIN,
    N_CHOSEN,
    N_ENTRIES,
    N_HEADS,
    N_POOL,
    NO_CANDIDATES,
    NO_FIT,
    NOTHING_TO_PREEMPT,
    PARKED,
    PENDING,
    REFUSED_NOW,
    RELEASES,
    SKIPPED,
    STARTED,
    Share,
)
from gpufleet.engine.sharing.taking import put_work, take_work
from gpufleet.engine.sharing.tournament import leave_tournament, next_by_share, open_tournament
from gpufleet.engine.sharing.tree import add_usage, available, count_work, discount_work, take_usage
from gpufleet.engine.sharing.victim_order import link
from gpufleet.engine.state import NOW, PASS, State
from gpufleet.world.layout import ANY_PRIORITY, UNLIMITED, Tree


@kernel
def _settles_at_once(t: Tree, h: Share, e: int) -> bool:
    """Give an entry that gets and holds nothing its result: it is the same whoever goes before."""
    row = h.entry[e]
    if row.mode == NO_FIT:
        row.result = REFUSED_NOW
        return True
    if row.mode == NO_CANDIDATES and t.reclaim[h.work[row.work].queue] == ANY_PRIORITY:
        row.result = NOTHING_TO_PREEMPT
        return True
    return False


@kernel
def _sort_by_level(t: Tree, h: Share) -> int:
    """Put the others in ``turn``, within nominal quota first, then in the order of waiting; how many."""
    n = 0
    for e in range(h.scalar[N_ENTRIES]):
        if _settles_at_once(t, h, e):
            continue
        at = n
        while at > 0 and _goes_before(h, e, h.turn[at - 1]):
            h.turn[at] = h.turn[at - 1]
            at -= 1
        h.turn[at] = e
        n += 1
    return n


@kernel
def _goes_before(h: Share, e: int, other: int) -> bool:
    a, b = h.entry[e], h.entry[other]
    if a.level != b.level:
        return bool(a.level < b.level)
    x, y = h.work[a.work], h.work[b.work]
    if x.key != y.key:
        return bool(x.key < y.key)
    if x.time != y.time:
        return bool(x.time < y.time)
    return bool(x.rank < y.rank)


@kernel
def _overlaps(h: Share, e: int) -> bool:
    """Whether a victim of the entry was taken by an earlier entry of this cycle."""
    row = h.entry[e]
    for at in range(row.first_victim, row.first_victim + row.n_victims):
        if h.work[h.pool[0, at]].chosen == h.scalar[CYCLE]:
            return True
    return False


@kernel
def _set_chosen_aside(t: Tree, h: Share) -> None:
    """Look at the fleet without the victims of this cycle."""
    for at in range(h.scalar[N_CHOSEN]):
        discount_work(t, h, h.chosen[at])
        h.work[h.chosen[at]].away = h.scalar[CYCLE]


@kernel
def _bring_chosen_back(t: Tree, h: Share) -> None:
    for at in range(h.scalar[N_CHOSEN]):
        count_work(t, h, h.chosen[at])
        h.work[h.chosen[at]].away = 0


@kernel
def _assign_again(w: Rules, s: State, t: Tree, h: Share, e: int) -> None:
    """Nominate an entry anew, as if the victims of this cycle were gone; it keeps its flavors."""
    i, queue, n_resources = h.entry[e].work, h.work[h.entry[e].work].queue, t.group.shape[1]
    free_choice(t, h)
    for p in range(h.n_pods[h.work[i].shape_no]):
        for r in range(n_resources):
            if h.entry_flavor[e, p, r] >= 0:
                h.only[p, t.group[queue, r]] = h.entry_flavor[e, p, r]
    _set_chosen_aside(t, h)
    mode = find_assignment(w, s, t, h, i, True)
    _bring_chosen_back(t, h)
    keep_in_entry(t, h, e, DEFERRED if mode == FIT else mode)
    for p in range(h.entry_stopped.shape[1]):
        for g in range(h.entry_stopped.shape[2]):
            h.entry_stopped[e, p, g] = -1


@kernel
def _fits(w: Rules, s: State, t: Tree, h: Share, e: int) -> bool:
    """Whether the entry fits once its victims and those chosen before are gone."""
    row = h.entry[e]
    queue, fits = h.work[row.work].queue, True
    for at in range(h.scalar[N_CHOSEN]):
        discount_work(t, h, h.chosen[at])
    for at in range(row.first_victim, row.first_victim + row.n_victims):
        take_work(w, s, t, h, h.pool[0, at])
    for u in range(row.n_use):
        k = h.entry_k[e, u]
        fits = fits and h.entry_use[e, u] <= available(t, h, queue, k)
        if t.placed:
            fits = fits and has_place_for(w, s, row.work, k)
    for at in range(h.scalar[N_CHOSEN]):
        count_work(t, h, h.chosen[at])
    for at in range(row.first_victim, row.first_victim + row.n_victims):
        put_work(w, s, t, h, h.pool[0, at])
    return fits


@kernel
def _add_entry(t: Tree, h: Share, e: int) -> None:
    """Count what the entry would use."""
    for u in range(h.entry[e].n_use):
        _hold(t, h, e, u, h.entry_use[e, u])


@kernel
def _reserve(t: Tree, h: Share, e: int) -> None:
    """Hold room for an entry that found no victims, so that later entries of the cycle cannot take it."""
    queue, borrows = h.work[h.entry[e].work].queue, h.entry[e].level > 0
    for u in range(h.entry[e].n_use):
        k, amount = h.entry_k[e, u], h.entry_use[e, u]
        limit = t.nominal[queue, k] - h.usage[queue, k]
        if not borrows:
            amount = max(0, min(amount, limit))
        elif t.borrow[queue, k] != UNLIMITED:
            amount = max(0, min(amount, limit + t.borrow[queue, k]))
        _hold(t, h, e, u, amount)


@kernel
def _choose_victims(w: Rules, s: State, t: Tree, h: Share, e: int) -> None:
    """The entry's victims give way; with nodes at once, so that nobody else of this cycle gets theirs."""
    row = h.entry[e]
    for at in range(row.first_victim, row.first_victim + row.n_victims):
        i = h.pool[0, at]
        h.work[i].chosen, h.work[i].why = h.scalar[CYCLE], h.pool[1, at]
        h.chosen[h.scalar[N_CHOSEN]] = i
        h.scalar[N_CHOSEN] += 1
        if t.placed:
            write_event(s, h, i, s.slot[row.work].id, h.pool[1, at], evict(w, s, i))


@kernel
def _process(w: Rules, s: State, t: Tree, h: Share, e: int) -> int:
    """What becomes of one entry."""
    row = h.entry[e]
    if _overlaps(h, e):
        _assign_again(w, s, t, h, e)
    if row.mode == NO_FIT:
        return REFUSED_NOW
    if row.mode == NO_CANDIDATES:
        if t.reclaim[h.work[row.work].queue] != ANY_PRIORITY:
            _reserve(t, h, e)
        return NOTHING_TO_PREEMPT
    if row.mode == DEFERRED:
        _add_entry(t, h, e)
        if t.placed and has_place_for(w, s, row.work, h.entry_k[e, 0]):
            hold(w, s, row.work, h.entry_k[e, 0])
        return PENDING
    if _overlaps(h, e) or not _fits(w, s, t, h, e):
        return SKIPPED
    if row.mode == FIT:
        _start(w, s, t, h, e)
        return STARTED
    _choose_victims(w, s, t, h, e)
    _add_entry(t, h, e)
    if t.placed:
        hold(w, s, row.work, h.entry_k[e, 0])
    return PENDING


@kernel
def _start(w: Rules, s: State, t: Tree, h: Share, e: int) -> None:
    """Count what the entry uses for good, and have it run."""
    i = h.entry[e].work
    for u in range(h.entry[e].n_use):
        add_usage(t, h, h.work[i].queue, h.entry_k[e, u], h.entry_use[e, u])
    if t.placed:
        begin(w, s, i, h.entry_k[e, 0])


@kernel
def _hold(t: Tree, h: Share, e: int, u: int, amount: int) -> None:
    """Count usage for the rest of this cycle."""
    add_usage(t, h, h.work[h.entry[e].work].queue, h.entry_k[e, u], amount)
    h.entry_held[e, u] = amount


@kernel
def _end_holds(w: Rules, s: State, t: Tree, h: Share) -> None:
    """Only what was admitted counts from here on."""
    for e in range(h.scalar[N_ENTRIES]):
        i = h.entry[e].work
        for u in range(h.entry[e].n_use):
            take_usage(t, h, h.work[i].queue, h.entry_k[e, u], h.entry_held[e, u])
            h.entry_held[e, u] = 0
        if t.placed and h.entry[e].result == PENDING:
            let_go(w, s, i)


@kernel
def _admit(w: Rules, s: State, t: Tree, h: Share, e: int) -> None:
    """The entry's work, whose usage counts already, holds its quota from now on."""
    i = h.entry[e].work
    work = h.work[i]
    work.state, work.n_use, work.sticky, work.passed = ADMITTED, h.entry[e].n_use, 0, s.scalar[PASS]
    work.reserved = s.scalar[NOW]
    h.scalar[ADMITTED_IN] = s.scalar[PASS]
    if h.sticky[work.queue] == i:
        h.sticky[work.queue] = -1
    for u in range(work.n_use):
        h.use_k[i, u], h.use[i, u] = h.entry_k[e, u], h.entry_use[e, u]
        if t.placed:
            book_borrowing(w, t, h, work.queue, h.use_k[i, u], s.scalar[NOW])
    link(h, i)
    if t.placed:
        work.preemptible = may_yield(w, s, i)
        note_start(t, h, i)


@kernel
def _has_flavors_left(h: Share, i: int) -> bool:
    for p in range(h.n_pods[h.work[i].shape_no]):
        for g in range(h.tried.shape[2]):
            if h.tried[i, p, g] >= 0:
                return True
    return False


@kernel
def _requeue(t: Tree, h: Share, e: int) -> None:
    """Whether a work that was not admitted stays active, or is parked until something changes."""
    row = h.entry[e]
    i = row.work
    work = h.work[i]
    for p in range(h.n_pods[work.shape_no]):
        for g in range(h.tried.shape[2]):
            h.tried[i, p, g] = -1 if row.result == PENDING else h.entry_stopped[e, p, g]
    if t.strict[work.queue] == 0 and row.result == PENDING:
        work.sticky, h.sticky[work.queue], h.scalar[ANY_STICKY] = 1, i, 1
    work.tried_in, work.tried_at = h.scalar[CYCLE], h.scalar[RELEASES]
    refused = row.result == REFUSED_NOW or row.result == NOTHING_TO_PREEMPT
    more = _has_flavors_left(h, i)
    h.scalar[N_AGAIN] += int(refused and more)
    parks = refused and t.strict[work.queue] == 0 and not more
    work.state = PARKED if parks else ACTIVE


@entry
def run_cycle(w: Rules, s: State, t: Tree, h: Share) -> int:
    """One cycle over the works in ``head``: how much it changed (admissions, victims, flavors left to try).

    Victims are in ``chosen``; what became of each head is in its entry. The caller carries evictions out.
    """
    h.scalar[CYCLE] += 1
    h.scalar[N_ENTRIES], h.scalar[N_CHOSEN], h.scalar[N_POOL], h.scalar[N_AGAIN] = 0, 0, 0, 0
    for at in range(h.scalar[N_HEADS]):
        if h.scalar[N_POOL] <= len(h.found):  # else its victims may find no room in this cycle
            nominate(w, s, t, h, h.head[h.heads[at]])
    if t.fair:
        open_tournament(t, h)
        e = next_by_share(t, h)
        while e >= 0:
            h.entry[e].result = _process(w, s, t, h, e)
            leave_tournament(t, h, e)
            e = next_by_share(t, h)
    else:
        for at in range(_sort_by_level(t, h)):
            h.entry[h.turn[at]].result = _process(w, s, t, h, h.turn[at])
    _end_holds(w, s, t, h)
    changes = h.scalar[N_CHOSEN]
    for e in range(h.scalar[N_ENTRIES]):
        if h.entry[e].result == STARTED:
            _admit(w, s, t, h, e)
            changes += 1
        else:
            _requeue(t, h, e)
    return int(changes + h.scalar[N_AGAIN])
