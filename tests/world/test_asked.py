"""What workloads by profile come to before a job is drawn, and warnings about it."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.study import check_world
from gpufleet.world.asked import MEASURED_PER_S, REPORT_S
from gpufleet.world.build import build
from gpufleet.world.capacity import capacity_of
from gpufleet.world.names import Names
from gpufleet.world.online import online_of, usable_gpus

FLEET = """
systems:
  box: {product: B200-SXM, gpus_per_node: 8, nodes_per_domain: 1}
  old: {product: H200-SXM-141GB, gpus_per_node: 8, nodes_per_domain: 1}
sites: {lab: {}}
deliveries:
  - {name: x, to: lab, system: box, gpus: 512, at: 2026-01-01}
  - {name: y, to: lab, system: old, gpus: 256, at: 2026-02-01}
  - {name: own, to: lab, system: box, gpus: 64, at: 2026-01-01, for: a}
tenants: {a: {quota: {B200: 320}}, b: {}}
workloads:
"""


def line(name, rest, queue="a"):
    return f"  {name}: {{kind: profile, profile: philly, queue: {queue}, {rest}}}\n"


def codes(plan):
    return [(found.code, found.severity) for found in check_world(plan).findings]


def test_usable_gpus_by_hand(plan_of):
    plan = plan_of(FLEET + line("w", "load: 0.5"))
    names = Names.of(plan)
    fleet = capacity_of(plan, names)
    online = online_of(fleet)
    assert online.from_s.tolist() == [0, 31 * 86400]

    def usable(queue, *speeds):
        return usable_gpus(fleet, online, names, plan.queues[queue], speeds).tolist()

    assert usable("a") == [320.0, 576.0]  # 576 B200, quota 320; then 256 H200 without quota
    assert usable("b") == [512.0, 768.0]  # not the 64 of tenant a
    assert usable("b", ("B200-SXM", 1.0), ("H200-SXM-141GB", 0.5)) == [512.0, 640.0]
    assert usable("b", ("H200-SXM-141GB", 0.5)) == [0.0, 128.0]


def test_implied_counts_by_hand_and_against_the_jobs(plan_of):
    plan = plan_of(FLEET + line("w", "gpu_hours_per_month: 200000") + line("v", "load: 0.2", "b"))
    implied = check_world(plan).implied
    assert list(implied.by_workload) == ["w", "v"]
    assert implied.jobs == pytest.approx(sum(each.jobs for each in implied.by_workload.values()))
    # 59 days of 730.5 h a month; days are uneven, so only about
    assert implied.by_workload["w"].gpu_hours == pytest.approx(200_000 * 59 * 24 / 730.5, rel=0.25)
    jobs = build(plan).demand.jobs()
    assert len(jobs.gpus) == pytest.approx(implied.jobs, abs=5 * implied.jobs**0.5)
    work = jobs.gpus * jobs.work_s
    assert work.sum() / 3600 == pytest.approx(
        implied.gpu_hours, rel=5 * np.sqrt((work**2).sum()) / work.sum()
    )
    per_job_s = 1 / implied.jobs_per_s + 1 / MEASURED_PER_S
    assert implied.run_s == pytest.approx(implied.jobs * per_job_s + REPORT_S)
    assert json.loads(json.dumps(implied.to_json()))["by_workload"]["v"]["mean_gpus"] > 1
    assert [text.split(":")[0] for text in implied.lines()][:2] == ["w", "v"]


def test_counting_needs_no_engine(plan_of):
    plan = plan_of(FLEET + line("w", "load: 0.5"))
    loaded = {name for name in sys.modules if name.startswith(("numba", "gpufleet.engine"))}
    assert check_world(plan).implied.jobs > 1
    assert {name for name in sys.modules if name.startswith(("numba", "gpufleet.engine"))} == loaded


def test_a_plan_without_profiles_implies_nothing(plan_of):
    plan = plan_of(FLEET + "  c: {kind: campaign, queue: a, gpus: 8, duration: 1 d, at: 2026-01-02}\n")
    assert check_world(plan) == ([], [], None)


def test_a_load_above_one_is_told_with_its_backlog(plan_of):
    plan = plan_of(FLEET + line("w", "load: 1.5, products: {H200: 0.5}"))
    (found,) = check_world(plan).findings
    assert (found.code, found.severity) == ("P072", "warning")
    assert str(found.at) == "plan.yaml:16"
    # 256 H200 at half speed for 28 days: half of 128 x 28 x 24 GPU-hours too much
    assert found.says == (
        "w: 1.50 times the GPUs that there are for this; on 2026-03-01 43,008 GPU-hours wait, "
        "14.0 days of these GPUs"
    )


def test_loads_that_share_gpus_are_added_up(plan_of):
    one = line("w", "load: 0.6", "b") + line("v", "load: 0.6", "b")
    (found,) = check_world(plan_of(FLEET + one)).findings
    assert found.code == "P072"
    assert found.says.startswith("w, v: 1.20 times")
    apart = line("w", "load: 0.6, products: {B200: 1}", "b") + line(
        "v", "load: 0.6, products: {H200: 1}", "b"
    )
    assert codes(plan_of(FLEET + apart)) == []
    across = line("w", "load: 0.9, products: {H200: 1}", "a") + line(
        "v", "load: 0.9, products: {H200: 1}", "b"
    )
    (found,) = check_world(plan_of(FLEET + across)).findings
    assert found.says.startswith("w, v: 1.80 times")


def test_load_below_one_is_not_told(plan_of):
    assert codes(plan_of(FLEET + line("w", "load: 0.5") + line("v", "load: 0.3", "b"))) == []


def test_gpu_hours_before_there_are_gpus_are_told_only_if_they_wait_at_the_end(plan_of):
    little = line("w", "gpu_hours_per_month: 20000, products: {H200: 1}", "b")
    assert codes(plan_of(FLEET + little)) == []
    much = line("w", "gpu_hours_per_month: 187008, products: {H200: 1}", "b")
    assert codes(plan_of(FLEET + much)) == [("P072", "warning")]


def test_a_load_while_nothing_is_there_makes_no_job(plan_of):
    assert codes(plan_of(FLEET + line("w", "load: 0.5, products: {H200: 1}, to: 2026-02-01", "b"))) == [
        ("P073", "warning")
    ]


def test_jobs_larger_than_the_fleet_are_counted(plan_of):
    plan = plan_of(FLEET + line("w", "load: 0.5, scale: {gpus: 64}"))
    (found,) = check_world(plan).findings
    assert (found.code, found.severity) == ("P075", "warning")
    assert "at most 320 can ever be had" in found.says  # the quota of a
    capped = plan_of(FLEET + line("w", "load: 0.5, scale: {gpus: 64, most_gpus: 256}"))
    assert codes(capped) == []


def test_too_many_jobs_are_refused(plan_of):
    plan = plan_of(FLEET + line("w", "gpu_hours_per_month: 900000000000"))
    with pytest.raises(GpufleetError) as caught:
        check_world(plan)
    assert [(found.code, found.severity) for found in caught.value.findings] == [("P074", "error")]
    with pytest.raises(GpufleetError):
        build(plan)


def test_what_comes_after_the_last_job_is_not_told(plan_of):
    later = FLEET + line("w", "load: 1.5, from: 2026-02-15") + line("v", "load: 0.5, from: 2026-02-15", "b")
    assert codes(plan_of(later)) == [("P072", "warning")]
    assert codes(plan_of("jobs_until: 2026-02-01\n" + later)) == []
