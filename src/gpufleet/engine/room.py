"""Making a state for a world, and making room in it.

Everything that grows with the jobs alive grows by doubling, between two calls of a kernel.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.engine import sets
from gpufleet.engine.masks import masks_of
from gpufleet.engine.memory import counts_domains
from gpufleet.engine.meters import pace_fields, power_fields
from gpufleet.engine.own import no_fault
from gpufleet.engine.state import (
    CELL,
    DONE_FIRST,
    DONE_LAST,
    FREE_GRANTS,
    FREE_SLOTS,
    GATE,
    GRANT,
    ISLAND,
    LANE,
    LEVELS,
    LOOKED_S,
    N_OUTCOMES,
    N_SCALARS,
    NODE,
    SLOT,
    SOURCE,
    State,
    hash_of,
)
from gpufleet.world.layout import (
    EASY,
    N_REFUSALS,
    N_SAMPLES,
    NO_BACKFILL,
    SRTF,
    World,
)

N_OUT_ROWS: Final = (1 << 12) + 8
"""Outcomes kept until they are taken out. No power of two: all columns would share one set of the cache."""


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


def blocks_of(world: World) -> Ints:
    """The block of each domain, ascending; without shared quotas each cell is one block."""
    if world.shared is not None:
        return np.asarray(world.shared.domain_block, np.int64)
    return world.nodes.cell[domains_of(world)[0]].astype(np.int64)


def futures(world: World, most: int) -> tuple[Ints, Ints]:
    """Nodes in service by (cell, size) after every instant with capacity changes; row 0 is the start.

    Behind the cells: the same of the parts of cells that classes may use, see `gpufleet.engine.masks`.

    Changes at or after the end of the plan count only if the run goes on (``finish``).
    """
    capacity, clock = world.capacity, world.clock
    counts = (capacity.t_s < clock.end_s) | (clock.finish == 1)
    instants = np.unique(capacity.t_s[counts])
    parts = masks_of(world)[1]
    n_cells = len(world.cells.first_node)
    table = np.zeros((n_cells + len(parts), len(instants) + 1, most + 1), np.int64)
    online = np.zeros(len(world.nodes.size), bool)
    at = 0
    for row, instant in enumerate(instants, start=1):
        while at < len(capacity.t_s) and capacity.t_s[at] == instant:
            first = capacity.first_node[at]
            online[first : first + capacity.n_nodes[at]] = capacity.kind[at] == 0
            at += 1
        place: Any = (world.nodes.cell[online], row, world.nodes.size[online])
        np.add.at(table, place, 1)
        for part, (_, counts) in enumerate(parts, start=n_cells):
            table[part, row] = np.bincount(world.nodes.size[online & counts], minlength=most + 1)
    return table, np.r_[np.int64(-1), instants].astype(np.int64)


def new_state(world: World, n_slots: int = 1024, n_out: int = N_OUT_ROWS) -> State:
    """The state before the first second: nothing is in service, nothing waits."""
    most = int(world.cells.gpus_per_node.max(initial=1))
    lanes, islands = _lanes_and_islands(world)
    scalar = np.zeros(N_SCALARS, np.int64)
    scalar[[FREE_SLOTS, FREE_GRANTS, DONE_FIRST, DONE_LAST, LOOKED_S]] = 0, 0, -1, -1, -1
    return State(
        scalar=scalar,
        **_job_fields(n_slots, n_out),
        **_fleet_fields(world, most),
        **_domain_fields(world),
        **_lane_fields(lanes, islands),
        **_scratch_fields(world, n_slots),
        **_book_fields(world),
        **_gate_fields(world, n_slots),
        **power_fields(world),
        **pace_fields(world, n_slots),
    )


def _job_fields(n_slots: int, n_out: int) -> dict[str, Any]:
    """Alive jobs, their ends, and outcomes on their way out."""
    return {
        "slot": _chain(_records(n_slots, SLOT), 0),
        "wait_ref": np.zeros((n_slots, N_REFUSALS), np.int32),
        "wait_root": np.zeros((n_slots, N_REFUSALS), np.int32),
        "later": np.full((n_slots, LEVELS), -1, np.int32),
        "ends": np.zeros(4 * n_slots, np.int64),
        "out": np.zeros((N_OUTCOMES + 1, n_out), np.int64),
        "out_ref": np.zeros((n_out, N_REFUSALS), np.int32),
        "out_root": np.zeros((n_out, N_REFUSALS), np.int32),
    }


def _fleet_fields(world: World, most: int) -> dict[str, Any]:
    """Nodes, cells, and the sets of nodes by free GPUs."""
    n_nodes, n_cells = len(world.nodes.size), len(world.cells.first_node)
    where, words = sets.lay_out([int(n) for n in world.cells.n_nodes for _ in range(most + 1)])
    future, epoch_s = futures(world, most)
    forecast_nodes = n_nodes if world.policy.backfill == EASY else 0
    return {
        "node": _nodes(world),
        "free_at": np.full((forecast_nodes, most + 1), -1, np.int64),
        "grant": _grants(int(world.nodes.size.sum())),
        "cell": _cells(world, domains_of(world)[0]),
        "n_free": np.zeros((n_cells, most + 1), np.int64),
        "n_size": np.zeros((n_cells, most + 1), np.int64),
        "future": future,
        "epoch_s": epoch_s,
        "words": words,
        "where": where,
    }


def _domain_fields(world: World) -> dict[str, Any]:
    """Domains, and the sets of domains by idle nodes; empty where the placement does not ask for them."""
    n_cells = len(world.cells.first_node)
    first, n_of = domains_of(world)
    width = int(n_of.max(initial=1)) + 1
    cell_of = world.nodes.cell[first] if counts_domains(world) else np.zeros(0, np.int32)
    count = np.bincount(cell_of, minlength=n_cells)
    where, words = sets.lay_out([int(n) for n in count for _ in range(width)])
    n_domain = np.zeros((n_cells, width), np.int64)
    n_domain[:, 0] = count
    first_of_cell = np.searchsorted(cell_of, np.arange(n_cells))
    block = blocks_of(world)
    n_blocks = int(block.max(initial=-1)) + 1
    for number, cell in enumerate(cell_of):
        sets.add(words, where, int(cell) * width, int(number - first_of_cell[cell]))
    return {
        "domain_first": first,
        "domain_n": n_of,
        "domain_idle": np.zeros(len(first), np.int64),
        "domain_usable": np.zeros(len(first), np.int64),
        "domain_whole": np.diff(_whole_before(world)[np.r_[first, len(world.nodes.size)].astype(np.int64)]),
        "domain_block": block,
        "block_first": np.searchsorted(block, np.arange(n_blocks + 1)),
        "block_idle": np.zeros(n_blocks, np.int64),
        "block_mark": np.zeros(n_blocks, np.int64),
        "block_slices": np.zeros(n_blocks, np.int64),
        "n_domain": n_domain,
        "domain_words": words,
        "domain_where": where,
    }


def _lanes_and_islands(world: World) -> tuple[Any, Any]:
    """Lanes, chained to their islands: one per queue, or room for one per shape."""
    policy, queues = world.policy, world.queues
    by_shape = world.shared is not None or (
        policy.order != SRTF and policy.backfill == NO_BACKFILL and not policy.strict
    )
    lanes = _lanes(world, by_shape)
    n_islands = int(max(queues.island.max(initial=-1), world.cells.island.max(initial=-1))) + 1
    islands = _records(max(n_islands, 1), ISLAND, first_lane=-1, first_new=-1, last_new=-1)
    for row, island in enumerate(queues.island):
        if island >= 0 and not by_shape:
            lanes.next_of_island[row] = islands.first_lane[island]
            islands.first_lane[island] = row
    return lanes, islands


def _lane_fields(lanes: Any, islands: Any) -> dict[str, Any]:
    n_lanes = len(lanes)
    return {
        "lane": lanes,
        "clock": np.zeros((n_lanes, N_REFUSALS), np.int64),
        "lane_first": np.full((n_lanes, LEVELS), -1, np.int32),
        "lane_last": np.full((n_lanes, LEVELS), -1, np.int32),
        "island": islands,
        "due": np.zeros(len(islands), np.int64),
        "todo": np.zeros(n_lanes, np.int64),
        "shape_key": np.full(256, -1, np.int64),
        "shape_id": np.zeros(256, np.int64),
        "shape_mark": np.full((n_lanes, 4), -1, np.int64),
        "shape_est": np.zeros(n_lanes, np.int64),
    }


def _scratch_fields(world: World, n_slots: int) -> dict[str, Any]:
    """What a pass writes for itself."""
    n_nodes, n_gpus = len(world.nodes.size), int(world.nodes.size.sum())
    return {
        "pick_node": np.zeros(n_nodes + 1, np.int32),
        "pick_gpus": np.zeros(n_nodes + 1, np.int32),
        "scratch": np.zeros(
            (3, n_gpus + n_nodes + len(world.capacity.t_s) + _windows(world) + 1024), np.int64
        ),
        "trial": np.zeros((n_nodes, 2), np.int64),
        "roll": np.zeros((2, n_slots), np.int64),
        "plan": np.zeros((1024, 4), np.int64),
        "plan_next": np.zeros(1024, np.int64),
        "plan_first": np.full(n_nodes, -1, np.int64),
    }


def _windows(world: World) -> int:
    return 0 if world.node_sets is None else len(world.node_sets.window_to_s)


def _book_fields(world: World) -> dict[str, Any]:
    n_queues, n_products = world.queues.quota.shape
    n_bins = int(min(world.clock.end_s // world.clock.grid_s + 2, 1 << 20))
    return {
        "used": np.zeros((n_queues, n_products), np.int64),
        "fault": no_fault(),
        "account": np.zeros((len(world.accounts.jobs) if world.accounts else 0, n_products + 2), np.int64),
        "busy": np.zeros((2, n_queues, n_products, n_bins + 1), np.int64),
        "kept": np.zeros((_windows(world), 3), np.int64),
        "waiting": np.zeros((2, n_queues, N_REFUSALS, n_bins + 1), np.int64),
        "sampled": np.zeros((n_products, N_SAMPLES, n_bins + 1), np.int64),
    }


def _gate_fields(world: World, n_slots: int) -> dict[str, Any]:
    gates = world.gates
    return {
        "gate": _records(int(gates.gate[-1]) + 1 if gates else 0, GATE, first=-1, last=-1),
        "source": _records(len(gates.last_s) if gates else 0, SOURCE),
        "held": np.zeros(n_slots if gates else 0, np.int64),
    }


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


def _whole_before(world: World) -> Any:
    """Nodes of full size ahead of each node, and in all; those that were bought in part are never idle."""
    whole = world.nodes.size == world.cells.gpus_per_node[world.nodes.cell]
    return np.r_[0, np.cumsum(whole)].astype(np.int64)


def _cells(world: World, first_of_domain: Ints) -> Any:
    cells = world.cells
    rows = _records(len(cells.first_node), CELL)
    rows.first_node, rows.n_nodes, rows.per_node = cells.first_node, cells.n_nodes, cells.gpus_per_node
    rows.product, rows.island = cells.product, cells.island
    rows.first_domain = np.searchsorted(first_of_domain, cells.first_node)
    rows.n_domains = np.searchsorted(first_of_domain, cells.first_node + cells.n_nodes) - rows.first_domain
    block = blocks_of(world)
    n_of_domain = np.diff(
        _whole_before(world)[np.r_[first_of_domain, len(world.nodes.size)].astype(np.int64)]
    )
    of_block = np.bincount(block, weights=n_of_domain).astype(np.int64)
    for row in rows:
        here = slice(row.first_domain, row.first_domain + row.n_domains)
        if row.n_domains > 0:
            row.first_block = block[here][0]
            row.n_blocks = block[here][-1] - row.first_block + 1
            row.most_of_domain = n_of_domain[here].max()
            row.most_of_block = of_block[row.first_block : row.first_block + row.n_blocks].max()
    return rows


def _lanes(world: World, by_shape: bool) -> Any:
    n = 128 if by_shape else max(len(world.queues.tenant), 128 if world.policy.backfill == EASY else 1)
    lanes = _records(n, LANE, next_of_island=-1, head=-1, holder=-1, closer=-1, root=1)
    lanes.strict = world.policy.strict
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
        **{name: _doubled(getattr(state, name)) for name in ("held", "left", "paced", "slowed")},
        ends=_doubled(state.ends),
        roll=_doubled(state.roll, axis=1),
    )


def grow_lanes(state: State) -> State:
    """Twice as many lanes or shapes; the hash table is kept at most a quarter full."""
    n = len(state.lane)
    lane = _doubled(state.lane)
    for name in ("next_of_island", "head", "holder", "closer"):
        lane[name][n:] = -1
    lane.root[n:], lane.strict[n:] = 1, lane.strict[0]
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


def grow_bins(state: State, n_bins: int) -> State:
    """Room for ``n_bins`` bins of the timeline."""

    def wider(table: Ints) -> Ints:
        new = np.zeros((*table.shape[:-1], n_bins + 1), np.int64)
        new[..., : table.shape[-1]] = table
        return new

    names = ("busy", "waiting", "sampled", "energy", "peak", "p99", "capped")
    tables: dict[str, Any] = {name: wider(getattr(state, name)) for name in names}
    return state._replace(**tables)


def grow_plan(state: State) -> State:
    """Twice the room for planned intervals."""
    scratch = np.zeros((3, state.scratch.shape[1] + len(state.plan)), np.int64)
    return state._replace(plan=_doubled(state.plan), plan_next=_doubled(state.plan_next), scratch=scratch)
