"""The scheduling policy: which job goes first, who may overtake, and where jobs are put.

What each setting does is defined in docs/explanation/engine.md. The words are those of `world.layout`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final

from typing_extensions import override

from gpufleet.base.errors import Place
from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key, Part, PartList
from gpufleet.plan.kinds import Choice, Count, Flag, Kind, Number, Schema
from gpufleet.plan.moments import Duration
from gpufleet.plan.own_policy import OwnOrder, OwnPlacement, WordOrOwn
from gpufleet.plan.reader import Origin, Reader
from gpufleet.plan.sharing import SharingPlan
from gpufleet.plan.tree import Map, Node, Seq

ORDERS: Final = ("fifo", "priority", "sjf", "srtf")
BACKFILLS: Final = ("none", "easy", "conservative")
PLACEMENTS: Final = ("consolidate", "best-fit", "spread", "domain-first")
ESTIMATES: Final = ("exact", "factor", "none")
OVER_LIMITS: Final = ("kill", "run-on")
SELECTS: Final = ("placement", "count")

OWN: Final = "own"
"""The word for an order or a placement that a function of the user decides."""

Overheads = tuple[tuple[int | None, int], ...]


class Backfill(Declared):
    """Whether later jobs may overtake a blocked one, and how far the search goes."""

    kind: Annotated[str, Key(Choice(BACKFILLS), "easy: one reservation; conservative: a plan for all")]
    depth: Annotated[int, Key(Count("jobs", least=1), "jobs per queue that a pass looks at")] = 100
    window_s: Annotated[int, Key(Duration(), "how far ahead jobs are planned; 0 s: no limit", "window")] = 0
    resolution_s: Annotated[int, Key(Duration(), "planned starts are multiples of it", "resolution")] = 0

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        kind = values["kind"]
        for field, key in (("depth", "depth"), ("window_s", "window"), ("resolution_s", "resolution")):
            if field in values and (kind == "none" or (kind == "easy" and field != "depth")):
                says = say("`{key}` has no effect with backfill {kind}", key=key, kind=kind)
                raise reader.refuse(
                    "P024", node.key_at.get(key, node.at), says, say("leave `{key}` out", key=key)
                )
        return values


class BackfillKind(Kind[Backfill]):
    """A word, or a mapping with limits of the search."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Backfill:
        if isinstance(node, Map) and "value" not in node.items:
            return Backfill.from_node(node, path, reader)
        return Backfill(line=node.at, kind=Choice(BACKFILLS).read(node, path, reader))

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Choice(BACKFILLS).schema(), {"$ref": "#/$defs/Backfill"}]}


class EstimateFactor(Declared):
    """The scheduler thinks that a job without a limit runs so many times longer than it does."""

    factor: Annotated[float, Key(Number(above=True, most=1e6), "estimate over run time")]


class EstimateKind(Kind[tuple[str, float]]):
    """What the scheduler knows of the run time of a job without a limit: kind and factor."""

    words: Final = ("exact", "none")

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[str, float]:
        if isinstance(node, Map) and "value" not in node.items:
            return "factor", EstimateFactor.from_node(node, path, reader).factor
        return Choice(self.words).read(node, path, reader), 1.0

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Choice(self.words).schema(), {"$ref": "#/$defs/EstimateFactor"}]}


class OverheadBand(Declared):
    """What a preempted job of up to so many GPUs has to do again."""

    gpus_up_to: Annotated[int | None, Key(Count("GPUs", least=1), "largest job of this band")] = None
    add_s: Annotated[int, Key(Duration(), "added to the remaining work", "add")]


class OverheadKind(Kind[Overheads]):
    """One time for all, or bands by GPU count."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Overheads:
        if not isinstance(node, Seq):
            return ((None, Duration().read(node, path, reader)),)
        bands = PartList(OverheadBand).read(node, path, reader)
        if not bands:
            raise reader.refuse(
                "P008", node.at, say("the list of bands is empty"), say("write a time such as `30 s`")
            )
        for band, after in pairwise(bands):
            if band.gpus_up_to is None:
                says = say("only the last band may be without `gpus_up_to`")
                raise reader.refuse("P014", band.line, says, say("add `gpus_up_to`, or move it to the end"))
            if after.gpus_up_to is not None and after.gpus_up_to <= band.gpus_up_to:
                says = say(
                    "up to {gpus_up_to} GPUs stands behind up to {gpus_up_to_2}",
                    gpus_up_to=after.gpus_up_to,
                    gpus_up_to_2=band.gpus_up_to,
                )
                raise reader.refuse("P014", after.line, says, say("list the bands from small to large jobs"))
        return tuple((band.gpus_up_to, band.add_s) for band in bands)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Duration().schema(), PartList(OverheadBand).schema()]}


class PolicyPlan(Declared):
    """How the queues are served."""

    order: Annotated[
        str,
        Key(
            WordOrOwn(ORDERS, OwnOrder),
            "fifo, by priority, shortest first, shortest remaining, or an own order",
        ),
    ] = "fifo"
    own_order: OwnOrder | None = None
    strict: Annotated[bool, Key(Flag(), "a job that cannot start holds all behind it")] = True
    backfill: Annotated[str, Key(BackfillKind(), "whether later jobs may overtake a blocked one")] = "none"
    depth: int = 100
    window_s: int = 0
    resolution_s: int = 0
    placement: Annotated[str, Key(WordOrOwn(PLACEMENTS, OwnPlacement), "on which nodes a job is put")] = (
        "best-fit"
    )
    own_placement: OwnPlacement | None = None
    interval_s: Annotated[
        int, Key(Duration(), "time between scheduling passes; 0 s: after every event", "interval")
    ] = 0
    estimate: Annotated[str, Key(EstimateKind(), "known run time of jobs without a limit")] = "exact"
    factor: float = 1.0
    over_limit: Annotated[str, Key(Choice(OVER_LIMITS), "what happens to a job over its limit")] = "kill"
    select: Annotated[str, Key(Choice(SELECTS), "srtf: by placement, or by GPU count alone")] = "placement"
    restart_overhead: Annotated[Overheads, Key(OverheadKind(), "srtf: what a preemption costs")] = ()
    sharing: Annotated[
        SharingPlan | None, Key(Part(SharingPlan), "how queues lend to each other; admission by cycles")
    ] = None
    finish_lag_s: Annotated[
        int, Key(Duration(), "how much longer every run takes than its job", "finish_lag")
    ] = 0

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        backfill: Backfill | None = values.get("backfill")
        if backfill is not None:
            values |= {field: getattr(backfill, field) for field in ("depth", "window_s", "resolution_s")}
            values["backfill"] = backfill.kind
        if "estimate" in values:
            values["estimate"], values["factor"] = values["estimate"]
        for key in ("order", "placement"):
            if isinstance(values.get(key), OwnOrder | OwnPlacement):
                values |= {key: OWN, f"own_{key}": values[key]}
        _check_together(cls(line=node.at, **values), reader, path)
        return values

    def reads(self, field: str) -> bool:
        """Whether an own order looks at a field of the job."""
        return self.own_order is not None and field in self.own_order.python.code.reads


def _check_together(policy: PolicyPlan, reader: Reader, path: str) -> None:
    """Refuse settings that exclude each other (P023) and those that would have no effect (P024)."""
    origins = reader.origins

    def at(*keys: str) -> Place:
        here = [origins[f"{path}.{key}"] for key in keys if f"{path}.{key}" in origins]
        return (here or [origins.get(path, Origin(policy.line))])[0].at

    srtf = policy.order == "srtf"
    if srtf and policy.backfill != "none":
        says = say(
            "order srtf preempts running jobs; it has no backfill ({backfill} is set)",
            backfill=policy.backfill,
        )
        reader.report("P023", at("backfill", "order"), says, say("set `backfill: none`, or another order"))
    if policy.order == "sjf" and policy.estimate == "none":
        says = say("order sjf sorts by estimated run time, and `estimate: none` says that there is none")
        reader.report("P023", at("estimate", "order"), says, say("set `estimate: exact` or `{factor: 2}`"))
    for key in ("select", "restart_overhead"):
        if key in policy.model_fields_set and not srtf:
            says = say(
                "`{key}` has no effect with order {order}: only srtf preempts", key=key, order=policy.order
            )
            reader.report("P024", at(key), says, say("leave `{key}` out, or set `order: srtf`", key=key))
    used = policy.order == "sjf" or policy.backfill != "none" or policy.reads("estimate_s")
    if policy.estimate != "exact" and not used:
        says = say("`estimate` has no effect with order {order} and without backfill", order=policy.order)
        reader.report("P024", at("estimate"), says, say("leave `estimate` out, or set a backfill"))
