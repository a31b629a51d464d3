"""The command that asks what a scheduler with quotas would decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpufleet.commands.options import Lang
from gpufleet.console import aloud, print_findings, print_plain_json, say


def admit(
    cases: Annotated[
        Path, typer.Option("--cases", metavar="FILE.json", help="A file of cases (fleet-quota-cases/1).")
    ],
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
    \b
    A case, in short:
      {"format": "fleet-quota-cases/1", "cases": [{"id": "one-queue", "suite": "kueue-cycle",
       "cluster_queues": [{"name": "research", "resource_groups":
         [[{"flavor": "B200", "resources": {"gpu": {"nominal": 8}}}]]}],
       "pending": [{"name": "train", "cluster_queue": "research",
         "pod_sets": [{"name": "main", "count": 2, "requests": {"gpu": 4}}]}]}]}
    """
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
