"""Generated demand: how fast jobs are made, and whether a hundred times as many cost more each."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import ROOT, Row, Sample, Stopwatch, in_child, interleaved, peak_bytes, speed, wall_s

if TYPE_CHECKING:
    from gpufleet.world.build import Built

TITLE: Final = "Generated demand: many jobs cost no more each than few"
ABOUT: Final = """\
300,000 GPUs in nodes of 8; five workloads like the profile `philly`, merged by time, ask for 60 % of them;
one queue, FIFO, no backfill. Jobs are made, simulated and counted in one process, never all in memory."""
FLEET: Final = """\
gpufleet: 1
name: demand
start: 2026-01-01
end: 2100-01-01
jobs_until: {until}
sites: {{lab: {{}}}}
deliveries: [{{name: lot, to: lab, system: DGX B200, gpus: 300000, at: 2026-01-01}}]
tenants: {{a: {{}}}}
workloads:
"""
WORKLOAD: Final = "  w{}: {{kind: profile, profile: philly, queue: a, load: 0.12}}\n"
WORKLOADS: Final = 5
ASKED_GPUS: Final = 180_000


def rows(quick: bool) -> Iterator[Row]:
    """Speed of few and many jobs, memory, and the making alone."""
    few, many = 10**6, 10**7 if quick else 10**8
    samples = interleaved({"few": partial(_sample, few)}, 1 if quick else 3)
    samples |= interleaved({"many": partial(_sample, many)}, 1)
    ratio = samples["many"]["jobs_per_s"] / samples["few"]["jobs_per_s"]
    yield Row(
        what=f"{many:,} jobs made and simulated, against {few:,}",
        target=">= 0.80 of the speed",
        measured=speed(samples["many"]),
        baseline=speed(samples["few"]),
        ratio=f"{ratio:.2f}",
        met=ratio >= 0.8,
    )
    peak = samples["many"]["peak_bytes"]
    yield Row(
        what=f"memory for {many:,} jobs",
        target="<= 1 GB",
        measured=f"{peak / 1e9:.2f} GB",
        baseline=f"{samples['few']['peak_bytes'] / 1e9:.2f} GB for {few:,}",
        met=peak <= 1e9,
    )
    making = in_child("demand:make_here", n_jobs=10**7)
    met = making["jobs_per_s"] >= 3e6
    yield Row(what="making jobs alone, merged", target=">= 3 M jobs/s", measured=speed(making), met=met)
    yield from _check()


def _check() -> Iterator[Row]:
    plan = ROOT / "plans" / "korea-260k"
    if not plan.is_dir():
        return
    command = [str(Path(sys.executable).with_name("gpufleet")), "check", str(plan)]
    seconds = sorted(wall_s(command) for _ in range(5))[2]
    yield Row(
        what="`gpufleet check` of korea-260k, start to end",
        target="< 1.5 s",
        measured=f"{seconds:.2f} s",
        met=seconds < 1.5,
    )


def _sample(n_jobs: int) -> Sample:
    sample: Sample = in_child("demand:simulate_here", n_jobs=n_jobs)
    return sample


def built_for(n_jobs: int) -> Built:
    """The fleet and so long a time that about ``n_jobs`` come."""
    from gpufleet.catalog.profiles import load_profile
    from gpufleet.plan.load import load_plan
    from gpufleet.world.build import build

    wait_s = n_jobs * load_profile("philly").mean_gpu_s / ASKED_GPUS
    until = datetime(2026, 1, 1) + timedelta(seconds=round(wait_s))
    text = FLEET.format(until=until.isoformat(" ")) + "".join(map(WORKLOAD.format, range(WORKLOADS)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        path.write_text(text)
        return build(load_plan(path))


def simulate_here(n_jobs: int) -> Sample:
    """Make and simulate jobs in this process, kernels compiled before."""
    from benchmarks.fleet import Counter
    from gpufleet.engine.run import run

    short = built_for(1000)
    run(short.world, short.demand.arrivals.batches(), Counter())
    built, sink, watch = built_for(n_jobs), Counter(), Stopwatch()
    with watch:
        run(built.world, built.demand.arrivals.batches(), sink)
    if abs(sink.jobs / n_jobs - 1) > 0.5:
        raise RuntimeError(f"{n_jobs:,} jobs were wanted, {sink.jobs:,} came")
    return {**watch.figures(sink.jobs), "peak_bytes": peak_bytes()}


def make_here(n_jobs: int) -> Sample:
    """Make jobs in this process, with the tables beside them."""
    built, watch, made = built_for(n_jobs), Stopwatch(), 0
    with watch:
        for batch in built.demand.batches():
            made += len(batch.jobs.gpus)
    return watch.figures(made)
