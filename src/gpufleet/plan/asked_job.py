"""One job that somebody asks about: what `gpufleet admit -f` reads, with the words of a plan's campaigns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from typing_extensions import override

from gpufleet.base.errors import GpufleetError, Place, did_you_mean, finding
from gpufleet.base.say import say
from gpufleet.plan.declared import Key
from gpufleet.plan.job_rules import JobRules
from gpufleet.plan.kinds import Count, Ref, Text
from gpufleet.plan.limits import Held
from gpufleet.plan.moments import Duration, Moment
from gpufleet.plan.priorities import PriorityKind
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.tree import Leaf, Map, Node, parse_yaml
from gpufleet.plan.workloads import Speeds, SpeedsKind

HOUR_S: Final = 3600
_RULES: Final = ("preemptible", "checkpoint", "restart", "topology")
MOST_BYTES: Final = 1_000_000


class AskedJob(JobRules):
    """A job that may come."""

    queue: Annotated[str, Key(Ref("queue"), "the queue it would wait in")]
    gpus: Annotated[int, Key(Count("GPUs", least=1), "GPUs, all at once")]
    duration_s: Annotated[int, Key(Duration(least=1), "how long it would run; left out: 1 h", "duration")] = (
        HOUR_S
    )
    priority: Annotated[int, Key(PriorityKind(), "higher goes first")] = 0
    limit_s: Annotated[int, Key(Duration(least=1), "time limit of one attempt", "limit")] = 0
    products: Annotated[Speeds, Key(SpeedsKind(), "speed per product; left out: all at 1")] = ()
    user: Annotated[str | None, Key(Text(), "whose it is, where users have limits")] = None
    project: Annotated[str | None, Key(Text(), "what it is for, where projects have limits")] = None
    tasks: Annotated[int, Key(Count("jobs", least=1, most=100_000), "an array of so many such jobs")] = 1
    at_once: Annotated[int | None, Key(Count("jobs", least=1), "how many of them may run at once")] = None
    power: Annotated[
        str | None, Key(Text(), "kind of work, one that the plan has: what it draws; left out: the default")
    ] = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        tasks, at_once = values.get("tasks", 1), values.get("at_once")
        if at_once is not None and at_once >= tasks:
            says = say(
                "{at_once:,} of {tasks:,} jobs may run at once: that limits nothing",
                at_once=at_once,
                tasks=tasks,
            )
            fix = say("write fewer than `tasks`, or leave `at_once` out")
            reader.report("P024", node.key_at["at_once"], says, fix)
        return super().complete(values, node, path, reader)


@dataclass(frozen=True)
class Known:
    """What a job is read against."""

    zone: ZoneInfo
    start: datetime  # UTC
    end: datetime
    queues: Collection[str]
    products: Collection[str]
    priorities: Mapping[str, int]
    shares: bool  # queues share: jobs may have rules of preemption and topology
    limits: Callable[[str, str], list[Held]]  # of users or projects (`per_user`, `per_project`) of a queue
    kinds: tuple[str, ...] = ()  # of work, where power is counted

    def limits_of(self, job: AskedJob) -> list[tuple[str, str, Held]]:
        """The limits that a job counts in: each with `user` or `project`, and its name."""
        owners = (("user", job.user), ("project", job.project))
        return [
            (kind, name, held)
            for kind, name in owners
            if name is not None
            for held in self.limits(job.queue, f"per_{kind}")
        ]

    def reader(self, root: Path) -> Reader:
        """A reader that knows these names."""
        known = {"queue": self.queues, "product": self.products, "priority": list(self.priorities)}
        return Reader(root, self.zone, self.start, self.end, known, priorities=dict(self.priorities))


def read_job(path: Path, known: Known) -> AskedJob:
    """Read a job from a YAML file.

    Raises: GpufleetError with all that is wrong with it, each with file and line.
    """
    reader = known.reader(path.parent)
    node = parse_yaml(_text(path), path.name)
    job = None
    with suppress(UnreadableError):
        job = AskedJob.from_node(node, "", reader)
    if isinstance(node, Map) and not known.shares:
        for key in _RULES:
            if key in node.items and not (key == "preemptible" and known.kinds):
                says = say("`{key}` has no effect: no queue of the plan shares its quota", key=key)
                reader.report("P024", node.key_at[key], says, say("leave `{key}` out", key=key))
    if job is not None and job.power is not None and job.power not in known.kinds:
        _unknown_kind(job.power, node, known, reader)
    if job is not None and isinstance(node, Map):
        counted = {kind for kind, _, _ in known.limits_of(job)}
        for key in ("user", "project"):
            if key in node.items and key not in counted:
                says = say("`{key}` has no effect: nothing limits what one {key} of {queue} may hold",
                           key=key, queue=job.queue)  # fmt: skip
                reader.report("P024", node.key_at[key], says, say("leave `{key}` out", key=key))
    if job is None or reader.findings:
        raise GpufleetError(*reader.findings)
    return job


def _unknown_kind(kind: str, node: Node, known: Known, reader: Reader) -> None:
    """Report a kind of work that no workload of the plan has."""
    at = node.key_at["power"] if isinstance(node, Map) else node.at
    if not known.kinds:
        says = say("`{key}` has no effect: the plan has no section `power`", key="power")
        reader.report("P024", at, says, say("leave `{key}` out", key="power"))
        return
    says = say("`{kind}` is no kind of work of the plan", kind=kind)
    reader.report("P262", at, says, did_you_mean(kind, known.kinds, limit=20))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()[:MOST_BYTES]
        return data.decode("utf-8-sig")
    except OSError as error:
        fix = say("name a YAML file with `queue:` and `gpus:`")
        says = error.strerror or str(error)
        raise GpufleetError(finding("P002", says, fix, Place(str(path), 0))) from error
    except UnicodeDecodeError as error:
        says = say("the file is not UTF-8 text")
        raise GpufleetError(finding("P002", says, say("save it as UTF-8"), Place(path.name, 0))) from error


def read_moment(text: str, known: Known) -> int:
    """A moment of a plan, such as 2026-01-05 14:00 in its time zone: seconds from its start.

    Raises: GpufleetError P012 for what is no date, P022 for one that is not in the plan's time.
    """
    at = Place("--at", 0)
    reader = known.reader(Path())
    try:
        moment = Moment().parse(Leaf(text, text, at), reader)
    except UnreadableError:
        raise GpufleetError(*reader.findings) from None
    if not known.start <= moment < known.end:
        says = say(
            "{at} is not between the start {start} and the end {end}",
            at=reader.local(moment),
            start=reader.local(known.start),
            end=reader.local(known.end),
        )
        raise GpufleetError(finding("P022", says, say("name a moment in between"), at))
    return int((moment - known.start).total_seconds())
