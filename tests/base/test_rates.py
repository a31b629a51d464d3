"""Exchange rates: turned round, by way of a third currency, not before their first date."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gpufleet.base.rates import NoRateError, Rates


def test_rates_turn_round_and_go_by_way_of_another() -> None:
    rates = Rates({"KRW/USD": ((0, 1000.0), (100, 1500.0)), "JPY/USD": ((0, 150.0),)})
    assert rates.rate("KRW", "JPY", 0) == Fraction(150, 1000)
    assert rates.rate("JPY", "KRW", 100) == 10
    with pytest.raises(NoRateError):
        rates.rate("USD", "EUR", 0)
    with pytest.raises(NoRateError):
        rates.rate("USD", "KRW", -1)
