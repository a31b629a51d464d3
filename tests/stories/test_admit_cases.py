"""A cluster engineer asks what Kueue or KAI would decide, in cases with the answer of their maintainers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

BY_HAND = Path(__file__).parents[1] / "exchange" / "by_hand.json"


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cases made by hand, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(BY_HAND, tmp_path / "cases.json")
    return Path("cases.json")


def answers(cli: Any, path: Path, code: int, *more: str) -> dict[str, Any]:
    done = cli("admit", "--cases", path, "--json", *more)
    assert done.code == code, done
    assert not done.err
    found: dict[str, Any] = json.loads(done.out)
    assert list(found) == sorted(found)
    return found


def of_suite(path: Path, suite: str) -> dict[str, dict[str, Any]]:
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return {case["id"]: case for case in cases if case["suite"] == suite}


def in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return sorted((in_order(each) for each in value), key=repr) if isinstance(value, list) else value


@pytest.mark.parametrize("suite", ["kueue-preemption", "kueue-cycle"])
def test_every_case_of_kueue_is_answered_as_by_its_maintainers(cli: Any, shared: Path, suite: str) -> None:
    path = shared / "data" / "kueue" / "cases.json"
    cases = of_suite(path, suite)
    chosen = [word for name in cases for word in ("--case", name)]
    found = answers(cli, path, 0, *chosen)
    assert len(cases) > 10
    assert in_order(found) == in_order({name: case["expect"] for name, case in cases.items()})


def test_cases_of_kai_are_answered_as_by_its_maintainers_or_name_what_is_missing(
    cli: Any, shared: Path
) -> None:
    path = shared / "data" / "kueue" / "cases.json"
    cases = of_suite(path, "kai")
    found = answers(cli, path, 1, *[word for name in cases for word in ("--case", name)])
    decided = {name: each for name, each in found.items() if "unsupported" not in each}
    for name, each in decided.items():
        for job, state in cases[name]["expect"]["jobs"].items():
            assert each["jobs"][job]["status"] == state["status"], (name, job)
            assert state["node"] in (None, each["jobs"][job]["node"]), (name, job)
    assert len(decided) >= len(cases) - 2
    missing = {each["unsupported"] for each in found.values() if "unsupported" in each}
    assert missing == {"CPU and memory (a case does not say how much a node has)"}


def test_the_state_of_kai_stays(shared: Path) -> None:
    """No ping-pong: five more rounds change nothing."""
    from gpufleet.exchange.answers import answer_case
    from gpufleet.exchange.cases import load_cases

    for case in load_cases(shared / "data" / "kueue" / "cases.json").cases:
        if case.suite == "kai":
            later = case.model_copy(update={"rounds_until_match": case.rounds_until_match + 5})
            assert answer_case(later).decision == answer_case(case).decision, case.id


def test_answers_in_words(cli: Any, cases: Path) -> None:
    done = cli("admit", "--cases", cases)
    assert done.code == 0
    assert re.search(r"^as expected +head-fits\n +admits lab/old; in the queue: lab/young$", done.out, re.M)
    assert done.out.endswith("\n\n6 cases decided; 6 of 6 as expected\n")


def test_the_case_in_the_help_is_one(cli: Any, cases: Path) -> None:
    text = re.search(r"\{\"format.*\]\}(?=\s+Options)", cli("admit", "--help").out, re.S)
    assert text
    cases.write_text(text[0])
    assert list(answers(cli, cases, 0)["one-queue"]["newly_admitted"]) == ["train"]


def test_one_case(cli: Any, cases: Path) -> None:
    assert answers(cli, cases, 0, "--case", "never-fits") == {
        "never-fits": {
            "newly_admitted": {},
            "preempted": [],
            "left_in_queue": {},
            "left_inadmissible": {"research": ["big"]},
        }
    }


def test_an_answer_that_differs_exits_with_1(cli: Any, cases: Path) -> None:
    cases.write_text(cases.read_text().replace('["big"]', '["small"]'))
    done = cli("admit", "--cases", cases)
    assert done.code == 1
    assert re.search(r"^differs +never-fits\n +parked: big\n +expected: parked: small$", done.out, re.M)
    assert answers(cli, cases, 1)["never-fits"]["left_inadmissible"] == {"research": ["big"]}


def test_a_file_with_mistakes_exits_with_2(cli: Any, cases: Path) -> None:
    cases.write_text(cases.read_text().replace('"nominal": 8', '"nominl": 8'))
    done = cli("admit", "--cases", cases)
    assert done.code == 2
    assert not done.out
    assert re.search(r"^cases\.json:9  error X005  ", done.err, re.M)
    assert "did you mean `nominal`?" in done.err


@pytest.mark.parametrize("language", ["ko", "ja"])
def test_in_another_language(cli: Any, cases: Path, language: str) -> None:
    done = cli("admit", "--cases", cases, "--lang", language)
    assert done.code == 0
    assert "as expected" not in done.out
    assert "head-fits" in done.out


def test_warnings_are_told_and_strict_refuses(cli: Any, cases: Path) -> None:
    cases.write_text(cases.read_text().replace('"nominal": 8', '"nominal": 8, "lending_limit": 2', 1))
    done = cli("admit", "--cases", cases)
    assert done.code == 0
    assert re.search(r"^cases\.json:9  warning X013  ", done.err, re.M)
    assert cli("admit", "--cases", cases, "--strict").code == 2


def test_the_same_answers_in_any_order_of_the_file(cli: Any, cases: Path) -> None:
    data = json.loads(cases.read_text())
    before = cli("admit", "--cases", cases, "--json").out
    data["cases"].reverse()
    cases.write_text(json.dumps(data))
    assert cli("admit", "--cases", cases, "--json").out == before
