"""The conservative pass: a plan of all starts to come, made anew in every pass."""

from __future__ import annotations

from dataclasses import dataclass

from gpufleet.world.layout import BEYOND_DEPTH, LIMIT, OWN_QUOTA, POWER, RESERVATION, UNKNOWN_S, UP

from .model import Cell, Job, Option, Refusal, estimate, estimated_end
from .passes import Held
from .placing import View, fits, place
from .state import RANK, Simulation


@dataclass
class Hold:
    """GPUs of nodes that the plan gives to one job in [begins, ends)."""

    begins: int
    ends: int
    held: Held


@dataclass
class Find:
    """The earliest time of a job on one option, and what the nodes would give it then."""

    t: int
    option: Option
    view: View
    seconds: int


class ConservativePass:
    def __init__(self, sim: Simulation, island: int) -> None:
        self.sim = sim
        self.jobs = sim.in_order(sim.waiting(island))
        self.holds = [
            Hold(sim.now, estimated_end(j, sim.now, sim.policy), j.held) for j in sim.running(island)
        ]
        self.planned: list[tuple[Job, Cell]] = []
        self.closers: dict[int, Job] = {}

    def run(self) -> None:
        met: dict[int, int] = {}
        for job in self.jobs:
            lane = job.queue.index
            met[lane] = met.get(lane, 0) + 1
            if met[lane] > self.sim.policy.depth:
                job.why = BEYOND_DEPTH
            elif lane in self.closers:
                self.sim.put_behind(job, self.closers[lane])
            else:
                self.plan(job)

    def plan(self, job: Job) -> None:
        finds = [find for option in job.options if (find := self.earliest(job, option))]
        best = min(finds, key=lambda find: find.t, default=None)  # the first of the earliest
        if best and best.t == self.sim.now:
            held = self.hold(job, best)
            self.sim.start(job, best.option, held)
            return
        refusal = self.refusal(job)
        left = not self.sim.refuse(job, refusal)
        if left:
            return
        if refusal.code in (OWN_QUOTA, LIMIT, POWER) and self.sim.policy.strict:
            self.closers[job.queue.index] = job
        window = self.sim.policy.window_s
        if best and (window == 0 or best.t <= self.sim.now + window):
            self.hold(job, best)
            self.planned.append((job, best.option.cell))

    def hold(self, job: Job, find: Find) -> Held:
        view = self.sim.choice(job, find.option, find.view, find.t)
        held = place(view, find.option.cell, job.gpus, self.sim.rule)
        self.holds.append(Hold(find.t, find.t + find.seconds, held))
        return held

    def refusal(self, job: Job) -> Refusal:
        refusals = [self.refusal_on(job, option) for option in job.options]
        return max(refusals, key=lambda r: RANK.index(r.code))

    def refusal_on(self, job: Job, option: Option) -> Refusal:
        cause = self.sim.refused_by_rule(job, option)
        cause = cause or self.sim.does_not_fit_because(job, option)
        cause = cause or self.sim.refused_by_power(job, option)
        if cause:
            return Refusal(cause)
        # It fits the present: only plans of jobs ahead can be in its way.
        ahead = next(other for other, cell in self.planned if cell in job.cells)
        return Refusal(RESERVATION, ahead, ahead.root())

    def earliest(self, job: Job, option: Option) -> Find | None:
        if self.sim.barred(job, option):
            return None
        seconds = estimate(job, option, self.sim.policy)
        for t in self.moments():
            whole = self.least_free(option.cell, t, t + seconds)
            view = self.sim.sets.may_take(job, whole, t, seconds)
            if fits(view, option.cell, job.gpus):
                return Find(t, option, view, seconds)
        return None

    def moments(self) -> list[int]:
        now, step = self.sim.now, self.sim.policy.resolution_s
        later = [hold.ends for hold in self.holds if hold.ends < UNKNOWN_S]
        later += [change.t for change in self.sim.changes if change.kind == UP]
        later += [window.ends for window in self.sim.sets.windows if window.ends > now]
        if step > 0:
            later = [-(-t // step) * step for t in later]
        return sorted({now, *later})

    def least_free(self, cell: Cell, begins: int, ends: int) -> View:
        """Per node in service at `begins`: the least that the plan leaves free in [begins, ends)."""
        inside = self.sim.in_service_at(begins)
        # What is held changes upwards only where a hold begins, so these moments are enough.
        moments = {begins} | {hold.begins for hold in self.holds if begins < hold.begins < ends}
        return {
            node.index: node.size - max(self.held_at(node.index, t) for t in moments)
            for node in cell.nodes
            if node.index in inside
        }

    def held_at(self, node: int, t: int) -> int:
        return sum(hold.held.get(node, 0) for hold in self.holds if hold.begins <= t < hold.ends)
