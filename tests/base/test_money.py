"""Amounts of money: what is written reads back, what is none says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.base.money import CURRENCIES, Money, format_money, parse_money
from gpufleet.base.units import UnitError


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
