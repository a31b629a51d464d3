"""The whole way of a large plan: jobs are made, simulated, written, and measured."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.demand import ASKED_GPUS, FLEET, WORKLOAD, WORKLOADS
from benchmarks.measure import Row, Sample, in_child, interleaved, peak_bytes, speed

TITLE: Final = "A run folder: from the plan to the measures"
ABOUT: Final = """\
The plan of generated demand, with `gpufleet.simulate`: jobs are made, simulated and written to Parquet,
checkpoints included; then the timeline and all measures are made from what was written. The report is not."""
LEAST_PER_S: Final = 250_000
MOST_BYTES: Final = 4e9
MOST_MEASURING_S: Final = 20


def rows(quick: bool) -> Iterator[Row]:
    """Speed, memory, size, and how long the measures take."""
    n = 10**6 if quick else 10**7
    sample = interleaved({"run": partial(_sample, n)}, 1 if quick else 3)["run"]
    yield Row(
        what=f"{n:,} jobs made, simulated and written",
        target=f">= {LEAST_PER_S:,} jobs/s",
        measured=speed(sample),
        baseline=f"{sample['bytes_per_job']:.0f} bytes per job on disk",
        met=sample["jobs_per_s"] >= LEAST_PER_S,
    )
    yield Row(
        what=f"timeline, measures and ledger of {n:,} jobs",
        target=f"< {MOST_MEASURING_S} s",
        measured=f"{sample['measuring_s']:.1f} s",
        met=sample["measuring_s"] < MOST_MEASURING_S,
    )
    yield Row(
        what="most memory of both",
        target="<= 4 GB",
        measured=f"{sample['peak_bytes'] / 1e9:.2f} GB",
        met=sample["peak_bytes"] <= MOST_BYTES,
    )


def _sample(n_jobs: int) -> Sample:
    sample: Sample = in_child("pipeline:run_here", n_jobs=n_jobs)
    return sample


def run_here(n_jobs: int) -> Sample:
    """Run the plan in this process, kernels compiled before; environment.json has the time of each step."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _run(home, "short", 1000)
        seconds, jobs = _run(home, "long", n_jobs)
        table = home / "long" / "jobs.parquet"
        size = sum(file.stat().st_size for file in ([table] if table.is_file() else table.iterdir()))
    return {
        "jobs_per_s": jobs / seconds["simulating"],
        "measuring_s": seconds["writing results"],
        "bytes_per_job": size / jobs,
        "peak_bytes": peak_bytes(),
    }


def _run(home: Path, name: str, n_jobs: int) -> tuple[dict[str, float], int]:
    """Seconds per step, and how many jobs came."""
    from gpufleet.catalog.profiles import load_profile
    from gpufleet.plan.load import load_plan
    from gpufleet.study import simulate

    wait_s = n_jobs * load_profile("philly").mean_gpu_s / ASKED_GPUS
    until = datetime(2026, 1, 1) + timedelta(seconds=round(wait_s))
    text = FLEET.format(until=until.isoformat(" ")) + "".join(map(WORKLOAD.format, range(WORKLOADS)))
    (home / f"{name}.yaml").write_text(text)
    run = simulate(load_plan(home / f"{name}.yaml"), out=home / name)
    seconds: dict[str, float] = json.loads((home / name / "environment.json").read_text())["seconds"]
    return seconds, int(run.measure("jobs") or 0)
