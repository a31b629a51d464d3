"""The command line: ``gpufleet COMMAND``. Imports that cost time stand inside the commands that need them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gpufleet import __version__
from gpufleet.base.errors import (
    Finding,
    GpufleetError,
    Place,
    did_you_mean,
    explain_code,
    explanations,
    finding,
)
from gpufleet.base.say import say as words
from gpufleet.console import (
    Progress,
    aloud,
    findings_data,
    leave,
    notice,
    print_findings,
    print_json,
    print_plain_json,
    say,
    speak,
    write_new,
)

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.results.run import Run

app = typer.Typer(
    name="gpufleet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help page takes longer than everything else that `--help` does
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

NO_CODE: Final = explain_code(
    "U002",
    "no such code",
    "Every finding has a code: P plan, T traces, C catalogue, R runs, X files of other systems, U usage.",
    "gpufleet explain P006",
).code
EXISTS: Final = explain_code(
    "U004",
    "the file is there already",
    "`gpufleet new` and `gpufleet profile` write a new file and never over one that exists.",
    "gpufleet new --out plans/second.yaml",
).code

REPORT: Final = "report.html"

_PlanPath = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan file, or a folder with plan.yaml.")]
_RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
_Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change one value of the plan. May be repeated."),
]
_Scenarios = Annotated[
    list[str] | None,
    typer.Option("--scenario", metavar="NAME", help="Apply a scenario of the plan. May be repeated."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON with a versioned schema.")]
_Lang = Annotated[
    str | None,
    typer.Option("--lang", metavar="en|ko|ja", callback=speak, help="Language; else GPUFLEET_LANG."),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gpufleet {__version__}")
        raise typer.Exit


@app.callback()
def _gpufleet(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Plan, simulate and explain fleets of GPUs: one plan in, every job on every GPU accounted for.

    \b
    gpufleet new                    write a commented starter plan
    gpufleet check plan.yaml        find every mistake at once
    gpufleet run plan.yaml          simulate it, write runs/NAME
    gpufleet why runs/NAME 17       why did job 17 wait?
    """


@app.command(short_help="Find every mistake in a plan at once.")
def check(
    plan: _PlanPath,
    sets: _Sets = None,
    scenario: _Scenarios = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 on warnings too.")] = False,
    traces: Annotated[bool, typer.Option("--traces", help="Read the plan's traces too (slower).")] = False,
    lang: _Lang = None,
    as_json: _Json = False,
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


@app.command(short_help="Simulate a plan and write a run folder.")
def run(
    plan: _PlanPath,
    sets: _Sets = None,
    scenario: _Scenarios = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Run folder; else runs/NAME[+SCENARIO].")
    ] = None,
    as_json: _Json = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew, whatever a run that was killed has left.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer and nothing else.")] = False,
    lang: _Lang = None,
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

    target = out or Path("runs") / _folder_name([loaded.name, *(scenario or [])])
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
        _print_places(target, target / REPORT)


def _print_places(run: Path, report: Path) -> None:
    """The last line: where the results are."""
    say(words("\nresults: {run}/   report: {report}", run=str(run), report=str(report)))


@app.command(short_help="Why a job waited, what holds a lot or a promise: causes, plan lines.")
def why(
    run: _RunPath,
    job: Annotated[
        str,
        typer.Argument(metavar="JOB|PART", help="A job by number or name; a lot, promise or tenant by name."),
    ],
    lang: _Lang = None,
    as_json: _Json = False,
) -> None:
    """Explain why a job waited: how long for what, and which line of the plan is behind it.

    Of a lot (a delivery): when it is ordered, delivered, powered, online, and what holds it. Of a promise or
    a tenant: what is promised, which lots keep it, what is short.

    \b
    Examples:
      gpufleet why runs/one-cluster 17
      gpufleet why runs/one-cluster history/job-0042
      gpufleet why runs/one-cluster lot-2
      gpufleet why runs/one-cluster tenants.research
    """
    from gpufleet.results.run import Run

    answer = Run.load(run).why(job)
    if as_json:
        data = answer.to_json()
        print_json(str(data["schema"]).removeprefix("gpufleet.").removesuffix("/1"), data)
    else:
        with aloud():
            say(answer.text())


@app.command(short_help="What differs between two runs.")
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A run folder: before.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="A run folder: after.")],
    lang: _Lang = None,
    as_json: _Json = False,
) -> None:
    """Show what differs between two runs: ~ changed, + only in B, - only in A.

    \b
    Example:
      gpufleet compare runs/one-cluster runs/one-cluster+more-power
    """
    from gpufleet.results.run import Run

    difference = Run.load(a).compare(Run.load(b))
    if as_json:
        print_json("compare", difference.to_json())
    else:
        with aloud():
            say(difference.text())


@app.command(short_help="Write report.html of a run anew and print its summary.")
def report(
    run: _RunPath,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Else RUN/report.html.")] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="RUN2", help="Show what changes from this other run to RUN."),
    ] = None,
    lang: _Lang = None,
    as_json: _Json = False,
) -> None:
    """Write the report of a run anew (after an upgrade, or in another language) and print its summary.

    With another run it has a section about what differs: RUN2 is before, RUN is after.

    \b
    Examples:
      gpufleet report runs/one-cluster
      gpufleet report runs/one-cluster --lang ko --out report.ko.html
      gpufleet report runs/one-cluster+late-nodes --against runs/one-cluster
    """
    from gpufleet.report.html import write_html
    from gpufleet.report.text import print_summary
    from gpufleet.results.run import Run

    loaded = Run.load(run)
    other = None if against is None else Run.load(against)
    written = write_html(loaded, out, lang, other)
    if as_json:
        print_json("report", {"path": str(run), "report": str(written), "answer": loaded.answer})
    else:
        with aloud():
            print_summary(loaded)
        _print_places(run, written)


@app.command(short_help="Tables of a run as CSV, Excel or Parquet files.")
def export(
    run: _RunPath,
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Such as measures; else all tables.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", metavar="F", help="csv, xlsx or parquet; else as --out is called, or csv."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="A file, or a folder; else beside the run folder."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: _Json = False,
) -> None:
    """Write tables of a run for other programs: jobs, timeline, supply, shortage, measures, ledger, findings.

    A workbook holds all of them in one file; its sheet `about` says what the columns are.

    \b
    Examples:
      gpufleet export runs/one-cluster --format xlsx
      gpufleet export runs/one-cluster measures jobs --out tables
      gpufleet export runs/one-cluster jobs --out jobs.parquet
    """
    from gpufleet.results.export import export as write_tables
    from gpufleet.results.run import Run

    files = write_tables(Run.load(run), tables or (), format=format, out=out, force=force)
    if as_json:
        listed = [{**each._asdict(), "path": str(each.path)} for each in files]
        print_json("export", {"run": str(run), "files": listed})
    else:
        for each in files:
            held = ", ".join(each.tables)
            rows = words("{n:,} row of {tables}", "{n:,} rows of {tables}", n=each.rows, tables=held)
            say(words("wrote {path}   {rows}", path=each.path, rows=rows))


@app.command(short_help="What a scheduler with quotas would decide: whom it admits, who yields.")
def admit(
    cases: Annotated[
        Path, typer.Option("--cases", metavar="FILE.json", help="A file of cases (fleet-quota-cases/1).")
    ],
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID", help="Only this case. May be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 on warnings too.")] = False,
    lang: _Lang = None,
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


@app.command(short_help="Write a commented starter plan.")
def new(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the plan.")] = "my-cluster",
    trace: Annotated[
        Path | None, typer.Option("--from", metavar="TRACE", help="Take queues and fleet from a job log.")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="F", help="Of TRACE: philly, helios, swf, sacct, gpufleet.")
    ] = "auto",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Else NAME.yaml.")] = None,
    as_json: _Json = False,
) -> None:
    """Write a commented starter plan; from a job log with its queues and a fleet of its peak use.

    What is guessed is marked as a guess.

    \b
    Examples:
      gpufleet new my-cluster
      gpufleet new my-cluster --from sacct.csv
    """
    from gpufleet.starter import starter_plan

    target = out or Path(f"{name}.yaml")
    text = starter_plan(name, trace, format, target.parent)
    _write_new(target, text)
    if as_json:
        print_json("new", {"path": str(target), "plan": name, "from": str(trace) if trace else None})
    else:
        print(f"wrote {target}\nnext: gpufleet check {target}, then gpufleet run {target}")


@app.command(short_help="Distil a job log to a profile that jobs can be drawn from.")
def profile(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A job log.")],
    format: Annotated[
        str, typer.Option("--format", metavar="F", help="Of TRACE: philly, helios, swf, sacct, gpufleet.")
    ] = "auto",
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Else the trace's.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Else NAME.json.")] = None,
    from_: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="Jobs submitted from this date on."),
    ] = None,
    to: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Jobs submitted before this date.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", metavar="ZONE", help="In which hours of a week are counted.")
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="What it is, in a line.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="TEXT", help="Where the log is from.")
    ] = None,
    license: Annotated[str | None, typer.Option("--license", metavar="TEXT", help="Of the log.")] = None,
    as_json: _Json = False,
) -> None:
    """Distil a job log to a small JSON file: arrivals by hour of week, sizes, run times, users, limits, ends.

    A workload of kind `profile` draws jobs like these, as many as a plan says.

    \b
    Examples:
      gpufleet profile sacct.csv --name lab
      gpufleet profile philly.csv.gz --from 2017-09-25 --out philly.json
    """
    from gpufleet.distiller import Wish, distil_trace

    made = distil_trace(Wish(trace, format, name, title, source, license, from_, to, time_zone))
    target = out or Path(f"{_folder_name([made.profile.name])}.json")
    _write_new(target, made.profile.text())
    if as_json:
        print_json(
            "profile", {"path": str(target), "findings": findings_data(made.findings), **made.to_json()}
        )
        return
    print_findings(made.findings)
    for note in made.trace.notes:
        say(words("note: {note}", note=note), file=sys.stderr)
    say(f"{made.text()}\nwrote {target}")


@app.command(short_help="JSON Schema of the plan language, for editors.")
def schema() -> None:
    """Print the JSON Schema of the plan language. Editors complete and check plans with it.

    \b
    Example:
      gpufleet schema > plan.schema.json
    """
    import json

    from gpufleet.plan.schema import plan_schema

    print(json.dumps(plan_schema(), indent=1, ensure_ascii=False))


@app.command(short_help="What the code of a finding means.")
def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="E.g. P017.")], as_json: _Json = False
) -> None:
    """Explain what the code of a finding means, with an example.

    \b
    Example:
      gpufleet explain P006
    """
    from gpufleet.codes import all_codes

    known = all_codes().get(code.upper())
    if known is None:
        fix = did_you_mean(code.upper(), explanations)
        raise GpufleetError(finding(NO_CODE, words("`{code}` is not the code of a finding", code=code), fix))
    if as_json:
        print_json("explain", asdict(known))
        return
    example = "\n".join(f"  {line}" for line in known.example.splitlines())
    print(f"{known.code}  {known.title}\n\n{known.why}\n\nExample:\n{example}")


@app.command(short_help="GPUs, systems, prices, grids and profiles that gpufleet knows.")
def catalog(
    table: Annotated[
        str, typer.Argument(metavar="gpus|systems|prices|grids|profiles", help="Which table.")
    ] = "gpus",
    as_json: _Json = False,
) -> None:
    """Print a table of the catalogue; --json prints every column with source and trust.

    \b
    Example:
      gpufleet catalog systems
    """
    from gpufleet.listing import rows_of, table_text

    if as_json:
        print_json("catalog", {"table": table, "rows": rows_of(table)})
    else:
        print(table_text(table))


def _write_new(target: Path, text: str) -> None:
    """Write a file that is not there yet. Raises: GpufleetError U004 if it is."""
    try:
        write_new(target, text)
    except FileExistsError as error:
        folder = words("{path} is a folder; name a file in it", path=target)
        says = folder if target.is_dir() else words("{path} is left as it is", path=target)
        raise GpufleetError(finding(EXISTS, says, words("choose another NAME or --out"))) from error


def _load(plan: Path, sets: Sequence[str] | None, scenarios: Sequence[str] | None) -> Plan:
    from gpufleet.plan.load import load_plan

    return load_plan(plan, sets=sets or (), scenarios=scenarios or ())


def _folder_name(names: Sequence[str]) -> str:
    """A name for a run folder that is one folder, whatever the plan is called.

    >>> _folder_name(["one-cluster", "more-power"]), _folder_name(["../lab 2"])
    ('one-cluster+more-power', 'lab-2')
    """
    return re.sub(r"[^\w.+-]+", "-", "+".join(names)).lstrip(".-") or "run"


def _findings(run: Run) -> list[Finding]:
    """The warnings of a run as findings."""
    return [Finding(**{**each, "at": Place(each["at"], 0) if each["at"] else None}) for each in run.findings]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``gpufleet``. Ends the process with the exit code; no input ends in a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    speak("en")
    code = leave(
        lambda: app(given, prog_name="gpufleet", standalone_mode=False),
        as_json="--json" in given,
        usage_errors=(typer.BadParameter.__mro__[2],),  # ClickException, wherever this typer keeps it
        aborts=(typer.Abort,),
    )
    sys.exit(code)
