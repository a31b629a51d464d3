from __future__ import annotations

import numpy as np
import pytest

from gpufleet.world import layout
from gpufleet.world.build import GRIDS_S, MOST_BINS, build, grid_for, islands
from gpufleet.world.classes import class_tables

BASE = """
systems: {box: {product: B200-SXM, gpus_per_node: 8, nodes_per_domain: 1}}
sites: {lab: {}}
deliveries:
  - {name: own, to: lab, system: box, gpus: 8, at: 2026-01-01, for: a}
  - {name: shared, to: lab, system: box, gpus: 8, at: 2026-01-01}
  - {name: only, to: lab, system: box, gpus: 8, at: 2026-01-01, for: c}
tenants:
  a: {quota: {B200: 8}}
  b: {}
  c: {}
"""


def test_quota_is_per_queue_and_product(plan_of):
    world = build(plan_of(BASE)).world
    assert world.queues.quota.tolist() == [[8], [-1], [-1]]
    assert world.queues.tenant.tolist() == [0, 1, 2]


def test_queues_that_share_a_cell_are_one_island(plan_of):
    text = (
        BASE
        + "workloads:\n"
        + "".join(
            f"  w{q}: {{kind: campaign, queue: {q}, gpus: 1, duration: 1 h, at: 2026-01-02}}\n" for q in "abc"
        )
    )
    world = build(plan_of(text)).world
    assert world.queues.island.tolist() == [0, 0, 0]
    # shared, a's, c's
    assert world.cells.tenant.tolist() == [-1, 0, 2]
    assert world.cells.island.tolist() == [0, 0, 0]


def test_islands_without_shared_cells_are_apart(plan_of):
    text = (
        BASE.replace("  - {name: shared, to: lab, system: box, gpus: 8, at: 2026-01-01}\n", "")
        + "workloads:\n"
    )
    text += "".join(
        f"  w{q}: {{kind: campaign, queue: {q}, gpus: 1, duration: 1 h, at: 2026-01-02}}\n" for q in "abc"
    )
    world = build(plan_of(text)).world
    assert world.queues.island.tolist() == [0, -1, 1]
    assert world.cells.island.tolist() == [0, 1]
    assert world.classes.n_options.tolist() == [1, 0, 1]


def test_islands_are_numbered_by_their_first_queue():
    tables = class_tables([(3, ((0, 1.0),)), (1, ((1, 1.0),)), (2, ((0, 1.0), (2, 1.0)))])
    of_queue, of_cell = islands(4, 4, *tables)
    assert of_queue.tolist() == [-1, 0, 1, 1]
    assert of_cell.tolist() == [1, 0, 1, -1]


def test_the_policy_becomes_numbers(plan_of):
    text = (
        BASE
        + """
policy:
  order: srtf
  strict: false
  placement: consolidate
  select: count
  interval: 30 s
  restart_overhead: [{gpus_up_to: 8, add: 40 s}, {add: 60 s}]
  finish_lag: 1 s
"""
    )
    policy = build(plan_of(text)).world.policy
    assert (policy.order, policy.strict, policy.select) == (layout.SRTF, 0, layout.SELECT_COUNT)
    assert policy.placement == layout.CONSOLIDATE
    assert (policy.interval_s, policy.finish_lag_s) == (30, 1)
    assert policy.overhead_gpus.tolist() == [8, 2**31 - 1]
    assert policy.overhead_s.tolist() == [40, 60]


def test_the_clock(plan_of):
    clock = build(plan_of(BASE)).world.clock
    assert clock == layout.Clock(end_s=59 * 86400, finish=0, grid_s=3600)
    assert build(plan_of("after_end: finish\n" + BASE)).world.clock.finish == 1


@pytest.mark.parametrize("days", [1, 2, 14, 15, 43, 171, 1000, 4096, 4097, 40000])
def test_a_timeline_has_a_bounded_number_of_bins(days):
    grid_s = grid_for(days * 86400)
    assert days * 86400 / grid_s <= MOST_BINS
    assert grid_s in GRIDS_S or grid_s % 86400 == 0


def test_arrays_have_the_declared_types(plan_of):
    built = build(
        plan_of(BASE + "workloads: {w: {kind: campaign, queue: a, gpus: 1, duration: 1 h, at: 2026-01-02}}\n")
    )
    small = {("nodes", "size"), ("nodes", "cell"), ("nodes", "domain")}
    floats = {("options", "speed")}
    for table in ("nodes", "cells", "capacity", "queues", "classes", "options"):
        for field, array in getattr(built.world, table)._asdict().items():
            wanted = (
                np.int32 if (table, field) in small else np.float64 if (table, field) in floats else np.int64
            )
            assert array.dtype == wanted, (table, field)
            assert array.flags.c_contiguous, (table, field)
    jobs = built.demand.jobs()
    for array, like in zip(jobs, layout.empty_jobs(), strict=True):
        assert array.dtype == like.dtype
        assert array.flags.writeable
