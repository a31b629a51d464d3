"""What a word given to `why` means: a job, or a lot, promise, tenant, training or budget of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gpufleet.base.errors import GpufleetError, did_you_mean
from gpufleet.base.say import say
from gpufleet.results.codes import AMBIGUOUS_JOB, NO_JOB, NO_PART, fail
from gpufleet.results.find import find_job

if TYPE_CHECKING:
    from gpufleet.results.run import Run

FUNDING: Final = "money.funding"
SECTIONS: Final = ("deliveries", "promises", "tenants", "workloads", FUNDING)
"""Sections of the plan whose parts can be asked for; a path (`promises.fifty`) names one of them only. Of
workloads those that are more than one job: trainings."""


class Part(NamedTuple):
    """A part of the plan that is asked for."""

    section: str
    name: str

    @property
    def path(self) -> str:
        """Its path in the plan."""
        return f"{self.section}.{self.name}"


def part_meant(run: Run, word: int | str) -> Part | None:
    """The part of the plan that a word means; None if it means a job, or nothing.

    Raises: GpufleetError R008 for the path of a part that is not there, R007 if a job, or another part, is
            called so too.
    """
    if not isinstance(word, str) or word.removeprefix("#").isdecimal():
        return None
    for section in SECTIONS:
        if word.startswith(f"{section}."):
            return _at_path(run, section, word.removeprefix(f"{section}."))
    found = [Part(each, word) for each in SECTIONS if word in _known(run, each)]
    if not found:
        return None
    job = _job_called(run, word)
    if job is not None:
        says = say(
            "`{name}` is {path}, and the name of job {number}", name=word, path=found[0].path, number=job
        )
        fix = say("write `{path}`, or `#{number}` for the job", path=found[0].path, number=job)
        fail(AMBIGUOUS_JOB, says, fix)
    if len(found) > 1:
        paths = [part.path for part in found]
        says = say("`{name}` means {paths}", name=word, paths=paths)
        fail(AMBIGUOUS_JOB, says, say("write `{path}`, say", path=paths[0]))
    return found[0]


def _known(run: Run, section: str) -> Mapping[str, Any]:
    """The parts of a section that can be asked for."""
    if section == FUNDING:
        funding: Mapping[str, Any] = run.plan.get("money", {}).get("funding", {})
        return funding
    known: Mapping[str, Any] = run.plan[section] if section != "workloads" else run.plan.get("trainings", {})
    if section == "deliveries":  # a lot in parts can be asked for as a whole
        return {**{lot["whole"]: lot for lot in known.values() if "whole" in lot}, **known}
    return known


def _at_path(run: Run, section: str, name: str) -> Part:
    if name not in _known(run, section):
        says = say("the plan has no {path}", path=f"{section}.{name}")
        if section == "workloads":
            says = say("the plan has no training {path}", path=f"{section}.{name}")
        fail(NO_PART, says, did_you_mean(name, _known(run, section)))
    return Part(section, name)


def _job_called(run: Run, word: str) -> int | None:
    """The number of the job of that name; None if there is none."""
    try:
        number: int = find_job(run, word)["job"]
    except GpufleetError as error:
        if error.findings[0].code == NO_JOB:
            return None
        raise
    return number
