"""Tenants and their queues: who may use how much."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field
from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.declared import Key, Part, Parts, Sourced
from gpufleet.plan.kinds import Text
from gpufleet.plan.law import Country
from gpufleet.plan.limits import Limits
from gpufleet.plan.quotas import Quotas, QuotaTerms, Steps, split
from gpufleet.plan.reader import Reader
from gpufleet.plan.sharing import Shared
from gpufleet.plan.tree import Map

_PASSED_ON: Final = tuple(key for key in Shared.model_fields if key not in Sourced.model_fields)
"""What a tenant says for its queues."""


class Queue(Shared):
    """A line of waiting jobs with a quota: GPUs per product that its jobs hold at one time."""

    name: str
    tenant: str = ""
    quota: Annotated[
        dict[str, int],
        Key(Quotas(), "GPUs per product; one that is not named is unlimited, but 0 in a cohort"),
    ] = Field(default_factory=dict)
    limits: Annotated[
        Limits | None, Key(Part(Limits), "what each user and each project may hold in this queue")
    ] = None
    terms: dict[str, QuotaTerms] = Field(default_factory=dict)  # of products that a number says too little of
    ceiling: dict[str, int] = Field(default_factory=dict)  # in a cohort: most that it may hold, all borrowed

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        return split(values)

    def most(self, product: str, default: int) -> int:
        """The most GPUs of a product that its jobs may ever hold; `default` where there is no limit."""
        return self.ceiling.get(product, self.quota.get(product, default))

    def own(self, product: str) -> Steps:
        """Its own GPUs of a product, over time; none where there is no limit."""
        if product in self.terms:
            return self.terms[product].nominal
        if product in self.quota or self.cohort is not None:
            return ((0, self.quota.get(product, 0)),)
        return ()

    def limit_s(self, asked_s: int) -> int:
        """The time limit of a job that asks for one; 0 = none.

        >>> from gpufleet.base.errors import Place
        >>> short = Queue(line=Place("plan.yaml", 9), name="short", max_run_time_s=3600)
        >>> short.limit_s(0), short.limit_s(60), short.limit_s(7200)
        (3600, 60, 3600)
        """
        return min(filter(None, (asked_s, self.max_run_time_s)), default=0)


class Tenant(Shared):
    """An organisation that uses the fleet. Without `queues` it has one queue of its own name."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    quota: Annotated[dict[str, int], Key(Quotas(), "quota of its only queue; GPUs per product")] = Field(
        default_factory=dict
    )
    limits: Annotated[
        Limits | None,
        Key(Part(Limits), "what each user and each project may hold in all its queues together"),
    ] = None
    hq: Annotated[
        str | None,
        Key(Country(), "headquarters of its ultimate parent, for export law; left out: the site's"),
    ] = None
    terms: dict[str, QuotaTerms] = Field(default_factory=dict)
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
        values = split(values)
        if queues is None:
            quota = {key: values.get(key, {}) for key in ("quota", "terms")}
            queues = {name: Queue(line=node.at, name=name, **quota)}
        said = {key: values[key] for key in _PASSED_ON if key in values}
        values["queues"] = {
            key: queue.model_copy(update={**said, **_own(queue), "tenant": name})
            for key, queue in queues.items()
        }
        return values


def _own(queue: Queue) -> dict[str, Any]:
    """What a queue says itself."""
    return {key: getattr(queue, key) for key in queue.model_fields_set}
