"""Amounts of money as people write them: ``3.7 MUSD``, ``10 TJPY``, ``182.7 KRW/kWh``. Exact.

An amount is held in whole millionths of its currency, and sums are made in the smallest unit of a currency
(cents, won): so parts add up to the whole to the last digit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from gpufleet.base.say import say
from gpufleet.base.units import NUMBER, UnitError

MICRO: Final = 1_000_000
PREFIXES: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
CURRENCIES: Final = {
    "AED": 2, "AUD": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CNY": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2,
    "HKD": 2, "IDR": 2, "ILS": 2, "INR": 2, "JPY": 0, "KRW": 0, "MXN": 2, "MYR": 2, "NOK": 2, "NZD": 2,
    "PHP": 2, "PLN": 2, "QAR": 2, "SAR": 2, "SEK": 2, "SGD": 2, "THB": 2, "TRY": 2, "TWD": 2, "USD": 2,
    "VND": 0, "ZAR": 2,
}  # fmt: skip
"""Currencies by their code (ISO 4217), with the digits after the point of their smallest unit."""

_MOST: Final = 10**18 * MICRO  # beyond all money there is
_TEXT: Final = re.compile(rf"({NUMBER})\s*([^\s\d/.+-][^\s/]*)(?:\s*/\s*(\S+))?")
_PLAIN: Final = re.compile(NUMBER)


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount, or a price: so much of a currency for one of something.

    >>> str(Money(182_700_000, "KRW", "kWh")), str(Money(3_700_000_000_000, "USD"))
    ('182.7 KRW/kWh', '3.7 MUSD')
    """

    micro: int  # millionths of the currency
    currency: str
    per: str = ""  # such as GPU, node, kWh; empty: an amount

    @property
    def value(self) -> Fraction:
        """In whole units of the currency, exact."""
        return Fraction(self.micro, MICRO)

    def __str__(self) -> str:
        prefix, size = "", 1
        for name, factor in PREFIXES.items():
            if abs(self.micro) >= factor * MICRO and self.micro * 1000 % factor == 0:
                prefix, size = name, factor
        number = f"{Decimal(self.micro) / MICRO / size:f}"
        number = number.rstrip("0").rstrip(".") if "." in number else number
        return f"{number} {prefix}{self.currency}" + (f"/{self.per}" if self.per else "")


def parse_money(text: str, per: Sequence[str] = ("",)) -> Money:
    """Read an amount or a price.

    Args:    text: a number, a currency with or without k, M, G, T before it, and what it is for.
             per: what a price may be for; "" = an amount by itself.
    Raises:  UnitError when the number or the currency is missing or unknown, or the value too fine or large.

    >>> parse_money("10 TJPY")
    Money(micro=10000000000000000000, currency='JPY', per='')
    >>> parse_money("0.115 USD/kWh", ["kWh"])
    Money(micro=115000, currency='USD', per='kWh')
    """
    stripped = text.strip()
    shown = stripped if len(stripped) <= 40 else stripped[:37] + "..."
    example = _example(per)
    if _PLAIN.fullmatch(stripped):
        raise UnitError(say("`{text}` has no currency; write e.g. `{example}`", text=shown, example=example))
    match = _TEXT.fullmatch(stripped)
    if match is None:
        raise UnitError(
            say("`{text}` is no amount of money; write e.g. `{example}`", text=shown, example=example)
        )
    number, unit, of = match.groups()
    factor, currency = _currency(unit)
    if (of or "") not in per:
        raise UnitError(_other_unit(shown, of, per))
    try:
        micro = Decimal(number) * factor * MICRO
    except InvalidOperation:
        micro = Decimal("NaN")
    if not micro.is_finite() or abs(micro) > _MOST:
        raise UnitError(say("`{text}` is too large", text=shown))
    if micro != micro.to_integral_value():
        raise UnitError(say("`{text}` is finer than a millionth of the currency", text=shown))
    return Money(int(micro), currency, of or "")


def _example(per: Sequence[str]) -> str:
    if per[0]:
        return f"182.7 KRW/{per[0]}" if "Wh" in per[0] else f"30 kUSD/{per[0]}"
    return "3.7 MUSD"


def _other_unit(text: str, of: str | None, per: Sequence[str]) -> str:
    """What is said of a price that is for something else."""
    wanted = [each for each in per if each]
    if of is None:
        return say("`{text}` is an amount; a price per {wanted: or } is wanted", text=text, wanted=wanted)
    if not wanted:
        return say("`{text}` is a price per {of}; an amount is wanted", text=text, of=of)
    return say("`{text}` is a price per {of}; per {wanted: or } is wanted", text=text, of=of, wanted=wanted)


def _currency(unit: str) -> tuple[int, str]:
    """The factor of a prefix, and the currency."""
    if unit in CURRENCIES:
        return 1, unit
    prefix, code = unit[:1], unit[1:]
    if prefix in PREFIXES and code in CURRENCIES:
        return PREFIXES[prefix], code
    if code.upper() in CURRENCIES or unit.upper() in CURRENCIES:
        plain = unit.upper() in CURRENCIES
        known = unit.upper() if plain else f"{_near(prefix)}{code.upper()}"
        raise UnitError(say("currency `{unit}`: did you mean `{known}`?", unit=unit[:20], known=known))
    raise UnitError(
        say(
            "`{unit}` is no currency that is known; write its code of three letters, with k, M, G or T "
            "before it: {known:, }",
            unit=unit[:20],
            known=list(CURRENCIES),
        )
    )


def _near(prefix: str) -> str:
    """The prefix that is meant: B is G, K is k, and so on."""
    return {"K": "k", "m": "M", "b": "G", "B": "G", "g": "G", "t": "T"}.get(prefix, prefix)


def minor_of(currency: str) -> int:
    """Smallest units in one of a currency: 100 cents, 1 won.

    >>> minor_of("USD"), minor_of("KRW")
    (100, 1)
    """
    return int(10 ** CURRENCIES[currency])


def format_money(minor: int, currency: str) -> str:
    """Money for people, four digits that count.

    Args: minor: in the smallest unit of the currency.

    >>> format_money(370_000_000, "USD"), format_money(1_459_000_000_000, "KRW"), format_money(-1234, "USD")
    ('3.7 MUSD', '1.459 TKRW', '-12.34 USD')
    """
    value = Fraction(minor, minor_of(currency))
    prefix, size = "", 1
    for name, factor in PREFIXES.items():
        if abs(value) >= factor:
            prefix, size = name, factor
    number = f"{float(value / size):.4g}"
    return f"{number if 'e' not in number else f'{float(value / size):.0f}'} {prefix}{currency}"
