"""Files of shipments with mistakes: each is told with its line, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.exchange.csv_table import read_table
from gpufleet.exchange.export_rules import with_rules
from gpufleet.exchange.shipments import outside, read_shipments
from gpufleet.models.export import shipped

HEAD = (
    "case_id,authority_group,query_date,chip,maker_hq,item_kind,tpp,performance_density,mem_bw_gbps,io_gbps,hbm_density,"
    "dc_marketed,declared_not_3a090,destination,buyer_hq,buyer,quantity,origin,direct_from_us,us_tested,volume_share,"
    "state_funded,end_use,expected_licence_required,expected_policy"
)
ROW = "a,us_export,2024-02-01,mine,US,ic,2000,3.1,600,64,,1,,CN,CN,,,US,,,,,,,"


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "s.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(GpufleetError) as caught:
        read_shipments(path)
    found = [each for each in caught.value.findings if each.severity == "error"]
    return [each.text().replace(f"{path}", "s.csv") for each in found]


def test_a_row_that_is_right(tmp_path: Path) -> None:
    (one,), warnings = read_shipments(write(tmp_path, HEAD, ROW))
    assert not warnings
    assert one.id == "a"
    assert (one.inputs["tpp"], one.inputs["hbm_density"], one.inputs["volume_share"]) == (2000.0, None, 1.0)
    assert (one.asked, one.expected, one.at.line) == ("us_export", None, 2)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("case_id", "", "case_id is empty"),
        ("authority_group", "us_exports", "did you mean `us_export`?"),
        ("query_date", "", "query_date is empty"),
        ("query_date", "2024-02-30", "query_date: `2024-02-30` is no date"),
        ("query_date", "02/01/2024", "query_date: `02/01/2024` is no date"),
        ("chip", "", "chip is empty"),
        ("maker_hq", "", "maker_hq is empty"),
        ("maker_hq", "USAA", "maker_hq: 'USAA' is none of the 94 countries"),
        ("item_kind", "chip", "item_kind: `chip` is not known"),
        ("tpp", "2000 TOPS", "tpp: `2000 TOPS` is no number from 0 up"),
        ("tpp", "-1", "tpp: `-1` is no number"),
        ("tpp", "nan", "tpp: `nan` is no number"),
        ("tpp", "inf", "tpp: `inf` is no number"),
        ("tpp", "2_000", "tpp: `2_000` is no number"),
        ("dc_marketed", "2", "dc_marketed: `2` is neither 0 nor 1"),
        ("destination", "", "destination is empty"),
        ("destination", "XX", "destination: 'XX' is none of the 94 countries"),
        ("buyer_hq", "Irn", "did you mean IR (Iran)?"),
        ("origin", "", "origin is empty"),
        ("end_use", "us_datacentre", "did you mean `us_datacenter`?"),
        ("quantity", "many", "quantity: `many` is no number"),
        ("expected_policy", "none", "what is expected is not whole"),
    ],
)
def test_a_cell_that_cannot_be_used(tmp_path: Path, column: str, value: str, says: str) -> None:
    cells = dict(zip(HEAD.split(","), ROW.split(","), strict=True)) | {column: value}
    (text,) = faults(write(tmp_path, HEAD, ROW.replace("a,", "first,", 1), ",".join(cells.values())))
    assert text.startswith("s.csv:3  error ")
    assert says in text


def test_all_faults_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    bad = ROW.replace("2024-02-01", "soon").replace(",CN,CN,", ",XX,CN,").replace("a,", "b,", 1)
    found = faults(write(tmp_path, HEAD, bad, ROW, ROW))
    assert [each.split()[0] for each in found] == ["s.csv:2", "s.csv:2", "s.csv:4"]
    assert "case_id: `a` is in line 3 too" in found[2]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("destination,", "destinaton,", "there is no column `destination`"),
        ("query_date,", "", "there is no column `query_date`"),
        (",tpp,", ",", "there is no column `tpp`"),
        (",tpp,", ",mem_bw_gbps,", "`mem_bw_gbps` is there twice"),
    ],
)
def test_columns_that_are_missing(tmp_path: Path, old: str, new: str, says: str) -> None:
    cells = ROW.split(",")
    if not new.strip(","):
        del cells[HEAD.split(",").index(old.strip(","))]
    found = faults(write(tmp_path, HEAD.replace(old, new, 1), ",".join(cells)))
    assert found[0].startswith("s.csv:1  error X041")
    assert says in found[0]


def test_a_column_that_is_misspelt_is_told_by_its_name(tmp_path: Path) -> None:
    found = faults(write(tmp_path, HEAD.replace("destination,", "destinaton,", 1), ROW))
    assert "is it `destinaton`? rename it" in found[0]


def test_columns_that_are_not_read_and_not_there_are_warnings(tmp_path: Path) -> None:
    lines = [HEAD.replace("us_tested", "us_testd"), ROW]
    _, warnings = read_shipments(write(tmp_path, *lines))
    assert [each.severity for each in warnings] == ["warning", "warning"]
    assert "not read: `us_testd`" in warnings[0].says
    assert "did you mean `us_tested`?" in warnings[0].fix
    assert "taken as empty: `us_tested`" in warnings[1].says


def test_an_unknown_chip_without_numbers(tmp_path: Path) -> None:
    """Without columns for numbers the name must be one; with them they are not known, and this is told."""
    bare = "case_id,query_date,chip,destination,buyer_hq,origin"
    (text,) = faults(write(tmp_path, bare, "a,2024-02-01,H2O,CN,CN,US"))
    assert text.startswith("s.csv:2  error C001")
    assert "chip: 'H2O' is no product of the catalogue" in text
    assert "did you mean H20?" in text
    empty = "a,us_export,2024-02-01,H2O,US,ic,,,,,,,,CN,CN,,,US,,,,,,,"
    (one,), (warning,) = read_shipments(write(tmp_path, HEAD, empty))
    assert (warning.code, warning.severity) == ("C001", "warning")
    assert (one.inputs["chip"], one.inputs["tpp"]) == ("H2O", None)


def test_a_name_of_the_catalogue_is_the_name_of_the_rules(tmp_path: Path) -> None:
    (one,), _ = read_shipments(write(tmp_path, HEAD, ROW.replace("mine", "NVIDIA H200")))
    assert (one.inputs["chip"], one.inputs["tpp"]) == ("H200 SXM", 2000.0)


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "X040", "the file is empty"),
        (b"\n\n", "X040", "the file is empty"),
        (HEAD.encode(), "X040", "there is no row below the header"),
        ("case_id,größe\n".encode("latin-1"), "X040", "the file is not UTF-8 text"),
        (f'{HEAD}\n"a'.encode(), "X040", "is no CSV"),
        (f"{HEAD}\na,b\n".encode(), "X042", "2 cells, but 25 columns"),
        (f"{HEAD}\n{ROW},,\n".encode(), "X042", "27 cells, but 25 columns"),
    ],
)
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes, code: str, says: str) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    (text,) = faults(path)
    assert code in text
    assert says in text


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    assert "there is no such file" in faults(tmp_path / "none.csv")[0]
    assert "this is a folder" in faults(tmp_path)[0]


def test_lines_are_those_where_a_row_begins(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a,b", "", '"x', 'y",1', "z,2"))
    assert [(row.at.line, row.cells["a"]) for row in table.rows] == [(3, "x\ny"), (5, "z")]


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEAD}\n{ROW}\n".encode())
    assert read_shipments(path)[0][0].id == "a"


def test_dates_that_are_not_reached_are_one_warning_of_each_kind(tmp_path: Path) -> None:
    days = ("2020-01-01", "2021-01-01", "2022-08-26", "2026-06-10", "2026-06-11")
    rows = [ROW.replace("a,", f"{at},", 1).replace("2024-02-01", day) for at, day in enumerate(days)]
    made, _ = read_shipments(write(tmp_path, HEAD, *rows))
    early, late = outside(made, shipped())
    assert "2 dates are before 2022-08-26" in early.says
    assert early.at
    assert early.at.line == 2
    assert "2026-06-11 is after 2026-06-10" in late.says


RULE = "id,effective_from,authority_group,role,licence_required,destination_expr,formula_a,policy_expr"


@pytest.mark.parametrize(
    ("lines", "place", "says"),
    [
        (
            (RULE.replace("role", "rule"), "x,2026-01-01,us_export,imposes,yes,True,True,else => none"),
            ":1",
            "is it `rule`?",
        ),
        (
            (f"{RULE},colour", "x,2026-01-01,us_export,imposes,yes,True,True,else => none,red"),
            ":1",
            "`colour` is no column",
        ),
        ((RULE, "x,,us_export,imposes,yes,True,True,else => case_by_case"), ":2", "effective_from is ``"),
        (
            (RULE, "x,2026-01-01,us_export,imposes,yes,,True,else => case_by_case"),
            ":2",
            "destination_expr: there is no expression",
        ),
        (
            (RULE, "US-2023-10-17,2026-01-01,us_export,imposes,yes,True,True,else => case_by_case"),
            ":2",
            "is there already",
        ),
    ],
)
def test_a_file_of_rules_with_mistakes(tmp_path: Path, lines: tuple[str, ...], place: str, says: str) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(GpufleetError) as caught:
        with_rules(path)
    (found,) = caught.value.findings
    assert str(found.at) == f"{path}{place}"
    assert says in f"{found.says} {found.fix}"
