"""--lang on the command line: findings, refusals, answers and reports; JSON and help stay English."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpufleet.base.language import VARIABLE
from gpufleet.cli import main

PLAN = """\
gpufleet: 1
name: small
start: 2026-01-05
end: 2026-01-08
sites: {lab: {power: 100 kW, pue: 1.3}}
deliveries:
  - {name: lot-1, to: lab, system: DGX-B200, gpus: 64, at: 2026-01-05}
tenants: {research: {}}
workloads:
  big: {kind: campaign, queue: research, gpus: 8, duration: 5 h, at: 2026-01-05}
"""


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    return path


def run(capsys: Any, *arguments: object) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in arguments])
    out, err = capsys.readouterr()
    return left.value.code, out, err


def test_warnings_are_said(capsys: Any, plan: Path) -> None:
    code, out, _ = run(capsys, "check", plan, "--lang", "ko")
    assert code == 0
    assert "경고 P017  거점에 전력이 들어오기 전에 납품됨" in out
    assert "DGX-B200 GPU 64개(노드 8대)에" in out
    assert "2026년 1월 5일 기준 lab의 전력은 100.0 kW" in out
    assert "자세히: gpufleet explain P017" in out
    assert "오류 없음" in out


def test_refusals_are_said(capsys: Any, plan: Path) -> None:
    code, _, err = run(capsys, "check", plan, "--set", "policy.ordr=sjf", "--lang", "ja")
    assert code == 2
    assert "`order` のことですか？" in err
    code, _, err = run(capsys, "check", plan, "--set", "policy.order=sjf2", "--lang", "ko")
    assert code == 2
    assert "오류 P015  선택지에 없는 값" in err


def test_environment_chooses_and_the_option_goes_before(
    capsys: Any, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "ja")
    assert "警告 P017" in run(capsys, "check", plan)[1]
    assert "경고 P017" in run(capsys, "check", plan, "--lang", "ko")[1]
    assert "warning P017" in run(capsys, "check", plan, "--lang", "en")[1]


def test_a_language_does_not_outlast_its_command(capsys: Any, plan: Path) -> None:
    run(capsys, "check", plan, "--lang", "ko")
    assert "warning P017" in run(capsys, "check", plan)[1]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_unknown_language_is_refused(capsys: Any, plan: Path, more: tuple[str, ...]) -> None:
    code, out, err = run(capsys, "check", plan, "--lang", "fr", *more)
    assert code == 2
    if more:
        (found,) = json.loads(out)["findings"]
        assert (found["code"], found["says"]) == ("U020", "--lang is `fr`")
    else:
        assert "error U020  no such language\n  --lang is `fr`\n  fix: choose one of en (English)" in err


def test_json_and_help_stay_english(capsys: Any, plan: Path) -> None:
    english = run(capsys, "check", plan, "--json")[1]
    assert run(capsys, "check", plan, "--json", "--lang", "ko")[1] == english
    assert run(capsys, "check", "--help", "--lang", "ko")[1] == run(capsys, "check", "--help")[1]


def test_a_run_is_the_same_bytes_whatever_its_language(capsys: Any, plan: Path, tmp_path: Path) -> None:
    for language in ("en", "ko"):
        code, *_ = run(capsys, "run", plan, "--out", tmp_path / language, "--lang", language, "-q")
        assert code == 0
    ours, theirs = tmp_path / "en", tmp_path / "ko"
    for path in sorted(p for p in ours.rglob("*") if p.is_file()):
        if path.name not in ("environment.json", "report.html", "complete.json"):
            assert path.read_bytes() == (theirs / path.relative_to(ours)).read_bytes(), path.name
    assert '<html lang="ko">' in (theirs / "report.html").read_text(encoding="utf-8")[:200]
    assert '<html lang="en">' in (ours / "report.html").read_text(encoding="utf-8")[:200]
    _, answer, _ = run(capsys, "why", theirs, "0", "--lang", "ja")
    assert answer.startswith("ジョブ 0 は待ちませんでした")
    code, summary, _ = run(capsys, "report", ours, "--lang", "ko", "--out", tmp_path / "other.html")
    assert code == 0
    assert "이용률" in summary
    assert '<html lang="ko">' in (tmp_path / "other.html").read_text(encoding="utf-8")[:200]
    assert "같습니다" in run(capsys, "compare", ours, theirs, "--lang", "ko")[1]


def test_what_is_said_at_once_is_in_the_language(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpufleet import console, study

    monkeypatch.setattr(study._Compiling, "told", False)
    monkeypatch.setattr(study._Compiling, "notice", staticmethod(console.notice))
    monkeypatch.setattr(console._Chosen, "language", "ja")
    study._tell_of_compiling("pass")
    study._tell_of_compiling("again")
    (line,) = capsys.readouterr().err.splitlines()
    assert "compiling" not in line
    assert line.startswith("カーネル") or "コンパイル" in line


def test_dates_of_a_lot_follow_the_language_and_json_does_not(
    capsys: Any, plan: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run(capsys, "run", plan, "--out", folder, "--quiet")
    _, said, _ = run(capsys, "why", folder, "lot-1", "--lang", "ko")
    assert "2026년 1월 5일" in said
    assert "2026-01-05" not in said
    _, data, _ = run(capsys, "why", folder, "lot-1", "--lang", "ko", "--json")
    assert json.loads(data)["delivered"]["on"] == "2026-01-05"
    _, note, _ = run(capsys, "run", plan, "--set", "seed=2", "--out", folder, "--lang", "ko")
    assert "--set으로 변경: seed=2" in note


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("ko_KR.UTF-8", "경고 P017"),
        ("ja_JP", "警告 P017"),
        ("ja_JP.eucJP@x", "警告 P017"),
        ("en_US.UTF-8", "warning P017"),
        ("C.UTF-8", "warning P017"),
        ("POSIX", "warning P017"),
        ("ko-KR", "경고 P017"),
    ],
)
def test_a_language_may_be_written_as_the_system_writes_it(
    capsys: Any, plan: Path, monkeypatch: pytest.MonkeyPatch, value: str, word: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert word in run(capsys, "check", plan)[1]


@pytest.mark.parametrize("value", ["fr_FR.UTF-8", "korean", "ko_", "_KR", "ko KR", "한국어"])
def test_another_language_is_refused_with_what_there_is(
    capsys: Any, plan: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    code, _, err = run(capsys, "check", plan)
    assert code == 2
    assert f"U020  no such language\n  GPUFLEET_LANG is `{value}`" in err
    assert "한국어" in err


def test_explain_says_the_title(capsys: Any) -> None:
    code, out, _ = run(capsys, "explain", "P017", "--lang", "ko")
    assert code == 0
    assert out.startswith("P017  거점에 전력이 들어오기 전에 납품됨\n")
    assert "예:" in out


def test_a_profile_is_told_in_the_language_and_written_in_english(capsys: Any, tmp_path: Path) -> None:
    trace = Path(__file__).parents[2] / "plans" / "one-cluster" / "jobs.csv"
    files = [tmp_path / f"{language}.json" for language in ("en", "ja")]
    told = [
        run(capsys, "profile", trace, "--name", "lab", "--out", file, "--lang", file.stem)[1]
        for file in files
    ]
    assert "400 jobs in" in told[0]
    assert "ジョブ" in told[1]
    assert files[0].read_text() == files[1].read_text()
