"""How many GPUs are in service when, and how many of them the jobs of a queue can use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Floats, Ints
from gpufleet.world.capacity import Fleet
from gpufleet.world.layout import UP
from gpufleet.world.names import Names

if TYPE_CHECKING:
    from gpufleet.plan.tenants import Queue


Flags: TypeAlias = NDArray[np.bool_]


class Online(NamedTuple):
    """GPUs in service through time. Between two rows nothing changes."""

    from_s: Ints  # seconds from the plan's start, ascending, the first is 0, shape (n_steps,)
    gpus: Ints  # shape (n_steps, n_cells)


def online_of(fleet: Fleet, also_s: Iterable[int] = (), counts: Flags | None = None) -> Online:
    """GPUs of each cell that deliveries, power and retirements leave in service.

    Args: also_s: times at which something else changes, such as a quota; each is a row too.
          counts: nodes that count, shape (n_nodes,); None: all.
    """
    is_up = np.zeros(fleet.nodes.size.size, np.bool_)
    change: dict[int, Ints] = {0: np.zeros(fleet.cells.site.size, np.int64)}
    for t_s, kind, first, n, _lot in zip(*(column.tolist() for column in fleet.capacity), strict=True):
        nodes, up = slice(first, first + n), kind == UP
        changes = is_up[nodes] != up
        if counts is not None:
            changes &= counts[nodes]
        gpus = int(fleet.nodes.size[nodes][changes].sum())
        is_up[nodes] = up
        now = change.setdefault(t_s, np.zeros(fleet.cells.site.size, np.int64))
        now[fleet.nodes.cell[first]] += gpus if up else -gpus
    for t_s in also_s:
        change.setdefault(max(0, t_s), np.zeros(fleet.cells.site.size, np.int64))
    times = sorted(change)
    return Online(np.array(times, np.int64), np.cumsum([change[t_s] for t_s in times], axis=0))


def usable_cells(fleet: Fleet, names: Names, queue: Queue, products: Sequence[str]) -> Flags:
    """Whether the jobs of a queue may run in each cell: its tenant's or shared, of products that they accept.

    Args:    products: none: all.
    Returns: shape (n_cells,).
    """
    mine = np.isin(fleet.cells.tenant, (names.tenants.index(queue.tenant), -1))
    right = np.isin(fleet.cells.product, [names.products.index(product) for product in products])
    usable: Flags = mine & (right | (not products))
    return usable


def usable_gpus(
    fleet: Fleet, online: Online, names: Names, queue: Queue, speeds: Sequence[tuple[str, float]]
) -> Floats:
    """GPUs at speed 1 that the jobs of a queue can use: products that they accept, in service, the tenant's
    own or shared, in the queue's partitions, at most the queue's own quota per product, each times its speed.
    What it could borrow does not count, so that it asks for as much whoever lends; nor do reservations.

    Args:    speeds: of the products that the jobs accept; none: all at speed 1.
    Returns: shape (n_steps,), as `online`.
    """
    mine = usable_cells(fleet, names, queue, [product for product, _ in speeds])
    usable = np.zeros(online.from_s.size)
    if queue.name in fleet.queue_nodes:
        online = online_of(fleet, online.from_s.tolist(), fleet.queue_nodes[queue.name])
    for product, speed in speeds or [(product, 1.0) for product in names.products]:
        cells = mine & (fleet.cells.product == names.products.index(product))
        gpus = online.gpus[:, cells].sum(axis=1)
        usable += speed * np.minimum(gpus, _own(queue, product, online.from_s, int(gpus.max(initial=0))))
    return usable


def _own(queue: Queue, product: str, from_s: Ints, default: int) -> Ints:
    """The queue's own quota of a product at each time; `default` without one."""
    steps = queue.own(product)
    if not steps:
        return np.full(from_s.size, default, np.int64)
    own_s, gpus = np.array([t_s for t_s, _ in steps], np.int64), np.array([0, *(gpus for _, gpus in steps)])
    own: Ints = gpus[np.searchsorted(own_s, from_s, side="right")].astype(np.int64)
    return own
