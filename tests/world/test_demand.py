from __future__ import annotations

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.world.build import build

FLEET = """
systems:
  box: {product: B200-SXM, gpus_per_node: 8, nodes_per_domain: 1}
  old: {product: H200-SXM-141GB, gpus_per_node: 8, nodes_per_domain: 1}
sites: {north: {}, south: {}}
deliveries:
  - {name: s, to: south, system: box, gpus: 8, at: 2026-01-01}
  - {name: n, to: north, system: box, gpus: 8, at: 2026-01-01}
  - {name: own, to: south, system: box, gpus: 8, at: 2026-01-01, for: a}
  - {name: o, to: north, system: old, gpus: 8, at: 2026-01-01}
tenants:
  a: {}
  b: {queues: {b1: {}, b2: {}}}
"""
JOBS = """\
job,submit_s,gpus,duration_s,queue,user,limit_s,priority,start_s,end_s
j0,50,4,100,a,u1,200,3,60,160
j1,10,2,100,b1,u2,,,,
j2,50,1,10.5,zz,u1,,,,
j3,10,1,7,b2,,,,,
"""


def options_of(built, job: int) -> list[tuple[str, str, str | None, float]]:
    """(site, product, owner, speed) of each option of a job."""
    cls = built.demand.jobs().cls[job]
    first, n = built.world.classes.first_option[cls], built.world.classes.n_options[cls]
    found = []
    for row in range(first, first + n):
        cell = built.world.options.cell[row]
        cells, names = built.world.cells, built.names
        owner = cells.tenant[cell]
        found.append(
            (
                names.sites[cells.site[cell]],
                names.products[cells.product[cell]],
                names.tenants[owner] if owner >= 0 else None,
                float(built.world.options.speed[row]),
            )
        )
    return found


def test_a_trace_becomes_jobs_in_order_of_time(plan_of):
    plan = plan_of(
        FLEET
        + "workloads: {h: {kind: trace, file: jobs.csv, queue: {default: b1}, products: {B200: 2.0}}}\n",
        jobs=JOBS,
    )
    built = build(plan)
    jobs = built.demand.jobs()
    assert jobs.submit_s.tolist() == [10, 10, 50, 50]
    assert jobs.gpus.tolist() == [2, 1, 4, 1]
    assert jobs.work_s.tolist() == [100.0, 7.0, 100.0, 10.5]
    assert jobs.limit_s.tolist() == [0, 0, 200, 0]
    assert jobs.priority.tolist() == [0, 0, 3, 0]
    table = built.demand.table
    assert table["id"].to_list() == [0, 1, 2, 3]
    assert table["name"].to_list() == ["j1", "j3", "j0", "j2"]
    assert table["queue"].to_list() == ["b1", "b2", "a", "b1"]
    assert table["workload"].to_list() == ["h"] * 4
    assert table["user"].to_list() == ["u2", None, "u1", "u1"]
    assert table["recorded_start_s"].to_list() == [None, None, 60, None]
    assert jobs.cls[0] == jobs.cls[3] != jobs.cls[2]


def test_options_go_by_product_then_own_cells_then_sites(plan_of):
    plan = plan_of(
        FLEET
        + "workloads:\n"
        + "  h: {kind: trace, file: jobs.csv, queue: {default: b1}, products: {H200: 0.5, B200: 1.0}}\n",
        jobs=JOBS,
    )
    built = build(plan)
    assert options_of(built, 2) == [
        ("north", "H200-SXM-141GB", None, 0.5),
        ("south", "B200-SXM", "a", 1.0),
        ("north", "B200-SXM", None, 1.0),
        ("south", "B200-SXM", None, 1.0),
    ]
    assert ("south", "B200-SXM", "a", 1.0) not in options_of(built, 0)


def test_without_products_a_job_takes_every_product_in_the_order_of_deliveries(plan_of):
    built = build(
        plan_of(FLEET + "workloads: {h: {kind: trace, file: jobs.csv, queue: {default: b1}}}\n", jobs=JOBS)
    )
    assert [(product, speed) for _, product, _, speed in options_of(built, 0)] == [
        ("B200-SXM", 1.0),
        ("B200-SXM", 1.0),
        ("H200-SXM-141GB", 1.0),
    ]


def test_queues_are_mapped_and_jobs_without_one_are_counted(plan_of):
    built = build(
        plan_of(FLEET + "workloads: {h: {kind: trace, file: jobs.csv, queue: {map: {b1: b2}}}}\n", jobs=JOBS)
    )
    assert built.demand.table["queue"].to_list() == ["b2", "b2", "a"]
    (intake,) = built.demand.intakes
    assert intake.dropped == {"queue is not in the plan": 1}
    assert intake.rows_read == 4
    (found,) = [f for f in built.findings if f.code == "T060"]
    assert "zz" in found.says
    assert found.severity == "warning"
    assert found.at is not None
    assert found.at.file.endswith("plan.yaml")


def test_a_campaign_is_one_job_and_stands_behind_earlier_workloads_of_its_second(plan_of):
    plan = plan_of(
        FLEET
        + """
workloads:
  big: {kind: campaign, queue: b1, gpus: 8, duration: 3 d, at: 2026-01-01, priority: 10, limit: 4 d}
  h: {kind: trace, file: jobs.csv, queue: {default: b1}}
""",
        jobs=JOBS.replace(",10,", ",0,"),
    )
    built = build(plan)
    jobs = built.demand.jobs()
    assert built.demand.table["name"].to_list()[:2] == ["big", "j1"]
    assert (jobs.gpus[0], jobs.work_s[0], jobs.limit_s[0], jobs.priority[0]) == (
        8,
        3 * 86400.0,
        4 * 86400,
        10,
    )
    assert jobs.cls[0] == jobs.cls[1]  # one queue, one set of options: one class


def test_dropped_rows_of_a_trace_are_told(plan_of):
    text = JOBS + "j4,nonsense,1,5,a,,,,,\n"
    built = build(
        plan_of(FLEET + "workloads: {h: {kind: trace, file: jobs.csv, queue: {default: b1}}}\n", jobs=text)
    )
    assert "T010" in [f.code for f in built.findings]
    assert sum(built.demand.intakes[0].dropped.values()) == 1


def test_a_trace_without_a_needed_column_is_refused(plan_of):
    plan = plan_of(
        FLEET + "workloads: {h: {kind: trace, file: jobs.csv, format: gpufleet}}\n", jobs="job,gpus\na,1\n"
    )
    with pytest.raises(GpufleetError) as caught:
        build(plan)
    assert caught.value.findings[0].code == "T006"


def test_recorded_run_times_over_their_limit_are_told(plan_of):
    jobs = "job,submit_s,gpus,duration_s,limit_s\nj0,0,1,90,60\nj1,0,1,60,60\nj2,0,1,90,\nj3,0,1,70,60\n"
    text = (
        FLEET
        + "workloads: {w: {kind: trace, file: jobs.csv, queue: {default: a}%s}}\npolicy: {over_limit: %s}\n"
    )
    (found,) = build(plan_of(text % ("", "kill"), jobs=jobs)).findings
    assert (found.code, found.severity) == ("T062", "warning")
    assert found.says == "2 recorded run times exceed their limit; they will be killed (policy.over_limit)"
    assert not build(plan_of(text % ("", "run-on"), jobs=jobs)).findings
    assert not build(plan_of(text % (", products: {B200: 2.0}", "kill"), jobs=jobs)).findings
