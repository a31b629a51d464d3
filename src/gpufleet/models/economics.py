"""Closed forms of money: conversion, division, depreciation, present value, tariffs over time. All exact.

Amounts are whole numbers of the smallest unit of a currency; rates and shares are fractions. What is divided
adds up to the whole, and what is written off year by year to what it cost less what is left.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.base.money import MICRO, minor_of

Method = Literal["straight-line", "declining"]
METHODS: Final[tuple[Method, ...]] = ("straight-line", "declining")
YEAR_S: Final = 31_557_600
"""A year of 365.25 days, s."""
KWH_J: Final = 3_600_000
HOUR_S: Final = 3600


def exact(number: float) -> Fraction:
    """The number that was written: 0.1 is a tenth.

    >>> exact(0.1), exact(1424.4)
    (Fraction(1, 10), Fraction(7122, 5))
    """
    return Fraction(repr(number))


def nearest(value: Fraction) -> int:
    """A fraction to the nearest whole number, a half to the even one: the way of round().

    >>> nearest(Fraction(5, 2)), nearest(Fraction(7, 2)), nearest(Fraction(-1, 3))
    (2, 4, 0)
    """
    return round(value)


# --- dividing -----------------------------------------------------------------------------------------------


def divided(amount: int, shares: Sequence[Fraction]) -> list[int]:
    """An amount divided in proportion to shares; the parts sum to it exactly.

    Each part is the difference of two rounded running sums, so no part is off by more than one unit.

    Args:    shares: not negative, not all 0; they need not sum to 1.
    Raises:  ValueError for shares that divide nothing.

    >>> divided(100, [Fraction(1, 3)] * 3), divided(7, [Fraction(1), Fraction(0)])
    ([33, 34, 33], [7, 0])
    """
    whole = sum(shares, Fraction())
    if whole <= 0 or min(shares) < 0:
        raise ValueError("shares must not be negative, and not all 0")
    edges, run = [0], Fraction()
    for share in shares:
        run += share
        edges.append(nearest(amount * run / whole))
    return [after - before for before, after in pairwise(edges)]


# --- currency -----------------------------------------------------------------------------------------------


class NoRateError(Exception):
    """There is no rate for a pair of currencies at a time."""

    def __init__(self, of: str, to: str, at_s: int) -> None:
        super().__init__(of, to, at_s)
        self.of, self.to, self.at_s = of, to, at_s


@dataclass(frozen=True)
class Rates:
    """Exchange rates that change on dates; each holds from its date until the next.

    `steps` has, by pair such as KRW/USD (won for one dollar), the rates as ((second, rate), ...) in order.

    >>> rates = Rates({"KRW/USD": ((0, 1400.0), (86_400, 1500.0))})
    >>> rates.rate("USD", "KRW", 100), rates.rate("KRW", "USD", 86_400)
    (Fraction(1400, 1), Fraction(1, 1500))
    """

    steps: Mapping[str, Sequence[tuple[int, float]]]

    def rate(self, of: str, to: str, at_s: int) -> Fraction:
        """Units of `to` for one of `of`, at a second: as written, turned round, or by a third currency.

        Raises: NoRateError
        """
        if of == to:
            return Fraction(1)
        found = self._direct(of, to, at_s)
        if found is not None:
            return found
        for third in self._others(of):
            first, then = self._direct(of, third, at_s), self._direct(third, to, at_s)
            if first is not None and then is not None:
                return first * then
        raise NoRateError(of, to, at_s)

    def _direct(self, of: str, to: str, at_s: int) -> Fraction | None:
        """The rate of a pair that is written, either way round; None before its first date."""
        for pair, turned in ((f"{to}/{of}", False), (f"{of}/{to}", True)):
            steps = self.steps.get(pair, ())
            place = bisect_right([t for t, _ in steps], at_s)
            if place:
                rate = exact(steps[place - 1][1])
                return 1 / rate if turned else rate
        return None

    def _others(self, of: str) -> list[str]:
        """Currencies that have a written rate with one, in the order in which they are written."""
        pairs = (pair.split("/") for pair in self.steps)
        return [a if b == of else b for a, b in pairs if of in (a, b)]

    def minor(self, amount: int, of: str, to: str, at_s: int) -> Fraction:
        """An amount in smallest units of one currency as smallest units of another, not rounded.

        >>> Rates({"KRW/USD": ((0, 1000.0),)}).minor(150, "USD", "KRW", 5)     # 1.50 USD
        Fraction(1500, 1)
        """
        return amount * self.rate(of, to, at_s) * minor_of(to) / minor_of(of)

    def turns(self, first_s: int, last_s: int) -> list[int]:
        """Seconds after the first and before the last at which any rate changes."""
        every = {t for steps in self.steps.values() for t, _ in steps}
        return sorted(t for t in every if first_s < t < last_s)


# --- depreciation -------------------------------------------------------------------------------------------


def written_off(cost: int, left: Fraction, life_s: int, age_s: int, method: Method = "straight-line") -> int:
    """How much of what something cost is written off at an age. What is left at the end of its life stays.

    Args:    cost: smallest units; left: residual value as a share of the cost, above 0 for `declining`;
             life_s, age_s: s.
    Returns: straight line: cost x (1 - left) x age / life. Declining: the same share of the book value each
             year, so that cost x (1 - left^(age / life)).
    Error:   straight line is exact; declining is rounded once, at double precision, so that yearly
             differences still sum to the whole exactly.

    >>> [written_off(1000, Fraction(1, 10), 4, age) for age in range(6)]
    [0, 225, 450, 675, 900, 900]
    >>> [written_off(1600, Fraction(1, 16), 4, age, "declining") for age in range(5)]
    [0, 800, 1200, 1400, 1500]
    """
    age_s = min(max(age_s, 0), life_s)
    if method == "straight-line":
        return nearest(cost * (1 - left) * Fraction(age_s, life_s))
    if age_s == life_s:
        return nearest(cost * (1 - left))
    return nearest(cost * (1 - Fraction(float(left) ** (age_s / life_s))))


def book_value(cost: int, left: Fraction, life_s: int, age_s: int, method: Method = "straight-line") -> int:
    """What something is worth in the books at an age; at the end of its life the residual value.

    >>> book_value(1000, Fraction(1, 10), 4, 2), book_value(1000, Fraction(1, 10), 4, 9)
    (550, 100)
    """
    return cost - written_off(cost, left, life_s, age_s, method)


def present_value(flows: Sequence[tuple[int, int]], rate: float) -> float:
    """What payments are worth at second 0.

    Args:    flows: (second, amount); rate: interest of a year, such as 0.05; > -1.
    Returns: sum of amount / (1 + rate)^(second / year).
    Raises:  ValueError for a rate of -1 or less.

    >>> present_value([(0, 100), (YEAR_S, 110)], 0.1)
    200.0
    """
    if rate <= -1:
        raise ValueError("a rate is above -1")
    return math.fsum(amount / float((1.0 + rate) ** (t_s / YEAR_S)) for t_s, amount in flows)


# --- tariffs ------------------------------------------------------------------------------------------------


def hours_of(zone: ZoneInfo, first_s: int, last_s: int, start: datetime) -> tuple[Ints, Ints, Ints, Ints]:
    """The local hours of a span of time.

    Args:    first_s, last_s: s from `start`, an aware moment.
    Returns: when each hour begins (the first at `first_s`; s), and its local month (1 to 12), whether it is
             on Saturday or Sunday (0 or 1), and its hour (0 to 23). Where clocks change, days have 23 or 25.

    >>> seoul, noon = ZoneInfo("Asia/Seoul"), datetime(2026, 1, 2, 14, 30, tzinfo=UTC)       # a Friday
    >>> [column.tolist() for column in hours_of(seoul, 0, 5400, noon)]
    [[0, 1800], [1, 1], [0, 1], [23, 0]]
    >>> [column.tolist() for column in hours_of(seoul, 3600, 5400, noon)]
    [[3600], [1], [1], [0]]
    """
    pieces = []
    for begin, end, offset_s in _offsets(zone, first_s, last_s, start):
        local = int(start.timestamp()) + offset_s
        first = begin - (begin + local) % HOUR_S
        pieces.append((np.maximum(np.arange(first, end, HOUR_S, dtype=np.int64), begin), local))
    starts = np.concatenate([times for times, _ in pieces])
    clock = np.concatenate([times + local for times, local in pieces])
    days = clock // 86_400
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    weekend = ((days + 3) % 7 >= 5).astype(np.int64)  # 1970-01-01 was a Thursday
    return starts, month, weekend, clock // HOUR_S % 24


def _offsets(zone: ZoneInfo, first_s: int, last_s: int, start: datetime) -> list[tuple[int, int, int]]:
    """Spans of one offset from UTC: first second, end, offset in s."""

    def offset(t_s: int) -> int:
        moment = datetime.fromtimestamp(start.timestamp() + t_s, UTC).astimezone(zone)
        return int((moment.utcoffset() or timedelta()).total_seconds())

    found, begin, now = [], first_s, offset(first_s)
    for day in [*range(first_s + 86_400, last_s, 86_400), last_s]:
        if offset(day) == now:
            continue
        low, high = max(begin, day - 86_400), day
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == now else (low, middle)
        if high < last_s:
            found.append((begin, high, now))
            begin, now = high, offset(high)
    return [*found, (begin, last_s, now)]


def energy_cut(edges_s: Ints, joules: Ints, at_s: Ints) -> tuple[Ints, Ints]:
    """Energy of bins, cut at more moments.

    Args:    edges_s: n + 1 edges of bins, ascending; joules: energy of each bin, n whole numbers, drawn
             evenly over it; at_s: where to cut, in any order; what is not inside cuts nothing.
    Returns: when each piece begins, s, and its energy, J. The pieces of a bin sum to it exactly: they are
             differences of its running sum, rounded down.

    >>> [c.tolist() for c in energy_cut(np.array([0, 10, 20]), np.array([100, 301]), np.array([15]))]
    [[0, 10, 15], [100, 150, 151]]
    """
    inside = at_s[(at_s > edges_s[0]) & (at_s < edges_s[-1])]
    cuts = np.unique(np.concatenate([edges_s, inside]))
    bins = np.searchsorted(edges_s, cuts[:-1], side="right") - 1
    width = edges_s[bins + 1] - edges_s[bins]
    whole, rest = joules[bins] // width, joules[bins] % width

    def until(t_s: Ints) -> Ints:
        """Energy of the bin up to a second of it, rounded down; no product leaves 64 bits."""
        gone = t_s - edges_s[bins]
        total: Ints = whole * gone + rest * gone // width
        return total

    piece: Ints = until(cuts[1:]) - until(cuts[:-1])
    return cuts[:-1], piece


def energy_by_price(edges_s: Ints, joules: Ints, price_at_s: Ints, micro: Ints) -> dict[int, int]:
    """Energy by the price that it costs: the exact integral of power over a tariff.

    Args:    edges_s, joules: as of `energy_cut`; price_at_s: when each price begins, ascending, the first not
             after the first edge; micro: the prices, millionths of the currency for 1 kWh.
    Returns: J by price. They sum to the energy of all bins exactly.

    >>> bins, energy = np.array([0, 10, 20]), np.array([100, 300])
    >>> energy_by_price(bins, energy, np.array([0, 15]), np.array([7, 9]))
    {7: 250, 9: 150}
    """
    begins, piece = energy_cut(edges_s, joules, price_at_s)
    price = micro[np.searchsorted(price_at_s, begins, side="right") - 1]
    values, place = np.unique(price, return_inverse=True)
    sums = np.zeros(values.size, np.int64)
    np.add.at(sums, place, piece)
    return {int(value): int(total) for value, total in zip(values, sums, strict=True)}


def energy_cost(by_price: Mapping[int, int], currency: str) -> Fraction:
    """What energy costs, in the smallest unit of a currency; not rounded.

    Args: by_price: J by price in millionths of the currency for 1 kWh, as of `energy_by_price`.

    >>> energy_cost({100_000: 36_000_000}, "USD")           # 10 kWh at 0.10 USD
    Fraction(100, 1)
    """
    total = sum(micro * joules for micro, joules in by_price.items())
    return Fraction(total * minor_of(currency), KWH_J * MICRO)
