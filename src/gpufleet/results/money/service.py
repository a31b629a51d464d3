"""How long GPUs are in service: exact GPU-seconds of each lot between any moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.results.timeline import gpu_seconds
from gpufleet.world.layout import UP

if TYPE_CHECKING:
    from gpufleet.world.capacity import Fleet

LONG_AGO_S: Final = -(10**11)


class Service:
    """The GPUs of each lot that are in service, through time."""

    def __init__(self, fleet: Fleet, n_lots: int) -> None:
        self._times, self._gpus = _changes(fleet, n_lots)

    def gpu_s(self, lot: int, cuts_s: Ints) -> Ints:
        """GPU-seconds of a lot in each piece between cuts.

        Args:    cuts_s: n + 1 moments, ascending. Returns: shape (n,).
        """
        return gpu_seconds(self._times[lot], self._gpus[lot], cuts_s)

    def changes_s(self, lot: int) -> Ints:
        """When the number of a lot's GPUs in service changes, s."""
        return self._times[lot]


def _changes(fleet: Fleet, n_lots: int) -> tuple[list[Ints], list[Ints]]:
    """Of each lot, when its GPUs in service change, and how many there are from then on."""
    size = fleet.nodes.size.astype(np.int64)
    lot_of = np.full(size.size, -1, np.int64)
    up = np.zeros(size.size, np.bool_)
    found: list[dict[int, int]] = [{} for _ in range(n_lots)]
    for t_s, kind, first, n, lot in zip(*(column.tolist() for column in fleet.capacity), strict=True):
        nodes = slice(first, first + n)
        if kind == UP:
            lot_of[nodes] = lot
            _add(found[lot], t_s, int(size[nodes][~up[nodes]].sum()))
        else:
            gone = up[nodes]
            for of in np.unique(lot_of[nodes][gone]).tolist():
                mine = gone & (lot_of[nodes] == of)
                _add(found[of], t_s, -int(size[nodes][mine].sum()))
        up[nodes] = kind == UP
    for each in found:
        each[LONG_AGO_S] = 0  # none is there before the first comes
    times = [np.array(sorted(each), np.int64) for each in found]
    counts = [np.cumsum(np.array([each[t] for t in sorted(each)], np.int64)) for each in found]
    return times, counts


def _add(changes: dict[int, int], t_s: int, gpus: int) -> None:
    changes[t_s] = changes.get(t_s, 0) + gpus
