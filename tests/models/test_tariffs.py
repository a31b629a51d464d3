"""Tariffs: hours are those of the wall clock; energy that is cut is neither lost nor made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.models.tariffs import energy_cost, energy_cut, hours_of


@given(
    st.lists(st.integers(1, 10**5), min_size=1, max_size=6),
    st.lists(st.integers(0, 10**14), min_size=6, max_size=6),
    st.lists(st.integers(1, 10**5), max_size=5, unique=True),
)
def test_energy_is_neither_lost_nor_made(widths: list[int], joules: list[int], turns: list[int]) -> None:
    edges = np.cumsum([0, *widths])
    energy = np.array(joules[: len(widths)], np.int64)
    begins, pieces = energy_cut(edges, energy, np.array(turns, np.int64))
    bins = np.searchsorted(edges, begins, side="right") - 1
    assert [int(pieces[bins == i].sum()) for i in range(energy.size)] == energy.tolist()
    assert set(begins.tolist()) >= {turn for turn in turns if turn < edges[-1]}


@given(st.sampled_from(["Asia/Seoul", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]),
       st.integers(0, 400 * 86_400), st.integers(1, 4 * 86_400))  # fmt: skip
def test_hours_are_those_of_the_clock_on_the_wall(name: str, first: int, span: int) -> None:
    start, zone = datetime(2026, 1, 1, 7, 13, 5, tzinfo=UTC), ZoneInfo(name)
    at, month, weekend, hour = hours_of(zone, first, first + span, start)
    assert at[0] == first
    assert (np.diff(at) > 0).all()
    assert at[-1] < first + span
    for t, m, w, h in zip(at.tolist(), month.tolist(), weekend.tolist(), hour.tolist(), strict=True):
        local = (start + timedelta(seconds=t)).astimezone(zone)
        assert (m, w, h) == (local.month, local.weekday() >= 5, local.hour)
        assert t == first or (local.minute, local.second) == (0, 0)


def test_energy_cost_is_exact() -> None:
    assert energy_cost({182_700_000: 3_600_000 * 10}, "KRW") == 1827
    assert energy_cost({1: 1}, "USD") == Fraction(1, 36_000_000_000)
