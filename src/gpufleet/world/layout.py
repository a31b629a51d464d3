"""The world: every array shape and every code that the engine sees. Nothing else crosses that border.

A world is the plan as arrays. It is the only input of the engine; saved as ``world.npz`` it runs again
without the plan. The meaning of every field is defined in docs/explanation/engine.md.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints, SmallInts

UNKNOWN_S: Final = 1 << 56
"""A time that is not known (an estimate that nobody gave): later than every other time."""

# --- order of waiting jobs
FIFO, PRIORITY, SJF, SRTF = 0, 1, 2, 3
ORDERS: Final = ("fifo", "priority", "sjf", "srtf")

# --- backfill
NO_BACKFILL, EASY, CONSERVATIVE = 0, 1, 2
BACKFILLS: Final = ("none", "easy", "conservative")

# --- placement
CONSOLIDATE, BEST_FIT, SPREAD, DOMAIN_FIRST = 0, 1, 2, 3
PLACEMENTS: Final = ("consolidate", "best-fit", "spread", "domain-first")

# --- an order, or a placement, that a function of the user decides
OWN: Final = 4
TAKE_DOMAIN, TAKE_NODE = 0, 1
TAKES: Final = ("domain", "node")

# --- estimate of a run time that has no limit
EXACT, FACTOR, NO_ESTIMATE = 0, 1, 2
ESTIMATES: Final = ("exact", "factor", "none")

# --- a job over its limit
KILL_AT_LIMIT, RUN_ON = 0, 1
OVER_LIMITS: Final = ("kill", "run-on")

# --- how SRTF selects
SELECT_PLACEMENT, SELECT_COUNT = 0, 1
SELECTS: Final = ("placement", "count")

# --- capacity events, in the order in which they happen at one second
UP, DRAIN, KILL = 0, 1, 2

# --- why a job does not start now. Which is higher over its options: `engine.quota.rank`.
STARTABLE, OWN_QUOTA, NOT_ONLINE, NO_FREE, FRAGMENTED, RESERVATION = 0, 1, 2, 3, 4, 5
ORDER, BETWEEN_PASSES, BEYOND_DEPTH = 6, 7, 8
COHORT, TOPOLOGY, RETURNING = 9, 10, 11  # with admission by cycles; a returning job waits out its delay
LIMIT = 12  # of a user, a project or an array
POWER = 13  # the cap of a site's power
N_REFUSALS: Final = 14
DEPENDENCY = 14  # a cause, and the word of jobs that are not eligible yet: nobody waits in this state
REFUSALS: Final = (
    "startable",
    "own_quota",
    "not_online",
    "no_free",
    "fragmented",
    "reservation",
    "order",
    "between_passes",
    "beyond_depth",
    "cohort",
    "topology",
    "returning",
    "limit",
    "power",
    "dependency",
)

# --- which victims a queue may take, in its own queue or in its cohort
NEVER, LOWER_PRIORITY, LOWER_OR_NEWER_EQUAL, ANY_PRIORITY = 0, 1, 2, 3
NO_THRESHOLD: Final = 1 << 31  # of priorities: none

# --- strategies of fair sharing
FINAL_SHARE, INITIAL_SHARE, NO_STRATEGY = 0, 1, 2
UNLIMITED: Final = -1

# --- what a job wishes of the topology, and the levels inside a site
NO_WISH, PREFERRED, REQUIRED, UNCONSTRAINED = 0, 1, 2, 3
NODE_LEVEL, DOMAIN_LEVEL, BLOCK_LEVEL, SITE_LEVEL = 0, 1, 2, 3

# --- power
NO_CAP: Final = 1 << 56  # W
FULL_LEVEL: Final = 100  # levels of slowed sites are hundredths of what jobs draw at full speed
FULL_SPEED: Final = 1_000_000
POWER_LEVELS: Final = 1 << 14  # of what a site may draw at most, for the shares of time
RUN_ON_OVER_CAP, STOP_OVER_CAP = 0, 1

# --- states in which a job leaves the simulation
DONE, KILLED, REFUSED, RUNNING, WAITING = 0, 1, 2, 3, 4
STATES: Final = ("done", "killed", "refused", "running", "waiting")


# --- what is looked at, per product, at the end of each bin of the timeline
FREE_GPUS, WHOLE_NODE, WHOLE_DOMAIN, WHOLE_BLOCK, LARGEST_NODE, LARGEST_DOMAIN, LARGEST_BLOCK = range(7)
N_SAMPLES: Final = 7


class Nodes(NamedTuple):
    """Nodes, one row each; nodes of a cell are contiguous and sorted by domain. Shape (n_nodes,)."""

    size: SmallInts  # GPUs, 1 .. gpus_per_node of its cell
    cell: SmallInts  # row in Cells
    domain: SmallInts  # domain number, ascending over the whole fleet; a domain lies in one cell


class Cells(NamedTuple):
    """Sets of like nodes: one site, product, owner and node size. Shape (n_cells,)."""

    first_node: Ints
    n_nodes: Ints
    gpus_per_node: Ints  # F
    product: Ints  # code, names in Names.products
    site: Ints  # code, names in Names.sites
    tenant: Ints  # owner: code, names in Names.tenants; -1 = shared
    island: Ints  # -1 = used by no class


class Capacity(NamedTuple):
    """Changes of service, sorted by (t_s, kind, first_node). Shape (n_changes,)."""

    t_s: Ints
    kind: Ints  # UP, DRAIN, KILL
    first_node: Ints
    n_nodes: Ints
    lot: Ints  # row of the delivery or retirement in the plan, -1 = none


class Failures(NamedTuple):
    """Nodes that fail, sorted by (t_s, node). Shape (n_failures,)."""

    t_s: Ints
    node: Ints
    repair_s: Ints  # how long it is out then, >= 1


class Queues(NamedTuple):
    """Queues. Shape (n_queues,), quota (n_queues, n_products)."""

    tenant: Ints
    island: Ints  # -1 = no class of it has an option
    quota: Ints  # GPUs per product, -1 = unlimited


class Tree(NamedTuple):
    """The quota tree: cohorts and queues, one row each, parents before children.

    Shapes: n rows, k = flavors x resources (index ``flavor * R + resource``), R resources. A flavor is a
    product of the fleet; a resource group is what gets the same flavor.
    """

    parent: Ints  # (n,) row of the cohort above, -1 = none
    child: Ints  # (n,) first row below, -1 = none
    sibling: Ints  # (n,) next row with the same parent, -1 = none
    queue: Ints  # (n,) 1 = a queue, 0 = a cohort
    height: Ints  # (n,) of a cohort: 0 = empty, else 1, or 1 + its highest cohort below; of a queue 0
    nominal: Ints  # (n, k)
    borrow: Ints  # (n, k) borrowing limit, UNLIMITED
    lend: Ints  # (n, k) lending limit, UNLIMITED
    weight: Floats  # (n,) of fair shares
    within: Ints  # (n,) withinClusterQueue: NEVER, LOWER_PRIORITY, LOWER_OR_NEWER_EQUAL
    reclaim: Ints  # (n,) reclaimWithinCohort: NEVER, LOWER_PRIORITY, ANY_PRIORITY
    borrow_within: Ints  # (n,) borrowWithinCohort: NEVER, LOWER_PRIORITY
    threshold: Ints  # (n,) its maxPriorityThreshold, NO_THRESHOLD
    strict: Ints  # (n,) 1 = StrictFIFO
    next_if_borrowing: Ints  # (n,) 1 = whenCanBorrow is TryNextFlavor
    next_if_preempting: Ints  # (n,) 1 = whenCanPreempt is TryNextFlavor
    rather_preempt: Ints  # (n,) 1 = PreemptionOverBorrowing
    group: Ints  # (n, R) resource group of a resource, -1 = the queue does not cover it
    fair: int  # 1 = fair sharing
    placed: int  # 1 = what is admitted is placed on nodes as well; 0 = quota alone decides
    strategies: Ints  # (2,) of fair sharing: FINAL_SHARE, INITIAL_SHARE, NO_STRATEGY


class Works(NamedTuple):
    """What holds quota or asks for it. Shape (m,), uses (m, U); a work holds quota if ``n_use`` is not -1."""

    queue: Ints  # row in Tree
    shape: Ints  # row in Shapes
    priority: Ints
    time: Ints  # order in its queue: when it came
    reserved: Ints  # when it was admitted
    rank: Ints  # breaks ties, lower first
    evicted: Ints  # 1 = it is being evicted, and holds its quota still
    n_use: Ints  # uses, -1 = it waits
    use_k: Ints  # (m, U) of which amount
    use: Ints  # (m, U) how much


class Shapes(NamedTuple):
    """What works ask for. Shapes s, P pod sets, R resources, G resource groups, F flavors of a group."""

    n_pods: Ints  # (s,) pod sets
    pods: Ints  # (s, P) pods of a pod set
    least_pods: Ints  # (s, P) fewest pods that will do
    ask: Ints  # (s, P, R) per pod
    flavors: Ints  # (s, G, F) flavors to try, in order, -1 = no more


class Classes(NamedTuple):
    """Job classes: a queue and its options. No two classes are alike. Shape (n_classes,)."""

    queue: Ints
    first_option: Ints
    n_options: Ints


class Options(NamedTuple):
    """Where a class may run, in order of preference. Shape (n_options,)."""

    cell: Ints
    speed: Floats  # work seconds per second, > 0


class Accounts(NamedTuple):
    """Users, projects and arrays that may hold only so much at once. Shapes: n accounts.

    All queues whose classes name the same account are in one island.
    """

    of_class: Ints  # (n_classes, A) accounts that jobs of the class count in, -1 = no more
    limit: Ints  # (n, n_products) GPUs held, UNLIMITED
    total: Ints  # (n,) GPUs held of all products, UNLIMITED
    jobs: Ints  # (n,) jobs that run, UNLIMITED
    end_s: Ints  # (n,) nothing of it starts from then on, UNKNOWN_S = never


class Gates(NamedTuple):
    """What must have ended before jobs become eligible. A source is a set of classes that somebody waits for.

    Shapes: m conditions, n sources.
    """

    of_class: Ints  # (n_classes,) gate before the jobs of the class, -1 = none
    source: Ints  # (n_classes,) source that they are part of, -1 = nobody waits for them
    gate: Ints  # (m,) ascending from 0: the gate that asks for this
    after: Ints  # (m,) source whose jobs must have left the system
    any_end: Ints  # (m,) 1 = however they ended, 0 = all must be done
    last_s: Ints  # (n,) no job of the source comes after this second


class Power(NamedTuple):
    """What GPUs draw, and the caps of sites: IT power, whole W. Sites are those of Cells.

    Shapes: n_kinds of work, m changes of caps, sorted by (t_s, site).
    """

    idle_w: Ints  # (n_cells,) of a free GPU in service, with its part of the node
    kind_w: Ints  # (n_kinds, n_cells) of a GPU that a job of the kind holds, >= idle_w
    class_kind: Ints  # (n_classes,) kind of the class's jobs
    cap_t_s: Ints  # (m,) >= 0
    cap_site: Ints  # (m,)
    cap_w: Ints  # (m,) from then on, NO_CAP; before its first change a site has none
    most_w: Ints  # (n_sites,) that all nodes there ever could draw at once
    class_kept: Ints  # (n_classes,) 1 = no cap stops its jobs
    site_low: Ints  # (n_sites,) lowest level that its cap may slow jobs to; FULL_LEVEL: it holds them back
    level_w: Ints  # (FULL_LEVEL + 1, n_kinds, n_cells) as kind_w at each level; no rows: no site slows jobs
    level_speed: Ints  # likewise: how fast, of FULL_SPEED
    cell_speed: Floats  # (n_cells,) of jobs there, with the caps of GPUs; Options have it in them
    over_cap: int  # what happens to running jobs over a cap: RUN_ON_OVER_CAP, STOP_OVER_CAP


class Policy(NamedTuple):
    """Scheduling policy, numbers only."""

    order: int
    strict: int  # 1 = strict, 0 = best effort
    backfill: int
    placement: int
    interval_s: int  # 0 = a pass after every event
    depth: int  # jobs per lane and pass with backfill, >= 1
    window_s: int  # conservative, 0 = unlimited
    resolution_s: int  # conservative, 0 = exact
    estimate: int
    factor: float  # with FACTOR
    over_limit: int
    finish_lag_s: int  # added to every duration
    select: int  # SRTF
    overhead_gpus: Ints  # SRTF restart overhead: bands by GPU count, ascending upper bounds, (n_bands,)
    overhead_s: Ints  # seconds per band; more GPUs than the last bound: the last band; (n_bands,)


class Clock(NamedTuple):
    """Horizon and grid."""

    end_s: int  # end of the plan
    finish: int  # 1 = run on until every job has ended, 0 = stop at end_s
    grid_s: int  # width of a bin of the timeline, > 0


class Restarts(NamedTuple):
    """What jobs lose and pay when an attempt is cut short: a failure, a KILL, a preemption of admission by
    cycles. Shape (n_classes,)."""

    checkpoint_s: Ints  # work between checkpoints: 0 = loses nothing, UNKNOWN_S = loses the whole attempt
    restart_s: Ints  # work that every return adds


class ClassRules(NamedTuple):
    """What admission by cycles needs to know of job classes. Shape (n_classes,)."""

    preemptible: Ints  # 0 = never a victim
    wish: Ints  # NO_WISH, PREFERRED, REQUIRED, UNCONSTRAINED
    level: Ints  # of the wish: NODE_LEVEL .. SITE_LEVEL
    slice_gpus: Ints  # GPUs of a slice, which lies in one part of the slice level; 0 = no slices
    slice_level: Ints  # DOMAIN_LEVEL, BLOCK_LEVEL


class SharedQuotas(NamedTuple):
    """Admission by cycles: queues lend to each other and take back.

    The tree has one resource (GPUs); its k are products. Its rows are cohorts, then the rows of Queues.
    """

    tree: Tree
    change_t_s: Ints  # (n_quota_changes,) ascending: when a nominal quota changes
    change_row: Ints  # row in the tree
    change_product: Ints
    change_gpus: Ints  # the quota from then on
    classes: ClassRules
    domain_block: Ints  # (n_domains,) block of a domain, ascending over the whole fleet
    evict_falling: int  # 1 = a falling quota evicts what exceeds it
    return_s: int  # how long a preempted job waits before it competes again
    return_last: int  # 1 = it returns behind those who wait, 0 = to its old place
    preemptions_at_most: int  # a job that has given way so often is not preempted any more; 0 = no bound


class NodeSets(NamedTuple):
    """Who may take which nodes, and when: partitions and reservations.

    Nodes that are in the same partitions and reservations are one group.
    """

    node_group: Ints  # (n_nodes,)
    queue_groups: Ints  # (n_queues, n_groups) 1 = jobs of the queue may use nodes of the group
    queue_holds: Ints  # (n_queues, n_reservations) 1 = the reservation is for all jobs of the queue
    class_holds: Ints  # (n_classes, n_reservations) 1 = it is for jobs of the class
    window_group: Ints  # (n_windows,) ascending; a window keeps a group for a reservation
    window_reservation: Ints  # (n_windows,)
    window_from_s: Ints  # (n_windows,)
    window_to_s: Ints  # (n_windows,) later than its from_s


class OwnCode(NamedTuple):
    """A function of the user, checked: it only computes, and ends."""

    function: str
    file: str  # as the plan names it
    line: int  # of its `def`
    source: str  # what the user wrote
    program: str  # the same with all names as numbers: ``decide(field, ...)`` gives the result


class OwnPolicies(NamedTuple):
    """Functions of the user that decide instead of built-in rules."""

    order: OwnCode | None
    placement: OwnCode | None
    take: int = TAKE_DOMAIN  # whole nodes: all that the best domain has, or one
    by_domain: int = 0  # 1 = the placement looks at domains


class World(NamedTuple):
    """All that the engine needs but the jobs."""

    nodes: Nodes
    cells: Cells
    capacity: Capacity
    queues: Queues
    classes: Classes
    options: Options
    policy: Policy
    clock: Clock
    failures: Failures | None = None  # None: nothing fails
    restarts: Restarts | None = None  # None: no checkpoints, and restarts cost nothing
    shared: SharedQuotas | None = None  # None: hard quotas (Queues.quota), no admission cycles
    node_sets: NodeSets | None = None  # None: every job may take every node at any time
    own: OwnPolicies | None = None  # with order or placement OWN
    accounts: Accounts | None = None  # None: no limits but those of queues
    gates: Gates | None = None  # None: all jobs are eligible when they come
    power: Power | None = None  # None: power is neither counted nor capped


class Jobs(NamedTuple):
    """Jobs, one row each, sorted by submit_s (ties: as they came). Shape (n_jobs,)."""

    submit_s: Ints  # when it comes, seconds from the plan's start, >= 0; eligible then, unless a gate is shut
    gpus: SmallInts  # whole GPUs, all at once, >= 1
    work_s: Floats  # seconds at speed 1, >= 0
    cls: SmallInts  # row in Classes
    limit_s: Ints  # wall-clock limit of one attempt, 0 = none
    priority: SmallInts  # higher goes first


class Outcomes(NamedTuple):
    """What became of each job. Shape (n_jobs,), the two tables (n_jobs, N_REFUSALS)."""

    id: Ints  # row in Jobs
    start_s: Ints  # first start, -1 = never
    end_s: Ints  # when it was done or killed at its limit, -1 = neither
    wait_s: Ints  # over all attempts
    run_s: Ints  # GPU time held, over all attempts, seconds
    cell: SmallInts  # of the last attempt, -1 = never started
    state: SmallInts  # DONE, KILLED, REFUSED, RUNNING, WAITING
    last_refusal: (
        SmallInts  # REFUSED: the cause; WAITING: the state at the end; else the last one, 0 = never waited
    )
    attempts: SmallInts  # starts
    preemptions: SmallInts  # by SRTF, a KILL or a failure
    behind: Ints  # id of the job that it last stood behind (ORDER or RESERVATION), -1 = none
    failures: Ints  # how often a node failed under it
    lost_s: Ints  # work that it had to do again, s at speed 1, rounded down
    held_s: Ints  # from submit_s until it was eligible, -1 = it never was
    slowed_s: Ints  # what it ran longer because its site's cap slowed it, over all attempts, rounded down
    wait_by_refusal_s: SmallInts
    wait_by_root_s: SmallInts


# --- who holds the nodes of a window: jobs for whom it is, others; and anybody in the time before it
HELD_BY_ITS, HELD_BY_OTHERS, HELD_BEFORE = 0, 1, 2
BEFORE_S: Final = 86400  # how long that time is, s
NO_WINDOWS: Final = np.zeros((0, 3), np.int64)
NO_ENERGY: Final = np.zeros((0, 0, 0), np.int64)
NO_POWER: Final = np.zeros((0, 0), np.int64)
# --- what caps do: s above the cap, IT energy above it, J, s below full speed, sum of s x level
OVER_S, OVER_J, SLOW_S, LEVEL_S, N_CAPPED = 0, 1, 2, 3, 4


class Tallies(NamedTuple):
    """GPU-seconds per bin of the timeline, exact. A bin b covers [b * grid_s, (b + 1) * grid_s).

    What is `sampled` is GPUs, as they are just before the bin's end; what is `kept` GPU-seconds per window of
    a reservation, over all of it.
    """

    busy: Ints  # (n_queues, n_products, n_bins): GPUs held
    waiting: Ints  # (n_queues, N_REFUSALS, n_bins): GPUs asked for by waiting jobs, by root
    borrowing: Ints  # (rows of the quota tree, n_products, n_bins): GPUs used beyond quota
    sampled: Ints  # (n_products, N_SAMPLES, n_bins): GPUs at the end of the bin
    kept: Ints = NO_WINDOWS  # (n_windows, 3): GPU-seconds, columns HELD_BY_ITS, HELD_BY_OTHERS, HELD_BEFORE
    energy: Ints = NO_ENERGY  # (n_sites, 1 + n_kinds, n_bins): IT energy, J: of free GPUs, of each kind
    peak: Ints = NO_POWER  # (n_sites, n_bins): highest IT power, W
    level_s: Ints = NO_POWER  # (n_sites, POWER_LEVELS + 1): seconds at each share of most_w, rounded up
    p99: Ints = NO_POWER  # (n_sites, n_bins): IT power not exceeded in 99 % of the bin, by those shares, W
    capped: Ints = NO_ENERGY  # (n_sites, N_CAPPED, n_bins): columns OVER_S .. LEVEL_S


def empty_jobs() -> Jobs:
    """Jobs with no rows.

    >>> empty_jobs().gpus.shape
    (0,)
    """
    i: Any = np.zeros(0, np.int64)
    s: Any = np.zeros(0, np.int32)
    return Jobs(i, s, np.zeros(0), s, i, s)


def empty_world() -> World:
    """A fleet without nodes, queues or jobs.

    >>> empty_world().nodes.size.shape
    (0,)
    """
    i: Any = np.zeros(0, np.int64)
    n: Any = np.zeros(0, np.int32)
    return World(
        nodes=Nodes(n, n, n),
        cells=Cells(i, i, i, i, i, i, i),
        capacity=Capacity(i, i, i, i, i),
        queues=Queues(i, i, np.zeros((0, 0), np.int64)),
        classes=Classes(i, i, i),
        options=Options(i, np.zeros(0)),
        policy=Policy(FIFO, 1, NO_BACKFILL, BEST_FIT, 0, 1, 0, 0, EXACT, 1.0, RUN_ON, 0, 0, i, i),
        clock=Clock(0, 0, 1),
    )
