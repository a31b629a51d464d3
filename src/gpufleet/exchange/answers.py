"""The answer to a case: as data of the file's own form, in words, and held against what is expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpufleet.base.errors import GpufleetError, Place, did_you_mean, finding
from gpufleet.base.say import say, tell
from gpufleet.base.wide import columns, left
from gpufleet.exchange.cases import CaseFile
from gpufleet.exchange.forms import AnyCase, CycleCase, KaiCase, PreemptionCase
from gpufleet.exchange.kai.decide import UnsupportedError, decide_rounds
from gpufleet.exchange.kueue import decide_cycle, decide_preemption


@dataclass(frozen=True)
class Answer:
    """What is decided in a case.

    `decision` has the form of the case's `expect`; `says` and `expected` are words. `agrees` is None where
    nothing is expected, and false where something is that could not be decided. `unsupported` names the rule
    that gpufleet has not, where the case needs one; then nothing is decided.
    """

    id: str
    decision: dict[str, Any]
    says: str = ""
    agrees: bool | None = None
    expected: str = ""
    unsupported: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The decision, or the rule that is missing."""
        return self.decision if self.unsupported is None else {"unsupported": self.unsupported}


def answer_case(case: AnyCase) -> Answer:
    """Decide a case, and hold the decision against what is expected.

    >>> from gpufleet.exchange.forms import PreemptionCase
    >>> queue = {"name": "a", "resource_groups": [[{"flavor": "B200", "resources": {"gpu": {"nominal": 4}}}]]}
    >>> pods = [{"name": "main", "count": 1, "requests": {"gpu": 4}}]
    >>> work = {"name": "train", "cluster_queue": "a", "pod_sets": pods}
    >>> case = {"id": "1", "suite": "kueue-cycle", "cluster_queues": [queue], "pending": [work]}
    >>> answer_case(CycleCase.model_validate(case)).says
    'admits train'
    """
    try:
        decision = _decide(case)
    except UnsupportedError as error:
        agrees = None if case.expect is None else False
        return Answer(case.id, {}, agrees=agrees, unsupported=error.args[0])
    if case.expect is None:
        return Answer(case.id, decision, _words(case, decision))
    expected = case.expect.model_dump()
    same = _agree(decision, expected) if isinstance(case, KaiCase) else _same(decision, expected)
    return Answer(case.id, decision, _words(case, decision), same, _words(case, expected))


def _decide(case: AnyCase) -> dict[str, Any]:
    """The decision in the form of the case's `expect`. Raises: UnsupportedError."""
    if isinstance(case, PreemptionCase):
        return decide_preemption(case)
    if isinstance(case, CycleCase):
        return decide_cycle(case)
    return decide_rounds(case)


def _words(case: AnyCase, decision: dict[str, Any]) -> str:
    """A decision, or an expectation, in words."""
    if isinstance(case, PreemptionCase):
        return _victims(decision["preempted"]) or say("nobody can yield")
    if isinstance(case, CycleCase):
        return _cycle(decision)
    return _jobs(decision)


def answers_to(file: CaseFile, ids: Sequence[str] = ()) -> list[Answer]:
    """The answers to the cases of a file, in its order; to some of them by their ids.

    Raises: GpufleetError X009 for an id that the file has not.
    """
    known = {case.id: case for case in file.cases}
    unknown = [each for each in ids if each not in known]
    if unknown:
        place = Place(str(file.path), 0)
        raise GpufleetError(
            *(
                finding("X009", say("there is no case `{id}`", id=each), did_you_mean(each, known), place)
                for each in unknown
            )
        )
    return [answer_case(case) for case in file.cases if not ids or case.id in ids]


def answers_text(answers: Sequence[Answer]) -> str:
    """Answers as lines: id, what is decided, whether it is what is expected; and how many are."""
    width = max((columns(_verdict(each)) for each in answers), default=0)
    shown = []
    for each in answers:
        shown.append(f"{left(_verdict(each), width)}  {each.id}")
        shown += [f"{' ' * width}  {line}" for line in _lines(each)]
    agree = sum(each.agrees is True for each in answers)
    expected = sum(each.agrees is not None for each in answers)
    missing = sum(each.unsupported is not None for each in answers)
    total = say("{n:,} case decided", "{n:,} cases decided", n=len(answers) - missing)
    parts = [total]
    if expected:
        parts.append(say("{agree:,} of {expected:,} as expected", agree=agree, expected=expected))
    if missing:
        parts.append(say("{missing:,} need a rule that gpufleet has not", missing=missing))
    return "\n".join([*shown, "", say("{parts:; }", parts=parts)])


def _lines(answer: Answer) -> list[str]:
    if answer.unsupported is not None:
        return [say("needs a rule that gpufleet has not: {rule}", rule=answer.unsupported)]
    if answer.agrees is False:
        return [tell(answer.says), say("expected: {says}", says=answer.expected)]
    return [tell(answer.says)]


def _verdict(answer: Answer) -> str:
    if answer.unsupported is not None:
        return say("not decided")
    if answer.agrees is None:
        return "-"
    return say("as expected") if answer.agrees else say("differs")


def _victims(preempted: list[dict[str, str]]) -> str:
    if not preempted:
        return ""
    parts = [f"{each['workload']} ({each['reason']})" for each in preempted]
    return say("yields: {parts}", parts=parts)


def _cycle(decision: dict[str, Any]) -> str:
    parts: list[str] = []
    if decision["newly_admitted"]:
        parts.append(say("admits {names}", names=sorted(decision["newly_admitted"])))
    parts.append(_victims(decision["preempted"]))
    for key, text in (
        ("left_in_queue", say("in the queue")),
        ("left_inadmissible", say("parked")),
    ):
        names = [name for works in decision[key].values() for name in works]
        if names:
            parts.append(say("{state}: {names}", state=text, names=names))
    return say("{parts:; }", parts=[part for part in parts if part])


def _jobs(decision: dict[str, Any]) -> str:
    """How jobs end, by status."""
    parts = []
    for status, text in (("running", say("runs")), ("pending", say("waits"))):
        names = [
            f"{name} ({job['node']})" if job["node"] else name
            for name, job in decision["jobs"].items()
            if job["status"] == status
        ]
        if names:
            parts.append(say("{state}: {names}", state=text, names=names))
    return say("{parts:; }", parts=parts)


def _agree(decision: Any, expected: Any) -> bool:
    """Whether jobs end as expected; an expected node of null may be any."""
    jobs, wanted = decision["jobs"], expected["jobs"]
    return jobs.keys() == wanted.keys() and all(
        jobs[name]["status"] == job["status"] and job["node"] in (None, jobs[name]["node"])
        for name, job in wanted.items()
    )


def _same(decision: Any, expected: Any) -> bool:
    """Whether two answers are the same but for the order of lists."""
    return bool(_ordered(decision) == _ordered(expected))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return sorted((_ordered(each) for each in value), key=repr)
    return value
