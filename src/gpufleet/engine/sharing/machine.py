"""What a run with admission by cycles keeps beside the state: the tree and the books of quota."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.engine.memory import own, pack
from gpufleet.engine.sharing.quotas import most_ever
from gpufleet.engine.sharing.state import FIRST_QUEUE, N_EVENTS, Share, new_share
from gpufleet.engine.state import State
from gpufleet.world.layout import SharedQuotas, Tree, World

_BY_WORK = ("work", "use_k", "use", "tried", "found", "found_why", "candidate", "order", "chosen")
_BY_SHAPE = ("waiting", "n_pods", "pods", "least_pods", "ask", "flavors")


class Sharing:
    """The tree of a world and its books, packed for kernels; makes room in them."""

    def __init__(self, world: World, state: State, kept: Any = None) -> None:
        self.world = world
        if kept is None:
            self.tree = own_tree(world.shared)
            self.share = _share(world, self.tree, state)
        else:
            self.tree, self.share = kept.tree, kept.share
        self._pack()

    def _pack(self) -> None:
        self.t, self.h = pack(self.tree), pack(self.share)

    def most_ever(self) -> Ints:
        """The most that each queue may ever use of each product."""
        assert self.world.shared is not None
        return most_ever(self.world.shared, self.tree, self.t, self.share, self.h)

    def make_room(self, state: State) -> None:
        """As many rows as the state has jobs and lanes, and room for a pass that preempts everybody."""
        share = self.share
        share = share._replace(**{name: _longer(getattr(share, name), len(state.slot)) for name in _BY_WORK})
        share = share._replace(**{name: _longer(getattr(share, name), len(state.lane)) for name in _BY_SHAPE})
        pool = np.zeros((2, 4 * len(share.work)), np.int64)
        event = _longer(share.event, 4 * len(state.slot))
        self.share = share._replace(pool=pool, event=event)
        self._pack()

    def make_bins(self, n_bins: int) -> None:
        """Room for ``n_bins`` bins of the timeline."""
        old = self.share.borrowing
        new = np.zeros((*old.shape[:-1], n_bins + 1), np.int64)
        new[..., : old.shape[-1]] = old
        self.share = self.share._replace(borrowing=new)
        self._pack()

    def close_books(self, end_s: int) -> None:
        """Nobody borrows after the end of the run."""
        grid_s, table = self.world.clock.grid_s, self.share.borrowing
        at = end_s // grid_s
        table[0, :, :, at] -= self.share.borrowed * ((at + 1) * grid_s - end_s)
        table[1, :, :, at + 1] -= self.share.borrowed * grid_s

    def take_events(self) -> Ints:
        """The preemptions since the last call, rows of EVENT columns."""
        n = int(self.share.scalar[N_EVENTS])
        self.share.scalar[N_EVENTS] = 0
        return self.share.event[:n].copy()


def own_tree(shared: SharedQuotas | None) -> Tree:
    """A tree that kernels may change; without shared quotas one without rows."""
    if shared is None:
        return _empty_tree()
    made: list[Any] = [
        own(value.copy(), value.dtype if value.dtype == np.float64 else np.int64)
        if isinstance(value, np.ndarray)
        else int(value)
        for value in shared.tree
    ]
    return Tree(*made)._replace(placed=1)


def _empty_tree() -> Tree:
    i: Any = np.zeros(0, np.int64)
    table: Any = np.zeros((0, 1), np.int64)
    columns = dict.fromkeys(Tree._fields, i)
    columns |= dict.fromkeys(("nominal", "borrow", "lend", "group"), table)
    columns |= {"weight": np.zeros(0), "fair": 0, "placed": 1, "strategies": np.zeros(2, np.int64)}
    return Tree(**columns)


def _share(world: World, tree: Tree, state: State) -> Share:
    if world.shared is None:
        return new_share(tree, 1, (1, 1, 1, 1))
    n_bins = state.busy.shape[-1] - 1
    n_products = max(tree.nominal.shape[1], 1)
    share = new_share(tree, len(state.slot), (len(state.lane), 1, 1, n_products), n_bins)
    share.scalar[FIRST_QUEUE] = len(tree.parent) - len(world.queues.tenant)
    shared = world.shared
    changes = {"change_row": shared.change_row, "change_k": shared.change_product}
    changes["change_gpus"] = shared.change_gpus
    return share._replace(**{name: own(array, np.int64) for name, array in changes.items()})


def _longer(array: Any, n: int) -> Any:
    """The array with at least ``n`` rows; new rows of ``tried`` mean that nothing was tried."""
    if len(array) >= n:
        return array
    new = np.zeros((n, *array.shape[1:]), array.dtype)
    new = new.view(np.recarray) if array.dtype.fields is not None else new
    new[: len(array)] = array
    return new
