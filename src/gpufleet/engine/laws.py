"""Conservation laws, checked after every event in debug runs (plain NumPy; not part of the kernels)."""

from __future__ import annotations

import numpy as np

from gpufleet.engine.state import ALIVE, AWAY, OVER, RUNS, WAITS, State
from gpufleet.world.layout import World


def check_laws(world: World, state: State) -> None:
    """Raise AssertionError if GPUs or jobs were made or lost."""
    slot, node = state.slot, state.node
    sets = world.node_sets
    status = np.asarray(slot.status)
    alive = int(np.isin(status, (WAITS, RUNS, OVER, AWAY)).sum())
    assert alive == state.scalar[ALIVE], "jobs alive"
    held = np.zeros(len(node), np.int64)
    used = np.zeros_like(state.used)
    for i in np.flatnonzero(status == RUNS):
        queue = world.classes.queue[slot.cls[i]]
        used[queue, state.cell.product[slot.cell[i]]] += slot.gpus[i]
        g, total = slot.grants[i], 0
        while g >= 0:
            held[state.grant.node[g]] += state.grant.gpus[g]
            total += state.grant.gpus[g]
            assert sets is None or sets.queue_groups[queue, sets.node_group[state.grant.node[g]]], "node sets"
            g = state.grant.next_of_job[g]
        assert total == slot.gpus[i], "a gang holds all its GPUs"
    assert (held + node.free == node.gpus).all(), "GPUs per node"
    assert (node.free >= 0).all(), "no node is overbooked"
    assert (used == state.used).all(), "use per queue"
    quota = world.queues.quota
    assert ((quota < 0) | (used <= quota)).all(), "quota"
    online = np.asarray(node.online) == 1
    free = np.bincount(node.cell[online], weights=node.free[online], minlength=len(state.cell))
    assert (free == state.cell.free).all(), "free GPUs per cell"
