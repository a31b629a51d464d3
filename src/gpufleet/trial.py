"""Tries the functions of the user before a run, and tells what is wrong with one in the user's words."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from gpufleet.base.errors import Finding, GpufleetError, Place, explain_code, finding
from gpufleet.base.say import say
from gpufleet.plan.own_codes import FIELDS

if TYPE_CHECKING:
    from gpufleet.engine.own import OwnFaultError
    from gpufleet.engine.own_code import Compiled, OwnCompileError
    from gpufleet.plan import Plan
    from gpufleet.plan.own_policy import OwnFunction

NO_NUMBER: Final = explain_code(
    "R030",
    "an own policy gave no number in a run",
    "The function of an order or a placement gave NaN, or divided by zero, for a job or a node that the "
    "trial before the run did not think of. Where that job would go is not known, so the run ends; nothing "
    "that was there before is changed.",
    "return job.gpus / job.preemptions       # 0 until it is preempted",
).code

_DAY_S: Final = 86_400
_MOST_FREE: Final = 16
"""Numbers of GPUs of a node, and of nodes of a domain, that are tried."""
Fields = tuple[float, ...]


class _Why(NamedTuple):
    """Why a question has no answer, and in which line of the file; 0: not known."""

    says: str
    line: int


def try_own(plan: Plan) -> None:
    """Compile the own functions of a plan and try them on made-up jobs and nodes.

    Raises: GpufleetError P126 if one cannot be compiled, P127 if it gives no number.
    """
    policy = plan.policy
    findings: list[Finding] = []
    if policy.own_order is not None:
        findings += _try(policy.own_order.python, _jobs(plan), plan)
    if policy.own_placement is not None:
        findings += _try(policy.own_placement.python, _places(plan, policy.own_placement.python), plan)
    if findings:
        raise GpufleetError(*findings)


def _try(own: OwnFunction, samples: Iterator[Fields], plan: Plan) -> list[Finding]:
    from gpufleet.engine.own_code import OwnCompileError, compiled

    try:
        function = compiled(_program(own, plan))
    except OwnCompileError as error:
        return [_not_compiled(own, error)]
    for fields in samples:
        if not _is_number(function.decide(*fields)):
            why = _reason(function, own, fields)
            says = say(
                "{name} gives no number for {fields}: {why}",
                name=own.function,
                fields=_told(own.kind, fields, tuple(plan.queues)),
                why=why.says,
            )
            fix = say("let every way through it give a number, such as 0 where there is none")
            return [finding("P127", says, fix, own.place(why.line))]
    return []


def _program(own: OwnFunction, plan: Plan) -> str:
    """The program that the run will use."""
    from gpufleet.plan.own_code import read_code

    return read_code(own.source, own.function, own.kind, tuple(plan.queues)).program


def _is_number(value: float) -> bool:
    return value == value


# --- samples ------------------------------------------------------------------------------------------------


def _jobs(plan: Plan) -> Iterator[Fields]:
    """Jobs of all sizes, known and unknown run times, new ones and those that come back."""
    unknown = plan.policy.estimate == "none"
    times = [(float("inf") if unknown else t, 0.0) for t in (1.0, 3600.0, 30.0 * _DAY_S)]
    times += [(limit, limit) for limit in (1.0, 3600.0)]
    submits = (0.0, float(max(plan.jobs_end_s - 1, 0)))
    queues = [float(queue) for queue in range(len(plan.queues))]
    lives = ((0.0, 0.0), (1.0, 1.0), (3.0, 2.0))
    for gpus, (estimate_s, limit_s), submit_s, priority, queue, life in product(
        (1.0, 8.0, 1000.0), times, submits, (0.0, 1.0, -1.0), queues, lives
    ):
        yield gpus, estimate_s, limit_s, submit_s, priority, queue, *life


def _places(plan: Plan, own: OwnFunction) -> Iterator[Fields]:
    """Nodes and domains of the plan's systems, with any number of free GPUs, or of idle nodes."""
    from gpufleet.world.own import LOOKS

    kinds = {
        (plan.systems[d.system].gpus_per_node, plan.systems[d.system].nodes_per_domain)
        for d in plan.deliveries
    }
    for per_node, most in sorted(kinds):
        f, m = float(per_node), float(most)
        for need in range(1, min(per_node, _MOST_FREE) + 1):
            for free in range(need, min(per_node, _MOST_FREE) + 1):
                yield float(need), f, float(need), float(free), 0.0, 0.0, 0.0, m
                for near in (0.0, 1.0) if need < per_node else ():
                    yield f + need, f, float(need), float(free), near, 0.0, 0.0, m
        for idle in range(1, min(most, _MOST_FREE) + 1) if own.code.reads & LOOKS else ():
            for left in (2.0, m + 1, 1.0):
                yield 2 * m * f + f, f, 0.0, 0.0, 0.0, left, float(idle), m


# --- what went wrong ----------------------------------------------------------------------------------------


def _told(kind: str, fields: Fields, queues: Sequence[str]) -> str:
    """The fields of a question as people read them.

    >>> _told("order", (8.0, float("inf"), 0.0, 3600.0, 0.0, 0.0, 0.0, 0.0), ["lab"])
    'gpus 8, estimate_s inf, limit_s 0, submit_s 3,600, priority 0, queue lab, attempts 0, preemptions 0'
    """
    named = dict(zip(FIELDS[kind], fields, strict=True))
    texts = {name: f"{value:,.12g}" for name, value in named.items()}
    if "queue" in named:
        texts["queue"] = queues[int(named["queue"])]
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def _reason(function: Compiled, own: OwnFunction, fields: Fields) -> _Why:
    """Ask the program once more, as Python runs it: that tells the line."""
    from gpufleet.engine.own_code import PLAIN_FILE

    lines = own.code.program_lines
    try:
        getattr(function.plain, f"own_{own.function}")(function.plain.Record(*fields))
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == PLAIN_FILE]
        return _Why(_words(error), lines.get(frames[-1].lineno or 0, 0) if frames else 0)
    return _Why(say("the result is not a number (NaN)"), 0)


def _words(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return say("it divides by zero")
    if isinstance(error, OverflowError):
        return say("a number becomes too large")
    if isinstance(error, ValueError):
        return say("a function of `math` has no result there")
    return say("Python says: {error}", error=str(error))


_SAID: Final = re.compile(
    r"Unknown attribute '(?P<field>\w+)' of type"
    r"|No implementation of function Function\(<(?:built-in function |class ')(?P<function>\w+)"
    r"|Cannot unify (?P<types>.+?) for '(?P<variable>\w+)"
)
_LINE: Final = re.compile(r'own_\w+\.py", line (\d+):')


def _not_compiled(own: OwnFunction, error: OwnCompileError) -> Finding:
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    said, at = _SAID.search(text), _LINE.search(text)
    lines = own.code.program_lines
    line = lines.get(int(at[1]) if at else error.line, 0)
    why = say("Numba says: {error}", error=text.strip().splitlines()[-1][:200])
    if said and said["field"]:
        why = say("what is a number there has no `{name}`", name=said["field"])
    elif said and said["function"]:
        why = say("`{name}` cannot be used with what it gets there", name=said["function"])
    elif said:
        why = say("`{name}` is sometimes a number and sometimes something else", name=said["variable"])
    says = say("{name} cannot be compiled: {why}", name=own.function, why=why)
    return finding("P126", says, say("use numbers where numbers are wanted"), own.place(line))


@contextmanager
def faults_told(queues: Sequence[str], plan: Plan | None = None) -> Iterator[None]:
    """Inside the block, a function that has no number for a job ends in a finding.

    Args: queues: their names, in the order of their codes. plan: that the run is of, if it is at hand; it
          knows the line.
    Raises: GpufleetError R030.
    """
    from gpufleet.engine.own import OwnFaultError

    try:
        yield
    except OwnFaultError as fault:
        raise GpufleetError(_in_run(fault, queues, plan)) from fault


def _in_run(fault: OwnFaultError, queues: Sequence[str], plan: Plan | None) -> Finding:
    from gpufleet.engine.own_code import compiled

    why, at = _Why(say("the result is not a number (NaN)"), 0), Place(fault.code.file, fault.code.line)
    if plan is not None:
        part = plan.policy.own_order if fault.kind == "order" else plan.policy.own_placement
        assert part is not None
        why = _reason(compiled(fault.code.program), part.python, fault.fields)
        at = part.python.place(why.line)
    told = {"name": fault.code.function, "fields": _told(fault.kind, fault.fields, queues), "why": why.says}
    says = say("{name} gives no number for a job ({fields}): {why}", **told)
    if fault.job >= 0:
        says = say("{name} gives no number for job {job} ({fields}): {why}", job=fault.job, **told)
    fix = say("let every way through it give a number; what was there before is unchanged")
    return finding(NO_NUMBER, says, fix, at)
