"""Quotas that change while the clock runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.books import book_borrowing
from gpufleet.engine.sharing.state import APPLIED, FIRST_QUEUE, REACH_CHANGED, Share
from gpufleet.engine.sharing.tree import available, settle_quotas
from gpufleet.engine.sharing.victim_order import precedes
from gpufleet.engine.state import NEXT_QUOTA, NOW, State
from gpufleet.world.layout import SharedQuotas, Tree


@kernel
def _count_up(t: Tree, h: Share) -> None:
    """Work the usage of cohorts out from that of their queues."""
    n, n_k = t.nominal.shape
    for node in range(n):
        for k in range(n_k):
            if not t.queue[node]:
                h.usage[node, k] = 0
    for up in range(n):
        node = n - 1 - up
        if t.parent[node] >= 0:
            for k in range(n_k):
                h.usage[t.parent[node], k] += max(0, h.usage[node, k] - h.local[node, k])


@kernel
def change_quotas(w: Rules, s: State, t: Tree, h: Share) -> bool:
    """Bring the quotas up to the clock; whether any changed."""
    if h.scalar[APPLIED] == s.scalar[NEXT_QUOTA]:
        return False
    while h.scalar[APPLIED] < s.scalar[NEXT_QUOTA]:
        at = h.scalar[APPLIED]
        t.nominal[h.change_row[at], h.change_k[at]] = h.change_gpus[at]
        h.scalar[APPLIED] += 1
    settle_quotas(t, h)
    _count_up(t, h)
    h.scalar[REACH_CHANGED] += 1
    for node in range(t.nominal.shape[0]):
        for k in range(t.nominal.shape[1]):
            book_borrowing(w, t, h, node, k, s.scalar[NOW])
    return True


@kernel
def first_to_go(t: Tree, h: Share, queue: int, k: int) -> int:
    """The first victim of a queue that uses more than it may; -1 if it does not, or none can go."""
    if available(t, h, queue, k) >= 0:
        return -1
    best, i = -1, h.first[queue]
    while i >= 0:
        uses = h.use_k[i, 0] == k and h.work[i].preemptible == 1
        if uses and (best < 0 or precedes(h, i, best, queue)):
            best = i
        i = h.work[i].next
    return best


@entry
def _note_potentials(t: Tree, h: Share, most: Ints) -> None:
    for queue in range(most.shape[0]):
        for k in range(most.shape[1]):
            most[queue, k] = max(most[queue, k], h.potential[h.scalar[FIRST_QUEUE] + queue, k])


def most_ever(shared: SharedQuotas, tree: Any, t: Any, share: Share, h: Any) -> Ints:
    """The most that each queue may ever use of each product, (n_queues, n_products)."""
    first = int(share.scalar[FIRST_QUEUE])
    most = np.zeros((len(tree.parent) - first, tree.nominal.shape[1]), np.int64)
    begin = tree.nominal.copy()
    settle_quotas(t, h)
    _note_potentials(t, h, most)
    for at in range(len(shared.change_t_s)):
        tree.nominal[shared.change_row[at], shared.change_product[at]] = shared.change_gpus[at]
        last = at + 1 == len(shared.change_t_s) or shared.change_t_s[at + 1] != shared.change_t_s[at]
        if last:
            settle_quotas(t, h)
            _note_potentials(t, h, most)
    tree.nominal[...] = begin
    settle_quotas(t, h)
    return most
