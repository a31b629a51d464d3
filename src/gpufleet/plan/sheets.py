"""The cells of one sheet of a workbook.

openpyxl parses the XML. Before that, one look at the raw bytes finds the last value, and what lies between it
and the end of the rows is left out: a sheet may have a million rows that are formatted and empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from gpufleet.base.errors import column_letters
from gpufleet.base.say import Said, say
from gpufleet.plan import table_codes as codes
from gpufleet.plan.grids import Cell, Grid, Problem, Row, empty, refused
from gpufleet.plan.tree import plain

if TYPE_CHECKING:
    from openpyxl.reader.excel import ExcelReader
    from openpyxl.worksheet._reader import WorkSheetParser

MAX_ROWS: Final = 100_000
MAX_EMPTY_ROWS: Final = 20_000
"""Rows that are formatted and empty, above the last value; parsing a million takes half a minute."""

_CHUNK: Final = 1 << 20
_SMALL: Final = 1 << 16  # pieces for the parser, which asks for 16 KiB each time
_MAX_ROW_BYTES: Final = 32_000_000
_MAX_TAIL_BYTES: Final = 32_000_000


class Ends(NamedTuple):
    """Where the values of a sheet end, in bytes of its XML."""

    prefix: bytes  # of all tags; mostly none
    last: int  # where the last value begins; -1 = there is none
    tail: bytes | None  # from the end of the rows on; None = there are no rows


def read_sheet(reader: ExcelReader, name: str, part: str, notes: Sequence[Said]) -> Grid:
    """The table in one sheet: its first row that is not empty is the header.

    Args:   part: the sheet's file in the archive; notes: what to say about the workbook.
    Raises: whatever openpyxl raises when the XML is damaged.
    """
    from openpyxl.worksheet._reader import WorkSheetParser

    with reader.archive.open(part) as stream:
        ends = find_ends(stream)
    if ends.last < 0 or ends.tail is None:
        return empty(name)
    with reader.archive.open(part) as stream:
        parser = WorkSheetParser(
            _Pieces(_shortened(stream, ends)),
            reader.shared_strings,
            epoch=reader.wb.epoch,
            date_formats=getattr(reader.wb, "_date_formats", set()),
            timedelta_formats=getattr(reader.wb, "_timedelta_formats", set()),
        )
        rows, refusal = _rows(parser, name)
    if refusal is not None or not rows:
        return refusal or empty(name)
    notes = [*notes, *_hidden_rows(parser, rows)]
    return Grid(rows[0], tuple(rows[1:]), name, merged=tuple(_merged(parser)), notes=tuple(notes))


def _rows(parser: WorkSheetParser, sheet: str) -> tuple[list[Row], Grid | None]:
    """All rows that are not empty; or why there are too many."""
    rows: list[Row] = []
    nothing = 0
    for line, raw in parser.parse():
        cells = {cell["column"]: found for cell in raw if (found := _cell(cell, line)) is not None}
        if not cells:
            nothing += 1
            if nothing > MAX_EMPTY_ROWS:
                return rows, _gap(rows[-1].line + 1 if rows else 1, line, sheet)
            continue
        rows.append(Row(line, dict(sorted(cells.items()))))
        if len(rows) > MAX_ROWS:
            says = say("more than {most:,} rows", most=MAX_ROWS)
            return rows, refused("P003", says, say("is this the right file?"), line=line, sheet=sheet)
    return rows, None


def _gap(first: int, line: int, sheet: str) -> Grid:
    says = say(
        "the rows {first:,} to {line:,} are empty, and something stands further below", first=first, line=line
    )
    fix = say("delete the empty rows, or what stands below them (Ctrl+End goes there)")
    return refused(codes.GAP, says, fix, line=first, column=1, sheet=sheet)


# --- one cell -----------------------------------------------------------------------------------------------


def _cell(raw: dict[str, Any], line: int) -> Cell | None:
    """A cell as a plan reads it: dates as ISO text, whole floats as integers; None if it is empty."""
    kind, value = raw["data_type"], raw["value"]
    if kind == "f":
        fix = say("copy the cells, and paste them as values")
        return _bad(codes.FORMULA, raw, line, say("a formula: {text}", text=_shown(value)), fix)
    if value is None:
        return None
    if kind == "e":
        says = say("the cell shows {error}", error=str(value))
        return _bad(codes.ERROR_CELL, raw, line, says, say("write the value that was meant"))
    if isinstance(value, str):
        text = value.strip()
        return Cell(plain(text), text) if text else None
    if isinstance(value, bool):
        return Cell(value, "true" if value else "false")
    if isinstance(value, int | float):
        number = int(value) if isinstance(value, float) and value.is_integer() else value
        return Cell(number, str(number))
    when = _when(value)
    if when is not None:
        return Cell(when, when)
    says = say("a time of the day, {time}, without a date", time=str(value))
    fix = say("write a length of time with its unit, such as `90 min`, or a date with the time")
    return _bad(codes.UNUSABLE, raw, line, says, fix)


def _bad(code: str, raw: dict[str, Any], line: int, says: Said, fix: Said) -> Cell:
    return Cell(None, "", Problem(code, line, raw["column"], says, fix))


def _shown(formula: object) -> str:
    """A formula as it was written, cut short."""
    text = str(getattr(formula, "text", None) or formula)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _when(value: object) -> str | None:
    """A date or a length of time as text, in whole seconds: a sheet holds both as fractions of days.

    >>> _when(datetime(2026, 1, 5)), _when(datetime(2026, 1, 5, 13, 59, 59, 999000))
    ('2026-01-05', '2026-01-05 14:00')
    >>> _when(timedelta(hours=2))
    '7200 s'
    """
    if isinstance(value, timedelta):
        return f"{round(value.total_seconds())} s"
    if isinstance(value, time) or not isinstance(value, date):
        return None
    if not isinstance(value, datetime):
        return value.isoformat()
    whole = (value + timedelta(microseconds=500_000)).replace(microsecond=0, tzinfo=None)
    if whole.time() == time(0):
        return f"{whole:%Y-%m-%d}"
    return f"{whole:%Y-%m-%d %H:%M:%S}" if whole.second else f"{whole:%Y-%m-%d %H:%M}"


def _merged(parser: WorkSheetParser) -> Iterator[tuple[int, int, int, int]]:
    from openpyxl.utils import range_boundaries

    for each in parser.merged_cells.mergeCell if parser.merged_cells else ():
        left, top, right, bottom = range_boundaries(each.ref)
        yield int(top or 1), int(bottom or 1 << 20), int(left or 1), int(right or 1 << 14)


def merged_problem(block: tuple[int, int, int, int]) -> Problem:
    """What is wrong with merged cells."""
    top, bottom, left, right = block
    text = f"{column_letters(left)}{top}:{column_letters(right)}{bottom}"
    says = say("{cells} are merged: only the first of them holds the value", cells=text)
    fix = say("unmerge them, and write the value into each row that it holds for")
    return Problem(codes.MERGED, top, left, says, fix)


def _hidden_rows(parser: WorkSheetParser, rows: Sequence[Row]) -> list[Said]:
    shut = {
        int(line) for line, facts in parser.row_dimensions.items() if facts.get("hidden") in ("1", "true")
    }
    n = sum(1 for row in rows if row.line in shut)
    said = say("{n:,} hidden row is read too", "{n:,} hidden rows are read too", n=n)
    return [said] if n else []


# --- the bytes of a sheet -----------------------------------------------------------------------------------


def find_ends(stream: IO[bytes]) -> Ends:
    """Where the last value and the rows of a sheet end.

    Raises: ValueError if this is not the XML of a sheet.
    """
    block, base = stream.read(_CHUNK), 0
    root = re.search(rb"<(\w+:)?worksheet[\s>]", block[:8192])
    if root is None or b"<!DOCTYPE" in block[: root.start()]:
        raise ValueError("a sheet does not begin as one")
    prefix = root[1] or b""
    marks = [b"<" + prefix + tag for tag in (b"v", b"is", b"f")]
    end = b"</" + prefix + b"sheetData"
    last, no_rows = -1, False
    while True:
        stop = block.find(end)
        no_rows = no_rows or b"<" + prefix + b"sheetData/>" in block
        within = len(block) if stop < 0 else stop
        here = max(block.rfind(mark, 0, within) for mark in marks)
        last = base + here if here >= 0 else last
        if stop >= 0:
            return Ends(prefix, last, block[stop:] + _rest(stream))
        more = stream.read(_CHUNK)
        if not more and not no_rows:
            raise ValueError("the sheet breaks off")
        if not more:
            return Ends(prefix, -1, None)
        kept = block[-64:]  # a tag may lie across two pieces
        base += len(block) - len(kept)
        block = kept + more


def _rest(stream: IO[bytes]) -> bytes:
    rest = stream.read(_MAX_TAIL_BYTES)
    if stream.read(1):
        raise ValueError("too much stands behind the rows of a sheet")
    return rest


def _shortened(stream: IO[bytes], ends: Ends) -> Iterator[bytes]:
    """The XML of a sheet up to the row of its last value, and from the end of its rows on."""
    left = ends.last
    while left > 0:
        piece = stream.read(min(left, _SMALL))
        if not piece:
            raise ValueError("the sheet breaks off")
        left -= len(piece)
        yield piece
    row_end = b"</" + ends.prefix + b"row>"
    held = b""
    while (at := held.find(row_end)) < 0:
        piece = stream.read(_SMALL)
        if not piece or len(held) > _MAX_ROW_BYTES:
            raise ValueError("a row of the sheet has no end")
        held += piece
    yield held[: at + len(row_end)]
    yield ends.tail or b""


class _Pieces:
    """A file to be read from pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        out = self._left if size < 0 else self._left[:size]
        self._left = self._left[len(out) :]
        return out
