"""What cannot be meant of cohorts and of what belongs to sharing: found when the plan is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from gpufleet.base.errors import Place, explain_codes
from gpufleet.base.say import say
from gpufleet.plan.job_rules import RESTARTS, RULES, JobRules
from gpufleet.plan.policy import OWN, PolicyPlan
from gpufleet.plan.quota_tree import QuotaTree, circles
from gpufleet.plan.quotas import QuotaTerms
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.sharing import Cohort
from gpufleet.plan.sites import Site
from gpufleet.plan.tenants import Queue
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import Workload

MAX_DEPTH: Final = 50
"""Cohorts above each other."""

explain_codes("""
P043 cohorts in a circle
A cohort is part of at most one other (`in`), and never of itself. At most 50 stand above each other.
    cohorts:
      a: {in: b}
      b: {in: a}

P044 a limit of borrowing or lending without a cohort
Queues borrow from their cohort and lend to it, cohorts from and to the one above. Without one there is nobody
to borrow from, and the limit would be ignored.
    tenants:
      research: {quota: {B200: {nominal: 32, borrowing_limit: 16}}}     # add `cohort: NAME`

P045 more is lent than there is
A lending limit is the most of its own GPUs that a queue or cohort lends: at most its quota, at every date.
    quota: {B200: {nominal: 32, lending_limit: 48}}

P046 rules of preemption that contradict each other
Borrowing by preemption is a kind of reclaiming, so that `borrow_within_cohort` needs
`reclaim_within_cohort`; its threshold needs it itself; and without a cohort there is nobody to reclaim from.
    preemption: {borrow_within_cohort: lower-priority}     # add `reclaim_within_cohort: any`
""")


class Read(NamedTuple):
    """The parts of a plan that sharing looks at."""

    cohorts: Mapping[str, Cohort]
    queues: Mapping[str, Queue]
    sites: Mapping[str, Site]
    workloads: Mapping[str, Workload]
    policy: PolicyPlan | None
    nodes_go: bool  # nodes fail, or are taken away from running jobs
    power_stops: bool = False  # caps of power stop jobs

    @property
    def shares(self) -> bool:
        """Whether jobs are admitted by cycles."""
        preempt = any(queue.preemption is not None for queue in self.queues.values())
        return bool(self.cohorts) or preempt or (self.policy is not None and self.policy.sharing is not None)


def check_sharing(values: Mapping[str, Any], reader: Reader) -> bool:
    """Report what cannot be meant. Whether jobs are admitted by cycles.

    Raises: UnreadableError if the cohorts are no tree.
    """
    parts = {key: values.get(key, {}) for key in ("cohorts", "queues", "sites", "workloads")}
    kills = any(retirement.mode == "kill" for retirement in values.get("retirements", ()))
    nodes_go = kills or values.get("failures") is not None
    power = values.get("power")
    stops = power is not None and power.over_cap == "stop"
    read = Read(**parts, policy=values.get("policy"), nodes_go=nodes_go, power_stops=stops)
    _check_restarts(read, reader)
    if not read.shares:
        _ignored(read, reader)
        return False
    _check_policy(read, reader)
    for queue in read.queues.values():
        _check_preemption(queue, reader)
    if _is_tree(read.cohorts, reader):
        _check_limits(read, reader)
        return True
    raise UnreadableError("cohorts")


def with_ceilings(values: Mapping[str, Any], queues: Mapping[str, Queue]) -> dict[str, Queue]:
    """Queues with the most that those in a cohort may ever hold."""
    products = dict.fromkeys(values["systems"][delivery.system].product for delivery in values["deliveries"])
    for part in (*queues.values(), *values.get("cohorts", {}).values()):
        products |= dict.fromkeys(part.quota)
    for workload in values.get("workloads", {}).values():
        products |= dict.fromkeys(product for product, _ in workload.products)
    policy = values["policy"].sharing if "policy" in values else None
    most = QuotaTree(values.get("cohorts", {}), queues.values(), policy).ceilings(list(products))
    return {
        name: queue.model_copy(update={"ceiling": most[name]}) if name in most else queue
        for name, queue in queues.items()
    }


def _is_tree(cohorts: Mapping[str, Cohort], reader: Reader) -> bool:
    found = list(circles(cohorts))
    for circle in found:
        says = say("the cohorts stand in a circle: {way: in }", way=[*circle[:MAX_DEPTH], circle[0]])
        reader.report("P043", _at(reader, f"cohorts.{circle[0]}", "in"), says, say("leave one `in` out"))
    if found:
        return False
    depth: dict[str, int] = {}
    for name in cohorts:
        way, at = [], cohorts.get(name)
        while at is not None and at.name not in depth:
            way.append(at.name)
            at = cohorts[at.parent] if at.parent is not None else None
        for one in reversed(way):
            parent = cohorts[one].parent
            depth[one] = 1 + (depth[parent] if parent is not None else 0)
    deepest = max(depth, key=lambda name: depth[name], default=None)
    if deepest is None or depth[deepest] <= MAX_DEPTH:
        return True
    says = say("{n:,} cohorts stand above each other; at most {most}", n=depth[deepest], most=MAX_DEPTH)
    reader.report("P043", cohorts[deepest].line, says, say("make the tree of cohorts flatter"))
    return False


def _at(reader: Reader, path: str, *keys: str) -> Place:
    """The place of the first of some keys that is written, else of the part."""
    written = [reader.origins[f"{path}.{key}"] for key in keys if f"{path}.{key}" in reader.origins]
    return (written or [reader.origins[path]])[0].at


def _queue_at(reader: Reader, queue: Queue, key: str) -> Place:
    """Where something is said of a queue: at itself, or at its tenant."""
    tenant = f"tenants.{queue.tenant}"
    for path in (f"{tenant}.queues.{queue.name}.{key}", f"{tenant}.{key}"):
        if path in reader.origins:
            return reader.origins[path].at
    return queue.line


# --- with sharing -------------------------------------------------------------------------------------------


def _check_policy(read: Read, reader: Reader) -> None:
    """Refuse an order or a backfill that admission by cycles does not have."""
    policy = read.policy
    if policy is None:
        return
    preempting = sum(queue.preemption is not None for queue in read.queues.values())
    for key, allowed in (("order", ("fifo", "priority")), ("backfill", ("none",))):
        word = getattr(policy, key)
        if word in allowed or (key == "order" and word == OWN):
            continue
        says = say(
            "{key} is {word}; with {cohorts:,} cohorts and {queues:,} queues that preempt, jobs are admitted "
            "by cycles: the first of each queue, in order of time or priority",
            key=key,
            word=word,
            cohorts=len(read.cohorts),
            queues=preempting,
        )
        fix = say("set `policy.{key}: {words: or }`", key=key, words=allowed)
        reader.report("P023", _at(reader, "policy", key), says, fix)
    for key in ("lending", "fair") if not read.cohorts else ():
        if policy.sharing and key in policy.sharing.model_fields_set:
            says = say("`{key}` has no effect: the plan has no cohorts", key=key)
            fix = say("declare `cohorts`, or leave `{key}` out", key=key)
            reader.report("P024", _at(reader, "policy.sharing", key), says, fix)


def _check_preemption(queue: Queue, reader: Reader) -> None:
    if queue.cohort is None and queue.preemption and queue.preemption.reclaim_within_cohort != "never":
        says = say("queue {name} reclaims from its cohort, and has none", name=queue.name)
        fix = say("add `cohort: NAME`, or leave `reclaim_within_cohort` out")
        at = _queue_at(reader, queue, "preemption.reclaim_within_cohort")
        reader.report("P046", at, says, fix)


def _check_limits(read: Read, reader: Reader) -> None:
    """Refuse limits of borrowing and lending that nobody is there for, or that nothing is there for."""
    for queue in read.queues.values():
        what = say("queue {name}", name=queue.name)
        _check_terms(what, queue.terms, queue.cohort is None, reader)
    for cohort in read.cohorts.values():
        what = say("cohort {name}", name=cohort.name)
        _check_terms(what, cohort.terms, cohort.parent is None, reader)


def _check_terms(what: str, terms: Mapping[str, QuotaTerms], alone: bool, reader: Reader) -> None:
    for product, each in terms.items():
        for key in ("borrowing_limit", "lending_limit"):
            limit = getattr(each, key)
            if alone and limit is not None:
                says = say(
                    "{what} has a `{key}` of {limit:,} {product}, and no cohort above it",
                    what=what, key=key, limit=limit, product=product,
                )  # fmt: skip
                fix = say("say which cohort it is in, or leave the limit out")
                reader.report("P044", each.line, says, fix)
        least = min(gpus for _, gpus in each.nominal)
        if each.lending_limit is not None and each.lending_limit > least and not alone:
            says = say(
                "{what} lends up to {lent:,} {product}; its own are {own:,}{when}",
                what=what, lent=each.lending_limit, product=product, own=least,
                when=_when(each, least, reader),
            )  # fmt: skip
            fix = say("set `lending_limit` to at most {own:,}, or leave it out: all are lent", own=least)
            reader.report("P045", each.line, says, fix)


def _when(terms: QuotaTerms, gpus: int, reader: Reader) -> str:
    """From when the quota is that small, if it changes."""
    t_s = next(t_s for t_s, own in terms.nominal if own == gpus)
    if len(terms.nominal) == 1 or reader.start is None:
        return ""
    return say(" from {date}", date=reader.local(reader.start + timedelta(seconds=t_s)))


def _check_restarts(read: Read, reader: Reader) -> None:
    """Report what attempts cost that are never cut short."""
    for name, workload in read.workloads.items():
        assert isinstance(workload, JobRules)
        yields = (read.shares or read.power_stops) and workload.preemptible
        if read.nodes_go or yields or isinstance(workload, TrainingWorkload):
            continue  # how long a training takes is predicted with both
        for field in RESTARTS:
            if field in workload.model_fields_set:
                key = field.removesuffix("_s")
                says = say("`{key}` of {name} has no effect: nothing cuts its jobs short", key=key, name=name)
                fix = say("leave `{key}` out, or declare `failures`, or let queues preempt", key=key)
                reader.report("P024", _at(reader, f"workloads.{name}", key), says, fix)


# --- without sharing ----------------------------------------------------------------------------------------


def _ignored(read: Read, reader: Reader) -> None:
    """Refuse what has an effect only where jobs are admitted by cycles."""
    for what, at in _written(read, reader):
        says = say(
            "{what} has no effect: no cohort, no preemption and no `policy.sharing` is declared", what=what
        )
        fix = say("declare `cohorts`, or add `policy: {sharing: {}}`, or leave it out")
        reader.report("P024", at, says, fix)


def _written(read: Read, reader: Reader) -> Iterator[tuple[str, Place]]:
    for queue in read.queues.values():
        for key in ("weight", "strict", "fungibility"):
            if getattr(queue, key) is not None:
                yield say("`{key}` of queue {name}", key=key, name=queue.name), _queue_at(reader, queue, key)
        for product, terms in queue.terms.items():
            what = say("more than one number for {product} of queue {name}", product=product, name=queue.name)
            yield what, terms.line
    for name, site in read.sites.items():
        if site.domains_per_block is not None:
            what = say("`domains_per_block` of site {name}", name=name)
            yield what, _at(reader, f"sites.{name}", "domains_per_block")
    for name, workload in read.workloads.items():
        assert isinstance(workload, JobRules)
        for field in RULES:
            stopped = field == "preemptible" and read.power_stops
            if field in workload.model_fields_set and not stopped:
                key = field.removesuffix("_s")
                what = say("`{key}` of {name}", key=key, name=name)
                yield what, _at(reader, f"workloads.{name}", key)
