"""Workloads: what wants to run. A recorded trace, one large campaign, or jobs like those of a profile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import Field
from typing_extensions import override

from gpufleet.base.errors import Place
from gpufleet.base.say import say
from gpufleet.plan.after import After, AfterKind
from gpufleet.plan.declared import Declared, Key, Part, as_map
from gpufleet.plan.job_rules import JobRules
from gpufleet.plan.kinds import Choice, Count, File, Kind, Number, Ref, Schema, Text
from gpufleet.plan.moments import Duration, Moment, Zone
from gpufleet.plan.priorities import PriorityKind
from gpufleet.plan.profiled import DemandSteps, ProfileRef, Scale, Steps
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.supply import product_named
from gpufleet.plan.tree import Leaf, Map, Node

if TYPE_CHECKING:
    from gpufleet.catalog.profile import Profile

FORMATS: Final = ("auto", "philly", "helios", "swf", "sacct", "gpufleet")
QUEUE_COLUMNS: Final = ("queue", "user")
KINDS: Final = ("trace", "campaign", "profile")

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
                reader.report(
                    "P020",
                    at,
                    say("`{name}` is {product}, which has a speed already", name=name, product=product),
                    say("keep one"),
                )
                ok = False
            speeds[product] = speed
        if not ok:
            raise UnreadableError(path)
        if not speeds:
            fix = say("leave `products` out: every product at speed 1")
            raise reader.refuse(
                "P008", node.at, say("`{path}` is empty: the jobs could run nowhere", path=path), fix
            )
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


class WorkloadRules(JobRules):
    """What any workload may say of its jobs."""

    project: Annotated[
        str | None, Key(Text(), "the project that all its jobs are of; its limits are the queue's")
    ] = None
    power: Annotated[
        str | None,
        Key(
            Text(),
            "kind of work, of `power.kinds` or the catalogue: what its jobs draw; left out: `power.default`",
        ),
    ] = None
    after: Annotated[
        tuple[After, ...],
        Key(AfterKind(), "workloads that must have ended before its jobs are eligible; a list, or one"),
    ] = ()


class TraceWorkload(WorkloadRules):
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
        _check_window(values, path, reader)
        return super().complete(values, node, path, reader)


class CampaignWorkload(WorkloadRules):
    """One large job, so many GPUs, all at once, for so long; or an array of like ones."""

    constant: ClassVar[Mapping[str, str]] = {"kind": "campaign"}

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    queue: Annotated[str, Key(Ref("queue"), "the queue it waits in")]
    gpus: Annotated[int, Key(Count("GPUs", least=1), "GPUs, all at once")]
    duration_s: Annotated[int, Key(Duration(least=1), "how long it runs at speed 1", "duration")]
    at: Annotated[datetime, Key(Moment(inside=True), "earliest start")]
    priority: Annotated[int, Key(PriorityKind(), "higher goes first")] = 0
    limit_s: Annotated[int, Key(Duration(least=1), "time limit of one attempt", "limit")] = 0
    products: Annotated[Speeds, Key(SpeedsKind(), "speed per product; left out: all at 1")] = ()
    tasks: Annotated[
        int,
        Key(Count("jobs", least=1, most=1_000_000), "an array of so many like jobs, NAME-1 and so on"),
    ] = 1
    at_once: Annotated[
        int | None, Key(Count("jobs", least=1), "of these at most so many run at once; left out: no limit")
    ] = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        tasks, at_once = values.get("tasks", 1), values.get("at_once")
        if at_once is not None and at_once >= tasks:
            says = say(
                "`{path}` runs {at_once:,} of {tasks:,} jobs at once: that limits nothing",
                path=path,
                at_once=at_once,
                tasks=tasks,
            )
            fix = say("write fewer than `tasks`, or leave `at_once` out")
            reader.report("P024", reader.origins[f"{path}.at_once"].at, says, fix)
        return super().complete(values, node, path, reader)


class ProfileWorkload(WorkloadRules):
    """Jobs like those of a recorded system, generated: so much load, or so many GPU-hours a month."""

    constant: ClassVar[Mapping[str, str]] = {"kind": "profile"}
    one_of: ClassVar[tuple[str, ...]] = ("load", "gpu_hours_per_month")

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    profile: Annotated[
        str | Path, Key(ProfileRef(), "what its jobs are like: a profile's name, a key of `files`, or a path")
    ]
    queue: Annotated[str, Key(Ref("queue"), "the queue its jobs wait in")]
    load: Annotated[
        Steps,
        Key(
            DemandSteps(),
            "offered load: the share of the GPUs that the queue can use, as they come and go, that its jobs "
            "would keep busy; a number, or steps",
        ),
    ] = ()
    gpu_hours_per_month: Annotated[
        Steps,
        Key(DemandSteps(), "GPU-hours at speed 1 asked for in a month of 730.5 h; a number, or steps"),
    ] = ()
    scale: Annotated[Scale, Key(Part(Scale), "larger or longer jobs than the profile's")] = Field(
        default_factory=lambda: Scale(line=Place("defaults", 0))
    )
    products: Annotated[Speeds, Key(SpeedsKind(), "speed per product; left out: all at 1")] = ()
    priority: Annotated[int, Key(PriorityKind(), "higher goes first")] = 0
    from_: Annotated[
        datetime | None,
        Key(Moment(), "no job before this; a bare date is in the plan's zone", "from"),
    ] = None
    to: Annotated[
        datetime | None, Key(Moment(), "no job from then on; a bare date is in the plan's zone")
    ] = None
    projects: Annotated[
        int | None,
        Key(
            Count("projects", least=1, most=100_000),
            "its jobs belong to so many projects: all jobs of a user to one, where the profile names users, "
            "else job by job; where projects end, new ones follow",
        ),
    ] = None

    @property
    def key_of_demand(self) -> str:
        """The key that says how much it asks for."""
        return "load" if self.load else "gpu_hours_per_month"

    @cached_property
    def jobs_like(self) -> Profile:
        """The profile itself."""
        from gpufleet.catalog.profiles import load_profile

        return load_profile(self.profile)

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        _check_window(values, path, reader)
        _check_projects(values, path, reader)
        return super().complete(values, node, path, reader)


def _check_projects(values: Mapping[str, Any], path: str, reader: Reader) -> None:
    """Report projects beside a project for all jobs."""
    if "projects" not in values:
        return
    at = reader.origins[f"{path}.projects"].at
    if "project" in values:
        says = say("`{path}` has both `project` and `projects`", path=path)
        reader.report("P023", at, says, say("keep one"))


def _check_window(values: Mapping[str, Any], path: str, reader: Reader) -> None:
    """Refuse a window that ends before it starts. Raises: UnreadableError (P022)."""
    first, last = values.get("from_"), values.get("to")
    if first is not None and last is not None and last <= first:
        says = say(
            "`to` ({last}) is not after `from` ({first})", last=reader.local(last), first=reader.local(first)
        )
        raise reader.refuse("P022", reader.origins[f"{path}.to"].at, says, say("correct one of the two"))


Workload: TypeAlias = TraceWorkload | CampaignWorkload | ProfileWorkload


class WorkloadKind(Kind[Any]):
    """Workloads by name; their `kind` says which."""

    models: ClassVar[Mapping[str, type[Workload]]] = {
        "trace": TraceWorkload,
        "campaign": CampaignWorkload,
        "profile": ProfileWorkload,
    }

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Workload]:
        found: dict[str, Workload] = {}
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

    def _one(self, name: str, body: Map, path: str, reader: Reader) -> Workload:
        if "kind" not in body.items:
            raise reader.refuse(
                "P007",
                body.at,
                say("`{path}` has no `kind`", path=path),
                say("add `kind`: {kinds: or }", kinds=KINDS),
            )
        model = self.models[Choice(KINDS).read(body.items["kind"], under(path, "kind"), reader)]
        return model.from_node(body, path, reader, name=name)

    @override
    def schema(self) -> Schema:
        either = [{"$ref": f"#/$defs/{model.__name__}"} for model in self.models.values()]
        return {"type": "object", "additionalProperties": {"oneOf": either}}
