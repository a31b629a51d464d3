"""Cases of Kueue: as a quota tree with works, decided, and the decision in the words of the file."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gpufleet.admit import CycleDecision, Victim, admit_cycle, choose_victims
from gpufleet.exchange.amounts import amounts_of, step_of
from gpufleet.exchange.forms import (
    ClusterQueue,
    CycleCase,
    Groups,
    KueueWorkload,
    PreemptionCase,
)
from gpufleet.world.quotas import Cohort, Group, Limits, PodSet, Queue, Sharing, Work


class Units:
    """Amounts of a case as whole numbers: each resource in steps of its own."""

    def __init__(self, case: PreemptionCase | CycleCase) -> None:
        found = amounts_of(case).items()
        self._steps = {resource: step_of(number for _, number in numbers) for resource, numbers in found}

    def whole(self, resource: str, amount: Decimal) -> int:
        """An amount in steps of its resource, exactly."""
        return int(amount / self._steps[resource])

    def limits(self, resource: str, *amounts: Decimal | None) -> Limits:
        """Nominal quota, borrowing limit and lending limit in steps."""
        nominal, borrow, lend = (None if a is None else self.whole(resource, a) for a in amounts)
        return Limits(nominal or 0, borrow, lend)


def decide_preemption(case: PreemptionCase) -> dict[str, Any]:
    """The answer to a case of `kueue-preemption`, in the form of its `expect`."""
    units, assigned = Units(case), case.incoming.assignment
    works = [_work(each, units) for each in case.admitted]
    victims = choose_victims(
        _sharing(case, units),
        works,
        _work(case.incoming, units),
        {resource: chosen.flavor for resource, chosen in assigned.items()},
        short=[resource for resource, chosen in assigned.items() if chosen.mode == "preempt"],
    )
    return {"preempted": _preempted(victims)}


def decide_cycle(case: CycleCase) -> dict[str, Any]:
    """The answer to a case of `kueue-cycle`, in the form of its `expect`."""
    units = Units(case)
    works = [_work(each, units) for each in (*case.admitted, *case.pending)]
    return _cycle_answer(admit_cycle(_sharing(case, units), works))


def _cycle_answer(done: CycleDecision) -> dict[str, Any]:
    admitted = {
        each.work: {"cluster_queue": each.queue, "flavors": {p: dict(f) for p, f in each.flavors.items()}}
        for each in done.admitted
    }
    return {
        "newly_admitted": admitted,
        "preempted": _preempted(done.victims),
        "left_in_queue": _listed(done.waiting),
        "left_inadmissible": _listed(done.parked),
    }


def _preempted(victims: tuple[Victim, ...]) -> list[dict[str, str]]:
    return [{"workload": each.work, "reason": each.reason} for each in victims]


def _listed(works: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    return {queue: list(names) for queue, names in works.items()}


def _sharing(case: PreemptionCase | CycleCase, units: Units) -> Sharing:
    cohorts = tuple(
        Cohort(each.name, each.parent, _groups(each.resource_groups, units), float(each.fair_weight))
        for each in case.cohorts
    )
    queues = tuple(_queue(each, units) for each in case.cluster_queues)
    strategies = case.fair_sharing_strategies
    if strategies is None:
        return Sharing(cohorts, queues, case.fair_sharing)
    return Sharing(cohorts, queues, case.fair_sharing, tuple(strategies))


def _queue(queue: ClusterQueue, units: Units) -> Queue:
    rules, fungibility = queue.preemption, queue.flavor_fungibility
    return Queue(
        name=queue.name,
        cohort=queue.cohort,
        groups=_groups(queue.resource_groups, units),
        weight=float(queue.fair_weight),
        strict=queue.queueing_strategy == "StrictFIFO",
        within=rules.withinClusterQueue,
        reclaim=rules.reclaimWithinCohort,
        borrow_within=rules.borrowWithinCohort.policy,
        threshold=rules.borrowWithinCohort.maxPriorityThreshold,
        next_if_borrowing=fungibility.whenCanBorrow == "TryNextFlavor",
        next_if_preempting=fungibility.whenCanPreempt == "TryNextFlavor",
        rather_preempt=fungibility.preference == "PreemptionOverBorrowing",
    )


def _groups(groups: Groups | None, units: Units) -> tuple[Group, ...]:
    return tuple(
        tuple(
            (
                flavor.flavor,
                {
                    resource: units.limits(
                        resource, limit.nominal, limit.borrowing_limit, limit.lending_limit
                    )
                    for resource, limit in flavor.resources.items()
                },
            )
            for flavor in group
        )
        for group in groups or ()
    )


def _work(work: KueueWorkload, units: Units) -> Work:
    held = getattr(work, "admitted_to", None)
    uses = None
    if held is not None:
        parts = [part for usage in held.usage for part in usage.resources.items()]
        uses = tuple((used.flavor, resource, units.whole(resource, used.amount)) for resource, used in parts)
    pod_sets = (
        PodSet(
            each.name,
            each.count,
            {resource: units.whole(resource, amount) for resource, amount in each.requests.items()},
            each.min_count,
        )
        for each in work.pod_sets
    )
    return Work(
        name=f"{work.namespace}/{work.name}" if work.namespace else work.name,
        queue=held.cluster_queue if held is not None else work.cluster_queue,  # type: ignore[attr-defined]
        pod_sets=tuple(pod_sets),
        priority=work.priority,
        time=_microseconds(work.created_s),
        reserved=0 if held is None else _microseconds(held.reserved_s),
        uid=work.uid,
        uses=uses,
    )


def _microseconds(seconds: Decimal) -> int:
    return round(seconds * 1_000_000)
