"""Commands that take a run folder: why, compare, report, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from gpufleet.base.say import say as words
from gpufleet.commands.options import Json, Lang, RunPath
from gpufleet.console import aloud, print_json, say

REPORT: Final = "report.html"


def why(
    run: RunPath,
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB|PART",
            help="A job by number or name; a lot, promise, tenant or training by name.",
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option("--at", help="Of a job: what held it at this moment (in the plan's time zone)."),
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Explain why a job waited: how long for what, and which line of the plan is behind it.

    Of a lot (a delivery): when it is ordered, delivered, powered, online, and what holds it. Of a promise or
    a tenant: what is promised, which lots keep it, what is short. Of a training: when each phase was done,
    and where the days went.

    \b
    Examples:
      gpufleet why runs/one-cluster 17
      gpufleet why runs/one-cluster history/job-0042
      gpufleet why runs/one-cluster lot-2
      gpufleet why runs/one-cluster tenants.research
      gpufleet why runs/one-cluster 17 --at "2026-01-06 10:00"
    """
    from gpufleet.results.run import Run

    if at is not None:
        from gpufleet.held import held_at

        held = held_at(Run.load(run), job, at)
        if as_json:
            print_json("held", held.to_json())
        else:
            with aloud():
                say(held.text())
        return
    answer = Run.load(run).why(job)
    if as_json:
        data = answer.to_json()
        print_json(str(data["schema"]).removeprefix("gpufleet.").removesuffix("/1"), data)
    else:
        with aloud():
            say(answer.text())


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A run folder: before.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="A run folder: after.")],
    lang: Lang = None,
    as_json: Json = False,
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


def report(
    run: RunPath,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Else RUN/report.html.")] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="RUN2", help="Show what changes from this other run to RUN."),
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Write the report of a run anew (after an upgrade, or in another language) and print its summary.

    With another run it has a section about what differs: RUN2 is before, RUN is after.

    \b
    Examples:
      gpufleet report runs/one-cluster
      gpufleet report runs/one-cluster --lang ko --out report.ko.html
      gpufleet report runs/one-cluster+late-nodes --against runs/one-cluster
    """
    from gpufleet.report import licences
    from gpufleet.report.html import write_html
    from gpufleet.report.text import print_summary
    from gpufleet.results.run import Run

    loaded = Run.load(run)
    other = None if against is None else Run.load(against)
    written = write_html(loaded, out, lang, other)
    if as_json:
        data = {"path": str(run), "report": str(written), "answer": loaded.answer}
        if not loaded.licences.is_empty():
            data["export_law"] = str(licences.subtitle(loaded))
        print_json("report", data)
    else:
        with aloud():
            print_summary(loaded)
        print_places(run, written)


def export(
    run: RunPath,
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
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Write tables of a run for other programs: jobs, timeline, supply, shortage, measures, ledger, findings;
    and where queues share preemptions and quotas.

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
            rows = words(
                "{n:,} row of {tables}", "{n:,} rows of {tables}", n=each.rows, tables=list(each.tables)
            )
            say(words("wrote {path}   {rows}", path=each.path, rows=rows))


def print_places(run: Path, report: Path) -> None:
    """The last line: where the results are."""
    say(words("\nresults: {run}/   report: {report}", run=str(run), report=str(report)))
