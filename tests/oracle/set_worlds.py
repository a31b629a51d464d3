"""Random groups of nodes and windows of reservations for small worlds; half of the worlds have none."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from gpufleet.world.layout import NodeSets, World


def node_sets(random: Random, world: World) -> NodeSets | None:
    """Node sets for a world: groups lie anywhere in the cells, and few queues are shut out of most."""
    if random.random() < 0.5:
        return None
    n_classes, n_queues = len(world.classes.queue), len(world.queues.tenant)
    n_groups, n_reservations = random.randint(1, 4), random.randint(0, 2)
    partitions = random.random() < 0.6
    windows = [_window(random, n_groups, n_reservations, world.clock.end_s) for _ in range(3)]
    windows = sorted(windows[: random.randint(1, 3)] if n_reservations else [])

    def table(rows: int, columns: int, often: float) -> Any:
        cells = [int(random.random() < often) for _ in range(rows * columns)]
        return np.array(cells, np.int64).reshape(rows, columns)

    columns = np.array(windows, np.int64).reshape(-1, 4).T
    return NodeSets(
        _groups(random, len(world.nodes.size), n_groups),
        table(n_queues, n_groups, 0.75 if partitions else 1.0),
        table(n_queues, n_reservations, 0.4),
        table(n_classes, n_reservations, 0.4),
        *(np.ascontiguousarray(column) for column in columns),
    )


def _groups(random: Random, n_nodes: int, n_groups: int) -> Any:
    """Runs of nodes of one group, so that some jobs of several nodes find place."""
    groups: list[int] = []
    while len(groups) < n_nodes:
        groups += [random.randrange(n_groups)] * random.choice((1, 2, 3, 5))
    return np.array(groups[:n_nodes], np.int64)


def _window(random: Random, n_groups: int, n_reservations: int, end_s: int) -> tuple[int, ...]:
    """A window at times at which other things happen too."""
    begins = random.choice((0, 5 * random.randrange(end_s // 5), random.randrange(end_s)))
    lasts = random.choice((1, 5, 20, 5 * random.randrange(1, 10), random.randrange(1, end_s)))
    reservation = random.randrange(max(1, n_reservations))
    return random.randrange(n_groups), reservation, begins, begins + lasts
