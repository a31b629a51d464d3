"""What holds wherever queues lend to each other, whoever asks for what."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracle.by_hand import ints, jobs, make
from tests.oracle.lending import GPU, Lending, plant_tree, queue_name
from tests.oracle.lending_worlds import lending_world, lending_worlds, sliced_world
from tests.oracle.oracle import next_moment, one_second
from tests.oracle.sharing.model import Admission, Work
from tests.oracle.sharing.tree import Node, snapshot

from gpufleet.engine.run import Result, simulate
from gpufleet.world.layout import (
    DOMAIN_LEVEL,
    KILL,
    NEVER,
    NO_WISH,
    NODE_LEVEL,
    REFUSED,
    REQUIRED,
    TOPOLOGY,
    ClassRules,
    Jobs,
    SharedQuotas,
    World,
)
from gpufleet.world.quotas import Cohort, Limits, Queue, Sharing, arrays_of

many = settings(max_examples=150, deadline=None, derandomize=True)
LATER: int = 1 << 30  # a return that no run sees
Case = tuple[World, Jobs]


def bytes_of(case: Case) -> bytes:
    result = simulate(*case)
    columns = (*result.outcomes, *result.tallies, result.preemptions)
    return b"".join(column.tobytes() for column in columns)


@many
@given(lending_worlds())
def test_again_is_the_same_to_the_byte(case: Case) -> None:
    assert bytes_of(case) == bytes_of(case)


@many
@given(lending_worlds())
def test_waits_sum_up(case: Case) -> None:
    world, load = case
    result = simulate(world, load)
    outcomes = result.outcomes
    np.testing.assert_array_equal(outcomes.wait_by_refusal_s.sum(axis=1), outcomes.wait_s)
    np.testing.assert_array_equal(outcomes.wait_by_root_s.sum(axis=1), outcomes.wait_s)
    waited = (outcomes.wait_by_root_s * load.gpus[outcomes.id][:, None]).sum(axis=0)
    np.testing.assert_array_equal(result.tallies.waiting.sum(axis=(0, 2)), waited)


# ---------------------------------------------------------------------- quota


def once(case: Case) -> Case:
    """The world in which nobody starts twice, so that outcomes tell when each job ran."""
    world, load = case
    assert world.shared is not None
    none = world.shared.change_t_s[:0]
    kept = world.capacity.kind != KILL
    return world._replace(
        capacity=type(world.capacity)(*(column[kept] for column in world.capacity)),
        clock=world.clock._replace(finish=0),
        failures=None,
        shared=world.shared._replace(
            change_t_s=none, change_row=none, change_product=none, change_gpus=none, return_s=LATER
        ),
    ), load


def runs(result: Result) -> list[tuple[int, int, int]]:
    """Of each job that ran: its row, when it started, and when it left its nodes."""
    taken = {int(row[1]): int(row[0]) for row in result.preemptions}
    out = result.outcomes
    assert (out.attempts <= 1).all()
    ends = [
        int(end) if end >= 0 else taken.get(int(i), LATER) for i, end in zip(out.id, out.end_s, strict=True)
    ]
    return [(row, int(start), ends[row]) for row, start in enumerate(out.start_s) if start >= 0]


@many
@given(lending_worlds().map(once))
def test_nobody_uses_more_than_quota_and_limits_allow(case: Case) -> None:
    world, load = case
    assert world.shared is not None
    result = simulate(world, load)
    tree, first = world.shared.tree, len(world.shared.tree.parent) - len(world.queues.island)
    leaves = {n.name: n for n in plant_tree(tree, tree.nominal.tolist(), first) if n.queue is not None}
    ran = runs(result)
    for moment in {start for _, start, _ in ran}:
        held = [held_by(world, load, result, row) for row, start, end in ran if start <= moment < end]
        now = snapshot(leaves, held)
        for leaf in leaves.values():
            for k in range(tree.nominal.shape[1]):
                assert_within(leaf, now, (str(k), GPU))


def held_by(world: World, load: Jobs, result: Result, row: int) -> Work:
    job = int(result.outcomes.id[row])
    product = int(world.cells.product[result.outcomes.cell[row]])
    usage = {(str(product), GPU): int(load.gpus[job])}
    queue = queue_name(int(world.classes.queue[load.cls[job]]))
    return Work(str(job), queue, 0, 0, str(job), (), Admission(0, {}, {}, usage))


def assert_within(leaf: Node, now: Any, fr: tuple[str, str]) -> None:
    for node in (leaf, *leaf.ancestors()):
        limit = node.quota(fr).borrowing_limit
        if node.parent is None:
            assert now.usage(node, fr) <= node.subtree(fr)
        elif limit is not None:
            assert now.usage(node, fr) <= node.subtree(fr) + limit


# ---------------------------------------------------------------------- preemption


def lenders(seed: int, n_jobs: int) -> tuple[World, Jobs, int]:
    """Queue 0 asks for no more than its own in all and may take everything back; the others borrow.

    There are as many nodes, of one GPU, as there is quota: only quota decides. Returns the GPUs as well.
    """
    random = Random(seed)
    others = random.randint(1, 3)
    own = random.randint(2, 12)
    nominal = [own, *(random.randint(0, 6) for _ in range(others))]
    queues = tuple(
        Queue(
            f"q{i}",
            "all",
            ((("0", {"gpu": Limits(n)}),),),
            reclaim="Any" if i == 0 else "Never",
            strict=False,
        )
        for i, n in enumerate(nominal)
    )
    tree = arrays_of(Sharing((Cohort("all"),), queues), []).tree._replace(placed=1)
    total, n_queues = sum(nominal), len(nominal)
    world = make([[1] * total], lanes=[((0, 1.0),)] * n_queues, clock=(200, 0, 200))
    shared = shared_of(tree, n_queues, [0] * total)._replace(return_s=LATER)
    world = world._replace(cells=world.cells._replace(gpus_per_node=ints([1])), shared=shared)
    rows, left = [], own
    for _ in range(n_jobs):
        queue = random.randrange(n_queues)
        gpus = random.randint(1, total) if queue else random.randint(1, 4)
        if queue == 0 and gpus > left:
            continue
        left -= gpus if queue == 0 else 0
        rows.append((random.randrange(60), gpus, random.choice((5, 20, 80)), queue))
    rows = sorted(rows, key=lambda row: row[0]) or [(0, 1, 5, 1)]
    return world, jobs(*(row[:3] for row in rows), cls=[row[3] for row in rows]), total


def shared_of(tree: Any, n_classes: int, domain_block: list[int]) -> SharedQuotas:
    none = ints([])
    each = [0] * n_classes
    none_of_all = ints(each)
    wish = ints([NO_WISH] * n_classes)
    rules = ClassRules(ints([1] * n_classes), wish, none_of_all, none_of_all, none_of_all)
    return SharedQuotas(tree, none, none, none, none, rules, ints(domain_block), 0, 0, 0, 0)


@many
@given(st.integers(0, 1 << 32), st.integers(1, 30))
def test_who_stays_within_its_own_is_never_kept_waiting(seed: int, n_jobs: int) -> None:
    world, load, _ = lenders(seed, n_jobs)
    outcomes = simulate(world, load, debug=True).outcomes
    own = load.cls == 0
    assert (outcomes.start_s[own] == load.submit_s[own]).all()
    assert not outcomes.preemptions[own].any()


@many
@given(st.integers(0, 1 << 32), st.integers(1, 30))
def test_victims_make_room_and_none_is_spare(seed: int, n_jobs: int) -> None:
    world, load, total = lenders(seed, n_jobs)
    result = simulate(world, load)
    ran = runs(result)
    for t in {int(row[0]) for row in result.preemptions}:
        rows = [row for row in result.preemptions if row[0] == t]
        preemptors = {int(row[2]) for row in rows}
        assert all(result.outcomes.start_s[by] == t for by in preemptors)
        free = total - sum(int(load.gpus[row]) for row, start, end in ran if start <= t < end)
        assert free >= 0
        if len(preemptors) == 1:
            assert all(row[4] > free for row in rows)


# ---------------------------------------------------------------------- places


@settings(many, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 1 << 20), st.integers(0, 40)), min_size=1, max_size=30
    ),
    st.integers(1, 10),
    st.integers(0, 4),
)
def test_with_one_strict_queue_more_gpus_delay_no_start(
    rows: list[tuple[int, int, int]], gpus: int, more: int
) -> None:
    load = jobs(*((t, 1 + size % gpus, work) for t, size, work in sorted(rows, key=lambda row: row[0])))
    small, large = (simulate(one_queue(n, [[1] * n]), load).outcomes.start_s for n in (gpus, gpus + more))
    assert (small >= 0).all()
    assert (large <= small).all()


def one_queue(quota: int, cells: list[list[int]]) -> World:
    queue = Queue("q", None, ((("0", {"gpu": Limits(quota)}),),), strict=True)
    tree = arrays_of(Sharing((), (queue,)), []).tree._replace(placed=1)
    assert tree.within.tolist() == [NEVER]
    world = make(cells)
    size = max(max(cell) for cell in cells)
    n_nodes = sum(len(cell) for cell in cells)
    return world._replace(
        cells=world.cells._replace(gpus_per_node=ints([size] * len(cells))),
        shared=shared_of(tree, 1, [0] * n_nodes),
    )


def wishing(domains: list[int], level: int) -> World:
    """One cell of nodes of 2 GPUs in these domains, and jobs that require a level."""
    world = one_queue(2 * len(domains), [[2] * len(domains)])
    assert world.shared is not None
    rules = world.shared.classes._replace(wish=ints([REQUIRED]), level=ints([level]))
    blocks = [0] * (max(domains) + 1)
    return world._replace(
        nodes=world.nodes._replace(domain=np.array(domains, np.int32)),
        shared=world.shared._replace(classes=rules, domain_block=ints(blocks)),
    )


def test_a_required_domain_is_waited_for() -> None:
    # One job a node; from 10 on a node is idle in each domain, and no domain has two before 50.
    load = jobs((0, 2, 50), (0, 2, 10), (0, 2, 60), (0, 2, 10), (11, 4, 10))
    out = simulate(wishing([0, 0, 1, 1], DOMAIN_LEVEL), load, debug=True).outcomes
    assert out.start_s.tolist() == [0, 0, 0, 0, 50]
    assert out.wait_by_refusal_s[4, TOPOLOGY] == 39


def test_what_no_level_can_hold_is_refused_for_ever() -> None:
    for level, gpus in ((DOMAIN_LEVEL, 5), (NODE_LEVEL, 3)):
        out = simulate(wishing([0, 0, 1, 1], level), jobs((0, gpus, 10)), debug=True).outcomes
        assert (out.state.tolist(), out.last_refusal.tolist()) == ([REFUSED], [TOPOLOGY])


@many
@given(st.integers(0, 1 << 32))
def test_a_required_level_is_never_straddled(seed: int) -> None:
    """In the oracle, with which the engine agrees: it knows the nodes of each job."""
    world, load = lending_world(seed)
    watched = Watched(world, load)
    watched.run()


@many
@given(st.integers(0, 1 << 32))
def test_no_slice_is_straddled(seed: int) -> None:
    Watched(*sliced_world(seed)).run()


class Watched(Lending):
    """A simulation that looks at each start."""

    def start(self, job: Any, option: Any, held: dict[int, int]) -> None:
        wish = self.wish(job)
        if wish.slice_gpus:
            size = wish.slice_gpus // option.cell.gpus_per_node
            parts = Counter(self.site.within(wish.slice_level)(n) for n in held)
            assert sum(parts.values()) == job.gpus // wish.slice_gpus * size
            assert all(nodes % size == 0 for nodes in parts.values())
        if wish.kind == REQUIRED and wish.counts(option.cell, job.gpus):
            assert wish.level != NODE_LEVEL
            key = self.site.within(wish.level)
            assert len({key(n) for n in held}) == 1
        super().start(job, option, held)

    def run(self) -> None:
        t = next_moment(self, first=True)
        while t is not None:
            self.account_until(t)
            self.now = t
            one_second(self)
            t = next_moment(self)
