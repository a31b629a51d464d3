"""All flows of a plan: what its costs and incomes come to, month by month, and what is written off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Final

import numpy as np

from gpufleet.base.rates import exact
from gpufleet.models.economics import written_off
from gpufleet.plan.money import PER_ARRIVAL, Cost, Income
from gpufleet.plan.money_lots import selected
from gpufleet.results.money.energy import Meter, energy
from gpufleet.results.money.flows import DUE, RECEIVED, WRITTEN_OFF, Books, Flow, Rounded, Sum
from gpufleet.results.money.items import Used, amounts, arrivals, over_time
from gpufleet.results.money.service import Service

NO_METERS: Final[Mapping[str, Meter]] = {}


def flows_of(
    books: Books, meters: Mapping[str, Meter] = NO_METERS, used: Used | None = None
) -> Iterator[Flow]:
    """What every item of a plan comes to: costs in the plan's order, what is written off of each, income.

    Args: meters: of sites that have one; used: GPU-seconds that jobs held.
    """
    service = Service(books.fleet, len(books.plan.deliveries))
    money = books.money
    done: dict[str, list[Sum]] = {}
    priced = [cost for cost in money.costs.values() if cost.share is None]
    for cost in priced:
        done[cost.name] = list(_sums(books, cost, service, meters))
    for cost in money.costs.values():
        if cost.share is not None:
            done[cost.name] = list(_shares(books, cost, service, done))
    for cost in money.costs.values():
        flow = DUE if cost.cash else WRITTEN_OFF
        yield from books.flows(flow, cost.name, cost.kind, done[cost.name], cost.paid_by)
        if cost.is_asset:
            yield from books.flows(
                WRITTEN_OFF, cost.name, cost.kind, _written_off(books, cost, done[cost.name]), cost.paid_by
            )
    for each in money.income.values():
        yield from books.flows(RECEIVED, each.name, "income", _income(books, each, service, used), each.to)


def _sums(books: Books, cost: Cost, service: Service, meters: Mapping[str, Meter]) -> Iterator[Sum]:
    """What a cost with a price, or a tariff, comes to."""
    per = cost.price[0].price.per if cost.price else ""
    if cost.tariff is not None or per == "kWh":
        return energy(books, cost, service, meters)
    if cost.price == () or per in PER_ARRIVAL:
        return arrivals(books, cost)
    return over_time(books, cost, service) if per else amounts(books, cost)


def _income(books: Books, each: Income, service: Service, used: Used | None) -> Iterator[Sum]:
    """What an income comes to."""
    per = each.price[0].price.per
    if per in PER_ARRIVAL:
        return arrivals(books, each)
    return over_time(books, each, service, used) if per else amounts(books, each)


def _shares(books: Books, cost: Cost, service: Service, done: Mapping[str, list[Sum]]) -> Iterator[Sum]:
    """What a share of other costs comes to: once, when they are paid; or every year in service."""
    assert cost.share is not None
    share = exact(cost.share)
    chosen = {lot.name for lot in selected(books.plan, cost)}
    whole = [each for name in cost.of for each in done[name] if each.lot is None or each.lot in chosen]
    if cost.each == "once":
        yield from (each.part(share) for each in whole)
        return
    rows = {lot.name: row for row, lot in enumerate(books.plan.deliveries)}
    for each in whole:
        yield from _yearly(books, cost, each, share, service, rows)


def _yearly(
    books: Books, cost: Cost, paid: Sum, share: Fraction, service: Service, rows: Mapping[str, int]
) -> Iterator[Sum]:
    """A share for every year: as long as its lot is in service, in proportion; of no lot, from its date."""
    first = books.plan.seconds(cost.from_) if cost.from_ else 0
    last = books.plan.seconds(cost.until) if cost.until else books.plan.horizon_s
    begin = max(0, first) if paid.lot else max(0, first, paid.at_s)
    end = min(last, books.plan.horizon_s)
    if begin >= end:
        return
    inside = books.clock.ends_s[(books.clock.ends_s > begin) & (books.clock.ends_s < end)]
    cuts = np.array([begin, *inside.tolist(), end], np.int64)
    gpus, length = 1, np.diff(cuts)
    if paid.lot:
        gpus = books.plan.deliveries[rows[paid.lot]].gpus
        length = service.gpu_s(rows[paid.lot], cuts)
    rounded = Rounded()
    for (at, until), busy in zip(pairwise(cuts.tolist()), length.tolist(), strict=True):
        if busy:
            amounts = rounded(paid.times(share * Fraction(busy, gpus * books.clock.year_s(at))))
            yield Sum(until - 1, paid.lot, paid.site, *amounts, paid.currency)


def _written_off(books: Books, cost: Cost, sums: Iterable[Sum]) -> Iterator[Sum]:
    """What is written off of each thing that was bought, from when it serves, month by month."""
    life_s, left = books.money.life_of(cost), exact(books.money.left_of(cost))
    ends = books.clock.ends
    found: dict[tuple[int, str | None, str | None], list[int]] = {}
    for each in sums:
        lost_s = _lost_s(books, each.lot)
        if lost_s is not None:
            found[(lost_s + 1, each.lot, each.site)] = [*books.ends_at_home(each)]
        since_s = each.at_s if each.serves_s is None else each.serves_s
        if since_s >= books.plan.horizon_s:
            continue
        bought = books.ends_at_home(each)
        alike = len(set(bought)) == 1
        costs = bought[:1] if alike else bought
        before = [_gone(n, left, life_s, -since_s, books) for n in costs]
        for end_s in ends:
            if end_s <= since_s:
                continue
            now = [_gone(n, left, life_s, end_s - since_s, books) for n in costs]
            if now != before:
                parts = [after - earlier for after, earlier in zip(now, before, strict=True)]
                total = found.setdefault((end_s, each.lot, each.site), [0, 0, 0])
                for i, part in enumerate(parts * 3 if alike else parts):
                    total[i] += part
            before = now
    for (end_s, lot, site), (first, low, high) in found.items():
        yield Sum(end_s - 1, lot, site, first, low, high, books.home)


def _lost_s(books: Books, name: str | None) -> int | None:
    """When a lot that is cancelled is written off, as stock that is left over; None: nobody says so."""
    lot = books.lots.get(name) if name else None
    if lot is None or lot.stopped is None or lot.cancelled is None or lot.cancelled.written_off is None:
        return None
    return books.plan.seconds(lot.cancelled.written_off)


def _gone(cost: int, left: Fraction, life_s: int, age_s: int, books: Books) -> int:
    return written_off(cost, left, life_s, age_s, books.money.method)
