"""Flows of money: one amount of one item at one time, of one payer, in its own and the report's currency."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.base.money import MICRO, minor_of
from gpufleet.base.rates import Rates
from gpufleet.models.economics import divided, nearest
from gpufleet.plan.money_kinds import PriceStep, price_at
from gpufleet.world.supply import month_ends

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.money import MoneyPlan
    from gpufleet.world.capacity import Fleet

DUE: Final = "due"
PUT_OFF: Final = "put off"
RECEIVED: Final = "received"
WRITTEN_OFF: Final = "written off"
BEFORE: Final = -1
"""The month of what was paid before the plan begins."""


class Sum(NamedTuple):
    """What an item comes to at one time, before it is divided among payers."""

    at_s: int  # when it is paid: the last second of what is paid over time
    lot: str | None
    site: str | None
    amount: int  # smallest units of its own currency
    low: int
    high: int
    currency: str
    serves_s: int | None = None  # from when what is bought serves; None: from then on

    def times(self, share: Fraction) -> Three:
        """A share of it, not rounded."""
        return self.amount * share, self.low * share, self.high * share

    def part(self, share: Fraction) -> Sum:
        """A share of it, each amount rounded once."""
        amount, low, high = (nearest(each) for each in self.times(share))
        return self._replace(amount=amount, low=low, high=high)


class Flow(NamedTuple):
    """An amount that one payer pays or gets in a month."""

    month: int  # of the plan; BEFORE it
    at_s: int
    flow: str
    item: str
    kind: str
    lot: str | None
    site: str | None
    payer: str
    line: str | None  # funding line
    currency: str
    amount: int  # smallest units of its own currency
    home: int  # smallest units of the report's currency
    home_low: int
    home_high: int


class Clock(NamedTuple):
    """The plan's time as money is counted in it."""

    months: tuple[str, ...]
    ends_s: Ints
    ends: tuple[int, ...]  # the same, as plain numbers
    year_ends_s: Ints  # of all years that the plan is in, s from its start
    year_begins_s: Ints
    years: tuple[int, ...]

    @classmethod
    def of(cls, plan: Plan) -> Clock:
        """The months and years of a plan, in its time zone."""
        months, ends_s = month_ends(plan)
        years = tuple(dict.fromkeys(int(month[:4]) for month in months))
        edges = [new_year_s(plan, year) for year in (*years, years[-1] + 1)]
        ends = tuple(ends_s.tolist())
        return cls(months, ends_s, ends, np.array(edges[1:]), np.array(edges[:-1]), years)

    def month(self, at_s: int) -> int:
        """The month that a second is in, or BEFORE the plan."""
        return BEFORE if at_s < 0 else bisect_right(self.ends, at_s)

    def year_s(self, at_s: int) -> int:
        """How long the calendar year is that a second is in, s."""
        row = int(np.searchsorted(self.year_ends_s, at_s, side="right"))
        row = min(row, len(self.years) - 1)
        return int(self.year_ends_s[row] - self.year_begins_s[row])


def new_year_s(plan: Plan, year: int) -> int:
    """When a year begins in the plan's time zone, s from its start."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    return plan.seconds(datetime(year, 1, 1, tzinfo=ZoneInfo(plan.time_zone)).astimezone(UTC))


class Books:
    """What all sums of a plan are made with: its clock, its rates, its GPUs in service."""

    def __init__(self, plan: Plan, fleet: Fleet) -> None:
        assert plan.money is not None
        self.plan, self.fleet = plan, fleet
        self.money: MoneyPlan = plan.money
        self.clock = Clock.of(plan)
        self.rates = Rates(self.money.rates)
        self.home = self.money.currency
        self.lots = {lot.name: lot for lot in plan.deliveries}

    def to_home(self, amount: int, currency: str, at_s: int) -> int:
        """An amount in the report's currency, rounded once."""
        if currency == self.home:
            return amount
        return nearest(self.rates.minor(amount, currency, self.home, at_s))

    def ends_at_home(self, each: Sum) -> tuple[int, int, int]:
        """An amount and the ends of its range in the report's currency."""
        home = self.to_home(each.amount, each.currency, each.at_s)
        if each.low == each.high:
            return home, home, home
        low, high = (self.to_home(n, each.currency, each.at_s) for n in (each.low, each.high))
        return home, low, high

    def flows(
        self, flow: str, item: str, kind: str, sums: Iterable[Sum], shares: Mapping[str, Fraction]
    ) -> Iterator[Flow]:
        """Each sum as flows of its payers, which make it up to the last unit."""
        parts_of, alone = list(shares.values()), len(shares) == 1
        lines = [name if name in self.money.funding else None for name in shares]
        payers = [self.money.payer_of(name) for name in shares]
        for each in sums:
            month = self.clock.month(each.at_s)
            if month >= len(self.clock.months):
                continue  # after the plan's end
            home = self.ends_at_home(each)
            whole = (each.amount, *home)
            parts = [whole] if alone else zip(*(divided(n, parts_of) for n in whole), strict=True)
            for payer, line, amounts in zip(payers, lines, parts, strict=True):
                yield Flow(
                    month, each.at_s, flow, item, kind, each.lot, each.site, payer, line, each.currency,
                    *amounts,
                )  # fmt: skip


Three = tuple[Fraction, Fraction, Fraction]
"""An amount and the ends of its range, not rounded, smallest units of a currency."""


def priced(steps: tuple[PriceStep, ...], at_s: int, units: Fraction | int) -> Three:
    """What so many units cost at a time; what has no price yet costs nothing: the checks let none pass."""
    step = price_at(steps, at_s)
    if step is None:
        return Fraction(), Fraction(), Fraction()
    per = Fraction(minor_of(step.price.currency), MICRO)
    return step.price.micro * units * per, step.low.micro * units * per, step.high.micro * units * per


class Rounded:
    """Rounds amounts one after the other so that their sum is the rounded sum: no unit is lost on the way.

    >>> third = (Fraction(1, 3),) * 3
    >>> way = Rounded()
    >>> [way(third)[0] for _ in range(4)]
    [0, 1, 0, 0]
    """

    def __init__(self) -> None:
        self._whole = [Fraction()] * 3

    def __call__(self, amounts: Three) -> tuple[int, int, int]:
        """The next amount and the ends of its range, in whole units."""
        before = [nearest(each) for each in self._whole]
        self._whole = [run + each for run, each in zip(self._whole, amounts, strict=True)]
        first, low, high = (nearest(run) - old for run, old in zip(self._whole, before, strict=True))
        return first, low, high
