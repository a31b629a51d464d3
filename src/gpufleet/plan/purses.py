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
    """One budget through time: what is left of the year at hand."""

    def __init__(self, purse: Purse) -> None:
        self.purse = purse
        self._year, self._left = min(purse.ceilings) - 1, 0

    def spend(self, lot: Delivery, gpus: int, at: datetime) -> None:
        """Pay for a lot that has taken its step already, whether the money was there or not."""
        self._until(at.astimezone(self.purse.zone).year)
        self._left = max(0, self._left - self.purse.price(lot, gpus, at))

    def take(self, lot: Delivery, ready: datetime, gpus: int, before: datetime) -> datetime:
        """When a lot that is ready at a moment is paid; NEVER if never: then it holds no money back.

        Who asks later is ready later, and does not go before.

        Args: before: whose turn comes only then or later is cancelled by then, and is not paid.
        """
        kept = self._year, self._left
        at = self._take(lot, ready, gpus)
        if before <= at:
            self._year, self._left = kept
        return at

    def _take(self, lot: Delivery, ready: datetime, gpus: int) -> datetime:
        if ready >= NEVER:
            return NEVER
        self._until(ready.astimezone(self.purse.zone).year)
        while True:
            begins = datetime(max(self._year, 1), 1, 1, tzinfo=self.purse.zone).astimezone(UTC)
            at = max(ready, begins)
            price = self.purse.price(lot, gpus, at)
            if price <= self._left:
                self._left -= price
                return at
            if self._year >= max(self.purse.ceilings):
                return NEVER
            self._until(self._year + 1)

    def _until(self, year: int) -> None:
        """Go on to a year: what is left is there in the next, or is lost."""
        while self._year < year:
            self._year += 1
            kept = self._left if self.purse.carry_over else 0
            self._left = kept + self.purse.ceilings.get(self._year, 0)


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
