"""When nodes fail: by a rate, by the seed, and each with its own luck."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.study import simulate
from gpufleet.world.build import build
from gpufleet.world.layout import Failures

PLAN = """\
gpufleet: 1
name: faults
start: 2026-01-05
end: 2027-01-05
sites: {hall: {}}
deliveries:
  - {name: first, to: hall, system: DGX B200, gpus: 800, at: 2026-01-05, status: online}
tenants: {lab: {}}
failures: {gpu_hours_between: 50000, repair: 1 d}
"""
LATER = "  - {name: later, to: hall, system: DGX B200, gpus: 80, at: 2026-07-05, status: online}\n"
Load = Callable[..., Plan]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str, overrides: tuple[str, ...] = ()) -> Plan:
        (tmp_path / "plan.yaml").write_text(text)
        return load_plan(tmp_path / "plan.yaml", sets=overrides)

    return load


def _failures(plan: Plan) -> Failures:
    found = build(plan).world.failures
    assert found is not None
    return found


def test_the_rate_is_that_of_the_plan(load: Load) -> None:
    found = _failures(load(PLAN))
    gpu_hours = 800 * 365 * 24 - 8 * found.repair_s.sum() / 3600
    expected = gpu_hours / 50_000
    assert abs(len(found.t_s) - expected) < 4 * expected**0.5
    assert abs(found.repair_s.mean() / 86_400 - 1) < 4 / len(found.t_s) ** 0.5


def test_nobody_fails_while_it_is_repaired_or_before_it_is_there(load: Load) -> None:
    found = _failures(load(PLAN.replace("tenants", LATER + "tenants"), ("failures.gpu_hours_between=500",)))
    assert (np.diff(found.t_s) >= 0).all()
    for node in np.unique(found.node):
        mine = found.node == node
        assert (found.t_s[mine][1:] > (found.t_s + found.repair_s)[mine][:-1]).all()
    assert found.t_s[found.node >= 100].min() > 181 * 86_400


def test_another_lot_shifts_nobodys_luck(load: Load) -> None:
    before = _failures(load(PLAN))
    after = _failures(load(PLAN.replace("tenants", LATER + "tenants")))
    same = after.node < 100
    assert [column[same].tolist() for column in after] == [column.tolist() for column in before]
    assert _failures(load(PLAN, ("seed=2",))).t_s.tolist() != before.t_s.tolist()


def test_jobs_on_failed_nodes_start_again(load: Load) -> None:
    big = "workloads: {big: {kind: campaign, queue: lab, gpus: 800, duration: 8 d, at: 2026-01-06}}\n"
    plan = load(PLAN + big, ("failures.gpu_hours_between=100000",))
    run = simulate(plan)
    job = run.jobs.row(0, named=True)
    assert job["state"] == "done"
    assert job["failures"] == job["preemptions"] > 0
    assert job["attempts"] == job["failures"] + 1
    assert job["lost_s"] == job["run_s"] - 8 * 86_400 > 0
    assert job["wait_not_online_s"] > 0  # it needs all nodes, and one is being repaired


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("gpu_hours_between: 0", "P011"),
        ("gpu_hours_between: -5", "P011"),
        ("gpu_hours_between: often", "P008"),
        ("gpu_hours: 5", "P006"),
    ],
)
def test_rates_that_cannot_be_meant(load: Load, wrong: str, code: str) -> None:
    with pytest.raises(GpufleetError) as caught:
        load(PLAN.replace("gpu_hours_between: 50000", wrong))
    assert code in {finding.code for finding in caught.value.findings}


def test_the_lock_knows_what_fails(load: Load, tmp_path: Path) -> None:
    run = simulate(load(PLAN), out=tmp_path / "run")
    assert run.plan["failures"]["gpu_hours_between"] == 50_000
    assert run.plan["lines"]["failures.gpu_hours_between"] == "plan.yaml:9"
