"""How much power is free at the sites where a job may run, at a moment of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.base.say import Said
from gpufleet.results.explain_power import room_text
from gpufleet.world.layout import NO_CAP

if TYPE_CHECKING:
    from gpufleet.world.layout import World
    from gpufleet.world.names import Names

Grid = Mapping[str, tuple[float, float]]
"""PUE and constant overhead, W, by site."""


class PowerNow(NamedTuple):
    """The power of a site beside its cap, and what a job would add, from the grid; jobs as slow as may be."""

    site: str
    drawn_w: float
    cap_w: float
    wants_w: float

    def text(self) -> Said:
        """The numbers in a sentence."""
        return room_text(self.site, self.drawn_w, self.cap_w, self.wants_w)


def power_now(world: World, names: Names, cls: int, gpus: int, now: Ints, grid: Grid) -> tuple[PowerNow, ...]:
    """The sites with a cap at which jobs of a class may run.

    Args: now: power of the sites and their caps, as the engine left them; grid: what is drawn beside them.
    """
    power = world.power
    if power is None:
        return ()
    first = int(world.classes.first_option[cls])
    cells: Any = np.unique(world.options.cell[first : first + int(world.classes.n_options[cls])])
    found: dict[int, PowerNow] = {}
    for cell in cells.tolist():
        site, kind = int(world.cells.site[cell]), int(power.class_kind[cls])
        if site in found or now[site, 1] >= NO_CAP:
            continue
        watts = power.level_w[power.site_low[site]] if power.level_w.size else power.kind_w
        name = names.sites[site]
        pue, overhead_w = grid[name]
        more_w = gpus * int(watts[kind, cell] - power.idle_w[cell])
        drawn_w, cap_w = (int(now[site, at]) * pue + overhead_w for at in (0, 1))
        found[site] = PowerNow(name, drawn_w, cap_w, more_w * pue)
    return tuple(found.values())
