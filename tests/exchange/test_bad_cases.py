"""Case files that cannot be used: everything that is wrong at once, each with line, numbers and a fix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet.base.errors import Finding, GpufleetError, explanations
from gpufleet.exchange.cases import load_cases

from .conftest import BY_HAND, Edit


def found_in(path: Path) -> list[Finding]:
    with pytest.raises(GpufleetError) as caught:
        load_cases(path)
    for each in caught.value.findings:
        assert each.at is not None
        assert each.at.file == str(path)
        assert each.says
        assert each.fix
    return list(caught.value.findings)


def line_of(path: Path, text: str) -> int:
    return path.read_text(encoding="utf-8").split(text)[0].count("\n") + 1


def test_every_code_of_case_files_is_explained() -> None:
    codes = [code for code in explanations if "X000" <= code < "X040"]
    assert codes == [f"X{n:03d}" for n in range(1, 14)]
    assert all(explanations[code].why and explanations[code].example for code in codes)


@pytest.mark.parametrize(
    ("old", "new", "code", "says", "fix"),
    [
        ('"fleet-quota-cases/1"', '"fleet-quota-cases/2"', "X004", "cases/2", "cases/1"),
        ('"kueue-cycle"', '"kueue-cycles"', "X004", "`kueue-cycles`", "did you mean `kueue-cycle`?"),
        ('"nominal": 8', '"nominal": 8, "borowing_limit": 2', "X005", "borowing_limit", "`borrowing_limit`?"),
        ('"nominal": 8', '"quota": 8', "X006", "`nominal` is not there", "add `nominal`"),
        ('"count": 2', '"count": "2"', "X007", "`count` is `2`", "write a whole number"),
        ('"nominal": 8', '"nominal": [8]', "X007", "`nominal` is a list", "write a number"),
        ('"nominal": 8', '"nominal": true', "X007", "`nominal` is true", "write a number"),
        ('"LowerPriority"', '"Lower"', "X007", "`withinClusterQueue` is `Lower`", "'LowerPriority'"),
        ('"nominal": 8', '"nominal": -8', "X008", "`nominal` is -8", "write zero or more"),
        ('{"gpu": 4}', '{"gpu": -4}', "X008", "`gpu` is -4", "write zero or more"),
        ('"count": 2', '"count": 0', "X008", "`count` is 0", "write 1 or more"),
        ('"name": "research",', '"name": "research", "fair_weight": -1,', "X008", "-1", "zero or more"),
        ('"name": "research",', '"name": "research", "fair_weight": NaN,', "X008", "NaN", "1e18"),
        ('"name": "research",', '"name": "research", "fair_weight": 1e999999,', "X008", "1E+999999", "1e18"),
        ('{"gpu": 2}', '{"gpu": 1e-19}', "X008", "`gpu` is", "at most 18 decimals"),
        ('{"gpu": 2}', '{"gpu": 1e-16}', "X008", "in steps of 0.0000000000000001", "in a larger unit"),
        ('"cluster_queue": "research"', '"cluster_queue": "reserch"', "X009", "`reserch`", "`research`?"),
        ('{"flavor": "node", "mode"', '{"flavor": "nod", "mode"', "X009", "`nod`", "did you mean `node`?"),
        ('"gpus_per_task": 2, "tasks": [{"state": "running", "node": "n0"',
         '"gpus_per_task": 2, "tasks": [{"state": "running", "node": "n7"', "X009", "`n7`", "n0"),
        ('"parent": "org"', '"parent": "orc"', "X009", "`orc`", "did you mean `org`?"),
        ('"id": "never-fits"', '"id": "head-fits"', "X010", "`head-fits`", "another name"),
        ('"young"', '"old"', "X010", "`lab/old`", "another name"),
        ('{"name": "b", "cohort"', '{"name": "a", "cohort"', "X010", "`a`", "another name"),
        ('[{"name": "all"}]', '[{"name": "all", "parent": "top"}, {"name": "top", "parent": "all"}]',
         "X011", "all → top → all", "take one parent away"),
        ('[{"name": "all"}]', '[{"name": "all", "parent": "all"}]', "X011", "all → all", "take one parent"),
        ('"nominal": 8', '"nominal": 8, "borrowing_limit": 4', "X012", "may borrow 4 of gpu", "a cohort"),
        ('"nominal": 8}}}]]},\n    {"name": "b"',
         '"nominal": 8, "lending_limit": 8.5}}}]]},\n    {"name": "b"',
         "X012", "lends up to 8.5 of its 8 gpu", "write at most 8"),
        ('"gpus": 4', '"gpus": 4.5', "X007", "`gpus` is 4.5", "write a whole number"),
        ('"gpus_per_task": 1', '"gpus_per_task": 1.5', "X008", "1.5 GPUs a task", "a part of one"),
        ('{"state": "running", "node": "n0"}', '{"state": "running"}', "X006", "is on no node", "add `node`"),
    ],
)  # fmt: skip
def test_a_mistake(edit: Edit, old: str, new: str, code: str, says: str, fix: str) -> None:
    path = edit(old, new)
    (found,) = [each for each in found_in(path) if each.code == code]
    assert says in found.says
    assert fix in found.fix


def test_the_line_is_that_of_the_value(edit: Edit) -> None:
    path = edit('"requests": {"cpu": 0.25}', '"requests":\n {"cpu":\n -0.25}')
    (found,) = found_in(path)
    assert found.at is not None
    assert found.at.line == line_of(path, '"cpu":\n -0.25')


@pytest.mark.parametrize("indent", [None, 1, "\t"])
def test_lines_whatever_the_layout(tmp_path: Path, indent: int | str | None) -> None:
    data = json.loads(BY_HAND.read_text(encoding="utf-8"))
    data["cases"][3]["cluster_queues"][1]["colour"] = 'a "quoted", {odd}: [text]\\'
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(data, indent=indent), encoding="utf-8")
    (found,) = found_in(path)
    assert found.at is not None
    assert found.at.line == line_of(path, '"colour"')


def test_all_mistakes_are_told_at_once(edit: Edit) -> None:
    path = edit('"nominal": 8', '"nominal": -8, "x": 1')
    text = path.read_text(encoding="utf-8").replace('"gpus_per_task": 1', '"gpus_per_task": null')
    path.write_text(text.replace('"cluster_queue": "b"', '"cluster_queue": "c"'), encoding="utf-8")
    found = found_in(path)
    assert [each.code for each in found] == ["X008", "X005", "X009", "X007"]
    assert [each.at.line for each in found if each.at] == sorted(each.at.line for each in found if each.at)


def test_one_key_twice(edit: Edit) -> None:
    path = edit('"count": 2,', '"count": 2,\n "count": 3,')
    (found,) = found_in(path)
    assert (found.code, found.at and found.at.line) == ("X003", line_of(path, '"count": 3'))
    assert f"line {line_of(path, chr(34) + 'count' + chr(34) + ': 2')}" in found.says


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "X001"),
        (b" \n", "X001"),
        (b"\xff\xfe{}", "X001"),
        (b"{", "X002"),
        (b'{"format": 1,}', "X002"),
        (b"[" * 100_000, "X002"),
        (b"[]", "X007"),
        (b"null", "X007"),
        (b"1" * 10_000, "X007"),
        (b'{"cases": {}, "format": "fleet-quota-cases/1"}', "X007"),
        (b'{"cases": [1], "format": "fleet-quota-cases/1"}', "X007"),
        (b'{"cases": [], "format": "fleet-quota-cases/1", "more": 1}', "X005"),
    ],
)
def test_files_that_are_no_cases(tmp_path: Path, data: bytes, code: str) -> None:
    path = tmp_path / "cases.json"
    path.write_bytes(data)
    assert [each.code for each in found_in(path)] == [code]


def test_a_folder_or_nothing(tmp_path: Path) -> None:
    assert [each.code for each in found_in(tmp_path)] == ["X001"]
    assert [each.code for each in found_in(tmp_path / "none.json")] == ["X001"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"nominal": 8', '"nominal": 8, "lending_limit": 2', "`research` has a lending limit"),
        ('"withinClusterQueue": "LowerPriority"',
         '"withinClusterQueue": "LowerPriority", "borrowWithinCohort": {"policy": "LowerPriority"}',
         "needs reclaimWithinCohort"),
        ('{"name": "research",',
         '{"name": "research", "flavor_fungibility": {"preference": "PreemptionOverBorrowing"},',
         "needs TryNextFlavor twice"),
        ('"gpu": {"flavor": "B200", "amount": 4}', '"gpu": {"flavor": "H100", "amount": 4}', "`H100`"),
    ],
)  # fmt: skip
def test_what_a_live_kueue_refuses_is_a_warning(edit: Edit, old: str, new: str, says: str) -> None:
    (found,) = load_cases(edit(old, new)).warnings
    assert (found.code, found.severity) == ("X013", "warning")
    assert says in found.says


def test_a_borrowing_limit_of_zero_says_what_is_so_without_a_cohort(edit: Edit) -> None:
    assert load_cases(edit('"nominal": 8', '"nominal": 8, "borrowing_limit": 0')).warnings == ()


def test_a_flavor_or_resource_in_two_groups(write: Callable[..., Path]) -> None:
    group = [{"flavor": "f", "resources": {"gpu": {"nominal": 1}}}]
    queue = {"name": "q", "resource_groups": [group, group]}
    case = {"id": "a", "suite": "kueue-cycle", "cluster_queues": [queue], "pending": []}
    assert [each.code for each in found_in(write(case))] == ["X010", "X010"]
