"""A run that is put aside and goes on from there ends as one that was never put aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracle.test_worlds import RULES, any_world
from tests.oracle.worlds import random_world

from gpufleet.engine import run as engine
from gpufleet.engine.keep import Keep, Moment, arrays_of, moment_of
from gpufleet.engine.room import new_state
from gpufleet.world.layout import Jobs, Outcomes, World

Rows = list[tuple[int, ...]]


@contextmanager
def handed_out_by(n: int) -> Iterator[None]:
    """Outcomes leave the kernels so many at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "new_state", partial(new_state, n_out=n))
        yield


def cut(jobs: Jobs, size: int) -> list[Jobs]:
    n = len(jobs.gpus)
    return [Jobs(*(column[at : at + size] for column in jobs)) for at in range(0, n, size)]


def rows_of(outcomes: Outcomes) -> Rows:
    table = np.column_stack([np.asarray(column, np.int64) for column in outcomes])
    return [tuple(row) for row in table.tolist()]


def run(world: World, batches: list[Jobs], every: int, start: Moment | None = None) -> tuple[Any, ...]:
    """All rows, the tallies, and the moments at which the run was put aside, as arrays."""
    rows: Rows = []
    moments: list[tuple[dict[str, Any], int, int]] = []

    def save(moment: Moment) -> None:
        arrays = {name: array.copy() for name, array in arrays_of(moment).items()}
        assert moment.rows == len(rows) + (start.rows if start else 0)
        moments.append((arrays, moment.batch, moment.rows))

    summary = engine.run(
        world, batches, lambda out: rows.extend(rows_of(out)), keep=Keep(every, save), start=start
    )
    return rows, summary, moments


def check(world: World, jobs: Jobs, size: int, every: int) -> int:
    batches = cut(jobs, size)
    with handed_out_by(2):
        rows, summary, moments = run(world, batches, every)
        for arrays, batch, done in moments:
            start = moment_of(arrays, world, batch=batch, rows=done)
            rest, again, _ = run(world, batches[batch:], every, start)
            assert rows[:done] + rest == rows
            assert again.n_jobs == summary.n_jobs
            assert again.end_s == summary.end_s
            for ours, theirs in zip(again.tallies, summary.tallies, strict=True):
                np.testing.assert_array_equal(ours, theirs)
    return len(moments)


@settings(max_examples=60, deadline=None)
@given(any_world(), st.integers(1, 12), st.integers(1, 9))
def test_random_worlds(case: tuple[World, Jobs], size: int, every: int) -> None:
    check(*case, size, every)


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_every_policy(rules: tuple[int, int, int, int]) -> None:
    assert sum(check(*random_world(seed, *rules), 7, 4) for seed in range(4)) > 4


def test_moments_come_when_they_are_due() -> None:
    world, jobs = max(
        (random_world(seed, 0, 0, 0, 1) for seed in range(9)), key=lambda case: len(case[1].gpus)
    )
    n = len(jobs.gpus)
    with handed_out_by(1):
        _, _, moments = run(world, cut(jobs, 5), 10)
    assert [rows for *_, rows in moments] == list(range(10, n, 10))


def test_a_state_of_something_else_is_refused() -> None:
    world, _ = random_world(1, 0, 0, 0, 1)
    arrays = arrays_of(Moment(new_state(world), 0, 0))
    with pytest.raises(KeyError, match="slot"):
        moment_of({name: array for name, array in arrays.items() if name != "slot"}, world, batch=0, rows=0)
    with pytest.raises(ValueError, match="slot does not hold records"):
        moment_of({**arrays, "slot": arrays["slot"][:, :8]}, world, batch=0, rows=0)
    with pytest.raises(ValueError, match="scalar is float64"):
        moment_of({**arrays, "scalar": arrays["scalar"].astype(float)}, world, batch=0, rows=0)


def test_a_restored_state_has_its_own_memory() -> None:
    world, _ = random_world(1, 0, 0, 0, 1)
    state = new_state(world)
    again = moment_of(arrays_of(Moment(state, 0, 0)), world, batch=0, rows=0).state
    for ours, theirs in zip(again, state, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
        assert not np.shares_memory(ours, theirs) or not ours.size
