"""The state of a simulation and the few ways in which it can change."""

from __future__ import annotations

import math
from fractions import Fraction

from gpufleet.world.layout import (
    BETWEEN_PASSES,
    COHORT,
    DEPENDENCY,
    DONE,
    FIFO,
    FRAGMENTED,
    KILL,
    KILLED,
    LIMIT,
    N_REFUSALS,
    NO_FREE,
    NOT_ONLINE,
    ORDER,
    OWN,
    OWN_QUOTA,
    POWER,
    PRIORITY,
    REFUSED,
    RESERVATION,
    SJF,
    TOPOLOGY,
    UNKNOWN_S,
    UP,
    Jobs,
    World,
)

from .looking import free_together
from .model import (
    AWAY,
    FUTURE,
    GONE,
    HELD,
    IN_LANE,
    ON_NODES,
    Change,
    Gate,
    Job,
    Node,
    Option,
    Refusal,
    duration,
    estimate,
    estimate_at_speed_one,
    load_accounts,
    load_changes,
    load_faults,
    load_fleet,
    load_gates,
    load_jobs,
    load_queues,
    overhead,
    run_length,
)
from .node_sets import load_node_sets
from .own import own_key, own_order, own_rule
from .placing import Rule, View, empty_now, fits, free_now
from .power import Meters

RANK = (0, OWN_QUOTA, COHORT, LIMIT, POWER, NOT_ONLINE, NO_FREE, FRAGMENTED, TOPOLOGY, RESERVATION)
"""Refusals of options, the highest last."""


class Simulation:
    """All that changes, and `now`."""

    def __init__(self, world: World, jobs: Jobs) -> None:
        self.policy = world.policy
        self.clock = world.clock
        self.now = 0
        self.begun = False  # whether anything has happened yet
        self.nodes, self.cells = load_fleet(world)
        self.changes = load_changes(world, self.nodes)  # those that have not happened yet
        self.faults = load_faults(world)
        self.restarts = world.restarts
        self.queues = load_queues(world)
        self.sets = load_node_sets(world)
        self.own_order = own_order(world)
        self.rule: Rule = own_rule(world) or world.policy.placement
        self.accounts, self.gates = load_accounts(world), load_gates(world)
        self.meters = Meters(world, world.power) if world.power else None
        self.source_last = world.gates.last_s.tolist() if world.gates else []
        self.jobs = load_jobs(world, jobs, self.cells, self.queues, self.accounts, self.gates)
        self.gate_looks = sorted(set(self.source_last))  # seconds at which gates are looked at, come what may
        self.looked_at: list[tuple[int, int]] = []  # what the last look saw
        self.due: dict[int, bool] = {}  # island -> whether the pass that is due is full
        self.sequence = 0
        products = self.n_products = world.queues.quota.shape[1]
        self.looks: list[list[list[int]]] = []  # at the free GPUs, by bin
        # GPU-seconds by queue, then product or root, then bin
        self.busy: list[list[dict[int, int]]] = [[{} for _ in range(products)] for _ in self.queues]
        self.waiting_gpus: list[list[dict[int, int]]] = [[{} for _ in range(N_REFUSALS)] for _ in self.queues]

    # ------------------------------------------------------------------ who is where

    def waiting(self, island: int | None = None) -> list[Job]:
        return self._at(IN_LANE, island)

    def running(self, island: int | None = None) -> list[Job]:
        return self._at(ON_NODES, island)

    def _at(self, stage: str, island: int | None) -> list[Job]:
        return [j for j in self.jobs if j.stage == stage and island in (None, j.queue.island)]

    def in_order(self, jobs: list[Job]) -> list[Job]:
        return sorted(jobs, key=self.order_key)

    def order_key(self, job: Job) -> tuple[float, float | Fraction, int]:
        order = self.policy.order
        if order == OWN:
            return (job.key, 0, job.id)
        if order == FIFO:
            return (0, 0, job.id)
        if order == PRIORITY:
            return (-job.priority, 0, job.id)
        if order == SJF:
            return (estimate_at_speed_one(job, self.policy), 0, job.id)
        return (job.remaining_now(), 0 if job.stage == IN_LANE else 1, job.sequence)

    def mark_due(self, island: int, *, full: bool) -> None:
        if island >= 0:
            self.due[island] = self.due.get(island, False) or full

    # ------------------------------------------------------------------ the life of a job

    def come(self, job: Job) -> None:
        """It is submitted. Gates are looked at when all jobs of this second have come."""
        if job.gate is None or job.gate.opened:
            self.become_eligible(job)
        else:
            job.stage = HELD

    def become_eligible(self, job: Job) -> None:
        job.eligible = self.now
        self._enter_lane(job)
        job.new = True
        self.mark_due(job.queue.island, full=False)
        cause = self.never(job)
        if cause:
            self.refuse_for_ever(job, cause)

    def _enter_lane(self, job: Job) -> None:
        job.stage, job.why = IN_LANE, BETWEEN_PASSES
        self.set_key(job)
        self._next_sequence(job)

    def set_key(self, job: Job) -> None:
        """An own order is asked when a job enters its lane."""
        if self.own_order:
            job.key = own_key(self.own_order, job, self.policy)

    def _next_sequence(self, job: Job) -> None:
        self.sequence += 1
        job.sequence = self.sequence

    def start(self, job: Job, option: Option, held: dict[int, int]) -> None:
        assert job.stage == IN_LANE
        assert sum(held.values()) == job.gpus
        assert self.open_now(job, option, held) == held
        for n, gpus in held.items():
            assert self.nodes[n].in_service
            self.nodes[n].used += gpus
        job.queue.in_use[option.cell.product] += job.gpus
        for account in job.accounts:
            account.in_use[option.cell.product] += job.gpus
            account.running += 1
        seconds, killed = run_length(job, option, self.policy)
        job.stage, job.started, job.option, job.held = ON_NODES, self.now, option, held
        job.ends, job.ends_killed, job.progress = self.now + seconds, killed, 0
        job.attempts += 1
        job.last_cell, job.last_end = option.cell.index, -1
        job.first_start = self.now if job.first_start < 0 else job.first_start
        self._next_sequence(job)

    def _leave_nodes(self, job: Job) -> None:
        assert job.option is not None
        for n, gpus in job.held.items():
            self.nodes[n].used -= gpus
        job.queue.in_use[job.option.cell.product] -= job.gpus
        for account in job.accounts:
            account.in_use[job.option.cell.product] -= job.gpus
            account.running -= 1
        job.slowed += (self.now - job.started) * 1_000_000 - job.progress
        job.held, job.option, job.last_end = {}, None, self.now

    def end(self, job: Job) -> None:
        self._leave_nodes(job)
        job.stage, job.state = GONE, KILLED if job.ends_killed else DONE
        self.mark_due(job.queue.island, full=True)

    def kill(self, job: Job, why: str) -> None:
        """A node under it was killed or failed: it waits again, with the work of this attempt to do."""
        self.lose_work(job)
        job.failures += why == "NodeFailed"
        self._leave_nodes(job)
        job.preemptions += 1
        self._enter_lane(job)
        self.mark_due(job.queue.island, full=True)

    def lose_work(self, job: Job) -> float:
        """What it did since its last checkpoint, or all of it, is lost; how much that is."""
        assert job.option is not None
        done = min(job.remaining, job.progress / 1_000_000 * job.option.speed)
        every, pays = UNKNOWN_S, 0
        if self.restarts is not None:
            every, pays = (int(column[job.cls]) for column in self.restarts)
        kept = 0.0 if every >= UNKNOWN_S else done if every == 0 else math.floor(done / every) * every
        job.remaining = job.remaining - kept + pays
        job.lost += done - kept
        return done - kept

    def preempt(self, job: Job) -> None:
        """SRTF: it waits again, keeps the work done, and pays the restart."""
        job.remaining = job.remaining_now() + overhead(job.gpus, self.policy)
        self._leave_nodes(job)
        job.preemptions += 1
        self._enter_lane(job)

    # ------------------------------------------------------------------ refusals

    def refuse(self, job: Job, refusal: Refusal) -> bool:
        """Give an examined job its refusal. False: it can never run, and has left the lane."""
        if refusal.code in (NOT_ONLINE, POWER) or (refusal.code == LIMIT and self.has_ended(job)):
            cause = self.never(job)
            if cause:
                self.refuse_for_ever(job, cause)
                return False
        self.set_refusal(job, refusal)
        return True

    def set_refusal(self, job: Job, refusal: Refusal) -> None:
        job.why, job.reservation_root = refusal.code, refusal.root if refusal.behind else refusal.code
        job.stands_behind = refusal.behind
        if refusal.behind is not None:
            assert refusal.code == RESERVATION
            job.last_behind = refusal.behind.id

    def put_behind(self, job: Job, closer: Job) -> None:
        job.why, job.stands_behind, job.last_behind = ORDER, closer, closer.id

    def refuse_for_ever(self, job: Job, cause: int) -> None:
        job.stage, job.state, job.last_state = GONE, REFUSED, cause

    def never(self, job: Job) -> int:
        """0 if the job can run some day, else the cause that it never can."""
        causes = [NOT_ONLINE] if not job.options else []
        for option in job.options:
            quota = job.queue.quota[option.cell.product]
            if 0 <= quota < job.gpus:
                causes.append(OWN_QUOTA)
            elif not self.ever_within_limits(job, option.cell.product):
                causes.append(LIMIT)
            elif self.meters and not self.meters.ever_admits(job, option):
                causes.append(POWER)
            elif self._ever_holds(job, option):
                return 0
            else:
                causes.append(NOT_ONLINE)
        return max(causes, key=RANK.index)

    def within_limits(self, job: Job, product: int) -> bool:
        return all(account.admits(product, job.gpus, self.now) for account in job.accounts)

    def ever_within_limits(self, job: Job, product: int) -> bool:
        return all(account.ever_admits(product, job.gpus, self.now) for account in job.accounts)

    def has_ended(self, job: Job) -> bool:
        return any(account.ends <= self.now for account in job.accounts)

    def refused_by_rule(self, job: Job, option: Option) -> int:
        """0, OWN_QUOTA or LIMIT."""
        product = option.cell.product
        if not job.queue.admits(product, job.gpus):
            return OWN_QUOTA
        return 0 if self.within_limits(job, product) else LIMIT

    def refused_by_power(self, job: Job, option: Option) -> int:
        """0 or POWER."""
        return POWER if self.meters and not self.meters.admits(self, job, option) else 0

    def barred(self, job: Job, option: Option) -> int:
        """Whether a rule or power refuses it, whatever is free."""
        return self.refused_by_rule(job, option) or self.refused_by_power(job, option)

    # ------------------------------------------------------------------ gates

    def look_at_gates(self) -> None:
        """Open the gates whose jobs have left, and refuse those behind gates that will never open."""
        changed = True
        while changed:
            changed = False
            for gate in self.gates:
                self._judge(gate)
                for job in self.jobs:
                    if job.gate is gate and job.stage == HELD and (gate.opened or gate.failed):
                        changed = True
                        if gate.opened:
                            self.become_eligible(job)
                        else:
                            self.refuse_for_ever(job, DEPENDENCY)
        self.looked_at = self._sources()

    def _judge(self, gate: Gate) -> None:
        if gate.opened or gate.failed:
            return
        sources = self._sources()
        gate.failed = any(sources[after][1] > 0 for after, any_end in gate.conditions if not any_end)
        if not gate.failed:
            gate.opened = all(
                sources[after][0] == 0 and self.source_last[after] <= self.now for after, _ in gate.conditions
            )

    def _sources(self) -> list[tuple[int, int]]:
        """Of each source: jobs that have come and are not gone, and jobs that are gone but were not done."""
        counts = []
        for source in range(len(self.source_last)):
            mine = [job for job in self.jobs if job.source == source]
            alive = sum(job.stage not in (FUTURE, GONE) for job in mine)
            counts.append((alive, sum(job.stage == GONE and job.state != DONE for job in mine)))
        return counts

    def _ever_holds(self, job: Job, option: Option) -> bool:
        view = {node.index: node.size for node in option.cell.nodes if node.planned}
        if fits(self.sets.may_use(job, view), option.cell, job.gpus):
            return True
        for place, change in enumerate(self.changes):
            for node in change.nodes:
                if node.cell is option.cell and change.kind == UP:
                    view[node.index] = node.size
                elif node.cell is option.cell:
                    view.pop(node.index, None)
            same_second = place + 1 < len(self.changes) and self.changes[place + 1].t == change.t
            if not same_second and fits(self.sets.may_use(job, view), option.cell, job.gpus):
                return True
        return False

    def does_not_fit_because(self, job: Job, option: Option) -> int:
        """0 if the job fits now, else NOT_ONLINE, NO_FREE, FRAGMENTED or RESERVATION by a window."""
        cause = self.why_not(job, option, free_now(option.cell))
        return cause or (0 if fits(self.open_now(job, option), option.cell, job.gpus) else RESERVATION)

    def why_not(self, job: Job, option: Option, view: View) -> int:
        """Why the job does not fit the nodes that its class may use, if these had so much free."""
        view = self.sets.may_use(job, view)
        if fits(view, option.cell, job.gpus):
            return 0
        if not fits(self.sets.may_use(job, empty_now(option.cell)), option.cell, job.gpus):
            return NOT_ONLINE
        return NO_FREE if sum(view.values()) < job.gpus else FRAGMENTED

    def open_now(self, job: Job, option: Option, view: View | None = None) -> View:
        """Of a view of the cell, by default that of the present, the nodes that the job may take now."""
        seconds = estimate(job, option, self.policy)
        whole = free_now(option.cell) if view is None else view
        return self.sets.may_take(job, whole, self.now, seconds)

    def choice(self, job: Job, option: Option, view: View, t: int) -> View:
        """Of the nodes that a job may take, those to place it on: its own reservations' if they hold it."""
        own = self.sets.own(job, view, t)
        return own if fits(own, option.cell, job.gpus) else view

    def end_windows(self) -> None:
        """Windows that end now make passes due."""
        for window in self.sets.windows:
            if window.ends == self.now:
                for node in self.nodes:
                    if self.sets.group[node.index] == window.group:
                        self.mark_due(node.cell.island, full=True)

    # ------------------------------------------------------------------ capacity

    def change_service(self, change: Change) -> None:
        for node in change.nodes:
            if change.kind == KILL:
                self._kill_on(node, "NodeKilled")
            node.planned = change.kind == UP
            self._set_service(node)

    def repair_and_fail(self) -> None:
        """At this second, first repairs, then failures, each in the order of nodes."""
        for fault in sorted(self.faults, key=lambda fault: fault.node):
            node = self.nodes[fault.node]
            if fault.repaired == self.now and node.failed is fault:
                node.failed = None
                self._set_service(node)
        for fault in sorted(self.faults, key=lambda fault: fault.node):
            node = self.nodes[fault.node]
            if fault.t == self.now and not node.failed and (node.in_service or node.used):
                node.failed = fault
                self._set_service(node)
                self._kill_on(node, "NodeFailed")

    def _kill_on(self, node: Node, why: str) -> None:
        for job in [j for j in self.running() if node.index in j.held]:
            self.kill(job, why)

    def _set_service(self, node: Node) -> None:
        """A node is in service if it is planned to be, and has not failed."""
        after = node.planned and not node.failed
        if node.in_service != after:
            node.in_service = after
            self.mark_due(node.cell.island, full=True)

    def in_service_at(self, t: int) -> set[int]:
        """Indices of the nodes that are in service once all that is planned up to and with t has happened."""
        inside = {node.index for node in self.nodes if node.in_service}
        for change in self.changes:
            if change.t <= t:
                indices = {node.index for node in change.nodes}
                inside = inside | indices if change.kind == UP else inside - indices
        return inside

    # ------------------------------------------------------------------ what some simulations have besides

    def more_moments(self) -> list[int]:
        """Seconds at which more may happen than ends, changes of service and eligibility."""
        looks = [t for t in self.gate_looks if t > self.now or not self.begun]
        if self.meters:
            looks += [t for t, _, _ in self.meters.caps]
        return looks + ([self.now + 1] if self._passes_told() else [])

    def _passes_told(self) -> bool:
        """Whether a pass refused jobs for ever that may open gates, or shut them for good."""
        if not self.gates or not self.begun:
            return False
        news = zip(self._sources(), self.looked_at, strict=True)
        return any((now[0] == 0 and before[0] > 0) or now[1] > before[1] for now, before in news)

    def more_events(self) -> None:
        """What more happens at this second, before the passes."""

    # ------------------------------------------------------------------ accounting

    def account_until(self, t: int) -> None:
        """Nothing changes from now to t: count that time for every waiting and running job."""
        seconds = t - self.now
        if seconds <= 0:
            return
        self.look_at_free(t // self.clock.grid_s)
        if self.meters:
            self.meters.account(self, t)
        for job in self.jobs:
            if job.stage in (IN_LANE, AWAY):
                root = job.root()
                job.by_refusal[job.why] += seconds
                job.by_root[root] += seconds
                job.last_state = job.why
                self._tally(self.waiting_gpus[job.queue.index][root], t, job.gpus)
            elif job.stage == ON_NODES:
                assert job.option is not None
                job.run_s += seconds
                done = seconds * 1_000_000 if not self.meters else self.meters.done(job, seconds)
                whole = duration(job, job.option, self.policy) * 1_000_000
                job.progress = min(whole, job.progress + done)
                self.sets.account(job, self.now, t)
                self._tally(self.busy[job.queue.index][job.option.cell.product], t, job.gpus)

    def look_at_free(self, n_bins: int) -> None:
        """The free GPUs as they are now stand for all bins up to this one that were not looked at yet."""
        if len(self.looks) < n_bins:
            look = free_together(self.cells, self.block_of, self.n_products)
            self.looks += [look] * (n_bins - len(self.looks))

    def block_of(self, node: Node) -> int:
        """Without shared quotas a cell is one block."""
        return node.cell.index

    def _tally(self, bins: dict[int, int], t: int, gpus: int) -> None:
        grid = self.clock.grid_s
        for b in range(self.now // grid, (t - 1) // grid + 1):
            inside = min(t, (b + 1) * grid) - max(self.now, b * grid)
            bins[b] = bins.get(b, 0) + gpus * inside

    # ------------------------------------------------------------------ laws

    def check_laws(self) -> None:
        """The laws of the definitions that an error in the oracle itself could break."""
        used = [0] * len(self.nodes)
        in_use = [[0] * len(q.quota) for q in self.queues]
        for job in self.running():
            assert job.option is not None
            for n, gpus in job.held.items():
                used[n] += gpus
                assert self.nodes[n].cell is job.option.cell
                assert self.sets.may_use(job, {n: gpus})
            in_use[job.queue.index][job.option.cell.product] += job.gpus
        for node in self.nodes:
            assert node.used == used[node.index]
            assert 0 <= node.used <= node.size
        for queue in self.queues:
            assert queue.in_use == in_use[queue.index]
            assert all(q < 0 or u <= q for u, q in zip(queue.in_use, queue.quota, strict=True))
        for account in self.accounts:
            mine = [job for job in self.running() if account in job.accounts]
            assert account.running == len(mine)
            assert sum(account.in_use) == sum(job.gpus for job in mine)
            assert _holds(account.running, account.jobs)
            assert _holds(sum(account.in_use), account.total)
            assert all(map(_holds, account.in_use, account.limit))
        assert all(j.stage in (FUTURE, HELD, IN_LANE, AWAY, ON_NODES, GONE) for j in self.jobs)


def _holds(value: int, limit: int) -> bool:
    return limit < 0 or value <= limit
