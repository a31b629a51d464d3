from __future__ import annotations

import csv
import json

import pytest

from gpufleet.catalog.rows import FOLDER
from gpufleet.cli import main


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out, err = capsys.readouterr()
    return left.value.code, out, err


def some_rows(folder, count=3, **change):
    with (FOLDER / "training_runs.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source_id"] == "korthikanti-2022"][:count]
    rows[-1].update(change)
    with (folder / "mine.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_text_has_groups_sources_products_and_what_was_left_out(capsys):
    code, out, err = run(capsys, "validate")
    assert code == 0
    assert err == ""
    for expected in (
        "dense, recomputation published",
        "llm-foundry-mpt",
        "GB300",
        "left out: 52 rows: Mamba layers",
    ):
        assert expected in out


def test_json_has_each_prediction(capsys):
    code, out, _ = run(capsys, "validate", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["schema"] == "gpufleet.validate/1"
    assert len(data["rows"]) + sum(data["left_out"].values()) == 771
    row = data["rows"][0]
    assert row["error_pct"] == pytest.approx(100 * (row["predicted_step_s"] / row["measured_step_s"] - 1))
    assert set(data["groups"]) == {"dense_known", "dense_rule", "moe", "memory"}


def test_other_tables_are_judged_alike(capsys, tmp_path):
    some_rows(tmp_path, source_id="mine")
    code, out, _ = run(capsys, "validate", "--data", str(tmp_path), "--json")
    assert code == 0
    sources = json.loads(out)["sources"]["dense_known"]
    assert {name: each["rows"] for name, each in sources.items()} == {"korthikanti-2022": 2, "mine": 1}
    _, out, _ = run(capsys, "validate", "--data", str(tmp_path))
    assert "mine *" in out
    assert "no constant was fitted on any run of this source" in out


def test_a_cell_that_cannot_be_is_said_with_file_and_line(capsys, tmp_path):
    some_rows(tmp_path, hidden="1e99")
    code, out, err = run(capsys, "validate", "--data", str(tmp_path))
    assert (code, out) == (2, "")
    assert f"{tmp_path}/mine.csv:4  error M002" in err
    assert "fix: " in err


@pytest.mark.parametrize("end", ["svg", "png"])
def test_the_picture_is_written(capsys, tmp_path, end):
    path = tmp_path / f"v.{end}"
    code, out, _ = run(capsys, "validate", "--out", str(path))
    assert code == 0
    assert f"wrote {path}" in out
    start = path.read_bytes()[:8]
    assert start.startswith((b"<svg", b"\x89PNG"))


def test_a_picture_of_another_kind_is_refused(capsys, tmp_path):
    code, _, err = run(capsys, "validate", "--out", str(tmp_path / "v.gif"))
    assert code == 2
    assert "error U021" in err
    assert not (tmp_path / "v.gif").exists()


def test_a_folder_with_runs_that_no_picture_can_show(capsys, tmp_path):
    some_rows(tmp_path, count=1, gpu="TPU v5p")
    code, out, _ = run(capsys, "validate", "--data", str(tmp_path))
    assert code == 0
    assert "0 published runs predicted, 1 rows left out" in out
    code, _, err = run(capsys, "validate", "--data", str(tmp_path), "--out", str(tmp_path / "v.svg"))
    assert code == 2
    assert "M004" in err
