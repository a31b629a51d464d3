"""Which lines of the plan stand behind a cause of waiting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from gpufleet.base.errors import GpufleetError

Lock = Mapping[str, Any]


class Blame(NamedTuple):
    """A path of the plan and where it was written ("" if the plan leaves it to the default)."""

    path: str
    at: str

    def __str__(self) -> str:
        return f"{self.path} at {self.at}" if self.at else f"{self.path} (default)"


def line(lock: Lock, path: str) -> Blame:
    """A path with its line; a value that the plan does not write has none."""
    return Blame(path, lock["lines"].get(path, ""))


def products_of(lock: Lock, workload: str) -> list[str]:
    """Products that the jobs of a workload accept; all of the fleet if it names none."""
    named = [product for product, _ in lock["workloads"][workload]["products"]]
    return named or list(dict.fromkeys(product for _, product, _ in _deliveries(lock)))


def usable(lock: Lock, products: Collection[str], tenant: str) -> list[str]:
    """Deliveries that a tenant's jobs of these products may use, its own and shared ones, by date."""
    fitting = [
        name for name, product, owner in _deliveries(lock) if product in products and owner in (None, tenant)
    ]
    return sorted(fitting, key=lambda name: lock["deliveries"][name]["at"])


def _deliveries(lock: Lock) -> Iterator[tuple[str, str, str | None]]:
    """(name, product, owner) of each delivery."""
    for name, delivery in lock["deliveries"].items():
        yield name, lock["systems"][delivery["system"]]["product"], delivery.get("tenant")


def quotas(lock: Lock, queue: str, products: Collection[str]) -> list[Blame]:
    """The lines of a queue's quotas of these products; the queue's own line if they have none."""
    tenant = lock["queues"][queue]["tenant"]
    found = []
    for prefix in (f"tenants.{tenant}.queues.{queue}.quota.", f"tenants.{tenant}.quota."):
        written = (path for path in lock["lines"] if path.startswith(prefix))
        found += [line(lock, path) for path in written if _product(path.removeprefix(prefix)) in products]
    return found or [line(lock, f"queues.{queue}")]


def _product(written: str) -> str:
    """The id of a product as somebody wrote it."""
    from gpufleet.catalog.load import resolve_product

    try:
        return resolve_product(written).id
    except GpufleetError:
        return written  # a product of the plan's own


def blame(
    lock: Lock,
    cause: str,
    *,
    queue: str,
    products: Collection[str],
    at_s: int = 0,
    unpowered: Collection[str] = (),
) -> list[Blame]:
    """The lines behind a cause, the first the one to look at.

    Args: cause: a refusal; queue, products: of the job that is refused so; at_s: when, from the plan's start;
          unpowered: deliveries that stood without power: then it is the power of their site.
    """
    tenant = lock["queues"][queue]["tenant"]
    if cause == "own_quota":
        return quotas(lock, queue, products)
    names = usable(lock, products, tenant)
    dark = dict.fromkeys(lock["deliveries"][name]["to"] for name in names if name in unpowered)
    power = [line(lock, f"sites.{site}.power") for site in dark]
    if cause in ("no_free", "fragmented"):
        return [line(lock, f"deliveries.{name}") for name in names] + power
    if cause == "not_online":
        return power + [line(lock, f"deliveries.{name}") for name in _later(lock, names, at_s)]
    setting = {
        "reservation": "policy.backfill",
        "order": "policy.order",
        "between_passes": "policy.interval",
        "beyond_depth": "policy.backfill.depth",
    }[cause]
    return [line(lock, setting)]


def _later(lock: Lock, names: list[str], at_s: int) -> list[str]:
    """Deliveries that come after a time; if none does, those before it, the last first."""
    later = [name for name in names if seconds(lock, lock["deliveries"][name]["at"]) > at_s]
    return later or names[::-1]


def unpowered_in(measures: Iterable[Mapping[str, Any]]) -> list[str]:
    """Deliveries that stood without power at any time, from the rows of measures.json."""
    of = (row for row in measures if row["name"] == "unpowered_gpu_h" and row["value"])
    return [row["by"]["delivery"] for row in of if row["by"]]


def seconds(lock: Lock, moment: str) -> int:
    """Seconds from the plan's start to a moment of the lock."""
    return int((datetime.fromisoformat(moment) - datetime.fromisoformat(lock["start"])).total_seconds())
