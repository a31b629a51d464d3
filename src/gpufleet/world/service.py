"""Which nodes are in service when: deliveries, the site's power, retirements.

A site powers its units in the order in which they were delivered, as long as the rated IT power of all of
them times the PUE fits its power. The first unit that does not fit waits, and those behind it too. When power
falls, the units that came last go out of service first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Ints
from gpufleet.world.bought import Bought
from gpufleet.world.layout import DRAIN, KILL, UP

if TYPE_CHECKING:
    from gpufleet.plan import Retirement, Site

Flags: TypeAlias = NDArray[np.bool_]

_ROUNDING = 1 + 1e-9
"""Power that fits on paper must not fail for the last bit of a sum."""


@dataclass(frozen=True)
class Shortage:
    """GPUs of one delivery that are at the site without power, until the next row of the same delivery.

    A row with ``gpus = 0`` says that all of them are powered again.
    """

    from_s: int  # seconds from the plan's start
    lot: int  # row of the delivery
    gpus: int
    need_w: float  # grid power for this delivery and all that came before it, W
    have_w: float  # grid power of the site, W

    @property
    def short_w(self) -> float:
        """Grid power that is missing, W."""
        return max(0.0, self.need_w - self.have_w)


@dataclass(frozen=True)
class Retired:
    """What one retirement took."""

    row: int  # of Plan.retirements
    gpus: int
    t_s: int = 0
    lots: tuple[
        tuple[int, int, int], ...
    ] = ()  # (lot, GPUs, of these never in service) of each that lost some


class Change(NamedTuple):
    """Nodes of one site that enter or leave service at one second; `nodes` and `lots` are parallel."""

    t_s: int
    kind: int
    nodes: Ints
    lots: Ints


class DatedRetirement(NamedTuple):
    """A retirement in codes: system, tenant (-1 = any owner), its row in the plan and in `Names.lots`."""

    at_s: int
    row: int
    system: int
    tenant: int
    lot: int
    declared: Retirement


class SiteService:
    """One site through time. Walk it once with `changes`; `shortages` and `retired` are filled by that."""

    def __init__(self, bought: Bought, members: Ints, site: Site, retirements: Sequence[DatedRetirement]):
        self.site = site
        self.retirements = retirements
        self.nodes = members[np.argsort(bought.age[members])]
        of = Bought._make(column[self.nodes] for column in bought)
        self.of = of
        self.last_of_unit = np.searchsorted(_rank(of.unit), _rank(of.unit), side="right") - 1
        self.last_of_lot = np.searchsorted(_rank(of.lot), _rank(of.lot), side="right") - 1
        self.gone = np.zeros(self.nodes.size, np.bool_)
        self.online = np.zeros(self.nodes.size, np.bool_)
        self.was_online = np.zeros(self.nodes.size, np.bool_)
        self.shortages: list[Shortage] = []
        self.retired: list[Retired] = []
        self._unpowered: dict[int, int] = {}

    def changes(self) -> Iterator[Change]:
        """All changes of service at or after second 0; what came before is summed up at second 0."""
        times = {0} | set(self.of.at_s.tolist())
        times |= {from_s for from_s, _ in self.site.power_w} | {r.at_s for r in self.retirements}
        for t_s in sorted(times):
            leaving = self._retire(t_s)
            there = (self.of.at_s <= t_s) & ~self.gone
            powered = self._powered(there, t_s)
            if t_s >= 0:
                yield from self._difference(t_s, there & powered, leaving)
                self._note_shortage(t_s, there, powered)

    def _retire(self, t_s: int) -> list[tuple[DatedRetirement, Ints]]:
        """Take the oldest nodes for each retirement of this second; positions, not node numbers."""
        taken = []
        for retirement in self.retirements:
            if retirement.at_s != t_s:
                continue
            fits = (self.of.at_s <= t_s) & ~self.gone & (self.of.system == retirement.system)
            if retirement.tenant >= 0:
                fits &= self.of.tenant == retirement.tenant
            oldest = np.flatnonzero(fits)
            before = np.cumsum(self.of.size[oldest]) - self.of.size[oldest]
            oldest = oldest[before < retirement.declared.gpus]
            self.gone[oldest] = True
            gpus = int(self.of.size[oldest].sum())
            self.retired.append(Retired(retirement.row, gpus, t_s, tuple(self._lots_of(oldest))))
            taken.append((retirement, oldest))
        return taken

    def _lots_of(self, places: Ints) -> Iterator[tuple[int, int, int]]:
        """How many GPUs of which lot stand at some places, and how many of them were never in service."""
        for lot in np.unique(self.of.lot[places]).tolist():
            mine = places[self.of.lot[places] == lot]
            dark = mine[~self.was_online[mine]]
            yield lot, int(self.of.size[mine].sum()), int(self.of.size[dark].sum())

    def _powered(self, there: Flags, t_s: int) -> Flags:
        """Units that the site's power reaches, counted from the one that came first."""
        need_w = np.cumsum(self.of.rating_w * there) * self.site.pue
        fits: Flags = need_w[self.last_of_unit] <= self.site.power_at(t_s) * _ROUNDING
        return fits

    def _difference(
        self, t_s: int, online: Flags, leaving: list[tuple[DatedRetirement, Ints]]
    ) -> Iterator[Change]:
        """What has to happen to come from the state before to `online`."""
        lot = np.full(self.nodes.size, -1, np.int64)
        kind = np.full(self.nodes.size, DRAIN)
        changed = self.online & ~online
        for retirement, places in leaving:
            lot[places] = retirement.lot
            if retirement.declared.mode == "kill":
                # Also nodes that lost their power before: their last jobs may still run there.
                kind[places] = KILL
                changed[places] |= self.was_online[places]
        up = online & ~self.online
        yield Change(t_s, UP, self.nodes[up], self.of.lot[up])
        for code in (DRAIN, KILL):
            down = changed & (kind == code)
            yield Change(t_s, code, self.nodes[down], lot[down])
        self.online = online
        self.was_online |= online

    def _note_shortage(self, t_s: int, there: Flags, powered: Flags) -> None:
        """Write down each delivery of which another number of GPUs is unpowered than before."""
        need_w = np.cumsum(self.of.rating_w * there) * self.site.pue
        waiting = there & ~powered
        lots, first = np.unique(self.of.lot, return_index=True)
        for lot, place in zip(lots.tolist(), first.tolist(), strict=True):
            gpus = int(self.of.size[waiting & (self.of.lot == lot)].sum()) if waiting.any() else 0
            if gpus != self._unpowered.get(lot, 0):
                need = float(need_w[self.last_of_lot[place]])
                self.shortages.append(Shortage(t_s, lot, gpus, need, self.site.power_at(t_s)))
            self._unpowered[lot] = gpus


def _rank(key: Ints) -> Ints:
    """Number the runs of equal values: 0, 0, 1, 1, 1, 2 ... so that they ascend."""
    return np.cumsum(np.diff(key, prepend=key[:1]) != 0)
