"""One large fleet and a stream of jobs to it, made from a seed, without the plan language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from benchmarks.measure import Sample, Stopwatch, in_child, peak_bytes
from gpufleet.world import layout as code
from gpufleet.world.layout import (
    Capacity,
    Cells,
    Classes,
    Clock,
    Jobs,
    Nodes,
    Options,
    Outcomes,
    Policy,
    Queues,
    World,
)

PER_NODE: Final = 8
BATCH: Final = 1 << 18
SEED: Final = 20260101


@dataclass(frozen=True)
class Case:
    """A fleet of 8-GPU nodes with one queue, and its jobs.

    Sizes are powers of two, each half as likely as the one before (so each brings the same GPU-hours); run
    times are exponential, at least 1 s; jobs come at random, as many as fill ``load`` of the fleet.
    """

    n_jobs: int
    load: float
    n_gpus: int = 300_000
    largest: int = 4096  # GPUs
    mean_h: float = 8  # run time; with 1 h eight times as many jobs share a second, and a scheduling pass
    backfill: str = "none"
    depth: int = 100
    limits: bool = False  # time limits of 1 to 3 times the run time, instead of exact estimates

    @property
    def mean_gap_s(self) -> float:
        """Seconds between two jobs, on average."""
        sizes, chances = _sizes(self.largest)
        return float((sizes * chances).sum()) * self.mean_h * 3600 / (self.load * self.n_gpus)


def _sizes(largest: int) -> tuple[Any, Any]:
    sizes = 1 << np.arange(largest.bit_length())
    return sizes, (1 / sizes) / (1 / sizes).sum()


def batches(case: Case) -> Iterator[Jobs]:
    """The jobs of a case; the same ones each time."""
    sizes, chances = _sizes(case.largest)
    at = 0.0
    for first in range(0, case.n_jobs, BATCH):
        n = min(BATCH, case.n_jobs - first)
        random = np.random.default_rng([SEED, first])
        arrivals = at + np.cumsum(random.exponential(case.mean_gap_s, n))
        at = float(arrivals[-1])
        gpus = random.choice(sizes, n, p=chances).astype(np.int32)
        work = np.maximum(1, np.ceil(random.exponential(case.mean_h * 3600, n)))
        limit = np.ceil(work * random.uniform(1, 3, n)) if case.limits else np.zeros(n)
        nothing = np.zeros(n, np.int32)
        yield Jobs(arrivals.astype(np.int64), gpus, work, nothing, limit.astype(np.int64), nothing)


def world_of(case: Case) -> World:
    """The fleet of a case, in service from the first second, and its rules."""
    n = -(-case.n_gpus // PER_NODE)
    whole = np.full(n, PER_NODE, np.int32)
    return World(
        nodes=Nodes(whole, np.zeros(n, np.int32), np.arange(n, dtype=np.int32)),
        cells=Cells(*(_ints(x) for x in (0, n, PER_NODE, 0, 0, -1, 0))),
        capacity=Capacity(_ints(0), _ints(code.UP), _ints(0), _ints(n), _ints(0)),
        queues=Queues(_ints(0), _ints(0), np.full((1, 1), -1, np.int64)),
        classes=Classes(_ints(0), _ints(0), _ints(1)),
        options=Options(_ints(0), np.ones(1)),
        policy=_policy(case),
        clock=Clock(end_s=int(2 * case.n_jobs * case.mean_gap_s) + 86_400, finish=1, grid_s=3600),
    )


def _ints(value: int) -> Any:
    return np.array([value], np.int64)


def _policy(case: Case) -> Policy:
    none: Any = np.zeros(0, np.int64)
    return Policy(
        order=code.FIFO,
        strict=1,
        backfill=code.BACKFILLS.index(case.backfill),
        placement=code.BEST_FIT,
        interval_s=0,
        depth=case.depth,
        window_s=0,
        resolution_s=0,
        estimate=code.EXACT,
        factor=1.0,
        over_limit=code.KILL_AT_LIMIT,
        finish_lag_s=0,
        select=code.SELECT_PLACEMENT,
        overhead_gpus=none,
        overhead_s=none,
    )


def _timed(source: Iterator[Jobs], watch: Stopwatch) -> Iterator[Jobs]:
    """The same batches; ``watch`` counts the time that making them takes."""
    while True:
        with watch:
            batch = next(source, None)
        if batch is None:
            return
        yield batch


class Counter:
    """The sink: counts, keeps nothing."""

    def __init__(self) -> None:
        self.jobs = self.waited = self.wait_s = 0

    def __call__(self, outcomes: Outcomes) -> None:
        self.jobs += len(outcomes.id)
        self.waited += int((outcomes.wait_s > 0).sum())
        self.wait_s += int(outcomes.wait_s.sum())


def simulate_here(**case: Any) -> Sample:
    """Run a case with gpufleet in this process, kernels compiled before. Making the jobs is not counted."""
    from gpufleet.engine.run import run

    wanted = Case(**case)
    short = Case(**(case | {"n_jobs": 1000}))
    run(world_of(short), batches(short), Counter())
    whole, making, sink, world = Stopwatch(), Stopwatch(), Counter(), world_of(wanted)
    with whole:
        summary = run(world, _timed(batches(wanted), making), sink)
    if sink.jobs != wanted.n_jobs:
        raise RuntimeError(f"{wanted.n_jobs:,} jobs went in, {sink.jobs:,} came out")
    return {
        **whole.figures(wanted.n_jobs, making),
        "busy_gpu_s": int(summary.tallies.busy.sum()),
        "wait_s": sink.wait_s / sink.jobs,
        "waited": sink.waited / sink.jobs,
        "peak_bytes": peak_bytes(),
    }


def simulate(case: Case) -> Sample:
    """Run a case with gpufleet, in a process of its own."""
    sample: Sample = in_child("fleet:simulate_here", **asdict(case))
    return sample


def minimal(case: Case) -> Sample:
    """Run the jobs of a case through the minimal loop, in a process of its own."""
    sample: Sample = in_child("minimal:simulate_here", **asdict(case))
    return sample
