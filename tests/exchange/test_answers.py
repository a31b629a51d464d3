"""Cases made by hand are answered as reckoned by hand, exactly, and held against what is expected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet import answer_case, load_cases
from gpufleet.base.errors import GpufleetError
from gpufleet.exchange.answers import answers_text, answers_to

from .conftest import BY_HAND, Edit

CASES = {case.id: case for case in load_cases(BY_HAND).cases}


@pytest.mark.parametrize("name", CASES)
def test_a_case_made_by_hand(name: str) -> None:
    answer = answer_case(CASES[name])
    expected = json.loads(BY_HAND.read_text(encoding="utf-8"))["cases"]
    assert answer.to_json() == next(each["expect"] for each in expected if each["id"] == name)
    assert answer.agrees is True


@pytest.mark.parametrize(("asks", "fits"), [(0.2, True), (0.2000000001, False)])
def test_fractions_are_exact(write: Callable[..., Path], asks: float, fits: bool) -> None:
    """0.1 + 0.2 is 0.3 here, which it is not in floating point."""
    limits = [[{"flavor": "node", "resources": {"cpu": {"nominal": 0.3}}}]]
    pods = [{"name": "main", "count": 1, "requests": {"cpu": 0.1}}]
    usage = [{"pod_set": "main", "count": 1, "resources": {"cpu": {"flavor": "node", "amount": 0.1}}}]
    held = {"name": "held", "pod_sets": pods, "admitted_to": {"cluster_queue": "a", "usage": usage}}
    asked = {"name": "in", "cluster_queue": "a", "pod_sets": [{**pods[0], "requests": {"cpu": asks}}]}
    queues = [{"name": "a", "resource_groups": limits}]
    case = {
        "id": "1",
        "suite": "kueue-cycle",
        "cluster_queues": queues,
        "admitted": [held],
        "pending": [asked],
    }
    (read,) = load_cases(write(case)).cases
    assert list(answer_case(read).decision["newly_admitted"]) == (["in"] if fits else [])


def test_an_answer_that_differs(edit: Edit) -> None:
    file = load_cases(edit('"workload": "last"', '"workload": "first"'))
    (answer,) = answers_to(file, ["lent-quota-comes-back"])
    assert answer.agrees is False
    text = answers_text([answer])
    assert "yields: last (InCohortReclamation)" in text
    assert "expected: yields: first (InCohortReclamation)" in text
    assert text.endswith("1 case decided; 0 of 1 as expected")


def test_an_id_that_is_not_there() -> None:
    with pytest.raises(GpufleetError) as caught:
        answers_to(load_cases(BY_HAND), ["head-fit"])
    (found,) = caught.value.findings
    assert (found.code, found.fix) == ("X009", "did you mean `head-fits`?")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"gpus_per_task": 1,', '"gpus_per_task": 1, "cpu_milli_per_task": 100,', "CPU and memory"),
        ('"gpus_per_task": 1, "tasks": [{"state": "pending"}]',
         '"gpus_per_task": 0.5, "tasks": [{"state": "running", "node": "n0", "gpu_groups": ["0", "1"]}]',
         "parts of several GPUs"),
    ],
)  # fmt: skip
def test_a_rule_that_is_missing_is_named(edit: Edit, old: str, new: str, rule: str) -> None:
    (answer,) = answers_to(load_cases(edit(old, new)), ["gang-waits-whole"])
    assert answer.unsupported is not None
    assert rule in answer.unsupported
    assert answer.to_json() == {"unsupported": answer.unsupported}
    assert answer.agrees is False
    assert "0 of 1 as expected; 1 need a rule that gpufleet has not" in answers_text([answer])


def test_an_expectation_is_not_needed(tmp_path: Path) -> None:
    data = json.loads(BY_HAND.read_text(encoding="utf-8"))
    for case in data["cases"]:
        del case["expect"]
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    answers = answers_to(load_cases(path))
    assert {answer.agrees for answer in answers} == {None}
