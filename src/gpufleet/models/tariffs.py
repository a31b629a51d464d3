"""What energy costs: hours of tariffs, energy cut where prices change. All exact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.base.money import MICRO, minor_of

KWH_J: Final = 3_600_000
HOUR_S: Final = 3600


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


def energy_cost(by_price: Mapping[int, int], currency: str) -> Fraction:
    """What energy costs, in the smallest unit of a currency; not rounded.

    Args: by_price: J by price in millionths of the currency for 1 kWh, J.

    >>> energy_cost({100_000: 36_000_000}, "USD")           # 10 kWh at 0.10 USD
    Fraction(100, 1)
    """
    total = sum(micro * joules for micro, joules in by_price.items())
    return Fraction(total * minor_of(currency), KWH_J * MICRO)
