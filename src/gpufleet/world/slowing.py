"""How fast jobs run, and what they draw, with less than full power: under caps of GPUs, and of sites."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.plan.power import kinds_of
from gpufleet.plan.slowing import Points, board_w, capped_share, curve_of
from gpufleet.world.layout import FULL_LEVEL, FULL_SPEED

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.world.capacity import Fleet
    from gpufleet.world.names import Names

ROUNDING: Final = 1 + 1e-9
"""Power that fits on paper must not fail for the last bit of a product."""


def whole(values: object) -> Ints:
    """Rounded down.

    >>> whole([2.9999999999]).tolist()
    [3]
    """
    return np.floor(np.asarray(values, np.float64) * ROUNDING).astype(np.int64)


def speed_at(curve: Points, share: float) -> float:
    """Speed with a share of full power, on straight lines between the points of a curve.

    >>> speed_at(((0.5, 0.6), (1.0, 1.0)), 0.75)
    0.8
    """
    powers, speeds = zip(*curve, strict=True)
    return float(np.interp(share, powers, speeds))


class Speeds:
    """Power and speed of the jobs of a plan with a section `power`, by level, kind of work and cell."""

    def __init__(self, plan: Plan, names: Names, fleet: Fleet) -> None:
        assert plan.power is not None
        self.kinds = kinds_of(plan)
        self.share = np.array([plan.power.share(kind) or 0.0 for kind in self.kinds])
        self.steady = np.array([kind in plan.power.steady for kind in self.kinds], bool)
        self.rated_w = fleet.rated_w
        self.sites = fleet.cells.site.tolist()
        self.curves = [curve_of(plan, site) for site in plan.sites]
        self.low = [
            math.ceil(curve[0][0] * FULL_LEVEL / ROUNDING) if site.on_cap == "slow" else FULL_LEVEL
            for site, curve in zip(plan.sites.values(), self.curves, strict=True)
        ]
        self.most = self._most(plan, names, fleet)
        self.capped = np.array([self._speed(cell, share) for cell, share in enumerate(self.most.tolist())])

    def _most(self, plan: Plan, names: Names, fleet: Fleet) -> Floats:
        """Share of full power that jobs of each cell may ever draw, under the cap of its GPUs."""
        most = np.ones(len(self.sites))
        places = list(plan.sites.values())
        for cell, (site, product) in enumerate(zip(self.sites, fleet.cells.product.tolist(), strict=True)):
            cap, alone = places[site].gpu_caps.get(names.products[product]), board_w(names.products[product])
            if cap is not None and alone is not None:
                most[cell] = capped_share(cap, alone, float(self.rated_w[cell]))
        return most

    def _speed(self, cell: int, share: float) -> float:
        curve = self.curves[self.sites[cell]]
        return speed_at(curve, share) if curve and share < 1.0 else 1.0

    def _shares(self, level: int) -> Floats:
        """Share of full power of each kind and cell at a level, of shape (n_kinds, n_cells)."""
        slowed = np.array([max(level, self.low[site]) / FULL_LEVEL for site in self.sites])
        steady = np.repeat(self.most[None], len(self.kinds), axis=0)
        return np.where(self.steady[:, None], steady, np.minimum(slowed, self.most)[None])

    def watts(self, level: int) -> Ints:
        """What a GPU draws at a level, W, of shape (n_kinds, n_cells)."""
        return whole(self.share[:, None] * self.rated_w[None] * self._shares(level))

    def speeds(self, level: int) -> Ints:
        """How fast jobs are at a level, beside the cell's full level, in millionths."""
        shares = self._shares(level)
        rows = [[self._speed(cell, share) for cell, share in enumerate(row)] for row in shares.tolist()]
        return whole(FULL_SPEED * np.array(rows, np.float64).reshape(shares.shape) / self.capped[None])

    def table(self, of: Callable[[int], Ints]) -> Ints:
        """What ``of`` says of every level; nothing where no site slows jobs."""
        if min(self.low, default=FULL_LEVEL) == FULL_LEVEL:
            return np.zeros((0, 0, 0), np.int64)
        return np.array([of(level) for level in range(FULL_LEVEL + 1)], np.int64)
