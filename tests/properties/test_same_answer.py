"""What must not change the answer: running it again, how the jobs are handed in, and what others do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import ROOT
from tests.oracle.test_worlds import RULES, any_world
from tests.oracle.worlds import random_world, worlds

from gpufleet.engine.run import run, simulate
from gpufleet.world.layout import (
    Capacity,
    Jobs,
    Nodes,
    NodeSets,
    Outcomes,
    Queues,
    World,
    empty_jobs,
)

many = settings(max_examples=150, deadline=None, derandomize=True)
Case = tuple[World, Jobs]


def bytes_of(case: Case) -> bytes:
    result = simulate(*case)
    return b"".join(column.tobytes() for column in (*result.outcomes, *result.tallies))


@many
@given(any_world())
def test_again_is_the_same_to_the_byte(case: Case) -> None:
    assert bytes_of(case) == bytes_of(case)


def digest() -> str:
    """A digest of a run of every fifth policy."""
    runs = (bytes_of(random_world(seed, *rules)) for seed, rules in enumerate(RULES[::5]))
    return hashlib.sha256(b"".join(runs)).hexdigest()


def test_another_process_gives_the_same_bytes() -> None:
    code = "from tests.properties.test_same_answer import digest; print(digest())"
    paths = os.pathsep.join([str(ROOT), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == digest(), done.stderr


# ---------------------------------------------------------------------- batches


def in_batches(world: World, batches: list[Jobs]) -> tuple[list[Any], int]:
    parts: list[Outcomes] = []
    summary = run(world, batches, parts.append)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return [*(column[order] for column in columns), *summary.tallies], summary.end_s


@many
@given(any_world(), st.data())
def test_batches_of_any_size_give_the_same(case: Case, data: st.DataObject) -> None:
    """Cut anywhere, also within one second; some batches are empty."""
    world, jobs = case
    n = len(jobs.gpus)
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, n), max_size=6))), n]
    batches = [Jobs(*(c[a:b] for c in jobs)) for a, b in pairwise(cuts)]
    ours, end_s = in_batches(world, batches)
    whole = simulate(world, jobs)
    assert end_s == whole.end_s
    for column, expected in zip(ours, (*whole.outcomes, *whole.tallies), strict=True):
        np.testing.assert_array_equal(column, expected)


@settings(many, max_examples=20)
@given(any_world())
def test_a_batch_for_each_job(case: Case) -> None:
    world, jobs = case
    ours, _ = in_batches(world, [Jobs(*(c[i : i + 1] for c in jobs)) for i in range(len(jobs.gpus))])
    whole = simulate(world, jobs)
    for column, expected in zip(ours, (*whole.outcomes, *whole.tallies), strict=True):
        np.testing.assert_array_equal(column, expected)


@settings(many, max_examples=20)
@given(any_world())
def test_no_batch_at_all_is_a_batch_without_jobs(case: Case) -> None:
    world, _ = case
    summary = run(world, [], lambda _: None)
    nothing = simulate(world, empty_jobs())
    assert summary.n_jobs == 0
    assert summary.end_s == nothing.end_s
    for ours, theirs in zip(summary.tallies, nothing.tallies, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---------------------------------------------------------------------- islands


def shifted(codes: Any, by: int) -> Any:
    """Codes moved up; -1 (none) stays."""
    return np.where(codes < 0, codes, codes + by)


def side_by_side(first: World, second: World) -> World:
    """Two worlds in one, with the policy and clock of the first: they share nothing, not even a product."""
    n_nodes, n_cells = len(first.nodes.size), len(first.cells.first_node)
    (n_queues, n_products), n_islands = first.queues.quota.shape, int(first.queues.island.max()) + 1
    nodes, cells, capacity = second.nodes, second.cells, second.capacity
    quota = np.full((n_queues + len(second.queues.island), n_products + second.queues.quota.shape[1]), -1)
    quota[:n_queues, :n_products] = first.queues.quota
    quota[n_queues:, n_products:] = second.queues.quota
    moved = World(
        nodes=Nodes(nodes.size, nodes.cell + n_cells, nodes.domain + int(first.nodes.domain.max()) + 1),
        cells=cells._replace(
            first_node=cells.first_node + n_nodes,
            product=cells.product + n_products,
            island=shifted(cells.island, n_islands),
        ),
        capacity=capacity._replace(first_node=capacity.first_node + n_nodes),
        queues=Queues(second.queues.tenant + n_queues, shifted(second.queues.island, n_islands), quota),
        classes=second.classes._replace(
            queue=second.classes.queue + n_queues,
            first_option=second.classes.first_option + len(first.options.cell),
        ),
        options=second.options._replace(cell=second.options.cell + n_cells),
        policy=first.policy,
        clock=first.clock,
    )
    both = {
        kind: type(ours)(*(np.concatenate(pair) for pair in zip(ours, theirs, strict=True)))
        for kind, ours, theirs in zip(World._fields[:3], first[:3], moved[:3], strict=True)
    }
    order = np.lexsort([both["capacity"].first_node, both["capacity"].kind, both["capacity"].t_s])
    joined = {
        kind: type(ours)(*(np.concatenate(pair) for pair in zip(ours, theirs, strict=True)))
        for kind, ours, theirs in zip(World._fields[4:6], first[4:6], moved[4:6], strict=True)
    }
    return moved._replace(
        **both | {"capacity": Capacity(*(column[order] for column in both["capacity"]))},
        queues=Queues(
            np.concatenate([first.queues.tenant, moved.queues.tenant]),
            np.concatenate([first.queues.island, moved.queues.island]),
            quota,
        ),
        node_sets=sets_side_by_side(first, second),
        **joined,
    )


def sets_of(world: World) -> NodeSets:
    """The node sets of a world; without any all nodes are one group that every queue may use."""
    if world.node_sets is not None:
        return world.node_sets
    n_queues, none = len(world.queues.tenant), np.zeros(0, np.int64)
    table = np.zeros((n_queues, 0), np.int64)
    classes = np.zeros((len(world.classes.queue), 0), np.int64)
    group = np.zeros(len(world.nodes.size), np.int64)
    return NodeSets(group, np.ones((n_queues, 1), np.int64), table, classes, none, none, none, none)


def sets_side_by_side(first: World, second: World) -> NodeSets:
    """The groups, reservations and windows of both; neither knows those of the other."""
    a, b = sets_of(first), sets_of(second)

    def corners(one: Any, other: Any) -> Any:
        table = np.zeros(np.add(one.shape, other.shape), np.int64)
        table[: one.shape[0], : one.shape[1]] = one
        table[one.shape[0] :, one.shape[1] :] = other
        return table

    return NodeSets(
        np.concatenate([a.node_group, b.node_group + a.queue_groups.shape[1]]),
        corners(a.queue_groups, b.queue_groups),
        corners(a.queue_holds, b.queue_holds),
        corners(a.class_holds, b.class_holds),
        np.concatenate([a.window_group, b.window_group + a.queue_groups.shape[1]]),
        np.concatenate([a.window_reservation, b.window_reservation + a.queue_holds.shape[1]]),
        np.concatenate([a.window_from_s, b.window_from_s]),
        np.concatenate([a.window_to_s, b.window_to_s]),
    )


def merged(first: Jobs, second: Jobs, n_classes: int) -> tuple[Jobs, Any, Any]:
    """The jobs of both, in order of eligibility, and where those of each are now."""
    columns = [
        np.concatenate(pair) for pair in zip(first, second._replace(cls=second.cls + n_classes), strict=True)
    ]
    order = np.argsort(columns[0], kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return Jobs(*(column[order] for column in columns)), place[: len(first.gpus)], place[len(first.gpus) :]


def outcomes_of(result: Any, place: Any, cells_before: int) -> list[Any]:
    """The outcomes of one world's jobs, with the names that they have when it is alone."""
    out = result.outcomes
    names = {int(new): old for old, new in enumerate(place)}
    mine = np.array([names.get(int(i), -1) for i in out.id])
    rows = np.flatnonzero(mine >= 0)[np.argsort(mine[mine >= 0])]
    behind = [names[int(i)] if i >= 0 else -1 for i in out.behind[rows]]
    cell = [int(c) - cells_before if c >= 0 else -1 for c in out.cell[rows]]
    picked = Outcomes(*(column[rows] for column in out))
    return [c.tolist() for c in picked._replace(id=mine[rows], behind=np.array(behind), cell=np.array(cell))]


def _without_extras(case: Case) -> Case:
    """`side_by_side` numbers neither accounts, gates, failures nor meters anew."""
    world, jobs = case
    return world._replace(accounts=None, gates=None, failures=None, restarts=None, power=None), jobs


TWO = st.sampled_from(RULES).flatmap(
    lambda rules: st.tuples(*[worlds(*rules).map(_without_extras) for _ in range(2)])
)


@many
@given(TWO)
def test_islands_leave_each_other_alone(cases: tuple[Case, Case]) -> None:
    """A world beside another one: none of its jobs notices, whichever of the two comes first.

    The run stops at the end of the plan: with `finish`, the last event of one would end the waiting in both.
    """
    (first, first_jobs), (second, second_jobs) = cases
    clock = first.clock._replace(finish=0)
    first, second = first._replace(clock=clock), second._replace(clock=clock, policy=first.policy)
    together = side_by_side(first, second)
    jobs, mine, theirs = merged(first_jobs, second_jobs, len(first.classes.queue))
    result = simulate(together, jobs)
    for world, own, place, before in (
        (first, first_jobs, mine, 0),
        (second, second_jobs, theirs, len(first.cells.product)),
    ):
        alone = [column.tolist() for column in simulate(world, own).outcomes]
        assert outcomes_of(result, place, before) == alone
    n = len(first.queues.island)
    waiting = simulate(first, first_jobs).tallies.waiting
    np.testing.assert_array_equal(result.tallies.waiting[:n], waiting)
