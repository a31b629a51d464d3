"""Nodes that fail: when, and for how long, is a function of the seed, the lot and the node's number in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.world.capacity import Fleet
from gpufleet.world.generate import draws, key_of, uniform
from gpufleet.world.layout import UP, Failures

if TYPE_CHECKING:
    from gpufleet.plan import Plan

_GAP, _REPAIR = 0, 1
_ROUND_BITS: Final = 20  # of a node's draws: more failures than that no node lives through


def failures_of(plan: Plan, fleet: Fleet) -> Failures | None:
    """All failures until the end of the simulation; None where the plan says that nothing fails."""
    if plan.failures is None:
        return None
    rows = [_of_lot(plan, fleet, *lot) for lot in _first_service(fleet)]
    t, node, repair = (np.concatenate([np.zeros(0, np.int64), *part]) for part in _columns(rows))
    order = np.lexsort((node, t))
    return Failures(t[order], node[order], repair[order])


def _columns(rows: list[Failures]) -> list[list[Ints]]:
    return [[getattr(row, name) for row in rows] for name in Failures._fields]


def _first_service(fleet: Fleet) -> list[tuple[int, Ints, Ints, int]]:
    """(lot, nodes of it, their numbers in it, when they first come into service), in the order of time."""
    seen = np.zeros(len(fleet.nodes.size), bool)
    counted: dict[int, int] = {}
    found = []
    capacity = fleet.capacity
    for row in np.flatnonzero(capacity.kind == UP).tolist():
        first = int(capacity.first_node[row])
        nodes = np.arange(first, first + int(capacity.n_nodes[row]))
        nodes = nodes[~seen[nodes]]
        seen[nodes] = True
        lot = int(capacity.lot[row])
        before = counted.get(lot, 0)
        counted[lot] = before + nodes.size
        if nodes.size:
            found.append((lot, nodes, np.arange(before, counted[lot]), int(capacity.t_s[row])))
    return found


def _of_lot(plan: Plan, fleet: Fleet, lot: int, nodes: Ints, number: Ints, since_s: int) -> Failures:
    """Failures of nodes that came into service together, in rounds: each node's first, second, ..."""
    assert plan.failures is not None
    name = plan.deliveries[lot].name if lot >= 0 else ""
    key = key_of(plan.seed, "failures", name)
    mean_s = plan.failures.gpu_hours_between * 3600.0 / fleet.nodes.size[nodes]
    at, which, rows = np.full(len(nodes), since_s), number << _ROUND_BITS, []
    left = np.arange(len(nodes))
    while left.size:
        gap = np.ceil(mean_s[left] * _exponential(key, which[left], _GAP)).astype(np.int64)
        at[left] += np.maximum(gap, 1)
        left = left[at[left] < plan.jobs_end_s]
        repair = np.ceil(plan.failures.repair_s * _exponential(key, which[left], _REPAIR)).astype(np.int64)
        rows.append((at[left], nodes[left], np.maximum(repair, 1)))
        at[left] += rows[-1][2]
        which[left] += 1
    return Failures(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _exponential(key: int, number: Ints, which: int) -> Floats:
    """Draws with mean 1."""
    found: Floats = -np.log1p(-uniform(draws(key, number, which)))
    return found
