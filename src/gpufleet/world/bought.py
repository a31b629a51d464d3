"""Deliveries as nodes: what was bought, one row per node, before power and time decide what is in service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.world.layout import Cells, Nodes
from gpufleet.world.names import Names

if TYPE_CHECKING:
    from gpufleet.plan import Delivery, Plan


class Bought(NamedTuple):
    """Nodes that the plan ever buys, in the order of `Nodes`. Shape (n_nodes,)."""

    size: Ints  # GPUs; less than gpus_per_node in a part-bought node
    gpus_per_node: Ints
    unit: Ints  # what comes online in one piece: a domain, or a node; = Nodes.domain
    lot: Ints  # row of the delivery
    system: Ints  # row in Plan.systems
    site: Ints
    product: Ints
    tenant: Ints  # owner, -1 = shared
    at_s: Ints  # ready for power: delivered, installed; seconds from the plan's start; may lie before it
    age: Ints  # rank in delivery order: 0 came first
    rating_w: Floats  # rated IT power, W


def bought_nodes(plan: Plan, names: Names) -> Bought:
    """One row for each node of all deliveries, sorted as `Nodes`: by cell, delivery date, delivery, unit.

    A delivery that is no whole number of units keeps its last unit in part: fewer nodes, and a last node
    with fewer GPUs. A rating that is not known is 0 W:
    the site's power has no limit then (P060), and nothing is added up.
    """
    rows = sorted(range(len(plan.deliveries)), key=lambda row: (plan.seconds(plan.deliveries[row].at), row))
    lots = _join(_lot(plan, names, row) for row in rows)
    age = np.empty(lots.size.size, np.int64)
    age[np.argsort(lots.at_s, kind="stable")] = np.arange(lots.size.size)
    lots = lots._replace(age=age)
    by_cell = np.lexsort((lots.age, lots.gpus_per_node, lots.tenant, lots.product, lots.site))
    nodes = Bought._make(column[by_cell] for column in lots)
    return nodes._replace(unit=np.cumsum(_starts(nodes.lot, nodes.unit), dtype=np.int64) - 1)


def _lot(plan: Plan, names: Names, row: int) -> Bought:
    """The nodes of one delivery."""
    delivery = plan.deliveries[row]
    system = plan.systems[delivery.system]
    full = system.gpus_per_node
    n = -(-delivery.gpus // full)

    def all_alike(value: int) -> Ints:
        return np.full(n, value, np.int64)

    size = all_alike(full)
    size[-1:] = delivery.gpus - full * (n - 1)
    return Bought(
        size=size,
        gpus_per_node=all_alike(full),
        unit=np.arange(n, dtype=np.int64) // system.nodes_per_domain,
        lot=all_alike(row),
        system=all_alike(list(plan.systems).index(delivery.system)),
        site=all_alike(names.sites.index(delivery.to)),
        product=all_alike(names.products.index(system.product)),
        tenant=all_alike(-1 if delivery.tenant is None else names.tenants.index(delivery.tenant)),
        at_s=_ready_s(plan, delivery, full, system.nodes_per_domain, n),
        age=all_alike(0),
        rating_w=np.full(n, system.rated_node_w or 0.0),
    )


def _ready_s(plan: Plan, delivery: Delivery, per_node: int, per_unit: int, n: int) -> Ints:
    """When each node of a delivery may have power; a unit comes when the last of it does. Shape (n,)."""
    if not delivery.parts:
        return np.full(n, plan.seconds(delivery.ready or delivery.at), np.int64)
    ends = np.cumsum([gpus for gpus, _ in delivery.parts])
    last = np.minimum((np.arange(n) + 1) * per_node, delivery.gpus) - 1  # the last GPU of each node
    times = np.array([plan.seconds(at) for _, at in delivery.parts], np.int64)
    at_s = times[np.searchsorted(ends, last, side="right")]
    first = np.arange(0, n, per_unit)
    return np.repeat(np.maximum.reduceat(at_s, first), np.diff(np.r_[first, n]))


def _join(lots: Iterable[Bought]) -> Bought:
    """Rows of several deliveries under each other."""
    columns = list(zip(*lots, strict=True))
    if not columns:
        none = Bought._make([np.zeros(0, np.int64)] * len(Bought._fields))
        return none._replace(rating_w=np.zeros(0))
    return Bought._make(np.concatenate(column) for column in columns)


def _starts(*keys: Ints) -> Ints:
    """1 where a row differs from the row before in any key, and in row 0.

    >>> _starts(np.array([7, 7, 8]), np.array([1, 2, 2])).tolist()
    [1, 1, 1]
    """
    new = np.zeros(keys[0].size, np.int64)
    new[:1] = 1
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return new


def nodes_and_cells(bought: Bought) -> tuple[Nodes, Cells]:
    """The engine's tables of nodes and cells. `Cells.island` is -1 until the classes are known."""
    new_cell = _starts(bought.site, bought.product, bought.tenant, bought.gpus_per_node)
    first = np.flatnonzero(new_cell)
    cell = np.cumsum(new_cell) - 1
    nodes = Nodes(
        size=bought.size.astype(np.int32), cell=cell.astype(np.int32), domain=bought.unit.astype(np.int32)
    )
    cells = Cells(
        first_node=first.astype(np.int64),
        n_nodes=np.diff(np.append(first, cell.size)).astype(np.int64),
        gpus_per_node=bought.gpus_per_node[first],
        product=bought.product[first],
        site=bought.site[first],
        tenant=bought.tenant[first],
        island=np.full(first.size, -1, np.int64),
    )
    return nodes, cells
