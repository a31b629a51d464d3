"""The random worlds are worlds, and the oracle keeps its own accounts on them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracle.extras import with_extras
from tests.oracle.oracle import OracleResult, simulate
from tests.oracle.worlds import random_world, worlds

from gpufleet.world import layout as code
from gpufleet.world.layout import Jobs, World

RULES = [
    (order, backfill, placement, strict)
    for order, backfill, placement, strict in product(range(4), range(3), range(4), range(2))
    if order != code.SRTF or backfill == code.NO_BACKFILL
]


def any_world() -> st.SearchStrategy[tuple[World, Jobs]]:
    return st.sampled_from(RULES).flatmap(lambda rules: worlds(*rules))


@settings(max_examples=60, deadline=None)
@given(any_world())
def test_accounts_close(case: tuple[World, Jobs]) -> None:
    world, jobs = case
    result = simulate(world, jobs)
    outcomes, tallies = result.outcomes, result.tallies
    assert (outcomes.wait_by_refusal_s.sum(axis=1) == outcomes.wait_s).all()
    assert (outcomes.wait_by_root_s.sum(axis=1) == outcomes.wait_s).all()
    assert not outcomes.wait_by_root_s[:, [code.STARTABLE, code.ORDER]].any()
    queue: Any = world.classes.queue[jobs.cls]
    for q in range(len(world.queues.island)):
        mine = queue == q
        assert tallies.busy[q].sum() == (outcomes.run_s * jobs.gpus)[mine].sum()
        by_root = (outcomes.wait_by_root_s * jobs.gpus[:, None])[mine].sum(axis=0)
        assert (tallies.waiting[q].sum(axis=1) == by_root).all()


@settings(max_examples=60, deadline=None)
@given(any_world())
def test_worlds_are_well_formed(case: tuple[World, Jobs]) -> None:
    world, jobs = case
    nodes, cells, capacity = world.nodes, world.cells, world.capacity
    assert (np.diff(nodes.cell) >= 0).all()
    assert (np.diff(nodes.domain) >= 0).all()
    assert (np.diff(nodes.domain)[np.diff(nodes.cell) > 0] > 0).all()
    assert ((nodes.size >= 1) & (nodes.size <= cells.gpus_per_node[nodes.cell])).all()
    assert (np.bincount(nodes.cell) == cells.n_nodes).all()
    assert (np.diff(jobs.submit_s) >= 0).all()
    assert ((jobs.gpus >= 1) & (jobs.work_s >= 0) & (jobs.submit_s >= 0)).all()
    changes = list(zip(capacity.t_s, capacity.kind, capacity.first_node, strict=True))
    assert changes == sorted(changes)
    for first, count in zip(capacity.first_node, capacity.n_nodes, strict=True):
        assert nodes.cell[first] == nodes.cell[first + count - 1]
    for c in range(len(world.classes.queue)):
        first, count = world.classes.first_option[c], world.classes.n_options[c]
        reached = cells.island[world.options.cell[first : first + count]]
        assert (reached == world.queues.island[world.classes.queue[c]]).all()


def seen(results: list[OracleResult]) -> set[int]:
    return {
        int(r) for result in results for r in np.flatnonzero(result.outcomes.wait_by_refusal_s.sum(axis=0))
    }


def test_every_refusal_and_state_shows() -> None:
    worlds = (with_extras(*random_world(seed, *rules), seed) for seed, rules in enumerate(RULES * 2))
    results = [simulate(*world) for world in worlds]
    assert seen(results) == {
        *range(code.OWN_QUOTA, code.COHORT),
        code.LIMIT,
        code.POWER,
    }  # the others only with cycles
    assert any((r.outcomes.held_s > 0).any() for r in results)
    assert any((r.outcomes.last_refusal == code.DEPENDENCY).any() for r in results)
    assert {s for r in results for s in r.outcomes.state.tolist()} == set(range(len(code.STATES)))
    assert any(r.outcomes.preemptions.any() for r in results)


@pytest.mark.parametrize("rules", RULES[::17])
def test_a_seed_is_a_world(rules: tuple[int, int, int, int]) -> None:
    first, again = (simulate(*random_world(7, *rules)) for _ in range(2))
    for a, b in zip((*first.outcomes, *first.tallies), (*again.outcomes, *again.tallies), strict=True):
        np.testing.assert_array_equal(a, b)
