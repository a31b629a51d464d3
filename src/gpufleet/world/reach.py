"""How many GPUs a job can ever have at once: what is larger never runs, however long it waits."""

from __future__ import annotations

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.world.layout import UP, World


def most_for_class(world: World) -> Ints:
    """The most GPUs that one job of each class can ever have: of one cell, within its queue's quota.

    Returns: shape (n_classes,).
    """
    in_service = most_in_service(world)
    most = np.zeros(world.classes.queue.size, np.int64)
    for row, (queue, first, n) in enumerate(zip(*(c.tolist() for c in world.classes), strict=True)):
        cells = world.options.cell[first : first + n]
        quota = world.queues.quota[queue, world.cells.product[cells]]
        within = np.where(quota < 0, in_service[cells], np.minimum(quota, in_service[cells]))
        most[row] = within.max(initial=0)
    return most


def most_in_service(world: World) -> Ints:
    """The most GPUs that each cell ever has in service at one time, until a run that stops at its end.

    Returns: shape (n_cells,).
    """
    online = np.zeros(world.nodes.size.size, np.bool_)
    now = np.zeros(world.cells.site.size, np.int64)
    most = now.copy()
    for t_s, kind, first, n, _lot in zip(*(column.tolist() for column in world.capacity), strict=True):
        if t_s >= world.clock.end_s and not world.clock.finish:
            break
        nodes = slice(first, first + n)
        changed = int(world.nodes.size[nodes][online[nodes] != (kind == UP)].sum())
        online[nodes] = kind == UP
        cell = world.nodes.cell[first]
        now[cell] += changed if kind == UP else -changed
        most[cell] = max(most[cell], now[cell])
    return most
