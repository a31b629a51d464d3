"""The command line: ``gpufleet COMMAND``. Imports that cost time stand inside the commands that need them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer

from gpufleet import __version__
from gpufleet.commands import admission, exports, files, plans, runs, training, validation
from gpufleet.console import leave, speak

app = typer.Typer(
    name="gpufleet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help page takes longer than everything else that `--help` does
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

COMMANDS: Final[tuple[tuple[Callable[..., Any], str], ...]] = (
    (plans.check, "Find every mistake in a plan at once."),
    (plans.run, "Simulate a plan and write a run folder."),
    (runs.why, "Why a job waited, what holds a lot or a promise: causes, plan lines."),
    (admission.admit, "What a scheduler with quotas would decide: whom it admits, who yields."),
    (exports.export_check, "What export law says about a shipment: licence, exception, ban, duty."),
    (training.train, "How long a model trains, on how many GPUs, with which layout; how large a model."),
    (runs.compare, "What differs between two runs."),
    (runs.report, "Write report.html of a run anew and print its summary."),
    (runs.export, "Tables of a run as CSV, Excel or Parquet files."),
    (validation.validate, "Hold the models against published measurements: errors by group."),
    (files.new, "Write a commented starter plan."),
    (files.profile, "Distil a job log to a profile that jobs can be drawn from."),
    (training.calibrate, "Measure this machine's GPUs, and use what was measured from then on."),
    (files.schema, "JSON Schema of the plan language, for editors."),
    (files.explain, "What the code of a finding means."),
    (files.catalog, "GPUs, systems, models, prices, grids and profiles that gpufleet knows."),
)
"""The commands, and what each does in a line; they are called like their functions, with - for _."""

for _command, _short in COMMANDS:
    app.command(_command.__name__.replace("_", "-"), short_help=_short)(_command)


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
