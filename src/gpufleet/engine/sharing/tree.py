"""The quota tree: who may use how much, and who borrows how much.

A node keeps ``local`` quota for itself and lends the rest of its ``subtree``; what it uses beyond ``local``
is usage of its parent as well.
"""

from __future__ import annotations

from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.sharing.state import Share
from gpufleet.world.layout import UNLIMITED, Tree

MUCH = 1 << 61


@kernel
def _potential(t: Tree, h: Share, node: int, k: int) -> int:
    """What the node could use if nobody else used anything."""
    least, gathered = MUCH, 0
    while t.parent[node] >= 0:
        if t.borrow[node, k] != UNLIMITED:
            least = min(least, gathered + h.subtree[node, k] + t.borrow[node, k])
        gathered += h.local[node, k]
        node = t.parent[node]
    return int(min(least, gathered + h.subtree[node, k]))


@entry
def settle_quotas(t: Tree, h: Share) -> None:
    """Work out what follows from nominal quotas and limits alone."""
    n, n_k = t.nominal.shape
    for node in range(n):
        for k in range(n_k):
            h.subtree[node, k] = t.nominal[node, k]
    for up in range(n):
        node = n - 1 - up
        parent = t.parent[node]
        for k in range(n_k):
            own = 0
            if t.lend[node, k] != UNLIMITED:
                own = max(0, h.subtree[node, k] - t.lend[node, k])
            h.local[node, k] = own
            if parent >= 0:
                h.subtree[parent, k] += h.subtree[node, k] - own
    n_resources = t.group.shape[1]
    for node in range(n):
        for resource in range(n_resources):
            h.lendable[node, resource] = 0
        for k in range(n_k):
            h.potential[node, k] = _potential(t, h, node, k)
            h.lendable[node, k % n_resources] += h.potential[node, k]


@kernel
def root_of(t: Tree, node: int) -> int:
    """The node at the top of the tree."""
    while t.parent[node] >= 0:
        node = t.parent[node]
    return node


@kernel
def headroom(h: Share, node: int, k: int) -> int:
    """What is left of the node's local quota."""
    return int(max(0, h.local[node, k] - h.usage[node, k]))


@kernel
def available(t: Tree, h: Share, node: int, k: int) -> int:
    """What the node may use more of, borrowing included; below 0 if it uses too much."""
    least, gathered = MUCH, 0
    while t.parent[node] >= 0:
        gathered += headroom(h, node, k)
        if t.borrow[node, k] != UNLIMITED:
            lent = h.subtree[node, k] - h.local[node, k]
            beyond = max(0, h.usage[node, k] - h.local[node, k])
            least = min(least, gathered + t.borrow[node, k] + lent - beyond)
        node = t.parent[node]
    return int(min(least, gathered + h.subtree[node, k] - h.usage[node, k]))


@kernel
def add_usage(t: Tree, h: Share, node: int, k: int, amount: int) -> None:
    """The node uses more; what its local quota does not hold is usage of its parent."""
    while node >= 0 and amount > 0:
        own = headroom(h, node, k)
        h.usage[node, k] += amount
        amount -= own
        node = t.parent[node]


@kernel
def take_usage(t: Tree, h: Share, node: int, k: int, amount: int) -> None:
    """The node uses less: the reverse of `add_usage`."""
    while node >= 0 and amount > 0:
        beyond = h.usage[node, k] - h.local[node, k]
        h.usage[node, k] -= amount
        amount = min(amount, beyond)
        node = t.parent[node]


@kernel
def count_work(t: Tree, h: Share, i: int) -> None:
    """Count the quota that work ``i`` uses."""
    work = h.work[i]
    for u in range(work.n_use):
        add_usage(t, h, work.queue, h.use_k[i, u], h.use[i, u])


@kernel
def discount_work(t: Tree, h: Share, i: int) -> None:
    """Do not count the quota that work ``i`` uses."""
    work = h.work[i]
    for u in range(work.n_use):
        take_usage(t, h, work.queue, h.use_k[i, u], h.use[i, u])


@kernel
def level_of(t: Tree, h: Share, queue: int, k: int, amount: int) -> tuple[int, int]:
    """(height of the lowest cohort that holds the amount, whether others may be reclaimed from).

    Height 0 is the queue's own nominal quota.
    """
    if t.parent[queue] < 0 or h.usage[queue, k] + amount <= t.nominal[queue, k]:
        return 0, int(t.parent[queue] >= 0)
    rest = amount - headroom(h, queue, k)
    node = t.parent[queue]
    while True:
        if h.usage[node, k] + rest <= h.subtree[node, k]:
            return int(t.height[node]), int(t.parent[node] >= 0)
        if t.parent[node] < 0:
            return int(t.height[node]), 0
        rest -= headroom(h, node, k)
        node = t.parent[node]


@kernel
def is_within(t: Tree, h: Share, node: int) -> bool:
    """Whether the node is within its quota in everything that is needed."""
    for k in range(len(h.need)):  # noqa: SIM110
        if h.need[k] and h.usage[node, k] > h.subtree[node, k]:
            return False
    return True


@kernel
def share_of(t: Tree, h: Share, node: int) -> tuple[int, float]:
    """Dominant resource share of a node in its parent, weighted: (1 = infinite, value), in that order.

    A node of weight 0 that borrows has an infinite share; among such the unweighted value decides. (0, 0.0)
    is a node that borrows nothing.
    """
    if t.parent[node] < 0:
        return 0, 0.0
    n_resources, most = t.group.shape[1], 0.0
    for resource in range(n_resources):
        borrowed = 0
        for k in range(resource, t.nominal.shape[1], n_resources):
            borrowed += max(0, h.usage[node, k] - h.subtree[node, k])
        if borrowed > 0:
            lendable = h.lendable[t.parent[node], resource]
            if lendable > 0:
                most = max(most, 1000.0 * borrowed / lendable)
    if most == 0.0:
        return 0, 0.0
    return (1, most) if t.weight[node] == 0.0 else (0, most / t.weight[node])


@kernel
def is_less(a_infinite: int, a: float, b_infinite: int, b: float) -> bool:
    """Whether share a is less than share b."""
    if a_infinite != b_infinite:
        return bool(a_infinite < b_infinite)
    return bool(a < b)
