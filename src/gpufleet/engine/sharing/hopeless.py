"""Searches for victims that cannot succeed, known without searching again.

A search that fails has counted all candidates as gone, and still lacked so many idle nodes, or so much quota.
A job that ends, or gives way, adds no more than its own nodes and GPUs to what a search can reach. A job that
starts adds nothing if it would be the first victim: without it everything is as it was. But in its first pass
it is nobody's victim, and if its queue exceeds its quota by it, others of that queue are. So until enough was
given back, the job at the head of the same lane need not search again. Whatever else may help is counted in
REACH_CHANGED, and the note does not hold any more. Jobs of classes that are held to node sets keep no notes:
what they may take depends on their estimates, and on the clock. Nor are any kept where power has caps: where
a job may run changes with what others draw.
"""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.state import (
    ADMITTED_IN,
    EXCEEDED_IN,
    GPUS_FREED,
    NODES_FREED,
    REACH_CHANGED,
    THIS_PASS,
    Share,
)
from gpufleet.engine.sharing.tree import available, headroom
from gpufleet.engine.sharing.victim_order import least_priority
from gpufleet.engine.state import NEXT_CHANGE, NEXT_FAULT, State
from gpufleet.world.layout import NO_THRESHOLD, Tree


@kernel
def _advantage(t: Tree, h: Share, i: int) -> int:
    """Which of the nodes above the queue own what work ``i`` asks for: a bit each, from the queue up."""
    node, bits, bit = h.work[i].queue, 0, 1
    for k in range(len(h.rest)):
        h.rest[k] = h.request[k]
    while node >= 0:
        fits = True
        for k in range(len(h.rest)):
            if h.rest[k] > 0:
                fits = fits and h.usage[node, k] + h.rest[k] <= h.subtree[node, k]
                h.rest[k] = max(0, h.rest[k] - headroom(h, node, k))
        bits |= bit if fits else 0
        bit <<= 1
        node = t.parent[node]
    return bits


@kernel
def _product(h: Share) -> int:
    """What is asked for."""
    for k in range(len(h.request)):
        if h.request[k] > 0:
            return k
    return -1


@kernel
def is_hopeless(w: Rules, s: State, t: Tree, h: Share, i: int) -> bool:
    """Whether the last search of a job like ``i`` failed, and not enough was given back since."""
    lane, job = s.lane[s.slot[i].lane], s.slot[i]
    if (
        w.class_masked[job.cls]
        or lane.known == 0
        or h.scalar[EXCEEDED_IN] == h.scalar[THIS_PASS]
        or lane.gpus != job.gpus
        or lane.near != job.prio
        or lane.cls != _product(h)
    ):
        return False
    if lane.left != s.scalar[NEXT_CHANGE] + s.scalar[NEXT_FAULT]:
        return False
    if lane.part_before != h.scalar[REACH_CHANGED] or lane.reserved_for > job.seq:
        return False  # an older job may take what is newer than itself
    nodes, gpus = h.scalar[NODES_FREED] - lane.holder, h.scalar[GPUS_FREED] - lane.reserved_cell
    with_borrowing = nodes < lane.whole_by or gpus < lane.part_by
    without = nodes < lane.whole_before or gpus < lane.reserved_at
    return bool(with_borrowing and without and lane.reserved_on == _advantage(t, h, i))


@kernel
def begin_note(s: State, t: Tree, h: Share, i: int) -> None:
    """A search for job ``i`` begins; an attempt that is not made lacks more than can ever be given back."""
    lane, job = s.lane[s.slot[i].lane], s.slot[i]
    lane.known, lane.cls = 0, _product(h)
    lane.gpus, lane.near, lane.reserved_for = job.gpus, job.prio, job.seq
    lane.left = s.scalar[NEXT_CHANGE] + s.scalar[NEXT_FAULT]
    lane.part_before, lane.reserved_on = h.scalar[REACH_CHANGED], _advantage(t, h, i)
    lane.holder, lane.reserved_cell = h.scalar[NODES_FREED], h.scalar[GPUS_FREED]
    lane.whole_by, lane.part_by, lane.whole_before, lane.reserved_at = 1 << 60, 0, 1 << 60, 0


@kernel
def lacking_nodes(w: Rules, s: State, i: int) -> int:
    """Idle nodes that job ``i`` lacks in the cell where it lacks fewest; 0 if there are enough."""
    cls, gpus, least = s.slot[i].cls, s.slot[i].gpus, 1 << 40
    first = w.class_option[cls]
    for option in range(first, first + w.class_options[cls]):
        cell = w.option_cell[option]
        whole = gpus // s.cell[cell].per_node
        least = min(least, max(0, whole - s.n_free[cell, s.cell[cell].per_node]))
    return least


@kernel
def lacking_quota(t: Tree, h: Share, i: int, borrowing: bool) -> int:
    """GPUs of quota that work ``i`` lacks for its request."""
    queue, lacking = h.work[i].queue, 0
    for k in range(len(h.request)):
        if h.request[k] > 0:
            room = available(t, h, queue, k)
            if not borrowing:
                room = min(room, t.nominal[queue, k] - h.usage[queue, k])
            lacking = max(lacking, h.request[k] - room)
    return lacking


@kernel
def note_attempt(s: State, i: int, borrowing: bool, nodes: int, gpus: int) -> None:
    """An attempt lacked so many idle nodes, or so much quota, when all its candidates were gone."""
    lane = s.lane[s.slot[i].lane]
    if borrowing:
        lane.whole_by, lane.part_by = nodes, gpus
    else:
        lane.whole_before, lane.reserved_at = nodes, gpus


@kernel
def end_note(w: Rules, s: State, h: Share, i: int) -> None:
    """The search failed. Who started in this pass is no candidate yet, so the note would not hold."""
    holds = h.scalar[ADMITTED_IN] != h.scalar[THIS_PASS] and w.class_masked[s.slot[i].cls] == 0
    holds = holds and not (w.power and len(w.cap_t_s) > 0)
    s.lane[s.slot[i].lane].known = int(holds)


@kernel
def note_start(t: Tree, h: Share, i: int) -> None:
    """Work ``i`` was admitted: unless it would be the first victim, others may be reached through it."""
    work, least, over = h.work[i], NO_THRESHOLD, False
    for node in range(len(h.first)):
        least = min(least, least_priority(h, node))
    node = work.queue
    while node >= 0:
        for k in range(len(h.rest)):
            over = over or h.usage[node, k] > h.subtree[node, k]
        node = t.parent[node]
    queue_over = False
    for u in range(work.n_use):
        k = h.use_k[i, u]
        queue_over = queue_over or h.usage[work.queue, k] > h.subtree[work.queue, k]
    first = queue_over and work.preemptible and work.priority <= least
    if over:
        h.scalar[EXCEEDED_IN] = h.scalar[THIS_PASS]
    if over and not first:
        h.scalar[REACH_CHANGED] += 1
