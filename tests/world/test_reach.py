from __future__ import annotations

import pytest

from gpufleet.study import check_world, never_fits
from gpufleet.world.build import build
from gpufleet.world.reach import most_for_class, most_in_service

BASE = """
systems: {box: {product: B200-SXM, gpus_per_node: 8, nodes_per_domain: 1}}
sites: {north: {}, south: {}}
deliveries:
  - {name: n, to: north, system: box, gpus: 32, at: 2026-01-01}
  - {name: s, to: south, system: box, gpus: 16, at: 2026-01-05}
  - {name: own, to: south, system: box, gpus: 48, at: 2026-01-01, for: a}
retirements: [{from: north, system: box, gpus: 24, at: 2026-01-03}]
tenants: {a: {}, b: {quota: {B200: 24}}}
workloads: {h: {kind: trace, file: jobs.csv}}
"""
JOBS = "job,submit_s,gpus,duration_s,queue\nj0,0,48,10,a\nj1,5,24,10,b\nj2,9,{gpus},10,{queue}\n"


@pytest.mark.parametrize(("queue", "most"), [("a", 48), ("b", 24)])
def test_the_most_that_a_job_can_have(plan_of, queue, most):
    fits = build(plan_of(BASE, jobs=JOBS.format(gpus=most, queue=queue)))
    assert most_in_service(fits.world).tolist() == [32, 16, 48]
    assert most_for_class(fits.world)[fits.demand.jobs().cls[2]] == most
    assert not list(never_fits(plan_of(BASE, jobs=JOBS.format(gpus=most, queue=queue)), fits))
    plan = plan_of(BASE, jobs=JOBS.format(gpus=most + 1, queue=queue))
    (found,) = never_fits(plan, build(plan))
    assert (found.code, found.severity) == ("T061", "warning")
    assert found.says == f"1 job asks for up to {most + 1} GPUs; at most {most} can ever be had at once"


def test_what_the_check_of_a_world_finds_with_and_without_traces(plan_of):
    plan = plan_of(BASE.replace("gpus: 24, at", "gpus: 240, at"), jobs=JOBS.format(gpus=1000, queue="a"))
    assert [found.code for found in check_world(plan)[0]] == ["P061"]
    assert [found.code for found in check_world(plan, traces=True)[0]] == ["P061", "T061"]


def test_a_delivery_after_the_end_counts_only_for_runs_that_go_on(plan_of):
    world = build(plan_of(BASE, jobs=JOBS.format(gpus=1, queue="a"))).world
    late = world.capacity._replace(t_s=world.capacity.t_s + world.clock.end_s)
    assert most_in_service(world._replace(capacity=late)).tolist() == [0, 0, 0]
    on = world._replace(capacity=late, clock=world.clock._replace(finish=1))
    assert most_in_service(on).tolist() == [32, 16, 48]
