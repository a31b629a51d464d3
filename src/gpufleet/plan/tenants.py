"""Tenants and their queues: who may use how much."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.declared import Key, Parts, Sourced, as_map
from gpufleet.plan.kinds import Count, Kind, Schema, Text
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.supply import product_named
from gpufleet.plan.tree import Map, Node

Quota = dict[str, int]


class Quotas(Kind[Quota]):
    """GPUs per product; a product that is not named is unlimited."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Quota:
        quota: Quota = {}
        body = as_map(node, path, reader)
        ok = True
        for name, item in body.items.items():
            at = body.key_at.get(name, item.at)
            try:
                gpus = Count("GPUs").read(item, under(path, name), reader)
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
            quota[product] = gpus
        if not ok:
            raise UnreadableError(path)
        return quota

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": Count("GPUs").schema()}


class Queue(Sourced):
    """A line of waiting jobs with a hard quota: GPUs per product that its jobs hold at one time."""

    name: str
    tenant: str = ""
    quota: Annotated[Quota, Key(Quotas(), "GPUs per product; one that is not named is unlimited")] = Field(
        default_factory=dict
    )


class Tenant(Sourced):
    """An organisation that uses the fleet. Without `queues` it has one queue of its own name."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    quota: Annotated[Quota, Key(Quotas(), "quota of its only queue; GPUs per product")] = Field(
        default_factory=dict
    )
    queues: Annotated[dict[str, Queue], Key(Parts(Queue), "its queues by name")] = Field(default_factory=dict)

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        name, queues = values["name"], values.get("queues")
        if queues is not None and "quota" in values:
            says = say("`{path}` has queues and a quota of its own", path=path)
            raise reader.refuse("P023", node.key_at["quota"], says, say("give each queue its quota"))
        if queues is not None and not queues:
            says = say("`{path}.queues` is empty: nobody could use it", path=path)
            raise reader.refuse("P008", node.at, says, say("leave `queues` out: one queue"))
        if queues is None:
            queues = {name: Queue(line=node.at, name=name, quota=values.get("quota", {}))}
        values["queues"] = {key: queue.model_copy(update={"tenant": name}) for key, queue in queues.items()}
        return values
