"""Writes timeline.parquet: GPU-seconds online, busy and waiting per bin, exact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.results.column import strings
from gpufleet.results.columns import TIMELINE
from gpufleet.results.parquet import TableWriter, words
from gpufleet.world.layout import REFUSALS, UP, Tallies, World

if TYPE_CHECKING:
    from gpufleet.world.names import Names

KINDS: Final = ("online", "busy", "waiting")


class Online(NamedTuple):
    """GPUs in service as steps, shape (n_steps,), sorted by (site, product, tenant, t_s)."""

    site: Ints
    product: Ints
    tenant: Ints  # owner, -1 = shared
    t_s: Ints
    gpus: Ints  # from t_s until the group's next step


def online_steps(world: World) -> Online:
    """When how many GPUs are in service, by site, product and owner.

    A node is in service from its UP to its next DRAIN or KILL, whatever runs on it then.
    """
    key = np.stack([world.cells.site, world.cells.product, world.cells.tenant], axis=1)
    groups, group_of_cell = np.unique(key, axis=0, return_inverse=True)
    table = np.array(list(_changes(world, group_of_cell.reshape(-1))), np.int64).reshape(-1, 3)
    start = np.zeros((len(groups), 3), np.int64)  # every group has a step at 0
    start[:, 0] = np.arange(len(groups))
    table = np.concatenate([start, table])
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    group, t_s = table[:, 0], table[:, 1]
    last = np.append((np.diff(group) != 0) | (np.diff(t_s) != 0), True) if len(table) else np.zeros(0, bool)
    level = np.cumsum(table[:, 2])
    first = np.searchsorted(group, np.arange(len(groups)))
    base = np.concatenate([[0], level])[first]  # what earlier groups summed to
    group, t_s, gpus = group[last], t_s[last], (level - base[group])[last]
    site, product, tenant = groups[group].T
    return Online(site, product, tenant, t_s, gpus)


def _changes(world: World, group_of_cell: Ints) -> Iterator[tuple[int, int, int]]:
    """(group, t_s, GPUs more or less) for each change that changes something."""
    size, cell = world.nodes.size, world.nodes.cell
    up = np.zeros(size.size, bool)
    for t, kind, first, n, _ in zip(*(column.tolist() for column in world.capacity), strict=True):
        nodes = slice(first, first + n)
        changed = up[nodes] != (kind == UP)
        up[nodes] = kind == UP
        gpus, cells = size[nodes][changed].astype(np.int64), cell[nodes][changed]
        for c in np.unique(cells).tolist():
            total = int(gpus[cells == c].sum())
            yield int(group_of_cell[c]), max(t, 0), total if kind == UP else -total


def gpu_seconds(t_s: Ints, gpus: Ints, edges: Ints) -> Ints:
    """Integral of a step function over bins.

    Args:    t_s: ascending, t_s[0] <= edges[0]; gpus: level from t_s on, same shape;
             edges: shape (n_bins + 1,).
    Returns: GPU-seconds, shape (n_bins,), exact.

    >>> gpu_seconds(np.array([0, 15]), np.array([8, 4]), np.array([0, 10, 20, 30])).tolist()
    [80, 60, 40]
    """
    area = np.concatenate([[0], np.cumsum(gpus[:-1] * np.diff(t_s))])
    step = np.searchsorted(t_s, edges, side="right") - 1
    return np.diff(area[step] + gpus[step] * (edges - t_s[step]))


def write_timeline(path: Path, world: World, names: Names, tallies: Tallies, end_s: int) -> int:
    """Write timeline.parquet.

    Args:    tallies: of the engine; end_s: when the run ended (`Result.end_s`), which is also when the GPUs
             online end.
    Returns: rows written.
    """
    with TableWriter(path, TIMELINE) as writer:
        for rows in _online_rows(world, names, end_s):
            writer.write(_filled("online", rows))
        for rows in _busy_rows(world, names, tallies.busy):
            writer.write(_filled("busy", rows))
        for rows in _waiting_rows(world, names, tallies.waiting):
            writer.write(_filled("waiting", rows))
        return writer.rows


def bin_edges(world: World, end_s: int) -> Ints:
    """Edges of the bins, s, shape (n_bins + 1,), from the plan's start to the end of the run.

    A run that stops at the plan's end cuts the last bin there; one that goes on ends with a whole bin, after
    the plan's end or, when nothing is left that could happen, before it.
    """
    grid = world.clock.grid_s
    until = end_s if world.clock.finish and end_s else world.clock.end_s
    edges = np.arange(0, until + grid, grid, dtype=np.int64)
    if not world.clock.finish:
        edges[-1] = until
    return edges


def _online_rows(world: World, names: Names, end_s: int) -> Iterator[dict[str, Any]]:
    steps, edges = online_steps(world), bin_edges(world, end_s)
    group = np.stack([steps.site, steps.product, steps.tenant])
    new = np.flatnonzero((np.diff(group) != 0).any(axis=0)) + 1
    for at in np.split(np.arange(steps.t_s.size), new):
        if not at.size:
            continue
        site, product, tenant = (np.full(edges.size - 1, codes[at[0]]) for codes in group)
        yield {
            "t_s": edges[:-1],
            "site": words(site, names.sites),
            "product": words(product, names.products),
            "tenant": words(tenant, names.tenants),
            "gpu_s": gpu_seconds(steps.t_s[at], steps.gpus[at], edges),
        }


def _busy_rows(world: World, names: Names, busy: Ints) -> Iterator[dict[str, Any]]:
    for queue in range(busy.shape[0]):
        product, at = np.nonzero(busy[queue])
        yield {
            **_queue_columns(world, names, queue, at),
            "product": words(product, names.products),
            "gpu_s": busy[queue][product, at],
        }


def _waiting_rows(world: World, names: Names, waiting: Ints) -> Iterator[dict[str, Any]]:
    for queue in range(waiting.shape[0]):
        cause, at = np.nonzero(waiting[queue])
        yield {
            **_queue_columns(world, names, queue, at),
            "cause": words(cause, REFUSALS),
            "gpu_s": waiting[queue][cause, at],
        }


def _queue_columns(world: World, names: Names, queue: int, at: Ints) -> dict[str, Any]:
    tenant = int(world.queues.tenant[queue])
    return {
        "t_s": at * world.clock.grid_s,
        "queue": words(np.full(at.size, queue), names.queues),
        "tenant": words(np.full(at.size, tenant), names.tenants),
    }


def _filled(kind: str, rows: dict[str, Any]) -> dict[str, Any]:
    """All columns: those that the kind does not have are null."""
    n = len(rows["gpu_s"])
    nothing = {name: words(np.full(n, -1), ()) for name in strings(TIMELINE)}
    return {**nothing, **rows, "kind": words(np.full(n, KINDS.index(kind)), KINDS)}
