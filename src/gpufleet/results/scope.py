"""Which parts of a plan a value of a measure is about, so that its entry names no source that it has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gpufleet.plan.sums import parts_of

Lock = Mapping[str, Any]
Scope = Mapping[str, frozenset[str]]
"""By section of the plan the names (or numbers) of its parts that matter; of other sections all do."""

NARROWING: Final = ("promise", "lot", "site", "tenant", "product", "operator", "sum")
"""Dimensions of measures that tell which lots matter."""


def scope_of(lock: Lock, by: Mapping[str, str]) -> Scope:
    """What a value with such dimensions is about.

    Args: lock: plan.lock.yaml; by: dimension -> name.
    """
    if "reservation" in by:
        return {"reservations": frozenset((by["reservation"],))}
    if not any(dim in by for dim in NARROWING):
        return {}
    lots = frozenset(name for name in lock["deliveries"] if _is_about(lock, name, by))
    sites = frozenset(lock["deliveries"][name]["to"] for name in lots)
    if "site" in by:
        sites = frozenset((by["site"],))
    scope = {"deliveries": lots, "sites": sites, "retirements": _retirements(lock, lots, sites)}
    scope["actuals"] = frozenset(str(i) for i, one in enumerate(lock["actuals"]) if one["lot"] in lots)
    if "promise" in by:
        scope["promises"] = frozenset((by["promise"],))
    if "sum" in by:
        scope["promises"] = _in_sum(lock, by["sum"], "promise")
        scope["sums"] = frozenset((by["sum"],))
    return scope


def _is_about(lock: Lock, name: str, by: Mapping[str, str]) -> bool:
    """Whether a lot has all the names that a value is split by; one without owner is of every tenant."""
    lot = lock["deliveries"][name]
    is_so = {
        "promise": by.get("promise") in lot["counts_toward"],
        "lot": by.get("lot") == name,
        "site": by.get("site") == lot["to"],
        "tenant": lot.get("tenant") in (None, by.get("tenant")),
        "product": by.get("product") == lock["systems"][lot["system"]]["product"],
        "operator": by.get("operator") == lot.get("operator"),
        "sum": "sum" in by and name in _in_sum(lock, by["sum"], "lot"),
    }
    return all(is_so[dim] for dim in NARROWING if dim in by)


def _in_sum(lock: Lock, name: str, kind: str) -> frozenset[str]:
    return frozenset(part.name for part in parts_of(lock["sums"], name) if part.kind == kind)


def _retirements(lock: Lock, lots: frozenset[str], sites: frozenset[str]) -> frozenset[str]:
    """Retirements that may take GPUs of the lots."""
    systems = {lock["deliveries"][name]["system"] for name in lots}
    return frozenset(
        str(i)
        for i, one in enumerate(lock["retirements"])
        if one["from_"] in sites and one["system"] in systems
    )
