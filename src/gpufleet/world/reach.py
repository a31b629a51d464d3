"""How many GPUs a job can ever have at once: what is larger never runs, however long it waits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Ints
from gpufleet.world.layout import UP, World


def most_for_class(world: World) -> Ints:
    """The most GPUs that one job of each class can ever have: of one cell, within its queue's quota.

    Returns: shape (n_classes,).
    """
    in_service, sets = most_in_service(world), world.node_sets
    of_queue: dict[int, Ints] = {}  # of queues that may not use every node
    most = np.zeros(world.classes.queue.size, np.int64)
    for row, (queue, first, n) in enumerate(zip(*(c.tolist() for c in world.classes), strict=True)):
        cells = world.options.cell[first : first + n]
        if sets is not None and queue not in of_queue:
            of_queue[queue] = most_in_service(world, sets.queue_groups[queue, sets.node_group] != 0)
        ever = of_queue.get(queue, in_service)[cells]
        quota = world.queues.quota[queue, world.cells.product[cells]]
        within = np.where(quota < 0, ever, np.minimum(quota, ever))
        most[row] = within.max(initial=0)
    return most


def most_in_service(world: World, counts: NDArray[np.bool_] | None = None) -> Ints:
    """The most GPUs that each cell ever has in service at one time, until a run that stops at its end.

    Args: counts: nodes that count, shape (n_nodes,); None: all.

    Returns: shape (n_cells,).
    """
    online = np.zeros(world.nodes.size.size, np.bool_)
    now = np.zeros(world.cells.site.size, np.int64)
    most = now.copy()
    for t_s, kind, first, n, _lot in zip(*(column.tolist() for column in world.capacity), strict=True):
        if t_s >= world.clock.end_s and not world.clock.finish:
            break
        nodes = slice(first, first + n)
        changes = online[nodes] != (kind == UP)
        if counts is not None:
            changes &= counts[nodes]
        changed = int(world.nodes.size[nodes][changes].sum())
        online[nodes] = kind == UP
        cell = world.nodes.cell[first]
        now[cell] += changed if kind == UP else -changed
        most[cell] = max(most[cell], now[cell])
    return most
