"""Checks of shared quotas and of wishes of the topology, against what the plan delivers and who waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding, Place
from gpufleet.base.say import say
from gpufleet.plan.check import check
from gpufleet.plan.job_rules import Topology
from gpufleet.plan.levels import has_level, most_at_level
from gpufleet.plan.quota_tree import Key, QuotaTree
from gpufleet.plan.stock import stock_over_time
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import CampaignWorkload, TraceWorkload

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.workloads import Workload


def tree_of(plan: Plan) -> QuotaTree:
    """The quotas of a plan as a tree."""
    return QuotaTree(plan.cohorts, plan.queues.values(), plan.policy.sharing)


def queues_of(plan: Plan, workload: Workload) -> list[str]:
    """Queues in which jobs of a workload may wait; of a trace that names them itself, all."""
    if not isinstance(workload, TraceWorkload):
        return [workload.queue]
    if workload.queue_column is None and workload.default_queue is not None:
        return [workload.default_queue]
    return list(plan.queues)


@check("P048", "a level that is required and is nowhere", severity="error")
def level_nowhere(plan: Plan) -> Iterator[Finding]:
    """A job that requires one domain (or block) can start only where there are domains of several nodes (or
    where `domains_per_block` says how many domains a block has). No site has, with products that it accepts.

    Example::

        deliveries: [{to: lab, system: DGX B200, ...}]           # each node is a domain of its own
        workloads:  {big: {topology: {required: domain}, ...}}
    """
    for name, workload in plan.workloads.items():
        wish = workload.topology
        if wish is None or wish.required is None:
            continue
        queues = [plan.queues[queue] for queue in queues_of(plan, workload)]
        if any(has_level(plan, queue, workload.products, wish.required) for queue in queues):
            continue
        sites = len({delivery.to for delivery in plan.deliveries})
        says = say(
            "{name} requires one {level}; none of the {n:,} sites has any with GPUs that it accepts",
            name=name, level=wish.required, n=sites,
        )  # fmt: skip
        fix = say(
            "write `required: site`, bring systems of several `nodes_per_domain`, or accept other products"
        )
        if wish.required == "block":
            fix = say("write `required: site`, give the site `domains_per_block`, or accept other products")
        yield Finding(at=plan.line(f"workloads.{name}.topology.required"), says=says, fix=fix)


@check("P049", "campaign larger than what it requires to be in", severity="error")
def larger_than_level(plan: Plan) -> Iterator[Finding]:
    """With `topology: {required: LEVEL}` all GPUs of a job lie in one node, domain, block or site. This one
    has more GPUs than the largest of them, so that it could never start.

    Example::

        workloads: {big: {gpus: 128, topology: {required: domain}, products: {GB200: 1}, ...}}   # a rack: 72
    """
    for name, workload in plan.workloads.items():
        if not isinstance(workload, CampaignWorkload | TrainingWorkload) or not workload.topology:
            continue
        wish: Topology = workload.topology
        queue = plan.queues[workload.queue]
        if wish.required is None or not has_level(plan, queue, workload.products, wish.required):
            continue
        most, where = most_at_level(plan, queue, workload.products, wish.required, wish.slice)
        if workload.gpus > most:
            says = say(
                "{name} wants {gpus:,} GPUs in one {level}; the largest that it may use has {most:,} "
                "({where})",
                name=name, gpus=workload.gpus, level=wish.required, most=most, where=where,
            )  # fmt: skip
            fix = say("ask for {most:,} or fewer, require a wider level, or write `preferred`", most=most)
            yield Finding(at=plan.line(f"workloads.{name}.topology.required"), says=says, fix=fix)


@check("P054", "slices that never fit", severity="error")
def slices_nowhere(plan: Plan) -> Iterator[Finding]:
    """A slice is a whole number of nodes inside of one domain (or block). None that its jobs may use holds
    such a slice, so that no job of the workload could ever start.

    Example::

        workloads: {big: {topology: {required: block, slice: {gpus: 144, level: domain}}, ...}}   # a rack: 72
    """
    for name, workload in plan.workloads.items():
        part = workload.topology.slice if workload.topology else None
        if part is None:
            continue
        products = workload.products
        sizes = [
            (
                most_at_level(plan, queue, products, part.level, part)[0],
                most_at_level(plan, queue, products, part.level),
            )
            for queue in (plan.queues[each] for each in queues_of(plan, workload))
        ]
        if any(gpus for gpus, _ in sizes) or not any(most for _, (most, _) in sizes):
            continue
        most, where = max(each for _, each in sizes)
        says = say(
            "no {level} holds a slice of {gpus:,} GPUs in whole nodes; the largest that {name} may use has "
            "{most:,} ({where})",
            level=part.level, gpus=part.gpus, name=name, most=most, where=where,
        )  # fmt: skip
        fix = say("make a slice a whole number of nodes, at most {most:,} GPUs", most=most)
        yield Finding(at=plan.line(f"workloads.{name}.topology.slice"), says=says, fix=fix)


@check("P055", "campaign or training that is no whole number of slices", severity="error")
def part_of_slice(plan: Plan) -> Iterator[Finding]:
    """All slices of a job have the same number of GPUs. This campaign cannot be divided into them.

    Example::

        workloads: {big: {gpus: 100, topology: {required: site, slice: {gpus: 72, level: domain}}, ...}}
    """
    for workload in plan.workloads.values():
        if isinstance(workload, CampaignWorkload):
            yield from not_sliced(plan, workload, [workload.gpus])
        elif isinstance(workload, TrainingWorkload):
            yield from not_sliced(plan, workload, workload.sizes(workload.gpus).values())


def not_sliced(
    plan: Plan, workload: CampaignWorkload | TrainingWorkload, sizes: Iterable[int]
) -> Iterator[Finding]:
    """Jobs of a workload, by their GPUs, that its slices do not divide."""
    part = workload.topology.slice if workload.topology else None
    for gpus in dict.fromkeys(sizes):
        if part is None or gpus % part.gpus == 0:
            continue
        name = workload.name
        says = say("{name} wants {gpus:,} GPUs in slices of {part:,}", name=name, gpus=gpus, part=part.gpus)
        up = -(-gpus // part.gpus) * part.gpus
        fix = say("ask for {up:,} GPUs, or for slices that divide {gpus:,}", up=up, gpus=gpus)
        yield Finding(at=plan.line(f"workloads.{name}.topology.slice"), says=says, fix=fix)


@check("P050", "quotas of a cohort above what ever comes")
def cohort_above_supply(plan: Plan) -> Iterator[Finding]:
    """All quotas of a cohort and of the queues in it, added up, are more than the GPUs that its tenants can
    ever use. Then some queue may be refused GPUs within its own quota, because others hold theirs.

    Example::

        deliveries: [{to: lab, system: DGX B200, gpus: 64, ...}]
        tenants:    {a: {cohort: all, quota: {B200: 48}}, b: {cohort: all, quota: {B200: 48}}}
    """
    tree, stocks = tree_of(plan), stock_over_time(plan)
    for root in tree.roots():
        tenants = {plan.queues[name].tenant for kind, name in tree.down(root) if kind == "queue"}
        products = dict.fromkeys(product for key, product in tree.holders() if tree.root(key) == root)
        for product in products:
            mine = [
                i
                for i, d in enumerate(plan.deliveries)
                if plan.systems[d.system].product == product and d.tenant in {None, *tenants}
            ]
            most = max(sum(stock.gpus[i] for i in mine) for stock in stocks)
            quota, t_s = tree.peak(root, product)
            if quota > most:
                says = say(
                    "the quotas in cohort {name} come to {quota:,} {product} on {date}; at most {most:,} are "
                    "ever there for it ({more:,} too many)",
                    name=root[1], quota=quota, product=product, date=plan.local(t_s).date(), most=most,
                    more=quota - most,
                )  # fmt: skip
                fix = say("lower quotas by {more:,}, or deliver more", more=quota - most)
                yield Finding(at=plan.line(f"cohorts.{root[1]}"), says=says, fix=fix)


@check("P051", "quota that nobody can ever use")
def quota_for_nobody(plan: Plan) -> Iterator[Finding]:
    """A quota is used by the jobs of its queue, and by those of queues that borrow it. No job that accepts
    the product waits in any of these.

    Example::

        cohorts: {pool: {quota: {B200: 64}}}      # no queue says `cohort: pool`
    """
    if not plan.workloads:
        return  # P037
    tree = tree_of(plan)
    wanted: dict[str, set[str]] = {}
    for workload in plan.workloads.values():
        for product in dict(workload.products) or {system.product: 1.0 for system in plan.systems.values()}:
            wanted.setdefault(product, set()).update(queues_of(plan, workload))
    for key, product in tree.holders():
        gpus = max(gpus for _, gpus in tree.terms(key, product).nominal)
        users = wanted.get(product, set())
        own = key[0] == "queue" and key[1] in users
        if not gpus or own or any(tree.reaches(key, queue, product) for queue in users):
            continue
        yield Finding(
            at=_line(plan, key),
            says=say(
                "{name} has a quota of {gpus:,} {product}; no job can ever use it",
                name=_name(key), gpus=gpus, product=product,
            ),
            fix=say("let it lend and others borrow, send jobs there, or lower the quota to 0"),
        )  # fmt: skip


@check("P052", "a setting of fair sharing has no effect")
def fair_without_fair(plan: Plan) -> Iterator[Finding]:
    """Weights and strategies count only with `policy.sharing: {fair: true}`; `fair: false` says that this is
    meant. With fair sharing, `borrow_within_cohort`
    does not count: the shares decide.

    Example::

        tenants: {research: {cohort: all, weight: 3}}      # add `policy: {sharing: {fair: true}}`
    """
    sharing = plan.policy.sharing
    fair = sharing is not None and sharing.fair
    told = fair or (sharing is not None and "fair" in sharing.model_fields_set)  # who says no knows it
    if sharing is not None and "strategies" in sharing.model_fields_set and not told:
        yield Finding(
            at=plan.line("policy.sharing.strategies"),
            says=say("`strategies` has no effect without `fair: true`"),
            fix=say("set `policy.sharing.fair: true`, or leave it out"),
        )
    weighted: list[tuple[Key, float | None]] = [(("cohort", c.name), c.weight) for c in plan.cohorts.values()]
    weighted += [(("queue", q.name), q.weight) for q in plan.queues.values()]
    for key, weight in weighted:
        if weight is not None and not told:
            yield Finding(
                at=_line(plan, key),
                says=say("{name} has weight {weight:g}; sharing is not fair", name=_name(key), weight=weight),
                fix=say("set `policy.sharing.fair: true`, or leave `weight` out"),
            )
    for queue in plan.queues.values() if fair else ():
        if queue.preemption and queue.preemption.borrow_within_cohort != "never":
            yield Finding(
                at=queue.line,
                says=say("queue {name} has `borrow_within_cohort`; sharing is fair", name=queue.name),
                fix=say("leave `borrow_within_cohort` out, or set `policy.sharing.fair: false`"),
            )


def _name(key: Key) -> str:
    return say("cohort {name}", name=key[1]) if key[0] == "cohort" else say("queue {name}", name=key[1])


def _line(plan: Plan, key: Key) -> Place:
    return plan.cohorts[key[1]].line if key[0] == "cohort" else plan.queues[key[1]].line
