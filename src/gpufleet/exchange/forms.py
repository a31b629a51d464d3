"""What a case file declares, as read: one model per object of the format ``fleet-quota-cases/1``.

Only forms are checked here; what belongs together is checked in `checks`. The names of fields are the file's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

FORMAT: Final = "fleet-quota-cases/1"
LARGEST: Final = Decimal("1e18")
MOST_DECIMALS: Final = 18
_PRIORITY: Final = 2**31


def _number(value: Any) -> Decimal:
    """An exact number that can be counted in whole steps.

    Raises: PydanticCustomError of type ``number`` or ``too_fine``.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PydanticCustomError("number", "a number")
    number = Decimal(value)
    if not number.is_finite() or abs(number) > LARGEST or decimals(number) > MOST_DECIMALS:
        raise PydanticCustomError("too_fine", "too large, too fine or no number")
    return number


def decimals(number: Decimal) -> int:
    """Digits behind the point that are needed; negative if it is a multiple of a power of ten.

    >>> [decimals(Decimal(text)) for text in ("2.50", "4000", "12345678901.000000000000000001")]
    [1, -3, 18]
    """
    _, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits))
    return -int(exponent) - (len(text) - len(text.rstrip("0")) if number else 0)


def _not_negative(value: Any) -> Decimal:
    number = _number(value)
    if number < 0:
        raise PydanticCustomError("negative", "negative")
    return number


def _quota(value: Any) -> Decimal | None:
    """A quota of KAI: null, or -1 as KAI writes it, is unlimited."""
    return None if value is None or value == -1 else _not_negative(value)


Number = Annotated[Decimal, BeforeValidator(_number)]
Amount = Annotated[Decimal, BeforeValidator(_not_negative)]
Quota = Annotated[Decimal | None, BeforeValidator(_quota)]
Name = Annotated[str, Field(min_length=1)]
Priority = Annotated[int, Field(ge=-_PRIORITY, lt=_PRIORITY)]
Pods = Annotated[int, Field(ge=1, lt=2**31)]


class Form(BaseModel):
    """An object of the file; a key that it does not have is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Case(Form):
    """What every case has."""

    id: Name
    title: str = ""
    origin: dict[str, str] = Field(default_factory=dict)


# --- Kueue


class Limit(Form):
    """Quota of a resource in a flavor."""

    nominal: Amount
    borrowing_limit: Amount | None = None
    lending_limit: Amount | None = None


class Flavor(Form):
    """A flavor of a resource group."""

    flavor: Name
    resources: dict[Name, Limit]


Groups = list[list[Flavor]]


class BorrowWithinCohort(Form):
    """Kueue's field of that name."""

    policy: Literal["Never", "LowerPriority"] = "Never"
    maxPriorityThreshold: Priority | None = None  # noqa: N815 - Kueue's word


class Preemption(Form):
    """Kueue's field of that name."""

    withinClusterQueue: Literal["Never", "LowerPriority", "LowerOrNewerEqualPriority"] = "Never"  # noqa: N815
    reclaimWithinCohort: Literal["Never", "LowerPriority", "Any"] = "Never"  # noqa: N815
    borrowWithinCohort: BorrowWithinCohort = BorrowWithinCohort()  # noqa: N815


class FlavorFungibility(Form):
    """Kueue's field of that name."""

    whenCanBorrow: Literal["MayStopSearch", "TryNextFlavor", "Borrow"] = "MayStopSearch"  # noqa: N815
    whenCanPreempt: Literal["MayStopSearch", "TryNextFlavor", "Preempt"] = "TryNextFlavor"  # noqa: N815
    preference: Literal["BorrowingOverPreemption", "PreemptionOverBorrowing"] | None = None


class KueueCohort(Form):
    """A Cohort."""

    name: Name
    parent: Name | None = None
    resource_groups: Groups | None = None
    fair_weight: Amount = Decimal(1)


class ClusterQueue(Form):
    """A ClusterQueue."""

    name: Name
    cohort: Name | None = None
    resource_groups: Groups | None = None
    preemption: Preemption = Preemption()
    fair_weight: Amount = Decimal(1)
    queueing_strategy: Literal["BestEffortFIFO", "StrictFIFO"] = "BestEffortFIFO"
    flavor_fungibility: FlavorFungibility = FlavorFungibility()


class KueuePodSet(Form):
    """Like pods; requests are per pod."""

    name: Name
    count: Pods
    requests: dict[Name, Amount] = Field(default_factory=dict)
    min_count: Pods | None = None


class UsedAmount(Form):
    """What a pod set holds of a resource, in all."""

    flavor: Name
    amount: Amount


class Usage(Form):
    """What a pod set holds."""

    pod_set: Name
    count: Annotated[int, Field(ge=0, lt=2**31)]
    resources: dict[Name, UsedAmount]


class Admitted(Form):
    """Where a workload was admitted, and what it holds."""

    cluster_queue: Name
    reserved_s: Number = Decimal(0)
    usage: list[Usage]


class KueueWorkload(Form):
    """A Workload."""

    name: Name
    namespace: str = ""
    uid: str = ""
    priority: Priority = 0
    queue: str | None = None  # LocalQueue; decides nothing
    created_s: Number = Decimal(0)
    pod_sets: list[KueuePodSet] = Field(min_length=1)


class HoldingWorkload(KueueWorkload):
    """A workload that holds quota."""

    cluster_queue: Name | None = None
    admitted_to: Admitted


class PendingWorkload(KueueWorkload):
    """A workload that asks for quota."""

    cluster_queue: Name
    admitted_to: None = None


class Assigned(Form):
    """The flavor chosen for a resource: it fits, or room must be made."""

    flavor: Name
    mode: Literal["preempt", "fit"]


class IncomingWorkload(PendingWorkload):
    """A workload whose flavors are chosen already."""

    assignment: dict[Name, Assigned]


class Preempted(Form):
    """A workload that has to yield, and why, in Kueue's word."""

    workload: str
    reason: str


class PreemptionExpect(Form):
    """What a preemption case expects."""

    preempted: list[Preempted]


class CycleAdmitted(Form):
    """Where a workload is admitted: flavor per pod set and resource."""

    cluster_queue: str
    flavors: dict[str, dict[str, str]]


class CycleExpect(Form):
    """What a cycle case expects."""

    newly_admitted: dict[str, CycleAdmitted]
    preempted: list[Preempted]
    left_in_queue: dict[str, list[str]]
    left_inadmissible: dict[str, list[str]]


class KueueCase(Case):
    """What both suites of Kueue have."""

    fair_sharing: bool = False
    fair_sharing_strategies: (
        Annotated[
            list[Literal["LessThanOrEqualToFinalShare", "LessThanInitialShare"]],
            Field(min_length=1, max_length=2),
        ]
        | None
    ) = None
    cohorts: list[KueueCohort] = Field(default_factory=list)
    cluster_queues: list[ClusterQueue]
    admitted: list[HoldingWorkload] = Field(default_factory=list)


class PreemptionCase(KueueCase):
    """Which workloads are preempted so that one fits whose flavors are chosen?"""

    suite: Literal["kueue-preemption"]
    incoming: IncomingWorkload
    expect: PreemptionExpect | None = None


class CycleCase(KueueCase):
    """What does one scheduling cycle do?"""

    suite: Literal["kueue-cycle"]
    pending: list[PendingWorkload]
    expect: CycleExpect | None = None


# --- KAI


class KaiNode(Form):
    """A node."""

    gpus: Annotated[int, Field(ge=0, le=4096)]


class Department(Form):
    """A top queue of KAI."""

    name: Name
    gpu_quota: Quota = None
    gpu_limit: Quota = None


class KaiQueue(Department):
    """A queue of KAI."""

    parent: Name | None = None
    priority: Priority | None = None
    gpu_over_quota_weight: Amount = Decimal(0)


class KaiTask(Form):
    """A pod of a gang. The node of a pending one binds nothing: KAI places it anew."""

    state: Literal["running", "pending", "releasing"]
    node: Name | None = None
    gpu_groups: list[str] | None = None


class KaiJob(Form):
    """A gang of like tasks."""

    name: Name
    queue: Name
    priority: Priority
    gpus_per_task: Amount
    cpu_milli_per_task: Amount = Decimal(0)
    memory_per_task: Amount = Decimal(0)
    age_min: Amount = Decimal(0)
    tasks: list[KaiTask] = Field(min_length=1)


class KaiState(Form):
    """How a job ends; node null: any."""

    status: str
    node: str | None


class KaiExpect(Form):
    """What a case of KAI expects."""

    jobs: dict[str, KaiState]


class KaiCase(Case):
    """Which jobs run where after some rounds?"""

    suite: Literal["kai"]
    nodes: dict[Name, KaiNode]
    departments: list[Department] = Field(default_factory=list)
    queues: list[KaiQueue]
    jobs: list[KaiJob]
    rounds_until_match: Annotated[int, Field(ge=1, le=1000)] = 2
    expect: KaiExpect | None = None


AnyCase = PreemptionCase | CycleCase | KaiCase
SUITES: Final[dict[str, type[AnyCase]]] = {
    "kueue-preemption": PreemptionCase,
    "kueue-cycle": CycleCase,
    "kai": KaiCase,
}
