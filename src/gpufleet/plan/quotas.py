"""Quotas: GPUs per product that belong to a queue or a cohort, and how much of them is borrowed and lent."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.declared import Key, PartList, Sourced, as_map
from gpufleet.plan.kinds import Count, Kind, Schema
from gpufleet.plan.moments import Moment
from gpufleet.plan.reader import Origin, Reader, UnreadableError, under
from gpufleet.plan.steps import dated
from gpufleet.plan.supply import product_named
from gpufleet.plan.tree import Map, Node, Seq

Steps = tuple[tuple[int, int], ...]


class QuotaStep(Sourced):
    """A quota from a date on."""

    from_: Annotated[datetime, Key(Moment(), "from when; a bare date is in the plan's zone", "from")]
    value: Annotated[int, Key(Count("GPUs"), "GPUs, until the next step")]


class Nominal(Kind[Steps]):
    """GPUs: a number, or a list of steps. Read as ((seconds from start, GPUs), ...); 0 before the first."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Steps:
        if not isinstance(node, Seq):
            return ((0, Count("GPUs").read(node, path, reader)),)
        steps = dated(PartList(QuotaStep).read(node, path, reader), reader)
        if not steps:
            says, fix = say("the list of steps is empty"), say("write a number of GPUs")
            raise reader.refuse("P008", node.at, says, fix)
        return steps

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Count("GPUs").schema(), {**PartList(QuotaStep).schema(), "minItems": 1}]}


class QuotaTerms(Sourced):
    """The quota of one product, with what may be borrowed and lent."""

    nominal: Annotated[Steps, Key(Nominal(), "GPUs that are its own; a number, or steps by date")]
    borrowing_limit: Annotated[
        int | None, Key(Count("GPUs"), "most GPUs that it borrows from its cohort; left out: no limit")
    ] = None
    lending_limit: Annotated[
        int | None, Key(Count("GPUs"), "most of its own GPUs that it lends to its cohort; left out: all")
    ] = None

    @property
    def peak(self) -> int:
        """The largest number of its own GPUs, over time."""
        return max(gpus for _, gpus in self.nominal)

    @property
    def is_number(self) -> bool:
        """Whether one number says it all."""
        limits = (self.borrowing_limit, self.lending_limit)
        return self.nominal == ((0, self.nominal[0][1]),) and limits == (None, None)


def nominal_at(steps: Steps, t_s: int) -> int:
    """GPUs at a time from the plan's start.

    >>> nominal_at(((0, 8), (60, 16)), 59), nominal_at(((0, 8), (60, 16)), 60), nominal_at(((5, 8),), 4)
    (8, 16, 0)
    """
    return max(((from_s, gpus) for from_s, gpus in steps if from_s <= t_s), default=(0, 0))[1]


class QuotaKind(Kind[QuotaTerms]):
    """A number, steps by date, or a mapping with limits."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> QuotaTerms:
        if isinstance(node, Map) and "value" not in node.items:
            return QuotaTerms.from_node(node, path, reader)
        if isinstance(node, Seq):
            reader.origins[path] = Origin(node.at)
        return QuotaTerms(line=node.at, nominal=Nominal().read(node, path, reader))

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Nominal().schema(), {"$ref": f"#/$defs/{QuotaTerms.__name__}"}]}


class Quotas(Kind[dict[str, QuotaTerms]]):
    """The quota of each product."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, QuotaTerms]:
        quota: dict[str, QuotaTerms] = {}
        body = as_map(node, path, reader)
        ok = True
        for name, item in body.items.items():
            at = body.key_at.get(name, item.at)
            try:
                terms = QuotaKind().read(item, under(path, name), reader)
                product = product_named(name, at, reader)
            except UnreadableError:
                ok = False
                continue
            if product in quota:
                reader.report(
                    "P020",
                    at,
                    say("`{name}` is {product}, which has a quota already", name=name, product=product),
                    say("keep one"),
                )
                ok = False
            quota[product] = terms
        if not ok:
            raise UnreadableError(path)
        return quota

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": QuotaKind().schema()}


def split(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a part whose `quota` was read: GPUs per product, and terms where a number says less."""
    read: dict[str, QuotaTerms] = values.get("quota", {})
    if not read:
        return values
    terms = {product: each for product, each in read.items() if not each.is_number}
    return {**values, "quota": {product: each.peak for product, each in read.items()}, "terms": terms}
