"""What became of reservations: how many GPUs they kept, who held these, how much of them stood idle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Ints
from gpufleet.world.layout import BEFORE_S, UP, Tallies, World


class Reserved(NamedTuple):
    """One reservation, over its whole time as far as the run goes. GPU-seconds, exact."""

    name: str
    gpus: int  # that it keeps
    place_gpus: int  # in service at its site when it begins, of the products that it keeps
    kept_gpu_s: int  # in service and kept
    used_gpu_s: int  # held by jobs for whom it is
    others_gpu_s: int  # held by others, who were there before
    idle_before_gpu_s: int  # in service and free in the day before it

    @property
    def idle_gpu_s(self) -> int:
        """Kept, and held by nobody."""
        return self.kept_gpu_s - self.used_gpu_s - self.others_gpu_s


def reserved_of(world: World, names: Sequence[str], tallies: Tallies, end_s: int) -> tuple[Reserved, ...]:
    """The reservations of a run, in the plan's order.

    Args: names: of the reservations; end_s: when the run ended.
    """
    sets = world.node_sets
    if sets is None:
        return ()
    found = []
    for row, name in enumerate(names):
        windows = np.flatnonzero(sets.window_reservation == row)
        if not windows.size:
            found.append(Reserved(name, 0, 0, 0, 0, 0, 0))
            continue
        nodes = np.isin(sets.node_group, sets.window_group[windows])
        begins, ends = int(sets.window_from_s[windows[0]]), int(sets.window_to_s[windows[0]])
        used, others, before = (int(column) for column in tallies.kept[windows].sum(axis=0))
        begins_or_end = min(begins, end_s)
        lead = _online_gpu_s(world, nodes, max(0, begins - BEFORE_S), begins_or_end)
        found.append(
            Reserved(
                name,
                gpus=int(world.nodes.size[nodes].sum()),
                place_gpus=int(world.nodes.size[_like(world, nodes) & _online(world, begins)].sum()),
                kept_gpu_s=_online_gpu_s(world, nodes, begins, min(ends, end_s)),
                used_gpu_s=used,
                others_gpu_s=others,
                idle_before_gpu_s=max(0, lead - before),
            )
        )
    return tuple(found)


def _like(world: World, nodes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All nodes of the sites and products of some nodes."""
    cells = np.unique(world.nodes.cell[nodes])
    kinds = set(zip(world.cells.site[cells].tolist(), world.cells.product[cells].tolist(), strict=True))
    pairs = zip(world.cells.site.tolist(), world.cells.product.tolist(), strict=True)
    right = np.array([pair in kinds for pair in pairs], bool)
    return np.asarray(right[world.nodes.cell])


def _online(world: World, t_s: int) -> NDArray[np.bool_]:
    """Nodes in service from a second on."""
    online = np.zeros(world.nodes.size.size, bool)
    for at_s, kind, first, n, _ in zip(*(column.tolist() for column in world.capacity), strict=True):
        if at_s <= t_s:
            online[first : first + n] = kind == UP
    return online


def _online_gpu_s(world: World, nodes: NDArray[np.bool_], from_s: int, to_s: int) -> int:
    """GPU-seconds that some nodes are in service between two times. Jobs on drained nodes do not count."""
    times: Ints = np.unique(np.clip(np.r_[world.capacity.t_s, from_s, to_s], from_s, max(from_s, to_s)))
    sums = [int(world.nodes.size[nodes & _online(world, int(t))].sum()) for t in times[:-1]]
    return int((np.array(sums, np.int64) * np.diff(times)).sum())
