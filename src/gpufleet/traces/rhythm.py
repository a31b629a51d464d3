"""When jobs come: the pattern of the week, and how far days and hours stray from it.

The jobs of hour h on day d are taken as Poisson with mean rate x weight(h) x day(d) x hour(h, d), where the
day's and the hour's factors have mean 1. Products of counts of two weeks are free of Poisson noise and both
factors, products of two hours of one day are free of all but the day's: so the three parts are told apart.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints

HOUR_S: Final = 3600
HOURS_PER_DAY: Final = 24
HOURS_PER_WEEK: Final = 168
FEWEST_WEEKS: Final = 2  # below, a week's pattern cannot be told from chance


class Rhythm(NamedTuple):
    """Arrivals of a trace, as `catalog.profile.Arrivals` has them."""

    hour_of_week: Floats  # shape (168,), mean 1, Monday 00:00 first
    day_cv: float
    hour_cv: float
    days: int  # whole days that were used


def rhythm(submit_local_s: Ints) -> Rhythm:
    """The pattern of the week and what strays from it.

    Args:    submit_local_s: seconds on the local clock, since a Monday 00:00; shape (n_jobs,), ascending.
    Returns: weights shrunk towards 1 by as much of them as is chance. A trace with less than two whole
             weeks has weights of 1; with less than two whole days its factors are 0 too.

    >>> steady = np.arange(0, 4 * 604_800, 60)
    >>> found = rhythm(steady)
    >>> found.days, found.day_cv, found.hour_cv, set(found.hour_of_week.tolist())
    (28, 0.0, 0.0, {1.0})
    """
    counts, first_day = _whole_days(submit_local_s)
    days = len(counts)
    if days < 2 or not counts.sum():
        return Rhythm(np.ones(HOURS_PER_WEEK), 0.0, 0.0, days)
    weeks = days // 7
    if weeks < FEWEST_WEEKS:
        return Rhythm(np.ones(HOURS_PER_WEEK), *_spread(counts[:, None, :]), days)
    # the last whole weeks, each row a week that begins on the weekday of the first of them
    used = counts[days - weeks * 7 :].reshape(weeks, 7, HOURS_PER_DAY)
    weekday = (first_day + days - weeks * 7) % 7
    used = np.roll(used, weekday, axis=1)
    return Rhythm(_weights(used), *_spread(used), weeks * 7)


def _whole_days(submit_local_s: Ints) -> tuple[Floats, int]:
    """Jobs by whole day and hour, shape (n_days, 24), and the weekday (0 = Monday) of the first day.

    The first and last day count as whole if a job came in their first and last hour.
    """
    hours = submit_local_s // HOUR_S
    first, last = -(-int(hours[0]) // HOURS_PER_DAY), (int(hours[-1]) + 1) // HOURS_PER_DAY
    if last <= first:
        return np.zeros((0, HOURS_PER_DAY)), 0
    inside = hours[(hours >= first * HOURS_PER_DAY) & (hours < last * HOURS_PER_DAY)]
    counts = np.bincount(inside - first * HOURS_PER_DAY, minlength=(last - first) * HOURS_PER_DAY)
    return counts.reshape(-1, HOURS_PER_DAY).astype(np.float64), first % 7


def _weights(counts: Floats) -> Floats:
    """Weights of the hours of a week. counts: shape (n_weeks, 7, 24)."""
    weeks = len(counts)
    by_hour = counts.reshape(weeks, HOURS_PER_WEEK)
    raw = by_hour.mean(axis=0) / by_hour.mean()
    across = (by_hour.sum(axis=0) ** 2 - (by_hour**2).sum(axis=0)).mean() / (weeks * (weeks - 1))
    level = (by_hour.sum(axis=1).sum() ** 2 - (by_hour.sum(axis=1) ** 2).sum()) / (
        weeks * (weeks - 1) * HOURS_PER_WEEK**2
    )
    seen = float(raw.var())
    real = min(max(across / level - 1, 0.0), seen) if level > 0 else 0.0
    weights: Floats = 1 + (real / seen if seen > 0 else 0.0) * (raw - 1)
    return weights


def _spread(counts: Floats) -> tuple[float, float]:
    """How far days and hours stray (coefficients of variation). counts: shape (n_repeats, n_kinds, 24)."""
    repeats = len(counts)
    pairs = repeats * (repeats - 1)
    total = counts.sum(axis=2)  # of a day
    same_day = (total**2 - (counts**2).sum(axis=2)).sum() / repeats
    in_all, hours_in_all = total.sum(axis=0), counts.sum(axis=0)
    two_days = (
        (in_all**2 - (hours_in_all**2).sum(axis=1)) - (total**2 - (counts**2).sum(axis=2)).sum(axis=0)
    ).sum() / pairs
    same_hour = (counts * (counts - 1)).sum() / repeats
    two_hours = (hours_in_all**2 - (counts**2).sum(axis=0)).sum() / pairs
    day = max(same_day / two_days - 1, 0.0) if two_days > 0 else 0.0
    both = same_hour / two_hours if two_hours > 0 else 1.0
    hour = max(both / (1 + day) - 1, 0.0)
    return float(np.sqrt(day)), float(np.sqrt(hour))
