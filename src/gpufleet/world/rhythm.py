"""The rhythm of arrivals: hours of the week in a time zone, and how uneven days and hours are around them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from gpufleet.base.arrays import Floats, Ints, distinct
from gpufleet.world.generate import draws, uniform

_TRIES = 64  # set aside for each number that is drawn by rejection
_THURSDAY = 3  # 1970-01-01, Monday being 0


class Hours(NamedTuple):
    """The hours of local time that a span of seconds touches. Shape (n_hours,)."""

    from_s: Ints  # seconds from the plan's start, ascending, the first is 0
    of_week: Ints  # 0 = Monday 00:00 to 01:00
    hour: Ints  # local hours since 1970
    day: Ints  # local days since 1970


def hours_of(start: datetime, end_s: int, zone: ZoneInfo) -> Hours:
    """The local hours from a start to ``end_s`` seconds after it.

    >>> from datetime import UTC
    >>> hours = hours_of(datetime(2026, 1, 1, tzinfo=UTC), 7200, ZoneInfo("Asia/Seoul"))
    >>> hours.from_s.tolist(), hours.of_week.tolist()           # Thursday, 9 o'clock
    ([0, 3600], [81, 82])
    """
    first = int(start.timestamp())
    parts = []
    steps = [*_offsets(start, end_s, zone), (end_s, 0)]
    for (low_s, ahead_s), (high_s, _) in pairwise(steps):
        to_next = -(first + low_s + ahead_s) % 3600
        here_s = distinct(np.append(low_s, np.arange(low_s + to_next, high_s, 3600)))
        parts.append(np.stack([here_s, here_s + first + ahead_s]))
    from_s, local_s = np.concatenate(parts, axis=1).astype(np.int64)
    day = local_s // 86400
    return Hours(from_s, (day + _THURSDAY) % 7 * 24 + local_s % 86400 // 3600, local_s // 3600, day)


def _offsets(start: datetime, end_s: int, zone: ZoneInfo) -> list[tuple[int, int]]:
    """How many seconds local time is ahead of UTC, from which second on."""

    def ahead_s(at_s: int) -> int:
        return round((start + timedelta(seconds=at_s)).astimezone(zone).utcoffset().total_seconds())  # type: ignore[union-attr]

    steps = [(0, ahead_s(0))]
    for low_s in range(0, end_s, 86400):
        high_s = min(low_s + 86400, end_s)
        now, then = steps[-1][1], ahead_s(high_s)
        if now == then:
            continue
        while high_s - low_s > 1:  # clocks change once in this day: when?
            middle_s = (low_s + high_s) // 2
            low_s, high_s = (middle_s, high_s) if ahead_s(middle_s) == now else (low_s, middle_s)
        if high_s < end_s:
            steps.append((high_s, then))
    return steps


def uneven(hours: Hours, weights: Sequence[float], day: tuple[int, float], hour: tuple[int, float]) -> Floats:
    """How many times the mean arrivals come in each hour: the weight of its hour of the week, times a number
    for its day and one for itself, drawn around 1.

    Args:    weights: 168, mean 1. day, hour: key of the draws and coefficient of variation.
    Returns: shape (n_hours,).
    """
    times = np.asarray(weights)[hours.of_week]
    for (key, cv), number in ((day, hours.day), (hour, hours.hour)):
        changes = np.append(True, number[1:] != number[:-1])  # a number that comes again is drawn alike
        times = times * gamma(key, number[changes], cv)[np.cumsum(changes) - 1]
    return times


def gamma(key: int, number: Ints, cv: float) -> Floats:
    """Gamma-distributed numbers with mean 1, a pure function of (key, number).

    Args:   number: shape (n,), not below 0. cv: coefficient of variation; 0 gives ones.
    Source: Marsaglia and Tsang, A simple method for generating gamma variables, ACM TOMS 26 (2000).

    >>> gamma(1, np.arange(3), 0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    made = np.ones(number.size)
    if cv <= 0:
        return made
    shape = cv**-2
    d = max(shape, shape + 1 if shape < 1 else shape) - 1 / 3
    todo = np.arange(number.size)
    for attempt in count():
        at = number[todo] * _TRIES + attempt
        u, v = (uniform(draws(key, at, which), 11) + 2.0**-54 for which in (0, 1))
        x = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
        cube = (1 + x / np.sqrt(9 * d)) ** 3
        above = np.maximum(cube, 1e-300)
        test = np.log(uniform(draws(key, at, 2), 11) + 2.0**-54)
        good = (cube > 0) & (test < x * x / 2 + d * (1 - cube + np.log(above)))
        made[todo[good]] = d * cube[good] / shape
        todo = todo[~good]
        if not todo.size:
            break
    if shape < 1:
        made *= (uniform(draws(key, number * _TRIES, 3), 11) + 2.0**-54) ** (1 / shape)
    return made
