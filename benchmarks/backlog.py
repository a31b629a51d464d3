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
A fleet of 30,000 GPUs with the 50 queues of [sharing](#sharing-a-fleet-admission-by-cycles), full from the
first second, jobs of 1 to 64 GPUs and 8 h on average; so many more wait from the first second on, and as
much work comes as is done, so that they stay about as many. A pass happens at every second at which a job
ends or comes. Its time is that of a run of a day less that of the same run cut after its first second, over
the passes of the day. What a pass looks at is the first job of each of the 350 lists (queue and GPUs) in
which somebody waits; with 1,000 waiting jobs and fewer most of these are empty. Where queues reclaim, more
preemptions come with a longer backlog, and each of them is a change. Beside it, for scale: a loop in Numba
that asks for every waiting job once whether its GPUs fit the quotas of its queue, tenant and nation, and
does nothing else."""
N_GPUS: Final = 30_000
LARGEST: Final = 64
DAY_S: Final = 86_400
BACKLOGS: Final = (10**2, 10**3, 10**4, 10**5, 10**6)
LISTS_FULL: Final = 10**4
"""With so many waiting jobs all lists have some, and a pass looks at as much as with any more."""
MOST_GROWTH: Final = 2.0
"""A million waiting jobs do not fit the caches, ten thousand do."""


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


def simulate_here(**case: Any) -> Sample:
    """Microseconds per pass of a day, and of the naive loop."""
    from gpufleet.engine.run import run

    wanted, taken, ends, preempted = Case(**case), [], 0, 0
    jobs = jobs_of(wanted)
    run(world_of(wanted, 2), [jobs_of(Case(10, reclaim=wanted.reclaim))], fleet.Counter())
    for end_s in (2, DAY_S):
        outcomes: list[Any] = []
        start = time.perf_counter()
        preempted = len(run(world_of(wanted, end_s), [jobs], outcomes.append).preemptions) - preempted
        taken.append(time.perf_counter() - start)
        ended = np.concatenate([part.end_s for part in outcomes])
        ends = np.union1d(ended[ended >= 0], jobs.submit_s[jobs.submit_s < end_s]).size
    return {
        "pass_us": (taken[1] - taken[0]) / ends * 1e6,
        "passes": ends,
        "preempted": preempted / ends,
        "naive_us": _naive_us(jobs, wanted.backlog),
    }


@njit  # type: ignore[untyped-decorator]
def _look_at_all(gpus: Any, queue: Any, parent: Any, used: Any, quota: Any) -> int:
    """How many of the waiting jobs fit in the quota of their queue and of all above it."""
    found = 0
    for i in range(len(gpus)):
        node, fits = queue[i], True
        while node >= 0:
            fits = fits and used[node] + gpus[i] <= quota[node]
            node = parent[node]
        found += int(fits)
    return found


def _naive_us(jobs: Jobs, backlog: int) -> float:
    """Microseconds to ask for every waiting job once whether it fits its tree, the median of some turns."""
    n_tenants, n_queues = sharing.TENANTS, sharing.TENANTS * sharing.PER_TENANT
    parent = np.r_[
        np.arange(n_queues) // sharing.PER_TENANT + n_queues, [n_queues + n_tenants] * n_tenants, -1
    ]
    quota = np.full(len(parent), N_GPUS)
    used = np.zeros(len(parent), np.int64)
    used[-1] = N_GPUS
    asked = (jobs.gpus[:backlog].copy(), jobs.cls[:backlog].astype(np.int64), parent, used, quota)
    _look_at_all(*asked)
    turns = []
    for _ in range(20):
        start = time.perf_counter()
        _look_at_all(*asked)
        turns.append(time.perf_counter() - start)
    return float(np.median(turns)) * 1e6


def simulate(case: Case) -> Sample:
    """Run a case in a process of its own."""
    sample: Sample = in_child("backlog:simulate_here", **asdict(case))
    return sample


def rows(quick: bool) -> Iterator[Row]:
    """One row per backlog; then with reclaim."""
    counts, repeats = (BACKLOGS[:4:3], 1) if quick else (BACKLOGS, 9)
    for reclaim in (False, True):
        cases = {f"{n}": partial(simulate, Case(n, reclaim)) for n in counts}
        taken = interleaved(cases, repeats)
        for n in counts:
            yield _row(n, taken[f"{n}"], None if reclaim else taken.get(f"{LISTS_FULL}"))


def _row(n: int, sample: Sample, full: Sample | None) -> Row:
    preempted = f", {sample['preempted']:.2f} preemptions a pass" if full is None else ""
    held = full is not None and n > LISTS_FULL
    ratio = sample["pass_us"] / full["pass_us"] if full else 0.0
    return Row(
        what=f"{n:,} jobs wait in 50 queues ({sample['passes']:,.0f} passes{preempted})",
        target=f"≤ {MOST_GROWTH:g} x that of {LISTS_FULL:,} jobs" if held else "",
        measured=f"{sample['pass_us']:.1f} us",
        baseline=f"every job asked {sample['naive_us']:.2f} us",
        ratio=f"{ratio:.2f} of {LISTS_FULL:,} jobs" if full else "",
        met=ratio <= MOST_GROWTH if held else None,
    )
