"""Quota trees and what asks for quota, as people name them; and as arrays.

Amounts are whole numbers: whoever reads fractions (half a processor) scales the resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from gpufleet.world.layout import (
    ANY_PRIORITY,
    FINAL_SHARE,
    INITIAL_SHARE,
    LOWER_OR_NEWER_EQUAL,
    LOWER_PRIORITY,
    NEVER,
    NO_STRATEGY,
    NO_THRESHOLD,
    UNLIMITED,
    Shapes,
    Tree,
    Works,
)

Within = Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority"]
Reclaim = Literal["Never", "LowerPriority", "Any"]
BorrowWithin = Literal["Never", "LowerPriority"]
Strategy = Literal["LessThanOrEqualToFinalShare", "LessThanInitialShare"]

_POLICIES = {
    "Never": NEVER,
    "LowerPriority": LOWER_PRIORITY,
    "LowerOrNewerEqualPriority": LOWER_OR_NEWER_EQUAL,
    "Any": ANY_PRIORITY,
}
_STRATEGIES = {"LessThanOrEqualToFinalShare": FINAL_SHARE, "LessThanInitialShare": INITIAL_SHARE}


@dataclass(frozen=True)
class Limits:
    """Quota of one resource of one flavor; None = no limit."""

    nominal: int
    borrow: int | None = None
    lend: int | None = None


Group = tuple[tuple[str, Mapping[str, Limits]], ...]
"""A resource group: flavors in the order in which they are tried, each with its resources."""


@dataclass(frozen=True)
class Cohort:
    """Queues and cohorts that lend to each other; it may hold quota itself."""

    name: str
    parent: str | None = None
    groups: tuple[Group, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Queue:
    """Where works wait, with quota and the rules of sharing, in Kueue's words."""

    name: str
    cohort: str | None = None
    groups: tuple[Group, ...] = ()
    weight: float = 1.0
    strict: bool = False
    within: Within = "Never"
    reclaim: Reclaim = "Never"
    borrow_within: BorrowWithin = "Never"
    threshold: int | None = None
    next_if_borrowing: bool = False
    next_if_preempting: bool = True
    rather_preempt: bool = False


@dataclass(frozen=True)
class PodSet:
    """Like pods of a work, each with what it asks for."""

    name: str
    pods: int
    ask: Mapping[str, int]
    least_pods: int | None = None


@dataclass(frozen=True)
class Work:
    """What asks for quota, or holds it (``uses``: flavor, resource, amount)."""

    name: str
    queue: str
    pod_sets: tuple[PodSet, ...]
    priority: int = 0
    time: int = 0
    reserved: int = 0
    uid: str = ""
    evicted: bool = False
    uses: tuple[tuple[str, str, int], ...] | None = None


@dataclass(frozen=True)
class Sharing:
    """A quota tree, and the strategies of fair sharing if it shares fairly."""

    cohorts: tuple[Cohort, ...]
    queues: tuple[Queue, ...]
    fair: bool = False
    strategies: tuple[Strategy, ...] = ("LessThanOrEqualToFinalShare", "LessThanInitialShare")


@dataclass(frozen=True)
class Index:
    """Rows and codes of names: cohorts and queues are rows of one table."""

    nodes: tuple[str, ...]  # cohorts, then queues
    n_cohorts: int
    flavors: tuple[str, ...]
    resources: tuple[str, ...]
    queue_row: Mapping[str, int] = field(default_factory=dict)

    def k(self, flavor: str, resource: str) -> int:
        """Index of an amount."""
        return self.flavors.index(flavor) * len(self.resources) + self.resources.index(resource)


class SharingArrays(NamedTuple):
    """A quota tree, and works in it, as arrays."""

    tree: Tree
    works: Works
    shapes: Shapes
    names: Index


def arrays_of(sharing: Sharing, works: Iterable[Work]) -> SharingArrays:
    """The arrays of a tree and of works in it.

    Cohorts that are only named, by queues or as parents, exist without quota.

    Raises: ValueError for a cohort that is its own ancestor, which callers find before.

    >>> queue = Queue("a", "all", ((("B200", {"gpu": Limits(8)}),),))
    >>> made = arrays_of(Sharing((), (queue,)), [])
    >>> made.names.nodes, made.tree.parent.tolist(), made.tree.nominal.tolist()
    (('all', 'a'), [-1, 0], [[0], [8]])
    """
    works = list(works)
    cohorts = _parents_first(sharing)
    index = _index(sharing, cohorts, works)
    tree = _tree(sharing, cohorts, index)
    return SharingArrays(tree, *_works(works, sharing, index), index)


def _parents_first(sharing: Sharing) -> list[Cohort]:
    declared = {cohort.name: cohort for cohort in sharing.cohorts}
    named = [c.parent for c in sharing.cohorts] + [q.cohort for q in sharing.queues]
    for name in named:
        if name is not None:
            declared.setdefault(name, Cohort(name))
    done: dict[str, Cohort] = {}
    while len(done) < len(declared):
        ready = [c for n, c in declared.items() if n not in done and (c.parent is None or c.parent in done)]
        if not ready:
            raise ValueError("a cohort is its own ancestor")
        done |= {cohort.name: cohort for cohort in ready}
    return list(done.values())


def _index(sharing: Sharing, cohorts: list[Cohort], works: list[Work]) -> Index:
    flavors: dict[str, None] = {}
    resources: dict[str, None] = {}
    groups = [group for queue in sharing.queues for group in queue.groups]
    groups += [group for cohort in cohorts for group in cohort.groups]
    for flavor, limits in (pair for group in groups for pair in group):
        flavors[flavor] = None
        resources |= dict.fromkeys(limits)
    for work in works:
        for pod_set in work.pod_sets:
            resources |= dict.fromkeys(pod_set.ask)
        for flavor, resource, _ in work.uses or ():
            flavors[flavor], resources[resource] = None, None
    names = (*(c.name for c in cohorts), *(q.name for q in sharing.queues))
    rows = {q.name: len(cohorts) + at for at, q in enumerate(sharing.queues)}
    return Index(names, len(cohorts), tuple(flavors) or ("",), tuple(resources) or ("",), rows)


def _tree(sharing: Sharing, cohorts: list[Cohort], index: Index) -> Tree:
    nodes: list[Cohort | Queue] = [*cohorts, *sharing.queues]
    n, n_k = len(nodes), len(index.flavors) * len(index.resources)
    row = {c.name: at for at, c in enumerate(cohorts)}
    parents = [c.parent for c in cohorts] + [q.cohort for q in sharing.queues]
    parent = np.array([-1 if p is None else row[p] for p in parents], np.int64).reshape(n)
    nominal, borrow, lend = (np.full((n, n_k), value, np.int64) for value in (0, UNLIMITED, UNLIMITED))
    for at, node in enumerate(nodes):
        for flavor, limits in (pair for group in node.groups for pair in group):
            for resource, limit in limits.items():
                k = index.k(flavor, resource)
                nominal[at, k] = limit.nominal
                borrow[at, k] = UNLIMITED if limit.borrow is None else limit.borrow
                lend[at, k] = UNLIMITED if limit.lend is None else limit.lend
    child, sibling = _links(parent)
    return Tree(
        parent=parent,
        child=child,
        sibling=sibling,
        queue=np.array([0] * len(cohorts) + [1] * len(sharing.queues), np.int64).reshape(n),
        height=_heights(parent, len(cohorts)),
        nominal=nominal,
        borrow=borrow,
        lend=lend,
        weight=np.array([node.weight for node in nodes], np.float64).reshape(n),
        **_rules(sharing, len(cohorts)),
        group=_groups(nodes, index),
        fair=int(sharing.fair),
        placed=0,
        strategies=_strategies(sharing),
    )


def _links(parent: Any) -> tuple[Any, Any]:
    """(first child, next sibling) of each row."""
    child, sibling = np.full_like(parent, -1), np.full_like(parent, -1)
    for at in reversed(range(len(parent))):
        if parent[at] >= 0:
            sibling[at], child[parent[at]] = child[parent[at]], at
    return child, sibling


def _heights(parent: Any, n_cohorts: int) -> Any:
    height = np.zeros_like(parent)
    for at in reversed(range(len(parent))):
        if parent[at] >= 0:
            above = height[at] + 1 if at < n_cohorts and height[at] else 1
            height[parent[at]] = max(height[parent[at]], above)
    return height


def _rules(sharing: Sharing, n_cohorts: int) -> dict[str, Any]:
    """How each queue takes and lends; of cohorts nothing."""

    def column(values: Iterable[int], default: int) -> Any:
        return np.array([default] * n_cohorts + list(values), np.int64).reshape(-1)

    queues = sharing.queues
    no_limit = NO_THRESHOLD
    return {
        "within": column((_POLICIES[q.within] for q in queues), NEVER),
        "reclaim": column((_POLICIES[q.reclaim] for q in queues), NEVER),
        "borrow_within": column((_POLICIES[q.borrow_within] for q in queues), NEVER),
        "threshold": column((no_limit if q.threshold is None else q.threshold for q in queues), no_limit),
        "strict": column((int(q.strict) for q in queues), 0),
        "next_if_borrowing": column((int(q.next_if_borrowing) for q in queues), 0),
        "next_if_preempting": column((int(q.next_if_preempting) for q in queues), 0),
        "rather_preempt": column((int(q.rather_preempt) for q in queues), 0),
    }


def _groups(nodes: list[Cohort | Queue], index: Index) -> Any:
    """The resource group of each resource, per node."""
    group = np.full((len(nodes), len(index.resources)), -1, np.int64)
    for at, node in enumerate(nodes):
        for g, pairs in enumerate(node.groups):
            for _, limits in pairs:
                for resource in limits:
                    group[at, index.resources.index(resource)] = g
    return group


def _strategies(sharing: Sharing) -> Any:
    codes = [_STRATEGIES[name] for name in sharing.strategies[:2]]
    return np.array([*codes, NO_STRATEGY, NO_STRATEGY][:2], np.int64)


def _works(works: list[Work], sharing: Sharing, index: Index) -> tuple[Works, Shapes]:
    m, n_uses = len(works), max([1, *(len(w.uses or ()) for w in works)])
    use_k, use = np.zeros((m, n_uses), np.int64), np.zeros((m, n_uses), np.int64)
    for i, work in enumerate(works):
        for u, (flavor, resource, amount) in enumerate(work.uses or ()):
            use_k[i, u], use[i, u] = index.k(flavor, resource), amount
    shapes = list(dict.fromkeys(_shape_key(work) for work in works))
    rank = np.empty(m, np.int64)
    rank[sorted(range(m), key=lambda i: (works[i].uid or works[i].name, works[i].name))] = np.arange(m)

    def column(values: Iterable[int]) -> Any:
        return np.array(list(values), np.int64).reshape(m)

    table = Works(
        queue=column(index.queue_row[w.queue] for w in works),
        shape=column(shapes.index(_shape_key(w)) for w in works),
        priority=column(w.priority for w in works),
        time=column(w.time for w in works),
        reserved=column(w.reserved for w in works),
        rank=rank,
        evicted=column(int(w.evicted) for w in works),
        n_use=column(-1 if w.uses is None else len(w.uses) for w in works),
        use_k=use_k,
        use=use,
    )
    return table, _shapes(shapes, sharing, index)


_Shape = tuple[str, tuple[tuple[int, int, tuple[tuple[str, int], ...]], ...]]


def _shape_key(work: Work) -> _Shape:
    pod_sets = (
        (p.pods, p.pods if p.least_pods is None else p.least_pods, tuple(sorted(p.ask.items())))
        for p in work.pod_sets
    )
    return work.queue, tuple(pod_sets)


def _shapes(shapes: list[_Shape], sharing: Sharing, index: Index) -> Shapes:
    n_pods = max([1, *(len(pod_sets) for _, pod_sets in shapes)])
    pods, least = (np.zeros((len(shapes), n_pods), np.int64) for _ in range(2))
    ask = np.zeros((len(shapes), n_pods, len(index.resources)), np.int64)
    for s, (_, pod_sets) in enumerate(shapes):
        for p, (count, fewest, asks) in enumerate(pod_sets):
            pods[s, p], least[s, p] = count, fewest
            for resource, amount in asks:
                ask[s, p, index.resources.index(resource)] = amount
    counts = np.array([len(pod_sets) for _, pod_sets in shapes], np.int64).reshape(-1)
    return Shapes(counts, pods, least, ask, _flavors([queue for queue, _ in shapes], sharing, index))


def _flavors(queues: list[str], sharing: Sharing, index: Index) -> Any:
    """The flavors of a queue's groups in their order, for each shape."""
    groups = {queue.name: queue.groups for queue in sharing.queues}
    n_groups = max([1, *(len(g) for g in groups.values())])
    n_flavors = max([1, *(len(group) for g in groups.values() for group in g)])
    flavor = np.full((len(queues), n_groups, n_flavors), -1, np.int64)
    for s, queue in enumerate(queues):
        for g, pairs in enumerate(groups[queue]):
            flavor[s, g, : len(pairs)] = [index.flavors.index(name) for name, _ in pairs]
    return flavor
