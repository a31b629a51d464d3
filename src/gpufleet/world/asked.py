"""What workloads by profile ask for, before a job is drawn: how many jobs, is the fleet enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gpufleet.base.errors import Finding, GpufleetError, explain_code, finding
from gpufleet.base.say import say
from gpufleet.base.units import format_duration
from gpufleet.plan.levels import most_at_level
from gpufleet.world.accounts import limits_of_jobs
from gpufleet.world.capacity import Fleet
from gpufleet.world.generate import MOST_JOBS, Stream
from gpufleet.world.names import Names
from gpufleet.world.online import Online, online_of, usable_cells
from gpufleet.world.overload import overloads
from gpufleet.world.recorded import PART_SLICE
from gpufleet.world.streams import Ask, asks_of

if TYPE_CHECKING:
    from gpufleet.plan import Plan

NO_JOBS: Final = explain_code(
    "P073",
    "less than one job is expected",
    "A workload by profile asks for so little, or only when nothing that it can use is in service, that no "
    "job may ever come.",
    "workloads: {research: {kind: profile, load: 0.5, to: 2026-02-01, ...}}     # its GPUs come in March",
).code
TOO_MANY: Final = explain_code(
    "P074",
    "more jobs than can be generated",
    f"A workload has at most {MOST_JOBS:,} jobs.",
    "workloads: {research: {kind: profile, gpu_hours_per_month: 900000000000, ...}}",
).code

TOO_LARGE: Final = explain_code(
    "P075",
    "generated jobs are larger than the fleet will ever be",
    "A job runs on one product at one site, on nodes of one owner, within its queue's quota, and in one "
    "node, domain or block if it requires that. One that is larger than that will ever be is refused for "
    "ever when it is submitted, and blocks nothing.",
    "workloads: {research: {kind: profile, scale: {gpus: 100}, ...}}      # `most_gpus` caps them",
).code

JOBS_PER_S: Final = {"none": 250_000, "easy": 200_000, "conservative": 25_000}
"""Jobs that a run makes, simulates and writes in a second, by `policy.backfill`.

Rounded down from 8,192 GPUs at 90 % load with jobs like those of the profile `philly`, on two cores of an x86
server: one core makes and simulates 865,000, 296,000 and 30,000 of them in a second, and writing goes on
beside it, at 250,000 or more. Long queues cost more.
"""
MEASURED_PER_S: Final = 2_500_000
"""Jobs whose results are made in a second, rounded down: all measures of 16,508,214 jobs took 6.1 s there."""
REPORT_S: Final = 4.0
"""Seconds that the report takes, however many jobs there are: 3.8 s for those."""


class Asked(NamedTuple):
    """What a workload by profile asks for until the jobs end. Work is GPU-hours at speed 1."""

    jobs: float  # expected
    gpu_hours: float
    mean_gpus: float  # of a job
    mean_run_h: float  # of a job, at speed 1


class Implied(NamedTuple):
    """What a plan's workloads by profile come to."""

    by_workload: dict[str, Asked]
    jobs: float
    gpu_hours: float
    run_s: float  # how long a run takes, roughly: simulating them, results, report
    jobs_per_s: int  # which this assumes

    def lines(self) -> Iterator[str]:
        """The same in lines for people."""
        for name, each in self.by_workload.items():
            yield say(
                "{name}: about {jobs:,.0f} jobs, {hours:,.0f} GPU-hours; "
                "a job has {gpus:,.2f} GPUs for {run:,.2f} h",
                name=name, jobs=each.jobs, hours=each.gpu_hours, gpus=each.mean_gpus, run=each.mean_run_h,
            )  # fmt: skip
        yield say(
            "in all about {jobs:,.0f} generated jobs, {hours:,.0f} GPU-hours; "
            "a run with its report takes roughly {time} ({per_s:,} jobs/s)",
            jobs=self.jobs, hours=self.gpu_hours, time=format_duration(self.run_s), per_s=self.jobs_per_s,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        by_workload = {name: each._asdict() for name, each in self.by_workload.items()}
        return {**self._asdict(), "by_workload": by_workload}


def implied(plan: Plan, streams: Sequence[Stream]) -> Implied | None:
    """Jobs and GPU-hours that a plan implies, from rates alone; None without workloads by profile."""
    if not streams:
        return None
    names = list(plan.workloads)
    asked = {names[stream.workload]: _asked(stream) for stream in streams}
    jobs = sum(each.jobs for each in asked.values())
    per_s = JOBS_PER_S[plan.policy.backfill]
    run_s = jobs / per_s + jobs / MEASURED_PER_S + REPORT_S
    return Implied(asked, jobs, sum(each.gpu_hours for each in asked.values()), run_s, per_s)


def _asked(stream: Stream) -> Asked:
    mean_run_s = float(np.diff(stream.share, prepend=0.0) @ stream.mean_run_s)
    hours = stream.jobs * stream.mean_gpu_s / 3600
    return Asked(stream.jobs, hours, stream.mean_gpus, mean_run_s / 3600)


def demand_findings(plan: Plan, names: Names, fleet: Fleet) -> tuple[tuple[Ask, ...], tuple[Finding, ...]]:
    """What is asked for, and warnings about it.

    Raises: GpufleetError P074.
    """
    terms = (each for queue in plan.queues.values() for each in queue.terms.values())
    online = online_of(fleet, (t_s for each in terms for t_s, _ in each.nominal))
    asks = asks_of(plan, names, fleet, online)
    many = [_too_many(plan, ask) for ask in asks if ask.stream.jobs >= MOST_JOBS]
    if many:
        raise GpufleetError(*many)
    # A plan whose jobs are cut short says nothing of workloads that would come later.
    none = [_no_jobs(plan, ask) for ask in asks if ask.stream.jobs < 1 and plan.jobs_until is None]
    large = (_too_large(plan, names, fleet, online, ask) for ask in asks)
    odd = (_of_part_slices(plan, ask) for ask in asks)
    return asks, (
        *none,
        *filter(None, large),
        *filter(None, odd),
        *overloads(plan, names, fleet, online, asks),
    )


def _too_many(plan: Plan, ask: Ask) -> Finding:
    name = ask.workload.name
    says = say(
        "{name} comes to {jobs:,.0f} jobs; at most {most:,} are possible",
        name=name, jobs=ask.stream.jobs, most=MOST_JOBS,
    )  # fmt: skip
    fix = say("ask for less, or make jobs larger with `scale`")
    return finding(TOO_MANY, says, fix, plan.line(f"workloads.{name}.{ask.workload.key_of_demand}"))


def _no_jobs(plan: Plan, ask: Ask) -> Finding:
    name = ask.workload.name
    says = say("{name} comes to {jobs:.2g} jobs in the whole plan", name=name, jobs=ask.stream.jobs)
    fix = say("ask for more, or look at its window and at when its GPUs are in service")
    return finding(NO_JOBS, says, fix, plan.line(f"workloads.{name}"), severity="warning")


def _too_large(plan: Plan, names: Names, fleet: Fleet, online: Online, ask: Ask) -> Finding | None:
    """A warning if some of the jobs can never run, however long they wait."""
    until = online.from_s < plan.jobs_end_s if plan.after_end == "stop" else online.from_s >= 0
    queue, most = plan.queues[ask.workload.queue], 0
    cells = usable_cells(fleet, names, queue, [product for product, _ in ask.workload.products])
    for cell in np.flatnonzero(cells).tolist():
        gpus = int(online.gpus[until, cell].max(initial=0))
        product = names.products[fleet.cells.product[cell]]
        limits = limits_of_jobs(plan, ask.workload, product)
        most = max(most, min(gpus, queue.most(product, gpus), *limits))
    wish = ask.workload.topology
    if wish is not None and wish.required is not None:
        most = min(most, most_at_level(plan, queue, ask.workload.products, wish.required, wish.slice)[0])
    large = ask.stream.gpus > most
    jobs = ask.stream.jobs * float(np.diff(ask.stream.share, prepend=0.0)[large].sum())
    if jobs < 0.5:
        return None
    says = say(
        "about {n:,} job of {name} asks for up to {gpus:,} GPUs; at most {most:,} can ever be had at once",
        "about {n:,} jobs of {name} ask for up to {gpus:,} GPUs; at most {most:,} can ever be had at once",
        n=round(jobs),
        name=ask.workload.name,
        gpus=int(ask.stream.gpus.max()),
        most=most,
    )
    fix = say(
        "cap them with `scale: {{most_gpus: {most}}}`, or deliver more GPUs to one site", most=max(most, 1)
    )
    return finding(TOO_LARGE, says, fix, plan.line(f"workloads.{ask.workload.name}"), severity="warning")


def _of_part_slices(plan: Plan, ask: Ask) -> Finding | None:
    """A warning if some of the jobs are no whole number of slices."""
    part = ask.workload.topology.slice if ask.workload.topology else None
    if part is None:
        return None
    odd = ask.stream.gpus % part.gpus != 0
    jobs = ask.stream.jobs * float(np.diff(ask.stream.share, prepend=0.0)[odd].sum())
    if jobs < 0.5:
        return None
    says = say(
        "about {n:,} job of {name} is no whole number of slices of {gpus:,} GPUs; it never starts",
        "about {n:,} jobs of {name} are no whole number of slices of {gpus:,} GPUs; they never start",
        n=round(jobs), name=ask.workload.name, gpus=part.gpus,
    )  # fmt: skip
    fix = say("make slices smaller, or leave `slice` out")
    at = plan.line(f"workloads.{ask.workload.name}.topology.slice")
    return finding(PART_SLICE, says, fix, at, severity="warning")
