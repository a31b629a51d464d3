"""`gpufleet profile`: a job log becomes a profile."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from gpufleet.catalog.profiles import load_profile
from gpufleet.cli import main

ROWS = [
    f"j{day}-{i},2026-01-{5 + day:02}T{9 + i // 10:02}:{i:02}:00,{1 + 7 * (i % 2)},{60 + i}"
    for day in range(21)
    for i in range(30)
]
HEAD = "job,submit,gpus,duration_s"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "jobs.csv"
    path.write_text("\n".join([HEAD, *ROWS, ""]))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["profile", *arguments])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def test_it_writes_the_file_and_says_what_it_saw(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, str(log))
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "630 jobs in 2.87 weeks"
    assert lines[1] == "mean of a job: 4.5 GPUs, 0.0207 hours, 0.0936 GPU-hours"
    assert lines[2] == "GPU-hours by size: 8: 89 %, 1: 11 %"
    assert lines[-1] == "wrote jobs.json"
    made = load_profile("jobs.json")
    assert (made.name, made.jobs, made.made_by) == ("jobs", 630, "distilled by `gpufleet profile jobs.csv`")


def test_dates_texts_and_json(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["--title", "Our lab", "--source", "sacct", "--license", "ours"]
    dates = ["--from", "2026-01-06", "--to", "2026-01-08", "--time-zone", "Asia/Seoul"]
    code, out, _ = run(capsys, str(log), "--name", "lab", *texts, *dates, "--out", "x.json", "--json")
    assert code == 0
    data = json.loads(out)
    assert (data["schema"], data["path"], data["jobs"]) == ("gpufleet.profile/1", "x.json", 60)
    assert data["gpu_hour_share"]["8"] == pytest.approx(8 * 75 / (8 * 75 + 74), rel=1e-5)
    assert [each["code"] for each in data["findings"]] == ["T081"]
    made = load_profile("x.json")
    assert (made.title, made.source, made.license) == ("Our lab", "sacct", "ours")
    assert made.time_zone == "Asia/Seoul"
    assert made.made_by.endswith(
        "jobs.csv --name lab --from 2026-01-06 --to 2026-01-08 --time-zone Asia/Seoul`"
    )


def test_the_same_log_makes_the_same_bytes(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = log.with_name("jobs.csv.gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    run(capsys, str(log), "--name", "a", "--out", "a.json")
    run(capsys, str(packed), "--name", "a", "--out", "b.json")
    text = Path("b.json").read_text()
    assert Path("a.json").read_text() == text.replace("jobs.csv.gz", "jobs.csv")


def test_it_never_writes_over_a_file(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("jobs.json").write_text("mine")
    code, _, err = run(capsys, str(log))
    assert code == 2
    assert "error U004" in err
    assert Path("jobs.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("rows", "code"), [([], "T007"), (ROWS[:1], "T080"), (["a,2026-01-05,1,9", "b,2026-01-05,1,9"], "T080")]
)
def test_too_few_jobs_write_nothing(
    log: Path, capsys: pytest.CaptureFixture[str], rows: list[str], code: str
) -> None:
    log.write_text("\n".join([HEAD, *rows, ""]))
    status, _, err = run(capsys, str(log))
    assert status == 2
    assert f"error {code}" in err
    assert str(log) in err
    assert [each.name for each in log.parent.iterdir()] == ["jobs.csv"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--from", "2027-01-01"], "T007"),
        (["--from", "soon"], "U001"),
        (["--format", "slurm"], "T012"),
        (["--time-zone", "Mars/Olympus"], "T012"),
        (["--time-zone", "../x", "--from", "2026-01-06"], "T012"),
    ],
)
def test_bad_options(log: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: str) -> None:
    status, _, err = run(capsys, str(log), *options)
    assert status == 2
    assert f"error {code}" in err
