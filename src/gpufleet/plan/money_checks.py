"""Checks of money: what cannot be worked out, what is paid twice, what is for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import TYPE_CHECKING, Final

from gpufleet.base.errors import Finding
from gpufleet.base.rates import NoRateError, Rates
from gpufleet.base.say import Said, say
from gpufleet.plan.check import check
from gpufleet.plan.money import PER_ARRIVAL, Cost
from gpufleet.plan.money_kinds import price_at
from gpufleet.plan.money_lots import currencies_of, dues, prices_of, selected, sites_of
from gpufleet.plan.purses import is_of_lots, paid_out_of

if TYPE_CHECKING:
    from gpufleet.base.money import Money
    from gpufleet.plan.money import Funding, Income, MoneyPlan, Tariff
    from gpufleet.plan.plan import Plan

_WEEK: Final = {"all": (0, 1), "workdays": (0,), "weekends": (1,)}


def first_need_s(plan: Plan, part: Cost | Income) -> int:
    """The first second at which a price is needed."""
    first = part.at or part.from_
    if first is not None:
        return plan.seconds(first)
    per = part.price[0].price.per if part.price else ""
    if per not in PER_ARRIVAL and not (isinstance(part, Cost) and part.is_asset):
        return 0
    return min((due.at_s for lot in selected(plan, part) for due in dues(plan, part, lot)), default=0)


@check("P240", "a currency without a rate", severity="error")
def currency_without_rate(plan: Plan) -> Iterator[Finding]:
    """Prices and budgets in other currencies than `money.currency` need a rate, from the first day on which
    one of them is paid.

    Example::

        money: {currency: KRW, costs: {gpus: {kind: hardware, price: 450 kUSD/node, paid_by: state}}}
    """
    money = plan.money
    if money is None:
        return
    rates = Rates(money.rates)
    for path, part in _parts(money):
        for currency in dict.fromkeys(currencies_of(plan, part)):
            budgets = [money.funding[name] for name in getattr(part, "paid_by", {}) if name in money.funding]
            wanted = [money.currency, *(_currency(each.ceilings) for each in budgets)]
            at_s = first_need_s(plan, part)
            for to in dict.fromkeys(wanted):
                if not _known(rates, currency, to, at_s):
                    yield _no_rate(plan, path, currency, to, at_s)
    for name, line in money.funding.items():
        if not _known(rates, _currency(line.ceilings), money.currency, 0):
            yield _no_rate(plan, f"money.funding.{name}", _currency(line.ceilings), money.currency, 0)


def _currency(ceilings: Mapping[int, Money]) -> str:
    return next(iter(ceilings.values())).currency


def _known(rates: Rates, of: str, to: str, at_s: int) -> bool:
    try:
        rates.rate(of, to, at_s)
    except NoRateError:
        return False
    return True


def _no_rate(plan: Plan, path: str, of: str, to: str, at_s: int) -> Finding:
    day = plan.local(at_s).date()
    says = say("{of} is to be turned into {to} on {day}, and there is no rate", of=of, to=to, day=day)
    fix = say("add `money.rates.{to}/{of}`, from {day} or before", of=of, to=to, day=day)
    return Finding(at=plan.line(path), says=says, fix=fix)


def _parts(money: MoneyPlan) -> Iterator[tuple[str, Cost | Income]]:
    yield from ((f"money.costs.{name}", each) for name, each in money.costs.items())
    yield from ((f"money.income.{name}", each) for name, each in money.income.items())


@check("P242", "hardware that is paid twice", severity="error")
def paid_twice(plan: Plan) -> Iterator[Finding]:
    """Of two costs of the kind `hardware` with a price for each GPU or node none is for the same lot.

    Example::

        costs:
          all: {kind: hardware, price: 450 kUSD/node, paid_by: state}
          new: {kind: hardware, price: 500 kUSD/node, lots: lot-2, paid_by: state}      # `all` has lot-2 too
    """
    hardware = [each for each in plan.money.costs.values() if _buys(each)] if plan.money else []
    for one, other in combinations(hardware, 2):
        both = {lot.name for lot in selected(plan, one)} & {lot.name for lot in selected(plan, other)}
        if both:
            says = say(
                "{n:,} lot is paid by {one} and by {other}: {some}",
                "{n:,} lots are paid by {one} and by {other}: {some}",
                n=len(both),
                one=one.name,
                other=other.name,
                some=next(lot.name for lot in plan.deliveries if lot.name in both),
            )
            fix = say("say with `lots`, `systems`, `sites` or `for` which of the two each is for")
            yield Finding(at=other.line, says=says, fix=fix)


def _buys(cost: Cost) -> bool:
    return cost.kind == "hardware" and cost.price is not None and cost.at is None and cost.from_ is None


@check("P243", "budgets that exceed the one they are part of", severity="error")
def budget_spent_twice(plan: Plan) -> Iterator[Finding]:
    """Funding lines `within` another one divide its money: together they have no more than it.

    Example::

        funding:
          all: {payer: state, ceilings: {2026: 100 GJPY}}
          chips: {payer: state, within: all, ceilings: {2026: 150 GJPY}}
    """
    funding = plan.money.funding if plan.money else {}
    for name, line in funding.items():
        parts = [each for each in funding.values() if each.within == name]
        if name in _above(funding, name):
            says = say("`{name}` is within itself", name=name)
            yield Finding(at=line.line, says=says, fix=say("take one `within` away"))
            continue
        currency = _currency(line.ceilings)
        for part in parts:
            if _currency(part.ceilings) != currency:
                says = say("{part} is in another currency than {name}", part=part.name, name=name)
                yield Finding(at=part.line, says=says, fix=say("write both in one currency"))
        whole = sum(each.micro for each in line.ceilings.values())
        given = sum(each.micro for part in parts for each in part.ceilings.values())
        if given > whole:
            says = say(
                "the parts of {name} have {given:,.0f} {currency} in all, and it has {whole:,.0f}",
                name=name, given=given / 1e6, whole=whole / 1e6, currency=currency,
            )  # fmt: skip
            yield Finding(at=line.line, says=says, fix=say("lower the parts, or raise it"))


def _above(funding: Mapping[str, Funding], name: str) -> list[str]:
    """The lines that a line is within, up to the first that comes again."""
    found: list[str] = []
    upper = funding[name].within
    while upper is not None and upper in funding and upper not in found:
        found.append(upper)
        upper = funding[upper].within
    return found


@check("P245", "prices with gaps", severity="error")
def price_gap(plan: Plan) -> Iterator[Finding]:
    """A price by steps begins when it is first needed; a tariff has one price for each hour of the year.

    Example::

        tariffs: {day: {bands: [{hours: 9-23, price: 200 KRW/kWh}]}}          # and from 23 to 9?
    """
    if plan.money is None:
        return
    for path, part in _parts(plan.money):
        needed_s = first_need_s(plan, part)
        if part.price and price_at(part.price, needed_s) is None:
            yield _late(plan, path, part.price[0].from_s, needed_s)
    used = {cost.tariff for cost in plan.money.costs.values()}
    for name, tariff in plan.money.tariffs.items():
        path = f"money.tariffs.{name}"
        yield from _uncovered(tariff)
        for band in tariff.bands if name in used else ():
            if price_at(band.price, 0) is None:
                yield _late(plan, path, band.price[0].from_s, 0)


def _late(plan: Plan, path: str, from_s: int, needed_s: int) -> Finding:
    says = say(
        "the first price is from {first}, and one is needed from {needed} on",
        first=plan.local(from_s).date(),
        needed=plan.local(needed_s).date(),
    )
    return Finding(at=plan.line(path), says=says, fix=say("add a step that begins earlier"))


def _uncovered(tariff: Tariff) -> Iterator[Finding]:
    """Hours of a tariff without a price, or with two."""
    count = dict.fromkeys(product(range(1, 13), (0, 1), range(24)), 0)
    for band in tariff.bands:
        for hour in product(band.months, _WEEK[band.days], band.hours):
            count[hour] += 1
    none, twice = ([hour for hour, n in count.items() if bad(n)] for bad in (_none, _many))
    if none:
        said = say(
            "{n:,} of {all:,} hours have no price; the first: {first}",
            n=len(none),
            all=len(count),
            first=_hour(*none[0]),
        )
        yield Finding(at=tariff.line, says=said, fix=say("give each hour of each month one band"))
    if twice:
        said = say(
            "{n:,} of {all:,} hours have two prices; the first: {first}",
            n=len(twice),
            all=len(count),
            first=_hour(*twice[0]),
        )
        yield Finding(at=tariff.line, says=said, fix=say("give each hour of each month one band"))


def _none(n: int) -> bool:
    return n == 0


def _many(n: int) -> bool:
    return n > 1


def _hour(month: int, weekend: int, hour: int) -> Said:
    days = say("weekend") if weekend else say("working day")
    return say("month {month}, {days}, {hour}:00", month=month, days=days, hour=hour)


@check("P246", "no price is known of a system", severity="error")
def no_price(plan: Plan) -> Iterator[Finding]:
    """`price: catalogue` needs a price of each system, or of its GPU.

    Example::

        systems: {box: {product: my-chip, gpus_per_node: 8}}
        costs: {gpus: {kind: hardware, price: catalogue, paid_by: state}}
    """
    for cost in plan.money.costs.values() if plan.money else ():
        if cost.price != ():
            continue
        lacking = {lot.system for lot in selected(plan, cost) if not prices_of(plan, cost, lot)}
        if lacking:
            says = say("the catalogue has no price of {systems:, }", systems=sorted(lacking))
            fix = say("add a cost with a `price` for these `systems`, and name the others in this one")
            yield Finding(at=cost.line, says=says, fix=fix)


@check("P248", "a cost or an income that is for nothing")
def for_nothing(plan: Plan) -> Iterator[Finding]:
    """What is paid for lots needs lots, and falls into the plan's time: all conditions of a cost (`lots`,
    `sites`, `systems`, `products`, `for`) hold together.

    Example::

        costs: {gpus: {kind: hardware, systems: DGX-B200, sites: nowhere, price: catalogue, paid_by: state}}
    """
    for path, part in _parts(plan.money) if plan.money else ():
        per = part.price[0].price.per if part.price else ""
        of_lots = not part.price or per not in ("", "year", "month")
        if of_lots and not selected(plan, part):
            says = say("`{path}` is for no lot", path=path)
            yield Finding(at=part.line, says=says, fix=say("correct the names, or leave it out"))
        first, last = part.at or part.from_, part.until
        if (first and first >= plan.end) or (last and last <= plan.start):
            says = say("nothing of `{path}` falls into the plan's time", path=path)
            yield Finding(at=part.line, says=says, fix=say("correct its dates, or leave it out"))


@check("P249", "a budget that pays for nothing")
def budget_for_nothing(plan: Plan) -> Iterator[Finding]:
    """A funding line is named by a cost (`paid_by`), or is made of others that are. Payers and tariffs that
    nothing names are told too.

    Example::

        funding: {round-3: {payer: state, ceilings: {2027: 2 TKRW}}}        # no cost names it
    """
    if plan.money is None:
        return
    named = {name for cost in plan.money.costs.values() for name in cost.paid_by}
    named |= {line.within for line in plan.money.funding.values() if line.within}
    for name, line in plan.money.funding.items():
        if name not in named:
            says = say("nothing is paid out of `{name}`", name=name)
            yield Finding(at=line.line, says=says, fix=say("name it in `paid_by` of a cost, or leave it out"))
    named |= {line.payer for line in plan.money.funding.values()}
    named |= {name for each in plan.money.income.values() for name in each.to}
    tariffs = {cost.tariff for cost in plan.money.costs.values()}
    unused = {name: each.line for name, each in plan.money.payers.items() if name not in named}
    unused |= {name: each.line for name, each in plan.money.tariffs.items() if name not in tariffs}
    for name, at in unused.items():
        yield Finding(at=at, says=say("nothing names `{name}`", name=name), fix=say("leave it out"))


@check("P250", "shares of each other", severity="error")
def share_of_share(plan: Plan) -> Iterator[Finding]:
    """A share is one of costs that have a price: not of other shares, and not of energy.

    Example::

        costs: {a: {share: 0.1, of: b, ...}, b: {share: 0.2, of: a, ...}}
    """
    for cost in plan.money.costs.values() if plan.money else ():
        for name in cost.of:
            other = plan.money.costs[name] if plan.money else cost
            if not other.is_asset or other.share is not None:
                says = say(
                    "`{cost}` is a share of `{name}`, which is paid over time", cost=cost.name, name=name
                )
                fix = say("take a cost that is paid at once, and has a price")
                yield Finding(at=cost.line, says=says, fix=fix)


@check("P251", "energy that nothing measures", severity="error")
def no_energy(plan: Plan) -> Iterator[Finding]:
    """Energy is that of the site's meter (with a section `power`), or follows from rated power: that of
    every system there must be known. A price for a MW needs it too.

    Example::

        systems: {box: {product: my-chip, gpus_per_node: 8}}        # add `node_power`
    """
    for path, part in _parts(plan.money) if plan.money else ():
        per = part.price[0].price.per if part.price else ""
        if not (per in ("kWh", "MW", "MW-year") or getattr(part, "tariff", None)):
            continue
        there = sites_of(plan, part)
        lots = [lot for lot in plan.deliveries if lot.to in there]
        lacking = sorted({lot.system for lot in lots if plan.systems[lot.system].rated_node_w is None})
        if lacking:
            says = say("no rated power of {systems:, } is known", systems=lacking)
            fix = say("declare the system under `systems` with a `node_power`")
            yield Finding(at=plan.line(path), says=says, fix=fix)


@check("P252", "written off by shares to nothing", severity="error")
def declining_to_nothing(plan: Plan) -> Iterator[Finding]:
    """By the same share every year nothing is ever worth 0: what is `left` at the end is above 0.

    Example::

        money: {method: declining, left: 0}
    """
    if plan.money is None or plan.money.method != "declining":
        return
    for cost in plan.money.costs.values():
        if cost.is_asset and plan.money.left_of(cost) <= 0:
            says = say("`{cost}` has nothing left at the end, and is written off by shares", cost=cost.name)
            yield Finding(at=cost.line, says=says, fix=say("write `left: 0.1`, or `method: straight-line`"))


@check("P253", "a budget that lots cannot wait for", severity="error")
def cannot_wait(plan: Plan) -> Iterator[Finding]:
    """Lots wait for a budget (`when_short: wait`) that pays for lots only (a price for each GPU, node or MW,
    or a share of one, once), all at one step, that is within no other budget, and no other one within it.

    Example::

        funding: {chips: {payer: state, ceilings: {2026: 1 TKRW}, when_short: wait}}
        costs: {power: {kind: power, price: 100 KRW/kWh, paid_by: chips}}
    """
    funding = plan.money.funding if plan.money else {}
    for line in funding.values():
        if line.when_short != "wait" or plan.money is None:
            continue
        costs = list(paid_out_of(plan.money, line))
        wrong = [cost.name for cost in costs if not is_of_lots(cost)]
        if wrong:
            says = say(
                "`{line}` pays for {wrong:, } too, which are not paid when lots come",
                line=line.name,
                wrong=wrong,
            )
            yield Finding(
                at=line.line, says=says, fix=say("pay them out of another line, or write `when_short: owe`")
            )
        if len({cost.due for cost in costs}) > 1:
            says = say(
                "`{line}` pays at several steps: {due:, }", line=line.name, due=sorted({c.due for c in costs})
            )
            yield Finding(at=line.line, says=says, fix=say("write the same `due` in all costs that it pays"))
        if line.within:
            says = say(
                "lots wait for `{line}`, and it is within `{whole}`", line=line.name, whole=line.within
            )
            yield Finding(at=line.line, says=says, fix=say("leave `within` out: it has ceilings of its own"))
        if any(each.within == line.name for each in funding.values()):
            says = say("lots wait for `{line}`, and others are within it", line=line.name)
            yield Finding(at=line.line, says=says, fix=say("let lots wait for its parts"))
