"""Amounts of resources, which may be fractions, as whole numbers: exactly, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from gpufleet.exchange.forms import CycleCase, PreemptionCase, decimals
from gpufleet.exchange.json_text import Step

LARGEST_SUM: Final = Decimal(2**63 // 1000)
"""All amounts of a resource in a case stay below it, in steps: shares are counted in thousandths."""

Found = tuple[tuple[Step, ...], Decimal]


def amounts_of(case: PreemptionCase | CycleCase) -> dict[str, list[Found]]:
    """Every amount of a case with its path, by resource. Requests count once per pod."""
    found: dict[str, list[Found]] = {}
    for resource, path, number in [*_quotas(case), *_requests(case)]:
        found.setdefault(resource, []).append((path, number))
    return found


def workloads_of(case: PreemptionCase | CycleCase) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Every workload of a case with its path: those that hold quota, then those that ask for it."""
    for at, holding in enumerate(case.admitted):
        yield ("admitted", at), holding
    if isinstance(case, PreemptionCase):
        yield ("incoming",), case.incoming
    else:
        for at, pending in enumerate(case.pending):
            yield ("pending", at), pending


def _quotas(case: PreemptionCase | CycleCase) -> Iterator[tuple[str, tuple[Step, ...], Decimal]]:
    for kind in ("cohorts", "cluster_queues"):
        for at, node in enumerate(getattr(case, kind)):
            for g, group in enumerate(node.resource_groups or ()):
                for f, flavor in enumerate(group):
                    for resource, limit in flavor.resources.items():
                        path = (kind, at, "resource_groups", g, f, "resources", resource)
                        for number in (limit.nominal, limit.borrowing_limit, limit.lending_limit):
                            if number is not None:
                                yield resource, path, number


def _requests(case: PreemptionCase | CycleCase) -> Iterator[tuple[str, tuple[Step, ...], Decimal]]:
    for path, work in workloads_of(case):
        for p, pod_set in enumerate(work.pod_sets):
            for resource, number in pod_set.requests.items():
                here = (*path, "pod_sets", p, "requests", resource)
                yield resource, here, number
                yield resource, here, number * (pod_set.count - 1)
        for u, usage in enumerate(work.admitted_to.usage if work.admitted_to else ()):
            for resource, used in usage.resources.items():
                yield resource, (*path, "admitted_to", "usage", u, "resources", resource), used.amount


def step_of(numbers: Iterable[Decimal]) -> Decimal:
    """The power of ten, at most 1, of which all numbers are whole multiples.

    >>> step_of([Decimal("2.50"), Decimal(3)]), step_of([Decimal(4000)])
    (Decimal('0.1'), Decimal('1'))
    """
    return Decimal(1).scaleb(-max([0, *map(decimals, numbers)]))
