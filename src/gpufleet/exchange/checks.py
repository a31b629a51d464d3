"""What must hold between the parts of a case: names, parents, limits, amounts that can be counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

from gpufleet.base.errors import Severity, did_you_mean
from gpufleet.base.say import say
from gpufleet.exchange.amounts import LARGEST_SUM, amounts_of, step_of, workloads_of
from gpufleet.exchange.forms import (
    AnyCase,
    ClusterQueue,
    CycleCase,
    Flavor,
    HoldingWorkload,
    KaiCase,
    KueueCohort,
    PreemptionCase,
)
from gpufleet.exchange.json_text import Step


class Fault(NamedTuple):
    """Something wrong in a case: its code, where, the numbers and the fix."""

    code: str
    path: tuple[Step, ...]  # in the case
    says: str
    fix: str
    severity: Severity = "error"


_KueueCase = PreemptionCase | CycleCase
_RENAME: Final = say("give one another name")


def faults(case: AnyCase) -> list[Fault]:
    """Everything that is wrong with a case whose form is right; warnings too."""
    if isinstance(case, KaiCase):
        return list(_kai(case))
    found = [*_kueue_names(case), *_kueue_circle(case)]
    for at, cohort in enumerate(case.cohorts):
        found += _limits(cohort, ("cohorts", at))
    for at, queue in enumerate(case.cluster_queues):
        found += _limits(queue, ("cluster_queues", at))
    for at, queue in enumerate(case.cluster_queues):
        found += _policies(queue, ("cluster_queues", at))
    return [*found, *_flavors(case), *_amounts(case)]


def _twice(named: Iterable[tuple[tuple[Step, ...], str]]) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, name in named:
        if name in seen:
            yield Fault("X010", path, say("`{name}` stands here a second time", name=name), _RENAME)
        seen.add(name)


def _known(path: tuple[Step, ...], name: str, names: Iterable[str]) -> Iterator[Fault]:
    names = list(names)
    if name not in names:
        says = say("`{name}` is not declared in this case", name=name)
        yield Fault("X009", path, says, did_you_mean(name, names))


def _named(kind: str, parts: Sequence[Any]) -> list[tuple[tuple[Step, ...], str]]:
    return [((kind, at, "name"), part.name) for at, part in enumerate(parts)]


def _circle(above: dict[str, str | None], at: dict[str, tuple[Step, ...]]) -> Iterator[Fault]:
    """One fault per circle of parents, at the first of it that is declared."""
    done: set[str] = set()
    for start in at:
        way: list[str] = []
        name: str | None = start
        while name is not None and name not in done and name not in way:
            way.append(name)
            name = above.get(name)
        if name in way:
            circle = way[way.index(name) :]
            says = say("{names: → } → {first}", names=circle, first=circle[0])
            yield Fault("X011", at[start], says, say("take one parent away"))
        done.update(way)


# --- Kueue


def _kueue_names(case: _KueueCase) -> Iterator[Fault]:
    yield from _twice(_named("cohorts", case.cohorts))
    yield from _twice(_named("cluster_queues", case.cluster_queues))
    queues = [queue.name for queue in case.cluster_queues]
    workloads: list[tuple[tuple[Step, ...], str]] = []
    for path, work in workloads_of(case):
        workloads.append(((*path, "name"), f"{work.namespace}/{work.name}".lstrip("/")))
        if isinstance(work, HoldingWorkload):
            yield from _known((*path, "admitted_to", "cluster_queue"), work.admitted_to.cluster_queue, queues)
        else:
            yield from _known((*path, "cluster_queue"), work.cluster_queue, queues)
        yield from _pod_sets(path, work)
    yield from _twice(workloads)


def _pod_sets(path: tuple[Step, ...], work: Any) -> Iterator[Fault]:
    yield from _twice(((*path, *where), name) for where, name in _named("pod_sets", work.pod_sets))
    for at, pod_set in enumerate(work.pod_sets):
        if pod_set.min_count is not None and pod_set.min_count > pod_set.count:
            says = say("at least {least:,} of {count:,} pods", least=pod_set.min_count, count=pod_set.count)
            yield Fault(
                "X008",
                (*path, "pod_sets", at, "min_count"),
                says,
                say("write at most {most}", most=pod_set.count),
            )


def _kueue_circle(case: _KueueCase) -> Iterator[Fault]:
    above = {cohort.name: cohort.parent for cohort in case.cohorts}
    at: dict[str, tuple[Step, ...]] = {c.name: ("cohorts", i, "parent") for i, c in enumerate(case.cohorts)}
    yield from _circle(above, at)


def _limits(node: KueueCohort | ClusterQueue, path: tuple[Step, ...]) -> Iterator[Fault]:
    yield from _groups(node.resource_groups or (), (*path, "resource_groups"))
    top = (node.parent if isinstance(node, KueueCohort) else node.cohort) is None
    for g, group in enumerate(node.resource_groups or ()):
        for f, flavor in enumerate(group):
            for resource, limit in flavor.resources.items():
                here = (*path, "resource_groups", g, f, "resources", resource)
                most = limit.lending_limit
                if top and limit.borrowing_limit:
                    says = say(
                        "`{name}` may borrow {limit} of {resource}, but stands under no cohort",
                        name=node.name,
                        limit=plain(limit.borrowing_limit),
                        resource=resource,
                    )
                    fix = say("name a cohort, or leave the limit out")
                    yield Fault("X012", (*here, "borrowing_limit"), says, fix)
                if most is not None and most > limit.nominal and isinstance(node, ClusterQueue):
                    says = say(
                        "`{name}` lends up to {limit} of its {nominal} {resource}",
                        name=node.name,
                        limit=plain(most),
                        nominal=plain(limit.nominal),
                        resource=resource,
                    )
                    fix = say("write at most {most}", most=plain(limit.nominal))
                    yield Fault("X012", (*here, "lending_limit"), says, fix)
                if top and most is not None:
                    says = say("`{name}` has a lending limit, but stands under no cohort", name=node.name)
                    yield _no_effect((*here, "lending_limit"), says)


def _groups(groups: Sequence[Sequence[Flavor]], path: tuple[Step, ...]) -> Iterator[Fault]:
    """A flavor stands in one group once, and a resource in one group."""
    yield from _twice(
        ((*path, g, f, "flavor"), flavor.flavor)
        for g, group in enumerate(groups)
        for f, flavor in enumerate(group)
    )
    home: dict[str, int] = {}
    for g, group in enumerate(groups):
        for f, flavor in enumerate(group):
            for resource in flavor.resources:
                if home.setdefault(resource, g) != g:
                    says = say("`{name}` stands here a second time", name=resource)
                    fix = say("put all flavors that have it into one group")
                    yield Fault("X010", (*path, g, f, "resources", resource), says, fix)


def _policies(queue: ClusterQueue, path: tuple[Step, ...]) -> Iterator[Fault]:
    preemption, fungibility = queue.preemption, queue.flavor_fungibility
    if preemption.borrowWithinCohort.policy != "Never" and preemption.reclaimWithinCohort == "Never":
        says = say("borrowWithinCohort of `{name}` needs reclaimWithinCohort", name=queue.name)
        yield _no_effect((*path, "preemption", "borrowWithinCohort"), says)
    words = {fungibility.whenCanBorrow, fungibility.whenCanPreempt}
    if fungibility.preference is not None and words != {"TryNextFlavor"}:
        says = say("the preference of `{name}` needs TryNextFlavor twice", name=queue.name)
        yield _no_effect((*path, "flavor_fungibility", "preference"), says)


def _no_effect(path: tuple[Step, ...], says: str) -> Fault:
    return Fault("X013", path, says, say("leave it out, or declare what it needs"), "warning")


def _flavors(case: _KueueCase) -> Iterator[Fault]:
    trees = [each.resource_groups for each in case.cohorts]
    trees += [each.resource_groups for each in case.cluster_queues]
    known = {flavor.flavor for groups in trees for group in groups or () for flavor in group}
    for at, work in enumerate(case.admitted):
        for u, usage in enumerate(work.admitted_to.usage):
            for resource, used in usage.resources.items():
                if used.flavor not in known:
                    here = ("admitted", at, "admitted_to", "usage", u, "resources", resource, "flavor")
                    yield _no_effect(here, say("nobody has quota of flavor `{flavor}`", flavor=used.flavor))
    if isinstance(case, PreemptionCase):
        resources = amounts_of(case)
        for resource, chosen in case.incoming.assignment.items():
            yield from _known(("incoming", "assignment", resource, "flavor"), chosen.flavor, known)
            yield from _known(("incoming", "assignment", resource), resource, resources)


def _amounts(case: _KueueCase) -> Iterator[Fault]:
    for resource, found in amounts_of(case).items():
        step = step_of(number for _, number in found)
        with localcontext(prec=80):
            total = sum((number for _, number in found), Decimal(0))
            too_many = total / step >= LARGEST_SUM
        if too_many:
            path, largest = max(found, key=lambda each: each[1])
            says = say(
                "{resource}: {total} in all, in steps of {step}",
                resource=resource,
                total=plain(total),
                step=plain(step),
            )
            fix = say("write {largest} with fewer digits, or in a larger unit", largest=plain(largest))
            yield Fault("X008", path, says, fix)


def plain(number: Decimal) -> str:
    """A number as people write it.

    >>> plain(Decimal("2.50")), plain(Decimal("3E+9")), plain(Decimal(12000))
    ('2.5', '3,000,000,000', '12,000')
    """
    number = number.normalize()
    return f"{number:,f}"


# --- KAI


def _kai(case: KaiCase) -> Iterator[Fault]:
    queues = [*case.departments, *case.queues]
    names = [queue.name for queue in queues]
    yield from _twice([*_named("departments", case.departments), *_named("queues", case.queues)])
    yield from _twice(_named("jobs", case.jobs))
    above: dict[str, str | None] = {}
    for at, queue in enumerate(case.queues):
        above[queue.name] = queue.parent
        if queue.parent is not None:
            yield from _known(("queues", at, "parent"), queue.parent, names)
    yield from _circle(above, {q.name: ("queues", at, "parent") for at, q in enumerate(case.queues)})
    for at, job in enumerate(case.jobs):
        yield from _known(("jobs", at, "queue"), job.queue, names)
        if job.gpus_per_task > 1 and job.gpus_per_task % 1:
            says = say("{gpus} GPUs a task", gpus=plain(job.gpus_per_task))
            yield Fault(
                "X008", ("jobs", at, "gpus_per_task"), says, say("write whole GPUs, or a part of one")
            )
        for t, task in enumerate(job.tasks):
            if task.node is not None:
                yield from _known(("jobs", at, "tasks", t, "node"), task.node, case.nodes)
            elif task.state != "pending":
                says = say("a {state} task is on no node", state=task.state)
                yield Fault("X006", ("jobs", at, "tasks", t), says, say("add `{key}`", key="node"))
