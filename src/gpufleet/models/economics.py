"""Closed forms of money: division, depreciation, present value. All exact.

Amounts are whole numbers of the smallest unit of a currency; shares are fractions. What is divided
adds up to the whole, and what is written off year by year to what it cost less what is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from gpufleet.base.units import YEAR_S

Method = Literal["straight-line", "declining"]


def nearest(value: Fraction) -> int:
    """A fraction to the nearest whole number, a half to the even one: the way of round().

    >>> nearest(Fraction(5, 2)), nearest(Fraction(7, 2)), nearest(Fraction(-1, 3))
    (2, 4, 0)
    """
    return round(value)


def ratio(above: int, below: int) -> int:
    """A ratio of whole numbers to the nearest whole number, as `nearest`, without a fraction on the way.

    >>> ratio(5, 2), ratio(7, 2), ratio(-1, 3), ratio(-5, 2)
    (2, 4, 0, -2)
    """
    whole, rest = divmod(above, below)
    return whole + (2 * rest > below or (2 * rest == below and whole % 2 == 1))


# --- dividing -----------------------------------------------------------------------------------------------


def divided(amount: int, shares: Sequence[Fraction]) -> list[int]:
    """An amount divided in proportion to shares; the parts sum to it exactly.

    Each part is the difference of two rounded running sums, so no part is off by more than one unit.

    Args:    shares: not negative, not all 0; they need not sum to 1.
    Raises:  ValueError for shares that divide nothing.

    >>> divided(100, [Fraction(1, 3)] * 3), divided(7, [Fraction(1), Fraction(0)])
    ([33, 34, 33], [7, 0])
    """
    if len(shares) == 1 and shares[0] > 0:
        return [amount]
    below = math.lcm(*(share.denominator for share in shares))
    parts = [share.numerator * (below // share.denominator) for share in shares]
    whole = sum(parts)
    if whole <= 0 or min(parts) < 0:
        raise ValueError("shares must not be negative, and not all 0")
    edges, run = [0], 0
    for part in parts:
        run += part
        edges.append(ratio(amount * run, whole))
    return [after - before for before, after in pairwise(edges)]


# --- depreciation -------------------------------------------------------------------------------------------


def written_off(cost: int, left: Fraction, life_s: int, age_s: int, method: Method = "straight-line") -> int:
    """How much of what something cost is written off at an age. What is left at the end of its life stays.

    Args:    cost: smallest units; left: residual value as a share of the cost, above 0 for `declining`;
             life_s, age_s: s.
    Returns: straight line: cost x (1 - left) x age / life. Declining: the same share of the book value each
             year, so that cost x (1 - left^(age / life)).
    Error:   straight line is exact; declining is rounded once, at double precision, so that yearly
             differences still sum to the whole exactly.

    >>> [written_off(1000, Fraction(1, 10), 4, age) for age in range(6)]
    [0, 225, 450, 675, 900, 900]
    >>> [written_off(1600, Fraction(1, 16), 4, age, "declining") for age in range(5)]
    [0, 800, 1200, 1400, 1500]
    """
    age_s = min(max(age_s, 0), life_s)
    if method == "straight-line":
        gone = left.denominator - left.numerator
        return ratio(cost * gone * age_s, left.denominator * life_s)
    if age_s == life_s:
        return nearest(cost * (1 - left))
    return nearest(cost * (1 - Fraction(float(left) ** (age_s / life_s))))


def present_value(flows: Sequence[tuple[int, int]], rate: float) -> float:
    """What payments are worth at second 0.

    Args:    flows: (second, amount); rate: interest of a year, such as 0.05; > -1.
    Returns: sum of amount / (1 + rate)^(second / year).
    Raises:  ValueError for a rate of -1 or less.

    >>> present_value([(0, 100), (YEAR_S, 110)], 0.1)
    200.0
    """
    if rate <= -1:
        raise ValueError("a rate is above -1")
    return math.fsum(amount / float((1.0 + rate) ** (t_s / YEAR_S)) for t_s, amount in flows)
