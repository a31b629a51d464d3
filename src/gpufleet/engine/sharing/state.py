"""What the kernels of sharing read and write.

A *node* is a cohort or a queue of the quota tree, an *amount* a whole number of one resource of one flavor
(a flavor is a product of the fleet), and its index ``k = flavor * n_resources + resource``. A *work* is
what asks to be admitted: in a simulation a job, in a case a workload of several pod sets.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.world.layout import Tree

# state of a work
ACTIVE, PARKED, ADMITTED = 0, 1, 2

# how well a flavor serves, worst first
NO_FIT, NO_CANDIDATES, PREEMPT, RECLAIM, FIT, DEFERRED = 0, 1, 2, 3, 4, 5

# why a victim is a victim
IN_QUEUE, RECLAIMED, WHILE_BORROWING, FAIR_SHARE = 0, 1, 2, 3
REASONS = (
    "InClusterQueue",
    "InCohortReclamation",
    "InCohortReclaimWhileBorrowing",
    "InCohortFairSharing",
    "QuotaFell",
    "NodeKilled",
    "NodeFailed",
)

# what became of an entry of the cycle
REFUSED_NOW, NOTHING_TO_PREEMPT, PENDING, SKIPPED, STARTED = 0, 1, 2, 3, 4

# numbers of the moment, rows of Share.scalar
N_FOUND, N_ENTRIES, N_CHOSEN, N_POOL, CYCLE, N_CANDIDATES, FIRST_QUEUE = 0, 1, 2, 3, 4, 5, 6
N_EVENTS, APPLIED, THIS_PASS, N_AGAIN, N_HEADS, N_WAITING, ANY_STICKY = 7, 8, 9, 10, 11, 12, 13
NODES_FREED, GPUS_FREED, REACH_CHANGED, ADMITTED_IN, SEARCHED, SEARCHED_FOR = 14, 15, 16, 17, 18, 19
EXCEEDED_IN = 20  # the last pass in which who started had its queue, or a cohort above, exceed its quota
RELEASES = 21  # how often quota was released: counted once for each cycle with victims, and at each pass
N_SCALARS = 24

# columns of Share.event: when, victim, preemptor (-1 = none), why (REASONS), GPUs, work lost in GPU-seconds,
# when the attempt that was cut short began, and its cell
EVENT_S, EVENT_VICTIM, EVENT_BY, EVENT_WHY, EVENT_GPUS, EVENT_LOST, EVENT_START, EVENT_CELL = range(8)
EVENT_COLUMNS = 8
BY_QUOTA, BY_KILL, BY_FAILURE = 4, 5, 6  # why: the quota fell; its node was killed, or failed

WORK = np.dtype(
    [
        *((name, np.int64) for name in ("time", "reserved", "rank", "chosen", "away", "passed", "tried_in")),
        ("tried_at", np.int64),  # of RELEASES; tried_in: the cycle
        *((name, np.int32) for name in ("queue", "shape_no", "priority", "n_use", "next", "prev")),
        *((name, np.int8) for name in ("state", "evicted", "sticky", "why", "preemptible")),
        ("key", np.float64),
    ],
    align=True,
)
ENTRY = np.dtype(
    [
        *((name, np.int64) for name in ("work", "mode", "level", "n_use", "first_victim", "n_victims")),
        ("result", np.int64),
    ]
)
CANDIDATE = np.dtype([(name, np.int64) for name in ("work", "first", "group", "top", "queue", "next")])


class Share(NamedTuple):
    """Shapes: n nodes, k amounts, m works, U uses of a work, s shapes, P pod sets, R resources, G groups,
    e entries."""

    scalar: Ints  # (N_SCALARS,)
    subtree: Ints  # (n, k) quota of the node and of what its children lend
    potential: Ints  # (n, k) what the node could use if nobody else used anything
    lendable: Ints  # (n, R) what the node could use of a resource, over all flavors
    local: Ints  # (n, k) what nobody else may use
    usage: Ints  # (n, k) of a cohort: what its children use beyond their local quota
    first: Ints  # (n,) the admitted work of a queue that gives way first
    top: Ints  # (n,) the first of them with the highest priority, -1 = not known
    head: Ints  # (n,) the work that competes for a queue, -1 = none
    heads: Ints  # (n,) queues that have one
    waiting: Ints  # (s,) lanes in which somebody waits
    work: Any  # (m,) WORK
    use_k: Ints  # (m, U) what an admitted work uses
    use: Ints  # (m, U)
    tried: Ints  # (m, P, G) flavor at which the last scan stopped, -1 = it saw them all
    n_pods: Ints  # (s,) pod sets
    pods: Ints  # (s, P) pods
    least_pods: Ints  # (s, P) fewest pods that will do
    ask: Ints  # (s, P, R) per pod
    flavors: Ints  # (s, G, F) flavors to try, in order, -1 = no more
    # numbers of the moment
    counts: Ints  # (P,) pods that the assignment is for
    only: Ints  # (P, G) the one flavor that may be tried, -1 = all
    stopped: Ints  # (P, G) where this scan stopped
    flavor: Ints  # (P, R) chosen flavor
    mode: Ints  # (P, R) its mode
    level: Ints  # (P, R)
    trial: Ints  # (3, R) flavor, mode, level of the flavor that is tried
    taken: Ints  # (k,) what earlier pod sets of the work took
    request: Ints  # (k,) what a search for victims is to make room for
    need: Ints  # (k,) 1 where room is lacking
    rest: Ints  # (k,) request that is left on the way up
    found: Ints  # (m,) victims
    found_why: Ints  # (m,)
    candidate: Any  # (m,) CANDIDATE
    order: Ints  # (m,) candidates in their order
    queue_first: Ints  # (n,) first candidate of a queue that was not looked at, by shares
    retry_first: Ints  # (n,) first candidate of a queue that the first strategy refused
    pruned: Ints  # (n,) out of the search
    entry: Any  # (e,) ENTRY
    entry_k: Ints  # (e, U)
    entry_use: Ints  # (e, U)
    entry_flavor: Ints  # (e, P, R)
    entry_count: Ints  # (e, P)
    entry_stopped: Ints  # (e, P, G)
    chosen: Ints  # (m,) victims of this cycle
    pool: Ints  # (2, 4 m) victims of the entries, and why
    winner: Ints  # (n,) entry that a node sends into the tournament
    stake: Floats  # (3, n) its: 1 = the node would borrow, 1 = the node's share is infinite, the share
    entry_held: Ints  # (e, U) usage that is counted for the rest of the cycle only
    turn: Ints  # (e,) entries in the order in which they are processed, without fair sharing
    sticky: Ints  # (n,) work that goes first in its queue, because it preempted for it; -1 = none
    borrowed: Ints  # (n, k) use beyond quota, as it was booked last
    borrowing: Ints  # (2, n, k, n_bins + 1): part of the bin, and rate from the next bin on
    change_row: Ints  # (n_changes,) quotas that change: row of the tree
    change_k: Ints
    change_gpus: Ints
    event: Ints  # (n_events, EVENT_COLUMNS) preemptions that are not taken out yet


def new_share(tree: Tree, n_works: int, shapes: tuple[int, int, int, int], n_bins: int = 1) -> Share:
    """Room for so many works, all empty; ``shapes``: how many, with how many pod sets, groups, flavors."""
    n, k = tree.nominal.shape
    n_shapes, n_pods, groups, flavors = shapes
    resources = tree.group.shape[1]
    m, entries, uses = max(n_works, 1), max(int(tree.queue.sum()), 1), max(n_pods * resources, 1)
    n_shapes, p = max(n_shapes, 1), max(n_pods, 1)
    size: dict[str, Any] = {
        "scalar": N_SCALARS,
        **dict.fromkeys(("subtree", "local", "potential", "usage", "borrowed"), (n, k)),
        "lendable": (n, resources),
        **dict.fromkeys(("first", "top", "head", "heads", "pruned", "winner", "sticky"), n),
        **dict.fromkeys(("queue_first", "retry_first"), n),
        **dict.fromkeys(("use_k", "use"), (m, uses)),
        "tried": (m, p, groups),
        "n_pods": n_shapes,
        "waiting": n_shapes,
        **dict.fromkeys(("pods", "least_pods"), (n_shapes, p)),
        "ask": (n_shapes, p, resources),
        "flavors": (n_shapes, groups, flavors),
        "counts": p,
        **dict.fromkeys(("only", "stopped"), (p, groups)),
        **dict.fromkeys(("flavor", "mode", "level"), (p, resources)),
        "trial": (3, resources),
        **dict.fromkeys(("taken", "request", "need", "rest"), k),
        **dict.fromkeys(("found", "found_why", "order", "chosen"), m),
        **dict.fromkeys(("entry_k", "entry_use", "entry_held"), (entries, uses)),
        "turn": entries,
        "borrowing": (2, n, k, n_bins + 1),
        **dict.fromkeys(("change_row", "change_k", "change_gpus"), 0),
        "event": (1 << 12, EVENT_COLUMNS),
        "entry_flavor": (entries, p, resources),
        "entry_count": (entries, p),
        "entry_stopped": (entries, p, groups),
        "pool": (2, 4 * m),
    }
    records = {"work": (m, WORK), "candidate": (m, CANDIDATE), "entry": (entries, ENTRY)}
    arrays: dict[str, Any] = {name: np.zeros(shape, np.int64) for name, shape in size.items()}
    arrays["stake"] = np.zeros((3, n))
    arrays |= {name: np.zeros(rows, kind).view(np.recarray) for name, (rows, kind) in records.items()}
    for name in ("first", "top", "head", "tried", "sticky"):
        arrays[name][...] = -1
    arrays["work"]["passed"] = -1
    return Share(**arrays)
