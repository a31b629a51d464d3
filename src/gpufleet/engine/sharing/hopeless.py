"""Searches for victims that cannot succeed, since nodes lack and not quota; known without searching again.

If a job of several nodes finds too few idle nodes even with all its candidates gone, it lacks so many nodes.
Until as many nodes were freed, or somebody else became a borrower, the same job need not search.
"""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.physical import lend
from gpufleet.engine.sharing.state import (
    ADMITTED_IN,
    BORROWERS_CHANGED,
    N_CANDIDATES,
    NODES_FREED,
    THIS_PASS,
    Share,
)
from gpufleet.engine.state import NEXT_CHANGE, State


@kernel
def is_hopeless(s: State, h: Share, i: int) -> bool:
    """Whether the last search of a job like ``i`` failed for nodes, and nothing can have changed that."""
    lane = s.lane[s.slot[i].lane]
    return bool(
        lane.whole_by > 0
        and lane.gpus == s.slot[i].gpus
        and lane.near == s.slot[i].prio
        and lane.reserved_for <= s.slot[i].seq  # an older job may take what is newer than itself
        and lane.left == s.scalar[NEXT_CHANGE]
        and lane.part_by == h.scalar[BORROWERS_CHANGED]
        and h.scalar[NODES_FREED] - lane.whole_before < lane.whole_by
    )


@kernel
def _lacking_nodes(w: Rules, s: State, i: int) -> int:
    """Idle nodes that job ``i`` lacks in the cell where it lacks fewest; 0 if there are enough."""
    cls, gpus, least = s.slot[i].cls, s.slot[i].gpus, 1 << 40
    first = w.class_option[cls]
    for option in range(first, first + w.class_options[cls]):
        cell = w.option_cell[option]
        whole = gpus // s.cell[cell].per_node
        least = min(least, max(0, whole - s.n_free[cell, s.cell[cell].per_node]))
    return least


@kernel
def lacks_nodes(w: Rules, s: State, h: Share, i: int) -> bool:
    """Whether all candidates together do not free the nodes that job ``i`` takes; notes it."""
    if _lacking_nodes(w, s, i) == 0:
        return False
    for at in range(h.scalar[N_CANDIDATES]):
        lend(w, s, h.candidate[at].work, 1)
    lacking = _lacking_nodes(w, s, i)
    for at in range(h.scalar[N_CANDIDATES]):
        lend(w, s, h.candidate[at].work, -1)
    lane = s.lane[s.slot[i].lane]
    others_started = h.scalar[ADMITTED_IN] == h.scalar[THIS_PASS]  # who did so will be a candidate later
    lane.whole_by = 0 if others_started else lacking
    lane.whole_before, lane.gpus, lane.reserved_for = h.scalar[NODES_FREED], s.slot[i].gpus, s.slot[i].seq
    lane.near, lane.left, lane.part_by = s.slot[i].prio, s.scalar[NEXT_CHANGE], h.scalar[BORROWERS_CHANGED]
    return lacking > 0
