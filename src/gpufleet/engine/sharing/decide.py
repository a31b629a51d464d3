"""Decisions about a situation: one admission cycle, or the victims of one work."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.engine.jit import compiling, entry
from gpufleet.engine.memory import own, pack, rules_of
from gpufleet.engine.room import new_state
from gpufleet.engine.sharing.cycle import run_cycle
from gpufleet.engine.sharing.nominate import victims_for
from gpufleet.engine.sharing.state import (
    ACTIVE,
    ADMITTED,
    N_CHOSEN,
    N_ENTRIES,
    N_HEADS,
    PARKED,
    Share,
    new_share,
)
from gpufleet.engine.sharing.tree import count_work, settle_quotas
from gpufleet.engine.sharing.victim_order import link
from gpufleet.world.layout import Shapes, Tree, Works, empty_world


class Cycle(NamedTuple):
    """What one admission cycle decided; works by their row."""

    admitted: dict[int, list[list[int]]]  # flavor per pod set and resource, -1 = not asked for
    victims: dict[int, int]  # why: a row of REASONS
    active: list[int]  # still in the queue
    parked: list[int]  # out of it until something changes


@entry
def _count_admitted(t: Tree, h: Share) -> None:
    for i in range(len(h.work)):
        if h.work[i].state == ADMITTED:
            count_work(t, h, i)
            link(h, i)


@entry
def _find_heads(h: Share) -> None:
    """The work that competes for each queue: higher priority, then older, then lower rank."""
    h.scalar[N_HEADS] = 0
    for node in range(len(h.head)):
        h.head[node] = -1
    for i in range(len(h.work)):
        x = h.work[i]
        if x.state == ACTIVE:
            other = h.head[x.queue]
            if other < 0:
                h.heads[h.scalar[N_HEADS]] = x.queue
                h.scalar[N_HEADS] += 1
            if other < 0 or _leads(h, i, other):
                h.head[x.queue] = i


@entry
def _leads(h: Share, i: int, other: int) -> bool:
    x, y = h.work[i], h.work[other]
    if x.sticky != y.sticky:
        return bool(x.sticky > y.sticky)
    if x.key != y.key:
        return bool(x.key < y.key)
    if x.time != y.time:
        return bool(x.time < y.time)
    return bool(x.rank < y.rank)


@entry
def _park_alike(h: Share) -> None:
    """Park what is like a work that was parked in this cycle: it would be refused likewise."""
    for e in range(h.scalar[N_ENTRIES]):
        x = h.work[h.entry[e].work]
        if x.state == PARKED:
            for i in range(len(h.work)):
                y = h.work[i]
                alike = y.queue == x.queue and y.shape_no == x.shape_no and y.priority == x.priority
                if y.state == ACTIVE and alike:
                    y.state = PARKED


class Situation:
    """A quota tree with works that hold quota and works that ask for it."""

    def __init__(self, tree: Tree, works: Works, shapes: Shapes) -> None:
        self.tree = Tree(*(_owned(value) for value in tree))
        m, n_pods = len(works.queue), shapes.pods.shape[1]
        uses = max(works.use.shape[1], n_pods * tree.group.shape[1])
        self.share = _with_uses(new_share(tree, m, _sizes(shapes)), uses)
        self._fill(works, shapes)
        self.w, self.s = _nothing()
        self.t, self.h = pack(self.tree), pack(self.share)
        with compiling():
            settle_quotas(self.t, self.h)
            _count_admitted(self.t, self.h)

    def _fill(self, works: Works, shapes: Shapes) -> None:
        rows, n = self.share.work, len(works.queue)
        for name in ("queue", "priority", "time", "reserved", "rank", "evicted"):
            rows[name][:n] = getattr(works, name)
        rows["shape_no"][:n] = works.shape
        rows["key"][:n], rows["preemptible"] = -works.priority, 1
        rows["state"][:n] = np.where(works.n_use >= 0, ADMITTED, ACTIVE)
        rows["state"][n:] = PARKED
        rows["n_use"][:n] = np.maximum(works.n_use, 0)
        width = works.use.shape[1]
        self.share.use_k[:n, :width], self.share.use[:n, :width] = works.use_k, works.use
        for name in ("n_pods", "pods", "least_pods", "ask", "flavors"):
            table = getattr(shapes, name)
            getattr(self.share, name)[: len(table)] = table

    def victims(self, i: int, request: Ints, need: Ints) -> dict[int, int]:
        """Whom work ``i`` would take its request (amounts per k) from, with why; empty if nothing helps."""
        self.share.request[:], self.share.need[:] = request, need
        with compiling():
            n = victims_for(self.w, self.s, self.t, self.h, i)
        return {int(self.share.found[at]): int(self.share.found_why[at]) for at in range(n)}

    def cycle(self, n_works: int) -> Cycle:
        """Run one admission cycle over the heads of all queues."""
        share = self.share
        with compiling():
            _find_heads(self.h)
            run_cycle(self.w, self.s, self.t, self.h)
            _park_alike(self.h)
        admitted = {}
        for e in range(int(share.scalar[N_ENTRIES])):
            i = int(share.entry[e].work)
            if share.work[i].state == ADMITTED:
                n_pods = int(share.n_pods[share.work[i].shape_no])
                admitted[i] = share.entry_flavor[e, :n_pods].tolist()
        victims = {int(i): int(share.work[i].why) for i in share.chosen[: share.scalar[N_CHOSEN]]}
        states = share.work["state"][:n_works]
        return Cycle(
            admitted,
            victims,
            np.flatnonzero(states == ACTIVE).tolist(),
            np.flatnonzero(states == PARKED).tolist(),
        )


@lru_cache(maxsize=1)
def _nothing() -> tuple[Any, Any]:
    """A fleet without nodes: decisions about quota alone look at none."""
    world = empty_world()
    return pack(rules_of(world)), pack(new_state(world, n_slots=1, n_out=1))


def _sizes(shapes: Shapes) -> tuple[int, int, int, int]:
    """How many shapes; pod sets, groups and flavors of a shape at most."""
    return len(shapes.n_pods), shapes.pods.shape[1], shapes.flavors.shape[1], shapes.flavors.shape[2]


def _owned(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return int(value)
    return own(value, np.float64 if value.dtype == np.float64 else np.int64)


def _with_uses(share: Share, uses: int) -> Share:
    """Room for works that hold more kinds of quota than any pod set asks for."""
    m, entries = len(share.work), len(share.entry)
    wide: dict[str, Any] = {name: np.zeros((m, uses), np.int64) for name in ("use_k", "use")}
    wide |= {name: np.zeros((entries, uses), np.int64) for name in ("entry_k", "entry_use", "entry_held")}
    return share._replace(**wide)
