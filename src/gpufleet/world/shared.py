"""Shared quotas of a plan as arrays: the quota tree, how quotas change, what classes of jobs put up with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.plan.job_rules import LEVELS
from gpufleet.plan.quota_tree import UNLIMITED, Key, QuotaTree
from gpufleet.plan.quotas import nominal_at
from gpufleet.plan.sharing import Fungibility, Preemption, SharingPlan
from gpufleet.world import quotas
from gpufleet.world.capacity import Fleet
from gpufleet.world.layout import (
    NO_WISH,
    PREFERRED,
    REQUIRED,
    SITE_LEVEL,
    UNCONSTRAINED,
    UNKNOWN_S,
    Cells,
    ClassRules,
    Nodes,
    Restarts,
    SharedQuotas,
)
from gpufleet.world.names import Names
from gpufleet.world.quotas import Group, Limits, Sharing, arrays_of

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.job_rules import JobRules, Topology
    from gpufleet.plan.tenants import Queue

RESOURCE: Final = "gpu"

_KUEUE: Final[dict[str, Any]] = {
    "never": "Never",
    "lower-priority": "LowerPriority",
    "lower-or-newer-equal-priority": "LowerOrNewerEqualPriority",
    "any": "Any",
    "less-than-or-equal-to-final-share": "LessThanOrEqualToFinalShare",
    "less-than-initial-share": "LessThanInitialShare",
}
"""Words of the plan, as Kueue writes them."""


class RuleRow(NamedTuple):
    """A row of `Restarts` and one of `ClassRules`."""

    checkpoint_s: int = UNKNOWN_S
    restart_s: int = 0
    preemptible: int = 1
    wish: int = NO_WISH
    level: int = SITE_LEVEL
    slice_gpus: int = 0
    slice_level: int = 0


def rules_of(plan: Plan, workload: JobRules) -> RuleRow:
    """What a workload says of preemption and topology; with hard quotas only of checkpoints, and, where power
    has caps, of being stopped."""
    rules = job_rules(workload)
    if plan.shares:
        return rules
    own = RuleRow(*rules[: len(Restarts._fields)])
    return own if plan.power is None else own._replace(preemptible=rules.preemptible)


def job_rules(workload: JobRules) -> RuleRow:
    """What a workload says of preemption and topology."""
    wish = workload.topology
    return RuleRow(
        preemptible=int(workload.preemptible),
        checkpoint_s=UNKNOWN_S if workload.checkpoint_s is None else workload.checkpoint_s,
        restart_s=workload.restart_s,
        **({} if wish is None else _wish(wish)),
    )


def _wish(topology: Topology) -> dict[str, int]:
    """What is wished of the topology, as fields of a row."""
    kind = REQUIRED if topology.required else PREFERRED if topology.preferred else UNCONSTRAINED
    part = topology.slice
    return {
        "wish": kind,
        "level": LEVELS.index(topology.level),
        "slice_gpus": part.gpus if part else 0,
        "slice_level": LEVELS.index(part.level) if part else 0,
    }


def _columns(rules: Sequence[RuleRow]) -> list[Ints]:
    table = np.array(rules, np.int64).reshape(-1, len(RuleRow._fields))
    return [np.ascontiguousarray(column) for column in table.T]


def restarts_of(rules: Sequence[RuleRow]) -> Restarts | None:
    """Checkpoints and restarts of the job classes; None where no class says anything of them."""
    table = Restarts._make(_columns(rules)[: len(Restarts._fields)])
    says = (table.checkpoint_s < UNKNOWN_S).any() or (table.restart_s > 0).any()
    return table if says else None


def shared_of(plan: Plan, names: Names, fleet: Fleet, rules: Sequence[RuleRow]) -> SharedQuotas | None:
    """The shared quotas of a plan; None where quotas are hard.

    Args: rules: of the job classes, in their order.
    """
    if not plan.shares:
        return None
    sharing = _policy(plan)
    made = arrays_of(sharing_of(plan, names, fleet), [])
    rows: dict[Key, int] = {
        ("cohort", name): i for i, name in enumerate(made.names.nodes[: len(plan.cohorts)])
    }
    rows |= {("queue", name): len(plan.cohorts) + i for i, name in enumerate(names.queues)}
    table: Ints = np.array(sorted(_Quotas(plan, names, fleet).changes(rows)), np.int64).reshape(-1, 4)
    when, row, product, gpus = (np.ascontiguousarray(column) for column in table.T)
    return SharedQuotas(
        tree=made.tree,
        change_t_s=when,
        change_row=row,
        change_product=product,
        change_gpus=gpus,
        classes=ClassRules._make(_columns(rules)[len(Restarts._fields) :]),
        domain_block=domain_blocks(plan, names, fleet.nodes, fleet.cells),
        evict_falling=int(sharing.evict_falling_quota),
        return_s=sharing.return_after_s,
        return_last=int(sharing.returns == "last"),
        preemptions_at_most=sharing.preemptions_at_most,
    )


def sharing_of(plan: Plan, names: Names, fleet: Fleet) -> Sharing:
    """Cohorts and queues as people name them; every queue knows all products, in the order of codes."""
    quota, said = _Quotas(plan, names, fleet), _policy(plan)
    cohorts = tuple(
        quotas.Cohort(name, cohort.parent, quota.group(("cohort", name), list(cohort.quota)), _weight(cohort))
        for name, cohort in plan.cohorts.items()
    )
    queues = tuple(
        _queue(plan, queue, quota.group(("queue", name), names.products))
        for name, queue in plan.queues.items()
    )
    return Sharing(cohorts, queues, said.fair, tuple(_KUEUE[word] for word in said.strategies))


def _policy(plan: Plan) -> SharingPlan:
    return plan.policy.sharing or SharingPlan(line=plan.policy.line)


def _queue(plan: Plan, queue: Queue, groups: tuple[Group, ...]) -> quotas.Queue:
    preemption = queue.preemption or Preemption(line=queue.line)
    fungibility = queue.fungibility or Fungibility(line=queue.line)
    return quotas.Queue(
        name=queue.name,
        cohort=queue.cohort,
        groups=groups,
        weight=_weight(queue),
        strict=plan.policy.strict if queue.strict is None else queue.strict,
        within=_KUEUE[preemption.within_queue],
        reclaim=_KUEUE[preemption.reclaim_within_cohort],
        borrow_within=_KUEUE[preemption.borrow_within_cohort],
        threshold=preemption.max_priority_threshold,
        next_if_borrowing=fungibility.when_can_borrow == "try-next",
        next_if_preempting=fungibility.when_can_preempt == "try-next",
        rather_preempt=fungibility.prefer == "preemption",
    )


class _Quotas:
    """The quotas of a plan, by holder and product."""

    def __init__(self, plan: Plan, names: Names, fleet: Fleet) -> None:
        self.plan, self.names = plan, names
        self.tree = QuotaTree(plan.cohorts, plan.queues.values(), plan.policy.sharing)
        product = fleet.cells.product[fleet.nodes.cell]
        ever = np.bincount(product, weights=fleet.nodes.size, minlength=len(names.products))
        self.ever = dict(zip(names.products, ever.astype(np.int64).tolist(), strict=True))

    def group(self, key: Key, products: Sequence[str]) -> tuple[Group, ...]:
        """Quotas of products, as one group that gets one of them."""
        pairs = tuple((product, {RESOURCE: self._limits(key, product)}) for product in products)
        return (pairs,) if pairs else ()

    def _limits(self, key: Key, product: str) -> Limits:
        """The quota at the start. Alone and without a quota a queue may use all that ever comes."""
        if key not in self.tree.parent:
            steps = self.plan.queues[key[1]].own(product)
            return Limits(nominal_at(steps, 0) if steps else self.ever[product])
        terms = self.tree.terms(key, product)
        borrow, lend = (None if limit == UNLIMITED else limit for limit in (terms.borrow, terms.lend))
        return Limits(nominal_at(terms.nominal, 0), borrow, lend)

    def changes(self, rows: dict[Key, int]) -> Iterator[tuple[int, int, int, int]]:
        """(second, row, product, GPUs from then on) of each change of a quota after the start."""
        for key, row in rows.items():
            for code, product in enumerate(self.names.products):
                alone = key not in self.tree.parent
                steps = (
                    self.plan.queues[key[1]].own(product) if alone else self.tree.terms(key, product).nominal
                )
                yield from ((t_s, row, code, gpus) for t_s, gpus in steps if t_s > 0)


def _weight(part: Any) -> float:
    return 1.0 if part.weight is None else float(part.weight)


def domain_blocks(plan: Plan, names: Names, nodes: Nodes, cells: Cells) -> Ints:
    """The block of each domain: so many neighbouring domains of one cell as its site says, else the cell.

    Returns: shape (n_domains,), ascending from 0.
    """
    domains, first = np.unique(nodes.domain, return_index=True)
    cell = nodes.cell[first].astype(np.int64)
    sizes = [plan.sites[site].domains_per_block or 0 for site in names.sites]
    per_block = np.array(sizes, np.int64)[cells.site[cell]]
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    place = np.arange(domains.size) - np.repeat(starts, np.diff(np.append(starts, domains.size)))
    new = (place == 0) | ((per_block > 0) & (place % np.maximum(per_block, 1) == 0))
    blocks: Ints = np.cumsum(new, dtype=np.int64) - 1
    return blocks
