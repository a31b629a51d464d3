"""Scheduling passes without backfill and with EASY, and what all passes share."""

from __future__ import annotations

from collections.abc import Callable

from gpufleet.world.layout import (
    BEYOND_DEPTH,
    LIMIT,
    NOT_ONLINE,
    ORDER,
    OWN_QUOTA,
    POWER,
    RESERVATION,
    UNKNOWN_S,
)

from .model import Cell, Job, Option, Refusal, estimate, estimate_at_speed_one, estimated_end
from .placing import View, fits, place
from .state import RANK, Simulation

Held = dict[int, int]
Objection = Callable[[Job, Option, Held], Refusal | None]


def examine(sim: Simulation, job: Job, objection: Objection | None = None) -> Refusal | None:
    """May it, can it: start the job on its first option that is not refused (None), or say why not."""
    refusals = []
    for option in job.options:
        refusal = _refusal_on(sim, job, option, objection)
        if refusal is None:
            held = place_now(sim, job, option)
            sim.start(job, option, held)
            return None
        refusals.append(refusal)
    return max(refusals, key=lambda r: RANK.index(r.code))  # the first of the highest


def _refusal_on(sim: Simulation, job: Job, option: Option, objection: Objection | None) -> Refusal | None:
    cause = sim.refused_by_rule(job, option) or sim.does_not_fit_because(job, option)
    cause = cause or sim.refused_by_power(job, option)
    if cause:
        return Refusal(cause)
    if objection is None:
        return None
    held = place_now(sim, job, option)
    return objection(job, option, held)


def place_now(sim: Simulation, job: Job, option: Option) -> Held:
    """The nodes that a job gets that fits."""
    view = sim.choice(job, option, sim.open_now(job, option), sim.now)
    return place(view, option.cell, job.gpus, sim.rule)


def is_refusal(why: int) -> bool:
    """Whether a state is a refusal of the job's own: not ORDER, BETWEEN_PASSES or BEYOND_DEPTH."""
    return OWN_QUOTA <= why <= RESERVATION or why in (LIMIT, POWER)


# ---------------------------------------------------------------------- no backfill


def pass_without_backfill(sim: Simulation, island: int, full: bool) -> None:
    if sim.policy.strict:
        _strict_pass(sim, island, full)
    else:
        _best_effort_pass(sim, island, full)


def _strict_pass(sim: Simulation, island: int, full: bool) -> None:
    closers: dict[int, Job] = {}  # queue -> the job that closed its lane
    for job in sim.in_order(sim.waiting(island)):
        lane = job.queue.index
        if lane in closers:
            sim.put_behind(job, closers[lane])
        elif not full and not job.new:
            assert is_refusal(job.why)  # one that was ORDER has the job that closed its lane ahead of it
            closers[lane] = job
        else:
            refusal = examine(sim, job)
            if refusal and sim.refuse(job, refusal):
                closers[lane] = job


def _best_effort_pass(sim: Simulation, island: int, full: bool) -> None:
    jobs = sim.in_order(sim.waiting(island))
    refused: dict[tuple[int, int], Refusal] = {}
    if not full:
        refused = {job.shape: Refusal(job.why) for job in jobs if not job.new}
    for job in jobs:
        if not full and not job.new:
            assert is_refusal(job.why)
            assert refused[job.shape].code == job.why  # its jobs share one refusal
        elif job.shape in refused:
            sim.set_refusal(job, refused[job.shape])
        else:
            refusal = examine(sim, job)
            if refusal and sim.refuse(job, refusal):
                refused[job.shape] = refusal


# ---------------------------------------------------------------------- EASY


class EasyPass:
    def __init__(self, sim: Simulation, island: int, full: bool) -> None:
        self.sim, self.full = sim, full
        self.jobs = sim.in_order(sim.waiting(island))
        self.holders: list[Job] = []  # at most one a lane, in the island's order
        self.closers: dict[int, Job] = {}
        self.met: dict[int, int] = {}  # queue -> jobs of its lane that were passed so far
        self.refused: dict[tuple[int, int], tuple[Refusal, int]] = {}  # shape -> refusal, estimate at speed 1

    def run(self) -> None:
        for job in self.jobs:
            lane = job.queue.index
            place_in_lane = self.met.get(lane, 0)
            self.met[lane] = place_in_lane + 1
            if not self.full and not job.new:
                self.leave_standing(job)
            elif place_in_lane >= self.sim.policy.depth:
                job.why = BEYOND_DEPTH
            elif lane in self.closers:
                self.sim.put_behind(job, self.closers[lane])
            else:
                self.try_to_start(job)

    def leave_standing(self, job: Job) -> None:
        """A job that is not new in an arrival pass: its standing refusal decides holders and closing."""
        closer = self.closers.get(job.queue.index)
        if closer is None:
            assert job.why != ORDER
            if is_refusal(job.why):
                self.heed(job)
        elif job.why != BEYOND_DEPTH:
            self.sim.put_behind(job, closer)

    def try_to_start(self, job: Job) -> None:
        like = self.refused.get(job.shape)
        guess = estimate_at_speed_one(job, self.sim.policy)
        if like and (like[0].code != RESERVATION or guess >= like[1]):
            self.sim.set_refusal(job, like[0])
            self.heed(job)
            return
        refusal = examine(self.sim, job, self.objection)
        if refusal and self.sim.refuse(job, refusal):
            self.refused[job.shape] = (refusal, guess)
            self.heed(job)

    def heed(self, job: Job) -> None:
        """What the refusal of this job means for those behind it."""
        lane = job.queue.index
        if job.why in (OWN_QUOTA, LIMIT, POWER) and self.sim.policy.strict:
            self.closers[lane] = job
        if NOT_ONLINE <= job.why <= RESERVATION and all(h.queue.index != lane for h in self.holders):
            self.holders.append(job)

    def objection(self, job: Job, option: Option, held: Held) -> Refusal | None:
        for holder in self.holders:
            cares = option.cell in holder.cells and self.sim.sets.may_use(holder, held)
            if cares and self.would_delay(holder, job, option, held):
                return Refusal(RESERVATION, holder, holder.root())
        return None

    def would_delay(self, holder: Job, job: Job, option: Option, held: Held) -> bool:
        sim = self.sim
        reserved = reservation(sim, holder)
        seconds = estimate(job, option, sim.policy)
        if reserved >= UNKNOWN_S or seconds >= UNKNOWN_S:
            return True
        if sim.now + seconds <= reserved:
            return False
        return not can_be_placed(sim, holder, reserved, held)


def reservation(sim: Simulation, holder: Job) -> int:
    """The earliest time at which the holder can be placed, by trying every moment at which something is
    planned to happen; UNKNOWN_S if it is none of them."""
    moments = {sim.now} | {change.t for change in sim.changes}
    moments |= {window.ends for window in sim.sets.windows if window.ends > sim.now}
    moments |= {estimated_end(job, sim.now, sim.policy) for job in sim.running()}
    for t in sorted(moments - {UNKNOWN_S}):
        if can_be_placed(sim, holder, t, {}):
            return t
    return UNKNOWN_S


def can_be_placed(sim: Simulation, holder: Job, t: int, also_held: Held) -> bool:
    """Whether the holder can be placed at t in any of its cells."""
    for option in holder.options:
        view = view_at(sim, option.cell, t, also_held)
        seconds = estimate(holder, option, sim.policy)
        if fits(sim.sets.may_take(holder, view, t, seconds), option.cell, holder.gpus):
            return True
    return False


def view_at(sim: Simulation, cell: Cell, t: int, also_held: Held) -> View:
    """The cell at t, if running jobs end as estimated, nodes change service as planned, and nobody starts."""
    inside = sim.in_service_at(t)
    view = {
        node.index: node.size - also_held.get(node.index, 0) for node in cell.nodes if node.index in inside
    }
    for job in sim.running(cell.island):
        if estimated_end(job, sim.now, sim.policy) > t:
            for n, gpus in job.held.items():
                if n in view:
                    view[n] -= gpus
    return view
