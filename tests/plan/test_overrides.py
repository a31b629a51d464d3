"""Scenarios and --set: what can go wrong, and what wins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan

Load = Callable[..., Plan]
Codes = Callable[..., list[str]]


def with_scenarios(small: str, text: str) -> str:
    return small + "scenarios:\n" + "".join(f"  {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("option", "found"),
    [
        ("policy.order", "P030 --set policy.order"),
        ("=1", "P030 --set "),
        ("policy.order=[", "P001 --set policy.order"),
        ("policy.order=lifo", "P015 --set policy.order"),
        ("policy.ordr=fifo", "P006 --set policy.ordr"),
        ("site.lab.pue=1.2", "P030 --set site.lab.pue"),
        ("sites.lob.pue=1.2", "P030 --set sites.lob.pue"),
        ("deliveries.lot-2.gpus=8", "P030 --set deliveries.lot-2.gpus"),
        ("deliveries.1.gpus=8", "P030 --set deliveries.1.gpus"),
        ("policy.order.x=8", "P030 --set policy.order.x"),
        ("deliveries.lot-1.gpus=-8", "P010 --set deliveries.lot-1.gpus"),
        ("files.trace=no.csv", "P025 --set files.trace"),
    ],
)
def test_a_wrong_set_is_found_at_its_option(codes: Codes, small: str, option: str, found: str) -> None:
    assert codes(small, [option]) == [found]


def test_one_path_is_set_once(codes: Codes, small: str) -> None:
    assert codes(small, ["policy.order=sjf", "policy.order=fifo"]) == ["P028 --set policy.order"]


def test_a_wrong_path_says_the_likely_one(load: Load, small: str) -> None:
    with pytest.raises(GpufleetError, match=r"did you mean `sites\.lab\.pue`"):
        load(small, ["site.lab.pue=1.2"])


def test_a_part_that_the_plan_does_not_have_can_be_set(load: Load, small: str) -> None:
    bare = small.replace("policy:\n  order: fifo\n", "")
    assert load(bare).policy.order == "fifo"
    assert load(bare, ["policy.order=sjf"]).policy.order == "sjf"


def test_names_with_dots_and_numbers_are_paths(load: Load, small: str) -> None:
    dotted = small.replace("vision: {}", "v1.2: {quota: {B200: 8}}\n  103959: {}")
    plan = load(dotted, ["tenants.v1.2.quota.B200=4", "tenants.103959.title=Team"])
    assert plan.queues["v1.2"].quota == {"B200-SXM": 4}
    assert plan.tenants["103959"].title == "Team"


def test_a_file_given_by_set_is_looked_for_here_first(
    load: Load, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "jobs.csv").write_text("mine")
    (here / "only-here.csv").write_text("mine")
    monkeypatch.chdir(here)
    text = small + "files: {trace: jobs.csv}\n"
    assert load(text).files["trace"] == tmp_path / "jobs.csv"
    assert load(text, ["files.trace=jobs.csv"]).files["trace"] == here / "jobs.csv"
    assert load(text, ["files.trace=nodes.csv"]).files["trace"] == tmp_path / "nodes.csv"
    with pytest.raises(GpufleetError, match="P025"):
        load(text.replace("jobs.csv", "only-here.csv"))


SCENARIOS = """\
easy: {set: {policy.backfill: easy}}
sjf: {with: [easy], set: {policy.order: sjf}}
"""


def test_scenarios_apply_with_those_they_build_on_and_set_wins(load: Load, small: str) -> None:
    text = with_scenarios(small, SCENARIOS)
    assert load(text).policy.order == "fifo"
    plan = load(text, scenarios=["sjf"])
    assert (plan.policy.order, plan.policy.backfill) == ("sjf", "easy")
    assert str(plan.line("policy.order")) == "plan.yaml:18"
    plan = load(text, ["policy.order=priority"], ["sjf"])
    assert (plan.policy.order, plan.policy.backfill) == ("priority", "easy")
    assert load(text, scenarios=["sjf", "easy"]).policy.backfill == "easy"


@pytest.mark.parametrize(
    ("scenarios", "chosen", "found"),
    [
        ("a: {title: x}", [], ["P029 plan.yaml:17"]),
        ("a: {set: {policy.order: fifo}}", [], ["P029 plan.yaml:17"]),
        ("a: {set: {polcy.order: sjf}}", [], ["P030 plan.yaml:17"]),
        ("a: {set: {policy.order: lifo}}", [], ["P015 plan.yaml:17"]),
        ("a: {set: {policy.order: srtf, policy.backfill: easy}}", [], ["P023 plan.yaml:17"]),
        ("a: {set: {sites.lab.power: 300}}", [], ["P009 plan.yaml:17"]),
        ("a: {st: {policy.order: sjf}, set: {policy.order: sjf}}", [], ["P006 plan.yaml:17"]),
        (
            "a: {set: {policy.order: sjf}}\nb: {set: {policy.order: priority}}",
            ["a", "b"],
            ["P028 plan.yaml:18"],
        ),
        (
            "a: {set: {policy.order: sjf}}\nb: {with: [a], set: {policy.order: fifo}}",
            [],
            ["P028 plan.yaml:18"],
        ),
        ("a: {set: {policy: {}}}\nb: {with: [a], set: {policy.order: sjf}}", [], ["P028 plan.yaml:18"]),
        ("a: {with: [b]}\nb: {with: [a]}", [], ["P031 plan.yaml:17", "P031 plan.yaml:18"]),
        ("a: {set: {policy.order: sjf}}", ["c"], ["P016 --scenario c"]),
    ],
)
def test_a_wrong_scenario_is_found_although_nobody_chose_it(
    codes: Codes, small: str, scenarios: str, chosen: list[str], found: list[str]
) -> None:
    assert codes(with_scenarios(small, scenarios), scenarios=chosen) == found


def test_overrides_are_kept_in_the_data_of_the_plan(load: Load, small: str) -> None:
    assert load(small, ["policy.order=sjf"]).data["policy"] == {"order": "sjf"}


def test_a_plan_can_be_given_by_its_folder(folder: Path, small: str) -> None:
    (folder / "plan.yaml").write_text(small)
    assert load_plan(str(folder)).name == "small"


def test_what_a_scenario_does_not_know_is_found_with_all_else(codes: Codes, small: str) -> None:
    text = with_scenarios(small, "a: {set: {sites.lab.powr: 300 kW}}").replace("order: fifo", "order: lifo")
    assert codes(text) == ["P015 plan.yaml:15", "P006 plan.yaml:17"]
