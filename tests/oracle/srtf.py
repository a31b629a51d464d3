"""The SRTF passes: shortest remaining time first, with preemption."""

from __future__ import annotations

from gpufleet.world.layout import LIMIT, NO_FREE, OWN_QUOTA, POWER

from .model import Job, Refusal
from .passes import examine
from .placing import fits, free_now
from .state import Simulation


def pass_by_count(sim: Simulation, island: int) -> None:
    """Budget by number of GPUs alone, then starts in order."""
    jobs = sim.in_order(sim.waiting(island) + sim.running(island))
    budget = sum(n.size for n in sim.nodes if n.in_service and n.cell.island == island)
    chosen: list[Job] = []
    for job in jobs:
        if job.gpus <= budget:
            budget -= job.gpus
            chosen.append(job)
    running = sim.running(island)
    to_start = [job for job in chosen if job not in running]
    for job in jobs:
        if job not in chosen:
            if job in running:
                sim.preempt(job)
            sim.set_refusal(job, Refusal(NO_FREE))
    closer: Job | None = None
    for job in to_start:
        if closer is not None:
            sim.put_behind(job, closer)
            continue
        refusal = examine(sim, job)
        if refusal and sim.refuse(job, refusal) and sim.policy.strict:
            closer = job


def pass_by_placement(sim: Simulation, island: int) -> None:
    """Waiting jobs in order; one that does not fit takes victims with more work left than it has."""
    met: set[int] = set()
    closers: dict[int, Job] = {}
    # Victims come back to the lane during the walk, with more work left than the job met last.
    while left := [job for job in sim.waiting(island) if job.id not in met]:
        job = sim.in_order(left)[0]
        met.add(job.id)
        lane = job.queue.index
        if lane in closers:
            sim.put_behind(job, closers[lane])
            continue
        refusal = examine(sim, job)
        if refusal and refusal.code not in (OWN_QUOTA, LIMIT, POWER) and _take_victims(sim, job):
            refusal = examine(sim, job)
            assert refusal is None
        if refusal and sim.refuse(job, refusal) and sim.policy.strict:
            closers[lane] = job


def _take_victims(sim: Simulation, job: Job) -> bool:
    """Preempt as few jobs, in their order, as make it fit. False: it would not fit without all of them."""
    options = [o for o in job.options if not sim.barred(job, o)]
    remaining = job.remaining_now()
    victims = [
        other
        for other in sim.running()
        if any(
            other.option and other.option.cell is o.cell and sim.open_now(job, o, other.held) for o in options
        )
        and other.remaining_now() > remaining
    ]
    victims.sort(key=lambda other: (-other.remaining_now(), -other.sequence))
    views = {o.cell.index: free_now(o.cell) for o in options}
    for taken, victim in enumerate(victims, start=1):
        assert victim.option is not None
        for n, gpus in victim.held.items():
            view = views[victim.option.cell.index]
            if n in view:  # a drained node gives nothing back
                view[n] += gpus
        if any(fits(sim.open_now(job, o, views[o.cell.index]), o.cell, job.gpus) for o in options):
            for other in victims[:taken]:
                sim.preempt(other)
            return True
    return False
