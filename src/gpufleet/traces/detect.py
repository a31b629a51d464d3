"""Which format a file has, told from its first line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from gpufleet.base.errors import did_you_mean
from gpufleet.base.say import say
from gpufleet.traces.findings import fault, listed
from gpufleet.traces.formats import Format
from gpufleet.traces.helios import HELIOS
from gpufleet.traces.own import OWN
from gpufleet.traces.philly import PHILLY
from gpufleet.traces.sacct import SACCT
from gpufleet.traces.swf import FIELDS, SWF

FORMATS: Final[dict[str, Format]] = {f.name: f for f in (PHILLY, HELIOS, SWF, SACCT, OWN)}
"""Every format by name. ``auto`` tries them by what the file holds."""


def layout_of(format_name: str, first_line: str, path: Path) -> Format:
    """The format of a text file.

    Args:    format_name: a key of FORMATS, or auto.   first_line: the first line with text in it.
    Raises:  GpufleetError T005 (none fits), T012 (no such format).
    """
    if format_name in FORMATS:
        return FORMATS[format_name]
    if format_name != "auto":
        says = say("format `{format_name}` is not known", format_name=format_name)
        raise fault("T012", path, says, did_you_mean(format_name, [*FORMATS, "auto"]))
    if first_line.startswith(";") or _is_swf_row(first_line):
        return SWF
    names = header(first_line, SACCT)
    if len(names) > 1 and {"jobid", "jobidraw"} & {n.lower() for n in names}:
        return SACCT
    return by_columns(header(first_line, OWN), path)


def by_columns(names: list[str], path: Path) -> Format:
    """The comma-separated (or Parquet) format that has these columns.

    Raises: GpufleetError T005, with the nearest format and what it would still need.
    """
    lacks = {f.name: f.lacks(names) for f in (PHILLY, HELIOS, OWN)}
    for name, missing in lacks.items():
        if not missing:
            return FORMATS[name]
    known = {n for f in FORMATS.values() for c in f.columns for n in c.theirs}
    if known.isdisjoint(names):
        says = say("no known column name in the first line; columns found: {listed}", listed=listed(names))
        fix = say("formats: {formats:, }; see the trace reference", formats=list(FORMATS))
        raise fault("T005", path, says, fix, line=1)
    name = min(lacks, key=lambda n: (len(lacks[n]), n != OWN.name))
    says = say(
        "nearest is {name}, which also needs {listed}; columns found: {listed_2}",
        name=name,
        listed=listed(lacks[name]),
        listed_2=listed(names),
    )
    raise fault("T005", path, says, "add or rename columns, or give the format", line=1)


def header(line: str, layout: Format) -> list[str]:
    """Column names of a header line, or the format's own names where a file has none."""
    if layout.header:
        return list(layout.header)
    if not layout.quotes:
        return [name.strip() for name in line.split(layout.separator)]
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=layout.separator))]
    except (csv.Error, StopIteration):
        return [line]


def _is_swf_row(line: str) -> bool:
    words = line.split()
    if len(words) != len(FIELDS):
        return False
    try:
        return all(float(word) >= -1 for word in words)
    except ValueError:
        return False
