"""Commands that write a file to begin with, and those that tell what gpufleet knows."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from gpufleet.base.errors import GpufleetError, did_you_mean, explain_code, explanations, finding
from gpufleet.base.say import say as words
from gpufleet.commands.options import Json, Lang
from gpufleet.console import aloud, findings_data, folder_name, print_findings, print_json, say, write_new

NO_CODE: Final = explain_code(
    "U002",
    "no such code",
    "Every finding has a code: P plan, T traces, C catalogue, M models, R runs, X files of other systems, "
    "U usage.",
    "gpufleet explain P006",
).code
EXISTS: Final = explain_code(
    "U004",
    "the file is there already",
    "`gpufleet new` and `gpufleet profile` write a new file and never over one that exists.",
    "gpufleet new --out plans/second.yaml",
).code


def new(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the plan.")] = "my-cluster",
    trace: Annotated[
        Path | None, typer.Option("--from", metavar="TRACE", help="Take queues and fleet from a job log.")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="F", help="Of TRACE: philly, helios, swf, sacct, gpufleet.")
    ] = "auto",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Else NAME.yaml.")] = None,
    as_json: Json = False,
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
    lang: Lang = None,
    as_json: Json = False,
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
    target = out or Path(f"{folder_name([made.profile.name])}.json")
    _write_new(target, made.profile.text())
    if as_json:
        print_json(
            "profile", {"path": str(target), "findings": findings_data(made.findings), **made.to_json()}
        )
        return
    print_findings(made.findings)
    for note in made.trace.notes:
        say(words("note: {note}", note=note), file=sys.stderr)
    with aloud():
        say(made.text())
    say(words("wrote {path}", path=target))


def schema() -> None:
    """Print the JSON Schema of the plan language. Editors complete and check plans with it.

    \b
    Example:
      gpufleet schema > plan.schema.json
    """
    import json

    from gpufleet.plan.schema import plan_schema

    print(json.dumps(plan_schema(), indent=1, ensure_ascii=False))


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="E.g. P017.")],
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Explain what the code of a finding means, with an example.

    The title is in the language that was chosen; the text behind it is English.

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
    say(words("{code}  {title}", code=known.code, title=known.title))
    print(f"\n{known.why}\n")
    say(words("Example:"))
    print(example)


def catalog(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="gpus, systems, models, prices, grids, profiles, export-rules, export-chips or countries.",
        ),
    ] = "gpus",
    as_json: Json = False,
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
