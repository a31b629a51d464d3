"""Commands that take a plan: check it, run it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpufleet.base.errors import Finding, Place
from gpufleet.base.say import say as words
from gpufleet.commands.options import Json, Lang, PlanPath, Scenarios, Sets
from gpufleet.commands.runs import REPORT, print_places
from gpufleet.console import (
    Progress,
    aloud,
    findings_data,
    folder_name,
    notice,
    print_findings,
    print_json,
    say,
)

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.results.run import Run


def check(
    plan: PlanPath,
    sets: Sets = None,
    scenario: Scenarios = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 on warnings too.")] = False,
    traces: Annotated[bool, typer.Option("--traces", help="Read the plan's traces too (slower).")] = False,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Check a plan and print all findings, each with its place and a fix.

    Errors exit with 2; warnings exit with 0, or with 2 under --strict.

    \b
    Example:
      gpufleet check plans/one-cluster --traces
    """
    from gpufleet.study import check_world

    loaded = _load(plan, sets, scenario)
    checked = check_world(loaded, traces=traces)
    warnings, notes = [*loaded.warnings, *checked.findings], [*loaded.notes, *checked.notes]
    if as_json:
        content = {"plan": loaded.name, "findings": findings_data(warnings), "notes": notes}
        print_json("check", content | {"demand": checked.implied and checked.implied.to_json()})
    else:
        _print_check(loaded, warnings, notes, traces)
        for line in checked.implied.lines() if checked.implied else ():
            say(line)
    if strict and warnings:
        raise typer.Exit(2)


def run(
    plan: PlanPath,
    sets: Sets = None,
    scenario: Scenarios = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Run folder; else runs/NAME[+SCENARIO].")
    ] = None,
    as_json: Json = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew, whatever a run that was killed has left.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer and nothing else.")] = False,
    lang: Lang = None,
) -> None:
    """Simulate a plan, job by job, and write what happened and why to a run folder.

    An earlier run in the folder is replaced, in one step, when the new one is whole. A long run that was
    killed goes on where it was, when the same plan is run to the same folder.

    \b
    Examples:
      gpufleet run plans/one-cluster
      gpufleet run plan.yaml --set policy.backfill=none --set "sites.lab.power=300 kW"
      gpufleet run plan.yaml --scenario more-power --out runs/more-power
    """
    loaded = _load(plan, sets, scenario)
    if not (quiet or as_json):
        print_findings(loaded.warnings)
        for note in loaded.notes:
            say(words("note: {note}", note=note), file=sys.stderr)
    from gpufleet.report.html import write_html
    from gpufleet.report.text import print_summary
    from gpufleet.study import simulate

    target = out or Path("runs") / folder_name([loaded.name, *(scenario or [])])
    with Progress(quiet=quiet or as_json) as progress:
        finish = partial(write_html, language=lang)
        done = simulate(loaded, out=target, progress=progress, finish=finish, fresh=fresh, notice=notice)
    if as_json:
        print_json("run", {"path": str(done.path), "plan": loaded.name, **done.measures_json})
    elif quiet:
        say(done.answer)
    else:
        known = {(each.code, each.says) for each in loaded.warnings}
        print_findings([each for each in _findings(done) if (each.code, each.says) not in known])
        with aloud():
            print_summary(done)
        print_places(target, target / REPORT)


def _print_check(plan: Plan, warnings: Sequence[Finding], notes: Sequence[str], traces: bool) -> None:
    with aloud():
        for each in warnings:
            say(each.text() + "\n")
    for note in notes:
        say(words("note: {note}", note=note))
    say(str(plan))
    found = words("{n:,} warning, no errors", "{n:,} warnings, no errors", n=len(warnings))
    found = found if warnings else words("no findings")
    unread = sum(1 for workload in plan.workloads.values() if hasattr(workload, "file"))
    if unread and not traces:
        left = words(
            "{n:,} trace not read (--traces reads)", "{n:,} traces not read (--traces reads)", n=unread
        )
        found = words("{found}; {left}", found=found, left=left)
    say(found)


def _load(plan: Path, sets: Sequence[str] | None, scenarios: Sequence[str] | None) -> Plan:
    from gpufleet.plan.load import load_plan

    return load_plan(plan, sets=sets or (), scenarios=scenarios or ())


def _findings(run: Run) -> list[Finding]:
    """The warnings of a run as findings."""
    return [Finding(**{**each, "at": Place(each["at"], 0) if each["at"] else None}) for each in run.findings]
