"""Checks of limits, projects and dependencies: what can never be, and what has no effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding
from gpufleet.base.say import say
from gpufleet.plan.check import check
from gpufleet.plan.limits import ALL, limits_on
from gpufleet.plan.sharing_checks import queues_of
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import CampaignWorkload, ProfileWorkload, TraceWorkload, Workload

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan


@check("P130", "workloads that wait for each other", severity="error")
def dependency_ring(plan: Plan) -> Iterator[Finding]:
    """With `after` the jobs of a workload are eligible when those of others have ended. Workloads that wait
    for each other, or for themselves, never begin.

    Example::

        workloads: {a: {after: b, ...}, b: {after: a, ...}}
    """
    for ring in _rings({name: [a.workload for a in w.after] for name, w in plan.workloads.items()}):
        if len(ring) == 1:
            says = say("{name} waits for itself", name=ring[0])
        else:
            says = say("workloads wait for each other: {ring: after }", ring=[*ring, ring[0]])
        at = plan.line(f"workloads.{ring[0]}.after")
        yield Finding(at=at, says=says, fix=say("leave one `after` out"))


def _rings(after: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Each ring once, from its first workload in the order of the plan."""
    found: set[frozenset[str]] = set()
    for start in after:
        way, seen = [start], {start}
        trail = [iter(after[start])]
        while trail:
            following = next(trail[-1], None)
            if following is None:
                trail.pop()
                way.pop()
            elif following == start:
                if frozenset(way) not in found:
                    found.add(frozenset(way))
                    yield list(way)
                break
            elif following not in seen:
                seen.add(following)
                way.append(following)
                trail.append(iter(after[following]))


@check("P131", "a dependency on a workload that never ends", severity="error")
def dependency_on_endless(plan: Plan) -> Iterator[Finding]:
    """Jobs by profile come until the plan ends, unless the workload has a `to`. Who waits for all of them to
    have ended would wait for ever.

    Example::

        workloads:
          daily: {kind: profile, profile: philly, load: 0.5, queue: research}       # add `to: 2026-06-01`
          sum:   {kind: campaign, after: daily, ...}
    """
    for name, workload in plan.workloads.items():
        for after in workload.after:
            other = plan.workloads[after.workload]
            if not isinstance(other, ProfileWorkload):
                continue
            if other.to is not None and other.to < plan.jobs_end:
                continue
            end = plan.local(plan.jobs_end)
            says = say(
                "{name} waits for all jobs of {other}, which come until the end of the plan, {end:%Y-%m-%d}",
                name=name, other=after.workload, end=end,
            )  # fmt: skip
            fix = say("give {other} a `to` before {end:%Y-%m-%d}", other=after.workload, end=end)
            yield Finding(at=after.line, says=says, fix=fix)


@check("P132", "a project without a limit", severity="error")
def project_without_limit(plan: Plan) -> Iterator[Finding]:
    """A project is known only by its limits: `limits: {per_project: ...}` of the queue or its tenant. Without
    one the key would be ignored.

    Example::

        tenants:   {lab: {limits: {per_project: {gpus: 64}}}}      # or leave `project` out
        workloads: {train: {project: vision, queue: lab, ...}}
    """
    for name, workload in plan.workloads.items():
        projects = workload.projects if isinstance(workload, ProfileWorkload) else None
        if workload.project is None and projects is None:
            continue
        queues = queues_of(plan, workload)
        if any(limits_on(plan, queue, "per_project") for queue in queues):
            continue
        key = "project" if workload.project is not None else "projects"
        says = say(
            "`{key}` of {name} has no effect: queue {queues: or } limits no project",
            key=key, name=name, queues=queues[:4],
        )  # fmt: skip
        fix = say("write `limits: {{per_project: ...}}` in the queue, or leave `{key}` out", key=key)
        yield Finding(at=plan.line(f"workloads.{name}.{key}"), says=says, fix=fix)


@check("P133", "a limit above the quota")
def limit_above_quota(plan: Plan) -> Iterator[Finding]:
    """A user or project can never hold more than the queue: where the limit is larger than all that the queue
    (or all queues of the tenant) may ever hold, it limits nothing.

    Example::

        tenants: {lab: {quota: {B200: 64}, limits: {per_user: {gpus: {B200: 128}}}}}
    """
    for tenant in plan.tenants.values():
        yield from _above(plan, f"tenants.{tenant.name}", list(tenant.queues))
        for queue in tenant.queues.values():
            yield from _above(plan, f"tenants.{tenant.name}.queues.{queue.name}", [queue.name])


def _above(plan: Plan, path: str, queues: list[str]) -> Iterator[Finding]:
    """Findings about the limits of one part, whose queues are these."""
    for who in ("per_user", "per_project"):
        held = [each for each in limits_on(plan, queues[0], who) if each.path == f"{path}.limits.{who}"]
        for product, gpus in held[0].limit.gpus.items() if held else ():
            most = _most_ever(plan, queues, product)
            if most is None or gpus <= most:
                continue
            told = {"gpus": gpus, "product": product, "queues": queues, "most": most}
            if product == ALL:
                says = say("a limit of {gpus:,} GPUs; {queues: and } may hold {most:,} at most", **told)
            else:
                says = say("a limit of {gpus:,} {product}; {queues: and } may hold {most:,} at most", **told)
            yield Finding(
                at=plan.line(f"{held[0].path}.gpus"), says=says, fix=say("lower the limit, or leave it out")
            )


def _most_ever(plan: Plan, queues: list[str], product: str) -> int | None:
    """GPUs that queues may hold together; None: no limit."""
    products = [product]
    if product == ALL:
        products = list(dict.fromkeys(plan.systems[lot.system].product for lot in plan.deliveries))
    each = [plan.queues[queue].most(name, -1) for queue in queues for name in products]
    return None if -1 in each else sum(each)


@check("P135", "a limit that holds nobody")
def limit_on_nobody(plan: Plan) -> Iterator[Finding]:
    """Users are those of traces and profiles; projects those that workloads name. A queue in which nobody has
    any is not limited.

    Example::

        tenants:   {lab: {limits: {per_project: {gpus: 64}}}}
        workloads: {train: {kind: campaign, queue: lab, ...}}      # of no project
    """
    for kind in ("per_user", "per_project"):
        held = {queue for w in plan.workloads.values() if _has(w, kind) for queue in queues_of(plan, w)}
        lines: dict[str, list[str]] = {}
        for queue in plan.queues:
            for limit in limits_on(plan, queue, kind):
                lines.setdefault(limit.path, []).append(queue)
        for path, queues in lines.items():
            if held.isdisjoint(queues):
                what = say("user") if kind == "per_user" else say("project")
                says = say(
                    "no workload of {queues: or } has a {what}: nobody is limited", queues=queues, what=what
                )
                fix = say("name `project` or `projects` in its workloads, or leave `{kind}` out", kind=kind)
                if kind == "per_user":
                    fix = say("let users come with a trace or a profile, or leave `{kind}` out", kind=kind)
                yield Finding(at=plan.line(path), says=says, fix=fix)


def _has(workload: Workload, kind: str) -> bool:
    """Whether jobs of a workload may have a user, or a project."""
    if kind == "per_user":
        return isinstance(workload, TraceWorkload | ProfileWorkload)
    return workload.project is not None or (
        isinstance(workload, ProfileWorkload) and workload.projects is not None
    )


@check("P134", "a campaign or training larger than the limit of its project", severity="error")
def larger_than_limit(plan: Plan) -> Iterator[Finding]:
    """A job that has more GPUs than its project may hold at once can never run.

    Example::

        tenants:   {lab: {limits: {per_project: {gpus: 64}}}}
        workloads: {big: {kind: campaign, gpus: 128, project: vision, queue: lab, ...}}
    """
    for name, workload in plan.workloads.items():
        if not isinstance(workload, CampaignWorkload | TrainingWorkload) or workload.project is None:
            continue
        gpus = workload.gpus
        if isinstance(workload, TrainingWorkload):
            gpus = max(workload.sizes(gpus).values())
        for held in limits_on(plan, workload.queue, "per_project"):
            products = dict(workload.products) or {s.product: 1.0 for s in plan.systems.values()}
            limits = [held.limit.most(product) for product in products]
            most = max((n for n in limits if n is not None), default=0)
            if None in limits or gpus <= most:
                continue
            says = say(
                "{name} wants {gpus:,} GPUs; project {project} may hold {most:,} at most",
                name=name, gpus=gpus, project=workload.project, most=most,
            )  # fmt: skip
            fix = say("ask for {most:,} or fewer, or raise the limit", most=most)
            yield Finding(at=plan.line(f"workloads.{name}.gpus"), says=says, fix=fix)
