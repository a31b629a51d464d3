from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gpufleet import __version__
from gpufleet.cli import app, main
from gpufleet.codes import all_codes
from gpufleet.listing import rows_of
from gpufleet.plan.load import load_plan

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands)
HEAVY = {"numpy", "polars", "numba", "pyarrow", "altair", "pandas", "rich", "openpyxl"}


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out, err = capsys.readouterr()
    return left.value.code, out, err


def modules_after(*arguments: str) -> set[str]:
    """Top-level modules that a command has imported, in a process of its own."""
    code = (
        "import sys\nfrom gpufleet.cli import main\n"
        f"try:\n    main({list(arguments)!r})\n"
        "except SystemExit as left:\n    assert not left.code, left.code\n"
        "print('MODULES', *sorted({m.partition('.')[0] for m in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_the_commands_are_those_of_the_reference():
    commands = (
        "admit calibrate catalog check compare explain export export-check new profile report run schema"
    )
    assert f"{commands} train validate why".split() == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_an_example(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert re.search(rf"Examples?:\n +gpufleet {command}", out), out


def test_without_a_command_there_is_help(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    assert "gpufleet check plan.yaml" in out
    assert all(command in out for command in COMMANDS)


def test_help_imports_nothing_that_takes_time():
    assert not modules_after("--help") & (HEAVY | {"pydantic", "yaml"})


def test_export_check_imports_no_arrays():
    asked = ("export-check", "H20", "--to", "CN", "--on", "2025-05-01")
    assert not modules_after(*asked) & (HEAVY | {"yaml"})


def test_check_imports_no_arrays(tmp_path):
    plan = tmp_path / "plan.yaml"
    assert not modules_after("new", "--out", str(plan)) & HEAVY
    assert not modules_after("check", str(plan)) & HEAVY


@pytest.mark.parametrize("code", sorted(all_codes()))
def test_every_code_is_explained(capsys, code):
    status, out, _ = run(capsys, "explain", code.lower())
    assert status == 0
    assert out.startswith(f"{code}  ")
    assert "Example:\n  " in out
    known = all_codes()[code]
    assert known.why.strip()
    assert known.example.strip()


def test_codes_belong_to_one_of_seven_letters():
    assert all(re.fullmatch(r"[PTCMRUX]\d{3}", code) for code in all_codes())


def test_a_code_that_does_not_exist(capsys):
    code, _, err = run(capsys, "explain", "P999")
    assert code == 2
    assert "error U002" in err


def test_the_schema_is_a_json_schema_that_takes_the_starter_plan(capsys, tmp_path, monkeypatch):
    import yaml

    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "schema")
    assert code == 0
    schema = json.loads(out)
    Draft202012Validator.check_schema(schema)
    run(capsys, "new")
    text = Path("my-cluster.yaml").read_text()
    data = json.loads(json.dumps(yaml.safe_load(text), default=str))
    Draft202012Validator(schema).validate(data)


@pytest.mark.parametrize(
    "table",
    ["gpus", "systems", "prices", "grids", "profiles", "export-rules", "export-chips", "countries"],
)
def test_the_catalogue_as_text_and_as_json(capsys, table):
    code, out, _ = run(capsys, "catalog", table)
    assert code == 0
    rows = rows_of(table)
    assert f"{len(rows)} rows" in out
    code, out, _ = run(capsys, "catalog", table, "--json")
    data = json.loads(out)
    assert data["schema"] == "gpufleet.catalog/1"
    assert data["table"] == table
    assert len(data["rows"]) == len(rows)
    assert {"source", "trust"} <= set(data["rows"][0])


def test_an_unknown_cell_is_a_dash_and_not_a_zero(capsys):
    _, out, _ = run(capsys, "catalog", "gpus")
    (line,) = [line for line in out.splitlines() if line.startswith("T4 ")]
    assert line.split()[3] == "-"
    row = next(row for row in rows_of("gpus") if row["id"] == "T4")
    assert row["bf16_tflops"] is None


def test_a_table_that_does_not_exist(capsys):
    code, _, err = run(capsys, "catalog", "gpu")
    assert code == 2
    assert "did you mean `gpus`?" in err


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "gpufleet", "explain", "U001"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("U001")


def test_the_version(capsys):
    assert run(capsys, "--version")[:2] == (0, f"gpufleet {__version__}\n")


def test_the_schema_names_the_version_of_the_language(capsys):
    assert json.loads(run(capsys, "schema")[1])["$id"] == "urn:gpufleet:plan:1"


def test_an_explanation_as_json(capsys):
    data = json.loads(run(capsys, "explain", "P006", "--json")[1])
    assert (data["schema"], data["code"], data["title"]) == ("gpufleet.explain/1", "P006", "unknown key")


def test_a_new_plan_as_json_and_never_over_another(capsys, tmp_path):
    plan = tmp_path / "plan.yaml"
    code, out, _ = run(capsys, "new", "lab", "--out", str(plan), "--json")
    assert (code, json.loads(out)["path"]) == (0, str(plan))
    before = plan.read_bytes()
    assert "U004" in run(capsys, "new", "other", "--out", str(plan))[2]
    assert "is a folder" in run(capsys, "new", "other", "--out", str(tmp_path))[2]
    assert plan.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["plan.yaml"]


@pytest.mark.parametrize("links", [True, False])
def test_a_full_disk_leaves_nothing(capsys, tmp_path, monkeypatch, links):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if not links:
        monkeypatch.setattr("os.link", lambda *_: full())
        monkeypatch.setattr(Path, "rename", full)
    else:
        monkeypatch.setattr(Path, "write_text", lambda path, *_, **__: (path.touch(), full()))
    code, _, err = run(capsys, "new", "--out", str(tmp_path / "plan.yaml"))
    assert code == 2
    assert "U003" in err
    assert not list(tmp_path.iterdir())


def test_a_run_says_what_was_read_and_where_the_results_are(capsys, tmp_path):
    plan, out = tmp_path / "plan.yaml", tmp_path / "out"
    run(capsys, "new", "--out", str(plan))
    code, said, err = run(capsys, "run", str(plan), "--out", str(out))
    assert code == 0
    assert said.splitlines()[-1] == f"results: {out}/   report: {out}/report.html"
    assert err.count("note: ") == len(load_plan(plan).notes)
    code, said, _ = run(capsys, "report", str(out), "--json")
    assert json.loads(said)["report"] == f"{out}/report.html"
    assert "results:" not in run(capsys, "run", str(plan), "--out", str(out), "--quiet")[1]


def test_a_report_shows_another_run_beside_this_one(capsys, tmp_path):
    plan, before, after = tmp_path / "plan.yaml", tmp_path / "before", tmp_path / "after"
    run(capsys, "new", "--out", str(plan))
    run(capsys, "run", str(plan), "--out", str(before))
    run(capsys, "run", str(plan), "--set", "policy.backfill=none", "--out", str(after))
    whole, page = (after / "report.html").read_text(), tmp_path / "page.html"
    code, said, _ = run(capsys, "report", str(after), "--against", str(before), "--out", str(page))
    assert code == 0
    assert said.splitlines()[-1].endswith(f"report: {page}")
    assert 'id="against"' in page.read_text()
    assert "policy.backfill" in page.read_text()
    assert (after / "report.html").read_text() == whole
    code, _, err = run(capsys, "report", str(after), "--against", str(tmp_path / "nowhere"))
    assert code == 2
    assert "R004" in err
    assert (after / "report.html").read_text() == whole
