"""Money: what things cost and bring in, who pays, out of which budgets, in which currency."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field
from typing_extensions import override

from gpufleet.base.money import Money
from gpufleet.base.say import say
from gpufleet.base.units import YEAR_S
from gpufleet.plan.declared import Declared, Key, PartList, Parts, Sourced
from gpufleet.plan.kinds import Choice, Flag, Number, Ref, Text
from gpufleet.plan.moments import Moment
from gpufleet.plan.money_kinds import (
    Ceilings,
    Currency,
    Lifetime,
    PaidBy,
    Prices,
    PriceStep,
    ProductNames,
    Rates,
    Spans,
    Steps,
    SystemNames,
)
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Reader
from gpufleet.plan.tree import Map

CostKind = Literal[
    "hardware", "network", "building", "power", "staff", "space", "maintenance", "duty", "other"
]
KINDS: Final[tuple[CostKind, ...]] = (
    "hardware", "network", "building", "power", "staff", "space", "maintenance", "duty", "other",
)  # fmt: skip
LIVES: Final[dict[CostKind, int]] = {
    "hardware": 5 * YEAR_S, "network": 5 * YEAR_S, "duty": 5 * YEAR_S, "building": 20 * YEAR_S,
}  # fmt: skip
"""How long what is bought serves, s, if the plan does not say so: servers as most operators write them off;
20 years of a building are an assumption."""

PER_ARRIVAL: Final = ("GPU", "node", "MW")
"""What is paid once, when it comes."""
PER_TIME: Final = ("GPU-year", "node-year", "MW-year", "year", "month", "GPU-h")
PER: Final = ("", *PER_ARRIVAL, *PER_TIME, "kWh")
DUE: Final = ("ordered", "delivered", "accepted")
DAYS: Final = ("all", "workdays", "weekends")
METHODS: Final = ("straight-line", "declining")
WHEN_SHORT: Final = ("owe", "wait")


class Payer(Sourced):
    """Who pays, or gets, money."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None


class Funding(Sourced):
    """A budget: so much money a year, for what names it in `paid_by`."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    payer: Annotated[str, Key(Ref("payer"), "whose money it is: one of `payers`")]
    ceilings: Annotated[dict[int, Money], Key(Ceilings(), "how much there is in each year")]
    carry_over: Annotated[bool, Key(Flag(), "what a year leaves is there in the next")] = True
    within: Annotated[
        str | None, Key(Ref("funding line"), "the larger budget that it is a part of; left out: none")
    ] = None
    when_short: Annotated[
        Literal["owe", "wait"],
        Key(
            Choice(WHEN_SHORT),
            "what does not fit under the ceiling is owed until there is room, or lots wait for it",
        ),
    ] = "owe"


class Band(Declared):
    """Hours of some days and months in which energy has one price."""

    price: Annotated[tuple[PriceStep, ...], Key(Prices(("kWh",)), "what a kWh costs then")]
    hours: Annotated[
        tuple[int, ...], Key(Spans(0, 23, ends=False), "hours of the day, `9-23`; left out: all")
    ] = tuple(range(24))
    months: Annotated[
        tuple[int, ...], Key(Spans(1, 12, ends=True), "months of the year, `6-8`; left out: all")
    ] = tuple(range(1, 13))
    days: Annotated[Literal["all", "workdays", "weekends"], Key(Choice(DAYS), "days of the week")] = "all"


class Tariff(Sourced):
    """What energy costs, by hour, day and month; each hour of a year has one price."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    bands: Annotated[tuple[Band, ...], Key(PartList(Band), "hours and their prices, in one currency")]

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        currencies = sorted({band.price[0].price.currency for band in values["bands"]})
        if len(currencies) > 1:
            says = say("the bands are in {currencies:, }", currencies=currencies)
            raise reader.refuse("P247", node.at, says, say("write them all in one currency"))
        return values


class Selecting(Sourced):
    """Which lots, or the GPUs of which lots, something is for; all conditions hold together."""

    lots: Annotated[tuple[str, ...], Key(NameList("lot"), "lots that it is for; left out: any")] = ()
    sites: Annotated[tuple[str, ...], Key(NameList("site"), "sites that it is for; left out: any")] = ()
    systems: Annotated[tuple[str, ...], Key(SystemNames(), "systems that it is for; left out: any")] = ()
    products: Annotated[tuple[str, ...], Key(ProductNames(), "products that it is for; left out: any")] = ()
    tenants: Annotated[
        tuple[str, ...], Key(NameList("tenant"), "owners of lots that it is for; left out: any", "for")
    ] = ()
    from_: Annotated[datetime | None, Key(Moment(), "when it begins; left out: from the start", "from")] = (
        None
    )
    until: Annotated[datetime | None, Key(Moment(), "when it ends; left out: never")] = None
    due: Annotated[
        Literal["ordered", "delivered", "accepted"],
        Key(Choice(DUE), "step at which a price for each GPU, node or MW is due"),
    ] = "delivered"
    at: Annotated[datetime | None, Key(Moment(), "when an amount is paid, at once")] = None


class Cost(Selecting):
    """What something costs, and who pays."""

    name: str
    one_of: ClassVar[tuple[str, ...]] = ("price", "share", "tariff")
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    kind: Annotated[CostKind, Key(Choice(KINDS), "what it is")]
    price: Annotated[
        tuple[PriceStep, ...] | None,
        Key(
            Prices(PER, catalogue=True),
            "an amount; or a price for a GPU, node or MW (paid once, when lots come), for a GPU-year, "
            "node-year, MW-year, GPU-h, year, month (as time passes), or for a kWh; `catalogue`: what the "
            "catalogue says of each system",
        ),
    ] = None
    share: Annotated[
        float | None, Key(Number(above=True, most=10.0), "a share of what other costs (`of`) come to")
    ] = None
    of: Annotated[tuple[str, ...], Key(NameList("cost"), "costs that `share` is a share of")] = ()
    each: Annotated[
        Literal["once", "year"], Key(Choice(("once", "year")), "a share is paid once, or every year")
    ] = "once"
    tariff: Annotated[str | None, Key(Ref("tariff"), "what the energy of the sites costs")] = None
    load: Annotated[
        float,
        Key(Number(above=True, most=1.0), "share of rated power that is drawn where no meter runs"),
    ] = 1.0
    cash: Annotated[
        bool, Key(Flag(), "false: no money flows, as with a charge on stock; it stands as written off")
    ] = True
    paid_by: Annotated[
        dict[str, Fraction], Key(PaidBy(), "a payer or funding line, or several and their shares")
    ]
    life_s: Annotated[
        int | None,
        Key(Lifetime(), "how long it serves; left out: `money.life`, or by its kind", "life"),
    ] = None
    left: Annotated[
        float | None,
        Key(Number(most=1.0), "share of its cost that it is worth after that; left out: `money.left`"),
    ] = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if ("share" in values) != ("of" in values):
            says = say("`{path}` has only one of `share` and `of`", path=path)
            raise reader.refuse("P007", node.at, says, say("write both: a share of which costs"))
        if "each" in node.items and "share" not in values:
            says = say("`each` has no effect without `share`")
            raise reader.refuse("P024", node.key_at["each"], says, say("leave it out"))
        _no_effect(cls, values, node, reader)
        _has_dates(values, node, path, reader)
        return values

    @property
    def is_asset(self) -> bool:
        """Whether it buys something that serves for years, rather than pays for time."""
        per = self.price[0].price.per if self.price else ""
        return (
            self.cash
            and self.kind in LIVES
            and per in ("", *PER_ARRIVAL)
            and self.tariff is None
            and self.each == "once"
        )


class Income(Selecting):
    """What somebody gets: rent, subsidies, sales."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    price: Annotated[
        tuple[PriceStep, ...],
        Key(
            Prices(("", *PER_ARRIVAL, *PER_TIME)),
            "an amount; or a price for a GPU, node, MW (when lots come), for a GPU-h, GPU-year, year, month",
        ),
    ]
    hours: Annotated[
        Literal["used", "online"],
        Key(Choice(("used", "online")), "of a price for a GPU-h: hours that jobs hold, or all in service"),
    ] = "used"
    to: Annotated[dict[str, Fraction], Key(PaidBy("payer"), "a payer, or several and their shares")]

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        per = values["price"][0].price.per
        if "hours" in node.items and per != "GPU-h":
            says = say("`hours` has an effect with a price for a GPU-h only")
            raise reader.refuse("P024", node.key_at["hours"], says, say("leave it out"))
        _has_dates(values, node, path, reader)
        return values


def _no_effect(cls: type[Cost], values: dict[str, Any], node: Map, reader: Reader) -> None:
    """Refuse keys that nothing would come of, each with what it needs."""
    price = values.get("price")
    per = price[0].price.per if price else ""
    energy = "tariff" in values or per == "kWh"
    arrives = (
        price == () or per in PER_ARRIVAL or ("share" in values and values.get("each", "once") == "once")
    )
    serves = values["kind"] in LIVES and not energy and per not in PER_TIME and values.get("each") != "year"
    serves = serves and values.get("cash", True)
    of_lots = (bool(per) and per not in ("year", "month")) or price == () or "share" in values
    of_lots = of_lots and not energy  # that is the whole site's
    wants = {
        "life": (serves, say("a cost that buys something for years")),
        "left": (serves, say("a cost that buys something for years")),
        "due": (arrives, say("a price for each GPU, node or MW")),
        "load": (energy, say("a price for a kWh, or a tariff")),
        "sites": (of_lots or energy, say("a price for lots or energy, or a share of one")),
        **dict.fromkeys(("lots", "systems", "products", "for"),
                        (of_lots, say("a price for lots, or a share of one"))),
    }  # fmt: skip
    for key, (useful, what) in wants.items():
        if key in node.items and not useful:
            says = say("`{key}` has an effect with {what} only", key=key, what=what)
            reader.report("P024", node.key_at[key], says, say("leave it out"))


def _has_dates(values: dict[str, Any], node: Map, path: str, reader: Reader) -> None:
    """Refuse an amount without a date, and dates that nothing comes of."""
    price: tuple[PriceStep, ...] = values.get("price") or ()
    amount = bool(price) and not price[0].price.per
    if amount and "at" not in values and not {"from_", "until"} <= set(values):
        says = say("`{path}` is an amount, and has no date", path=path)
        raise reader.refuse("P007", node.at, says, say("add `at`, or `from` and `until`: paid evenly"))
    if "at" in values and (not amount or {"from_", "until"} & set(values)):
        says = say("`at` has an effect with an amount, and without `from` and `until`")
        raise reader.refuse("P024", node.key_at["at"], says, say("leave it out"))
    first, last = values.get("from_"), values.get("until")
    if first and last and last <= first:
        says = say(
            "`until` ({last}) is not after `from` ({first})",
            last=reader.local(last),
            first=reader.local(first),
        )
        raise reader.refuse("P022", node.key_at["until"], says, say("correct one of the two"))


class MoneyPlan(Declared):
    """What the plan costs, who pays, and out of which budgets."""

    currency: Annotated[str, Key(Currency(), "of all that is shown")]
    rates: Annotated[dict[str, Steps], Key(Rates(), "exchange rates by pair, with their dates")] = Field(
        default_factory=dict
    )
    payers: Annotated[dict[str, Payer], Key(Parts(Payer), "who pays")]
    funding: Annotated[dict[str, Funding], Key(Parts(Funding), "budgets with ceilings by year")] = Field(
        default_factory=dict
    )
    tariffs: Annotated[dict[str, Tariff], Key(Parts(Tariff), "what energy costs by hour and month")] = Field(
        default_factory=dict
    )
    costs: Annotated[dict[str, Cost], Key(Parts(Cost), "what is paid for")]
    income: Annotated[dict[str, Income], Key(Parts(Income), "what comes in")] = Field(default_factory=dict)
    life_s: Annotated[
        int | None, Key(Lifetime(), "how long what is bought serves; left out: by its kind", "life")
    ] = None
    left: Annotated[float, Key(Number(most=1.0), "share of its cost that it is worth after that")] = 0.0
    method: Annotated[
        Literal["straight-line", "declining"],
        Key(Choice(METHODS), "written off in equal parts, or by the same share every year"),
    ] = "straight-line"
    discount: Annotated[
        float | None, Key(Number(most=10.0), "interest of a year, for present values; left out: none shown")
    ] = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        for name, line in values.get("funding", {}).items():
            if name in values["payers"]:
                says = say("`{name}` is a payer and a funding line", name=name)
                reader.report("P020", line.line, says, say("give one of them another name"))
        return values

    def payer_of(self, name: str) -> str:
        """The payer behind a payer or a funding line."""
        return self.funding[name].payer if name in self.funding else name

    def life_of(self, cost: Cost) -> int:
        """How long what a cost buys serves, s."""
        return cost.life_s or self.life_s or LIVES[cost.kind]

    def left_of(self, cost: Cost) -> float:
        """Share of its cost that it is worth after that."""
        return self.left if cost.left is None else cost.left
