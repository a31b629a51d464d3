"""The plan: everything that people declare, read and checked."""

from __future__ import annotations

from collections.abc import Collection, Sized
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field
from typing_extensions import override

from gpufleet.base.errors import Finding, GpufleetError, Place, did_you_mean
from gpufleet.plan.declared import Declared, Key, Keyed, Part, PartList, Parts, as_map
from gpufleet.plan.kinds import Choice, Kind, Schema, Text, Value
from gpufleet.plan.moments import Moment, Zone
from gpufleet.plan.policy import PolicyPlan
from gpufleet.plan.reader import Origin, Reader, UnreadableError, under
from gpufleet.plan.sites import Site
from gpufleet.plan.supply import Delivery, Retirement, System
from gpufleet.plan.tenants import Queue, Tenant
from gpufleet.plan.tree import Leaf, Map, Node, Seq, to_data
from gpufleet.plan.workloads import CampaignWorkload, TraceWorkload, WorkloadKind

VERSION: Final = 1
AFTER_ENDS: Final = ("stop", "finish")


class Version(Value[int]):
    """The version of the plan language."""

    wants = f"the version of the language, {VERSION}"

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> int:
        if leaf.value != VERSION or isinstance(leaf.value, bool):
            says = f"this gpufleet reads version {VERSION} of the plan language, not `{leaf.text[:20]}`"
            raise reader.refuse("P042", leaf.at, says, f"write `gpufleet: {VERSION}`")
        return VERSION

    @override
    def short_schema(self) -> Schema:
        return {"const": VERSION}

    @override
    def schema(self) -> Schema:
        return self.short_schema()


class Files(Kind[dict[str, Path]]):
    """Names for files."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Path]:
        files: dict[str, Path] = {}
        body = as_map(node, path, reader)
        for name, item in body.items.items():
            try:
                word = Text().read(item, under(path, name), reader)
                files[name] = reader.files[name] = reader.path(word, reader.origins[under(path, name)].at)
            except UnreadableError:
                continue
        if len(files) < len(body.items):
            raise UnreadableError(path)
        return files

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": Text().schema()}


class Source(Declared):
    """Where numbers come from."""

    name: str
    title: Annotated[str, Key(Text(), "what it is")]
    url: Annotated[str | None, Key(Text(), "where to read it")] = None
    date: Annotated[str | None, Key(Text(), "when it was published or read")] = None
    note: Annotated[str | None, Key(Text(), "what it says, or what to beware of")] = None


class Overrides(Kind[dict[str, Any]]):
    """Paths of the plan and the values that they get."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Any]:
        return {key: to_data(item) for key, item in as_map(node, path, reader).items.items()}

    @override
    def schema(self) -> Schema:
        return {"type": "object"}


class Names(Kind[tuple[str, ...]]):
    """A list of names of one kind."""

    def __init__(self, what: str) -> None:
        self.what = what

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[str, ...]:
        if not isinstance(node, Seq) or not all(isinstance(item, Leaf) for item in node.items):
            raise reader.refuse("P008", node.at, f"`{path}` is a list of names", "write `[name, name]`")
        return tuple(reader.name(self.what, n.text, n.at) for n in node.items if isinstance(n, Leaf))

    @override
    def schema(self) -> Schema:
        return {"type": "array", "items": {"type": "string"}}


class Scenario(Declared):
    """A named list of overrides: what would be different."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    set: Annotated[dict[str, Any], Key(Overrides(), "paths and their values")] = Field(default_factory=dict)
    with_: Annotated[tuple[str, ...], Key(Names("scenario"), "scenarios that it builds on", "with")] = ()


class Plan(Keyed):
    """Everything that people declare. Read it with `load_plan`.

    Times inside the plan are aware datetimes in UTC; `seconds` turns them into the engine's clock.
    """

    version: Annotated[int, Key(Version(), "version of the plan language: 1", "gpufleet")]
    name: Annotated[str, Key(Text(), "name of the plan, used in file names")]
    title: Annotated[str | None, Key(Text(), "one line for people")] = None
    start: Annotated[datetime, Key(Moment(), "first moment of the simulation")]
    end: Annotated[datetime, Key(Moment(), "no job comes from then on")]
    time_zone: Annotated[
        str, Key(Zone(), "of bare dates in the plan, but those of a site with a `time_zone` of its own")
    ] = "UTC"
    after_end: Annotated[
        Literal["stop", "finish"], Key(Choice(AFTER_ENDS), "stop at the end, or let jobs that came finish")
    ] = "stop"
    files: Annotated[dict[str, Path], Key(Files(), "names for files, relative to the plan")] = Field(
        default_factory=dict
    )
    sites: Annotated[dict[str, Site], Key(Parts(Site), "where GPUs stand")]
    systems: Annotated[dict[str, System], Key(Parts(System), "own systems beside the catalogue's")] = Field(
        default_factory=dict
    )
    deliveries: Annotated[tuple[Delivery, ...], Key(PartList(Delivery), "what comes, where and when")]
    retirements: Annotated[tuple[Retirement, ...], Key(PartList(Retirement), "what leaves")] = ()
    tenants: Annotated[dict[str, Tenant], Key(Parts(Tenant), "who uses the fleet")]
    workloads: Annotated[
        dict[str, TraceWorkload | CampaignWorkload], Key(WorkloadKind(), "what wants to run")
    ] = Field(default_factory=dict)
    policy: Annotated[PolicyPlan, Key(Part(PolicyPlan), "how queues are served")] = Field(
        default_factory=lambda: PolicyPlan(line=Place("defaults", 0))
    )
    scenarios: Annotated[dict[str, Scenario], Key(Parts(Scenario), "named overrides")] = Field(
        default_factory=dict
    )
    sources: Annotated[dict[str, Source], Key(Parts(Source), "where numbers come from")] = Field(
        default_factory=dict
    )
    queues: dict[str, Queue] = Field(default_factory=dict)  # of all tenants, by name
    root: Path = Field(default=Path(), repr=False)  # folder that paths are relative to
    origins: dict[str, Origin] = Field(default_factory=dict, repr=False)  # by path of the plan
    data: dict[str, Any] = Field(
        default_factory=dict, repr=False
    )  # as declared, overrides and tables applied
    notes: tuple[str, ...] = ()  # what the reader of the results should know
    warnings: tuple[Finding, ...] = ()

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        systems = dict(values.get("systems", {}))
        for part in (*values["deliveries"], *values.get("retirements", ())):
            if part.system not in systems:
                try:
                    systems[part.system] = System.of_catalogue(part.system, part.line)
                except GpufleetError as error:
                    raise reader.pass_on(error, part.line) from error
        values["systems"] = systems
        values["deliveries"] = tuple(d.counted(systems[d.system]) for d in values["deliveries"])
        values["queues"] = _all_queues(values["tenants"], reader)
        return values

    @property
    def horizon_s(self) -> int:
        """Seconds from start to end."""
        return self.seconds(self.end)

    def seconds(self, moment: datetime) -> int:
        """Seconds from the plan's start to an aware datetime; negative before the start."""
        return int((moment - self.start).total_seconds())

    def local(self, moment: datetime | int, site: str | None = None) -> datetime:
        """A moment (aware, or in seconds from the start) in the plan's time zone, or in a site's."""
        if isinstance(moment, int):
            moment = datetime.fromtimestamp(self.start.timestamp() + moment, UTC)
        return moment.astimezone(ZoneInfo(self.sites[site].time_zone if site else self.time_zone))

    def origin(self, path: str) -> Origin | None:
        """Where the value at a path comes from; what a part says of its source holds for its values."""
        found = self.origins.get(path)
        if found is None or (found.source and found.trust):
            return found
        part = self.origins.get(path.rpartition(".")[0])
        if part is None:
            return found
        return Origin(
            found.at, found.text, found.source or part.source, found.trust or part.trust, found.range
        )

    def line(self, path: str) -> Place | None:
        """File and line of the value at a path such as `sites.lab.power`; else of the part around it."""
        while path:
            if path in self.origins:
                return self.origins[path].at
            path = path.rpartition(".")[0]
        return None

    def site(self, name: str) -> Site:
        """The site of that name. Raises: KeyError that names the likely one."""
        if name not in self.sites:
            raise KeyError(f"no site {name!r}: {did_you_mean(name, self.sites)}")
        return self.sites[name]

    def __repr__(self) -> str:
        found = [
            f"{n} {word}" for n, word in ((len(self.warnings), "warnings"), (len(self.notes), "notes")) if n
        ]
        lines = [
            f"{self}{' (' + ', '.join(found) + ')' if found else ''}",
            f"  sites      {_some(self.sites)}",
            f"  queues     {_some(self.queues)}",
            f"  workloads  {_some(self.workloads)}",
            f"  policy     order {self.policy.order}, backfill {self.policy.backfill}, "
            f"placement {self.policy.placement}",
            "  next       simulate(plan); plan.warnings, plan.notes, plan.deliveries, plan.policy",
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        def count(parts: Sized, word: str) -> str:
            return f"{len(parts)} {word}{'' if len(parts) == 1 else 's'}"

        gpus = sum(d.gpus for d in self.deliveries)
        return (
            f"plan {self.name}: {self.local(self.start):%Y-%m-%d} to {self.local(self.end):%Y-%m-%d}, "
            f"{gpus:,} GPUs at {count(self.sites, 'site')}, {count(self.queues, 'queue')} of "
            f"{count(self.tenants, 'tenant')}, {count(self.workloads, 'workload')}"
        )


def _some(names: Collection[str], most: int = 6) -> str:
    """The first names, and how many more there are.

    >>> _some(["a", "b", "c"], most=2), _some([])
    ('a, b and 1 more', 'none')
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(list(names)[:most]) + more or "none"


def _all_queues(tenants: dict[str, Tenant], reader: Reader) -> dict[str, Queue]:
    """The queues of all tenants by name; a name twice is reported."""
    queues: dict[str, Queue] = {}
    for tenant in tenants.values():
        for name, queue in tenant.queues.items():
            if name in queues:
                first = queues[name]
                says = f"the queue `{name}` stands here and in {first.line} (tenant {first.tenant})"
                reader.report("P020", queue.line, says, "give one of them another name")
            queues[name] = queue
    return queues
