"""Closed forms of money: what is divided adds up, what is written off ends."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.models.economics import (
    divided,
    present_value,
    written_off,
)

METHODS = ["straight-line", "declining"]
shares = st.lists(st.fractions(0, 1, max_denominator=1000), min_size=1, max_size=6).filter(any)


@given(st.integers(-(10**18), 10**18), shares)
def test_what_is_divided_adds_up(amount: int, parts: list[Fraction]) -> None:
    found = divided(amount, parts)
    assert sum(found) == amount
    assert all(abs(part - amount * share / sum(parts)) <= 1 for part, share in zip(found, parts, strict=True))


@given(
    st.integers(0, 10**15), st.fractions(Fraction(1, 100), 1, max_denominator=100), st.integers(1, 10**9),
    st.lists(st.integers(0, 2 * 10**9), min_size=1, max_size=8), st.sampled_from(METHODS),
)  # fmt: skip
def test_what_is_written_off_grows_and_ends(
    cost: int, left: Fraction, life: int, ages: list[int], method: str
) -> None:
    ages = sorted(ages)
    found = [written_off(cost, left, life, age, method) for age in ages]  # type: ignore[arg-type]
    assert found == sorted(found)
    assert written_off(cost, left, life, life, method) == round(cost * (1 - left))  # type: ignore[arg-type]
    assert written_off(cost, left, life, 0, method) == 0  # type: ignore[arg-type]


def test_present_value_of_a_negative_rate_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="above -1"):
        present_value([(0, 1)], -1.0)
