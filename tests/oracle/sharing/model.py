"""What is shared and among whom: quotas, cohorts, cluster queues, and the work that asks for room.

FR is a pair of flavor and resource: quota, usage and requests are amounts per FR. Amounts are whole numbers
or fractions, never floats, so that two equal shares are equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fractions import Fraction

FR = tuple[str, str]
Amount = int | Fraction
Amounts = dict[FR, Amount]

NEVER, ANY = "Never", "Any"
LOWER, LOWER_OR_NEWER = "LowerPriority", "LowerOrNewerEqualPriority"
STRICT, BEST_EFFORT = "StrictFIFO", "BestEffortFIFO"
TRY_NEXT, MAY_STOP = "TryNextFlavor", "MayStopSearch"
PREEMPTION_OVER_BORROWING = "PreemptionOverBorrowing"
FINAL_SHARE, INITIAL_SHARE = "LessThanOrEqualToFinalShare", "LessThanInitialShare"
STRATEGIES = (FINAL_SHARE, INITIAL_SHARE)

IN_QUEUE, RECLAIM = "InClusterQueue", "InCohortReclamation"
FAIR, WHILE_BORROWING = "InCohortFairSharing", "InCohortReclaimWhileBorrowing"


@dataclass(frozen=True)
class Quota:
    nominal: Amount = 0
    borrowing_limit: Amount | None = None
    lending_limit: Amount | None = None


@dataclass(frozen=True)
class Cohort:
    name: str
    parent: str | None = None
    quotas: dict[FR, Quota] = field(default_factory=dict)
    weight: Amount = 1


@dataclass(frozen=True)
class Group:
    """Resources that always take the same flavor, and the flavors in the order in which they are tried."""

    flavors: tuple[str, ...]
    resources: frozenset[str]


@dataclass(frozen=True)
class Policy:
    """Whom a queue may preempt; borrow_threshold: the highest priority of a victim while borrowing."""

    within: str = NEVER
    reclaim: str = NEVER
    borrow: str = NEVER
    borrow_threshold: int | None = None


@dataclass(frozen=True)
class Fungibility:
    when_can_borrow: str = MAY_STOP
    when_can_preempt: str = TRY_NEXT
    preference: str = "BorrowingOverPreemption"


@dataclass(frozen=True)
class ClusterQueue:
    name: str
    cohort: str | None = None
    groups: tuple[Group, ...] = ()
    quotas: dict[FR, Quota] = field(default_factory=dict)
    policy: Policy = Policy()
    fungibility: Fungibility = Fungibility()
    weight: Amount = 1
    strategy: str = BEST_EFFORT


@dataclass(frozen=True)
class PodSet:
    """Equal pods; requests are those of one pod. Pod sets of one group take their flavors together."""

    name: str
    count: int
    requests: dict[str, Amount]
    min_count: int | None = None
    group: str | None = None


@dataclass(frozen=True)
class Admission:
    """Since when, how many pods of each set, which flavor for each resource, and what is held in all."""

    reserved_s: Amount
    counts: dict[str, int]
    flavors: dict[str, dict[str, str]]
    usage: Amounts


@dataclass
class Work:
    key: str
    queue: str
    priority: int
    queued_s: Amount
    uid: str
    pod_sets: tuple[PodSet, ...]
    admission: Admission | None = None
    evicted: bool = False
    spared: bool = False
    """It is nobody's victim."""
    urgent: bool = True
    own_key: float | None = None  # its key by an own order, instead of the priority
    """Its priority counts in the order of those who wait (among victims it always does)."""
    flavors: tuple[str, ...] | None = None
    """Those that it takes, in its own order; without: those of its queue."""
    alike: tuple[object, ...] | None = None
    """What its shape is, if not all that it asks for."""

    @property
    def urgency(self) -> float:
        """Lower goes first."""
        if self.own_key is not None:
            return self.own_key
        return -self.priority if self.urgent else 0

    @property
    def shape(self) -> tuple[object, ...]:
        """Works of one queue with equal shapes fare alike: pod sets, requests, priority."""
        if self.alike is not None:
            return self.alike
        sets = tuple(
            (p.name, p.count, p.min_count, p.group, tuple(sorted(p.requests.items()))) for p in self.pod_sets
        )
        return (self.priority, sets)

    @property
    def usage(self) -> Amounts:
        """What it holds of the quota."""
        return self.admission.usage if self.admission else {}


@dataclass(frozen=True)
class Victim:
    work: Work
    reason: str


HAS_PLACE, NO_PLACE, NO_PLACE_AT_ALL = range(3)
"""There is a place now; there would be one, were others gone; there is none even then."""


class Room:
    """Where works run. This room has no bounds: quota alone decides."""

    def admits(self, work: Work, flavor: str) -> bool:
        """Whether the limits of the work's user, project and array admit it in this flavor."""
        return True

    def place(self, work: Work, flavor: str, gone: AbstractSet[str]) -> int:
        """Has the work a place in this flavor, were the works of these keys gone."""
        return HAS_PLACE

    def start(self, work: Work, request: Amounts) -> None:
        """The work is admitted."""

    def make_way(self, victims: Iterable[Victim], work: Work) -> None:
        """The victims leave so that the work has a place."""

    def hold(self, work: Work, request: Amounts) -> None:
        """The work waits for the quota of victims: nobody takes its place in this cycle."""


BOUNDLESS = Room()


@dataclass(frozen=True)
class Rules:
    """What holds for the whole fleet."""

    fair: bool = False
    strategies: tuple[str, ...] = STRATEGIES
    room: Room = BOUNDLESS
