"""Partitions and reservations: nodes that only some queues use, or that are kept for somebody for a time.

Partitions are those of Slurm: they may overlap, and a queue whose jobs may run in several uses the nodes of
all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key, PartList, Sourced
from gpufleet.plan.kinds import Count, Flag, Kind, Ref, Schema, Text
from gpufleet.plan.moments import Duration, Moment
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Reader
from gpufleet.plan.supply import product_named
from gpufleet.plan.tenants import Queue
from gpufleet.plan.tree import Leaf, Map, Node, Seq, word_at

HOLDER = "queue, tenant or workload"
Range = tuple[int, int]


class ProductName(Text):
    """A product of the catalogue or of the plan."""

    wants = say("the name of a product")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        return product_named(super().parse(leaf, reader), leaf.at, reader)


class NodeRange(Kind[Range]):
    """[first, last]: numbers of nodes from 1 on."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Range:
        ends = node.items if isinstance(node, Seq) else ()
        if len(ends) != 2:
            fix = say("write `[first, last]`, such as [1, 40]")
            raise reader.refuse("P008", node.at, say("`{path}` is a range of nodes", path=path), fix)
        kind = Count("nodes", least=1)
        first, last = (kind.read(end, f"{path}.{i}", reader) for i, end in enumerate(ends))
        if last < first:
            says = say("the range of nodes ends at {last:,}, before {first:,}", last=last, first=first)
            raise reader.refuse("P014", node.at, says, say("write the lower number first"))
        return first, last

    @override
    def schema(self) -> Schema:
        return {"type": "array", "items": Count("nodes", least=1).schema(), "minItems": 2, "maxItems": 2}


class PartitionPart(Declared):
    """Nodes of one site, numbered in the order of delivery; without a range or a number, all of them."""

    site: Annotated[str, Key(Ref("site"), "the site")]
    product: Annotated[str | None, Key(ProductName(), "only nodes with this product; left out: all")] = None
    nodes: Annotated[
        Range | None, Key(NodeRange(), "the first and the last node, numbered from 1 in order of delivery")
    ] = None
    gpus: Annotated[
        int | None, Key(Count("GPUs", least=1), "so many GPUs, in whole nodes: the first ones delivered")
    ] = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        return _either(values, node, path, reader)


def _either(values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
    """At most one of the two counts. Raises: UnreadableError (P023)"""
    if "nodes" in values and "gpus" in values:
        says = say("`{path}` has both `nodes` and `gpus`", path=path)
        raise reader.refuse("P023", node.key_at.get("gpus", node.at), says, say("keep one of them"))
    return values


class Partition(Sourced):
    """A set of nodes that queues name to run there and nowhere else. Partitions may overlap."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    site: Annotated[str | None, Key(Ref("site"), "the site, if it is one piece; else `parts`")] = None
    product: Annotated[str | None, Key(ProductName(), "only nodes with this product; left out: all")] = None
    nodes: Annotated[
        Range | None, Key(NodeRange(), "the first and the last node, numbered from 1 in order of delivery")
    ] = None
    gpus: Annotated[
        int | None, Key(Count("GPUs", least=1), "so many GPUs, in whole nodes: the first ones delivered")
    ] = None
    parts: Annotated[
        tuple[PartitionPart, ...], Key(PartList(PartitionPart), "several pieces, each of one site")
    ] = ()
    max_run_time_s: Annotated[
        int | None,
        Key(Duration(least=1), "longest run of a job of a queue that names it (MaxTime)", "max_run_time"),
    ] = None
    exclusive: Annotated[
        bool, Key(Flag(), "queues without partitions do not use its nodes; false: they do")
    ] = False

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        own = [key for key in ("site", "product", "nodes", "gpus") if key in values]
        if "parts" in values and own:
            says = say("`{path}` has `parts` and `{key}` of its own", path=path, key=own[0])
            raise reader.refuse("P023", node.key_at.get(own[0], node.at), says, say("put it into `parts`"))
        if "parts" not in values:
            if "site" not in values:
                says = say("`{path}` has no nodes", path=path)
                fix = say("add `site`, or `parts: [{{site: ...}}, ...]`")
                raise reader.refuse("P007", node.at, says, fix)
            _either(values, node, path, reader)
            values["parts"] = (PartitionPart(line=node.at, **{key: values[key] for key in own}),)
        elif not values["parts"]:
            says = say("`{path}.parts` is empty: it has no nodes", path=path)
            raise reader.refuse("P008", node.at, says, say("name a site: `[{{site: ...}}]`"))
        return values


class Reservation(Sourced):
    """Nodes that are kept for somebody for a time. Who runs on them when it begins is not killed."""

    one_of: ClassVar[tuple[str, ...]] = ("gpus", "nodes")

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    site: Annotated[str, Key(Ref("site"), "the site")]
    product: Annotated[str | None, Key(ProductName(), "only nodes with this product; left out: all")] = None
    partition: Annotated[str | None, Key(Ref("partition"), "only nodes of this partition")] = None
    gpus: Annotated[int | None, Key(Count("GPUs", least=1), "how many GPUs, in whole nodes")] = None
    nodes: Annotated[int | None, Key(Count("nodes", least=1), "how many nodes, instead of `gpus`")] = None
    from_: Annotated[
        datetime, Key(Moment(inside=True), "when it begins; a bare date is local to the site", "from")
    ]
    to: Annotated[datetime, Key(Moment(), "when it ends; a bare date is local to the site")]
    holders: Annotated[
        tuple[str, ...],
        Key(NameList(HOLDER), "who it is for: queues, tenants or workloads, one or a list", "for"),
    ]

    @override
    @classmethod
    def from_node(cls, node: Node, path: str, reader: Reader, **given: Any) -> Self:
        with reader.at_site(word_at(node, "site")):
            return super().from_node(node, path, reader, **given)

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if values["to"] <= values["from_"]:
            says = say(
                "the reservation ends on {end}, not after its begin, {begin}",
                end=reader.local(values["to"]),
                begin=reader.local(values["from_"]),
            )
            raise reader.refuse("P022", node.key_at.get("to", node.at), says, say("correct one of the two"))
        return values

    def is_for(self, queue: Queue, workload: str) -> bool:
        """Whether jobs of a workload in a queue may use it."""
        return any(name in self.holders for name in (queue.name, queue.tenant, workload))


def limited(queues: Mapping[str, Queue], partitions: Mapping[str, Partition]) -> dict[str, Queue]:
    """The queues with the shortest run time that they or one of their partitions allow."""
    found = {}
    for name, queue in queues.items():
        limits = [partitions[each].max_run_time_s for each in queue.partitions if each in partitions]
        most = min(filter(None, (queue.max_run_time_s, *limits)), default=None)
        changed = most != queue.max_run_time_s
        found[name] = queue.model_copy(update={"max_run_time_s": most}) if changed else queue
    return found
