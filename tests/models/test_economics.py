"""Closed forms of money: what is divided adds up, what is written off ends, tariffs are integrated exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.base.money import CURRENCIES, Money, format_money, parse_money
from gpufleet.base.units import UnitError
from gpufleet.models.economics import (
    METHODS,
    NoRateError,
    Rates,
    divided,
    energy_by_price,
    energy_cost,
    hours_of,
    present_value,
    written_off,
)

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


@given(
    st.lists(st.integers(1, 10**5), min_size=1, max_size=6),
    st.lists(st.integers(0, 10**14), min_size=6, max_size=6),
    st.lists(st.integers(1, 10**5), max_size=5, unique=True),
)
def test_energy_is_neither_lost_nor_made(widths: list[int], joules: list[int], turns: list[int]) -> None:
    edges = np.cumsum([0, *widths])
    energy = np.array(joules[: len(widths)], np.int64)
    at = np.array([0, *sorted(turns)], np.int64)
    found = energy_by_price(edges, energy, at, np.arange(at.size, dtype=np.int64) % 3)
    assert sum(found.values()) == int(energy.sum())


@given(st.sampled_from(["Asia/Seoul", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]),
       st.integers(0, 400 * 86_400), st.integers(1, 4 * 86_400))  # fmt: skip
def test_hours_are_those_of_the_clock_on_the_wall(name: str, first: int, span: int) -> None:
    start, zone = datetime(2026, 1, 1, 7, 13, 5, tzinfo=UTC), ZoneInfo(name)
    at, month, weekend, hour = hours_of(zone, first, first + span, start)
    assert at[0] == first
    assert (np.diff(at) > 0).all() and at[-1] < first + span
    for t, m, w, h in zip(at.tolist(), month.tolist(), weekend.tolist(), hour.tolist(), strict=True):
        local = (start + timedelta(seconds=t)).astimezone(zone)
        assert (m, w, h) == (local.month, local.weekday() >= 5, local.hour)
        assert t == first or (local.minute, local.second) == (0, 0)


def test_energy_cost_is_rounded_once() -> None:
    assert energy_cost({182_700_000: 3_600_000 * 10}, "KRW") == 1827
    assert energy_cost({1: 1}, "USD") == 0


def test_rates_turn_round_and_go_by_way_of_another() -> None:
    rates = Rates({"KRW/USD": ((0, 1000.0), (100, 1500.0)), "JPY/USD": ((0, 150.0),)})
    assert rates.rate("KRW", "JPY", 0) == Fraction(150, 1000)
    assert rates.rate("JPY", "KRW", 100) == 10
    with pytest.raises(NoRateError):
        rates.rate("USD", "EUR", 0)
    with pytest.raises(NoRateError):
        rates.rate("USD", "KRW", -1)


def test_present_value_of_a_negative_rate_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="above -1"):
        present_value([(0, 1)], -1.0)


@given(st.integers(0, 10**24), st.sampled_from(sorted(CURRENCIES)), st.sampled_from(["", "kWh", "GPU"]))
def test_money_reads_back(micro: int, currency: str, per: str) -> None:
    money = Money(micro, currency, per)
    assert parse_money(str(money), [per]) == money


@pytest.mark.parametrize(
    ("text", "per", "words"),
    [
        ("37", [""], "no currency"),
        ("3.7 Musd", [""], "did you mean `MUSD`"),
        ("3.7 BUSD", [""], "did you mean `GUSD`"),
        ("3.7 usd", [""], "did you mean `USD`"),
        ("3 XYZ", [""], "no currency that is known"),
        ("3 USD/kWh", [""], "an amount is wanted"),
        ("3 USD", ["kWh", "MWh"], "a price per kWh or MWh is wanted"),
        ("3 USD/GPU", ["kWh"], "is a price per GPU; per kWh is wanted"),
        ("much", [""], "no amount of money"),
        ("1e99 USD", [""], "too large"),
        ("0.0000001 USD", [""], "finer than a millionth"),
    ],
)
def test_what_is_no_money(text: str, per: list[str], words: str) -> None:
    with pytest.raises(UnitError) as error:
        parse_money(text, per)
    assert words in str(error.value)


def test_money_for_people() -> None:
    assert format_money(0, "KRW") == "0 KRW"
    assert format_money(10_000_000_000_000, "JPY") == "10 TJPY"
    assert format_money(99_999_999_999_999_999, "KRW") == "100000 TKRW"
