"""Limits, projects, arrays and dependencies: what a plan cannot mean, and what has no effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpufleet.base.errors import Finding, GpufleetError, explanations
from gpufleet.plan import Plan
from gpufleet.plan.limits import limits_on

Load = Callable[..., Plan]

PLAN = """\
gpufleet: 1
name: small
start: 2026-01-05
end: 2026-01-19
sites: {lab: {}}
deliveries: [{to: lab, system: DGX B200, gpus: 64, at: 2026-01-05}]
tenants:
  lab:
    quota: {B200: 32}
    limits: {per_user: {gpus: 8, jobs: 4}, per_project: {gpus: {B200: 16}, for: 30 d}}
  guests: {}
workloads:
  daily: {kind: profile, profile: philly, load: 0.2, queue: lab, projects: 3, to: 2026-01-12}
  sweep: {kind: campaign, queue: lab, gpus: 8, duration: 1 h, at: 2026-01-06, tasks: 9, at_once: 3}
  sum: {kind: campaign, queue: lab, gpus: 8, duration: 1 h, at: 2026-01-06, project: x, after: [sweep, daily]}
  more: {kind: profile, profile: philly, load: 0.1, queue: lab}
"""

# What is written instead, what is found and where, words of it.
CASES = [
    ("gpus: 8, jobs: 4}", "gpus: 0}", "P010 plan.yaml:10", "0 GPUs"),
    ("per_user: {gpus: 8, jobs: 4}", "per_user: {gpus: {}}", "P008 plan.yaml:10", "limits nothing"),
    ("per_user: {gpus: 8, jobs: 4}", "per_user: {}", "P008 plan.yaml:10", "limits nothing"),
    ("gpus: 8, jobs: 4}", "gpus: 8, for: 1 d}", "P023 plan.yaml:10", "users do not end"),
    ("{B200: 16}", "{B200: 16, B200-SXM: 8}", "P020 plan.yaml:10", "has a limit already"),
    ("{B200: 16}", "{B20: 16}", "C001 plan.yaml:10", "B20"),
    ("{B200: 16}", "{B200: 48}", "P133 plan.yaml:10", "a limit of 48 B200-SXM; lab may hold 32 at most"),
    ("{B200: 16}", "{B200: 4}", "P134 plan.yaml:15", "sum wants 8 GPUs; project x may hold 4 at most"),
    ("guests: {}", "guests: {limits: {per_project: {gpus: 8}}}", "P135 plan.yaml:11",
     "has a project: nobody"),
    ("at_once: 3", "at_once: 10", "P024 plan.yaml:14", "runs 10 of 9 jobs at once"),
    ("at_once: 3", "at_once: 9", "P024 plan.yaml:14", "limits nothing"),
    ("tasks: 9, ", "tasks: 0, ", "P010 plan.yaml:14", "0 jobs"),
    ("projects: 3", "projects: 3, project: y", "P023 plan.yaml:13", "both"),
    ("queue: lab, gpus: 8, duration: 1 h, at: 2026-01-06, project",
     "queue: guests, gpus: 8, duration: 1 h, at: 2026-01-06, project", "P132 plan.yaml:15",
     "`project` of sum has no effect: queue guests limits no project"),
    ("queue: lab, projects", "queue: guests, projects", "P132 plan.yaml:13", "`projects` of daily has no"),
    ("[sweep, daily]", "[sweep, dayly]", "P016 plan.yaml:15", "there is no workload `dayly`"),
    ("[sweep, daily]", "[sweep, sweep]", "P020 plan.yaml:15", "twice"),
    ("[sweep, daily]", "[]", "P008 plan.yaml:15", "names no workload"),
    ("[sweep, daily]", "[{workload: daily, all: true}]", "P006 plan.yaml:15", "`all` is not a key"),
    ("[sweep, daily]", "sum", "P130 plan.yaml:15", "sum waits for itself"),
    ("at_once: 3", "at_once: 3, after: sum", "P130 plan.yaml:14",
     "workloads wait for each other: sweep after sum after sweep"),
    (", to: 2026-01-12", "", "P131 plan.yaml:15", "sum waits for all jobs of daily, which come until"),
    ("to: 2026-01-12", "to: 2026-02-12", "P131 plan.yaml:15", "of the plan, 2026-01-19"),
]  # fmt: skip


def findings(load: Load, text: str) -> list[Finding]:
    """Errors of a plan, else its warnings."""
    try:
        return list(load(text).warnings)
    except GpufleetError as error:
        return list(error.findings)


def test_the_plan_is_well(load: Load) -> None:
    plan = load(PLAN)
    assert not plan.warnings
    sweep, total = plan.workloads["sweep"], plan.workloads["sum"]
    assert (sweep.tasks, sweep.at_once) == (9, 3)  # type: ignore[union-attr]
    assert [(each.workload, each.any) for each in total.after] == [("sweep", False), ("daily", False)]
    ((path, limit),) = limits_on(plan, "lab", "per_project")
    assert (path, limit.gpus, limit.for_s) == ("tenants.lab.limits.per_project", {"B200-SXM": 16}, 30 * 86400)
    assert limit.most("B200-SXM") == 16
    assert limits_on(plan, "guests", "per_user") == []


@pytest.mark.parametrize(("old", "new", "found", "words"), CASES, ids=[case[1][:40] for case in CASES])
def test_bad_input_is_one_clear_finding(load: Load, old: str, new: str, found: str, words: str) -> None:
    assert PLAN.count(old) == 1
    (one,) = findings(load, PLAN.replace(old, new))
    assert f"{one.code} {one.at}" == found
    assert words in one.says
    assert one.fix


def test_a_dependency_is_written_in_three_ways(load: Load) -> None:
    for text, any_end in (("sweep", False), ("{workload: sweep, any: true}", True), ("[sweep]", False)):
        (after,) = load(PLAN.replace("[sweep, daily]", text)).workloads["sum"].after
        assert (after.workload, after.any) == ("sweep", any_end)


def test_two_rings_are_told_apart(load: Load) -> None:
    text = PLAN.replace("at_once: 3", "at_once: 3, after: sum")
    text += "  odd: {kind: campaign, queue: guests, gpus: 8, duration: 1 h, at: 2026-01-06, after: odd}\n"
    assert sorted(one.code for one in findings(load, text)) == ["P130", "P130"]


def test_a_limit_of_a_tenant_holds_all_its_queues_together(load: Load) -> None:
    text = PLAN.replace(
        "    quota: {B200: 32}\n", "    queues: {a: {quota: {B200: 8}}, b: {quota: {B200: 8}}}\n"
    )
    text = text.replace("queue: lab", "queue: a").replace("{B200: 16}", "{B200: 17}")
    (one,) = [one for one in findings(load, text) if one.code == "P133"]
    assert "a limit of 17 B200-SXM; a and b may hold 16 at most" in one.says


@pytest.mark.parametrize("code", ["P130", "P131", "P132", "P133", "P134", "P135"])
def test_each_code_is_explained(code: str) -> None:
    assert explanations[code].example
