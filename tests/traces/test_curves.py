from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.traces.curves import MOST_KNOTS, Curve, mean_of, quantiles, thin, with_mean

samples = st.lists(st.floats(1, 1e7), min_size=1, max_size=300).map(np.array)


@settings(deadline=None)
@given(samples)
def test_the_mean_is_that_of_the_sample_and_knots_ascend(sample: np.ndarray) -> None:
    curve = quantiles(sample)
    assert mean_of(curve) == pytest.approx(sample.mean(), rel=1e-9)
    assert curve.p[0] == 0
    assert curve.p[-1] == 1
    assert (np.diff(curve.p) > 0).all()
    assert (np.diff(curve.value) >= 0).all()
    assert curve.p.size <= MOST_KNOTS


@settings(deadline=None)
@given(st.integers(1, 10_000), st.integers(1, 50))
def test_jobs_of_one_length_are_one_length(length: int, jobs: int) -> None:
    assert set(quantiles(np.full(jobs, float(length))).value.tolist()) == {length}


@pytest.mark.parametrize("spread", [0.1, 1.0, 2.5])
def test_few_knots_tell_a_lognormal(spread: float) -> None:
    sample = np.exp(np.random.default_rng(1).normal(6, spread, 50_000))
    curve = quantiles(sample)
    p = np.linspace(0.01, 0.99, 99)
    drawn = np.interp(p, curve.p, curve.value)
    assert np.abs(np.searchsorted(np.sort(sample), drawn) / sample.size - p).max() < 0.01
    assert mean_of(curve) == pytest.approx(sample.mean(), rel=1e-9)


def test_a_step_stays_a_step_and_a_rounded_clock_does_not() -> None:
    times = np.concatenate((np.random.default_rng(2).exponential(1000, 8000) + 1, np.full(2000, 3600.0)))
    curve = quantiles(times)
    at = np.isclose(curve.value, 3600, rtol=0.01)
    assert np.ptp(curve.p[at]) == pytest.approx(0.2, abs=0.01)
    seconds = np.random.default_rng(3).integers(10, 20, 10_000).astype(float)
    assert quantiles(seconds).p.size < 14  # each second has a tenth of the jobs; a straight line tells it


def test_worked_by_hand() -> None:
    # 3 jobs: middles of thirds are 1/6, 1/2, 5/6; flat at both ends; the area is the mean
    curve = quantiles(np.array([30.0, 60.0, 120.0]))
    assert curve.p.tolist() == pytest.approx([0, 1 / 6, 1 / 2, 5 / 6, 1])
    assert curve.value.tolist() == pytest.approx([30, 30, 60, 120, 120])


def test_the_knots_that_matter_are_kept() -> None:
    bent = Curve(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.array([0.0, 1.0, 2.0, 3.0, 100.0]))
    assert thin(bent, 3).p.tolist() == [0.0, 0.75, 1.0]
    assert thin(bent, 2).p.tolist() == [0.0, 1.0]


def test_nothing_cannot_be_stretched() -> None:
    zero = Curve(np.array([0.0, 1.0]), np.array([0.0, 0.0]))
    assert with_mean(zero, 5.0).value.tolist() == [0.0, 0.0]
