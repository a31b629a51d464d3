from __future__ import annotations

import numpy as np
import pytest

from gpufleet.traces.rhythm import HOURS_PER_WEEK, rhythm

WEEK_S = 604_800


def arrivals(weeks: int, weights: np.ndarray, day_cv: float, hour_cv: float, per_hour: float) -> np.ndarray:
    """Submit times of the model, with gamma-distributed factors."""
    random = np.random.default_rng(7)

    def factors(cv: float, n: int) -> np.ndarray:
        return random.gamma(cv**-2, cv**2, n) if cv else np.ones(n)

    days, hours = factors(day_cv, weeks * 7).repeat(24), factors(hour_cv, weeks * HOURS_PER_WEEK)
    counts = random.poisson(per_hour * np.tile(weights, weeks) * days * hours)
    begin = np.arange(counts.size).repeat(counts) * 3600
    return np.sort(begin + random.integers(0, 3600, begin.size))


@pytest.mark.parametrize(("day_cv", "hour_cv"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.8), (0.4, 1.0)])
def test_what_was_put_in_is_found(day_cv: float, hour_cv: float) -> None:
    weights = 1 + 0.8 * np.sin(np.arange(HOURS_PER_WEEK) * 2 * np.pi / 24)
    found = rhythm(arrivals(52, weights, day_cv, hour_cv, 20))
    assert found.day_cv == pytest.approx(day_cv, abs=0.06)
    assert found.hour_cv == pytest.approx(hour_cv, abs=0.06)
    assert np.corrcoef(found.hour_of_week, weights)[0, 1] > 0.95
    assert found.hour_of_week.mean() == pytest.approx(1)
    assert found.days == 52 * 7


def test_a_pattern_that_does_not_repeat_is_chance() -> None:
    found = rhythm(arrivals(4, np.ones(HOURS_PER_WEEK), 0.0, 1.5, 20))
    assert found.hour_of_week.std() < 0.2  # the raw mean of four hours strays by 0.75


def test_monday_midnight_comes_first() -> None:
    times = np.concatenate([np.arange(40) + week * WEEK_S for week in range(6)] + [[6 * WEEK_S - 1]])
    found = rhythm(times)
    assert found.hour_of_week.argmax() == 0
    later = rhythm(times[times >= 40] + 2 * 86_400)  # the first weeks begin on another day
    assert later.hour_of_week.argmax() == 48


@pytest.mark.parametrize("days", [0, 1])
def test_less_than_two_whole_days_tell_nothing(days: int) -> None:
    found = rhythm(np.arange(100, days * 86_400 + 50_000, 500))
    assert (found.day_cv, found.hour_cv, set(found.hour_of_week)) == (0.0, 0.0, {1.0})


def test_ten_days_tell_how_days_stray_but_no_week() -> None:
    counts = np.array([1, 9] * 5)
    times = np.concatenate(
        [np.linspace(d * 86_400, d * 86_400 + 86_399, n * 24) for d, n in enumerate(counts)]
    )
    found = rhythm(times.astype(np.int64))
    assert set(found.hour_of_week) == {1.0}
    # by hand: a pair of hours has 1 or 81 in one day, 41 on average; in two days, (50**2 - 410) / 90
    assert found.day_cv**2 == pytest.approx((41 / ((2500 - 410) / 90)) - 1, rel=0.01)
