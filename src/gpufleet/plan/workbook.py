"""Excel workbooks: what can be opened, and which sheet is meant. `gpufleet.plan.sheets` reads the cells."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from gpufleet.base.errors import did_you_mean
from gpufleet.base.say import Said, say
from gpufleet.plan import table_codes as codes
from gpufleet.plan.grids import Grid, refused

if TYPE_CHECKING:
    from openpyxl.reader.excel import ExcelReader

MAX_PARTS: Final = 10_000
MAX_SHEET_BYTES: Final = 600_000_000
MAX_OTHER_BYTES: Final = 64_000_000
"""Unpacked bytes of one sheet, and of everything else that is read (texts, styles) together."""

SAVE_AS: Final = say("open it in Excel or LibreOffice, and save it as .xlsx")


class Sheet(NamedTuple):
    """A sheet of a workbook."""

    name: str
    part: str  # file in the archive
    hidden: bool


def read_workbook(data: bytes, sheet: str | None, part: str) -> Grid:
    """A sheet of a workbook as a table.

    Args: data: the file; sheet: its name, None: the one called `part`, or the only one that is not hidden.
    """
    try:
        refusal = _not_to_open(data)
        if refusal is not None:
            return refusal
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what openpyxl leaves out (extensions, drawings) is no value
            return _read(data, sheet, part)
    except MemoryError:
        raise
    except Exception as error:  # whatever openpyxl, zlib or expat make of a damaged file
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return refused(codes.BROKEN, say("the workbook is damaged: {why}", why=why[:200]), SAVE_AS)


def _not_to_open(data: bytes) -> Grid | None:
    """What is refused by its kind, before any of it is unpacked."""
    if not data.startswith(b"PK"):
        return _no_archive(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        if any(each.flag_bits & 1 for each in parts):
            return _locked()
        kind = _read_some(archive, "[Content_Types].xml") + _read_some(archive, "mimetype")
    names = {each.filename for each in parts}
    if b"macroEnabled" in kind or any(name.endswith("vbaProject.bin") for name in names):
        says, fix = say("the workbook holds macros"), say("save it as .xlsx, which holds none")
        return refused(codes.MACROS, says, fix)
    if "xl/workbook.bin" in names or b"opendocument" in kind or "Index/Document.iwa" in names:
        return refused(codes.OTHER_KIND, say("a spreadsheet, but no Excel workbook (.xlsx)"), SAVE_AS)
    return _too_much(parts)


def _read_some(archive: zipfile.ZipFile, name: str) -> bytes:
    """The beginning of a part of an archive; empty if there is none."""
    try:
        with archive.open(name) as part:
            return part.read(200_000)
    except KeyError:
        return b""


def _no_archive(data: bytes) -> Grid:
    """A file that is called a workbook, and is no zip archive."""
    if data.startswith(bytes.fromhex("d0cf11e0")):
        if "EncryptedPackage".encode("utf-16-le") in data:
            return _locked()
        return refused(codes.OTHER_KIND, say("a workbook of the old kind (.xls)"), SAVE_AS)
    if not data:
        return refused(codes.BROKEN, say("the file is empty"), SAVE_AS)
    fix = say("if it is a CSV file, call it .csv; else open it in Excel or LibreOffice, and save it as .xlsx")
    return refused(codes.BROKEN, say("the file is no workbook, whatever it is called"), fix)


def _locked() -> Grid:
    fix = say("save it without the password")
    return refused(codes.PASSWORD, say("the workbook is protected with a password"), fix)


def _too_much(parts: Sequence[zipfile.ZipInfo]) -> Grid | None:
    """Refuse an archive that unpacks to more than any table needs; pictures are never unpacked."""
    sheets = [each.file_size for each in parts if each.filename.startswith("xl/worksheets/")]
    texts = [each for each in parts if each.filename.endswith((".xml", ".rels"))]
    others = sum(each.file_size for each in texts) - sum(sheets)
    limits = ((max(sheets, default=0), MAX_SHEET_BYTES), (others, MAX_OTHER_BYTES))
    for size, most in limits:
        if size > most:
            says = say(
                "the workbook unpacks to {mb:,.0f} MB; at most {most:,.0f} MB are read",
                mb=size / 1e6,
                most=most / 1e6,
            )
            return refused(codes.TOO_MUCH, says, say("copy the table alone into a new workbook"))
    if len(parts) > MAX_PARTS:
        says = say("the workbook is an archive of {n:,} files", n=len(parts))
        return refused(codes.TOO_MUCH, says, say("copy the table alone into a new workbook"))
    return None


def _read(data: bytes, sheet: str | None, part: str) -> Grid:
    from openpyxl.reader.excel import ExcelReader
    from openpyxl.styles.stylesheet import apply_stylesheet

    from gpufleet.plan.sheets import read_sheet

    reader = ExcelReader(io.BytesIO(data), read_only=True, keep_links=False)
    with reader.archive:
        reader.read_manifest()
        reader.read_workbook()
        there = _sheets(reader)
        chosen = _choose(there, sheet, part)
        if isinstance(chosen, Grid):
            return chosen
        reader.read_strings()
        apply_stylesheet(reader.archive, reader.wb)
        notes = [] if sheet is not None else _hidden_ones(there)
        return read_sheet(reader, chosen.name, chosen.part, notes)


def _sheets(reader: ExcelReader) -> list[Sheet]:
    """The sheets that hold cells, in the workbook's order."""
    found = [(sheet, rel) for sheet, rel in reader.parser.find_sheets() if "chartsheet" not in str(rel.Type)]
    return [Sheet(str(s.name), str(rel.target), str(s.state) != "visible") for s, rel in found]


def _choose(there: Sequence[Sheet], sheet: str | None, part: str) -> Sheet | Grid:
    """The sheet that is meant, or why that is not clear."""
    by_name = {each.name: each for each in there}
    visible = [each for each in there if not each.hidden]
    chosen = by_name.get(sheet) if sheet is not None else by_name.get(part)
    if chosen is None and sheet is None and len(visible) == 1:
        chosen = visible[0]
    if chosen is not None:
        return _refuse_hidden(chosen) if chosen.hidden else chosen
    names = [each.name for each in visible]
    if sheet is not None:
        says = say("there is no sheet `{sheet}`", sheet=sheet)
        return refused(codes.WHICH_SHEET, says, Said(did_you_mean(sheet, names)))
    if not names:
        return refused(codes.WHICH_SHEET, say("the workbook has no sheet with cells"), SAVE_AS)
    says = say(
        "none of the {n:,} sheets is called `{part}`: {names}", n=len(names), part=part, names=_some(names)
    )
    fix = say(
        "write `{part}: {{table: FILE, sheet: {name}}}`, with the sheet that you mean",
        part=part,
        name=_likely(part, names),
    )
    return refused(codes.WHICH_SHEET, says, fix)


def _some(names: Sequence[str], most: int = 8) -> list[str]:
    return [*names[:most], *(["..."] if len(names) > most else [])]


def _likely(part: str, names: Sequence[str]) -> str:
    from gpufleet.base.errors import nearest

    return nearest(part, names) or names[0]


def _refuse_hidden(sheet: Sheet) -> Grid:
    says, fix = say("the sheet `{sheet}` is hidden", sheet=sheet.name), say("unhide it, or name another")
    return refused(codes.HIDDEN_SHEET, says, fix)


def _hidden_ones(there: Sequence[Sheet]) -> list[Said]:
    names = [each.name for each in there if each.hidden]
    return [say("hidden sheets are not read: {names}", names=_some(names))] if names else []
