"""What holds of every run: nothing is made or lost, waits add up, quotas and nodes are never exceeded."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from tests.oracle.test_worlds import any_world

from gpufleet.engine.run import Result, simulate
from gpufleet.world import layout as code
from gpufleet.world.layout import Jobs, World

many = settings(max_examples=150, deadline=None, derandomize=True)
Case = tuple[World, Jobs]


def peak(starts: Any, ends: Any, gpus: Any) -> int:
    """Most GPUs held at one time; at one second, ends come first."""
    times = np.concatenate([starts, ends])
    changes = np.concatenate([gpus, -gpus])
    order = np.lexsort([changes, times])
    return int(np.cumsum(changes[order]).max(initial=0))


@settings(many, max_examples=100)
@given(any_world())
def test_the_laws_hold_at_every_event(case: Case) -> None:
    """The checked run raises if a law is broken; being checked changes nothing."""
    checked, plain = simulate(*case, debug=True), simulate(*case)
    for ours, theirs in zip(
        (*checked.outcomes, *checked.tallies), (*plain.outcomes, *plain.tallies), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@many
@given(any_world())
def test_every_job_has_one_outcome(case: Case) -> None:
    world, jobs = case
    result = simulate(world, jobs)
    out = result.outcomes
    assert out.id.tolist() == np.flatnonzero(jobs.submit_s < world.clock.end_s).tolist()
    submit, gone = jobs.submit_s[out.id], np.isin(out.state, (code.DONE, code.KILLED))
    assert ((out.end_s >= 0) == gone).all()
    assert ((out.start_s >= 0) == (out.attempts > 0)).all()
    assert (out.start_s[out.attempts > 0] >= submit[out.attempts > 0]).all()
    assert (out.preemptions <= out.attempts).all()
    # from eligibility to its end, a job waits or runs; one refused for ever is gone when that is known
    left = np.where(gone, out.end_s, result.end_s)
    here = (out.state != code.REFUSED) & (out.held_s >= 0)
    assert (submit + out.held_s + out.wait_s + out.run_s == left)[here].all()
    held = out.held_s < 0  # never eligible: it is a dependency, and nobody waited or ran
    assert (held == (out.last_refusal == code.DEPENDENCY)).all()
    assert not out.wait_s[held].any()
    assert not out.attempts[held].any()


@many
@given(any_world())
def test_waits_add_up(case: Case) -> None:
    world, jobs = case
    result = simulate(world, jobs)
    out = result.outcomes
    assert (out.wait_by_refusal_s >= 0).all()
    assert (out.wait_by_root_s >= 0).all()
    assert (out.wait_by_refusal_s.sum(axis=1) == out.wait_s).all()
    assert (out.wait_by_root_s.sum(axis=1) == out.wait_s).all()
    assert not out.wait_by_root_s[:, [code.STARTABLE, code.ORDER]].any()
    assert not out.wait_by_refusal_s[:, code.STARTABLE].any()
    assert (
        (out.last_refusal > 0) == ((out.wait_s > 0) | np.isin(out.state, (code.REFUSED, code.WAITING)))
    ).all()


@many
@given(any_world())
def test_the_timeline_holds_what_the_jobs_hold(case: Case) -> None:
    world, jobs = case
    out, tallies, *_ = simulate(world, jobs)
    gpus = jobs.gpus[out.id].astype(np.int64)
    queue = world.classes.queue[jobs.cls[out.id]]
    for q in range(len(world.queues.island)):
        mine = queue == q
        assert tallies.busy[q].sum() == (out.run_s * gpus)[mine].sum()
        by_root = (out.wait_by_root_s * gpus[:, None])[mine].sum(axis=0)
        assert tallies.waiting[q].sum(axis=1).tolist() == by_root.tolist()
    quota = world.queues.quota[:, :, None]
    assert ((quota < 0) | (tallies.busy <= quota * world.clock.grid_s)).all()


def attempts_of(world: World, jobs: Jobs, result: Result) -> tuple[Any, Any, Any, Any, Any]:
    """Start, end, GPUs, queue and cell of every job, where none ran more than once."""
    out = result.outcomes
    ran = out.attempts == 1
    start, rows = out.start_s[ran], out.id[ran]
    queue = world.classes.queue[jobs.cls[rows]]
    return start, start + out.run_s[ran], jobs.gpus[rows].astype(np.int64), queue, out.cell[ran]


@many
@given(any_world())
def test_no_quota_and_no_cell_is_ever_exceeded(case: Case) -> None:
    """Told from the outcomes alone; where a job ran twice they do not say when."""
    world, jobs = case
    result = simulate(world, jobs)
    if (result.outcomes.attempts > 1).any():
        return
    start, end, gpus, queue, cell = attempts_of(world, jobs, result)
    product = world.cells.product[cell]
    for q, p in np.ndindex(*world.queues.quota.shape):
        mine = (queue == q) & (product == p)
        limit = int(world.queues.quota[q, p])
        assert limit < 0 or peak(start[mine], end[mine], gpus[mine]) <= limit
    for c in range(len(world.cells.first_node)):
        mine, size = cell == c, int(world.nodes.size[world.nodes.cell == c].sum())
        assert peak(start[mine], end[mine], gpus[mine]) <= size
