"""A CSV file as rows of text, each with its line; everything that is wrong with its form at once."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Final, NamedTuple

from gpufleet.base.errors import Finding, GpufleetError, Place, explain_codes, finding
from gpufleet.base.say import say

MAX_BYTES: Final = 64 * 2**20

_CODES: Final = """
X040 a CSV file that cannot be read
The file does not exist, is a folder, is empty, is larger than 64 MiB, is not UTF-8 text, or has no rows below
its header.
    gpufleet export-check --batch cases.xlsx      # save it as CSV (UTF-8)

X041 a column that is missing, not known, or there twice
The first line of the file names its columns. Without one that is needed the rows cannot be understood, and
one that is not read might be a slip of the pen.
    case_id,query_date,chip,destinaton      # did you mean `destination`?

X042 a cell that cannot be used
A number is written plainly (2368, not 2,368 or 2368 TOPS), a date as 2025-04-09, a flag as 0 or 1, a country
as its code or name. An empty cell means what the documentation of its column says.
    query_date = 9.4.2025      # write 2025-04-09
"""

explain_codes(_CODES)


class Row(NamedTuple):
    """One row: where it begins, and its cells by column, trimmed."""

    at: Place
    cells: dict[str, str]


class Table(NamedTuple):
    """Rows in the order of the file."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path) -> Table:
    """Read a CSV file with a header.

    Raises: GpufleetError X040, X041 (a column twice) or X042 (too many or too few cells), all at once.

    >>> read_table(Path("no-such-file.csv"))
    Traceback (most recent call last):
    gpufleet.base.errors.GpufleetError: no-such-file.csv  error X040 ...
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    found: list[Finding] = []
    rows: list[Row] = []
    columns: tuple[str, ...] = ()
    before = 0
    try:
        for cells in reader:
            at = Place(str(path), before + 1)
            before = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = tuple(cell.strip() for cell in cells)
                found += _twice(columns, at)
            elif len(cells) != len(columns):
                says = say("{n:,} cells, but {columns:,} columns", n=len(cells), columns=len(columns))
                fix = say("put a text that holds a comma in quotes")
                found.append(finding("X042", says, fix, at))
            else:
                rows.append(Row(at, {c: cell.strip() for c, cell in zip(columns, cells, strict=True)}))
    except csv.Error as error:
        says = say("line {line:,} is no CSV: {why}", line=reader.line_num, why=str(error))
        raise GpufleetError(finding("X040", says, _FIX, Place(str(path), reader.line_num))) from None
    if not found and not rows:
        found.append(finding("X040", say("there is no row below the header"), _FIX, Place(str(path), 0)))
    if found:
        raise GpufleetError(*found)
    return Table(path, columns, tuple(rows))


_FIX: Final = say("name a CSV file with a header, in UTF-8")


def _twice(columns: tuple[str, ...], at: Place) -> list[Finding]:
    twice = dict.fromkeys(each for each in columns if columns.count(each) > 1)
    fix = say("keep one of them")
    return [finding("X041", say("`{column}` is there twice", column=each), fix, at) for each in twice]


def _text(path: Path) -> str:
    says = None
    try:
        if path.stat().st_size > MAX_BYTES:
            says = say("the file is larger than 64 MiB")
        else:
            text = path.read_bytes().decode("utf-8-sig")
            says = None if text.strip() else say("the file is empty")
    except UnicodeDecodeError:
        says = say("the file is not UTF-8 text")
    except IsADirectoryError:
        says = say("this is a folder")
    except FileNotFoundError:
        says = say("there is no such file")
    if says is not None:
        raise GpufleetError(finding("X040", says, _FIX, Place(str(path), 0)))
    return text
