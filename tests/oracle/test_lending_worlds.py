"""The random worlds of lending are worlds, everything happens in some, and the oracle's accounts close."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from tests.oracle.extras import with_extras
from tests.oracle.lending import REASONS
from tests.oracle.lending_worlds import lending_world, lending_worlds
from tests.oracle.oracle import simulate

from gpufleet.world import layout as code
from gpufleet.world.layout import Jobs, World


@settings(max_examples=60, deadline=None)
@given(lending_worlds())
def test_accounts_close(case: tuple[World, Jobs]) -> None:
    world, jobs = case
    result = simulate(world, jobs)
    outcomes, tallies = result.outcomes, result.tallies
    assert (outcomes.wait_by_refusal_s.sum(axis=1) == outcomes.wait_s).all()
    assert (outcomes.wait_by_root_s.sum(axis=1) == outcomes.wait_s).all()
    assert not outcomes.wait_by_root_s[:, [code.STARTABLE, code.ORDER]].any()
    queue: Any = world.classes.queue[jobs.cls]
    for q in range(len(world.queues.island)):
        assert tallies.busy[q].sum() == (outcomes.run_s * jobs.gpus)[queue == q].sum()


@settings(max_examples=60, deadline=None)
@given(lending_worlds())
def test_worlds_are_well_formed(case: tuple[World, Jobs]) -> None:
    world, _ = case
    assert world.shared is not None
    nodes, cells, tree = world.nodes, world.cells, world.shared.tree
    assert (np.diff(nodes.domain) >= 0).all()
    assert (np.diff(world.shared.domain_block) >= 0).all()
    assert len(world.shared.domain_block) == nodes.domain.max() + 1
    assert (np.diff(world.shared.change_t_s) >= 0).all()
    assert (tree.parent < np.arange(len(tree.parent))).all()
    for c in range(len(world.classes.queue)):
        first, count = world.classes.first_option[c], world.classes.n_options[c]
        reached = cells.island[world.options.cell[first : first + count]]
        assert (reached == world.queues.island[world.classes.queue[c]]).all()


def test_everything_happens() -> None:
    seen: Counter[int] = Counter()
    why: Counter[int] = Counter()
    for seed in range(150):
        result = simulate(*with_extras(*lending_world(seed), seed))
        seen.update(np.flatnonzero(result.outcomes.wait_by_refusal_s.sum(axis=0)).tolist())
        why.update(row[3] for row in result.preemptions)
    never = {code.STARTABLE, code.BEYOND_DEPTH}
    assert set(seen) == set(range(code.N_REFUSALS)) - never
    assert set(why) == set(range(len(REASONS)))
