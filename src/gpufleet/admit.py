"""What a scheduler with quotas decides about a situation: whom it admits, who has to yield, who waits.

A situation is a quota tree (`gpufleet.world.quotas.Sharing`) with works that hold quota and works that ask
for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpufleet.engine.sharing.decide import Situation
from gpufleet.engine.sharing.state import REASONS
from gpufleet.world.quotas import Sharing, SharingArrays, Work, arrays_of


@dataclass(frozen=True)
class Victim:
    """A work that has to yield, and why, in Kueue's word."""

    work: str
    reason: str


@dataclass(frozen=True)
class Admission:
    """A work that is admitted, with the flavor of each resource of each pod set."""

    work: str
    queue: str
    flavors: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class CycleDecision:
    """What one admission cycle decides. Works that hold quota and keep it are in none of its parts."""

    admitted: tuple[Admission, ...]
    victims: tuple[Victim, ...]
    waiting: Mapping[str, tuple[str, ...]]
    """By queue: who is looked at again in the next cycle."""
    parked: Mapping[str, tuple[str, ...]]
    """By queue: who is not looked at again until something changes."""


def admit_cycle(sharing: Sharing, works: Iterable[Work]) -> CycleDecision:
    """One admission cycle over the first waiting work of every queue.

    Args: works: those with `uses` hold quota, those without ask for it.

    >>> from gpufleet.world.quotas import Limits, PodSet, Queue
    >>> queue = Queue("research", groups=((("B200", {"gpu": Limits(8)}),),))
    >>> held = Work("a", "research", (), uses=(("B200", "gpu", 4),))
    >>> asks = [Work(name, "research", (PodSet("main", 1, {"gpu": n}),)) for name, n in (("b", 4), ("c", 8))]
    >>> decided = admit_cycle(Sharing((), (queue,)), [held, *asks])
    >>> decided.admitted[0].flavors, decided.waiting
    ({'main': {'gpu': 'B200'}}, {'research': ('c',)})
    """
    works = list(works)
    arrays = arrays_of(sharing, works)
    done = Situation(arrays.tree, arrays.works, arrays.shapes).cycle(len(works))
    admissions = [_admission(works[i], flavors, arrays) for i, flavors in done.admitted.items()]
    return CycleDecision(
        tuple(sorted(admissions, key=lambda each: each.work)),
        _victims(works, done.victims),
        _by_queue(works, done.active),
        _by_queue(works, done.parked),
    )


def choose_victims(
    sharing: Sharing,
    works: Iterable[Work],
    asks: Work,
    flavors: Mapping[str, str],
    *,
    short: Iterable[str],
) -> tuple[Victim, ...]:
    """Who has to yield so that a work fits whose flavors are chosen already; nobody if nothing helps.

    Args: works: those that hold quota; flavors: of each resource that is asked for;
          short: the resources for which room must be made.

    >>> from gpufleet.world.quotas import Limits, PodSet, Queue
    >>> queue = Queue("research", groups=((("B200", {"gpu": Limits(8)}),),), within="LowerPriority")
    >>> held = Work("old", "research", (), uses=(("B200", "gpu", 6),))
    >>> new = Work("new", "research", (PodSet("main", 1, {"gpu": 4}),), priority=1)
    >>> choose_victims(Sharing((), (queue,)), [held], new, {"gpu": "B200"}, short=["gpu"])
    (Victim(work='old', reason='InClusterQueue'),)
    """
    every = [*works, asks]
    arrays = arrays_of(sharing, every)
    request = np.zeros(arrays.tree.nominal.shape[1], np.int64)
    need = np.zeros_like(request)
    short = set(short)
    for resource, flavor in flavors.items():
        k = arrays.names.k(flavor, resource)
        request[k] = sum(each.pods * each.ask.get(resource, 0) for each in asks.pod_sets)
        need[k] = resource in short
    found = Situation(arrays.tree, arrays.works, arrays.shapes).victims(len(every) - 1, request, need)
    return _victims(every, found)


def _victims(works: Sequence[Work], found: Mapping[int, int]) -> tuple[Victim, ...]:
    victims = (Victim(works[i].name, REASONS[why]) for i, why in found.items())
    return tuple(sorted(victims, key=lambda each: each.work))


def _admission(work: Work, flavors: Sequence[Sequence[int]], arrays: SharingArrays) -> Admission:
    names = arrays.names
    chosen = {
        pod_set.name: {names.resources[r]: names.flavors[f] for r, f in enumerate(row) if f >= 0}
        for pod_set, row in zip(work.pod_sets, flavors, strict=True)
    }
    return Admission(work.name, work.queue, chosen)


def _by_queue(works: Sequence[Work], rows: Iterable[int]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for i in rows:
        found.setdefault(works[i].queue, []).append(works[i].name)
    return {queue: tuple(sorted(names)) for queue, names in sorted(found.items())}
