"""Sums of a plan in numbers: members, total, what was published, and the gap to a promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gpufleet.plan.sums import Part, parts_of
from gpufleet.results.facts import Facts
from gpufleet.results.measures import Rows, measure

Lock = Mapping[str, Any]


class Added(NamedTuple):
    """What a sum comes to, GPUs."""

    name: str
    total: int
    low: int  # with the ends of the ranges of its parts
    high: int
    makes: int | None  # as published
    against: str | None  # promise
    promised: int | None  # by that promise
    products: tuple[str, ...]  # of its lots
    promises: int  # how many of its parts are promises

    @property
    def apart(self) -> int | None:
        """GPUs that the parts come to beyond what was published; negative: fewer. None: nothing was."""
        return None if self.makes is None else self.total - self.makes

    @property
    def gap(self) -> int | None:
        """GPUs of the promise that the parts do not reach; negative: they are more. None: against none."""
        return None if self.promised is None else self.promised - self.total


@measure(
    "sum_gpus",
    "GPU",
    "sum over the promises and lots that the plan adds up, each once; a GPU of any product counts as one",
    needs=("promises", "deliveries", "sums"),
)
def sum_gpus(facts: Facts) -> Rows:
    """GPUs that a sum of the plan comes to, by sum."""
    for added in added_up(facts.run.plan):
        yield {"sum": added.name}, added.total


def added_up(lock: Lock) -> Iterator[Added]:
    """The sums of a plan, in its order."""
    for name, one in (lock.get("sums") or {}).items():
        parts = list(parts_of(lock["sums"], name))
        declared = [declared_of(lock, part) for part in parts]
        ends = [each.get("gpus_range") or (each["gpus"], each["gpus"]) for each in declared]
        against = one.get("against")
        systems = (each["system"] for part, each in zip(parts, declared, strict=True) if part.kind == "lot")
        yield Added(
            name=name,
            total=sum(each["gpus"] for each in declared),
            low=sum(low for low, _ in ends),
            high=sum(high for _, high in ends),
            makes=one.get("makes"),
            against=against,
            promised=lock["promises"][against]["gpus"] if against else None,
            products=tuple(dict.fromkeys(lock["systems"][system]["product"] for system in systems)),
            promises=sum(part.kind == "promise" for part in parts),
        )


def declared_of(lock: Lock, part: Part) -> Mapping[str, Any]:
    """The promise or the lot that a part of a sum is."""
    section = "promises" if part.kind == "promise" else "deliveries"
    found: Mapping[str, Any] = lock[section][part.name]
    return found
