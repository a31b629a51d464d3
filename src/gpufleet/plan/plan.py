"""The plan: everything that people declare, read and checked."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field
from typing_extensions import override

from gpufleet.base.errors import Finding, GpufleetError, Place, did_you_mean
from gpufleet.base.say import say
from gpufleet.plan.chain import LeadTimes, LeadTimesOf, Milestone
from gpufleet.plan.chain_times import circle_of
from gpufleet.plan.chain_walk import Reached
from gpufleet.plan.declared import Declared, Key, Keyed, Part, PartList, Parts
from gpufleet.plan.failures import FailurePlan
from gpufleet.plan.frame import Files, Overrides, Version
from gpufleet.plan.kinds import Choice, Count, Text
from gpufleet.plan.law import UNKNOWN_LAW, LawRule, Licence, UnknownLaw
from gpufleet.plan.lots import lots_of
from gpufleet.plan.moments import Moment, Zone
from gpufleet.plan.money import MoneyPlan
from gpufleet.plan.name_list import NameList
from gpufleet.plan.node_sets import Partition, Reservation, limited
from gpufleet.plan.policy import PolicyPlan
from gpufleet.plan.power import PowerPlan
from gpufleet.plan.priorities import Priorities
from gpufleet.plan.promises import Actual, Promise
from gpufleet.plan.reader import Origin, Reader, UnreadableError
from gpufleet.plan.sharing import Cohort
from gpufleet.plan.sharing_rules import check_sharing, with_ceilings
from gpufleet.plan.sites import Site
from gpufleet.plan.slots import Slot
from gpufleet.plan.sums import Sum
from gpufleet.plan.supply import Delivery, Retirement, System
from gpufleet.plan.tenants import Queue, Tenant
from gpufleet.plan.tree import Map
from gpufleet.plan.workloads import Workload, WorkloadKind

AFTER_ENDS: Final = ("stop", "finish")


class Source(Declared):
    """Where numbers come from."""

    name: str
    title: Annotated[str, Key(Text(), "what it is")]
    url: Annotated[str | None, Key(Text(), "where to read it")] = None
    date: Annotated[str | None, Key(Text(), "when it was published or read")] = None
    note: Annotated[str | None, Key(Text(), "what it says, or what to beware of")] = None


class Scenario(Declared):
    """A named list of overrides: what would be different."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    set: Annotated[dict[str, Any], Key(Overrides(), "paths and their values")] = Field(default_factory=dict)
    with_: Annotated[tuple[str, ...], Key(NameList("scenario"), "scenarios that it builds on", "with")] = ()


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
    as_of: Annotated[
        datetime | None,
        Key(
            Moment(),
            "what is known today: statuses and actuals are as of this day; left out: the last of `actuals`, "
            "else `start`",
        ),
    ] = None
    jobs_until: Annotated[
        datetime | None,
        Key(Moment(), "jobs come and are simulated until then, supply is shown until `end`; left out: `end`"),
    ] = None
    seed: Annotated[int, Key(Count("", most=2**63 - 1), "of all random draws")] = 1
    files: Annotated[dict[str, Path], Key(Files(), "names for files, relative to the plan")] = Field(
        default_factory=dict
    )
    sites: Annotated[dict[str, Site], Key(Parts(Site), "where GPUs stand")]
    systems: Annotated[dict[str, System], Key(Parts(System), "own systems beside the catalogue's")] = Field(
        default_factory=dict
    )
    deliveries: Annotated[tuple[Delivery, ...], Key(PartList(Delivery), "what comes, where and when")]
    retirements: Annotated[tuple[Retirement, ...], Key(PartList(Retirement), "what leaves")] = ()
    promises: Annotated[
        dict[str, Promise], Key(Parts(Promise), "what was promised; side by side, never added up")
    ] = Field(default_factory=dict)
    actuals: Annotated[tuple[Actual, ...], Key(PartList(Actual), "what has really arrived")] = ()
    milestones: Annotated[
        dict[str, Milestone], Key(Parts(Milestone), "what lots wait for: halls, grid steps, budgets, tenders")
    ] = Field(default_factory=dict)
    lead_times: Annotated[
        dict[str, LeadTimes],
        Key(LeadTimesOf(), "how long the steps of lots take, by system; `default` is for all others"),
    ] = Field(default_factory=dict)
    slots: Annotated[
        dict[str, Slot],
        Key(Parts(Slot), "what lots share on their way: chip plants, memory, crews; so many GPUs a month"),
    ] = Field(default_factory=dict)
    licences: Annotated[
        dict[str, Licence], Key(Parts(Licence), "licences to ship that are held, assumed or expected")
    ] = Field(default_factory=dict)
    rules: Annotated[dict[str, LawRule], Key(Parts(LawRule), "hypothetical rules of export law: what if")] = (
        Field(default_factory=dict)
    )
    unknown_law: Annotated[
        UnknownLaw | None,
        Key(
            Choice(UNKNOWN_LAW),
            "may lots ship where export law is not decided, because an input is not known; left out: closed, "
            "with a warning",
        ),
    ] = None
    sums: Annotated[
        dict[str, Sum], Key(Parts(Sum), "what promises and lots add up to, beside what was published of it")
    ] = Field(default_factory=dict)
    cohorts: Annotated[dict[str, Cohort], Key(Parts(Cohort), "queues that lend to each other, in a tree")] = (
        Field(default_factory=dict)
    )
    partitions: Annotated[
        dict[str, Partition], Key(Parts(Partition), "sets of nodes that queues run on; they may overlap")
    ] = Field(default_factory=dict)
    reservations: Annotated[
        dict[str, Reservation], Key(Parts(Reservation), "nodes that are kept for somebody for a time")
    ] = Field(default_factory=dict)
    tenants: Annotated[dict[str, Tenant], Key(Parts(Tenant), "who uses the fleet")]
    priorities: Annotated[dict[str, int], Key(Priorities(), "names for priorities; higher goes first")] = (
        Field(default_factory=dict)
    )
    workloads: Annotated[dict[str, Workload], Key(WorkloadKind(), "what wants to run")] = Field(
        default_factory=dict
    )
    policy: Annotated[PolicyPlan, Key(Part(PolicyPlan), "how queues are served")] = Field(
        default_factory=lambda: PolicyPlan(line=Place("defaults", 0))
    )
    failures: Annotated[
        FailurePlan | None, Key(Part(FailurePlan), "nodes that fail; left out: none ever does")
    ] = None
    power: Annotated[
        PowerPlan | None,
        Key(
            Part(PowerPlan),
            "what jobs draw, and what caps do; left out: rated power decides what comes online",
        ),
    ] = None
    money: Annotated[
        MoneyPlan | None,
        Key(Part(MoneyPlan), "what it costs, who pays, out of which budgets; left out: not asked"),
    ] = None
    scenarios: Annotated[dict[str, Scenario], Key(Parts(Scenario), "named overrides")] = Field(
        default_factory=dict
    )
    sources: Annotated[dict[str, Source], Key(Parts(Source), "where numbers come from")] = Field(
        default_factory=dict
    )
    queues: dict[str, Queue] = Field(default_factory=dict)  # of all tenants, by name
    chains: dict[str, tuple[tuple[Reached, ...], ...]] = Field(
        default_factory=dict
    )  # steps of lots, by name: as planned, late, early
    declared_lots: tuple[Delivery, ...] = Field(default=(), repr=False)  # before their chains give them dates
    shares: bool = False  # jobs are admitted by cycles: queues lend, or preempt
    root: Path = Field(default=Path(), repr=False)  # folder that paths are relative to
    origins: dict[str, Origin] = Field(default_factory=dict, repr=False)  # by path of the plan
    data: dict[str, Any] = Field(
        default_factory=dict, repr=False
    )  # as declared, overrides and tables applied
    applied: tuple[str, ...] = ()  # names of the scenarios that were asked for
    overrides: tuple[str, ...] = ()  # as given: PATH=VALUE
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
        circle = circle_of(values.get("milestones", {}))
        if circle:
            says = say("{names:, } wait for each other", names=circle)
            at = values["milestones"][circle[0]].line
            reader.report("P201", at, says, say("take one `after` away, or give one of them a date"))
        values |= lots_of(values, reader)
        if circle:
            raise UnreadableError("milestones")
        queues = _all_queues(values["tenants"], reader)
        values["queues"] = limited(queues, values.get("partitions", {}))
        if check_sharing(values, reader):
            values |= {"shares": True, "queues": with_ceilings(values, values["queues"])}
        _check_jobs_until(values, reader)
        values.setdefault("as_of", max((a.at for a in values.get("actuals", ())), default=values["start"]))
        return values

    @property
    def today(self) -> datetime:
        """What is known is as of this moment (`as_of`), UTC."""
        return self.as_of or self.start

    def known_by_today(self, moment: datetime) -> bool:
        """Whether a moment lies on the day of `today` or before it, by the plan's calendar."""
        return self.local(moment).date() <= self.local(self.today).date()

    @property
    def horizon_s(self) -> int:
        """Seconds from start to end."""
        return self.seconds(self.end)

    @property
    def jobs_end(self) -> datetime:
        """The end of the simulation: no job comes from then on (`jobs_until`, else `end`)."""
        return self.jobs_until or self.end

    @property
    def jobs_end_s(self) -> int:
        """Seconds from the start to `jobs_end`."""
        return self.seconds(self.jobs_end)

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
        return say(
            "plan {name}: {start} to {end}, {gpus:,} GPUs at {sites}, {queues} of {tenants}, {workloads}",
            name=self.name,
            start=self.local(self.start).date(),
            end=self.local(self.end).date(),
            gpus=sum(d.gpus for d in self.deliveries if not d.stopped),
            sites=say("{n:,} site", "{n:,} sites", n=len(self.sites)),
            queues=say("{n:,} queue", "{n:,} queues", n=len(self.queues)),
            tenants=say("{n:,} tenant", "{n:,} tenants", n=len(self.tenants)),
            workloads=say("{n:,} workload", "{n:,} workloads", n=len(self.workloads)),
        )


def _some(names: Collection[str], most: int = 6) -> str:
    """The first names, and how many more there are.

    >>> _some(["a", "b", "c"], most=2), _some([])
    ('a, b and 1 more', 'none')
    """
    more = say(" and {count:,} more", count=len(names) - most) if len(names) > most else ""
    return ", ".join(list(names)[:most]) + more or "none"


def _check_jobs_until(values: dict[str, Any], reader: Reader) -> None:
    """Refuse an end of the jobs that is no time of the plan."""
    until = values.get("jobs_until")
    if until is None or values["start"] < until <= values["end"]:
        return
    start, end = reader.local(values["start"]), reader.local(values["end"])
    says = say(
        "jobs_until ({until}) is not between {start} and {end}",
        until=reader.local(until),
        start=start,
        end=end,
    )
    fix = say("write a date after `start` and up to `end`, or leave it out")
    reader.report("P013", reader.origins["jobs_until"].at, says, fix)


def _all_queues(tenants: dict[str, Tenant], reader: Reader) -> dict[str, Queue]:
    """The queues of all tenants by name; a name twice is reported."""
    queues: dict[str, Queue] = {}
    for tenant in tenants.values():
        for name, queue in tenant.queues.items():
            if name in queues:
                first = queues[name]
                says = say(
                    "the queue `{name}` stands here and in {line} (tenant {tenant})",
                    name=name,
                    line=first.line,
                    tenant=first.tenant,
                )
                reader.report("P020", queue.line, says, say("give one of them another name"))
            queues[name] = queue
    return queues
