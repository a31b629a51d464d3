"""Budgets year by year: what there is, what is asked, what is paid, and what is owed for want of money."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gpufleet.base.money import MICRO, minor_of
from gpufleet.models.economics import nearest
from gpufleet.plan.purses import currency_of
from gpufleet.results.money.flows import DUE, PUT_OFF, Books, Flow, new_year_s

if TYPE_CHECKING:
    from gpufleet.plan.money import Funding


class BudgetYear(NamedTuple):
    """A budget in one year, smallest units of its currency. ceiling + brought = paid + left."""

    line: str
    year: int
    currency: str
    ceiling: int
    brought: int  # left by the year before
    asked: int  # falls due in the year
    owed_before: int
    paid: int
    owed: int  # the gap at the end of the year
    left: int
    owed_home: int  # smallest units of the report's currency


def budgets(books: Books, flows: Iterable[Flow]) -> list[BudgetYear]:
    """All budgets of a plan, line by line, year by year.

    What is paid out of a line that is within another counts in both. What is owed is paid before what is new.
    """
    asked = _asked(books, flows)
    found: list[BudgetYear] = []
    for name, line in books.money.funding.items():
        years = [*line.ceilings, *asked[name], *books.clock.years]
        found += _years(books, line, asked[name], range(min(years), max(years) + 1))
    return found


def put_off(books: Books, rows: Iterable[BudgetYear]) -> Iterator[Flow]:
    """What budgets put off to later years (above 0), and what they pay of it then (below 0).

    Of lines that others are within only the parts count: each payment is put off once.
    """
    funding = books.money.funding
    wholes = {line.within for line in funding.values()}
    months = books.clock.months
    for row in rows:
        later = row.asked - row.paid
        if not later or row.line in wholes or row.year > int(months[-1][:4]):
            continue
        at_s = min(new_year_s(books.plan, row.year + 1), books.plan.horizon_s) - 1
        home = books.to_home(later, row.currency, at_s)
        yield Flow(
            books.clock.month(at_s), at_s, PUT_OFF, row.line, PUT_OFF, None, None, funding[row.line].payer,
            row.line, row.currency, later, home, home, home,
        )  # fmt: skip


def _asked(books: Books, flows: Iterable[Flow]) -> dict[str, dict[int, int]]:
    """What falls due of each line in each year, in its own currency."""
    funding = books.money.funding
    found: dict[str, dict[int, int]] = {name: {} for name in funding}
    for flow in flows:
        name = flow.line if flow.flow == DUE else None
        year = books.plan.local(flow.at_s).year
        while name is not None:
            currency = currency_of(funding[name])
            amount = nearest(books.rates.minor(flow.amount, flow.currency, currency, flow.at_s))
            found[name][year] = found[name].get(year, 0) + amount
            name = funding[name].within
    return found


def ceiling_of(line: Funding, year: int) -> int:
    """What a budget has in a year, smallest units of its currency."""
    money = line.ceilings.get(year)
    return nearest(Fraction(money.micro * minor_of(money.currency), MICRO)) if money else 0


def _years(books: Books, line: Funding, asked: Mapping[int, int], years: Iterable[int]) -> list[BudgetYear]:
    found: list[BudgetYear] = []
    brought = owed = 0
    for year in years:
        ceiling, new, before = ceiling_of(line, year), asked.get(year, 0), owed
        there = ceiling + brought
        paid = min(there, before + new)
        owed, left = before + new - paid, there - paid
        home = books.to_home(owed, currency_of(line), new_year_s(books.plan, year + 1) - 1) if owed else 0
        row = (ceiling, brought, new, before, paid, owed, left, home)
        found.append(BudgetYear(line.name, year, currency_of(line), *row))
        brought = left if line.carry_over else 0
    return found
