"""Limits of users and projects: how much each of them may hold at once, and how long a project lasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import Field
from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key, Part
from gpufleet.plan.kinds import Count, Kind, Schema
from gpufleet.plan.moments import Duration
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.supply import product_named
from gpufleet.plan.tree import Map, Node

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan

ALL: Final = "all products"
"""Stands for the GPUs of all products together, among products."""


class GpuLimits(Kind[dict[str, int]]):
    """GPUs: one number for all products together, or a number per product."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, int]:
        if not isinstance(node, Map) or "value" in node.items:
            return {ALL: Count("GPUs", least=1).read(node, path, reader)}
        limits: dict[str, int] = {}
        ok = bool(node.items)
        for name, item in node.items.items():
            at = node.key_at.get(name, item.at)
            try:
                gpus = Count("GPUs", least=1).read(item, under(path, name), reader)
                product = product_named(name, at, reader)
            except UnreadableError:
                ok = False
                continue
            if product in limits:
                says = say("`{name}` is {product}, which has a limit already", name=name, product=product)
                reader.report("P020", at, says, say("keep one"))
                ok = False
            limits[product] = gpus
        if not node.items:
            says = say("`{path}` is empty: it limits nothing", path=path)
            reader.report("P008", node.at, says, say("write a number of GPUs, or one per product"))
        if not ok:
            raise UnreadableError(path)
        return limits

    @override
    def schema(self) -> Schema:
        count = Count("GPUs", least=1).schema()
        each = {"type": "object", "minProperties": 1, "additionalProperties": count}
        return {"anyOf": [count, each]}


class Limit(Declared):
    """What one user or one project may hold at once."""

    gpus: Annotated[
        Mapping[str, int],
        Key(GpuLimits(), "GPUs held at once: a number for all products together, or one per product"),
    ] = Field(default_factory=dict)
    jobs: Annotated[int | None, Key(Count("jobs", least=1), "jobs that run at once; left out: no limit")] = (
        None
    )
    for_s: Annotated[
        int | None,
        Key(
            Duration(least=1),
            "how long a project lasts, from the start of its workload: then none of its jobs starts any "
            "more, and what runs goes on; left out: for ever",
            "for",
        ),
    ] = None

    @property
    def total(self) -> int | None:
        """GPUs of all products together; None = no limit."""
        return self.gpus.get(ALL)

    def most(self, product: str) -> int | None:
        """GPUs of a product that a single job may have; None = no limit."""
        return min((n for n in (self.gpus.get(product), self.total) if n is not None), default=None)

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if not values.keys() & {"gpus", "jobs", "for_s"}:
            says = say("`{path}` limits nothing", path=path)
            raise reader.refuse("P008", node.at, says, say("write `gpus` or `jobs`, or leave it out"))
        return values


class UserLimit(Limit):
    """What one user may hold at once."""

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if "for_s" in values:
            says = say("`{path}` has `for`: users do not end, projects do", path=path)
            at = node.key_at.get("for", node.at)
            raise reader.refuse("P023", at, says, say("leave `for` out, or write it under `per_project`"))
        return super().complete(values, node, path, reader)


class Limits(Declared):
    """What users and projects may hold at once, of a queue, or of all queues of a tenant together."""

    per_user: Annotated[
        UserLimit | None, Key(Part(UserLimit), "each user; jobs without a user have none")
    ] = None
    per_project: Annotated[
        Limit | None, Key(Part(Limit), "each project; jobs that name no project have none")
    ] = None


class Held(NamedTuple):
    """A limit that jobs of a queue count in, and where it stands."""

    path: str  # such as `tenants.snu.limits.per_project`
    limit: Limit


def limits_on(plan: Plan, queue: str, who: str) -> list[Held]:
    """The limits of users or projects (`per_user`, `per_project`) in a queue: its tenant's, then its own."""
    mine = plan.queues[queue]
    tenant = f"tenants.{mine.tenant}"
    parts = ((tenant, plan.tenants[mine.tenant].limits), (f"{tenant}.queues.{queue}", mine.limits))
    found = ((f"{path}.limits.{who}", getattr(limits, who)) for path, limits in parts if limits)
    return [Held(path, limit) for path, limit in found if limit is not None]


def limits_in_lock(lock: Mapping[str, Any], queue: str, who: str) -> list[Held]:
    """The same as `limits_on`, of the plan that a run keeps."""
    tenant = lock["queues"][queue]["tenant"]
    path = f"tenants.{tenant}"
    parts = ((path, lock["tenants"][tenant]), (f"{path}.queues.{queue}", lock["queues"][queue]))
    found = ((f"{at}.limits.{who}", (part.get("limits") or {}).get(who)) for at, part in parts)
    return [Held(at, Limit.model_construct(**each)) for at, each in found if each is not None]
