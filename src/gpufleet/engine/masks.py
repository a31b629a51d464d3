"""Which options of a world are held to node sets: all others never look at a node's group."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.world.layout import World


class Masks(NamedTuple):
    """Node sets as the kernels read them; without any, tables without rows."""

    node_group: Ints  # (n_nodes,)
    class_groups: Ints  # (n_classes, n_groups)
    class_window: Ints  # (n_classes, n_windows) 1 = the window's reservation is for the class
    class_masked: Ints  # (n_classes,) 1 = some option of it is
    option_masked: (
        Ints  # (n_options,) 1 = its class may not use some node of its cell, or some is in a window
    )
    option_future: Ints  # (n_options,) row of its usable nodes in State.future
    group_window: Ints  # (n_groups + 1,) first window of a group
    window_from_s: Ints  # (n_windows,)
    window_to_s: Ints  # (n_windows,)
    open_t_s: Ints  # (n_opens,) ascending: when a window ends
    open_island: Ints  # (n_opens,) in which a pass is due then; -1 = in none


def masks_of(world: World) -> tuple[Masks, list[tuple[int, Any]]]:
    """The masks of a world, and the rows of `State.future` behind those of the cells.

    A row is a cell and its nodes that count, a boolean array over the fleet.
    """
    none = np.zeros(0, np.int64)
    n_classes, cell = len(world.classes.queue), np.asarray(world.options.cell, np.int64)
    masked = np.zeros(len(cell), np.int64)
    if world.node_sets is None:
        table = np.zeros((0, 0), np.int64)
        idle = np.zeros(n_classes, np.int64)
        return Masks(none, table, table, idle, masked, cell.copy(), none, none, none, none, none), []
    sets = world.node_sets
    class_groups = sets.queue_groups[world.classes.queue]
    n_groups = class_groups.shape[1]
    holds = sets.class_holds[:, sets.window_reservation]
    class_masked, future, rows = np.zeros(n_classes, np.int64), cell.copy(), _Rows(world)
    for cls, first, n in zip(
        range(n_classes), world.classes.first_option, world.classes.n_options, strict=True
    ):
        may, kept = class_groups[cls] != 0, np.zeros(n_groups, bool)
        kept[sets.window_group] = True
        for option in range(first, first + n):
            groups = rows.groups_of(int(cell[option]))
            masked[option] = bool((~may | kept)[groups].any())
            class_masked[cls] |= masked[option]
            if not may[groups].all():
                future[option] = rows.row(int(cell[option]), may)
    group_window = np.searchsorted(sets.window_group, np.arange(n_groups + 1)).astype(np.int64)
    return Masks(
        sets.node_group, class_groups, holds, class_masked, masked, future, group_window,
        sets.window_from_s, sets.window_to_s, *_opens(world),
    ), rows.found  # fmt: skip


class _Rows:
    """Rows of `State.future` for sets of nodes that are not whole cells, each once."""

    def __init__(self, world: World) -> None:
        assert world.node_sets is not None
        self.node_group, self.node_cell = world.node_sets.node_group, world.nodes.cell
        self.n_cells = len(world.cells.first_node)
        self.number: dict[tuple[int, bytes], int] = {}
        self.found: list[tuple[int, Any]] = []

    def groups_of(self, cell: int) -> Ints:
        """The groups that a cell has nodes of."""
        return np.unique(self.node_group[self.node_cell == cell])

    def row(self, cell: int, may: Any) -> int:
        """The row of the nodes of a cell whose groups are among ``may``."""
        key = (cell, may.tobytes())
        if key not in self.number:
            self.number[key] = self.n_cells + len(self.found)
            self.found.append((cell, may[self.node_group] & (self.node_cell == cell)))
        return self.number[key]


def _opens(world: World) -> tuple[Ints, Ints]:
    """(second, island) of each end of a window, each once, by time."""
    assert world.node_sets is not None
    sets, pairs = world.node_sets, set()
    island = np.asarray(world.cells.island)[world.nodes.cell]
    for group, to_s in zip(sets.window_group.tolist(), sets.window_to_s.tolist(), strict=True):
        here = np.unique(island[sets.node_group == group]).tolist()
        pairs |= {(to_s, i) for i in here or [-1]}
    table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
