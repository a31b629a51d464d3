"""One admission cycle: the heads of all queues, nominated, put in order, and admitted or refused.

The cycle works on the usage itself and puts it back as it was at the end; only then what was admitted counts.
"""

from __future__ import annotations

from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.sharing.nominate import find_assignment, free_choice, keep_in_entry, nominate
from gpufleet.engine.sharing.state import (
    ACTIVE,
    ADMITTED,
    CYCLE,
    DEFERRED,
    FIT,
    N_CHOSEN,
    N_ENTRIES,
    N_POOL,
    NO_CANDIDATES,
    NO_FIT,
    NOTHING_TO_PREEMPT,
    PARKED,
    PENDING,
    REFUSED_NOW,
    SKIPPED,
    STARTED,
    Share,
)
from gpufleet.engine.sharing.tournament import next_by_share
from gpufleet.engine.sharing.tree import add_usage, available, put_work, take_work
from gpufleet.world.layout import ANY_PRIORITY, UNLIMITED, Tree


@kernel
def _next_by_level(h: Share) -> int:
    """The open entry that goes first: within nominal quota, then priority, then age; -1 = none."""
    best = -1
    for e in range(h.scalar[N_ENTRIES]):
        if h.entry[e].open and (best < 0 or _goes_before(h, e, best)):
            best = e
    return best


@kernel
def _goes_before(h: Share, e: int, other: int) -> bool:
    a, b = h.entry[e], h.entry[other]
    if a.level != b.level:
        return bool(a.level < b.level)
    x, y = h.work[a.work], h.work[b.work]
    if x.priority != y.priority:
        return bool(x.priority > y.priority)
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
        take_work(t, h, h.chosen[at])
        h.work[h.chosen[at]].away = h.scalar[CYCLE]


@kernel
def _bring_chosen_back(t: Tree, h: Share) -> None:
    for at in range(h.scalar[N_CHOSEN]):
        put_work(t, h, h.chosen[at])
        h.work[h.chosen[at]].away = 0


@kernel
def _assign_again(t: Tree, h: Share, e: int) -> None:
    """Nominate an entry anew, as if the victims of this cycle were gone; it keeps its flavors."""
    i, queue, n_resources = h.entry[e].work, h.work[h.entry[e].work].queue, t.group.shape[1]
    free_choice(t, h)
    for p in range(h.n_pods[h.work[i].shape_no]):
        for r in range(n_resources):
            if h.entry_flavor[e, p, r] >= 0:
                h.only[p, t.group[queue, r]] = h.entry_flavor[e, p, r]
    _set_chosen_aside(t, h)
    mode = find_assignment(t, h, i, True)
    _bring_chosen_back(t, h)
    keep_in_entry(t, h, e, DEFERRED if mode == FIT else mode)
    for p in range(h.entry_stopped.shape[1]):
        for g in range(h.entry_stopped.shape[2]):
            h.entry_stopped[e, p, g] = -1


@kernel
def _fits(t: Tree, h: Share, e: int) -> bool:
    """Whether the entry fits once its victims and those chosen before are gone."""
    row = h.entry[e]
    queue, fits = h.work[row.work].queue, True
    for at in range(h.scalar[N_CHOSEN]):
        take_work(t, h, h.chosen[at])
    for at in range(row.first_victim, row.first_victim + row.n_victims):
        take_work(t, h, h.pool[0, at])
    for u in range(row.n_use):
        fits = fits and h.entry_use[e, u] <= available(t, h, queue, h.entry_k[e, u])
    for at in range(h.scalar[N_CHOSEN]):
        put_work(t, h, h.chosen[at])
    for at in range(row.first_victim, row.first_victim + row.n_victims):
        put_work(t, h, h.pool[0, at])
    return fits


@kernel
def _add_entry(t: Tree, h: Share, e: int) -> None:
    """Count what the entry would use."""
    for u in range(h.entry[e].n_use):
        add_usage(t, h, h.work[h.entry[e].work].queue, h.entry_k[e, u], h.entry_use[e, u])


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
            amount = min(amount, limit + t.borrow[queue, k])
        add_usage(t, h, queue, k, amount)


@kernel
def _choose_victims(h: Share, e: int) -> None:
    row = h.entry[e]
    for at in range(row.first_victim, row.first_victim + row.n_victims):
        i = h.pool[0, at]
        h.work[i].chosen, h.work[i].why = h.scalar[CYCLE], h.pool[1, at]
        h.chosen[h.scalar[N_CHOSEN]] = i
        h.scalar[N_CHOSEN] += 1


@kernel
def _process(t: Tree, h: Share, e: int) -> int:
    """What becomes of one entry."""
    row = h.entry[e]
    if _overlaps(h, e):
        _assign_again(t, h, e)
    if row.mode == NO_FIT:
        return REFUSED_NOW
    if row.mode == NO_CANDIDATES:
        if t.reclaim[h.work[row.work].queue] != ANY_PRIORITY:
            _reserve(t, h, e)
        return NOTHING_TO_PREEMPT
    if row.mode == DEFERRED:
        _add_entry(t, h, e)
        return PENDING
    if _overlaps(h, e) or not _fits(t, h, e):
        return SKIPPED
    _choose_victims(h, e)
    _add_entry(t, h, e)
    return STARTED if row.mode == FIT else PENDING


@kernel
def _copy_usage(h: Share, keep: bool) -> None:
    for node in range(h.usage.shape[0]):
        for k in range(h.usage.shape[1]):
            if keep:
                h.kept[node, k] = h.usage[node, k]
            else:
                h.usage[node, k] = h.kept[node, k]


@kernel
def _admit(t: Tree, h: Share, e: int) -> None:
    """The entry's work holds its quota from now on."""
    i = h.entry[e].work
    work = h.work[i]
    work.state, work.n_use, work.sticky = ADMITTED, h.entry[e].n_use, 0
    for u in range(work.n_use):
        h.use_k[i, u], h.use[i, u] = h.entry_k[e, u], h.entry_use[e, u]
    put_work(t, h, i)
    link(h, i)


@kernel
def link(h: Share, i: int) -> None:
    """Put work ``i`` at the end of its queue's list of admitted works."""
    work = h.work[i]
    work.prev, work.next = h.last[work.queue], -1
    if work.prev < 0:
        h.first[work.queue] = i
    else:
        h.work[work.prev].next = i
    h.last[work.queue] = i


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
        work.sticky = 1
    refused = row.result == REFUSED_NOW or row.result == NOTHING_TO_PREEMPT
    parks = refused and t.strict[work.queue] == 0 and not _has_flavors_left(h, i)
    work.state = PARKED if parks else ACTIVE


@entry
def run_cycle(t: Tree, h: Share) -> int:
    """One cycle over the works in ``head``: the number of works admitted and evictions issued.

    Victims are in ``chosen``; what became of each head is in its entry. The caller carries evictions out.
    """
    h.scalar[CYCLE] += 1
    h.scalar[N_ENTRIES], h.scalar[N_CHOSEN], h.scalar[N_POOL] = 0, 0, 0
    for node in range(len(h.head)):
        if h.head[node] >= 0:
            nominate(t, h, h.head[node])
    _copy_usage(h, True)
    while True:
        e = next_by_share(t, h) if t.fair else _next_by_level(h)
        if e < 0:
            break
        h.entry[e].open = 0
        h.entry[e].result = _process(t, h, e)
    _copy_usage(h, False)
    changes = h.scalar[N_CHOSEN]
    for e in range(h.scalar[N_ENTRIES]):
        if h.entry[e].result == STARTED:
            _admit(t, h, e)
            changes += 1
        else:
            _requeue(t, h, e)
    return int(changes)
