"""Measures of reservations: what they kept, who used it, and what stood idle for them."""

from __future__ import annotations

from typing import Final

from gpufleet.results.facts import Facts
from gpufleet.results.measures import HOUR_S, Rows, measure

_SPAN: Final = "from the reservation's begin to its end, or the run's if that is earlier"


def _hours(name: str, field: str, formula: str, doc: str) -> None:
    """Register GPU-hours of reservations, of all and of each."""

    def hours(facts: Facts) -> Rows:
        if facts.seen.reserved:
            yield {}, sum(getattr(one, field) for one in facts.seen.reserved) / HOUR_S
        yield from (({"reservation": one.name}, getattr(one, field) / HOUR_S) for one in facts.seen.reserved)

    hours.__doc__ = doc
    measure(name, "GPU·h", formula, needs=("reservations",))(hours)


@measure("reserved_gpus", "GPU", "GPUs of the nodes of a reservation", needs=("reservations",))
def reserved_gpus(facts: Facts) -> Rows:
    """GPUs that a reservation keeps."""
    yield from (({"reservation": one.name}, one.gpus) for one in facts.seen.reserved)


@measure(
    "reserved_of_gpus",
    "GPU",
    "GPUs in service at the site of a reservation when it begins, of the products that it keeps",
    needs=("reservations", "deliveries"),
)
def reserved_of_gpus(facts: Facts) -> Rows:
    """GPUs at the place of a reservation."""
    yield from (({"reservation": one.name}, one.place_gpus) for one in facts.seen.reserved)


_hours(
    "reserved_gpu_h",
    "kept_gpu_s",
    f"GPU-hours in service on the nodes of a reservation, {_SPAN}",
    "GPU-hours that reservations kept.",
)
_hours(
    "reserved_used_gpu_h",
    "used_gpu_s",
    f"GPU-hours that jobs for whom a reservation is held on its nodes, {_SPAN}",
    "GPU-hours of reservations that those used for whom they were.",
)
_hours(
    "reserved_others_gpu_h",
    "others_gpu_s",
    f"GPU-hours that other jobs, which had started before, held on the nodes of a reservation, {_SPAN}",
    "GPU-hours of reservations that others still held.",
)
_hours(
    "reserved_idle_gpu_h",
    "idle_gpu_s",
    "reserved_gpu_h - reserved_used_gpu_h - reserved_others_gpu_h",
    "GPU-hours of reservations that nobody used.",
)
_hours(
    "reserved_idle_before_gpu_h",
    "idle_before_gpu_s",
    "GPU-hours in service and held by nobody on the nodes of a reservation in the 24 h before it begins",
    "GPU-hours that stood idle in the day before reservations, on their nodes.",
)
