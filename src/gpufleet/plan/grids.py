"""Tables as rows of cells, whether they stand in a CSV file or in a sheet of a workbook.

Reading a file knows nothing of plans: what is wrong is kept with its row and column, and told by
`gpufleet.plan.table_rows` where it matters.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gpufleet.base.say import Said, say
from gpufleet.plan import table_codes as codes
from gpufleet.plan.tree import Scalar, plain

MAX_BYTES: Final = 32_000_000
MAX_BAD_ROWS: Final = 20
SUFFIXES: Final = (".csv", ".xlsx", ".xlsm", ".xltx", ".xltm", ".xls", ".xlsb", ".ods", ".numbers")
"""Files that are meant as tables by their name; not all of them can be read."""

_ZIP: Final = b"PK\x03\x04"
_OLE: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_KEPT: Final = 16


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a table, and where: row and column from 1; 0 = all of it."""

    code: str
    line: int
    column: int
    says: Said
    fix: Said


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell that is not empty: its value as YAML would read it, its text, or what is wrong with it."""

    value: Scalar
    text: str
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of one row by column, from 1."""

    line: int
    cells: dict[int, Cell]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. If it is `broken`, only `problems` are of use."""

    header: Row = field(default_factory=lambda: Row(0, {}))
    rows: tuple[Row, ...] = ()
    sheet: str = ""  # of a workbook
    problems: tuple[Problem, ...] = ()
    merged: tuple[tuple[int, int, int, int], ...] = ()  # first and last row, first and last column
    notes: tuple[Said, ...] = ()
    broken: bool = False


def refused(code: str, says: Said, fix: Said, *, line: int = 0, column: int = 0, sheet: str = "") -> Grid:
    """A table that cannot be used."""
    return Grid(sheet=sheet, problems=(Problem(code, line, column, says, fix),), broken=True)


_grids: Final[dict[tuple[bytes, str, str | None, str], Grid]] = {}
"""The last tables by content: a plan with scenarios is read several times."""


def read_grid(path: Path, sheet: str | None, part: str) -> Grid:
    """The table that a file holds; never raises for what is in it.

    Args:   sheet: name of the sheet, None: the one called `part`, or the only one.
    Raises: OSError if the file cannot be read.
    """
    size = path.stat().st_size
    data = b""
    if size <= MAX_BYTES:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
            size = max(size, len(data))
    if size > MAX_BYTES:
        says = say("{mb:,.0f} MB; a table is at most {most:,.0f} MB", mb=size / 1e6, most=MAX_BYTES / 1e6)
        return refused("P003", says, say("is this the right file?"))
    key = (hashlib.sha256(data).digest(), path.suffix.lower(), sheet, part)
    grid = _grids.get(key)
    if grid is None:
        grid = _grid(data, path.suffix.lower(), sheet, part)
        for old in list(_grids)[: max(0, len(_grids) + 1 - _KEPT)]:
            _grids.pop(old, None)
        _grids[key] = grid
    return grid


def _grid(data: bytes, suffix: str, sheet: str | None, part: str) -> Grid:
    """The table by what the file is, not by what it is called."""
    if data.startswith((_ZIP, _OLE)) or suffix in SUFFIXES[1:]:
        from gpufleet.plan.workbook import read_workbook

        return read_workbook(data, sheet, part)
    if sheet is not None:
        says = say("a CSV file has no sheets, and `sheet` is set")
        return refused("P024", says, say("leave `sheet` out"))
    return read_csv(data)


def read_csv(data: bytes) -> Grid:
    r"""A CSV file in UTF-8: a header row, and rows of as many cells; rows that are only commas are skipped.

    >>> grid = read_csv(b"name,gpus\nlot-1,8\n")
    >>> grid.header.cells[2].text, grid.rows[0].line, grid.rows[0].cells[2].value
    ('gpus', 2, 8)
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _other_encoding(data, data[: error.start].count(b"\n") + 1)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(rows, [])
        if not any(cell.strip() for cell in header):
            return refused("P026", *_EMPTY)
        mark = _other_mark(header)
        if mark:
            says = say("the cells are separated by {mark}, not by commas", mark=mark)
            return refused("P026", says, say("save it as CSV with commas between the cells"), line=1)
        found: list[Row] = []
        problems: list[Problem] = []
        for cells in rows:
            if len(problems) >= MAX_BAD_ROWS:
                break
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) == len(header):
                found.append(_row(rows.line_num, cells))
                continue
            says = say(
                "{n:,} cell; the header has {wanted:,}",
                "{n:,} cells; the header has {wanted:,}",
                n=len(cells),
                wanted=len(header),
            )
            fix = say("give every row as many cells as the header")
            problems.append(Problem("P026", rows.line_num, 0, says, fix))
    except csv.Error as error:
        return refused("P026", say("not a CSV file: {why}", why=str(error)), say("save it as CSV in UTF-8"))
    broken = len(problems) >= MAX_BAD_ROWS
    return Grid(_row(1, header), tuple(found), problems=tuple(problems), broken=broken)


_UTF_8: Final = say("in Excel save it as `CSV UTF-8 (Comma delimited)`; other programs: as CSV in UTF-8")
_ENCODINGS: Final = (
    ("utf-16", say("UTF-16, Excel's `Unicode Text`"), re.compile("[\x00-\U0010ffff]")),
    ("cp949", say("CP949, as Korean Windows writes it"), re.compile("[가-힣]")),
    ("cp932", say("Shift-JIS, as Japanese Windows writes it"), re.compile("[ぁ-ヿ一-鿿]")),
)
"""Encodings that a table may be in by mistake, and a letter that speaks for it. None of them is read: bytes
that fit two of them would be taken for the wrong names."""


def _other_encoding(data: bytes, line: int) -> Grid:
    """A table that is not in UTF-8: which encodings it seems to be in, and how to save it."""
    likely = []
    for name, called, letter in _ENCODINGS:
        if name == "utf-16" and data[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            continue
        try:
            found = len(letter.findall(data.decode(name)))
        except UnicodeDecodeError:
            continue
        if found:
            likely.append((found, called))
    if likely:
        most = max(found for found, _ in likely)
        seems = [called for found, called in likely if found == most]
        return refused("P026", say("not UTF-8; it seems to be {seems: or }", seems=seems), _UTF_8, line=line)
    return refused("P026", say("not UTF-8, and no encoding that Excel writes"), _UTF_8, line=line)


def _other_mark(header: Sequence[str]) -> Said | None:
    """What separates the cells of a file whose header has no comma, but other marks between words."""
    if len(header) != 1:
        return None
    for mark, called in ((";", say("semicolons")), ("\t", say("tabs")), ("|", say("vertical bars"))):
        if mark in header[0]:
            return called
    return None


_EMPTY: Final = (say("the table is empty"), say("write a header row and one row per entry"))


def empty(sheet: str) -> Grid:
    """A sheet with nothing in it."""
    return refused("P026", *_EMPTY, sheet=sheet)


def _row(line: int, cells: Sequence[str]) -> Row:
    texts = ((i + 1, cell.strip()) for i, cell in enumerate(cells))
    return Row(line, {i: Cell(plain(text), text) for i, text in texts if text})


def twice(header: Row) -> list[Problem]:
    """Columns whose header stands in an earlier column too."""
    first: dict[str, int] = {}
    found: list[Problem] = []
    for column, cell in header.cells.items():
        if first.setdefault(cell.text, column) != column:
            says = say("`{name}` is the header of two columns", name=cell.text)
            fix = say("delete one of the two, or give it another header")
            found.append(Problem(codes.TWICE, header.line, column, says, fix))
    return found
