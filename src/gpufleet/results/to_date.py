"""What should have come by today (`as_of`), and what has: measures of promises and lots to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from gpufleet.results.facts import Facts
from gpufleet.results.measures import Rows, measure
from gpufleet.results.measures_supply import CONTRACTED, counts_toward

HERE: Final = CONTRACTED[1:]
"""Statuses of lots that have arrived."""

Arrivals = dict[str, dict[str, int]]
"""GPUs of each lot that have arrived, by how far that is trusted."""


@measure(
    "due_gpus",
    "GPU",
    "GPUs of a promise that fall due by the end of the month of `as_of`, in equal parts over the whole "
    "months of its window; promises stand side by side and have no sum",
    needs=("promises",),
)
def due_gpus(facts: Facts) -> Rows:
    """GPUs of each promise that are due by today, whatever the lots' dates say."""
    for name, gpus in due_of(facts.run.plan).items():
        yield {"promise": name}, gpus


@measure(
    "planned_gpus",
    "GPU",
    "sum over lots whose date is not after `as_of`",
    needs=("deliveries",),
)
def planned_gpus(facts: Facts) -> Rows:
    """GPUs that should have arrived by today by the lots' own dates, whole and by lot and promise."""
    yield from _to_date(facts, planned_of(facts.run.plan))


@measure(
    "actual_gpus",
    "GPU",
    "sum over `actuals`; a lot without any whose status is delivered or online has arrived whole",
    needs=("actuals", "deliveries"),
)
def actual_gpus(facts: Facts) -> Rows:
    """GPUs that have arrived by today, whole and by lot and promise."""
    yield from _to_date(facts, actual_of(facts.run.plan))


@measure(
    "assumed_actual_gpus",
    "GPU",
    "of actual_gpus those that nobody has stated or estimated: `actuals` with `trust: assumption` or with "
    "neither source nor trust, and lots that have arrived by their status alone",
    needs=("actuals", "deliveries"),
)
def assumed_actual_gpus(facts: Facts) -> Rows:
    """GPUs whose arrival is assumed, whole and by lot and promise."""
    yield from _to_date(facts, assumed_of(facts.run.plan))


def due_of(lock: Mapping[str, Any]) -> dict[str, int]:
    """GPUs of each promise that are due by the end of today's month."""
    today = _month(lock, lock["as_of"])
    due = {}
    for name, promise in lock["promises"].items():
        first = _month(lock, promise.get("from_") or promise["at"])
        months = _month(lock, promise["until"]) - first + 1
        due[name] = promise["gpus"] * min(max(today - first + 1, 0), months) // months
    return due


def _month(lock: Mapping[str, Any], moment: str) -> int:
    """A moment of a lock as the number of its month in the plan's zone."""
    local = datetime.fromisoformat(moment).astimezone(ZoneInfo(lock["time_zone"]))
    return local.year * 12 + local.month - 1


def planned_of(lock: Mapping[str, Any]) -> dict[str, int]:
    """GPUs of each lot that should have arrived by today (`as_of`)."""
    zone = ZoneInfo(lock["time_zone"])
    today = datetime.fromisoformat(lock["as_of"]).astimezone(zone).date()
    due = {
        name: datetime.fromisoformat(lot["at"]).astimezone(zone).date() <= today
        for name, lot in lock["deliveries"].items()
    }
    return {name: lot["gpus"] if due[name] else 0 for name, lot in lock["deliveries"].items()}


def arrivals_of(lock: Mapping[str, Any]) -> Arrivals:
    """GPUs of each lot that have arrived by today, by trust: stated, estimate, assumption."""
    came: Arrivals = {}
    for row, actual in enumerate(lock["actuals"]):
        known = lock["origins"].get(f"actuals.{row}.gpus", {})
        trust = known.get("trust") or actual.get("trust")
        sourced = known.get("source") or actual.get("source")
        by_trust = came.setdefault(actual["lot"], {})
        key = trust or ("stated" if sourced else "assumption")
        by_trust[key] = by_trust.get(key, 0) + actual["gpus"]
    for name, lot in lock["deliveries"].items():
        if name not in came and lot["status"] in HERE:
            came[name] = {"assumption": lot["gpus"]}
    return {name: came.get(name, {}) for name in lock["deliveries"]}


def actual_of(lock: Mapping[str, Any]) -> dict[str, int]:
    """GPUs of each lot that have arrived by today."""
    return {name: sum(by_trust.values()) for name, by_trust in arrivals_of(lock).items()}


def assumed_of(lock: Mapping[str, Any]) -> dict[str, int]:
    """GPUs of each lot whose arrival is assumed."""
    return {name: by_trust.get("assumption", 0) for name, by_trust in arrivals_of(lock).items()}


def _to_date(facts: Facts, by_lot: Mapping[str, int]) -> Rows:
    """Sums to date, where the plan says what has arrived."""
    lock = facts.run.plan
    if not lock["actuals"]:
        return
    yield {}, sum(by_lot.values())
    for name in lock["promises"]:
        yield {"promise": name}, sum(n for lot, n in by_lot.items() if counts_toward(lock, lot, name))
    for lot in _seen(lock):
        yield {"lot": lot}, by_lot[lot]


def _seen(lock: Mapping[str, Any]) -> Iterable[str]:
    """Lots that should have arrived, or of which GPUs have."""
    planned, actual = planned_of(lock), actual_of(lock)
    return (lot for lot in planned if planned[lot] or actual[lot])
