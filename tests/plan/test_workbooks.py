"""Tables in workbooks: real cells, and everything that is wrong with them found by sheet and cell."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from types import MappingProxyType
from typing import Any

import openpyxl
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.grids import read_grid
from gpufleet.plan.load import load_plan
from gpufleet.plan.schema import plan_schema
from gpufleet.results.xlsx import Sheet, write_xlsx

Load = Callable[..., Plan]
Codes = Callable[..., list[str]]

PLAN = """\
gpufleet: 1
name: sheets
start: 2026-01-05
end: 2026-03-01
sites: {lab: {}}
systems: {node: {product: own-gpu, gpus_per_node: 8}}
deliveries: supply.xlsx
tenants: {research: {}}
"""
HEADER = ["name", "to", "system", "gpus", "at", "status"]
LOT = ["lot-1", "lab", "node", 16.0, datetime(2026, 1, 5), "online"]

Fill = Callable[[Worksheet], None]


@pytest.fixture
def workbook(folder: Path) -> Callable[..., Path]:
    """Write supply.xlsx with a sheet of one lot, changed by a function."""

    def write(fill: Fill | None = None, rows: Sequence[Sequence[Any]] = (HEADER, LOT)) -> Path:
        book = openpyxl.Workbook()
        sheet = book.active
        assert isinstance(sheet, Worksheet)
        sheet.title = "deliveries"
        for row in rows:
            sheet.append(list(row))
        if fill is not None:
            fill(sheet)
        book.save(folder / "supply.xlsx")
        return folder / "supply.xlsx"

    return write


def test_a_sheet_is_what_one_would_write_by_hand(workbook, load: Load) -> None:
    workbook(rows=[HEADER, LOT, ["lot-2", "lab", "node", 8, "2026-02", "ordered"]])
    plan = load(PLAN)
    by_hand = load(
        PLAN.replace(
            "deliveries: supply.xlsx",
            "deliveries:\n"
            "  - {name: lot-1, to: lab, system: node, gpus: 16, at: 2026-01-05, status: online}\n"
            "  - {name: lot-2, to: lab, system: node, gpus: 8, at: 2026-02, status: ordered}",
        )
    )
    assert [d.model_dump(exclude={"line"}) for d in plan.deliveries] == [
        d.model_dump(exclude={"line"}) for d in by_hand.deliveries
    ]
    assert plan.data == by_hand.data


def test_values_know_their_cell(workbook, load: Load) -> None:
    workbook(rows=[[], ["", *HEADER], ["", *LOT]])  # the table begins in B2
    plan = load(PLAN)
    assert str(plan.deliveries[0].line) == "supply.xlsx!deliveries:B3"
    assert str(plan.line("deliveries.lot-1.gpus")) == "supply.xlsx!deliveries:E3"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (datetime(2026, 1, 6), "2026-01-06"),
        (date(2026, 1, 6), "2026-01-06"),
        (datetime(2026, 1, 6, 14), "2026-01-06 14:00"),
        (datetime(2026, 1, 6, 13, 59, 59, 999_600), "2026-01-06 14:00"),
        (timedelta(hours=36), "129600 s"),
        (8.0, "8"),
        (12.5, "12.5"),
        (0.1, "0.1"),
        (1e21, "1000000000000000000000"),
        (True, "true"),
        ("  120 MW ", "120 MW"),
        ("007", "007"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_cells_become_text_as_one_would_write_it(workbook, cell: Any, text: str) -> None:
    path = workbook(rows=[["a"], [cell]])
    grid = read_grid(path, None, "deliveries")
    assert grid.problems == ()
    assert [c.text for row in grid.rows for c in row.cells.values()] == [text]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.lists(
            st.none()
            | st.integers(-(2**50), 2**50)
            | st.floats(-1e300, 1e300)
            | st.booleans()
            | st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn", "Co"]), max_size=9)
            | st.datetimes(datetime(1950, 1, 1), datetime(2199, 1, 1)),
            min_size=3,
            max_size=3,
        ),
        max_size=8,
    )
)
def test_whatever_stands_in_cells_is_read_or_refused(tmp_path: Path, rows: list[list[Any]]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.append(["a", "b", "c"])
    for row in rows:
        for cell, value in zip(["A", "B", "C"], row, strict=True):
            sheet[f"{cell}{sheet.max_row + (cell == 'A')}"].value = value if value != "" else None
            if isinstance(value, str) and value.startswith("="):
                sheet[f"{cell}{sheet.max_row}"].data_type = "s"
    book.save(tmp_path / "t.xlsx")
    grid = read_grid(tmp_path / "t.xlsx", None, "deliveries")
    assert not grid.broken
    read = [cell for row in grid.rows for cell in row.cells.values()]
    written = [v for row in rows for v in row if v is not None and not (isinstance(v, str) and not v.strip())]
    assert len(read) == len(written)
    for cell, value in zip(read, written, strict=True):
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert cell.value == pytest.approx(value, rel=1e-15)
        elif isinstance(value, str) and "_x" not in value and not value.startswith("#"):
            assert cell.text == value.strip()


def merge(sheet: Worksheet) -> None:
    sheet.append(["lot-2", None, "node", 8, "2026-02", None])
    sheet.merge_cells("B2:B3")


def put(**cells: Any) -> Fill:
    def fill(sheet: Worksheet) -> None:
        for name, value in cells.items():
            sheet[name] = value

    return fill


@pytest.mark.parametrize(
    ("fill", "found"),
    [
        (put(D2="=8*2"), ["P108 supply.xlsx!deliveries:D2"]),
        (put(D2="#REF!"), ["P109 supply.xlsx!deliveries:D2"]),
        (put(A2="=A1", B2="#N/A"), ["P108 supply.xlsx!deliveries:A2", "P109 supply.xlsx!deliveries:B2"]),
        (put(E2="5.1.2026"), ["P012 supply.xlsx!deliveries:E2"]),
        (put(E2="01/05/2026"), ["P012 supply.xlsx!deliveries:E2"]),
        (put(E2=time_of_day(14, 30)), ["P112 supply.xlsx!deliveries:E2"]),
        (put(D2="sixteen"), ["P010 supply.xlsx!deliveries:D2"]),
        (put(D2=12.5), ["P010 supply.xlsx!deliveries:D2"]),
        (put(D2="16,000"), ["P010 supply.xlsx!deliveries:D2"]),
        (put(D2="[1, 2"), ["P010 supply.xlsx!deliveries:D2"]),
        (put(D2="{a: [}"), ["P001 supply.xlsx!deliveries:D2"]),
        (put(B2=None), ["P007 supply.xlsx!deliveries:A2"]),
        (put(A2=None, B2="hell"), ["P016 supply.xlsx!deliveries:B2"]),
        (put(G2="left over"), ["P111 supply.xlsx!deliveries:G1"]),
        (put(G1="gpus"), ["P110 supply.xlsx!deliveries:G1"]),
        (put(G1="gpuz", G2=3), ["P006 supply.xlsx!deliveries:G1"]),
        (put(G1="=A1", G2=3), ["P108 supply.xlsx!deliveries:G1"]),
        (put(G1="gpus.low", G2=3), ["P114 supply.xlsx!deliveries:G1"]),
        (put(G1="gpus.range", G2="[8]"), ["P014 supply.xlsx!deliveries:G2"]),
        (put(B1="too"), ["P007 supply.xlsx!deliveries:A1", "P006 supply.xlsx!deliveries:B1"]),
        (put(A3="note: all dates are estimates"), ["P007", "P007", "P007", "P023"]),
        (merge, ["P107 supply.xlsx!deliveries:B2"]),
        (
            put(
                D2="=1", E2="#NUM!", G2="x", A3="lot-2", B3="lab", C3="node", D3="y", E3=datetime(2026, 1, 9)
            ),
            [
                "P111 supply.xlsx!deliveries:G1",
                "P108 supply.xlsx!deliveries:D2",
                "P109 supply.xlsx!deliveries:E2",
                "P010 supply.xlsx!deliveries:D3",
            ],
        ),
    ],
)
def test_a_wrong_cell_is_found(workbook, codes: Codes, fill: Fill, found: list[str]) -> None:
    workbook(fill)
    seen = codes(PLAN)
    assert [each if " " in want else each[:4] for each, want in zip(seen, found, strict=True)] == found


def test_an_unknown_header_over_nothing_is_left_alone(workbook, load: Load) -> None:
    workbook(put(G1="notes"))
    assert len(load(PLAN).deliveries) == 1


def test_many_bad_cells_are_counted(workbook, load: Load) -> None:
    workbook(rows=[HEADER, *([f"lot-{i}", "lab", "node", "=8", "2026-01-06", "ordered"] for i in range(50))])
    with pytest.raises(GpufleetError) as error:
        load(PLAN)
    found = error.value.findings
    assert [f.code for f in found] == ["P108"] * 21
    assert found[-1].says == "30 more cells cannot be used"
    assert str(found[-1].at) == "supply.xlsx!deliveries:D22"


def test_ranges_lists_and_nested_keys_in_cells(folder: Path, load: Load) -> None:
    (folder / "lots.csv").write_text(
        'name,to,system,gpus,gpus.range,gpus.trust,at\na,lab,node,16,"[8, 24]",estimate,2026-01-06\n'
        "b,lab,node,8,,,2026-01-07\n"
    )
    (folder / "tenants.csv").write_text("name,title,quota.own-gpu\nresearch,R,8\nvision,,\n")
    (folder / "work.csv").write_text(
        "name,kind,queue,gpus,duration,at,products.own-gpu\nbig,campaign,research,8,1 d,2026-01-08,0.5\n"
    )
    text = PLAN.replace("deliveries: supply.xlsx", "deliveries: lots.csv")
    plan = load(text.replace("tenants: {research: {}}", "tenants: tenants.csv\nworkloads: work.csv"))
    first, second = plan.deliveries
    assert (first.gpus, first.gpus_range, second.gpus_range) == (16, (8, 24), None)
    origin = plan.origin("deliveries.a.gpus")
    assert origin is not None
    assert origin.trust == "estimate"
    assert str(plan.line("deliveries.a.gpus")) == "lots.csv:2"
    assert {q.name: q.quota for q in plan.queues.values()} == {"research": {"own-gpu": 8}, "vision": {}}
    assert plan.workloads["big"].products == (("own-gpu", 0.5),)


def test_sources_in_a_table_are_known_everywhere(folder: Path, load: Load, codes: Codes) -> None:
    (folder / "sources.csv").write_text("name,title,url\na,A paper,https://example.org\n")
    text = (
        PLAN.replace("start: 2026-01-05", "start: {value: 2026-01-05, source: a}") + "sources: sources.csv\n"
    )
    text = text.replace("deliveries: supply.xlsx", "deliveries: []")
    plan = load(text)
    assert plan.sources["a"].title == "A paper"
    assert plan.origins["start"].source == "a"
    assert codes(text.replace("source: a", "source: b")) == ["P016 plan.yaml:3"]
    (folder / "sources.csv").write_text("name,titel\na,A paper\n")
    assert codes(text) == ["P006 sources.csv:1", "P007 sources.csv:1"]


def test_a_short_table_can_be_set(workbook, load: Load, folder: Path) -> None:
    workbook()
    assert load(PLAN, ["deliveries.lot-1.gpus=8"]).deliveries[0].gpus == 8
    (folder / "other.csv").write_text("to,system,gpus,at\nlab,node,24,2026-01-06\n")
    assert load(PLAN, [f"deliveries={folder}/other.csv"]).deliveries[0].gpus == 24
    text = PLAN.replace("deliveries: supply.xlsx", "files: {lots: other.csv}\ndeliveries: lots")
    assert load(text).deliveries[0].gpus == 24
    text += "scenarios: {late: {set: {deliveries.0.at: 2026-02-01}}}\n"
    late = load(text, scenarios=["late"])
    assert f"{late.local(late.deliveries[0].at):%Y-%m-%d}" == "2026-02-01"


def two_sheets(name: str, state: str = "visible") -> Fill:
    def fill(sheet: Worksheet) -> None:
        assert sheet.parent is not None
        sheet.title = name
        sheet.sheet_state = state
        sheet.parent.create_sheet("notes").append(["read me"])

    return fill


@pytest.mark.parametrize(
    ("fill", "part", "found"),
    [
        (two_sheets("lots"), "supply.xlsx", ["P105 supply.xlsx"]),
        (two_sheets("lots"), "{table: supply.xlsx, sheet: lotz}", ["P105 plan.yaml:7"]),
        (two_sheets("lots", "hidden"), "{table: supply.xlsx, sheet: lots}", ["P106 plan.yaml:7"]),
        (two_sheets("deliveries", "hidden"), "supply.xlsx", ["P106 supply.xlsx"]),
        (two_sheets("lots", "veryHidden"), "supply.xlsx", ["P007", "P007"]),  # `to` and `system`
        (None, "{table: nodes.csv, sheet: lots, columns: {to: vc}}", ["P024 plan.yaml:7"]),
        (None, "suply.xlsx", ["P025 plan.yaml:7"]),
        (None, "supply", ["P008 plan.yaml:7"]),
    ],
)
def test_which_sheet(workbook, codes: Codes, fill: Fill | None, part: str, found: list[str]) -> None:
    workbook(fill)
    seen = codes(PLAN.replace("deliveries: supply.xlsx", f"deliveries: {part}"))
    shortened = [each if " " in want else each[:4] for each, want in zip(seen, found, strict=True)]
    assert sorted(shortened) == sorted(found)


def test_a_sheet_that_is_named(workbook, load: Load) -> None:
    workbook(two_sheets("lots"))
    plan = load(PLAN.replace("supply.xlsx", "{table: supply.xlsx, sheet: lots}"))
    assert str(plan.deliveries[0].line) == "supply.xlsx!lots:A2"


def test_what_is_hidden_is_said(workbook, load: Load) -> None:
    def fill(sheet: Worksheet) -> None:
        assert sheet.parent is not None
        sheet.parent.create_sheet("old").sheet_state = "hidden"
        sheet.row_dimensions[2].hidden = True

    workbook(fill)
    notes = [note for note in load(PLAN).notes if "hidden" in note]
    assert notes == ["supply.xlsx: hidden sheets are not read: old", "supply.xlsx: 1 hidden row is read too"]


def encrypted(path: Path) -> bytes:
    return bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600) + "EncryptedPackage".encode("utf-16-le")


def with_macros(path: Path) -> bytes:
    return rezip(path, add={"xl/vbaProject.bin": b"x"})


def rezip(
    path: Path,
    change: Callable[[str, bytes], bytes] = lambda _, data: data,
    add: Mapping[str, bytes] = MappingProxyType({}),
) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(name, data))
        for name, data in add.items():
            new.writestr(name, data)
    return out.getvalue()


def bomb(path: Path) -> bytes:
    return rezip(path, lambda name, data: bytes(700_000_000) if name.endswith("sheet1.xml") else data)


def bomb_of_texts(path: Path) -> bytes:
    return rezip(path, add={"xl/more.xml": bytes(80_000_000)})


def cut(path: Path) -> bytes:
    return path.read_bytes()[:-300]


def broken_sheet(path: Path) -> bytes:
    return rezip(path, lambda name, data: data[:-200] if name.endswith("sheet1.xml") else data)


def entity(path: Path) -> bytes:
    bad = b'<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY a "aaaa">]>'
    return rezip(path, lambda name, data: bad + data if name.endswith("sheet1.xml") else data)


def no_workbook(path: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        new.writestr("word/document.xml", "<a/>")
    return out.getvalue()


def open_document(path: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        new.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    return out.getvalue()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: b"", "P100"),
        (lambda path: b"name,to\nlot-1,lab\n", "P100"),
        (lambda path: b"PK\x03\x04 nothing", "P100"),
        (cut, "P100"),
        (broken_sheet, "P100"),
        (entity, "P100"),
        (no_workbook, "P100"),
        (lambda path: bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "P101"),
        (open_document, "P101"),
        (with_macros, "P102"),
        (encrypted, "P103"),
        (bomb, "P104"),
        (bomb_of_texts, "P104"),
        (lambda path: rezip(path, add={f"x{i}": b"" for i in range(10_001)}), "P104"),
    ],
)
def test_a_file_that_is_no_workbook(workbook, codes: Codes, make: Callable[[Path], bytes], code: str) -> None:
    path = workbook()
    path.write_bytes(make(path))
    assert codes(PLAN) == [f"{code} supply.xlsx"]


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99_999), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_damaged_workbook_never_ends_in_a_traceback(folder: Path, damage: list[tuple[int, int]]) -> None:
    rows = pl.DataFrame([[*LOT[:4], "2026-01-05", "online"]], schema=HEADER, orient="row", strict=False)
    write_xlsx(folder / "supply.xlsx", [Sheet("deliveries", 1, [rows])])  # the same bytes each time
    data = bytearray((folder / "supply.xlsx").read_bytes())
    for at, byte in damage:
        data[at * len(data) // 100_000] = byte
    (folder / "supply.xlsx").write_bytes(data)
    (folder / "plan.yaml").write_text(PLAN)
    with suppress(GpufleetError):
        load_plan(folder / "plan.yaml")


@pytest.mark.parametrize("name", ["supply.xls", "supply.xlsm", "supply.ods", "SUPPLY.XLSX"])
def test_the_kind_is_what_the_file_is(workbook, load: Load, folder: Path, name: str) -> None:
    workbook().rename(folder / name)
    assert len(load(PLAN.replace("supply.xlsx", name)).deliveries) == 1


def test_an_empty_sheet(workbook, codes: Codes, load: Load) -> None:
    workbook(rows=[])
    assert codes(PLAN) == ["P026 supply.xlsx!deliveries"]
    workbook(rows=[HEADER])
    assert load(PLAN).deliveries == ()


EMPTY_ROW = b'<row r="%d"><c r="A%d" s="1"/><c r="B%d" s="1"/><c r="C%d" s="1"/></row>'


def padded(path: Path, last: bytes = b"") -> None:
    """A million rows that are formatted and empty."""
    rows = b"".join(EMPTY_ROW % (i, i, i, i) for i in range(3, 1_000_003)) + last
    data = rezip(path, lambda _, data: data.replace(b"</sheetData>", rows + b"</sheetData>"))
    path.write_bytes(data)


def test_a_million_empty_rows_cost_little(workbook, folder: Path) -> None:
    path = workbook(merge)
    padded(path)
    code = (
        "from pathlib import Path\nfrom gpufleet.plan.grids import read_grid\n"
        f"grid = read_grid(Path({str(path)!r}), None, 'deliveries')\n"
        "print(len(grid.rows), grid.merged, grid.problems)\n"
        "print([int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')][0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    says, peak_kb = done.stdout.splitlines()
    assert says == "2 ((2, 3, 2, 2),) ()"
    assert int(peak_kb) < 150_000  # the sheet alone unpacks to 70 MB


def test_something_below_a_million_empty_rows_is_found(workbook, codes: Codes) -> None:
    path = workbook()
    padded(path, b'<row r="1048576"><c r="A1048576" t="inlineStr"><is><t>x</t></is></c></row>')
    assert codes(PLAN) == ["P113 supply.xlsx!deliveries:A3"]


def test_a_table_with_too_many_rows(workbook, codes: Codes) -> None:
    path = workbook()
    rows = b"".join(b'<row r="%d"><c r="A%d"><v>1</v></c></row>' % (i, i) for i in range(3, 100_010))
    path.write_bytes(rezip(path, lambda _, data: data.replace(b"</sheetData>", rows + b"</sheetData>")))
    assert codes(PLAN) == ["P003 supply.xlsx!deliveries:100001"]


def test_the_schema_knows_the_forms() -> None:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(plan_schema())
    data = {
        "gpufleet": 1,
        "name": "x",
        "start": "2026-01-05",
        "end": "2026-02-05",
        "sites": "sites.xlsx",
        "deliveries": {"table": "supply.xlsx", "sheet": "lots", "each": {"to": "lab"}},
        "tenants": "tenants.csv",
        "workloads": {"table": "work.xlsx", "each": {"kind": "campaign"}},
        "sources": "sources.csv",
    }
    assert [error.message for error in validator.iter_errors(data)] == []
    data["deliveries"] = {"table": "supply.xlsx", "shet": "lots"}
    assert not validator.is_valid(data)
