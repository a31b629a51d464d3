"""Topology-aware placement: which leaves of a tree of levels the pods of one request get.

Levels count from the widest, 0. A count is in slices down to the slice level and in pods below it. Not here:
slices inside of slices, selectors and taints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from .model import Amount

Path = tuple[str, ...]
Requests = dict[str, Amount]
REQUIRED, PREFERRED, UNCONSTRAINED = "required", "preferred", "unconstrained"


@dataclass(frozen=True)
class Ask:
    """So many pods with these requests each. Slices of `slice_size` pods stay together at `slice_level`."""

    count: int
    request: Requests
    mode: str = UNCONSTRAINED
    level: int | None = None
    slice_size: int = 1
    slice_level: int | None = None
    leader: Requests | None = None

    @property
    def sliced(self) -> bool:
        return self.slice_level is not None


@dataclass(eq=False)
class Domain:
    """A place of some level. `split` is the level at which slices are counted."""

    path: Path
    split: int
    ask: Ask
    children: list[Domain] = field(default_factory=list)
    free: Requests = field(default_factory=dict)

    @property
    def level(self) -> int:
        return len(self.path) - 1

    @cached_property
    def pods(self) -> int:
        if self.children:
            return sum(child.pods for child in self.children)
        return _pods_in(self.free, self.ask.request)

    @cached_property
    def lead(self) -> int:
        """Can it host the leader."""
        if self.children:
            return max(child.lead for child in self.children)
        leader = self.ask.leader
        return int(leader is not None and _pods_in(self.free, leader) >= 1)

    @cached_property
    def pods_beside(self) -> int:
        """Pods that fit beside the leader; all of them where it cannot be."""
        if self.children:
            return self.pods - min((c.pods - c.pods_beside for c in self.children if c.lead), default=0)
        if not self.lead:
            return self.pods
        left = {r: n - (self.ask.leader or {}).get(r, 0) for r, n in self.free.items()}
        return _pods_in(left, self.ask.request)

    @cached_property
    def slices(self) -> int:
        if self.level > self.split:
            return 0
        if self.level == self.split:
            return self.pods // self.ask.slice_size
        return sum(child.slices for child in self.children)

    @cached_property
    def slices_beside(self) -> int:
        if self.level > self.split:
            return 0
        if self.level == self.split:
            return self.pods_beside // self.ask.slice_size
        return self.slices - min((c.slices - c.slices_beside for c in self.children if c.lead), default=0)

    @property
    def holds(self) -> int:
        return self.slices if self.level <= self.split else self.pods

    @property
    def holds_beside(self) -> int:
        return self.slices_beside if self.level <= self.split else self.pods_beside


@dataclass(frozen=True)
class Share:
    """What a chosen domain gets; `leads`: the leader too."""

    domain: Domain
    count: int
    leads: bool = False


@dataclass(frozen=True)
class Placement:
    pods: dict[Path, int]
    leader: Path | None


def _pods_in(free: Requests, request: Requests) -> int:
    return max(0, min(int(free.get(r, 0) // amount) for r, amount in request.items() if amount > 0))


def place(leaves: dict[Path, Requests], ask: Ask) -> Placement | None:
    """Pods per leaf, by the free amounts of the leaves; none if there is no place."""
    tops, leaf_level = _grow(leaves, ask)
    shares = _first_phase(tops, leaf_level, ask)
    if shares is None:
        return None
    split = leaf_level if ask.slice_level is None else ask.slice_level
    while shares[0].domain.level < leaf_level:
        if shares[0].domain.level < split:
            shares = _pooled(shares, ask)
        else:
            shares = [below for share in shares for below in _inside(share, split, ask)]
    found = sorted((s for s in shares if s.count or s.leads), key=lambda s: s.domain.path)
    unit = ask.slice_size if split == leaf_level else 1
    pods = {s.domain.path: s.count * unit for s in found if s.count}
    return Placement(pods, next((s.domain.path for s in found if s.leads), None))


def _grow(leaves: dict[Path, Requests], ask: Ask) -> tuple[list[Domain], int]:
    leaf_level = len(next(iter(leaves))) - 1
    split = leaf_level if ask.slice_level is None else ask.slice_level
    made: dict[Path, Domain] = {}
    for path, free in leaves.items():
        for depth in range(1, len(path) + 1):
            if path[:depth] in made:
                continue
            domain = made[path[:depth]] = Domain(path[:depth], split, ask)
            if depth > 1:
                made[path[: depth - 1]].children.append(domain)
        made[path].free = free
    return [d for d in made.values() if d.level == 0], leaf_level


def _at(tops: list[Domain], level: int) -> list[Domain]:
    domains = tops
    for _ in range(level):
        domains = [child for domain in domains for child in domain.children]
    return domains


def _sorted(domains: Iterable[Domain], ask: Ask) -> list[Domain]:
    sign = 1 if ask.mode == UNCONSTRAINED else -1
    return sorted(domains, key=lambda d: (sign * d.slices, d.pods, d.path))


def _sorted_to_lead(domains: Iterable[Domain], ask: Ask) -> list[Domain]:
    sign = 1 if ask.mode == UNCONSTRAINED else -1
    return sorted(domains, key=lambda d: (-d.lead, sign * d.slices_beside, d.pods_beside, d.path))


def _best_fit(domains: list[Domain], n: int, count: Callable[[Domain], int]) -> Domain:
    """The first with the smallest count that is enough, else the first."""
    enough = [domain for domain in domains if count(domain) >= n]
    return min(enough, key=count) if enough else domains[0]


def _led(domain: Domain) -> int:
    """What it holds beside the leader; nothing at all if it cannot host it."""
    return domain.holds_beside if domain.lead else -1


def _first_phase(tops: list[Domain], leaf_level: int, ask: Ask) -> list[Share] | None:
    n, leads = ask.count // ask.slice_size, ask.leader is not None
    count = _led if leads else _holds
    level = ask.level
    if ask.mode == UNCONSTRAINED or level is None:
        level = 0 if ask.sliced else leaf_level
    while True:
        domains = (_sorted_to_lead if leads else _sorted)(_at(tops, level), ask)
        if ask.mode == UNCONSTRAINED:
            whole = next((d for d in domains if count(d) >= n), None)
        else:
            whole = _best_fit(domains, n, count) if count(domains[0]) >= n else None
        if whole is not None:
            return [Share(whole, n, leads)]
        if ask.mode == REQUIRED:
            return None
        if ask.mode == UNCONSTRAINED or level == 0:
            return _hand_out(domains, n, leads, ask)
        level -= 1


def _holds(domain: Domain) -> int:
    return domain.holds


def _pooled(shares: list[Share], ask: Ask) -> list[Share]:
    children = [child for share in shares for child in share.domain.children]
    handed = _hand_out(children, sum(s.count for s in shares), any(s.leads for s in shares), ask)
    assert handed is not None
    return handed


def _inside(share: Share, split: int, ask: Ask) -> list[Share]:
    pods = share.count * ask.slice_size if share.domain.level == split else share.count
    handed = _hand_out(share.domain.children, pods, share.leads, ask)
    assert handed is not None
    return handed


def _hand_out(domains: list[Domain], n: int, leads: bool, ask: Ask) -> list[Share] | None:
    """In sorted order each gives all it has; the rest goes to one that holds it. None: too little."""
    shares: list[Share] = []
    rest, left = n, list(domains)
    if leads:
        spare = sum(d.holds for d in domains) - n
        first = next(
            (d for d in _sorted_to_lead(left, ask) if d.lead and d.holds - d.holds_beside <= spare), None
        )
        if first is None:
            return None
        shares.append(Share(first, min(rest, first.holds_beside), True))
        left.remove(first)
        rest -= shares[0].count
    left = _sorted(left, ask)
    while rest > 0 and left:
        current = left[0]
        if current.holds >= rest and ask.mode != UNCONSTRAINED:
            current = _best_fit(left, rest, _holds)
        shares.append(Share(current, min(rest, current.holds)))
        left.remove(current)
        rest -= shares[-1].count
    return shares if rest == 0 else None
