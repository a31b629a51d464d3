"""The command that asks what a scheduler with quotas would decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn

import typer

from gpufleet.base.errors import GpufleetError, explain_code, finding
from gpufleet.base.say import say as words
from gpufleet.commands.options import Lang
from gpufleet.console import aloud, print_findings, print_json, print_plain_json, say

TOGETHER = explain_code(
    "U007",
    "options that do not go together",
    "`gpufleet admit` answers either cases (--cases, --case) or one job at a moment of a plan or a run "
    "(-f with --plan and --at).",
    'gpufleet admit -f job.yaml --plan plans/kueue-cohort --at "2026-01-06 10:00"',
).code


class _Question(NamedTuple):
    """A job, where and when it comes."""

    job: Path
    plan: Path
    at: str


def admit(
    cases: Annotated[
        Path | None,
        typer.Option("--cases", metavar="FILE.json", help="A file of cases (fleet-quota-cases/1)."),
    ] = None,
    job: Annotated[
        Path | None, typer.Option("-f", "--file", metavar="JOB.yaml", help="A job, instead of cases.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="PLAN|RUN", help="-f: a plan, or the folder of a run.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="-f: when it comes, in the plan's time zone."),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID", help="Only this case. May be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 on warnings too.")] = False,
    lang: Lang = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: per id a decision as in `expect`.")
    ] = False,
) -> None:
    """Decide cases of quota as Kueue and KAI do: whom the next cycle admits, who has to yield, who waits.

    Or, with -f, what would become of one more job at some moment of a plan or a run: may it start now,
    could it ever, where, who is pushed out by which rule, and the quotas of the moment. All up to then is
    simulated.

    A case describes queues with their quotas, what runs and what waits. Its suite is the question:
    kueue-cycle (one scheduling cycle), kueue-preemption (who yields for one workload whose flavors are
    chosen), kai (which jobs run where after some rounds). If a case has an `expect`, the answer is
    held against it.

    Exit codes: 0 all agree, or nothing is expected; 1 something else is expected, or it could not be
    decided because it needs a rule that gpufleet has not (it is named); 2 the file cannot be used.

    \b
    Examples:
      gpufleet admit --cases cases.json
      gpufleet admit --cases cases.json --case one-queue --json
      gpufleet admit -f job.yaml --plan plans/kueue-cohort --at "2026-01-06 10:00"
    \b
    A job: {queue: research, gpus: 16}, and as in a campaign products, priority, duration, limit, preemptible,
    checkpoint, restart, topology; user, project (whose limits count), tasks and at_once (an array).
    \b
    A case, in short:
      {"format": "fleet-quota-cases/1", "cases": [{"id": "one-queue", "suite": "kueue-cycle",
       "cluster_queues": [{"name": "research", "resource_groups":
         [[{"flavor": "B200", "resources": {"gpu": {"nominal": 8}}}]]}],
       "pending": [{"name": "train", "cluster_queue": "research",
         "pod_sets": [{"name": "main", "count": 2, "requests": {"gpu": 4}}]}]}]}
    """
    if job is not None or cases is None:
        _one_job(_whole(cases, case, job, plan, at), as_json=as_json)
        return
    if plan is not None or at is not None:
        _refuse(words("--plan and --at go with -f"), words("leave them out, or name a job with -f"))
    from gpufleet.exchange.answers import answers_text, answers_to
    from gpufleet.exchange.cases import load_cases

    file = load_cases(cases)
    print_findings(file.warnings)
    if strict and file.warnings:
        raise typer.Exit(2)
    answers = answers_to(file, case or ())
    if as_json:
        print_plain_json({each.id: each.to_json() for each in answers})
    else:
        with aloud():
            say(answers_text(answers))
    if any(each.agrees is False for each in answers):
        raise typer.Exit(1)


def _whole(
    cases: Path | None, case: list[str] | None, job: Path | None, plan: Path | None, at: str | None
) -> _Question:
    """The question about one job. Raises: GpufleetError U007 if it is none, or half of one."""
    if job is None:
        _refuse(words("there is no question"), words("name cases with --cases, or a job with -f"))
    if cases is not None or case:
        _refuse(words("-f asks about one job, --cases about others"), words("leave one of the two out"))
    if plan is None or at is None:
        missing = [name for name, value in (("--plan", plan), ("--at", at)) if value is None]
        fix = words('write e.g. --plan plans/kueue-cohort --at "2026-01-06 10:00"')
        _refuse(words("-f needs {missing: and }", missing=missing), fix)
    return _Question(job, plan, at)


def _refuse(says: str, fix: str) -> NoReturn:
    raise GpufleetError(finding(TOGETHER, says, fix))


def _one_job(question: _Question, *, as_json: bool) -> None:
    """Answer what would become of a job."""
    from gpufleet.moment import ask, scene_of
    from gpufleet.plan.asked_job import read_job, read_moment

    scene = scene_of(question.plan)
    answer = ask(scene, read_job(question.job, scene.known), read_moment(question.at, scene.known))
    if as_json:
        print_json("admit-job", answer.to_json())
    else:
        with aloud():
            say(answer.text())
