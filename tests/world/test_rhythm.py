from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gpufleet.world.generate import draws, key_of, uniform
from gpufleet.world.rhythm import gamma, hours_of, uneven

ZONES = ["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


@pytest.mark.parametrize("zone", ZONES)
def test_every_second_has_its_local_hour_of_the_week(zone):
    start = datetime(2026, 3, 1, 13, 17, 5, tzinfo=UTC)
    end_s = 260 * 86400
    hours = hours_of(start, end_s, ZoneInfo(zone))
    assert hours.from_s[0] == 0
    assert (np.diff(hours.from_s) > 0).all()
    assert hours.from_s[-1] < end_s
    for at_s in range(0, end_s, 1799):
        local = (start + timedelta(seconds=at_s)).astimezone(ZoneInfo(zone))
        row = np.searchsorted(hours.from_s, at_s, side="right") - 1
        assert hours.of_week[row] == local.weekday() * 24 + local.hour
        assert hours.day[row] == (local.date() - datetime(1970, 1, 1).date()).days


@pytest.mark.parametrize("cv", [0.05, 0.5, 1.0, 1.7])
def test_gamma_has_mean_one_and_its_spread(cv):
    made = gamma(key_of(1, "x"), np.arange(200_000), cv)
    assert made.mean() == pytest.approx(1, abs=5 * cv / 200_000**0.5)
    assert made.std() == pytest.approx(cv, rel=0.03)
    assert (made >= 0).all()


def test_gamma_is_a_function_of_its_number():
    whole = gamma(5, np.arange(1000), 0.8)
    assert (gamma(5, np.arange(500, 700), 0.8) == whole[500:700]).all()
    assert (gamma(6, np.arange(1000), 0.8) != whole).mean() > 0.99


def test_an_uneven_day_shifts_all_of_its_hours_alike():
    hours = hours_of(datetime(2026, 1, 5, tzinfo=UTC), 14 * 86400, ZoneInfo("UTC"))
    times = uneven(hours, np.linspace(0.5, 1.5, 168), (1, 0.4), (2, 0.0)).reshape(2, 168)
    factor = times / np.linspace(0.5, 1.5, 168)
    assert np.ptp(factor.reshape(14, 24), axis=1) == pytest.approx(np.zeros(14), abs=1e-12)
    assert np.ptp(factor[:, ::24]) > 0.1


def test_draws_are_uniform_and_do_not_hang_together():
    n = 200_000
    columns = [uniform(draws(key, np.arange(n), which)) for key in (0, 1) for which in (0, 1)]
    columns.append(uniform(draws(0, np.arange(1, n + 1), 0)))
    for column in columns:
        counts = np.bincount((column * 100).astype(np.int64), minlength=100)
        chi2 = ((counts - n / 100) ** 2 / (n / 100)).sum()
        assert chi2 < 160  # 99 degrees of freedom: 160 is beyond one in 10,000
    apart = np.corrcoef(columns)[np.triu_indices(len(columns), 1)]
    assert abs(apart).max() < 5 / n**0.5
