"""Who holds quota: admitted works by queue, and how much each node of the tree borrows, over time."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.state import (
    ACTIVE,
    EVENT_BY,
    EVENT_CELL,
    EVENT_GPUS,
    EVENT_LOST,
    EVENT_S,
    EVENT_START,
    EVENT_VICTIM,
    EVENT_WHY,
    GPUS_FREED,
    N_EVENTS,
    NODES_FREED,
    Share,
)
from gpufleet.engine.sharing.tree import discount_work
from gpufleet.engine.sharing.victim_order import unlink
from gpufleet.engine.state import NOW, State
from gpufleet.engine.tally import step
from gpufleet.world.layout import Tree


@kernel
def book_borrowing(w: Rules, t: Tree, h: Share, node: int, k: int, now: int) -> None:
    """Write down how much a node, and those above it, use beyond their quota from now on."""
    while node >= 0:
        beyond = max(0, h.usage[node, k] - h.subtree[node, k])
        if beyond != h.borrowed[node, k]:
            step(h.borrowing, node, k, w.grid_s, now, beyond - h.borrowed[node, k])
            h.borrowed[node, k] = beyond
        node = t.parent[node]


@kernel
def write_event(s: State, h: Share, i: int, by: int, why: int, lost_s: float) -> None:
    """Write down that job ``i`` lost its nodes, to the job with id ``by``; -1 = to none."""
    row, at = h.event, h.scalar[N_EVENTS]
    row[at, EVENT_S], row[at, EVENT_VICTIM], row[at, EVENT_BY] = s.scalar[NOW], s.slot[i].id, by
    row[at, EVENT_WHY], row[at, EVENT_GPUS] = why, s.slot[i].gpus
    row[at, EVENT_LOST] = int(lost_s * s.slot[i].gpus)
    row[at, EVENT_START], row[at, EVENT_CELL] = s.slot[i].start, s.slot[i].cell
    h.scalar[N_EVENTS] = at + 1


@kernel
def release(w: Rules, s: State, t: Tree, h: Share, i: int, now: int) -> None:
    """Work ``i`` holds no quota any more."""
    work = h.work[i]
    h.scalar[GPUS_FREED] += s.slot[i].gpus
    h.scalar[NODES_FREED] += -(-s.slot[i].gpus // s.cell[s.slot[i].cell].per_node)
    discount_work(t, h, i)
    unlink(h, i)
    for u in range(work.n_use):
        book_borrowing(w, t, h, work.queue, h.use_k[i, u], now)
    work.n_use, work.state = 0, ACTIVE
