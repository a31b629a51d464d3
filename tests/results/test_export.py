"""Exports: every table in every format holds what the run holds; nothing is written over, or half."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gpufleet.base.errors import GpufleetError
from gpufleet.cli import main
from gpufleet.results import export as module
from gpufleet.results import exported
from gpufleet.results.columns import JOBS
from gpufleet.results.export import Exported, export
from gpufleet.results.exported import table_names
from gpufleet.results.run import Run
from gpufleet.results.xlsx import MAX_ROWS, Sheet, TooLongError, write_xlsx

READERS: dict[str, Callable[[Path, dict[str, pl.DataType]], pl.DataFrame]] = {
    "csv": lambda path, schema: pl.read_csv(path, schema=schema),
    "parquet": lambda path, schema: pl.read_parquet(path),
}


def refused(code: str, *arguments: object, **options: object) -> str:
    with pytest.raises(GpufleetError) as error:
        export(*arguments, **options)  # type: ignore[arg-type]
    assert [found.code for found in error.value.findings] == [code]
    return error.value.findings[0].says


def sheet_rows(path: Path, sheet: str) -> list[list[object]]:
    return [
        [cell.value for cell in row]
        for row in openpyxl.load_workbook(path, read_only=True)[sheet].iter_rows()
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_stored_tables_come_back(run: Run, tmp_path: Path, kind: str) -> None:
    files = export(run, format=kind, out=tmp_path / "tables")
    assert [file.path.name for file in files] == [f"{name}.{kind}" for name in (*table_names(run), "about")]
    assert sorted(p.name for p in (tmp_path / "tables").iterdir()) == sorted(f.path.name for f in files)
    for name in ("jobs", "timeline"):
        stored = pl.read_parquet(run.path / f"{name}.parquet")
        again = READERS[kind](tmp_path / "tables" / f"{name}.{kind}", dict(stored.schema))
        assert_frame_equal(again, stored)
        assert {f.path.stem: f.rows for f in files}[name] == stored.height


def test_a_workbook_holds_every_table(run: Run, tmp_path: Path) -> None:
    (file,) = export(run, format="xlsx", out=tmp_path / "all.xlsx")
    assert file.tables == (*table_names(run), "about")
    assert openpyxl.load_workbook(file.path).sheetnames == list(file.tables)
    jobs = pl.read_parquet(run.path / "jobs.parquet")
    header, *rows = sheet_rows(file.path, "jobs")
    assert header == jobs.columns
    assert [tuple(row) for row in rows] == jobs.rows()
    header, *rows = sheet_rows(file.path, "measures")
    dims = [name for name in run.measures.columns if name not in ("name", "unit", "value", "formula")]
    by_name = [dict(zip(header, row, strict=True)) for row in rows]
    (found,) = [row for row in by_name if row["name"] == "utilisation" and not any(row[dim] for dim in dims)]
    assert found["value"] == pytest.approx(run.measure("utilisation"))


def test_about_says_what_each_column_is(run: Run, tmp_path: Path) -> None:
    export(run, ["jobs", "ledger"], out=tmp_path / "t")
    about = pl.read_csv(tmp_path / "t" / "about.csv")
    assert about.filter(table="jobs")["column"].to_list() == [c.name for c in JOBS]
    assert about.filter(table="jobs", column="wait_s").select("unit", "formula").row(0) == (
        "s",
        "sum of the wait_*_s columns",
    )
    ledger = pl.read_csv(tmp_path / "t" / "ledger.csv")
    assert ledger.columns == about.filter(table="ledger")["column"].to_list()


def test_the_ledger_keeps_numbers_and_texts(run: Run, tmp_path: Path) -> None:
    export(run, ["ledger"], out=tmp_path / "l.csv")
    rows = pl.read_csv(tmp_path / "l.csv").rows_by_key("name", named=True)
    (lot,) = rows["deliveries.lot-1.gpus"]
    assert (lot["value"], lot["unit"], lot["source"], lot["trust"]) == (16.0, "GPU", "paper", "stated")
    (order,) = rows["policy.order"]
    assert (order["value"], order["text"]) == (None, "fifo")


def test_findings_and_notes(run: Run, tmp_path: Path) -> None:
    export(run, ["findings"], out=tmp_path / "f.parquet")
    rows = pl.read_parquet(tmp_path / "f.parquet").to_dicts()
    assert [r["says"] for r in rows] == [*(f["says"] for f in run.findings), *run.notes]
    assert rows
    assert {r["severity"] for r in rows} <= {"warning", "note"}


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx"])
def test_the_same_bytes_again(run: Run, tmp_path: Path, kind: str) -> None:
    first = export(run, format=kind, out=tmp_path / ("a.xlsx" if kind == "xlsx" else "a"))
    second = export(run, format=kind, out=tmp_path / ("b.xlsx" if kind == "xlsx" else "b"))
    assert [f.path.read_bytes() for f in first] == [f.path.read_bytes() for f in second]


def test_jobs_in_parts_are_one_table(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    jobs = pl.read_parquet(copy.path / "jobs.parquet")
    (copy.path / "jobs.parquet").unlink()
    (copy.path / "jobs.parquet").mkdir()
    for i, part in enumerate(jobs.iter_slices(2)):
        part.write_parquet(copy.path / "jobs.parquet" / f"part-{i:05}.parquet")
    monkeypatch.setattr(exported, "ROWS", 1)
    for name in ("jobs.csv", "jobs.xlsx", "jobs.parquet"):
        export(copy, ["jobs"], out=tmp_path / name)
        export(run, ["jobs"], out=tmp_path / f"whole-{name}")
    assert_frame_equal(pl.read_parquet(tmp_path / "jobs.parquet"), jobs)
    assert (tmp_path / "jobs.csv").read_bytes() == (tmp_path / "whole-jobs.csv").read_bytes()
    assert sheet_rows(tmp_path / "jobs.xlsx", "jobs") == sheet_rows(tmp_path / "whole-jobs.xlsx", "jobs")


def test_where_files_go(run: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(run.path, tmp_path / "runs" / "first"))
    assert [f.path for f in export(copy, ["measures"])] == [tmp_path / "runs" / "first-csv" / "measures.csv"]
    assert [f.path for f in export(copy, format="xlsx")] == [tmp_path / "runs" / "first.xlsx"]
    assert Run.load(copy.path).answer == run.answer  # an export leaves the run as it is


def test_nothing_is_written_over(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "m.csv"
    out.write_text("mine")
    assert refused("R022", run, ["measures"], out=out) == f"{out} is left as it is"
    assert out.read_text() == "mine"
    (file,) = export(run, ["measures"], out=out, force=True)
    assert file == Exported(out, ("measures",), run.measures.height, out.stat().st_size)
    export(run, out=tmp_path / "t")
    assert "files in all" in refused("R022", run, out=tmp_path / "t")


def test_what_cannot_be_meant(run: Run, tmp_path: Path) -> None:
    refused("R020", run, ["job"])
    refused("R025", run, format="xls")
    refused("R023", run, out=run.path / "tables")
    refused("R023", run, format="csv", out=tmp_path / "a.xlsx")
    refused("R023", run, format="xlsx", out=tmp_path / "a")
    refused("R023", run, ["jobs", "measures"], out=tmp_path / "a.csv")
    (tmp_path / "file").write_text("")
    refused("R023", run, out=tmp_path / "file")
    (tmp_path / "folder.xlsx").mkdir()
    refused("R023", run, out=tmp_path / "folder.xlsx", force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.xlsx"]


def test_too_many_rows_for_excel(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 5)
    says = refused("R021", run, ["jobs"], out=tmp_path / "j.xlsx")
    assert says == "jobs has 7 rows; a sheet holds 4"
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def full(path: Path, tables: object) -> None:
        path.write_text("half")
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setitem(module._WRITERS, "csv", full)
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "new" / "deep", tmp_path / "there"):
        written.clear()
        with pytest.raises(OSError, match="No space"):
            export(run, out=out)
    assert [p.name for p in tmp_path.rglob("*")] == ["there"]


def test_texts_are_texts_in_a_workbook(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "@x", "a<b>&\"c'", "  spaced ", "서울 東京", "line\nline", "bell\x07", "7", None]
    frame = pl.DataFrame(
        {
            "text": texts,
            "number": [1, None, -(2**40), 0, 5, 6, 7, 8, 9, 10],
            "float": [0.1, 1e300, float("nan"), float("inf"), None, 1.0, -2.5, 1e-9, 3.0, 4.0],
            "flag": [True, False, None, True, True, True, True, True, True, True],
        }
    )
    write_xlsx(
        tmp_path / "t.xlsx",
        [Sheet("one", 10, [frame[:0], frame[:4], frame[4:]]), Sheet("two", 0, [frame[:0]])],
    )
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx")["one"]
    header, *rows = sheet.iter_rows()
    assert [c.value for c in header] == frame.columns
    assert all(c.font.b for c in header)
    assert [row[0].value for row in rows] == [t and t.replace("\x07", "\ufffd") for t in texts]
    assert {row[0].data_type for row in rows if row[0].value} == {"s"}
    assert [row[1].value for row in rows] == frame["number"].to_list()
    assert [row[2].value for row in rows] == [0.1, 1e300, None, None, None, 1.0, -2.5, 1e-9, 3.0, 4.0]
    assert [row[3].value for row in rows] == frame["flag"].to_list()
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:D11")
    assert sheet_rows(tmp_path / "t.xlsx", "two") == [frame.columns]


def test_a_text_that_no_cell_holds(run: Run, tmp_path: Path) -> None:
    frame = pl.DataFrame({"name": ["x" * 32_768]})
    with pytest.raises(TooLongError, match="name"):
        write_xlsx(tmp_path / "t.xlsx", [Sheet("one", 1, [frame])])
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    jobs = pl.read_parquet(copy.path / "jobs.parquet").with_columns(name=pl.lit("x" * 32_768))
    jobs.write_parquet(copy.path / "jobs.parquet")
    refused("R024", copy, ["jobs"], out=tmp_path / "j.xlsx")
    assert not (tmp_path / "j.xlsx").exists()
    assert export(copy, ["jobs"], out=tmp_path / "j.csv")[0].rows == jobs.height


def test_a_full_sheet(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": pl.int_range(0, MAX_ROWS - 1, eager=True)})
    write_xlsx(tmp_path / "t.xlsx", [Sheet("one", frame.height, [frame])])
    with zipfile.ZipFile(tmp_path / "t.xlsx") as archive:
        end = archive.read("xl/worksheets/sheet1.xml")[-150:]
    last = f'<row r="{MAX_ROWS}"><c r="A{MAX_ROWS}"><v>{MAX_ROWS - 2}</v></c></row></sheetData>'
    assert last.encode() in end


def test_the_command(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["export", str(run.path), "measures", "--out", str(tmp_path / "m.xlsx"), "--json"])
    assert not left.value.code
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert (file["path"], file["tables"]) == (str(tmp_path / "m.xlsx"), ["measures", "about"])
    with pytest.raises(SystemExit) as left:
        main(["export", str(run.path), "measures", "--out", str(tmp_path / "m.xlsx")])
    assert left.value.code == 2
    assert "R022" in capsys.readouterr().err
