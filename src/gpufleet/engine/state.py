"""The engine's memory: everything that changes while the clock runs, as arrays in one NamedTuple.

Only jobs that are alive (waiting, running, or finished and not yet handed out) have a row in ``slot``;
everything that grows with them grows by doubling, outside the kernels. Records (several fields of one thing
that are used together) are record arrays, so that a job or a node is one or two cache lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints, SmallInts, Words
from gpufleet.engine.jit import entry

LEVELS = 6  # of the lanes' skip lists: one entry in eight is on the next level
# slot status; AWAY = preempted, not back yet; HELD = its gate is shut, not eligible yet
FREE_SLOT, WAITS, RUNS, OVER, AWAY, HELD = 0, 1, 2, 3, 4, 5

# scalars, rows of State.scalar
NOW, NEXT_JOB, NEXT_CHANGE, EPOCH, N_ENDS, FREE_SLOTS, FREE_GRANTS, SEQUENCE = 0, 1, 2, 3, 4, 5, 6, 7
DONE_FIRST, DONE_LAST, N_OUT, N_DUE, PASS, N_SHAPES, N_PICKS, LAST_DOMAIN = 8, 9, 10, 11, 12, 13, 14, 15
N_PLANNED, FIRST_ID, N_TODO, ALIVE, TOP_SLOT = 16, 18, 19, 20, 21
SWEPT_WHOLE, SWEPT_PART, NEXT_QUOTA, PASS_STANDS, NEXT_FAULT = 22, 23, 24, 25, 26
NEXT_OPEN, N_SAMPLED = 27, 28
NEXT_PLANNED_S = 32  # when the plan next changes capacity, failures, quotas or windows; 0 = to be found
N_OUT_WAITS = 33  # rows of out_ref and out_root in use
NEXT_CAP = 34
NEXT_GATE, GATES_DUE, LOOKED_S = 29, 30, 31  # LOOKED_S: the second of the last look at the gates
N_SCALARS = 40

# Ordered by use: what every event of a job touches comes first, so that it shares cache lines.
SLOT = np.dtype(
    [
        *((name, np.int64) for name in ("id", "since", "start", "first_start", "end", "run")),
        *((name, np.float64) for name in ("work", "speed")),
        *((name, np.int32) for name in ("gpus", "cls", "cell", "lane", "grants", "link", "next_new")),
        *((name, np.int32) for name in ("attempts", "preemptions", "prio", "shape_no", "mark", "yields")),
        *((name, np.int8) for name in ("status", "why", "root", "last", "outcome", "joined", "waited")),
        *((name, np.int64) for name in ("seq", "limit", "behind", "est_end", "failures", "submit")),
        *((name, np.float64) for name in ("key", "lost")),
    ],
    align=True,
)
NODE = np.dtype(
    [
        *((name, np.int32) for name in ("free", "gpus", "cell", "domain", "grants", "mark")),
        ("next_up", np.int64),
        ("online", np.int8),
        ("planned", np.int8),  # in service but for failures
        ("failed", np.int32),  # number of the failure that it is out for, 0 = none
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
            "n_domains",
            "first_block",
            "n_blocks",
            "most_of_domain",
            "most_of_block",
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
        *((name, np.int8) for name in ("root", "refused", "closed", "blocked", "known", "strict")),
        ("found", np.int64),
    ],
    align=True,
)
ISLAND = np.dtype([(name, np.int64) for name in ("first_lane", "first_new", "last_new", "due", "full")])
GATE = np.dtype([(name, np.int64) for name in ("first", "last", "state")])  # jobs held; SHUT, OPENED, FAILED
SOURCE = np.dtype([(name, np.int64) for name in ("alive", "not_done")])  # jobs that came; ended, but not done
SHUT, OPENED, FAILED = 0, 1, 2
N_OUTCOMES = 15  # columns of Outcomes before its two tables
WAITS_AT = N_OUTCOMES  # column after them: the row of out_ref and out_root; -1 = the job never waited


class State(NamedTuple):
    """What the kernels read and write. Shapes in the comments; F = most GPUs per node, D = most nodes per
    domain."""

    scalar: Ints  # (N_SCALARS,)
    slot: Any  # (n_slots,) SLOT
    wait_ref: SmallInts  # (n_slots, N_REFUSALS) seconds per refusal
    wait_root: SmallInts  # (n_slots, N_REFUSALS) seconds per root
    later: SmallInts  # (n_slots, LEVELS) the next waiting job of its lane, per level; -1 = none
    node: Any  # (n_nodes,) NODE
    free_at: Ints  # (n_nodes, F + 1) with EASY: when f GPUs are free by estimate; -1 = now
    grant: Any  # (n_grants,) GRANT: GPUs of one node held by one job
    cell: Any  # (n_cells,) CELL
    n_free: Ints  # (n_cells, F + 1) nodes in service by free GPUs
    n_size: Ints  # (n_cells, F + 1) nodes in service by size
    future: Ints  # (n_cells + n_parts, n_epochs, F + 1) the same after each instant with capacity changes
    epoch_s: Ints  # (n_epochs,) those instants; the first is before all time
    words: Words  # the sets of nodes
    where: Ints  # (n_cells * (F + 1), 4)
    domain_first: Ints  # (n_domains,) first node
    domain_n: Ints  # (n_domains,) nodes
    domain_idle: Ints  # (n_domains,) idle nodes
    domain_whole: Ints  # (n_domains,) nodes that may be idle: others were bought in part
    domain_usable: Ints  # (n_domains,) of these, those that a class may use; of the moment
    domain_block: Ints  # (n_domains,) block
    block_first: Ints  # (n_blocks + 1,) first domain
    block_idle: Ints  # (n_blocks,) idle nodes
    block_mark: Ints  # (n_blocks,) 1 = chosen for a job
    block_slices: Ints  # (n_blocks,) slices that a block holds, of the job at hand
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
    account: Ints  # (n_accounts, n_products + 2) GPUs held per product, of all products; jobs that run
    gate: Any  # (n_gates,) GATE
    source: Any  # (n_sources,) SOURCE
    cap: Ints  # (n_sites,) with power: IT power that the site may draw now, W
    draw: Ints  # (n_sites,) IT power that the site draws now, W
    least: Ints  # (n_sites,) that it would draw with all jobs at its lowest level, W
    metered: Ints  # (n_sites,) second until which its power is booked
    drawn: Ints  # (n_sites, n_kinds) of running jobs, W
    energy: Ints  # (n_sites, 1 + n_kinds, n_bins) J
    peak: Ints  # (n_sites, n_bins) W
    p99: Ints  # (n_sites, n_bins) W, of bins that are over
    level_s: Ints  # (n_sites, POWER_LEVELS + 1) of bins that are over
    bin_now: Ints  # (n_sites, 3) bin that is booked, -1 = none; its lowest and highest level
    bin_level_s: Ints  # (n_sites, POWER_LEVELS + 1) of this bin
    capped: Ints  # (n_sites, N_CAPPED, n_bins)
    level: Ints  # (n_sites,) at which its jobs run
    unsettled: Ints  # (n_sites,) 1 = its level is to be looked at when the second is over
    kind_gpus: Ints  # (n_kinds, n_cells) held by jobs of the kind, where a site slows jobs
    left: Ints  # (n_slots,) there: what running jobs had left at ``paced``, millionths of a second
    paced: Ints  # (n_slots,)
    slowed: Ints  # (n_slots,) what they ran longer, millionths of a second
    held: Ints  # (n_slots,) with gates: seconds until the job was eligible, -1 = it is not yet
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
    kept: Ints  # (n_windows, 3) as in Tallies
    fault: Floats  # (N_FAULT,) a question that the user's function has no number for
    sampled: Ints  # (n_products, N_SAMPLES, n_bins): of free GPUs at the end of each bin
    out: (
        Ints  # (N_OUTCOMES + 1, n_out) outcomes not taken out yet, a row per column of Outcomes, and WAITS_AT
    )
    out_ref: SmallInts  # (n_out, N_REFUSALS) of the jobs that waited, one behind the other
    out_root: SmallInts  # (n_out, N_REFUSALS)


@entry
def hash_of(key: int, size: int) -> int:
    """Place of a shape's key in a table of ``size`` (a power of two)."""
    mixed = key * 40503
    return (mixed ^ (mixed >> 15)) & (size - 1)
