"""Exchange rates that change on dates: an amount of one currency in another, exact."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gpufleet.base.money import minor_of


def exact(number: float) -> Fraction:
    """The number that was written: 0.1 is a tenth.

    >>> exact(0.1), exact(1424.4)
    (Fraction(1, 10), Fraction(7122, 5))
    """
    return Fraction(repr(number))


class NoRateError(Exception):
    """There is no rate for a pair of currencies at a time."""

    def __init__(self, of: str, to: str, at_s: int) -> None:
        super().__init__(of, to, at_s)
        self.of, self.to, self.at_s = of, to, at_s


@dataclass(frozen=True)
class Rates:
    """Exchange rates that change on dates; each holds from its date until the next.

    `steps` has, by pair such as KRW/USD (won for one dollar), the rates as ((second, rate), ...) in order.

    >>> rates = Rates({"KRW/USD": ((0, 1400.0), (86_400, 1500.0))})
    >>> rates.rate("USD", "KRW", 100), rates.rate("KRW", "USD", 86_400)
    (Fraction(1400, 1), Fraction(1, 1500))
    """

    steps: Mapping[str, Sequence[tuple[int, float]]]

    def rate(self, of: str, to: str, at_s: int) -> Fraction:
        """Units of `to` for one of `of`, at a second: as written, turned round, or by a third currency.

        Raises: NoRateError
        """
        if of == to:
            return Fraction(1)
        found = self._direct(of, to, at_s)
        if found is not None:
            return found
        for third in self._others(of):
            first, then = self._direct(of, third, at_s), self._direct(third, to, at_s)
            if first is not None and then is not None:
                return first * then
        raise NoRateError(of, to, at_s)

    def _direct(self, of: str, to: str, at_s: int) -> Fraction | None:
        """The rate of a pair that is written, either way round; None before its first date."""
        for pair, turned in ((f"{to}/{of}", False), (f"{of}/{to}", True)):
            steps = self.steps.get(pair, ())
            place = bisect_right([t for t, _ in steps], at_s)
            if place:
                rate = exact(steps[place - 1][1])
                return 1 / rate if turned else rate
        return None

    def _others(self, of: str) -> list[str]:
        """Currencies that have a written rate with one, in the order in which they are written."""
        pairs = (pair.split("/") for pair in self.steps)
        return [a if b == of else b for a, b in pairs if of in (a, b)]

    def minor(self, amount: int, of: str, to: str, at_s: int) -> Fraction:
        """An amount in smallest units of one currency as smallest units of another, not rounded.

        >>> Rates({"KRW/USD": ((0, 1000.0),)}).minor(150, "USD", "KRW", 5)     # 1.50 USD
        Fraction(1500, 1)
        """
        return amount * self.rate(of, to, at_s) * minor_of(to) / minor_of(of)
