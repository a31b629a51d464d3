"""Memory that grows while the clock runs: from next to nothing, the answer is the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracle.by_hand import ints, jobs, make
from tests.oracle.compare import differences
from tests.oracle.test_worlds import any_world

from gpufleet.engine import run as engine
from gpufleet.engine.room import new_state
from gpufleet.engine.state import State
from gpufleet.world import layout as code
from gpufleet.world.layout import Jobs, World

GROWS = ("grow_slots", "grow_lanes", "grow_bins", "grow_plan")
PER_LANE = ("lane", "clock", "lane_first", "lane_last", "todo", "shape_mark", "shape_est")
PER_PLANNED = ("plan", "plan_next")
PER_BIN = ("busy", "waiting", "sampled", "energy", "peak", "p99", "capped")


def tiny(world: World) -> State:
    """The first state, with the least room for everything that grows."""
    state = new_state(world, n_slots=1, n_out=1)
    policy = world.policy
    by_shape = policy.order != code.SRTF and policy.backfill == code.NO_BACKFILL and not policy.strict
    lanes = 1 if by_shape else len(world.queues.island)
    cut = {name: getattr(state, name)[:lanes].copy() for name in PER_LANE}
    cut |= {name: getattr(state, name)[:1].copy() for name in PER_PLANNED}
    cut |= {name: getattr(state, name)[..., :2].copy() for name in PER_BIN}
    return state._replace(**cut)


@contextmanager
def from_a_tiny_state(grown: set[str]) -> Iterator[None]:
    """Runs begin with a tiny state; `grown` gets the names of what grew."""

    def counted(name: str, grow: Any) -> Any:
        def call(*arguments: Any) -> State:
            grown.add(name)
            larger: State = grow(*arguments)
            return larger

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "new_state", tiny)
        for name in GROWS:
            patch.setattr(engine, name, counted(name, getattr(engine, name)))
        yield


def columns(world: World, load: Jobs, *, debug: bool = False) -> list[Any]:
    result = engine.simulate(world, load, debug=debug)
    return [*result.outcomes, *result.tallies, np.array(result.end_s)]


def test_random_worlds() -> None:
    grown: set[str] = set()

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(any_world(), st.sampled_from([False, False, False, True]))
    def same(case: tuple[World, Jobs], debug: bool) -> None:
        expected = columns(*case)
        with from_a_tiny_state(grown):
            found = columns(*case, debug=debug)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)

    same()
    assert grown == set(GROWS)


def of_single_gpus(world: World) -> World:
    return world._replace(cells=world.cells._replace(gpus_per_node=ints([1])))


def test_seventy_thousand_jobs_that_wait_at_once() -> None:
    """One GPU, a second each, a bin for each second: slots, results and the timeline grow many times."""
    n = 70_000
    world = of_single_gpus(make([[1]], clock=(1, 1, 1)))
    out, tallies, end_s, _ = engine.simulate(world, jobs(*[(0, 1, 1.0)] * n))
    assert out.start_s.tolist() == list(range(n))
    assert end_s == n
    assert tallies.busy[0, 0].tolist() == [1] * n
    assert tallies.waiting[0].sum(axis=0).tolist() == list(range(n - 1, -1, -1))
    assert out.behind.tolist() == [-1, -1, *range(1, n - 1)]


@pytest.mark.parametrize("backfill", [code.NO_BACKFILL, code.EASY])
def test_more_shapes_than_there_is_room_for(backfill: int) -> None:
    n = 150
    world = of_single_gpus(make([[1] * n], strict=0, backfill=backfill))
    rows = [(i % 7, 1 + (37 * i) % n, float(1 + i % 11)) for i in range(n)]
    assert differences(world, jobs(*sorted(rows, key=lambda row: row[0]))) == []
