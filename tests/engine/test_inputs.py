"""What may be handed to the engine, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.oracle.by_hand import jobs, make
from tests.oracle.test_worlds import RULES
from tests.oracle.worlds import random_world

from gpufleet.engine.jit import on_compile
from gpufleet.engine.run import simulate
from gpufleet.world.layout import Jobs, World, empty_jobs

LOAD = jobs((0, 6, 10), (1, 4, 5), (2, 2, 3), (2, 8, 7))


def columns(world: World, load: Jobs) -> list[Any]:
    result = simulate(world, load)
    return [*(c.tolist() for c in result.outcomes), *(c.tolist() for c in result.tallies), result.end_s]


def locked(array: Any) -> Any:
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def with_arrays(record: Any, change: Any) -> Any:
    """The same record, or record of records, with each of its arrays changed."""
    if isinstance(record, np.ndarray):
        return change(record)
    if isinstance(record, tuple):
        return type(record)(*(with_arrays(field, change) for field in record))
    return record


def test_arrays_of_other_kinds_give_the_same_and_compile_nothing() -> None:
    world = make([[8], [8, 8]], lanes=(((0, 1.0), (1, 0.5)),))
    expected = columns(world, LOAD)
    compiled: list[str] = []
    on_compile(compiled.append)
    wide = Jobs(*(c.astype(np.float64 if c.dtype.kind == "f" else np.int64) for c in LOAD))
    strided = Jobs(*(np.repeat(c, 2)[::2] for c in LOAD))
    for load in (wide, strided, with_arrays(LOAD, locked)):
        assert columns(world, load) == expected
    assert columns(with_arrays(world, locked), LOAD) == expected
    assert compiled == []


def test_a_run_changes_nothing_that_it_was_given() -> None:
    for seed, rules in enumerate(RULES[::7]):
        world, load = random_world(seed, *rules)
        before = [with_arrays(record, np.copy) for record in (world, load)]
        simulate(world, load)
        for ours, theirs in zip(flat((world, load)), flat(tuple(before)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def flat(record: Any) -> list[Any]:
    if isinstance(record, tuple):
        return [leaf for field in record for leaf in flat(field)]
    return [record]


def test_no_jobs() -> None:
    result = simulate(make([[8]]), empty_jobs())
    assert [len(column) for column in result.outcomes] == [0] * len(result.outcomes)
    assert result.outcomes.wait_by_root_s.shape[1] > 0
    assert not result.tallies.busy.any()


def test_a_plan_that_ends_at_once() -> None:
    world = make([[8]], clock=(1, 0, 60))
    result = simulate(world, LOAD)
    assert result.outcomes.id.tolist() == [0]
    assert result.end_s == 1
    assert result.outcomes.run_s.tolist() == [1]
