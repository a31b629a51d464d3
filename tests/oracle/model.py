"""The oracle's picture of a world: plain objects, one per node, cell, queue and job.

Everything here follows docs/explanation/engine.md word by word. No speed is wanted, only that a reader can
check each line against that page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from gpufleet.world.layout import (
    BETWEEN_PASSES,
    EXACT,
    FACTOR,
    N_REFUSALS,
    ORDER,
    RESERVATION,
    RUN_ON,
    UNKNOWN_S,
    Jobs,
    Policy,
    World,
)

FUTURE, HELD, IN_LANE, AWAY, ON_NODES, GONE = ("to come", "held", "waiting", "returning", "running", "gone")


@dataclass(eq=False)  # each object is itself only; cells and nodes point at each other
class Node:
    index: int
    size: int
    domain: int
    cell: Cell
    in_service: bool = False
    planned: bool = False  # in service but for failures
    failed: Fault | None = None
    used: int = 0


@dataclass(eq=False)
class Fault:
    """One row of Failures."""

    t: int
    repaired: int
    node: int


@dataclass(eq=False)
class Cell:
    index: int
    gpus_per_node: int
    product: int
    island: int
    nodes: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class Queue:
    index: int
    island: int
    quota: list[int]
    in_use: list[int]

    def admits(self, product: int, gpus: int) -> bool:
        """Whether gpus more of the product are within the quota now."""
        return self.quota[product] < 0 or self.in_use[product] + gpus <= self.quota[product]


@dataclass(eq=False)
class Account:
    """A user, a project or an array: -1 is no limit."""

    limit: list[int]
    total: int
    jobs: int
    ends: int
    in_use: list[int]
    running: int = 0

    def admits(self, product: int, gpus: int, now: int) -> bool:
        """Whether one job more, of gpus of the product, is within the limits now."""
        return (
            now < self.ends
            and _within(self.in_use[product] + gpus, self.limit[product])
            and _within(sum(self.in_use) + gpus, self.total)
            and _within(self.running + 1, self.jobs)
        )

    def ever_admits(self, product: int, gpus: int, now: int) -> bool:
        """The same, if nothing of it ran."""
        idle = Account(self.limit, self.total, self.jobs, self.ends, [0] * len(self.limit))
        return idle.admits(product, gpus, now)


def _within(value: int, limit: int) -> bool:
    return limit < 0 or value <= limit


@dataclass(eq=False)
class Gate:
    """What must have ended: pairs of a source and whether any end will do. Jobs stand before it."""

    conditions: list[tuple[int, bool]]
    opened: bool = False
    failed: bool = False


@dataclass(eq=False)
class Option:
    cell: Cell
    speed: float


@dataclass(eq=False)
class Change:
    """One row of Capacity."""

    t: int
    kind: int
    nodes: list[Node]


@dataclass(eq=False)
class Refusal:
    """Why a job does not start, and, for RESERVATION, the job it stands behind and that one's root."""

    code: int
    behind: Job | None = None
    root: int = 0


@dataclass(eq=False)
class Job:
    id: int
    submit: int
    gpus: int
    work: float
    cls: int
    queue: Queue
    options: list[Option]
    limit: int
    priority: int
    accounts: list[Account] = field(default_factory=list)
    gate: Gate | None = None
    source: int = -1

    stage: str = FUTURE
    # while it waits
    why: int = BETWEEN_PASSES
    stands_behind: Job | None = None
    reservation_root: int = 0
    new: bool = False
    sequence: int = 0
    time: Fraction = Fraction(0)  # its place in the order of time, with admission by cycles
    eligible: int = -1  # when it became so
    returns: int = 0  # while it is returning: when it is back
    key: float = 0.0  # by an own order
    remaining: float = 0.0  # work at the start of the attempt that runs, or of the next one
    # while it runs
    started: int = 0
    option: Option | None = None
    held: dict[int, int] = field(default_factory=dict)  # node index -> GPUs
    ends: int = 0
    ends_killed: bool = False
    progress: int = 0  # of this attempt, millionths of a second at full speed
    # what is reported
    state: int = -1
    first_start: int = -1
    last_end: int = -1
    last_cell: int = -1
    last_state: int = 0
    last_behind: int = -1
    attempts: int = 0
    yields: int = 0  # times that it gave way
    preemptions: int = 0
    failures: int = 0
    lost: float = 0.0  # work
    run_s: int = 0
    slowed: int = 0  # millionths of a second that it ran longer
    by_refusal: list[int] = field(default_factory=lambda: [0] * N_REFUSALS)
    by_root: list[int] = field(default_factory=lambda: [0] * N_REFUSALS)

    @property
    def shape(self) -> tuple[int, int]:
        return (self.cls, self.gpus)

    @property
    def cells(self) -> list[Cell]:
        return [option.cell for option in self.options]

    def root(self) -> int:
        """The root of the state that the job is in at this moment."""
        if self.why == ORDER:
            assert self.stands_behind is not None
            return self.stands_behind.root()  # asked anew each time: it changes when that job's refusal does
        return self.reservation_root if self.why == RESERVATION else self.why

    def remaining_now(self) -> float:
        """Work still to do, running or waiting (speed-1 seconds)."""
        if self.stage != ON_NODES:
            return self.remaining
        assert self.option is not None
        return max(0.0, self.remaining - self.progress / 1_000_000 * self.option.speed)


def duration(job: Job, option: Option, policy: Policy) -> int:
    """Seconds that the job would run on the option if no limit ended it."""
    return max(1, math.ceil(job.remaining / option.speed)) + policy.finish_lag_s


def run_length(job: Job, option: Option, policy: Policy) -> tuple[int, bool]:
    """Seconds that an attempt takes, and whether it is killed at its limit."""
    seconds = duration(job, option, policy)
    if job.limit > 0 and policy.over_limit != RUN_ON and seconds > job.limit:
        return job.limit, True
    return seconds, False


def estimate(job: Job, option: Option, policy: Policy) -> int:
    """The job's estimate on an option, UNKNOWN_S if nobody gave one."""
    return _estimate(job, duration(job, option, policy), policy)


def estimate_at_speed_one(job: Job, policy: Policy) -> int:
    """The key of SJF, and what an own order is told: no lag, for the work that is left."""
    return _estimate(job, max(1, math.ceil(job.remaining)), policy)


def _estimate(job: Job, seconds: int, policy: Policy) -> int:
    if job.limit > 0:
        return job.limit
    if policy.estimate == EXACT:
        return seconds
    return math.ceil(policy.factor * seconds) if policy.estimate == FACTOR else UNKNOWN_S


def estimated_end(job: Job, now: int, policy: Policy) -> int:
    """When a running job is thought to end: later than now, whatever was estimated."""
    assert job.option is not None
    seconds = estimate(job, job.option, policy)
    return UNKNOWN_S if seconds >= UNKNOWN_S else max(job.started + seconds, now + 1)


def overhead(gpus: int, policy: Policy) -> int:
    """SRTF restart overhead of a job of that many GPUs."""
    bands = list(zip(policy.overhead_gpus.tolist(), policy.overhead_s.tolist(), strict=True))
    for bound, seconds in bands:
        if gpus <= bound:
            return int(seconds)
    return int(bands[-1][1]) if bands else 0


def load_fleet(world: World) -> tuple[list[Node], list[Cell]]:
    """Nodes and cells of the world, none in service yet."""
    c = world.cells
    cells = [
        Cell(i, int(c.gpus_per_node[i]), int(c.product[i]), int(c.island[i])) for i in range(len(c.product))
    ]
    nodes = []
    for i in range(len(world.nodes.size)):
        cell = cells[int(world.nodes.cell[i])]
        nodes.append(Node(i, int(world.nodes.size[i]), int(world.nodes.domain[i]), cell))
        cell.nodes.append(nodes[-1])
    return nodes, cells


def load_changes(world: World, nodes: list[Node]) -> list[Change]:
    """The capacity rows that can happen: without `finish` none at or after the end."""
    rows = world.capacity
    changes = []
    for i in range(len(rows.t_s)):
        first, count = int(rows.first_node[i]), int(rows.n_nodes[i])
        if world.clock.finish or rows.t_s[i] < world.clock.end_s:
            changes.append(Change(int(rows.t_s[i]), int(rows.kind[i]), nodes[first : first + count]))
    return changes


def load_faults(world: World) -> list[Fault]:
    """The failures to come."""
    if world.failures is None:
        return []
    rows = zip(*(column.tolist() for column in world.failures), strict=True)
    return [Fault(t, t + repair, node) for t, node, repair in rows]


def load_queues(world: World) -> list[Queue]:
    quota = world.queues.quota.tolist()
    islands = world.queues.island.tolist()
    return [Queue(i, islands[i], quota[i], [0] * len(quota[i])) for i in range(len(islands))]


def load_accounts(world: World) -> list[Account]:
    a = world.accounts
    if a is None:
        return []
    rows = zip(a.limit.tolist(), a.total.tolist(), a.jobs.tolist(), a.end_s.tolist(), strict=True)
    return [Account(*row, [0] * len(row[0])) for row in rows]


def load_gates(world: World) -> list[Gate]:
    g = world.gates
    if g is None:
        return []
    gates = [Gate([]) for _ in range(max(g.gate.tolist()) + 1)]
    for gate, after, any_end in zip(g.gate.tolist(), g.after.tolist(), g.any_end.tolist(), strict=True):
        gates[gate].conditions.append((after, bool(any_end)))
    return gates


def load_jobs(
    world: World,
    jobs: Jobs,
    cells: list[Cell],
    queues: list[Queue],
    accounts: list[Account],
    gates: list[Gate],
) -> list[Job]:
    options = [
        Option(cells[int(cell)], float(speed))
        for cell, speed in zip(world.options.cell, world.options.speed, strict=True)
    ]
    loaded = []
    for i in range(len(jobs.submit_s)):
        cls = int(jobs.cls[i])
        first = int(world.classes.first_option[cls])
        mine = world.accounts.of_class[cls].tolist() if world.accounts else []
        gate = int(world.gates.of_class[cls]) if world.gates else -1
        loaded.append(
            Job(
                id=i,
                submit=int(jobs.submit_s[i]),
                gpus=int(jobs.gpus[i]),
                work=float(jobs.work_s[i]),
                cls=cls,
                queue=queues[int(world.classes.queue[cls])],
                options=options[first : first + int(world.classes.n_options[cls])],
                limit=int(jobs.limit_s[i]),
                priority=int(jobs.priority[i]),
                remaining=float(jobs.work_s[i]),
                accounts=[accounts[a] for a in mine if a >= 0],
                gate=gates[gate] if gate >= 0 else None,
                source=int(world.gates.source[cls]) if world.gates else -1,
            )
        )
    return loaded
