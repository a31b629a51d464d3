"""The plan kueue-cohort, and the worked example of docs/explanation/sharing.md, decided by the kernels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpufleet.engine.sharing.decide import Situation
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.plan.sharing import SharingPlan
from gpufleet.world.build import build
from gpufleet.world.capacity import capacity_of
from gpufleet.world.names import Names
from gpufleet.world.quotas import PodSet, Work, arrays_of
from gpufleet.world.shared import sharing_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "plans" / "kueue-cohort"
NODE = 8  # GPUs of a job
HELD = (("B200-SXM", "gpu", NODE),)


def situation(plan: Plan, works: list[Work]) -> tuple[Situation, list[Work]]:
    names = Names.of(plan)
    policy = plan.policy.sharing
    assert isinstance(policy, SharingPlan)
    made = arrays_of(sharing_of(plan, names, capacity_of(plan, names)), works)
    return Situation(made.tree, made.works, made.shapes), works


def jobs(queue: str, n: int, *, first: int = 0, running: bool = False) -> list[Work]:
    pods, uses = (PodSet("main", 1, {"gpu": NODE}),), HELD if running else None
    return [Work(f"{queue}-{i}", queue, pods, time=i, reserved=i, uses=uses) for i in range(first, first + n)]


def settled(plan: Plan, works: list[Work]) -> tuple[dict[str, int], int]:
    """(GPUs that each queue holds once cycles change nothing any more, evictions on the way)."""
    works, evictions = list(works), 0
    for cycle in range(60):
        made, works = situation(plan, works)
        found = made.cycle(len(works))
        evictions += len(found.victims)
        for i, uses in [*((i, HELD) for i in found.admitted), *((i, None) for i in found.victims)]:
            works[i] = replace(works[i], uses=uses, reserved=cycle)
        if not found.admitted and not found.victims:
            return dict(Counter(work.queue for work in works for _ in range(NODE) if work.uses)), evictions
    raise AssertionError("no end")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(FOLDER)


def test_it_is_sound_and_of_one_page(plan: Plan) -> None:
    assert plan.warnings == ()
    assert build(plan).findings == ()
    assert len((FOLDER / "plan.yaml").read_text().splitlines()) <= 70


@pytest.mark.parametrize("scenario", ["no-lending", "first-come", "vision-grows"])
def test_its_scenarios_load_without_warnings(scenario: str) -> None:
    assert load_plan(FOLDER, scenarios=[scenario]).warnings == ()


def test_monday_one_team_borrows_all_that_is_lent(plan: Plan) -> None:
    assert plan.queues["llm"].most("B200-SXM", 0) == 56
    assert settled(plan, jobs("llm", 8)) == ({"llm": 56}, 0)


def test_tuesday_the_owners_take_their_own_back(plan: Plan) -> None:
    running, one = jobs("llm", 7, running=True), jobs("serving", 1)
    made, works = situation(plan, [*running, *one])
    # the newest of the borrower's jobs, and no more than needed
    assert [works[i].name for i in made.cycle(len(works)).victims] == ["llm-6"]
    got, evictions = settled(plan, [*running, *jobs("serving", 3)])
    assert (got, evictions) == ({"llm": 32, "serving": 24}, 3)
    # the eighth node was never lent: the first job of vision takes it and pushes nobody out
    made, works = situation(plan, [*running, *jobs("vision", 1)])
    found = made.cycle(len(works))
    assert ([works[i].name for i in found.admitted], found.victims) == (["vision-0"], {})


def test_wednesday_what_is_lent_is_shared_by_weight(plan: Plan) -> None:
    both = [*jobs("llm", 10), *jobs("vision", 10)]
    # each cycle takes one job of each, to 32 and 32; llm has less for its weight, and takes one node back
    assert settled(plan, both) == ({"llm": 40, "vision": 24}, 1)


def test_wednesday_who_comes_first_keeps_what_was_borrowed_unless_sharing_is_fair(plan: Plan) -> None:
    vision_first = [*jobs("vision", 8, running=True), *jobs("llm", 10, first=8)]
    first_come = load_plan(FOLDER, scenarios=["first-come"])
    assert settled(first_come, vision_first) == ({"llm": 24, "vision": 40}, 3)
    assert settled(plan, vision_first) == ({"llm": 40, "vision": 24}, 5)


def test_without_lending_each_has_its_own(plan: Plan) -> None:
    alone = load_plan(FOLDER, scenarios=["no-lending"])
    assert settled(alone, [*jobs("llm", 10), *jobs("vision", 10)]) == ({"llm": 24, "vision": 16}, 0)


def test_its_jobs_are_those_of_its_script(tmp_path: Path) -> None:
    script = tmp_path / "make_jobs.py"
    script.write_text((FOLDER / "make_jobs.py").read_text())
    exec(compile(script.read_text(), str(script), "exec"), {"__name__": "__main__", "__file__": str(script)})
    assert (tmp_path / "jobs.csv").read_text() == (FOLDER / "jobs.csv").read_text()


def test_a_plan_of_one_resource_has_products_as_flavors(plan: Plan) -> None:
    names = Names.of(plan)
    made = arrays_of(sharing_of(plan, names, capacity_of(plan, names)), [])
    assert made.names.flavors == names.products
    shared = build(plan).world.shared
    assert shared is not None
    for ours, theirs in zip(shared.tree, made.tree, strict=True):
        np.testing.assert_array_equal(ours, theirs)
