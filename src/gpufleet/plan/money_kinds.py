"""Kinds of values of money: amounts and prices, prices that change, rates, who pays, budgets by year."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Final, NamedTuple

from typing_extensions import override

from gpufleet.base.errors import Place, did_you_mean, explain_code
from gpufleet.base.money import CURRENCIES, Money, parse_money
from gpufleet.base.rates import exact
from gpufleet.base.say import say
from gpufleet.base.units import YEAR_S, UnitError
from gpufleet.plan.declared import Key, PartList, Sourced, as_map, by_name
from gpufleet.plan.kinds import Kind, Number, Schema, Text, Value
from gpufleet.plan.moments import Duration, Moment
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Origin, Reader, UnreadableError
from gpufleet.plan.steps import dated
from gpufleet.plan.tree import Leaf, Map, Node, Seq

EVER_S: Final = -(10**11)
"""Long before any plan: when a price or a rate begins that has no date."""
CATALOGUE: Final = "catalogue"
SHARES_SLACK: Final = Fraction(1, 10**9)

explain_code(
    "P240",
    "a currency without a rate",
    "All amounts are shown in `money.currency`. For every other currency that a price is in, `money.rates` "
    "has what one of it is worth, from the first day on which it is needed.",
    "money: {currency: KRW, rates: {KRW/USD: 1424.4}}      # 1424.4 won for one dollar",
)
explain_code(
    "P241",
    "who pays does not make one whole",
    "`paid_by` is a payer or a funding line, or several with their shares, which sum to 1: a part that "
    "nobody pays, or that is paid twice, would be lost.",
    "paid_by: {state: 0.7, operator: 0.4}       # 1.1",
)
explain_code(
    "P244",
    "a price below 0",
    "Costs and income are amounts of 0 or more; what somebody gets stands under `income`.",
    "price: -3 MUSD",
)
explain_code(
    "P247",
    "not an amount of money",
    "An amount has a number, a currency (three letters, with k, M, G or T before it), and, if it is a price, "
    "what it is for.",
    "price: 450000            # 450 kUSD/node",
)


class PriceStep(NamedTuple):
    """A price from a second on, and the ends of its range."""

    from_s: int
    price: Money
    low: Money
    high: Money


class Amount(Value[Money]):
    """An amount of money, or a price for one of something."""

    ranged = True

    def __init__(self, per: Sequence[str] = ("",)) -> None:
        self.per = tuple(per)
        example = f"30 kUSD/{self.per[0]}" if self.per[0] else "3.7 MUSD"
        self.wants = say("an amount of money such as `{example}`", example=example)

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> Money:
        try:
            found = parse_money(leaf.text, self.per)
        except UnitError as error:
            fix = say("write {wants}", wants=self.wants)
            raise reader.refuse("P247", leaf.at, error.args[0], fix) from error
        if found.micro < 0:
            says = say("`{text}` is below 0", text=leaf.text[:60])
            raise reader.refuse("P244", leaf.at, says, say("write {wants}", wants=self.wants))
        return found

    @override
    def short_schema(self) -> Schema:
        return {"type": "string", "pattern": r"^\s*[0-9.].*[A-Z]{3}(/\S+)?\s*$"}


class DatedPrice(Sourced):
    """A price from a date on."""

    from_: Annotated[datetime, Key(Moment(), "from when it holds", "from")]
    value: Money


class Prices(Kind[tuple[PriceStep, ...]]):
    """A price, or a list of prices with their dates.

    Args: per: what a price may be for; catalogue: whether the word `catalogue` may stand there, read as ().
    """

    def __init__(self, per: Sequence[str], *, catalogue: bool = False) -> None:
        self.amount, self.catalogue = Amount(per), catalogue

        class Step(DatedPrice):
            value: Annotated[Money, Key(self.amount, "the price until the next step")]

        self.steps: PartList[Step] = PartList(Step)

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[PriceStep, ...]:
        if self.catalogue and isinstance(node, Leaf) and node.text == CATALOGUE:
            reader.origins[path] = Origin(node.at, node.text)
            return ()
        if not isinstance(node, Seq):
            price = self.amount.read(node, path, reader)
            return (self._step(EVER_S, price, path, node, reader),)
        steps = self.steps.read(node, path, reader)
        if not steps:
            says = say("the list of steps is empty")
            raise reader.refuse("P008", node.at, says, say("write {wants}", wants=self.amount.wants))
        when = dated(steps, reader, later=True)
        found = tuple(
            self._step(from_s, price, f"{path}.{i}.value", node, reader)
            for i, (from_s, price) in enumerate(when)
        )
        kinds = {(each.price.currency, each.price.per) for each in found}
        if len(kinds) > 1:
            says = say("the steps are in {units:, }", units=sorted("/".join(kind) for kind in kinds))
            raise reader.refuse("P247", node.at, says, say("write them all in one currency, per one thing"))
        return found

    @staticmethod
    def _step(from_s: int, price: Money, path: str, node: Node, reader: Reader) -> PriceStep:
        """A step with its range, which is in the same currency."""
        low, high = reader.origins[path].range or (price, price)
        if {(low.currency, low.per), (high.currency, high.per)} != {(price.currency, price.per)}:
            says = say("the range is in another currency, or per another thing, than {price}", price=price)
            raise reader.refuse("P247", node.at, says, say("write all three alike"))
        return PriceStep(from_s, price, low, high)

    @override
    def schema(self) -> Schema:
        word: list[Schema] = [{"const": CATALOGUE}] if self.catalogue else []
        body = {
            "type": "object",
            "properties": {"from": Moment().schema(), "value": self.amount.schema()}
            | {key: {"type": "string"} for key in ("source", "trust")},
            "required": ["from", "value"],
            "additionalProperties": False,
        }
        return {"anyOf": [*word, self.amount.schema(), {"type": "array", "items": body}]}


def price_at(steps: Sequence[PriceStep], at_s: int) -> PriceStep | None:
    """The step that holds at a second; None before the first."""
    return next((each for each in reversed(steps) if each.from_s <= at_s), None)


class Currency(Value[str]):
    """A currency by its code."""

    wants = say("the code of a currency, such as USD")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        if leaf.text not in CURRENCIES:
            says = say("`{text}` is no currency that is known", text=leaf.text[:20])
            raise reader.refuse("P016", leaf.at, says, did_you_mean(leaf.text.upper(), CURRENCIES))
        return leaf.text

    @override
    def short_schema(self) -> Schema:
        return {"enum": list(CURRENCIES)}


Steps = tuple[tuple[int, float], ...]


class RateStep(Sourced):
    """A rate from a date on."""

    from_: Annotated[datetime, Key(Moment(), "from when it holds", "from")]
    value: Annotated[float, Key(Number(above=True, most=1e9), "how much of the first for one of the second")]


class Rates(Kind[dict[str, Steps]]):
    """Exchange rates: a pair such as KRW/USD, and won for one dollar; or a list of steps by date."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Steps]:
        body = as_map(node, path, reader)
        seen: set[str] = set()

        def pair(word: str, at: Place) -> str:
            self._check(word, at, seen, reader)
            seen.add(word)
            return word

        return by_name(body, path, reader, pair, lambda item, at: self._steps(item, at, reader))

    @staticmethod
    def _check(pair: str, at: Place, seen: set[str], reader: Reader) -> None:
        first, slash, second = pair.partition("/")
        if not slash or first == second or not {first, second} <= set(CURRENCIES):
            says = say("`{pair}` is no pair of two currencies", pair=pair[:40])
            raise reader.refuse("P016", at, says, say("write e.g. `KRW/USD`: won for one dollar"))
        if f"{second}/{first}" in seen:
            says = say("`{pair}` is there the other way round too", pair=pair)
            raise reader.refuse("P020", at, says, say("keep one"))

    @staticmethod
    def _steps(node: Node, path: str, reader: Reader) -> Steps:
        if not isinstance(node, Seq):
            return ((EVER_S, Number(above=True, most=1e9).read(node, path, reader)),)
        steps = PartList(RateStep).read(node, path, reader)
        if not steps:
            says = say("the list of steps is empty")
            raise reader.refuse("P008", node.at, says, say("write a number, or leave the pair out"))
        return dated(steps, reader, later=True)

    @override
    def schema(self) -> Schema:
        rate = Number(above=True, most=1e9).schema()
        steps = {"type": "array", "items": {"$ref": "#/$defs/RateStep"}}
        return {"type": "object", "additionalProperties": {"anyOf": [rate, steps]}}


class PaidBy(Kind[dict[str, Fraction]]):
    """A payer or funding line, or several with their shares of the whole."""

    def __init__(self, what: str = "payer or funding line") -> None:
        self.what = what

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Fraction]:
        if not isinstance(node, Map):
            word = Text().read(node, path, reader)
            return {reader.name(self.what, word, reader.origins[path].at): Fraction(1)}
        reader.origins[path] = Origin(node.at)

        def share(item: Node, at: str) -> Fraction:
            return exact(Number(above=True, most=1.0).read(item, at, reader))

        found = by_name(node, path, reader, lambda name, at: reader.name(self.what, name, at), share)
        whole = sum(found.values(), Fraction())
        if abs(whole - 1) > SHARES_SLACK:
            says = say("the shares of who pays sum to {whole:g}, not to 1", whole=float(whole))
            raise reader.refuse("P241", node.at, says, say("correct the shares"))
        return found

    @override
    def schema(self) -> Schema:
        share = Number(above=True, most=1.0).schema()
        return {"anyOf": [Text().schema(), {"type": "object", "additionalProperties": share}]}


class Ceilings(Kind[dict[int, Money]]):
    """Budgets by year, in one currency."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[int, Money]:
        def year(key: str, at: Place) -> int:
            if not re.fullmatch(r"(19|20|21)\d\d", key):
                says = say("`{key}` is no year", key=key[:20])
                raise reader.refuse("P012", at, says, say("write e.g. `2027: 3 TKRW`"))
            return int(key)

        body = as_map(node, path, reader)
        found = by_name(body, path, reader, year, lambda item, at: Amount().read(item, at, reader))
        currencies = sorted({each.currency for each in found.values()})
        if len(currencies) > 1:
            says = say("the years are in {currencies:, }", currencies=currencies)
            raise reader.refuse("P247", node.at, says, say("write them all in one currency"))
        if not found:
            raise reader.refuse("P007", node.at, say("there is no year"), say("write e.g. `2027: 3 TKRW`"))
        return found

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": Amount().schema()}


class Lifetime(Value[int]):
    """How long something serves, s: years, or a time."""

    ranged = True
    wants = say("a time such as `5 y`")
    _YEARS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:y|year|years)")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> int:
        match = self._YEARS.fullmatch(leaf.text.strip())
        if match is None:
            return Duration(least=86_400).parse(leaf, reader)
        years = exact(float(match.group(1)))
        if not 0 < years <= 100:
            says = say("`{text}` is out of bounds: more than 0, at most 100 years", text=leaf.text[:20])
            raise reader.refuse("P011", leaf.at, says, say("write {wants}", wants=self.wants))
        return round(years * YEAR_S)

    @override
    def short_schema(self) -> Schema:
        return {"type": "string"}


class ProductNames(NameList):
    """Products: of the catalogue, or own ones of the plan."""

    def __init__(self) -> None:
        super().__init__("product")

    @override
    def one(self, word: str, leaf: Leaf, reader: Reader) -> str:
        from gpufleet.plan.supply import product_named

        return product_named(word, leaf.at, reader)


class SystemNames(NameList):
    """Systems: of the catalogue, or own ones of the plan."""

    def __init__(self) -> None:
        super().__init__("system")

    @override
    def one(self, word: str, leaf: Leaf, reader: Reader) -> str:
        from gpufleet.plan.supply import SystemName

        return SystemName().parse(leaf, reader)


class Spans(Kind[tuple[int, ...]]):
    """Hours of a day or months of a year: `9-23` is from 9:00 until 23:00; `6-8` is June to August.

    Args: first, last: what there is; ends: whether the end of a span belongs to it (months) or not (hours).
    """

    _SPAN: Final = re.compile(r"(\d{1,2})\s*-\s*(\d{1,2})")

    def __init__(self, first: int, last: int, *, ends: bool) -> None:
        self.first, self.last, self.ends = first, last, ends

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[int, ...]:
        leaves = node.items if isinstance(node, Seq) else (node,)
        reader.origins[path] = Origin(node.at)
        found: list[int] = []
        for leaf in leaves:
            if not isinstance(leaf, Leaf):
                raise self._refuse(node, reader, "")
            found += self._one(leaf, reader)
        return tuple(sorted(set(found)))

    def _one(self, leaf: Leaf, reader: Reader) -> list[int]:
        text = leaf.text.strip()
        match = self._SPAN.fullmatch(text)
        if match is None and not text.isdecimal():
            raise self._refuse(leaf, reader, text)
        low, high = (int(part) for part in match.groups()) if match else (int(text), int(text))
        most = self.last if self.ends or match is None else self.last + 1
        if not (self.first <= low <= self.last and self.first <= high <= most):
            raise self._refuse(leaf, reader, text)
        if match is None:
            return [low]
        size = self.last - self.first + 1
        length = (high - low + int(self.ends)) % size or size
        return [self.first + (low - self.first + i) % size for i in range(length)]

    def _refuse(self, node: Node, reader: Reader, text: str) -> UnreadableError:
        says = say(
            "`{text}` is no span from {first} to {last}", text=text[:20], first=self.first, last=self.last
        )
        return reader.refuse("P011", node.at, says, say("write e.g. `9-12`, or a list of such"))

    @override
    def schema(self) -> Schema:
        one: Schema = {"type": ["string", "integer"]}
        return {"anyOf": [one, {"type": "array", "items": one}]}
