"""How the time of a pass grows with the number of jobs that wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numba import njit

from benchmarks import fleet, sharing
from benchmarks.measure import Row, Sample, in_child, interleaved
from gpufleet.world.layout import Jobs, World

TITLE: Final = "A backlog: time per pass"
ABOUT: Final = """\
The fleet of 50 queues above with 30,000 GPUs, full from the first second, jobs of 1 to 64 GPUs and 8 h on
average; so many more wait from the first second on, and as much work comes as is done, so that they stay as
many. A pass happens at every second at which a job ends or comes. Its time is that of a run of a day less
that of the same run cut after its first second, over the passes of the day. Beside it, for scale: a loop in
Numba that looks at every waiting job in every pass, and does nothing else."""
N_GPUS: Final = 30_000
LARGEST: Final = 64
DAY_S: Final = 86_400
BACKLOGS: Final = (10**2, 10**3, 10**4, 10**5, 10**6)
MOST_GROWTH: Final = 2.0
"""A pass with a million waiting jobs touches more memory than the caches hold; the work is the same."""


@dataclass(frozen=True)
class Case:
    """So many jobs wait in the fleet of `sharing`."""

    backlog: int
    reclaim: bool

    @property
    def shared(self) -> sharing.Case:
        """Fleet and tree."""
        return sharing.Case(1, 1.0, largest=LARGEST, n_gpus=N_GPUS, reclaim=self.reclaim)


def jobs_of(case: Case) -> Jobs:
    """What fills the fleet, what waits from the start, and what comes in a day."""
    plain = case.shared.jobs
    sizes, chances = fleet._sizes(LARGEST)
    mean_gpus = float((sizes * chances).sum())
    n_full, n_day = int(1.02 * N_GPUS / mean_gpus), int(DAY_S / plain.mean_gap_s)
    n = n_full + case.backlog + n_day
    random = np.random.default_rng([fleet.SEED, case.backlog])
    submit = np.zeros(n, np.int64)
    submit[-n_day:] = np.sort(random.integers(1, DAY_S, n_day))
    gpus = random.choice(sizes, n, p=chances).astype(np.int32)
    work = np.maximum(1, np.ceil(random.exponential(plain.mean_h * 3600, n)))
    queue = random.integers(0, sharing.TENANTS * sharing.PER_TENANT, n).astype(np.int32)
    nothing = np.zeros(n, np.int32)
    return Jobs(submit, gpus, work, queue, np.zeros(n, np.int64), nothing)


def world_of(case: Case, end_s: int) -> World:
    """The fleet until ``end_s``."""
    world = sharing.world_of(case.shared)
    return world._replace(clock=world.clock._replace(end_s=end_s, finish=0))


def simulate_here(backlog: int) -> Sample:
    """Microseconds per pass of a day, and of the naive loop."""
    from gpufleet.engine.run import run

    case = Case(backlog)
    jobs, taken, ends = jobs_of(case), [], 0
    run(world_of(Case(10), 2), [jobs_of(Case(10))], fleet.Counter())
    for end_s in (2, DAY_S):
        outcomes: list[Any] = []
        start = time.perf_counter()
        run(world_of(case, end_s), [jobs], outcomes.append)
        taken.append(time.perf_counter() - start)
        ended = np.concatenate([part.end_s for part in outcomes])
        ends = np.union1d(ended[ended >= 0], jobs.submit_s[jobs.submit_s < end_s]).size
    return {
        "pass_us": (taken[1] - taken[0]) / ends * 1e6,
        "passes": ends,
        "naive_us": _naive_us(jobs, backlog),
    }


@njit  # type: ignore[untyped-decorator]
def _look_at_all(gpus: Any, queue: Any, free: Any) -> int:
    """How many of the waiting jobs fit."""
    found = 0
    for i in range(len(gpus)):
        found += int(gpus[i] <= free[queue[i]])
    return found


def _naive_us(jobs: Jobs, backlog: int) -> float:
    """Microseconds to look at every waiting job once, the median of some turns."""
    free = np.zeros(sharing.TENANTS * sharing.PER_TENANT, np.int64)
    gpus, queue = jobs.gpus[:backlog].copy(), jobs.cls[:backlog].copy()
    _look_at_all(gpus, queue, free)
    turns = []
    for _ in range(20):
        start = time.perf_counter()
        _look_at_all(gpus, queue, free)
        turns.append(time.perf_counter() - start)
    return float(np.median(turns)) * 1e6


def simulate(case: Case) -> Sample:
    """Run a case in a process of its own."""
    sample: Sample = in_child("backlog:simulate_here", **asdict(case))
    return sample


def rows(quick: bool) -> Iterator[Row]:
    """One row per backlog."""
    counts, repeats = (BACKLOGS[:4:3], 1) if quick else (BACKLOGS, 9)
    taken = interleaved({f"{n}": partial(simulate, Case(n)) for n in counts}, repeats)
    least = taken[f"{counts[0]}"]["pass_us"]
    for n in counts:
        sample = taken[f"{n}"]
        ratio = sample["pass_us"] / least
        yield Row(
            what=f"{n:,} jobs wait in 50 queues ({sample['passes']:,.0f} passes)",
            target="" if n == counts[0] else f"≤ {MOST_GROWTH:g} x that of {counts[0]:,} jobs",
            measured=f"{sample['pass_us']:.1f} us",
            baseline=f"all jobs looked at {sample['naive_us']:.2f} us",
            ratio=f"{ratio:.2f} of {counts[0]:,} jobs",
            met=None if n == counts[0] else ratio <= MOST_GROWTH,
        )
