"""Laws of sharing, checked after every event in debug runs (plain NumPy; not part of the kernels)."""

from __future__ import annotations

import numpy as np

from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.machine import Sharing
from gpufleet.engine.sharing.state import ADMITTED, FIRST_QUEUE
from gpufleet.engine.state import RUNS, State


def check_sharing(rules: Rules, state: State, sharing: Sharing) -> None:
    """Raise AssertionError if quota was made or lost."""
    if not rules.shares:
        return
    tree, share = sharing.tree, sharing.share
    first = int(share.scalar[FIRST_QUEUE])
    assert (share.usage[first:] == state.used).all(), "use per queue"
    usage = share.usage.copy()
    usage[:first] = 0
    for node in reversed(range(len(tree.parent))):
        if tree.parent[node] >= 0:
            usage[tree.parent[node]] += np.maximum(0, usage[node] - share.local[node])
    assert (usage == share.usage).all(), "use per cohort"
    running = set(np.flatnonzero(np.asarray(state.slot.status) == RUNS).tolist())
    listed: list[int] = []
    for queue in range(first, len(tree.parent)):
        i = int(share.first[queue])
        while i >= 0:
            assert (share.work.queue[i], share.work.state[i]) == (queue, ADMITTED), "admitted works"
            listed.append(i)
            i = int(share.work.next[i])
    assert sorted(listed) == sorted(running), "who holds quota runs, and is listed once"
