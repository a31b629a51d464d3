"""What each cost and income of the plan comes to: sums by time, lot and site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.models.economics import nearest
from gpufleet.plan.money import Cost, Income
from gpufleet.plan.money_lots import dues, node_mw, prices_of, selected, units_of
from gpufleet.results.money.flows import Books, Rounded, Sum, new_year_s, priced
from gpufleet.results.money.service import Service

if TYPE_CHECKING:
    from gpufleet.plan.money_kinds import PriceStep
    from gpufleet.plan.supply import Delivery

HOUR_S: Final = 3600


def arrivals(books: Books, cost: Cost | Income) -> Iterator[Sum]:
    """What lots cost when they are due: a price for each GPU, node or MW."""
    for lot in selected(books.plan, cost):
        steps = prices_of(books.plan, cost, lot)
        before, currency = 0, steps[0].price.currency
        for due in dues(books.plan, cost, lot):
            per = steps[0].price.per
            after, earlier = before + due.gpus, before
            units = units_of(books.plan, lot, after, per) - units_of(books.plan, lot, earlier, per)
            before += due.gpus
            amount, low, high = (nearest(each) for each in priced(steps, due.at_s, units))
            yield Sum(due.at_s, lot.name, lot.to, amount, low, high, currency, due.ready_s)


def amounts(books: Books, part: Cost | Income) -> Iterator[Sum]:
    """An amount: at its date, or evenly from a date until another."""
    assert part.price
    plan, rounded, currency = books.plan, Rounded(), part.price[0].price.currency
    if part.at is not None:
        at_s = plan.seconds(part.at)
        yield Sum(at_s, None, None, *rounded(priced(part.price, at_s, 1)), currency)
        return
    assert part.from_ is not None
    assert part.until is not None
    first, last = plan.seconds(part.from_), plan.seconds(part.until)
    inside = books.clock.ends_s[(books.clock.ends_s > first) & (books.clock.ends_s < last)]
    cuts = [first, *_before(books, first, last), *inside.tolist(), last]
    for begin, end in pairwise(cuts):
        part_of = Fraction(end - begin, last - first)
        yield Sum(end - 1, None, None, *rounded(priced(part.price[:1], first, part_of)), currency)


def _before(books: Books, first_s: int, last_s: int) -> list[int]:
    """Where what is paid before the plan begins is cut: at its start, and where years begin."""
    years = range(books.plan.local(first_s).year + 1, books.plan.local(0).year + 1)
    turns = {0, *(new_year_s(books.plan, year) for year in years)}
    return sorted(at for at in turns if first_s < at < last_s and at <= 0)


def over_time(books: Books, part: Cost | Income, service: Service, used: Used | None = None) -> Iterator[Sum]:
    """What is paid as time passes: a price for a year or month, for a GPU-year and the like, for a GPU-h."""
    assert part.price
    cuts = cuts_of(books, part, part.price)
    per, currency = part.price[0].price.per, part.price[0].price.currency
    if cuts.size < 2:
        return
    rounded = Rounded()
    if per in ("year", "month"):
        for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            whole_s = books.clock.year_s(begin) if per == "year" else _month_s(books, begin)
            units = Fraction(end - begin, whole_s)
            amounts_of = rounded(priced(part.price, begin, units))
            yield Sum(end - 1, None, None, *amounts_of, currency)
        return
    if used is not None and isinstance(part, Income) and per == "GPU-h" and part.hours == "used":
        yield from used.sums(books, part, cuts)
        return
    names = {lot.name: row for row, lot in enumerate(books.plan.deliveries)}
    for lot in selected(books.plan, part):
        gpu_s, rounded = service.gpu_s(names[lot.name], cuts), Rounded()
        for begin, end, busy in zip(cuts[:-1].tolist(), cuts[1:].tolist(), gpu_s.tolist(), strict=True):
            if busy:
                units = _time_units(books, lot, per, busy, begin)
                amounts_of = rounded(priced(part.price, begin, units))
                yield Sum(end - 1, lot.name, lot.to, *amounts_of, currency)


def _time_units(books: Books, lot: Delivery, per: str, gpu_s: int, begin_s: int) -> Fraction:
    """GPU-seconds as GPU-hours, or as years of a GPU, node or MW."""
    if per == "GPU-h":
        return Fraction(gpu_s, HOUR_S)
    years = Fraction(gpu_s, books.clock.year_s(begin_s))
    if per == "GPU-year":
        return years
    nodes = years / books.plan.systems[lot.system].gpus_per_node
    return nodes if per == "node-year" else nodes * node_mw(books.plan, lot)


def _month_s(books: Books, at_s: int) -> int:
    """How long the calendar month is that a second is in, also one that the plan cuts off."""
    here = books.plan.local(at_s)
    first = here.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(after.timestamp() - first.timestamp())


def cuts_of(books: Books, part: Cost | Income, steps: Sequence[PriceStep]) -> Ints:
    """Where what is paid over time is cut: at the ends of months, and where its price changes."""
    plan = books.plan
    first = max(0, plan.seconds(part.from_)) if part.from_ else 0
    last = min(plan.horizon_s, plan.seconds(part.until)) if part.until else plan.horizon_s
    if first >= last:
        return np.zeros(0, np.int64)
    inside = [*books.clock.ends_s.tolist(), *(step.from_s for step in steps)]
    return np.array([first, *sorted({at for at in inside if first < at < last}), last], np.int64)


class Used:
    """GPU-seconds that jobs hold, by time, tenant and product.

    Args: rows: (second in the plan's time at which the bin begins, tenant, product, GPU-seconds).
    """

    def __init__(self, rows: Sequence[tuple[int, str, str, int]]) -> None:
        self._rows = rows

    def sums(self, books: Books, part: Income, cuts: Ints) -> Iterator[Sum]:
        """What an income for used GPU-hours comes to; a bin counts where it begins."""
        total, rounded = np.zeros(cuts.size - 1, np.int64), Rounded()
        for t_s, tenant, product, gpu_s in self._rows:
            mine = (not part.tenants or tenant in part.tenants) and (
                not part.products or product in part.products
            )
            if mine and cuts[0] <= t_s < cuts[-1]:
                total[np.searchsorted(cuts, t_s, side="right") - 1] += gpu_s
        for begin, end, gpu_s in zip(cuts[:-1].tolist(), cuts[1:].tolist(), total.tolist(), strict=True):
            if gpu_s:
                units = Fraction(gpu_s, HOUR_S)
                amounts_of = rounded(priced(part.price, begin, units))
                yield Sum(end - 1, None, None, *amounts_of, part.price[0].price.currency)
