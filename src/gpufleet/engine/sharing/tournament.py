"""Fair sharing decides who goes first: a tournament in every tree, run again for every entry."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.sharing.state import N_ENTRIES, Share
from gpufleet.engine.sharing.tree import add_usage, is_less, share_of, take_usage
from gpufleet.world.layout import Tree


@kernel
def _count(t: Tree, h: Share, e: int, on: bool) -> None:
    """Count, or stop counting, what an entry would use."""
    row = h.entry[e]
    queue = h.work[row.work].queue
    for u in range(row.n_use):
        if on:
            add_usage(t, h, queue, h.entry_k[e, u], h.entry_use[e, u])
        else:
            take_usage(t, h, queue, h.entry_k[e, u], h.entry_use[e, u])


@kernel
def _borrows(h: Share, e: int, node: int) -> bool:
    """Whether a node exceeds its quota in something that the entry asks for."""
    for u in range(h.entry[e].n_use):
        k = h.entry_k[e, u]
        if h.usage[node, k] > h.subtree[node, k]:
            return True
    return False


@kernel
def _value(t: Tree, h: Share, e: int, node: int) -> tuple[bool, int, float]:
    """(whether the node borrows, its share) with the entry counted."""
    _count(t, h, e, True)
    borrows = _borrows(h, e, node)
    infinite, share = share_of(t, h, node)
    _count(t, h, e, False)
    return borrows, infinite, share


@kernel
def _beats(t: Tree, h: Share, node: int, other: int) -> bool:
    """Whether the entry that comes up through ``node`` goes before the one through its sibling."""
    a, b = h.winner[node], h.winner[other]
    a_borrows, a_infinite, a_share = _value(t, h, a, node)
    b_borrows, b_infinite, b_share = _value(t, h, b, other)
    if a_borrows != b_borrows:
        return b_borrows
    if a_infinite != b_infinite or a_share != b_share:
        return is_less(a_infinite, a_share, b_infinite, b_share)
    x, y = h.work[h.entry[a].work], h.work[h.entry[b].work]
    if x.key != y.key:
        return bool(x.key < y.key)
    if x.time != y.time:
        return bool(x.time < y.time)
    return bool(x.rank < y.rank)


@kernel
def _winner_below(t: Tree, h: Share, cohort: int) -> int:
    """The child through which the cohort's first entry comes; -1 = none has an entry."""
    best, node = -1, t.child[cohort]
    while node >= 0:
        if h.winner[node] >= 0 and (best < 0 or _beats(t, h, node, best)):
            best = node
        node = t.sibling[node]
    return best


@kernel
def next_by_share(t: Tree, h: Share) -> int:
    """The open entry that wins the tournament of the first tree that has one; -1 = none."""
    for node in range(len(h.winner)):
        h.winner[node] = -1
    for e in range(h.scalar[N_ENTRIES]):
        if h.entry[e].open:
            h.winner[h.work[h.entry[e].work].queue] = e
    for up in range(len(h.winner)):
        node = len(h.winner) - 1 - up
        if not t.queue[node]:
            child = _winner_below(t, h, node)
            h.winner[node] = h.winner[child] if child >= 0 else -1
    for node in range(len(h.winner)):
        if t.parent[node] < 0 and h.winner[node] >= 0:
            return int(h.winner[node])
    return -1
