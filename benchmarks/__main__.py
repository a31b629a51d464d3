"""Runs the benchmarks and prints their tables, or writes the page of the documentation."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.machine import machine
from benchmarks.measure import Row

NAMES: Final = (
    *("backlog", "bare", "demand", "easy", "growth"),
    *("own", "pipeline", "reference", "sharing", "start", "supply", "worlds"),
)
HEAD: Final = """\
# Benchmarks

Written by `.venv/bin/python -m benchmarks --out docs/reference/benchmarks.md`, not by hand. `make bench`
measures everything anew and prints it ({minutes}).
With `--quick` it takes fewer and smaller cases; names ({names}) choose some.
Nothing else should run on the machine; figures that shared their core with others say so.
What is compared runs in turns, each time in a process of its own; a figure is the median of its turns.
"""
MINUTES: Final = "about 35 minutes on two cores"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if an answer is wrong; a slow machine is no fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones ({', '.join(NAMES)}); else all")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases, under 2 minutes")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the tables to a Markdown file too")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))} (there are {', '.join(NAMES)})")
    page, wrong = [_head(given.quick)], False
    print(page[0])
    for name in given.names or NAMES:
        text, failed = _section(name, given.quick)
        page.append(text)
        wrong |= failed
    if given.out:
        given.out.write_text("\n".join(page), encoding="utf-8")
    return 1 if wrong else 0


def _head(quick: bool) -> str:
    names = ", ".join(f"`{name}`" for name in NAMES)
    lines = [HEAD.format(minutes=MINUTES, names=names)]
    if quick:
        lines.append(
            "**These are figures of `--quick`: one turn of small cases, for a first impression only.**\n"
        )
    return "\n".join([*lines, *_table(("", "measured on"), machine().items()), ""])


def _section(name: str, quick: bool) -> tuple[str, bool]:
    """One benchmark as Markdown, and whether an answer was wrong."""
    module = importlib.import_module(f"benchmarks.{name}")
    print(f"{name} ...", file=sys.stderr, flush=True)
    start = time.perf_counter()
    rows: list[Row] = list(module.rows(quick))
    print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    cells = ((r.what, r.target, r.measured, _met(r), r.baseline, r.ratio) for r in rows)
    table = _table(("what", "target", "measured", "met", "beside it", "ratio"), cells)
    text = "\n".join([f"## {module.TITLE}", "", module.ABOUT, "", *table, ""])
    print(text, flush=True)
    return text, any(row.exact and row.met is False for row in rows)


def _met(row: Row) -> str:
    return "" if row.met is None else "yes" if row.met else "**no**"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    every = [head, ("---",) * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in every]


if __name__ == "__main__":
    sys.exit(main())
