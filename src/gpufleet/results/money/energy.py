"""What the energy of sites costs: the meter's where it runs, else that of rated power; by tariff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Ints
from gpufleet.models.tariffs import energy_cost, energy_cut, hours_of
from gpufleet.plan.money import Cost
from gpufleet.plan.money_lots import sites_of
from gpufleet.results.money.flows import Books, Rounded, Sum
from gpufleet.results.money.service import Service

if TYPE_CHECKING:
    from gpufleet.plan.money import Band
    from gpufleet.plan.money_kinds import PriceStep
    from gpufleet.plan.sites import Site

_DAYS: Final = {"all": (0, 1), "workdays": (0,), "weekends": (1,)}


class Meter(NamedTuple):
    """What a site drew from the grid, by bins."""

    edges_s: Ints  # n + 1
    joules: Ints  # n


class Tariffs(NamedTuple):
    """Prices of 1 kWh as time goes on; the first begins at the plan's start or before."""

    at_s: Ints
    micro: Ints  # millionths of the currency, shape (3, n): the price, and the ends of its range
    currency: str


def energy(books: Books, cost: Cost, service: Service, meters: Mapping[str, Meter]) -> Iterator[Sum]:
    """What the energy of each site of a cost comes to, month by month."""
    for name in sites_of(books.plan, cost):
        site = books.plan.sites[name]
        prices = _prices(books, cost, site)
        drawn = _drawn(books, cost, name, service, meters.get(name))
        first = max(0, books.plan.seconds(cost.from_)) if cost.from_ else 0
        last = min(books.plan.horizon_s, books.plan.seconds(cost.until) if cost.until else 10**15)
        cuts = np.concatenate([books.clock.ends_s, prices.at_s, [first, last]])
        begins, joules = energy_cut(*drawn, cuts)
        inside = (begins >= first) & (begins < last)
        yield from _months(books, name, prices, begins[inside], joules[inside])


def _months(books: Books, name: str, prices: Tariffs, begins: Ints, joules: Ints) -> Iterator[Sum]:
    """Pieces of energy by month: each at its price, the sum of a month rounded once."""
    month = np.searchsorted(books.clock.ends_s, begins, side="right")
    step = np.searchsorted(prices.at_s, begins, side="right") - 1
    rounded = Rounded()
    for row in np.unique(month).tolist():
        mine = month == row
        costs = [_cost(micro[step[mine]], joules[mine], prices.currency) for micro in prices.micro]
        amounts = rounded((costs[0], costs[1], costs[2]))
        yield Sum(int(books.clock.ends_s[row]) - 1, None, name, *amounts, prices.currency)


def _cost(micro: Ints, joules: Ints, currency: str) -> Fraction:
    """What pieces of energy cost, each at its price."""
    values, place = np.unique(micro, return_inverse=True)
    sums = np.zeros(values.size, np.int64)
    np.add.at(sums, place, joules)
    return energy_cost(dict(zip(values.tolist(), sums.tolist(), strict=True)), currency)


def _prices(books: Books, cost: Cost, site: Site) -> Tariffs:
    """The prices of a cost at a site: by steps of its price, or by hours of its tariff."""
    if cost.tariff is None:
        assert cost.price
        at_s = np.array([max(step.from_s, -(10**11)) for step in cost.price], np.int64)
        return Tariffs(at_s, _micro(cost.price).T, cost.price[0].price.currency)
    tariff = books.money.tariffs[cost.tariff]
    hours = _hours(site.time_zone, books.plan.horizon_s, books.plan.start)
    at_s = hours[0]
    micro = np.zeros((3, at_s.size), np.int64)
    for band in tariff.bands:
        mine = _inside(band, hours)
        step = np.searchsorted([each.from_s for each in band.price], at_s[mine], side="right") - 1
        micro[:, mine] = _micro(band.price)[step].T
    turns = np.append(True, (np.diff(micro) != 0).any(axis=0))
    return Tariffs(at_s[turns], micro[:, turns], tariff.bands[0].price[0].price.currency)


@lru_cache(maxsize=8)
def _hours(zone: str, horizon_s: int, start: datetime) -> tuple[Ints, ...]:
    """The local hours of a plan; sites of one zone share them."""
    return hours_of(ZoneInfo(zone), 0, horizon_s, start)


def _inside(band: Band, hours: Sequence[Ints]) -> NDArray[np.bool_]:
    """Whether each hour belongs to a band."""
    _, month, weekend, hour = hours
    found: NDArray[np.bool_] = (
        np.isin(month, band.months) & np.isin(weekend, _DAYS[band.days]) & np.isin(hour, band.hours)
    )
    return found


def _micro(steps: Sequence[PriceStep]) -> Ints:
    """Prices and the ends of their ranges, millionths of the currency, shape (n, 3)."""
    return np.array([[each.micro for each in step[1:]] for step in steps], np.int64)


def _drawn(books: Books, cost: Cost, name: str, service: Service, meter: Meter | None) -> Meter:
    """What a site draws, until the plan's end: by its meter as long as it runs, then by rated power."""
    metered_s = int(meter.edges_s[-1]) if meter is not None else 0
    end_s = books.plan.horizon_s
    if meter is not None and metered_s >= end_s:
        return meter
    site = books.plan.sites[name]
    lots = [(row, lot) for row, lot in enumerate(books.plan.deliveries) if lot.to == name]
    changes = [service.changes_s(row) for row, _ in lots]
    inside = np.concatenate([books.clock.ends_s, *changes])
    edges = np.unique([metered_s, *inside[(inside > metered_s) & (inside < end_s)].tolist(), end_s])
    watts_s = np.zeros(edges.size - 1, np.float64)
    for row, lot in lots:
        system = books.plan.systems[lot.system]
        per_gpu_w = (system.rated_node_w or 0.0) / system.gpus_per_node
        watts_s += service.gpu_s(row, edges) * per_gpu_w
    drawn = np.rint(watts_s * cost.load * site.pue + site.overhead_w * np.diff(edges)).astype(np.int64)
    if meter is None:
        return Meter(edges, drawn)
    return Meter(np.concatenate([meter.edges_s, edges[1:]]), np.concatenate([meter.joules, drawn]))
