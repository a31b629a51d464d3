"""What workloads say of their jobs beside size and time: may they be pushed out, and how close together."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from typing_extensions import override

from gpufleet.base.errors import explain_code
from gpufleet.base.say import say
from gpufleet.plan.after import After, AfterKind
from gpufleet.plan.declared import Declared, Key, Part, Sourced
from gpufleet.plan.kinds import Choice, Count, Flag, Schema, Text, Value
from gpufleet.plan.moments import Duration
from gpufleet.plan.reader import Reader
from gpufleet.plan.tree import Leaf, Map

LEVELS: Final = ("node", "domain", "block", "site")
SLICE_LEVELS: Final = ("domain", "block")
RULES: Final = ("preemptible", "topology")
"""Fields that count only where jobs are admitted by cycles; the first also where caps of power stop jobs."""

RESTARTS: Final = ("checkpoint_s", "restart_s")
"""Fields that count only where attempts may be cut short: by preemption, or as their nodes fail or go."""

explain_code(
    "P053",
    "slices wider than their job",
    "A job lies in one part of its level (or as near to that as may be), each of its slices in one part "
    "of the slice level. The slice level is inside of the job's level, or the same.",
    "topology: {required: domain, slice: {gpus: 144, level: block}}     # write `required: block` or `site`",
)


class Checkpoint(Value[int | None]):
    """Work between two checkpoints; none = a job that is pushed out starts again from nothing."""

    ranged = False
    wants = say("a time such as `1 h`, or `none`")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> int | None:
        return None if leaf.text == "none" else Duration().parse(leaf, reader)

    @override
    def short_schema(self) -> Schema:
        return {"anyOf": [Duration().short_schema(), {"const": "none"}]}


class Slice(Declared):
    """Parts of a job that each stay together."""

    gpus: Annotated[
        int, Key(Count("GPUs", least=1), "GPUs of a slice: whole nodes; a job is a whole number of slices")
    ]
    level: Annotated[
        str, Key(Choice(SLICE_LEVELS), "every slice lies in one of these, or the job does not start")
    ]


class Topology(Declared):
    """How close together the GPUs of a job are."""

    one_of: ClassVar[tuple[str, ...]] = ("required", "preferred", "unconstrained")

    required: Annotated[str | None, Key(Choice(LEVELS), "all in one of these, or the job does not start")] = (
        None
    )
    preferred: Annotated[
        str | None, Key(Choice(LEVELS), "all in one of these if there is one, else in the next wider")
    ] = None

    unconstrained: Annotated[
        bool, Key(Flag(), "true: anywhere, but on the nodes with the least room that hold it")
    ] = False
    slice: Annotated[
        Slice | None, Key(Part(Slice), "parts that each stay together; left out: the job has none")
    ] = None

    @property
    def level(self) -> str:
        """The level that is wished."""
        return self.required or self.preferred or LEVELS[-1]

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if values.get("unconstrained") is False:
            says = say("`{path}.unconstrained: false` has no effect", path=path)
            fix = say("leave `topology` out, or write `unconstrained: true`")
            reader.report("P024", node.key_at["unconstrained"], says, fix)
        wide, part = values.get("required") or values.get("preferred"), values.get("slice")
        if wide and part and LEVELS.index(part.level) > LEVELS.index(wide):
            says = say(
                "slices lie in one {part}, which is wider than the {wide} that holds the whole job",
                part=part.level, wide=wide,
            )  # fmt: skip
            fix = say("name a wider level for the job, or a narrower one for its slices")
            reader.report("P053", node.key_at["slice"], says, fix)
        return values


class JobRules(Sourced):
    """What is the same for all jobs of a workload."""

    preemptible: Annotated[
        bool, Key(Flag(), "its jobs may be pushed out by others, and stopped by a falling cap of power")
    ] = True
    checkpoint_s: Annotated[
        int | None,
        Key(Checkpoint(), "work between checkpoints: what lies behind the last is lost; "
            "0 s: nothing; none: all of the attempt", "checkpoint"),
    ] = None  # fmt: skip
    restart_s: Annotated[
        int, Key(Duration(), "work that each return after a preemption or a failure adds", "restart")
    ] = 0
    topology: Annotated[
        Topology | None, Key(Part(Topology), "how close together its GPUs are; left out: no wish")
    ] = None


class WorkloadRules(JobRules):
    """What any workload may say of its jobs."""

    project: Annotated[
        str | None, Key(Text(), "the project that all its jobs are of; its limits are the queue's")
    ] = None
    power: Annotated[
        str | None,
        Key(
            Text(),
            "kind of work, of `power.kinds` or the catalogue: what its jobs draw; left out: `power.default`",
        ),
    ] = None
    after: Annotated[
        tuple[After, ...],
        Key(AfterKind(), "workloads that must have ended before its jobs are eligible; a list, or one"),
    ] = ()
