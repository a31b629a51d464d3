"""Admission by cycles on a large fleet: a tree of cohorts that lends and takes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks import fleet
from benchmarks.measure import Row, Sample, Stopwatch, in_child, interleaved, peak_bytes, speed, times
from gpufleet.world import layout as code
from gpufleet.world.layout import Classes, ClassRules, Jobs, Options, Queues, Restarts, SharedQuotas, World
from gpufleet.world.quotas import Cohort, Limits, Queue, Sharing, arrays_of

TITLE: Final = "Sharing a fleet: admission by cycles"
ABOUT: Final = """\
The same fleet and jobs with a mean run time of 8 h, for 50 queues of 5 tenants in a tree of three levels (a
nation, tenants, their queues): every queue owns a fiftieth of the fleet, may borrow without limit, and
takes back what others borrowed (`reclaim_within_cohort: any`; in its own queue from lower priorities). One
tenant of five asks for twice its share, the others for less; one job in ten has a higher priority. Jobs
prefer one domain of 9 nodes. Beside it: one queue with hard quota, best effort, on the same jobs."""
TENANTS: Final = 5
PER_TENANT: Final = 10
PER_DOMAIN: Final = 9
SEED: Final = 20260102


@dataclass(frozen=True)
class Case:
    """A shared fleet and its jobs."""

    n_jobs: int
    load: float
    largest: int = 4096
    n_gpus: int = 300_000
    fair: bool = False
    reclaim: bool = True  # queues take back what others borrowed

    @property
    def jobs(self) -> fleet.Case:
        """The same jobs, of one queue."""
        return fleet.Case(self.n_jobs, self.load, largest=self.largest, n_gpus=self.n_gpus)


def batches(case: Case) -> Iterator[Jobs]:
    """The jobs of the plain fleet, given to queues and priorities by another seed."""
    chances = np.repeat([2.0, 0.75, 0.75, 0.75, 0.75], PER_TENANT)
    for n, batch in enumerate(fleet.batches(case.jobs)):
        random = np.random.default_rng([SEED, n])
        rows = len(batch.gpus)
        queue = random.choice(len(chances), rows, p=chances / chances.sum()).astype(np.int32)
        urgent = (random.random(rows) < 0.1).astype(np.int32)
        yield batch._replace(cls=queue, priority=urgent)


def world_of(case: Case) -> World:
    """The plain fleet in domains, with the tree of quotas."""
    plain = fleet.world_of(case.jobs)
    n_nodes, n_queues = len(plain.nodes.size), TENANTS * PER_TENANT
    share = case.n_gpus // n_queues
    cohorts = [Cohort("nation"), *(Cohort(f"tenant-{i}", "nation") for i in range(TENANTS))]
    group = ((("B200", {"gpu": Limits(share)}),),)
    within, reclaim = ("LowerPriority", "Any") if case.reclaim else ("Never", "Never")
    queues = [
        Queue(f"q{i}", f"tenant-{i // PER_TENANT}", group, within=within, reclaim=reclaim)
        for i in range(n_queues)
    ]
    tree = arrays_of(Sharing(tuple(cohorts), tuple(queues), case.fair), []).tree
    domain = (np.arange(n_nodes) // PER_DOMAIN).astype(np.int32)
    every = partial(np.full, n_queues, dtype=np.int64)
    rules = ClassRules(every(1), every(code.PREFERRED), every(code.DOMAIN_LEVEL), every(0), every(0))
    none: Any = np.zeros(0, np.int64)
    shared = SharedQuotas(tree, none, none, none, none, rules, domain[::PER_DOMAIN] // 32, 0, 0, 0, 0)
    index = np.arange(n_queues)
    return plain._replace(
        nodes=plain.nodes._replace(domain=domain),
        queues=Queues(index // PER_TENANT, every(0), np.full((n_queues, 1), -1, np.int64)),
        classes=Classes(index, index, every(1)),
        options=Options(every(0), np.ones(n_queues)),
        policy=plain.policy._replace(order=code.PRIORITY, strict=0),
        restarts=Restarts(every(3600), every(300)),
        shared=shared,
    )


def simulate_here(**case: Any) -> Sample:
    """Run a case in this process, kernels compiled before. Making the jobs is not counted."""
    from gpufleet.engine.run import run

    wanted = Case(**case)
    short = Case(**(case | {"n_jobs": 1000}))
    run(world_of(short), batches(short), fleet.Counter())
    whole, making, sink, world = Stopwatch(), Stopwatch(), fleet.Counter(), world_of(wanted)
    with whole:
        summary = run(world, fleet._timed(batches(wanted), making), sink)
    if sink.jobs != wanted.n_jobs:
        raise RuntimeError(f"{wanted.n_jobs:,} jobs went in, {sink.jobs:,} came out")
    return {
        **whole.figures(wanted.n_jobs, making),
        "wait_s": sink.wait_s / sink.jobs,
        "waited": sink.waited / sink.jobs,
        "preempted": len(summary.preemptions) / sink.jobs,
        "borrowed_gpu_s": int(summary.tallies.borrowing[-TENANTS * PER_TENANT :].sum()),
        "peak_bytes": peak_bytes(),
    }


def simulate(case: Case) -> Sample:
    """Run a case in a process of its own."""
    sample: Sample = in_child("sharing:simulate_here", **asdict(case))
    return sample


def rows(quick: bool) -> Iterator[Row]:
    """Speed at 90 % load, classic and fair."""
    n, repeats = (300_000, 1) if quick else (3_000_000, 9)
    for fair in (False, True):
        case = Case(n, 0.9, fair=fair)
        plain = fleet.Case(n, 0.9)
        taken = interleaved(
            {"ours": partial(simulate, case), "plain": partial(fleet.simulate, plain)}, repeats
        )
        yield _row(case, taken["ours"], taken["plain"])


def _row(case: Case, ours: Sample, plain: Sample) -> Row:
    kind = "fair sharing" if case.fair else "reclaim by priority"
    waits = f"{ours['waited'] * 100:.1f} % of jobs wait, {ours['preempted'] * 100:.1f} % are preempted"
    return Row(
        what=f"{case.n_jobs / 1e6:g} M jobs, 90 % load, 50 queues, {kind} ({waits})",
        target="" if case.fair else "≥ 200,000 jobs/s",
        measured=speed(ours),
        baseline=f"one queue {speed(plain)}",
        ratio=times(ours["jobs_per_s"], plain["jobs_per_s"]),
        met=None if case.fair else ours["jobs_per_s"] >= 2e5,
    )
