"""Sharing: cohorts whose queues lend to each other, and the rules by which they borrow and take back.

The words are those of Kueue; docs/explanation/sharing.md says what they mean.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field
from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan import quotas
from gpufleet.plan.declared import Declared, Key, Part, Sourced
from gpufleet.plan.kinds import Choice, Count, Flag, Kind, Number, Ref, Schema, Text
from gpufleet.plan.moments import Duration
from gpufleet.plan.name_list import NameList
from gpufleet.plan.priorities import PriorityKind
from gpufleet.plan.quotas import Quotas, QuotaTerms
from gpufleet.plan.reader import Reader
from gpufleet.plan.tree import Leaf, Map, Node, Seq

WITHIN: Final = ("never", "lower-priority", "lower-or-newer-equal-priority")
RECLAIM: Final = ("never", "lower-priority", "any")
BORROW_WITHIN: Final = ("never", "lower-priority")
SCANS: Final = ("stop", "try-next")
PREFERENCES: Final = ("borrowing", "preemption")
STRATEGIES: Final = ("less-than-or-equal-to-final-share", "less-than-initial-share")
RETURNS: Final = ("in-place", "last")


class Weight(Number):
    """A weight of fair shares; 0 = borrows only what nobody else wants."""

    def __init__(self) -> None:
        super().__init__(least=0.0, most=1e6)


class Preemption(Declared):
    """Whose running jobs a waiting job of a queue may push out."""

    within_queue: Annotated[str, Key(Choice(WITHIN), "jobs of the same queue")] = "never"
    reclaim_within_cohort: Annotated[
        str, Key(Choice(RECLAIM), "jobs of queues of the cohort that have borrowed, to get one's own back")
    ] = "never"
    borrow_within_cohort: Annotated[
        str, Key(Choice(BORROW_WITHIN), "the same, even if the job then borrows itself")
    ] = "never"
    max_priority_threshold: Annotated[
        int | None, Key(PriorityKind(), "borrow_within_cohort: only jobs of at most this priority")
    ] = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        borrows = values.get("borrow_within_cohort", "never") != "never"
        if borrows and values.get("reclaim_within_cohort", "never") == "never":
            says = say("`{path}` borrows by preemption and never reclaims", path=path)
            fix = say("add `reclaim_within_cohort: lower-priority` or `any`, or leave the other out")
            raise reader.refuse("P046", node.key_at.get("borrow_within_cohort", node.at), says, fix)
        if "max_priority_threshold" in values and not borrows:
            says = say(
                "max_priority_threshold {priority:,} limits borrow_within_cohort, which is never",
                priority=values["max_priority_threshold"],
            )
            fix = say("add `borrow_within_cohort: lower-priority`, or leave the threshold out")
            raise reader.refuse("P046", node.key_at.get("max_priority_threshold", node.at), says, fix)
        return values


class Fungibility(Declared):
    """Which of several products a job gets: how far it goes down its list."""

    when_can_borrow: Annotated[
        str, Key(Choice(SCANS), "stop at a product that needs borrowing, or look at the next one too")
    ] = "stop"
    when_can_preempt: Annotated[
        str, Key(Choice(SCANS), "stop at a product that needs preemption, or look at the next one too")
    ] = "try-next"
    prefer: Annotated[
        str, Key(Choice(PREFERENCES), "if no product is free within quota: borrow, or preempt")
    ] = "borrowing"


class Shared(Sourced):
    """What a queue says of its place in a cohort; a tenant says it for those of its queues that do not."""

    cohort: Annotated[
        str | None, Key(Ref("cohort"), "the cohort with which its queues lend; left out: none")
    ] = None
    weight: Annotated[
        float | None, Key(Weight(), "fair sharing: twice the weight, twice the share; left out: 1")
    ] = None
    strict: Annotated[
        bool | None, Key(Flag(), "a job that cannot start holds those behind it; left out: policy.strict")
    ] = None
    preemption: Annotated[
        Preemption | None, Key(Part(Preemption), "whose jobs it may push out; left out: nobody's")
    ] = None
    fungibility: Annotated[
        Fungibility | None, Key(Part(Fungibility), "which of several products a job gets")
    ] = None
    partitions: Annotated[
        tuple[str, ...],
        Key(
            NameList("partition"),
            "its jobs run on nodes of these only, any of them; left out: on all that are in no exclusive one",
        ),
    ] = ()
    max_run_time_s: Annotated[
        int | None,
        Key(
            Duration(least=1), "longest run of a job: a limit for jobs without a shorter one", "max_run_time"
        ),
    ] = None


class Cohort(Sourced):
    """Queues and cohorts that lend to each other. It may hold quota itself, which all below it may use."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    parent: Annotated[str | None, Key(Ref("cohort"), "the cohort that it is part of", "in")] = None
    quota: Annotated[
        dict[str, int], Key(Quotas(), "GPUs per product of the cohort itself, beside those of its queues")
    ] = Field(default_factory=dict)
    terms: dict[str, QuotaTerms] = Field(default_factory=dict)  # of products that a number says too little of
    weight: Annotated[
        float | None, Key(Weight(), "fair sharing: of all below it, against its neighbours; left out: 1")
    ] = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        return quotas.split(values)


class Strategies(Kind[tuple[str, ...]]):
    """When a queue that has less may push out jobs of one that has more."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[str, ...]:
        items = node.items if isinstance(node, Seq) else (node,)
        if not items or isinstance(node, Map) or not all(isinstance(item, Leaf) for item in items):
            says = say("`{path}` is a list of strategies", path=path)
            fix = say("write `[{words}]`, or one of them", words=STRATEGIES)
            raise reader.refuse("P008", node.at, says, fix)
        found = tuple(Choice(STRATEGIES).read(item, path, reader) for item in items)
        if found not in (STRATEGIES[:1], STRATEGIES[1:], STRATEGIES):
            says = say("the strategies stand twice, or in the wrong order: {found}", found=found)
            fix = say("write `[{words}]`, or one of them", words=STRATEGIES)
            raise reader.refuse("P015", node.at, says, fix)
        return found

    @override
    def schema(self) -> Schema:
        word: Schema = {"enum": list(STRATEGIES)}
        return {"anyOf": [word, {"type": "array", "items": word, "minItems": 1, "uniqueItems": True}]}


MOST_PREEMPTIONS: Final = 100
"""Preemptions of one job that are not exceeded, unless a plan says otherwise: far above what a plan needs, it
only ends what would never end."""


class SharingPlan(Declared):
    """How queues share: whether they lend at all, who is served first, and what preempted jobs do."""

    lending: Annotated[
        bool, Key(Flag(), "false: nobody borrows and nobody lends, whatever the queues say")
    ] = True
    fair: Annotated[
        bool, Key(Flag(), "who has borrowed least for its weight goes first, and may take from who has most")
    ] = False
    strategies: Annotated[
        tuple[str, ...], Key(Strategies(), "fair: when one takes from another; both, or one of them")
    ] = STRATEGIES
    evict_falling_quota: Annotated[
        bool, Key(Flag(), "a quota that falls pushes out what exceeds it; false: it runs on")
    ] = False
    returns: Annotated[
        str, Key(Choice(RETURNS), "a preempted job returns to its old place, or behind those who wait")
    ] = "in-place"
    return_after_s: Annotated[
        int, Key(Duration(), "how long it waits before it competes again", "return_after")
    ] = 0
    preemptions_at_most: Annotated[
        int,
        Key(
            Count("preemptions"),
            "a job that was preempted so often is not preempted any more; 0: no bound, as in Kueue",
        ),
    ] = MOST_PREEMPTIONS
