"""Sets of nodes of a plan; and as the engine sees them: groups, and windows that keep a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Ints
from gpufleet.world.layout import Classes, NodeSets

if TYPE_CHECKING:
    from gpufleet.base.errors import Finding
    from gpufleet.plan import Plan
    from gpufleet.plan.tenants import Queue

Flags: TypeAlias = NDArray[np.bool_]
Holds: TypeAlias = tuple[int, ...]
"""Rows of the reservations that are for a class."""


@dataclass(frozen=True)
class Kept:
    """A reservation with its nodes."""

    from_s: int
    to_s: int
    nodes: Flags  # (n_nodes,)


class Sets(NamedTuple):
    """The sets of nodes of a plan; all empty where it has none."""

    partitions: dict[str, Flags]
    kept: tuple[Kept, ...]  # by row of the plan's reservations
    queue_nodes: dict[str, Flags]  # nodes that the jobs of a queue may use, whoever owns them
    queue_holds: tuple[Holds, ...]  # reservations for all jobs of a queue
    findings: tuple[Finding, ...]


def holds_of(plan: Plan, queue: Queue, workload: str) -> Holds:
    """The reservations that jobs of a workload in a queue hold."""
    return tuple(i for i, r in enumerate(plan.reservations.values()) if r.is_for(queue, workload))


def arrays_of(sets: Sets, classes: Classes, holds: Sequence[Holds]) -> NodeSets | None:
    """What the engine sees of the sets; None where there are none. Args: holds: of the classes."""
    if not sets.queue_nodes:
        return None
    flags = [*sets.partitions.values(), *(kept.nodes for kept in sets.kept)]
    member = np.array(flags, bool).reshape(len(flags), -1).T
    _, first, group = np.unique(member, axis=0, return_index=True, return_inverse=True)
    windows = [
        (int(g), row, kept.from_s, kept.to_s)
        for row, kept in enumerate(sets.kept)
        for g in np.unique(group.reshape(-1)[kept.nodes])
    ]
    table: Ints = np.array(sorted(windows), np.int64).reshape(-1, 4)
    n = len(sets.kept)
    return NodeSets(
        group.reshape(-1).astype(np.int64),
        np.array([nodes[first] for nodes in sets.queue_nodes.values()], np.int64),
        _table(sets.queue_holds, n),
        _table(holds, n),
        *(np.ascontiguousarray(column) for column in table.T),
    )


def _table(holds: Sequence[Holds], n: int) -> Ints:
    """1 where a row holds a reservation."""
    table = np.zeros((len(holds), n), np.int64)
    for row, held in enumerate(holds):
        table[row, list(held)] = 1
    return table
