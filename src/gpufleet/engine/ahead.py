"""When will a job fit on nodes that it may take: `forecast` held to node sets.

Between two changes of what a job may take, or of service, the earliest time is an order statistic of the
times at which these nodes are free.
"""

from __future__ import annotations

from gpufleet.engine.forecast import NOW_FREE, in_service_at, select
from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.node_sets import may_take, may_use, next_change
from gpufleet.engine.order import estimate_on
from gpufleet.engine.state import N_PICKS, NEXT_CHANGE, NOW, State
from gpufleet.world.layout import UNKNOWN_S


@kernel
def _ready(s: State, n: int, f: int) -> int:
    """When the node has ``f`` GPUs free; overdue jobs may end any second."""
    at, now = s.free_at[n, f], s.scalar[NOW]
    return int(now if at == NOW_FREE else max(at, now + 1))


@kernel
def _segment_end(w: Rules, s: State, cls: int, cell: int, estimate: int, t: int) -> int:
    """Until when, from ``t`` on, the nodes that count stay the same."""
    end = next_change(w, cls, estimate, t)
    first = s.cell[cell].first_node
    for row in range(s.scalar[NEXT_CHANGE], len(w.change_t_s)):
        here = first <= w.change_first_node[row] < first + s.cell[cell].n_nodes
        counts = w.finish == 1 or w.change_t_s[row] < w.end_s
        if here and counts and w.change_t_s[row] > t:
            return int(min(end, w.change_t_s[row]))
    return end


@kernel
def _ready_by_rank(w: Rules, s: State, i: int, option: int, t: int, f: int, rank: int) -> int:
    """When ``rank`` of the nodes that count at ``t`` have ``f`` GPUs free."""
    if rank == 0:
        return t
    cell, count = w.option_cell[option], 0
    first, estimate = s.cell[cell].first_node, estimate_on(w, s, i, option)
    for n in range(first, first + s.cell[cell].n_nodes):
        counts = s.free_at[n, f] < UNKNOWN_S and may_take(w, s.slot[i].cls, n, t, estimate)
        if counts and in_service_at(w, s, n, t):
            s.scratch[2, count] = _ready(s, n, f)
            count += 1
    return UNKNOWN_S if count < rank else select(s.scratch[2], count, rank - 1)


@kernel
def earliest_within(w: Rules, s: State, i: int, option: int) -> int:
    """Earliest time from now on at which job ``i`` can be placed on an option; UNKNOWN_S if none is known."""
    cell, gpus, t = w.option_cell[option], s.slot[i].gpus, s.scalar[NOW]
    per_node, estimate = s.cell[cell].per_node, estimate_on(w, s, i, option)
    whole, part = gpus // per_node, gpus % per_node
    while True:
        end = _segment_end(w, s, s.slot[i].cls, cell, estimate, t)
        at = max(t, _ready_by_rank(w, s, i, option, t, per_node, whole))
        if part > 0 and at < end:
            at = max(at, _ready_by_rank(w, s, i, option, t, part, whole + 1))
        if at < end or end >= UNKNOWN_S:
            return int(at)
        t = end


@kernel
def holds_within(w: Rules, s: State, i: int, option: int, t: int) -> bool:
    """Whether job ``i`` can be placed on an option at ``t`` with the picked GPUs taken beyond it."""
    cell, gpus = w.option_cell[option], s.slot[i].gpus
    per_node, estimate = s.cell[cell].per_node, estimate_on(w, s, i, option)
    whole, part, idle, others = gpus // per_node, gpus % per_node, 0, 0
    first = s.cell[cell].first_node
    for n in range(first, first + s.cell[cell].n_nodes):
        s.trial[n, 0] = 0
    for at in range(s.scalar[N_PICKS]):
        if s.node[s.pick_node[at]].cell == cell:
            s.trial[s.pick_node[at], 0] = s.pick_gpus[at]
    for n in range(first, first + s.cell[cell].n_nodes):
        if may_take(w, s.slot[i].cls, n, t, estimate) and in_service_at(w, s, n, t):
            free = per_node
            while free > 0 and _ready(s, n, free) > t:
                free -= 1
            free -= s.trial[n, 0]
            idle += int(free == per_node)
            others += int(part <= free < per_node)
    return bool(idle >= whole and (part == 0 or idle + others > whole))


@kernel
def any_usable(w: Rules, s: State, cls: int) -> bool:
    """Whether the class may use any of the picked nodes."""
    for at in range(s.scalar[N_PICKS]):  # noqa: SIM110
        if may_use(w, cls, s.pick_node[at]):
            return True
    return False
