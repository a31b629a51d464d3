"""When will a job fit: the earliest time at which it can be placed, by the running jobs' estimates.

``free_at[n, f]`` is the time from which node ``n`` has ``f`` free GPUs (-1: it has them now). A job of ``k``
whole nodes and a part ``r`` can be placed at the first time at which ``k`` nodes have all GPUs free and ``k +
1`` nodes have ``r``: an order statistic of ``free_at``. Where nodes will leave before that time, the events
are swept instead."""

from __future__ import annotations

from gpufleet.base.arrays import Ints
from gpufleet.engine import heap
from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.state import N_PICKS, NEXT_CHANGE, NOW, SWEPT_PART, SWEPT_WHOLE, State
from gpufleet.world.layout import UNKNOWN_S, UP

NOW_FREE = -1


@kernel
def _sort_pairs(table: Ints, n: int) -> None:
    """Insertion sort of the first ``n`` columns by row 0, row 1 following; ``n`` is small."""
    for a in range(1, n):
        t, g = table[0, a], table[1, a]
        b = a - 1
        while b >= 0 and table[0, b] > t:
            table[0, b + 1], table[1, b + 1] = table[0, b], table[1, b]
            b -= 1
        table[0, b + 1], table[1, b + 1] = t, g


@kernel
def touch(w: Rules, s: State, n: int) -> None:
    """Compute ``free_at`` of a node anew and tell the reservations that count it."""
    node = s.node[n]
    base = NOW_FREE if node.online else node.next_up
    free, count = node.free, 0
    g = node.grants
    while g >= 0:
        grant = s.grant[g]
        s.scratch[0, count], s.scratch[1, count] = s.slot[grant.slot].est_end, grant.gpus
        count += 1
        g = grant.next_on_node
    _sort_pairs(s.scratch, count)
    at, when = 0, base
    for f in range(1, s.free_at.shape[1]):
        while free < f and at < count:
            when = max(base, s.scratch[0, at])
            free += s.scratch[1, at]
            at += 1
        new = when if free >= f else UNKNOWN_S
        old = s.free_at[n, f]
        if new != old:
            s.free_at[n, f] = new
            _tell(w, s, node.cell, f, old, new)


@kernel
def has_cell(w: Rules, cls: int, cell: int) -> bool:
    """Whether the class has an option in the cell."""
    first = w.class_option[cls]
    for option in range(first, first + w.class_options[cls]):  # noqa: SIM110
        if w.option_cell[option] == cell:
            return True
    return False


@kernel
def _tell(w: Rules, s: State, cell: int, f: int, old: int, new: int) -> None:
    """Some node of the cell has ``f`` GPUs from ``new`` instead of ``old``: correct the counts of
    reservations."""
    island = s.cell[cell].island
    lane = s.island[island].first_lane if island >= 0 else -1
    per_node = s.cell[cell].per_node
    while lane >= 0:
        row = s.lane[lane]
        if row.known == 1 and row.reserved_cell == cell:
            t = row.reserved_at
            by = (1 if new <= t else 0) - (1 if old <= t else 0)
            before = (1 if new < t else 0) - (1 if old < t else 0)
            if f == per_node:
                row.whole_by += by
                row.whole_before += before
            if f == row.gpus % per_node:
                row.part_by += by
                row.part_before += before
        elif row.known and has_cell(w, row.cls, cell):
            row.known = 0
        lane = row.next_of_island


@kernel
def in_service_at(w: Rules, s: State, n: int, t: int) -> bool:
    """Whether the node is in service at ``t``, as planned."""
    online = s.node[n].online == 1
    for row in range(s.scalar[NEXT_CHANGE], len(w.change_t_s)):
        if w.change_t_s[row] > t or (w.finish == 0 and w.change_t_s[row] >= w.end_s):
            break
        if w.change_first_node[row] <= n < w.change_first_node[row] + w.change_n_nodes[row]:
            online = w.change_kind[row] == UP
    return bool(online)


@kernel
def select(values: Ints, n: int, rank: int) -> int:
    """The ``rank``-th smallest (from 0) of ``values[:n]``, which are reordered."""
    low, high = 0, n - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return int(values[rank])


@kernel
def _ranked(s: State, cell: int, f: int, rank: int) -> int:
    """Time at which ``rank`` nodes of the cell have ``f`` GPUs free, NOW_FREE or UNKNOWN_S included."""
    if rank == 0:
        return NOW_FREE
    first, count = s.cell[cell].first_node, 0
    for n in range(first, first + s.cell[cell].n_nodes):
        if s.free_at[n, f] < UNKNOWN_S:
            s.scratch[2, count] = s.free_at[n, f]
            count += 1
    return UNKNOWN_S if count < rank else select(s.scratch[2], count, rank - 1)


@kernel
def count_by(s: State, cell: int, f: int, t: int) -> int:
    """Nodes of the cell with ``f`` GPUs free at ``t``."""
    first, count = s.cell[cell].first_node, 0
    for n in range(first, first + s.cell[cell].n_nodes):
        count += 1 if s.free_at[n, f] <= t else 0
    return count


@kernel
def earliest(w: Rules, s: State, cell: int, gpus: int) -> int:
    """Earliest time from now on at which ``gpus`` can be placed in the cell; UNKNOWN_S if none is known."""
    now, per_node = s.scalar[NOW], s.cell[cell].per_node
    whole, part = gpus // per_node, gpus % per_node
    t = _ranked(s, cell, per_node, whole)
    if part > 0 and t < UNKNOWN_S:
        t = max(t, _ranked(s, cell, part, whole + 1))
    if t == NOW_FREE:
        t = now
    elif t <= now:
        t = now + 1  # overdue jobs: they may end any second
    if t >= s.cell[cell].next_down:
        return sweep(w, s, cell, gpus, -1)
    return t


@kernel
def _collect(w: Rules, s: State, cell: int, now: int) -> int:
    """Future releases and changes of service of a cell into a heap in ``scratch[0]``: (time, index); index <
    0 excluded.

    ``scratch[1]`` says what: a grant's row, or -1 - row of a capacity change.
    """
    first, count = s.cell[cell].first_node, 0
    for n in range(first, first + s.cell[cell].n_nodes):
        g = s.node[n].grants
        while g >= 0:
            end = max(s.slot[s.grant[g].slot].est_end, now + 1)
            if end < UNKNOWN_S:
                s.scratch[1, count] = g
                heap.push(s.scratch[0], count, (end << heap.SLOT_BITS) | count)
                count += 1
            g = s.grant[g].next_on_node
    for change in range(s.scalar[NEXT_CHANGE], len(w.change_t_s)):
        at = w.change_first_node[change]
        counts = w.finish == 1 or w.change_t_s[change] < w.end_s
        if first <= at < first + s.cell[cell].n_nodes and counts:
            s.scratch[1, count] = -1 - change
            heap.push(s.scratch[0], count, (w.change_t_s[change] << heap.SLOT_BITS) | count)
            count += 1
    return count


@kernel
def _offer(s: State, n: int, free: int, online: int, cell: int, part: int) -> None:
    """In the sweep, node ``n`` has ``free`` GPUs and is in service or not: correct what the cell offers."""
    per_node, trial = s.cell[cell].per_node, s.trial
    if trial[n, 1] and trial[n, 0] == per_node:
        s.scalar[SWEPT_WHOLE] -= 1
    if trial[n, 1] and trial[n, 0] >= part:
        s.scalar[SWEPT_PART] -= 1
    trial[n, 0], trial[n, 1] = free, online
    if online and free == per_node:
        s.scalar[SWEPT_WHOLE] += 1
    if online and free >= part:
        s.scalar[SWEPT_PART] += 1


@kernel
def _begin_sweep(s: State, cell: int, part: int, with_picks: int) -> None:
    s.scalar[SWEPT_WHOLE] = 0
    s.scalar[SWEPT_PART] = 0
    first = s.cell[cell].first_node
    for n in range(first, first + s.cell[cell].n_nodes):
        s.trial[n, 0], s.trial[n, 1] = 0, 0
        _offer(s, n, s.node[n].free, s.node[n].online, cell, part)
    if with_picks:
        for at in range(s.scalar[N_PICKS]):
            n = s.pick_node[at]
            if s.node[n].cell == cell:
                _offer(s, n, s.trial[n, 0] - s.pick_gpus[at], s.trial[n, 1], cell, part)


@kernel
def sweep(w: Rules, s: State, cell: int, gpus: int, at: int) -> int:
    """Earliest time at which ``gpus`` can be placed in the cell, by playing what is planned forward.

    With ``at`` >= 0 only that time counts, and the picked nodes are taken until then: ``at`` or UNKNOWN_S.
    """
    now, per_node = s.scalar[NOW], s.cell[cell].per_node
    whole, part = gpus // per_node, gpus % per_node
    _begin_sweep(s, cell, part, 1 if at >= 0 else 0)
    left, t = _collect(w, s, cell, now), now
    while True:
        while left > 0 and s.scratch[0, 0] >> heap.SLOT_BITS <= t:
            what = s.scratch[1, heap.pop(s.scratch[0], left) & heap.SLOT_MASK]
            left -= 1
            if what >= 0:
                n = s.grant[what].node
                _offer(s, n, s.trial[n, 0] + s.grant[what].gpus, s.trial[n, 1], cell, part)
            else:
                change = -1 - what
                n0, online = w.change_first_node[change], 1 if w.change_kind[change] == UP else 0
                for n in range(n0, n0 + w.change_n_nodes[change]):
                    _offer(s, n, s.trial[n, 0], online, cell, part)
        holds = s.scalar[SWEPT_WHOLE] >= whole and (part == 0 or s.scalar[SWEPT_PART] > whole)
        following = s.scratch[0, 0] >> heap.SLOT_BITS if left > 0 else UNKNOWN_S
        if at < 0 and (holds or left == 0):
            return t if holds else UNKNOWN_S
        if at >= 0 and following > at:
            return at if holds else UNKNOWN_S
        t = following


@entry
def look_ahead(w: Rules, s: State) -> None:
    """Write down, after a change of capacity, when nodes come up next and when cells lose some next."""
    for c in range(len(s.cell)):
        s.cell[c].next_down = UNKNOWN_S
    for n in range(len(s.node)):
        s.node[n].next_up = UNKNOWN_S
    for row in range(len(w.change_t_s) - 1, s.scalar[NEXT_CHANGE] - 1, -1):
        if w.finish == 1 or w.change_t_s[row] < w.end_s:
            first = w.change_first_node[row]
            if w.change_kind[row] != UP:
                s.cell[s.node[first].cell].next_down = w.change_t_s[row]
            else:
                for n in range(first, first + w.change_n_nodes[row]):
                    s.node[n].next_up = w.change_t_s[row]
    for n in range(len(s.node)):
        touch(w, s, n)
