"""Fair sharing decides who goes first: a tournament in every tree.

It is run again above every entry that was processed: elsewhere nothing has changed."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.sharing.state import N_ENTRIES, Share
from gpufleet.engine.sharing.tree import add_usage, share_of, take_usage
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
def _set_stake(t: Tree, h: Share, node: int) -> None:
    """Note whether the node would borrow with its winner counted, and its share then."""
    e = h.winner[node]
    _count(t, h, e, True)
    infinite, share = share_of(t, h, node)
    h.stake[0, node] = 1.0 if _borrows(h, e, node) else 0.0
    h.stake[1, node], h.stake[2, node] = float(infinite), share
    _count(t, h, e, False)


@kernel
def _beats(h: Share, node: int, other: int) -> bool:
    """Whether the entry that comes up through ``node`` goes before the one through its sibling."""
    for at in range(3):
        if h.stake[at, node] != h.stake[at, other]:
            return bool(h.stake[at, node] < h.stake[at, other])
    x, y = h.work[h.entry[h.winner[node]].work], h.work[h.entry[h.winner[other]].work]
    if x.key != y.key:
        return bool(x.key < y.key)
    if x.time != y.time:
        return bool(x.time < y.time)
    return bool(x.rank < y.rank)


@kernel
def _settle_cohort(t: Tree, h: Share, cohort: int) -> None:
    """Have the first entry of the cohort's children come up through it."""
    best, node = -1, t.child[cohort]
    while node >= 0:
        if h.winner[node] >= 0 and (best < 0 or _beats(h, node, best)):
            best = node
        node = t.sibling[node]
    h.winner[cohort] = h.winner[best] if best >= 0 else -1
    if best >= 0:
        _set_stake(t, h, cohort)


@kernel
def open_tournament(t: Tree, h: Share) -> None:
    """Put all entries of the cycle into the tournament."""
    for node in range(len(h.winner)):
        h.winner[node] = -1
    for e in range(h.scalar[N_ENTRIES]):
        node = h.work[h.entry[e].work].queue
        h.winner[node] = e
        _set_stake(t, h, node)
    for up in range(len(h.winner)):
        node = len(h.winner) - 1 - up
        if not t.queue[node]:
            _settle_cohort(t, h, node)


@kernel
def next_by_share(t: Tree, h: Share) -> int:
    """The entry that wins the tournament of the first tree that has one; -1 = none."""
    for node in range(len(h.winner)):
        if t.parent[node] < 0 and h.winner[node] >= 0:
            return int(h.winner[node])
    return -1


@kernel
def leave_tournament(t: Tree, h: Share, e: int) -> None:
    """The entry was processed: only above its queue may that, and what it uses, change who goes first."""
    node = h.work[h.entry[e].work].queue
    h.winner[node] = -1
    while t.parent[node] >= 0:
        node = t.parent[node]
        _settle_cohort(t, h, node)
