"""Budgets that lots wait for: who is paid when, in the order in which lots are ready, to the last unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.base.money import MICRO, minor_of
from gpufleet.base.rates import NoRateError, Rates, exact
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.money import PER_ARRIVAL
from gpufleet.plan.money_kinds import price_at
from gpufleet.plan.money_lots import prices_of, selected, units_of

if TYPE_CHECKING:
    from gpufleet.plan.money import Cost, Funding, MoneyPlan
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.supply import Delivery

Price = Callable[["Delivery", int, datetime], int]
"""What so many GPUs of a lot cost a budget at a moment, smallest units of its currency."""


class Purse(NamedTuple):
    """A budget that lots wait for."""

    name: str
    step: str  # at which its lots are paid
    lots: frozenset[str]
    price: Price
    ceilings: Mapping[int, int]  # by year, smallest units
    carry_over: bool
    zone: ZoneInfo


class Payments:
    """One budget through time: what is left of each year."""

    def __init__(self, purse: Purse) -> None:
        self.purse = purse
        self._left = dict(purse.ceilings)
        self._first = 1  # who comes now is paid in this year or later: money before it is saved for others

    def spend(self, lot: Delivery, gpus: int, at: datetime) -> None:
        """Pay for a lot that has taken its step already, whether the money was there or not."""
        self._pay(at.astimezone(self.purse.zone).year, self.purse.price(lot, gpus, at))

    def take(self, lot: Delivery, ready: datetime, gpus: int, before: datetime) -> datetime:
        """When a lot that is ready at a moment is paid; NEVER if never: then it holds no money back.

        Who asks later is ready later, and takes nothing that one before saves up.

        Args: before: whose turn comes only then or later is cancelled by then, and is not paid.
        """
        if ready >= NEVER:
            return NEVER
        own = ready.astimezone(self.purse.zone).year
        for year in range(max(own, self._first), max(own, *self.purse.ceilings) + 1):
            begins = datetime(year, 1, 1, tzinfo=self.purse.zone).astimezone(UTC)
            at = max(ready, begins)
            price = self.purse.price(lot, gpus, at)
            if price <= self._there(year):
                if at < before:
                    self._pay(year, price)
                    if self.purse.carry_over:
                        self._first = max(self._first, year)
                return at
        return NEVER

    def _there(self, year: int) -> int:
        """What there is in a year: its own money, and what years before leave if that is kept."""
        if not self.purse.carry_over:
            return self._left.get(year, 0)
        return sum(money for of, money in self._left.items() if of <= year)

    def _pay(self, year: int, price: int) -> None:
        """Take money of a year, and of those before it first; what is not there is not taken."""
        years = sorted(of for of in self._left if of <= year) if self.purse.carry_over else [year]
        for of in years:
            part = min(price, self._left.get(of, 0))
            self._left[of] = self._left.get(of, 0) - part
            price -= part


def purses_of(plan: Plan) -> tuple[Purse, ...]:
    """The budgets of a plan that lots wait for."""
    if plan.money is None:
        return ()
    found = []
    for line in plan.money.funding.values():
        costs = list(paid_out_of(plan.money, line))
        if line.when_short != "wait" or not costs:
            continue
        lots = frozenset(lot.name for cost in costs for lot in selected(plan, cost))
        price = _Prices(plan, plan.money, line, costs)
        found.append(
            Purse(
                line.name, costs[0].due, lots, price, _ceilings(line), line.carry_over,
                ZoneInfo(plan.time_zone),
            )
        )  # fmt: skip
    return tuple(found)


def paid_out_of(money: MoneyPlan, line: Funding) -> Iterator[Cost]:
    """The costs that name a budget in `paid_by`."""
    return (cost for cost in money.costs.values() if line.name in cost.paid_by)


def is_of_lots(cost: Cost) -> bool:
    """Whether a cost is paid when lots come: at a price for each GPU, node or MW, or as a share of such."""
    if cost.share is not None:
        return cost.each == "once"
    if not cost.price:
        return cost.price is not None
    return cost.price[0].price.per in PER_ARRIVAL


def currency_of(line: Funding) -> str:
    """The currency of a budget."""
    return next(iter(line.ceilings.values())).currency


def _ceilings(line: Funding) -> dict[int, int]:
    minor = minor_of(currency_of(line))
    return {year: round(Fraction(money.micro * minor, MICRO)) for year, money in line.ceilings.items()}


class _Prices:
    """What lots cost a budget."""

    def __init__(self, plan: Plan, money: MoneyPlan, line: Funding, costs: list[Cost]) -> None:
        self._plan, self._money = plan, money
        self._currency = currency_of(line)
        self._rates = Rates(money.rates)
        self._shares = [(cost, cost.paid_by[line.name]) for cost in costs]
        self._for = {cost.name: {lot.name for lot in selected(plan, cost)} for cost in money.costs.values()}

    def __call__(self, lot: Delivery, gpus: int, at: datetime) -> int:
        at_s = self._plan.seconds(at)
        whole = sum((share * self._cost(cost, lot, gpus, at_s) for cost, share in self._shares), Fraction())
        return round(whole)

    def _cost(self, cost: Cost, lot: Delivery, gpus: int, at_s: int) -> Fraction:
        """What a cost asks for a lot, smallest units of the budget's currency."""
        if lot.name not in self._for[cost.name]:
            return Fraction()
        if cost.share is not None:
            of = (self._money.costs[name] for name in cost.of)
            return exact(cost.share) * sum((self._cost(each, lot, gpus, at_s) for each in of), Fraction())
        steps = prices_of(self._plan, cost, lot)
        step = price_at(steps, at_s)
        if step is None or step.price.per not in PER_ARRIVAL:
            return Fraction()  # the plan's checks say what is wrong
        units = units_of(self._plan, lot, gpus, step.price.per)
        per = Fraction(step.price.micro * minor_of(step.price.currency), MICRO)
        try:
            return self._rates.minor(1, step.price.currency, self._currency, at_s) * per * units
        except NoRateError:
            return Fraction()  # the plan's checks say so
