"""The slow twin of the engine: the same world and jobs in, the same outcomes and tallies out.

It is written from docs/explanation/engine.md alone, in plain Python, without a thought for speed: every pass
looks at everything again. Where it and the engine differ, one of them is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpufleet.world.layout import (
    CONSERVATIVE,
    DEPENDENCY,
    DONE,
    EASY,
    KILLED,
    N_REFUSALS,
    N_SAMPLES,
    RUNNING,
    SELECT_COUNT,
    SRTF,
    WAITING,
    Jobs,
    Outcomes,
    Tallies,
    World,
)

from .admission import CyclePass
from .conservative import ConservativePass
from .lending import Lending
from .model import AWAY, FUTURE, HELD, IN_LANE, ON_NODES, Job
from .passes import EasyPass, pass_without_backfill
from .srtf import pass_by_count, pass_by_placement
from .state import Simulation


class OracleResult(NamedTuple):
    """What happened: outcomes by id, exact tallies, when the simulation stopped, and preemptions in order:
    second, victim, preemptor or -1, why, GPUs, lost GPU-seconds, when the attempt began, its cell."""

    outcomes: Outcomes
    tallies: Tallies
    end_s: int
    preemptions: list[tuple[int, ...]]


def simulate(world: World, jobs: Jobs) -> OracleResult:
    """Simulate the jobs in the world.

    The laws of the definitions are asserted after every second in which something happened.
    """
    sim = Simulation(world, jobs) if world.shared is None else Lending(world, jobs)
    t = next_moment(sim, first=True)
    while t is not None:
        sim.account_until(t)
        sim.now, sim.begun = t, True
        one_second(sim)
        sim.check_laws()
        t = next_moment(sim)
    stop = sim.now if sim.clock.finish else sim.clock.end_s
    sim.account_until(stop)
    events = sim.events if isinstance(sim, Lending) else []
    return OracleResult(_outcomes(sim), _tallies(sim, stop), stop, list(events))


def next_moment(sim: Simulation, *, first: bool = False) -> int | None:
    """The next second at which anything happens, None if nothing does any more."""
    times = [job.submit for job in sim.jobs if job.stage == FUTURE and job.submit < sim.clock.end_s]
    times += [job.ends for job in sim.running()]
    times += [change.t for change in sim.changes] + sim.more_moments()
    times += [t for fault in sim.faults for t in (fault.t, fault.repaired) if first or t > sim.now]
    times += [window.ends for window in sim.sets.windows if window.ends > sim.now]
    if sim.due:
        step = sim.policy.interval_s
        times.append((sim.now // step + 1) * step)  # without an interval nothing is left due
    t = min(times, default=None)
    if t is None or (not sim.clock.finish and t >= sim.clock.end_s):
        return None
    assert first or t > sim.now
    return t


def one_second(sim: Simulation) -> None:
    for job in sim.running():
        if job.ends == sim.now:
            sim.end(job)
    while sim.changes and sim.changes[0].t == sim.now:
        sim.change_service(sim.changes.pop(0))
    sim.repair_and_fail()
    if sim.meters:
        sim.meters.change(sim)
    for job in sim.jobs:
        if job.stage == FUTURE and job.submit == sim.now < sim.clock.end_s:
            sim.come(job)
    sim.end_windows()
    sim.look_at_gates()
    sim.more_events()
    step = sim.policy.interval_s
    if step == 0 or sim.now % step == 0:
        for island in sorted(sim.due):
            one_pass(sim, island, full=sim.due.pop(island))
    if sim.meters:
        sim.meters.set_levels(sim)


def one_pass(sim: Simulation, island: int, *, full: bool) -> None:
    policy = sim.policy
    if isinstance(sim, Lending):
        CyclePass(sim, island, full).run()
    elif policy.order == SRTF:
        by = pass_by_count if policy.select == SELECT_COUNT else pass_by_placement
        by(sim, island)
    elif policy.backfill == CONSERVATIVE:
        ConservativePass(sim, island).run()
    elif policy.backfill == EASY:
        EasyPass(sim, island, full).run()
    else:
        pass_without_backfill(sim, island, full)
    for job in sim.waiting(island):
        job.new = False


def _final_state(job: Job) -> tuple[int, int]:
    """State and last refusal."""
    if job.stage in (IN_LANE, AWAY):
        return WAITING, job.why
    if job.stage == FUTURE:
        return WAITING, 0
    if job.stage == HELD:
        return WAITING, DEPENDENCY
    return (RUNNING if job.stage == ON_NODES else job.state), job.last_state


def _slowed(sim: Simulation, job: Job) -> int:
    if job.stage != ON_NODES:
        return job.slowed
    stop = sim.now if sim.clock.finish else sim.clock.end_s
    return job.slowed + (stop - job.started) * 1_000_000 - job.progress


def _outcomes(sim: Simulation) -> Outcomes:
    jobs = sim.jobs
    states = [_final_state(job) for job in jobs]
    final = [state for state, _ in states]

    def column(values: list[Any], dtype: Any = np.int64) -> Any:
        return np.array(values, dtype=dtype)

    def table(rows: list[list[int]]) -> Any:
        return np.array(rows, dtype=np.int64).reshape(len(rows), N_REFUSALS)

    return Outcomes(
        id=column([job.id for job in jobs]),
        start_s=column([job.first_start for job in jobs]),
        end_s=column(
            [job.last_end if state in (DONE, KILLED) else -1 for job, state in zip(jobs, final, strict=True)]
        ),
        wait_s=column([sum(job.by_refusal) for job in jobs]),
        run_s=column([job.run_s for job in jobs]),
        cell=column([job.last_cell for job in jobs], np.int32),
        state=column([state for state, _ in states], np.int32),
        last_refusal=column([last for _, last in states], np.int32),
        attempts=column([job.attempts for job in jobs], np.int32),
        preemptions=column([job.preemptions for job in jobs], np.int32),
        behind=column([job.last_behind for job in jobs]),
        failures=column([job.failures for job in jobs]),
        lost_s=column([int(job.lost) for job in jobs]),
        slowed_s=column([_slowed(sim, job) // 1_000_000 for job in jobs]),
        held_s=column([job.eligible - job.submit if job.eligible >= 0 else -1 for job in jobs]),
        wait_by_refusal_s=table([job.by_refusal for job in jobs]),
        wait_by_root_s=table([job.by_root for job in jobs]),
    )


def _tallies(sim: Simulation, stop: int) -> Tallies:
    n_bins = -(-max(stop, sim.clock.end_s) // sim.clock.grid_s)

    sim.look_at_free(n_bins)
    looks = np.array(sim.looks[:n_bins], np.int64).reshape(n_bins, -1, N_SAMPLES)
    sampled = np.moveaxis(looks[:, : sim.n_products], 0, 2)

    def dense(bins_of: list[list[dict[int, int]]], width: int) -> Any:
        out = np.zeros((len(bins_of), width, n_bins), np.int64)
        for i, row in enumerate(bins_of):
            for j, bins in enumerate(row):
                for b, gpu_s in bins.items():
                    out[i, j, b] = gpu_s
        return out

    products = len(sim.busy[0]) if sim.busy else 0
    waiting = dense(sim.waiting_gpus, N_REFUSALS)
    kept = np.array([w.held for w in sim.sets.windows], np.int64).reshape(-1, 3)
    borrowed = dense(sim.borrowed, products) if isinstance(sim, Lending) else dense([], 1)
    tallies = Tallies(dense(sim.busy, products), waiting, borrowed, sampled, kept)
    if not sim.meters:
        return tallies
    energy, peak, p99, level_s, capped = sim.meters.tables(n_bins)
    return tallies._replace(energy=energy, peak=peak, p99=p99, level_s=level_s, capped=capped)
