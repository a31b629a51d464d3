"""Workloads: what wants to run. A recorded trace, or a campaign of so many GPUs for so long."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field
from typing_extensions import override

from gpufleet.plan.declared import Declared, Key, Sourced, as_map
from gpufleet.plan.kinds import Choice, Count, File, Kind, Number, Ref, Schema, Text
from gpufleet.plan.moments import Duration, Moment, Zone
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.supply import product_named
from gpufleet.plan.tree import Leaf, Map, Node

FORMATS: Final = ("auto", "philly", "helios", "swf", "sacct", "gpufleet")
QUEUE_COLUMNS: Final = ("queue", "user")
KINDS: Final = ("trace", "campaign")

Speeds = tuple[tuple[str, float], ...]


class SpeedsKind(Kind[Speeds]):
    """Products that a job runs on, the preferred one first, each with its speed."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Speeds:
        body = as_map(node, path, reader)
        speeds: dict[str, float] = {}
        ok = True
        for name, item in body.items.items():
            at = body.key_at.get(name, item.at)
            try:
                speed = Number(above=True, most=1000.0).read(item, under(path, name), reader)
                product = product_named(name, at, reader)
            except UnreadableError:
                ok = False
                continue
            if product in speeds:
                reader.report("P020", at, f"`{name}` is {product}, which has a speed already", "keep one")
                ok = False
            speeds[product] = speed
        if not ok:
            raise UnreadableError(path)
        if not speeds:
            fix = "leave `products` out: every product at speed 1"
            raise reader.refuse("P008", node.at, f"`{path}` is empty: the jobs could run nowhere", fix)
        return tuple(speeds.items())

    @override
    def schema(self) -> Schema:
        return {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": Number(above=True, most=1000.0).schema(),
        }


class QueueMap(Kind[dict[str, str]]):
    """Names of the trace and the queues that they mean."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, str]:
        body = as_map(node, path, reader)
        named: dict[str, str] = {}
        ok = True
        for name, item in body.items.items():
            try:
                named[name] = Ref("queue").read(item, under(path, name), reader)
            except UnreadableError:
                ok = False
        if not ok:
            raise UnreadableError(path)
        return named

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": Ref("queue").schema()}


class QueueOfRows(Declared):
    """Which queue a row of a trace goes to."""

    column: Annotated[str | None, Key(Choice(QUEUE_COLUMNS), "column that names the queue")] = "queue"
    map: Annotated[dict[str, str], Key(QueueMap(), "names of the trace and the queues they mean")] = Field(
        default_factory=dict
    )
    default: Annotated[str | None, Key(Ref("queue"), "queue of rows that name none of the plan")] = None


class QueueOfRowsKind(Kind[QueueOfRows]):
    """A queue name (all rows go there), or how to find the queue of a row."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> QueueOfRows:
        if isinstance(node, Leaf):
            queue = Ref("queue").read(node, path, reader)
            return QueueOfRows(line=node.at, column=None, default=queue)
        return QueueOfRows.from_node(node, path, reader)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Ref("queue").short_schema(), {"$ref": "#/$defs/QueueOfRows"}]}


class TraceWorkload(Sourced):
    """Jobs that a cluster has recorded, submitted again at their recorded times."""

    constant: ClassVar[Mapping[str, str]] = {"kind": "trace"}

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    file: Annotated[Path, Key(File(), "the log: a key of `files`, or a path")]
    format: Annotated[str, Key(Choice(FORMATS), "of the file; auto: by its columns")] = "auto"
    queue: Annotated[QueueOfRows | None, Key(QueueOfRowsKind(), "which queue a row goes to")] = None
    products: Annotated[Speeds, Key(SpeedsKind(), "speed per product; left out: all at 1")] = ()
    from_: Annotated[
        datetime | None,
        Key(Moment(), "first submission that counts; a bare date is in the plan's zone", "from"),
    ] = None
    to: Annotated[
        datetime | None, Key(Moment(), "submissions before this count; a bare date is in the plan's zone")
    ] = None
    time_zone: Annotated[str, Key(Zone(), "of times in the file; left out: the plan's")] = "UTC"
    shift_s: Annotated[int, Key(Duration(), "how much later every job comes", "shift")] = 0

    @property
    def queue_column(self) -> str | None:
        """Column of the jobs table that names the queue; None: all rows go to the default queue."""
        return self.queue.column if self.queue else "queue"

    @property
    def queue_map(self) -> dict[str, str]:
        """Names of the trace and the queues that they mean."""
        return self.queue.map if self.queue else {}

    @property
    def default_queue(self) -> str | None:
        """Queue of rows that name none of the plan; None: such rows are dropped."""
        return self.queue.default if self.queue else None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        values.setdefault("time_zone", reader.zone.key)
        first, last = values.get("from_"), values.get("to")
        if first is not None and last is not None and last <= first:
            says = f"`to` ({reader.local(last)}) is not after `from` ({reader.local(first)})"
            raise reader.refuse("P022", reader.origins[f"{path}.to"].at, says, "correct one of the two")
        return values


class CampaignWorkload(Sourced):
    """One large job: so many GPUs, all at once, for so long."""

    constant: ClassVar[Mapping[str, str]] = {"kind": "campaign"}

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    queue: Annotated[str, Key(Ref("queue"), "the queue it waits in")]
    gpus: Annotated[int, Key(Count("GPUs", least=1), "GPUs, all at once")]
    duration_s: Annotated[int, Key(Duration(least=1), "how long it runs at speed 1", "duration")]
    at: Annotated[datetime, Key(Moment(inside=True), "earliest start")]
    priority: Annotated[int, Key(Count("", least=-1_000_000, most=1_000_000), "higher goes first")] = 0
    limit_s: Annotated[int, Key(Duration(least=1), "time limit of one attempt", "limit")] = 0
    products: Annotated[Speeds, Key(SpeedsKind(), "speed per product; left out: all at 1")] = ()


class WorkloadKind(Kind[Any]):
    """Workloads by name; their `kind` says which."""

    models: ClassVar[Mapping[str, type[TraceWorkload | CampaignWorkload]]] = {
        "trace": TraceWorkload,
        "campaign": CampaignWorkload,
    }

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, TraceWorkload | CampaignWorkload]:
        found: dict[str, TraceWorkload | CampaignWorkload] = {}
        body = as_map(node, path, reader)
        ok = True
        for name, item in body.items.items():
            try:
                found[name] = self._one(
                    name, as_map(item, under(path, name), reader), under(path, name), reader
                )
            except UnreadableError:
                ok = False
        if not ok:
            raise UnreadableError(path)
        return found

    def _one(self, name: str, body: Map, path: str, reader: Reader) -> TraceWorkload | CampaignWorkload:
        if "kind" not in body.items:
            raise reader.refuse(
                "P007", body.at, f"`{path}` has no `kind`", f"add `kind`: {' or '.join(KINDS)}"
            )
        model = self.models[Choice(KINDS).read(body.items["kind"], under(path, "kind"), reader)]
        return model.from_node(body, path, reader, name=name)

    @override
    def schema(self) -> Schema:
        either = [{"$ref": "#/$defs/TraceWorkload"}, {"$ref": "#/$defs/CampaignWorkload"}]
        return {"type": "object", "additionalProperties": {"oneOf": either}}
