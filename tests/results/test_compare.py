"""`compare`: nothing for the same run, and what changed in plan, measures and jobs for another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from small import STORIES, Story, small

from gpufleet.base.language import speaking
from gpufleet.results.compare import Change, SupplyChange, compare
from gpufleet.results.compared import answer, measure_text, plan_text
from gpufleet.results.run import Run
from gpufleet.world.layout import NO_FREE


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("other")
    stories = list(STORIES)
    stories[2] = Story(run_s=1800)
    stories[6] = Story([(NO_FREE, NO_FREE, 3600)], 3600)
    sets = ["tenants.research.quota.P100-like=16", "policy.order=sjf"]
    return small(folder / "plan", stories, sets).write(folder / "run")


def test_a_run_against_itself_is_empty(run: Run) -> None:
    same = compare(run, Run.load(run.path))
    assert same.empty
    assert same.to_json()["same"] is True
    assert str(same).endswith("are the same")


def test_changes_say_before_and_after(run: Run, other: Run) -> None:
    told = compare(run, other)
    assert [plan_text(change, told.clocks) for change in told.plan] == [
        "~ queues.research.quota.P100-like: 8 -> 16",
        "~ policy.order: fifo -> sjf",
    ]
    lines = {change.what: measure_text(change) for change in told.measures}
    assert lines["jobs [state=done]"] == "~ jobs (state done): 4 jobs -> 5 jobs (+1 job)"
    assert lines["jobs [state=waiting]"] == "~ jobs (state waiting): 1 job -> 0 jobs (−1 job)"
    assert lines["busy_gpu_h"] == "~ GPU-hours in use: 18.1 GPU·h -> 26.1 GPU·h (+8 GPU·h)"


def test_two_plans_are_told_apart_at_the_top(run: Run, other: Run) -> None:
    assert "two different plans" not in compare(run, other).text()
    strange = replace(compare(run, other), plans=("small", "large"))
    assert strange.text().splitlines()[0] == (
        "These are two different plans, small and large: what differs is not the effect of one change"
    )
    assert strange.to_json()["plans"] == ["small", "large"]


def test_what_it_comes_to_stands_first(run: Run, other: Run) -> None:
    """One big job no longer waits at the end, another starts earlier."""
    before, after = (one.measure("waiting_gpu_h") for one in (run, other))
    first = compare(run, other).text().splitlines()[0]
    assert first.startswith(f"Jobs wait for {after:,.3g} GPU·h instead of {before:,.3g} GPU·h")


def test_supply_is_compared_in_every_month(tmp_path: Path) -> None:
    plans = [
        small(tmp_path / f"plan-{i}", sets=sets) for i, sets in enumerate(([], ["deliveries.lot-2.gpus=16"]))
    ]
    runs = [plan.write(tmp_path / f"run-{i}") for i, plan in enumerate(plans)]
    told = compare(*runs)
    online = [change for change in told.supply if change.step == "online"]
    assert online == [SupplyChange("online", "2026-01", 24, 32, "2026-01", 24, 32)]
    text = told.text()
    assert text.startswith("Up to 8 GPUs more are online (end of 2026-01)\n")
    assert "~ GPUs online: differ most in 2026-01, 24 -> 32" in text
    assert told.to_json()["supply"][-1]["most_after"] == 32


def test_first_and_largest_differences_are_told_apart() -> None:
    change = SupplyChange("online", "2026-03", 8, 16, "2026-05", 8, 64)
    assert list(answer([change], [])) == ["Up to 56 GPUs more are online (end of 2026-05)"]


def test_power_is_told_by_day_and_unit(run: Run, tmp_path: Path) -> None:
    sets = ["sites.lab.power=500 kW", "sites.lab.pue=1.3", "systems.box.node_power=2 kW"]
    told = compare(run, small(tmp_path / "plan", sets=sets).write(tmp_path / "run"))
    assert [plan_text(change, told.clocks) for change in told.plan] == [
        "~ sites.lab.pue: 1 -> 1.3",
        "+ sites.lab.power: from 2026-01-05 500.0 kW",
        "+ systems.box.node_power: 2.0 kW",
    ]
    assert told.to_json()["plan"][1]["after"] == [[0, 500_000.0]]


def test_dates_follow_the_language(run: Run, other: Run) -> None:
    with speaking("ko"):
        text = compare(run, other).text()
    assert "2026년 1월 5일 00:13 -> 2026년 1월 5일 00:01" in text
    assert "wait" not in text


def test_jobs_that_moved_are_counted_and_the_largest_shown(run: Run, other: Run) -> None:
    jobs = compare(run, other).jobs
    assert (jobs.both, jobs.changed, jobs.earlier, jobs.later, jobs.started) == (7, 2, 1, 0, 1)
    assert jobs.states == (("waiting", "done", 1),)
    assert [(s.workload, s.name, s.shift_s) for s in jobs.shifts] == [("history", "3", -700)]
    text = compare(run, other).text()
    assert "jobs: 2 of 7 start, end or finish otherwise" in text
    assert "~ history/3: starts 2026-01-05 00:13 -> 2026-01-05 00:01 (11 min 40 s earlier)" in text


def test_it_turns_around(run: Run, other: Run) -> None:
    there, back = compare(run, other), compare(other, run)
    assert [(c.what, c.before, c.after) for c in there.plan] == [
        (c.what, c.after, c.before) for c in back.plan
    ]
    assert there.jobs.shifts[0].shift_s == -back.jobs.shifts[0].shift_s
    assert "~ jobs (state waiting): 0 jobs -> 1 job (+1 job)" in str(back)


def test_plans_that_start_elsewhere_compare_moments(run: Run, tmp_path: Path) -> None:
    early = small(tmp_path / "plan")
    text = (tmp_path / "plan" / "plan.yaml").read_text().replace("start: 2026-01-05", "start: 2026-01-04")
    assert "start: 2026-01-04" in text
    moved = early.write(tmp_path / "run")
    lock = (moved.path / "plan.lock.yaml").read_text()
    (moved.path / "plan.lock.yaml").write_text(lock.replace("start: '2026-01-04T15", "start: '2026-01-03T15"))
    jobs = compare(run, Run(moved.path)).jobs
    assert {shift.shift_s for shift in jobs.shifts} == {-86400}


def test_jobs_of_one_run_only_are_added_or_removed(run: Run, tmp_path: Path) -> None:
    fewer = small(tmp_path / "plan", [*STORIES[:6]], drop_campaign=True).write(tmp_path / "run")
    told = compare(run, fewer)
    assert (told.jobs.both, told.jobs.removed, told.jobs.added) == (6, 1, 0)
    assert "- 1 job\n" in f"{told.text()}\n"
    assert "- workloads.big.gpus: 8" in told.text()


def test_times_over_which_gpu_hours_are_counted_are_said(run: Run, tmp_path: Path) -> None:
    shorter = small(tmp_path / "plan", sets=["end=2026-01-05 20:00"]).write(tmp_path / "run")
    told = compare(run, shorter)
    assert told.counted == ("2026-01-06 00:00", "2026-01-05 20:00")
    assert "GPU-hours are counted until 2026-01-06 00:00 -> 2026-01-05 20:00" in str(told)
    assert "~ end: 2026-01-06 -> 2026-01-05 20:00" in str(told)
    assert told.to_json()["plan"][0]["before"] == "2026-01-05T15:00:00Z"


def test_runs_without_a_common_job_say_so(run: Run, tmp_path: Path) -> None:
    other = small(tmp_path / "plan").write(tmp_path / "run")
    jobs = run.jobs.with_columns(name=pl.lit("other-") + pl.col("name"))
    jobs.write_parquet(other.path / "jobs.parquet")
    told = compare(run, Run(other.path))
    assert (told.jobs.both, told.jobs.added, told.jobs.removed) == (0, 7, 7)
    assert "jobs: no job is in both runs\n  + 7 jobs\n  - 7 jobs" in told.text()


def test_size_classes_come_by_size(run: Run, tmp_path: Path) -> None:
    other = small(tmp_path / "plan").write(tmp_path / "run")
    rows = [row for row in other.measures_json["measures"] if row["by"].keys() != {"size"}]
    p50 = next(row for row in rows if row["name"] == "wait_p50_s")
    sizes = (">512", "1", "65-512", "2-8")
    other.measures_json["measures"] = rows + [{**p50, "by": {"size": size}, "value": 5.5} for size in sizes]
    changes = [change.what for change in compare(run, other).measures]
    found = [what for what in changes if what.startswith("wait_p50_s")]
    assert found == [f"wait_p50_s [size={size}]" for size in ("1", "2-8", "65-512", ">512")]


def test_numbers_that_look_alike_show_their_digits() -> None:
    change = Change("~", "busy_gpu_h", 2252.25, 2252.5, "GPU·h")
    assert measure_text(change) == "~ GPU-hours in use: 2,252.25 GPU·h -> 2,252.5 GPU·h (+0.25 GPU·h)"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            Change("~", "utilisation", 0.7743, 0.8653, "1"),
            "utilisation: 77.4 % -> 86.5 % (+9.1 percentage points)",
        ),
        (
            Change("~", "wait_p90_s", 65_265, 77_867, "s"),
            "wait, P90: 18 h 7 min -> 21 h 37 min (+3 h 30 min)",
        ),
        (
            Change("-", "unpowered_gpu_h", 1_017_984.0, None, "GPU·h"),
            "GPU-hours delivered without power: 1,020,000 GPU·h -> 0 GPU·h (−1,020,000 GPU·h)",
        ),
    ],
)
def test_values_are_written_as_people_read_them(change: Change, says: str) -> None:
    assert measure_text(change) == f"~ {says}"


def test_a_measure_of_one_run_only_stands_alone() -> None:
    change = Change("+", "wait_p50_s [tenant=new]", None, 60, "s", (("tenant", "new"),))
    assert measure_text(change) == "+ wait, P50 (tenant new): 1 min"


def test_json_is_plain(run: Run, other: Run) -> None:
    value = compare(run, other).to_json()
    assert value["schema"] == "gpufleet.compare/1"
    assert value == json.loads(json.dumps(value))
    assert value["jobs"]["states"] == [{"before": "waiting", "after": "done", "jobs": 1}]
