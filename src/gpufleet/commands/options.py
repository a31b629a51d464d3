"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpufleet.console import speak

PlanPath = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan file, or a folder with plan.yaml.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change one value of the plan. May be repeated."),
]
Scenarios = Annotated[
    list[str] | None,
    typer.Option("--scenario", metavar="NAME", help="Apply a scenario of the plan. May be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with a versioned schema.")]
Lang = Annotated[
    str | None,
    typer.Option("--lang", metavar="en|ko|ja", callback=speak, help="Language; else GPUFLEET_LANG."),
]
