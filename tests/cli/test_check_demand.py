"""`gpufleet check` says how many jobs a plan comes to, and how long simulating them may take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpufleet.cli import main

PLAN = """\
gpufleet: 1
name: p
start: 2026-01-01
end: 2026-03-01
sites: {lab: {}}
deliveries: [{name: x, to: lab, system: DGX B200, gpus: 64, at: 2026-01-01}]
tenants: {a: {}}
workloads:
  w: {kind: profile, profile: philly, queue: a, load: 0.5}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def check(plan: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["check", str(plan), *options])
    return int(left.value.code or 0)


def test_jobs_gpu_hours_and_time_are_printed(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(plan) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("w: about ")
    assert lines[-1].startswith("in all about ")
    assert "a run with its report takes roughly" in lines[-1]


def test_the_same_as_json(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(plan, "--json") == 0
    demand = json.loads(capsys.readouterr().out)["demand"]
    assert set(demand) == {"by_workload", "jobs", "gpu_hours", "run_s", "jobs_per_s"}
    assert demand["jobs"] == demand["by_workload"]["w"]["jobs"] > 1000
    assert demand["run_s"] == pytest.approx(demand["jobs"] * (1 / demand["jobs_per_s"] + 1 / 2.5e6) + 4)
    half = 64 * 59 * 24 / 2  # of the GPU-hours that there are; days are uneven
    assert demand["gpu_hours"] == pytest.approx(half, rel=0.25)
    plan.write_text(PLAN.replace("workloads:\n", "").replace("  w: {kind", "# {kind"))
    assert check(plan, "--json") == 0
    assert json.loads(capsys.readouterr().out)["demand"] is None


def test_strict_counts_demand_above_the_fleet(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.write_text(PLAN.replace("load: 0.5", "load: 1.5"))
    assert check(plan) == 0
    assert "P072" in capsys.readouterr().out
    assert check(plan, "--strict") == 2
