from __future__ import annotations

from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan.load import load_plan
from gpufleet.starter import starter_plan

HEAD = "job,submit,gpus,duration_s,queue\n"


def plan_from(tmp_path: Path, rows: str, name: str = "lab"):
    trace = tmp_path / "jobs.csv"
    trace.write_text(HEAD + rows)
    path = tmp_path / "plan.yaml"
    path.write_text(starter_plan(name, trace, "auto", tmp_path))
    return load_plan(path), path.read_text()


def test_the_starter_plan_has_no_findings(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(starter_plan("lab", None, "auto", tmp_path))
    plan = load_plan(path)
    assert not plan.warnings
    assert plan.name == "lab"


def test_a_fleet_of_the_peak_use_in_whole_nodes(tmp_path):
    rows = "a,2026-01-05T10:00:00,8,3600,x\nb,2026-01-05T10:30:00,3,3600,y\nc,2026-01-07T23:30:00,4,60,x\n"
    plan, text = plan_from(tmp_path, rows)
    assert plan.deliveries[0].gpus == 16
    assert list(plan.queues) == ["x", "y"]
    assert (f"{plan.start:%m-%d}", f"{plan.end:%m-%d}") == ("01-05", "01-08")
    assert plan.after_end == "finish"
    assert text.count("guess") >= 6
    assert not plan.warnings


@pytest.mark.parametrize("queue", ["7f04ca", "no", "1e3", "a: b", "#x", "é", "off", '"', "{x}"])
def test_queue_names_that_yaml_would_misread(tmp_path, queue):
    cell = queue.replace('"', '""')
    plan, _ = plan_from(tmp_path, f'a,2026-01-05T10:00:00,8,3600,"{cell}"\n')
    assert list(plan.queues) == [queue]


def test_jobs_without_a_queue_get_one(tmp_path):
    plan, _ = plan_from(tmp_path, "a,2026-01-05T10:00:00,8,3600,\nb,2026-01-05T10:00:00,8,3600,x\n")
    assert set(plan.queues) == {"everyone", "x"}
    assert plan.workloads["history"].default_queue == "everyone"


def test_a_trace_that_cannot_be_used(tmp_path):
    (tmp_path / "jobs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(GpufleetError) as caught:
        starter_plan("lab", tmp_path / "jobs.csv", "auto", tmp_path)
    assert caught.value.findings[0].code.startswith("T")


def test_a_limit_that_was_exceeded_is_let_run_on(tmp_path):
    trace = tmp_path / "jobs.csv"
    trace.write_text("job,submit,gpus,duration_s,limit_s\na,2026-01-05,8,90,60\nb,2026-01-05,8,50,60\n")
    text = starter_plan("lab", trace, "auto", tmp_path)
    assert "over_limit: run-on            # guess: 1 job ran longer" in text
    (tmp_path / "plan.yaml").write_text(text)
    assert load_plan(tmp_path / "plan.yaml").policy.over_limit == "run-on"
    trace.write_text(trace.read_text().replace(",90,", ",60,"))
    assert "over_limit" not in starter_plan("lab", trace, "auto", tmp_path)


def test_without_recorded_starts_the_guess_says_so(tmp_path):
    plan, text = plan_from(tmp_path, "a,2026-01-05T10:00:00,8,3600,x\n")
    assert "100 % of the jobs have no recorded start" in text
    assert (plan.policy.backfill, plan.policy.depth) == ("easy", 1000)
    head = "job,submit_s,gpus,duration_s,start_s,end_s\n"
    (tmp_path / "jobs.csv").write_text(head + "a,0,8,60,5,65\n")
    assert "recorded start" not in starter_plan("lab", tmp_path / "jobs.csv", "auto", tmp_path)
