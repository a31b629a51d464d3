"""Commands that hold gpufleet's models against what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from gpufleet.base.errors import GpufleetError, explain_code, finding
from gpufleet.base.say import say as words
from gpufleet.commands.options import Json, Lang
from gpufleet.console import aloud, print_json, say

NO_FORM: Final = explain_code(
    "U021",
    "no such form of picture",
    "A picture is written as SVG or PNG, by the end of its name.",
    "gpufleet validate --out validation.svg",
).code
NO_POINT: Final = explain_code(
    "M004",
    "no run to draw",
    "The chart has a point for each run that published a speed and can be predicted; the text tells why rows "
    "were left out.",
    "gpufleet validate --data my-runs",
).code


def validate(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Tables with the columns of the shipped one; else that one."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PICTURE", help="Write a scatter chart: .svg or .png.")
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Hold the model of training against published runs, each with constants fitted without its source.

    \b
    Examples:
      gpufleet validate
      gpufleet validate --data my-runs --json
    """
    from gpufleet.validator import scatter_rows, validate_training

    if out is not None and out.suffix not in (".svg", ".png"):
        says = words("{name} ends neither in .svg nor in .png", name=out.name)
        raise GpufleetError(finding(NO_FORM, says, words("name it validation.svg")))
    done = validate_training(data)
    if out is not None:
        from gpufleet.report.scatter_chart import scatter_chart, write_picture

        with aloud():
            points = scatter_rows(done)
            if not points:
                says = words("none of {n:,} rows has a speed that can be predicted", n=done.rows)
                raise GpufleetError(finding(NO_POINT, says, words("leave --out away to see why")))
            write_picture(scatter_chart(points), out)
    if as_json:
        print_json("validate", {**done.to_json(), "picture": str(out) if out else None})
        return
    with aloud():
        say(done.text())
    if out is not None:
        say(words("wrote {path}", path=out))
