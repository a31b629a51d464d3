"""Writes Excel workbooks: plain tables, any number of rows that Excel holds, in bounded memory.

openpyxl would take minutes for a million rows, and puts the time of day into the file; here the XML of whole
columns is made at once, and the bytes depend on nothing but the tables.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import polars as pl

from gpufleet.base.errors import column_letters

MAX_ROWS: Final = 1_048_576
"""Rows of a sheet, its header among them."""

MAX_TEXT: Final = 32_767
"""Characters of one cell."""

_WIDEST: Final = 60
_SAMPLE: Final = 200
_PIECE: Final = 1 << 13  # rows whose XML is in memory at one time
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_KIND: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_UNWRITABLE: Final = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
"""What XML cannot hold; job names come from files."""


class Sheet(NamedTuple):
    """One sheet: its name, how many rows it has, and these in pieces, all with the same columns."""

    name: str
    rows: int
    frames: Iterable[pl.DataFrame]


class TooLongError(ValueError):
    """A text that no cell holds."""

    def __init__(self, column: str, length: int) -> None:
        super().__init__(column, length)
        self.column, self.length = column, length


def write_xlsx(path: Path, sheets: Sequence[Sheet]) -> None:
    """Write a workbook.

    Args:   sheets: at least one; each with at least one frame (of no rows, maybe), of at most
            ``MAX_ROWS - 1`` rows in all. Text is written as text, whatever it begins with.
    Raises: TooLongError if a text is longer than a cell holds; OSError if it cannot be written.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in _frame_of(sheets):
            with archive.open(name, "w") as file:  # given a name, its time is that of 1980 for every file
                file.write((_HEAD + text).encode())
        for number, sheet in enumerate(sheets, 1):
            with archive.open(f"xl/worksheets/sheet{number}.xml", "w", force_zip64=True) as file:
                for piece in _sheet(sheet):
                    file.write(piece)


def _frame_of(sheets: Sequence[Sheet]) -> Iterator[tuple[str, str]]:
    """The files of a workbook beside its sheets."""
    numbers = range(1, len(sheets) + 1)
    main = f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
    styles = f'<Override PartName="/xl/styles.xml" ContentType="{_KIND}.styles+xml"/>'
    each = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_KIND}.worksheet+xml"/>'
        for n in numbers
    )
    rels = "application/vnd.openxmlformats-package.relationships+xml"
    defaults = f'<Default Extension="rels" ContentType="{rels}"/>'
    yield (
        "[Content_Types].xml",
        (f'<Types xmlns="{_PACKAGE}/content-types">{defaults}{main}{styles}{each}</Types>'),
    )
    yield "_rels/.rels", _relations([("officeDocument", "xl/workbook.xml")])
    names = "".join(
        f'<sheet name={quoteattr(s.name)} sheetId="{n}" r:id="rId{n}"/>'
        for n, s in zip(numbers, sheets, strict=True)
    )
    yield (
        "xl/workbook.xml",
        (f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{names}</sheets></workbook>'),
    )
    targets = [*(("worksheet", f"worksheets/sheet{n}.xml") for n in numbers), ("styles", "styles.xml")]
    yield "xl/_rels/workbook.xml.rels", _relations(targets)
    yield "xl/styles.xml", _STYLES


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    inner = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


_STYLES: Final = (
    f'<styleSheet xmlns="{_MAIN}">'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)
"""Style 0 is plain, style 1, of headers, is bold."""


# --- one sheet ----------------------------------------------------------------------------------------------


def _sheet(sheet: Sheet) -> Iterator[bytes]:
    """The XML of a sheet in pieces: a header that stays in view, rows, and a filter."""
    line = 2
    for i, frame in enumerate(sheet.frames):
        if i == 0:
            yield _top(frame, sheet.rows).encode()
        for piece in frame.iter_slices(_PIECE) if frame.height else ():
            yield _rows(piece, line)
            line += piece.height
    last = f"{column_letters(frame.width)}{line - 1}"
    yield f'</sheetData><autoFilter ref="A1:{last}"/></worksheet>'.encode()


def _top(frame: pl.DataFrame, rows: int) -> str:
    widths = "".join(
        f'<col min="{n}" max="{n}" width="{width}" customWidth="1"/>'
        for n, width in enumerate(_widths(frame), 1)
    )
    header = "".join(
        f'<c r="{column_letters(n)}1" s="1" t="inlineStr"><is><t>{escape(name)}</t></is></c>'
        for n, name in enumerate(frame.columns, 1)
    )
    return (
        f'{_HEAD}<worksheet xmlns="{_MAIN}"><dimension ref="A1:{column_letters(frame.width)}{rows + 1}"/>'
        '<sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f'<cols>{widths}</cols><sheetData><row r="1">{header}</row>'
    )


def _widths(frame: pl.DataFrame) -> Iterator[int]:
    """Widths of columns, in characters, by the header and the first rows."""
    for column in frame.head(_SAMPLE):
        longest = column.cast(pl.String).str.len_chars().max()
        yield min(_WIDEST, max(len(column.name), longest if isinstance(longest, int) else 0) + 2)


def _rows(frame: pl.DataFrame, first: int) -> bytes:
    """The XML of rows. An empty cell is left out.

    >>> _rows(pl.DataFrame({"a": [1, None], "b": ["=x", "<"]}), 2)[:86]
    b'<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="inlineStr"><is><t xml:space="preserve">='
    """
    _check_texts(frame)
    number = pl.int_range(first, first + frame.height).cast(pl.String)
    cells = [_cell(name, kind, n, number) for n, (name, kind) in enumerate(frame.schema.items(), 1)]
    row = pl.concat_str([pl.lit('<row r="'), number, pl.lit('">'), *cells, pl.lit("</row>")])
    return "".join(frame.select(row).to_series()).encode()


def _cell(name: str, kind: pl.DataType, n: int, number: pl.Expr) -> pl.Expr:
    value = pl.col(name)
    opening, closing = '"><v>', "</v></c>"
    if kind == pl.Boolean:
        opening, value = '" t="b"><v>', value.cast(pl.Int8)
    elif kind.is_float():
        value = pl.when(value.is_finite()).then(value)
    elif not kind.is_integer():
        opening, closing = '" t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
        value = value.cast(pl.String).str.replace_all(_UNWRITABLE, "\ufffd")
        for char, name_of in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            value = value.str.replace_all(char, name_of, literal=True)
    whole = [
        pl.lit(f'<c r="{column_letters(n)}'),
        number,
        pl.lit(opening),
        value.cast(pl.String),
        pl.lit(closing),
    ]
    return pl.concat_str(whole).fill_null("")


def _check_texts(frame: pl.DataFrame) -> None:
    for column in frame.select(pl.col(pl.String)):
        longest = column.str.len_chars().max()
        if isinstance(longest, int) and longest > MAX_TEXT:
            raise TooLongError(column.name, longest)
