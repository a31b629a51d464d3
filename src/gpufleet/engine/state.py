"""The engine's memory: everything that changes while the clock runs, as arrays in one NamedTuple.

Only jobs that are alive (waiting, running, or finished and not yet handed out) have a row in ``slot``;
everything that grows with them grows by doubling, outside the kernels. Records (several fields of one thing
that are used together) are record arrays, so that a job or a node is one or two cache lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints, SmallInts, Words
from gpufleet.engine import sets
from gpufleet.engine.jit import entry
from gpufleet.world.layout import (
    BEST_FIT,
    CONSOLIDATE,
    EASY,
    N_REFUSALS,
    NO_BACKFILL,
    SRTF,
    World,
)

LEVELS = 6  # of the lanes' skip lists: one entry in eight is on the next level
FREE_SLOT, WAITS, RUNS, OVER = 0, 1, 2, 3  # slot status

# scalars, rows of State.scalar
NOW, NEXT_JOB, NEXT_CHANGE, EPOCH, N_ENDS, FREE_SLOTS, FREE_GRANTS, SEQUENCE = 0, 1, 2, 3, 4, 5, 6, 7
DONE_FIRST, DONE_LAST, N_OUT, N_DUE, PASS, N_SHAPES, N_PICKS, LAST_DOMAIN = 8, 9, 10, 11, 12, 13, 14, 15
N_PLANNED, JOBS_SEEN, FIRST_ID, N_TODO, ALIVE, TOP_SLOT = 16, 17, 18, 19, 20, 21
SWEPT_WHOLE, SWEPT_PART = 22, 23
N_SCALARS = 32

# Ordered by use: what every event of a job touches comes first, so that it shares cache lines.
SLOT = np.dtype(
    [
        *((name, np.int64) for name in ("id", "since", "start", "first_start", "end", "run")),
        *((name, np.float64) for name in ("work", "speed")),
        *((name, np.int32) for name in ("gpus", "cls", "cell", "lane", "grants", "link", "next_new")),
        *((name, np.int32) for name in ("attempts", "preemptions", "prio", "shape_no", "mark")),
        *((name, np.int8) for name in ("status", "why", "root", "last", "outcome", "joined", "waited")),
        *((name, np.int64) for name in ("seq", "limit", "behind", "est_end")),
        ("key", np.float64),
    ],
    align=True,
)
NODE = np.dtype(
    [
        *((name, np.int32) for name in ("free", "gpus", "cell", "domain", "grants", "mark")),
        ("next_up", np.int64),
        ("online", np.int8),
    ],
    align=True,
)
GRANT = np.dtype(
    [(name, np.int32) for name in ("node", "slot", "gpus", "next_of_job", "next_on_node", "prev_on_node")]
)
CELL = np.dtype(
    [
        (name, np.int64)
        for name in (
            "first_node",
            "n_nodes",
            "per_node",
            "product",
            "island",
            "free",
            "first_domain",
            "next_down",
            "planned",
            "planned_rank",
        )
    ]
)
LANE = np.dtype(
    [
        *(
            (name, np.int64)
            for name in (
                "count",
                "waiting_gpus",
                "clock_at",
                "closer",
                "reserved_at",
                "reserved_for",
                "reserved_on",
            )
        ),
        *((name, np.int64) for name in ("whole_by", "whole_before", "part_by", "part_before")),
        *(
            (name, np.int64)
            for name in ("queue", "island", "next_of_island", "head", "holder", "reserved_cell", "at", "cls")
        ),
        *((name, np.int64) for name in ("gpus", "seen", "mark", "near", "left")),
        *((name, np.int8) for name in ("root", "refused", "closed", "blocked", "known", "found")),
    ],
    align=True,
)
ISLAND = np.dtype([(name, np.int64) for name in ("first_lane", "first_new", "last_new", "due", "full")])
N_OUTCOMES = 11  # columns of Outcomes before its two tables


class State(NamedTuple):
    """What the kernels read and write. Shapes in the comments; F = most GPUs per node, D = most nodes per
    domain."""

    scalar: Ints  # (N_SCALARS,)
    slot: Any  # (n_slots,) SLOT
    wait_ref: Ints  # (n_slots, N_REFUSALS) seconds per refusal
    wait_root: Ints  # (n_slots, N_REFUSALS) seconds per root
    later: SmallInts  # (n_slots, LEVELS) the next waiting job of its lane, per level; -1 = none
    node: Any  # (n_nodes,) NODE
    free_at: Ints  # (n_nodes, F + 1) with EASY: when f GPUs are free by estimate; -1 = now
    grant: Any  # (n_grants,) GRANT: GPUs of one node held by one job
    cell: Any  # (n_cells,) CELL
    n_free: Ints  # (n_cells, F + 1) nodes in service by free GPUs
    n_size: Ints  # (n_cells, F + 1) nodes in service by size
    future: Ints  # (n_cells, n_epochs, F + 1) the same after each instant with capacity changes
    epoch_s: Ints  # (n_epochs,) those instants; the first is before all time
    words: Words  # the sets of nodes
    where: Ints  # (n_cells * (F + 1), 4)
    domain_first: Ints  # (n_domains,) first node
    domain_n: Ints  # (n_domains,) nodes
    domain_idle: Ints  # (n_domains,) idle nodes
    n_domain: Ints  # (n_cells, D + 1) domains by idle nodes
    domain_words: Words  # the sets of domains
    domain_where: Ints  # (n_cells * (D + 1), 4)
    ends: Ints  # (4 n_slots,) heap of (end, slot); entries of attempts that were cut short are stale
    lane: Any  # (n_lanes,) LANE
    clock: Ints  # (n_lanes, N_REFUSALS) seconds for which each root stood
    lane_first: SmallInts  # (n_lanes, LEVELS)
    lane_last: SmallInts  # (n_lanes, LEVELS)
    island: Any  # (n_islands,) ISLAND
    due: Ints  # (n_islands,)
    todo: Ints  # (n_lanes,) lanes that a pass looks at
    used: Ints  # (n_queues, n_products) GPUs held
    shape_key: Ints  # (2^k,) hash table of (class, GPUs); -1 = empty
    shape_id: Ints  # (2^k,)
    shape_mark: Ints  # (n_lanes, 4) pass, refusal, root and behind of a refused shape; with EASY
    shape_est: Ints  # (n_lanes,) shortest estimate refused by a reservation
    pick_node: SmallInts  # (n_nodes,) nodes chosen
    pick_gpus: SmallInts  # (n_nodes,)
    scratch: Ints  # (3, n_grants + n_nodes + n_changes + n_planned) numbers of the moment
    trial: Ints  # (n_nodes, 2) free GPUs and service in a forecast
    roll: Ints  # (2, n_slots) jobs in the order of the moment; SRTF
    plan: Ints  # (n_planned, 4) conservative: node, from, until, GPUs
    plan_next: Ints  # (n_planned,) next planned on the node
    plan_first: Ints  # (n_nodes,)
    busy: Ints  # (2, n_queues, n_products, n_bins + 1): part of the bin, and rate from the next bin on
    waiting: Ints  # (2, n_queues, N_REFUSALS, n_bins + 1)
    out: Ints  # (N_OUTCOMES, n_out) outcomes not taken out yet, a row per column of Outcomes
    out_ref: Ints  # (n_out, N_REFUSALS)
    out_root: Ints  # (n_out, N_REFUSALS)


def _records(n: int, dtype: np.dtype[Any], **fill: Any) -> Any:
    rows = np.zeros(n, dtype).view(np.recarray)
    for name, value in fill.items():
        rows[name] = value
    return rows


def domains_of(world: World) -> tuple[Ints, Ints]:
    """First node and number of nodes of each domain, in node order."""
    domain = world.nodes.domain
    if len(domain) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first = np.flatnonzero(np.r_[True, domain[1:] != domain[:-1]]).astype(np.int64)
    return first, np.diff(np.r_[first, len(domain)]).astype(np.int64)


def futures(world: World, most: int) -> tuple[Ints, Ints]:
    """Nodes in service by (cell, size) after every instant with capacity changes; row 0 is the start.

    Changes at or after the end of the plan count only if the run goes on (``finish``).
    """
    capacity, clock = world.capacity, world.clock
    counts = (capacity.t_s < clock.end_s) | (clock.finish == 1)
    instants = np.unique(capacity.t_s[counts])
    table = np.zeros((len(world.cells.first_node), len(instants) + 1, most + 1), np.int64)
    online = np.zeros(len(world.nodes.size), bool)
    at = 0
    for row, instant in enumerate(instants, start=1):
        while at < len(capacity.t_s) and capacity.t_s[at] == instant:
            first = capacity.first_node[at]
            online[first : first + capacity.n_nodes[at]] = capacity.kind[at] == 0
            at += 1
        place: Any = (world.nodes.cell[online], row, world.nodes.size[online])
        np.add.at(table, place, 1)
    return table, np.r_[np.int64(-1), instants].astype(np.int64)


def new_state(world: World, n_slots: int = 1024, n_out: int = 1 << 12) -> State:
    """The state before the first second: nothing is in service, nothing waits."""
    cells, nodes, policy = world.cells, world.nodes, world.policy
    n_nodes, n_cells, n_queues = len(nodes.size), len(cells.first_node), len(world.queues.tenant)
    most = int(cells.gpus_per_node.max(initial=1))
    first, n_of = domains_of(world)
    widest = int(n_of.max(initial=1))
    where, words = sets.lay_out([int(n) for n in cells.n_nodes for _ in range(most + 1)])
    by_domain = policy.placement not in (CONSOLIDATE, BEST_FIT)
    domain_cell = nodes.cell[first] if n_nodes else np.zeros(0, np.int32)
    cell_domains = np.bincount(domain_cell, minlength=n_cells) if by_domain else np.zeros(n_cells, np.int64)
    domain_where, domain_words = sets.lay_out([int(n) for n in cell_domains for _ in range(widest + 1)])
    n_domain = np.zeros((n_cells, widest + 1), np.int64)
    n_domain[:, 0] = cell_domains
    if by_domain:
        for number, cell in enumerate(domain_cell):
            start = np.searchsorted(domain_cell, cell)
            sets.add(domain_words, domain_where, int(cell) * (widest + 1), int(number - start))
    future, epoch_s = futures(world, most)
    by_shape = policy.order != SRTF and policy.backfill == NO_BACKFILL and not policy.strict
    lanes = _lanes(world, by_shape)
    n_islands = int(max(world.queues.island.max(initial=-1), cells.island.max(initial=-1))) + 1
    islands = _records(max(n_islands, 1), ISLAND, first_lane=-1, first_new=-1, last_new=-1)
    if not by_shape:
        for row in range(n_queues):
            if world.queues.island[row] >= 0:
                lanes.next_of_island[row] = islands.first_lane[world.queues.island[row]]
                islands.first_lane[world.queues.island[row]] = row
    n_lanes = len(lanes)
    n_bins = int(min(world.clock.end_s // world.clock.grid_s + 2, 1 << 20))
    n_products = world.queues.quota.shape[1]
    scalar = np.zeros(N_SCALARS, np.int64)
    scalar[[FREE_SLOTS, FREE_GRANTS, DONE_FIRST, DONE_LAST]] = 0, 0, -1, -1
    n_gpus = int(nodes.size.sum())
    return State(
        scalar=scalar,
        slot=_chain(_records(n_slots, SLOT), 0),
        wait_ref=np.zeros((n_slots, N_REFUSALS), np.int64),
        wait_root=np.zeros((n_slots, N_REFUSALS), np.int64),
        later=np.full((n_slots, LEVELS), -1, np.int32),
        node=_nodes(world),
        free_at=_free_at(world, most, n_nodes),
        grant=_grants(n_gpus),
        cell=_cells(world, first),
        n_free=np.zeros((n_cells, most + 1), np.int64),
        n_size=np.zeros((n_cells, most + 1), np.int64),
        future=future,
        epoch_s=epoch_s,
        words=words,
        where=where,
        domain_first=first,
        domain_n=n_of,
        domain_idle=np.zeros(len(first), np.int64),
        n_domain=n_domain,
        domain_words=domain_words,
        domain_where=domain_where,
        ends=np.zeros(4 * n_slots, np.int64),
        lane=lanes,
        clock=np.zeros((n_lanes, N_REFUSALS), np.int64),
        lane_first=np.full((n_lanes, LEVELS), -1, np.int32),
        lane_last=np.full((n_lanes, LEVELS), -1, np.int32),
        island=islands,
        due=np.zeros(max(n_islands, 1), np.int64),
        todo=np.zeros(n_lanes, np.int64),
        used=np.zeros((n_queues, n_products), np.int64),
        shape_key=np.full(256, -1, np.int64),
        shape_id=np.zeros(256, np.int64),
        shape_mark=np.full((n_lanes, 4), -1, np.int64),
        shape_est=np.zeros(n_lanes, np.int64),
        pick_node=np.zeros(n_nodes + 1, np.int32),
        pick_gpus=np.zeros(n_nodes + 1, np.int32),
        scratch=np.zeros((3, n_gpus + n_nodes + len(world.capacity.t_s) + 1024), np.int64),
        trial=np.zeros((n_nodes, 2), np.int64),
        roll=np.zeros((2, n_slots), np.int64),
        plan=np.zeros((1024, 4), np.int64),
        plan_next=np.zeros(1024, np.int64),
        plan_first=np.full(n_nodes, -1, np.int64),
        busy=np.zeros((2, n_queues, n_products, n_bins + 1), np.int64),
        waiting=np.zeros((2, n_queues, N_REFUSALS, n_bins + 1), np.int64),
        out=np.zeros((N_OUTCOMES, n_out), np.int64),
        out_ref=np.zeros((n_out, N_REFUSALS), np.int64),
        out_root=np.zeros((n_out, N_REFUSALS), np.int64),
    )


def _chain(slots: Any, first: int) -> Any:
    """Link the slots from ``first`` on into a list of free ones."""
    slots.link[first:] = np.arange(first + 1, len(slots) + 1)
    slots.link[-1] = -1
    return slots


def _grants(n_gpus: int) -> Any:
    grants = _records(max(n_gpus, 1), GRANT)
    grants.next_of_job[:] = np.arange(1, len(grants) + 1)
    grants.next_of_job[-1] = -1
    return grants


def _nodes(world: World) -> Any:
    nodes = world.nodes
    rows = _records(len(nodes.size), NODE, grants=-1)
    rows.gpus, rows.free, rows.cell = nodes.size, nodes.size, nodes.cell
    first, n_of = domains_of(world)
    rows.domain = np.repeat(np.arange(len(first)), n_of)
    return rows


def _free_at(world: World, most: int, n_nodes: int) -> Ints:
    return np.full((n_nodes if world.policy.backfill == EASY else 0, most + 1), -1, np.int64)


def _cells(world: World, first_of_domain: Ints) -> Any:
    cells = world.cells
    rows = _records(len(cells.first_node), CELL)
    rows.first_node, rows.n_nodes, rows.per_node = cells.first_node, cells.n_nodes, cells.gpus_per_node
    rows.product, rows.island = cells.product, cells.island
    rows.first_domain = np.searchsorted(first_of_domain, cells.first_node)
    return rows


def _lanes(world: World, by_shape: bool) -> Any:
    n = 128 if by_shape else max(len(world.queues.tenant), 128 if world.policy.backfill == EASY else 1)
    lanes = _records(n, LANE, next_of_island=-1, head=-1, holder=-1, closer=-1, root=1)
    if not by_shape:
        n_queues = len(world.queues.tenant)
        lanes.queue[:n_queues] = np.arange(n_queues)
        lanes.island[:n_queues] = world.queues.island
    return lanes


def _doubled(array: Any, axis: int = 0, fill: Any = 0) -> Any:
    more = np.full_like(array, fill) if array.dtype.fields is None else np.zeros_like(array)
    both = np.concatenate([array, more], axis=axis)
    return both.view(np.recarray) if array.dtype.fields is not None else both


def grow_slots(state: State) -> State:
    """Twice as many slots, with what hangs on them."""
    old = len(state.slot)
    slot = _chain(_doubled(state.slot), old)
    slot.link[-1] = state.scalar[FREE_SLOTS]
    state.scalar[FREE_SLOTS] = old
    return state._replace(
        slot=slot,
        wait_ref=_doubled(state.wait_ref),
        wait_root=_doubled(state.wait_root),
        later=_doubled(state.later, fill=-1),
        ends=_doubled(state.ends),
        roll=_doubled(state.roll, axis=1),
    )


def grow_lanes(state: State) -> State:
    """Twice as many lanes or shapes; the hash table is kept at most a quarter full."""
    n = len(state.lane)
    lane = _doubled(state.lane)
    lane.next_of_island[n:], lane.head[n:], lane.holder[n:], lane.closer[n:], lane.root[n:] = (
        -1,
        -1,
        -1,
        -1,
        1,
    )
    size = 8 * n
    keys, ids = np.full(size, -1, np.int64), np.zeros(size, np.int64)
    for key, number in zip(state.shape_key, state.shape_id, strict=True):
        if key >= 0:
            at = hash_of(int(key), size)
            while keys[at] >= 0:
                at = (at + 1) & (size - 1)
            keys[at], ids[at] = key, number
    return state._replace(
        lane=lane,
        clock=_doubled(state.clock),
        lane_first=_doubled(state.lane_first, fill=-1),
        lane_last=_doubled(state.lane_last, fill=-1),
        todo=_doubled(state.todo),
        shape_key=keys,
        shape_id=ids,
        shape_mark=_doubled(state.shape_mark, fill=-1),
        shape_est=_doubled(state.shape_est),
    )


@entry
def hash_of(key: int, size: int) -> int:
    """Place of a shape's key in a table of ``size`` (a power of two)."""
    mixed = key * 40503
    return (mixed ^ (mixed >> 15)) & (size - 1)


def grow_bins(state: State, n_bins: int) -> State:
    """Room for ``n_bins`` bins of the timeline."""

    def wider(table: Ints) -> Ints:
        new = np.zeros((*table.shape[:-1], n_bins + 1), np.int64)
        new[..., : table.shape[-1]] = table
        return new

    return state._replace(busy=wider(state.busy), waiting=wider(state.waiting))


def grow_plan(state: State) -> State:
    """Twice the room for planned intervals."""
    scratch = np.zeros((3, state.scratch.shape[1] + len(state.plan)), np.int64)
    return state._replace(plan=_doubled(state.plan), plan_next=_doubled(state.plan_next), scratch=scratch)
