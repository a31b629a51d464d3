"""May it be there: whether a job may take a node for a time, by partitions and reservations.

Asked only for options that are masked (`gpufleet.engine.masks`); for these every test looks at all nodes of
the cell, one by one.
"""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.world.layout import UNKNOWN_S


@kernel
def may_use(w: Rules, cls: int, n: int) -> bool:
    """Whether jobs of the class may use the node at all."""
    return bool(w.class_groups[cls, w.node_group[n]] != 0)


@kernel
def is_kept(w: Rules, cls: int, n: int, t: int, estimate: int) -> bool:
    """Whether the node is kept for others at some time of ``[t, t + estimate)``."""
    until = UNKNOWN_S if estimate >= UNKNOWN_S else t + estimate
    group = w.node_group[n]
    for window in range(w.group_window[group], w.group_window[group + 1]):
        meets = w.window_from_s[window] < until and w.window_to_s[window] > t
        if meets and w.class_window[cls, window] == 0:
            return True
    return False


@kernel
def may_take(w: Rules, cls: int, n: int, t: int, estimate: int) -> bool:
    """Whether a job of the class may take the node for ``[t, t + estimate)``."""
    return may_use(w, cls, n) and not is_kept(w, cls, n, t, estimate)


@kernel
def is_own(w: Rules, cls: int, n: int, t: int) -> bool:
    """Whether the node is kept for jobs of the class at ``t``."""
    group = w.node_group[n]
    for window in range(w.group_window[group], w.group_window[group + 1]):
        if w.class_window[cls, window] and w.window_from_s[window] <= t < w.window_to_s[window]:
            return True
    return False


@kernel
def next_change(w: Rules, cls: int, estimate: int, t: int) -> int:
    """The first second after ``t`` from which a job of the class may take other nodes; UNKNOWN_S if none."""
    best = UNKNOWN_S
    for window in range(len(w.window_to_s)):
        if w.class_window[cls, window] == 0:
            if w.window_to_s[window] > t:
                best = min(best, w.window_to_s[window])
            if estimate < UNKNOWN_S and w.window_from_s[window] - estimate + 1 > t:
                best = min(best, w.window_from_s[window] - estimate + 1)
    return best
