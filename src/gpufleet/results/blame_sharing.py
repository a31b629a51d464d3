"""Which lines of the plan stand behind what queues may borrow, and behind a preemption."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from gpufleet.base.errors import GpufleetError

Lock = Mapping[str, Any]

RULE_KEYS: Final = {
    "InClusterQueue": "within_queue",
    "InCohortReclamation": "reclaim_within_cohort",
    "InCohortReclaimWhileBorrowing": "borrow_within_cohort",
}
"""Which key of `preemption` lets a rule be."""


def most_ever(lock: Lock, queue: str, product: str) -> int | None:
    """The most GPUs of a product that a queue may ever hold, with all that it can borrow; None: no limit."""
    part = lock["queues"][queue]
    ceiling: int | None = part.get("ceiling", {}).get(product, part["quota"].get(product))
    return ceiling


def cohorts_of(lock: Lock, queue: str) -> list[str]:
    """The cohorts that a queue is in, the nearest first."""
    found, at = [], lock["queues"][queue].get("cohort")
    while at is not None:
        found.append(at)
        at = lock["cohorts"][at].get("parent")
    return found


def quota_paths(lock: Lock, queue: str, products: Collection[str]) -> list[str]:
    """Paths of the quotas of a queue, as the plan writes them."""
    tenant = lock["queues"][queue]["tenant"]
    prefixes = (f"tenants.{tenant}.queues.{queue}.quota.", f"tenants.{tenant}.quota.")
    return [path for prefix in prefixes for path in _written(lock, prefix, products)]


def cohort_quota_paths(lock: Lock, cohort: str, products: Collection[str]) -> list[str]:
    """Paths of the quotas of a cohort itself, as the plan writes them."""
    return list(_written(lock, f"cohorts.{cohort}.quota.", products))


def _written(lock: Lock, prefix: str, products: Collection[str]) -> Iterator[str]:
    for path in lock["lines"]:
        if path.startswith(prefix) and _product(path.removeprefix(prefix)) in products:
            yield path


def _product(written: str) -> str:
    """The id of a product as somebody wrote it."""
    from gpufleet.catalog.load import resolve_product

    try:
        return resolve_product(written).id
    except GpufleetError:
        return written  # a product of the plan's own


def cohort_paths(lock: Lock, queue: str, products: Collection[str]) -> list[str]:
    """What decides about how much a queue may borrow: limits, then its quota, then its cohorts.

    The limits are its own of borrowing, and those of lending of all others in the cohorts that it is in.
    """
    cohorts = cohorts_of(lock, queue)
    if not cohorts:
        return quota_paths(lock, queue, products)
    top = cohorts[-1]
    inside = [name for name in lock["queues"] if name != queue and top in cohorts_of(lock, name)]
    quotas = [path for name in inside for path in quota_paths(lock, name, products)]
    quotas += [path for name in lock["cohorts"] for path in cohort_quota_paths(lock, name, products)]
    limits = [f"{path}.lending_limit" for path in quotas if f"{path}.lending_limit" in lock["lines"]]
    own = [f"{path}.borrowing_limit" for path in quota_paths(lock, queue, products)]
    held = [path for path in quotas if path.startswith(tuple(f"cohorts.{name}." for name in cohorts))]
    return [
        *(path for path in own if path in lock["lines"]),
        *limits,
        *quota_paths(lock, queue, products),
        *held,
        *(f"cohorts.{name}" for name in cohorts),
    ]


def rule_path(lock: Lock, rule: str, queue: str | None) -> str:
    """The path of the plan that lets a rule of preemption be.

    Args: rule: Kueue's word; queue: of the preemptor, None = a quota that fell.
    """
    if rule not in RULE_KEYS or queue is None:
        return (
            "policy.sharing.fair" if rule == "InCohortFairSharing" else "policy.sharing.evict_falling_quota"
        )
    tenant = lock["queues"][queue]["tenant"]
    key = f"preemption.{RULE_KEYS[rule]}"
    paths = [f"tenants.{tenant}.queues.{queue}.{key}", f"tenants.{tenant}.{key}"]
    return next((path for path in paths if path in lock["lines"]), paths[-1])


def retirement_path(lock: Lock, product: str, tenant: str, at: datetime) -> str:
    """The path of the first retirement that can have taken a node of a product from a tenant's job then."""
    for i, one in enumerate(lock["retirements"]):
        here = one["mode"] == "kill" and datetime.fromisoformat(one["at"]) == at
        owned = one.get("tenant") in (None, tenant)
        if here and owned and lock["systems"][one["system"]]["product"] == product:
            return f"retirements.{i}"
    return "retirements"
