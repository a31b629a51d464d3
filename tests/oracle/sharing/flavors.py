"""Which flavors a work gets, whether it fits or must preempt, and with how many pods."""

from __future__ import annotations

from dataclasses import dataclass, field

from .model import (
    FR,
    HAS_PLACE,
    NEVER,
    NO_PLACE_AT_ALL,
    PREEMPTION_OVER_BORROWING,
    TRY_NEXT,
    Amount,
    Amounts,
    ClusterQueue,
    Fungibility,
    Group,
    PodSet,
    Rules,
    Victim,
    Work,
)
from .tree import Node, Snapshot
from .victims import find

NO_FIT, NO_CANDIDATES, PREEMPT, RECLAIM, FIT = range(5)

Mode = tuple[int, int]
"""One of the modes above, and the level at which it borrows (0: not at all)."""

Stops = dict[tuple[int, int], int]
"""By places of pod set and resource group: the flavor at which the scan stopped, -1 for the last."""


@dataclass
class Assignment:
    """What a work would get. While it is made, `usage` is what the pod sets so far take."""

    mode: int = FIT
    level: int = 0
    usage: Amounts = field(default_factory=dict)
    need: set[FR] = field(default_factory=set)
    flavors: dict[str, dict[str, str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    stops: Stops = field(default_factory=dict)
    victims: list[Victim] = field(default_factory=list)


@dataclass(frozen=True)
class Scan:
    """Where flavors are looked for: the moment, the work, the flavors left to try and those allowed."""

    now: Snapshot
    work: Work
    rules: Rules
    stops: Stops = field(default_factory=dict)
    only: dict[str, dict[str, str]] | None = None

    @property
    def leaf(self) -> Node:
        return self.now.leaves[self.work.queue]

    @property
    def queue(self) -> ClusterQueue:
        assert self.leaf.queue is not None
        return self.leaf.queue

    def flavors(self, group: Group) -> tuple[str, ...]:
        """Those to try, in their order."""
        return group.flavors if self.work.flavors is None else self.work.flavors


def nominate(scan: Scan) -> Assignment:
    """Flavors and victims for all pods, or for as many as can be placed, but no fewer than the minimum."""
    sets = scan.work.pod_sets
    full = _with_victims(scan, {p.name: p.count for p in sets})
    if _works(full) or all(p.min_count is None or p.min_count >= p.count for p in sets):
        return full
    total = sum(_spare(p) for p in sets)
    low, high = 0, total + 1
    found: Assignment | None = None
    while low < high:
        middle = (low + high) // 2
        counts = {p.name: p.count - _spare(p) * middle // total for p in sets}
        tried = _with_victims(scan, counts)
        if _works(tried):
            found, high = tried, middle
        else:
            low = middle + 1
    return found or full


def _spare(pods: PodSet) -> int:
    return 0 if pods.min_count is None else max(0, pods.count - pods.min_count)


def _works(tried: Assignment) -> bool:
    return tried.mode == FIT or bool(tried.victims)


def _with_victims(scan: Scan, counts: dict[str, int]) -> Assignment:
    made = assign(scan, counts)
    if made.mode == PREEMPT:
        made.victims = find(scan.now, scan.work, frozenset(made.need), made.usage, scan.rules)
    return made


def assign(scan: Scan, counts: dict[str, int]) -> Assignment:
    """Flavors for pod sets of so many pods, in order; the first without a flavor ends it."""
    made = Assignment(counts=counts)
    for place, together in enumerate(_slots(scan.work.pod_sets)):
        asked = _asked(scan.queue, together, counts)
        if not _solve(scan, made, place, together, asked):
            made.mode = NO_FIT
            return made
    return made


def _slots(pod_sets: tuple[PodSet, ...]) -> list[list[PodSet]]:
    """Pod sets one by one, but those of one group together."""
    slots: dict[object, list[PodSet]] = {}
    for place, pods in enumerate(pod_sets):
        slots.setdefault(place if pods.group is None else pods.group, []).append(pods)
    return list(slots.values())


def _asked(queue: ClusterQueue, together: list[PodSet], counts: dict[str, int]) -> dict[str, Amount]:
    asked: dict[str, Amount] = {}
    for pods in together:
        for resource, amount in pods.requests.items():
            asked[resource] = asked.get(resource, 0) + amount * counts[pods.name]
        if any("pods" in group.resources for group in queue.groups):
            asked["pods"] = asked.get("pods", 0) + counts[pods.name]
    return asked


def _solve(
    scan: Scan, made: Assignment, place: int, together: list[PodSet], asked: dict[str, Amount]
) -> bool:
    """Give these pod sets their flavors; whatever they take counts only if all their resources got one."""
    covered = {r for group in scan.queue.groups for r in group.resources}
    if any(amount > 0 and resource not in covered for resource, amount in asked.items()):
        return False
    chosen: dict[str, tuple[str, Mode]] = {}
    for g, group in enumerate(scan.queue.groups):
        mine = {r: asked[r] for r in sorted(group.resources) if r in asked}
        if not mine:
            continue
        best, modes, made.stops[place, g] = _scan(
            scan,
            group,
            _allowed(scan, group, together, mine),
            made.usage,
            mine,
            scan.stops.get((place, g), -1),
        )
        if best is None:
            return False
        chosen |= {r: (best, modes[r]) for r in mine}
    for resource, (flavor, mode) in chosen.items():
        _take(made, (flavor, resource), asked[resource], mode)
    for pods in together:
        own = {*pods.requests} | ({"pods"} & {*chosen})
        made.flavors[pods.name] = {r: flavor for r, (flavor, _) in chosen.items() if r in own}
    return True


def _take(made: Assignment, fr: FR, amount: Amount, mode: Mode) -> None:
    made.usage[fr] = made.usage.get(fr, 0) + amount
    made.level = max(made.level, mode[1])
    if mode[0] != FIT:
        made.mode = PREEMPT
        made.need.add(fr)


def _allowed(scan: Scan, group: Group, together: list[PodSet], mine: dict[str, Amount]) -> set[str]:
    if scan.only is None:
        return set(scan.flavors(group))
    return {scan.only.get(p.name, {}).get(r, "") for p in together for r in mine}


def _scan(
    scan: Scan, group: Group, allowed: set[str], taken: Amounts, mine: dict[str, Amount], stopped: int
) -> tuple[str | None, dict[str, Mode], int]:
    """Try the flavors after `stopped`. The one taken, its mode per resource, where this scan stopped."""
    rules = scan.queue.fungibility
    best, best_mode, best_modes = None, (NO_FIT, 0), {}
    flavors = scan.flavors(group)
    for i, flavor in list(enumerate(flavors))[stopped + 1 :]:
        if flavor not in allowed:
            continue
        modes = {
            r: mode_of(scan, (flavor, r), amount + taken.get((flavor, r), 0)) for r, amount in mine.items()
        }
        mode = min(modes.values(), key=lambda m: goodness(m, rules))
        stops = not _goes_on(mode, rules)
        if stops or goodness(mode, rules) > goodness(best_mode, rules):
            best, best_mode, best_modes = flavor, mode, modes
        if stops:
            return best, best_modes, i if i < len(flavors) - 1 else -1
    return (best if best_mode[0] != NO_FIT else None), best_modes, -1


def goodness(mode: Mode, rules: Fungibility) -> tuple[int, int, int]:
    """Higher is better."""
    kind, level = mode
    if kind == NO_FIT:
        return (0, 0, 0)
    if kind == NO_CANDIDATES:
        return (1, -level, 0)
    first, then = (-level, kind) if rules.preference == PREEMPTION_OVER_BORROWING else (kind, -level)
    return (2, first, then)


def _goes_on(mode: Mode, rules: Fungibility) -> bool:
    kind, level = mode
    if kind in (NO_FIT, NO_CANDIDATES):
        return True
    if kind != FIT and rules.when_can_preempt == TRY_NEXT:
        return True
    return level > 0 and rules.when_can_borrow == TRY_NEXT


def mode_of(scan: Scan, fr: FR, amount: Amount) -> Mode:
    """Can the queue have this much, and what must happen for it."""
    leaf, now, policy = scan.leaf, scan.now, scan.queue.policy
    if amount > leaf.potential(fr):
        return NO_FIT, 0
    if not scan.rules.room.admits(scan.work, fr[0]):
        return NO_FIT, 0
    level, may_reclaim = now.level(leaf, fr, amount)
    if amount <= max(0, now.available(leaf, fr)):
        place = scan.rules.room.place(scan.work, fr[0], frozenset())
        if place == HAS_PLACE:
            return FIT, level
        return (NO_FIT, 0) if place == NO_PLACE_AT_ALL else _preemption(scan, fr, amount, level)
    by_share = scan.rules.fair and policy.reclaim != NEVER
    if amount <= leaf.quota(fr).nominal or may_reclaim or policy.borrow != NEVER or by_share:
        return _preemption(scan, fr, amount, level)
    return NO_FIT, 0


def _preemption(scan: Scan, fr: FR, amount: Amount, level: int) -> Mode:
    """Ask for the victims of this one FR."""
    victims = find(scan.now, scan.work, frozenset([fr]), {fr: amount}, scan.rules)
    if not victims:
        return NO_CANDIDATES, level
    after, _ = scan.now.without(v.work for v in victims).level(scan.leaf, fr, amount)
    own = any(v.work.queue == scan.work.queue for v in victims)
    return (PREEMPT if own else RECLAIM), after
