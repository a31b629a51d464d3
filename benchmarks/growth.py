"""Whether speed falls with the size of the fleet or the number of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from benchmarks.fleet import Case, minimal, simulate
from benchmarks.measure import Row, Sample, interleaved, speed, times

TITLE: Final = "Growth"
ABOUT: Final = """\
FIFO, strict, best fit, 60 % load, mean run time 8 h. Fleets of all sizes get the same mix of jobs of 1 to
64 GPUs, so that it fits the smallest. The minimal loop shows what the machine's memory alone costs."""
FLEETS: Final = (1_000, 10_000, 100_000, 300_000)


def rows(quick: bool) -> Iterator[Row]:
    """Speed by GPUs, then by jobs."""
    repeats = 1 if quick else 3
    yield from _by_gpus(200_000 if quick else 1_000_000, repeats)
    yield from _by_jobs((10**5, 10**6) if quick else (10**5, 10**6, 10**7), repeats)


def _by_gpus(n_jobs: int, repeats: int) -> Iterator[Row]:
    cases = {n: Case(n_jobs, 0.6, n_gpus=n, largest=64) for n in FLEETS}
    ours = {f"{n}": partial(simulate, case) for n, case in cases.items()}
    loops = {f"loop {n}": partial(minimal, cases[n]) for n in (FLEETS[0], FLEETS[-1])}
    taken = interleaved(ours | loops, repeats)
    first = taken[f"{FLEETS[0]}"]
    for n in FLEETS:
        target = 1 / 3 if n == FLEETS[-1] else None
        yield _row(f"{n:,} GPUs, {n_jobs:,} jobs", taken[f"{n}"], "1,000 GPUs", first, target)
    loop = taken[f"loop {FLEETS[0]}"]
    yield _row(f"minimal loop, {FLEETS[-1]:,} GPUs", taken[f"loop {FLEETS[-1]}"], "1,000 GPUs", loop, None)


def _by_jobs(counts: tuple[int, ...], repeats: int) -> Iterator[Row]:
    taken = interleaved({f"{n}": partial(simulate, Case(n, 0.6)) for n in counts}, repeats)
    million = taken[f"{10**6}"]
    for n in counts:
        target = 0.8 if n == 10**7 else None
        yield _row(
            f"{n:,} jobs of 1 to 4,096 GPUs, 300,000 GPUs", taken[f"{n}"], "1,000,000 jobs", million, target
        )


def _row(what: str, ours: Sample, beside: str, base: Sample, target: float | None) -> Row:
    ratio = ours["jobs_per_s"] / base["jobs_per_s"]
    return Row(
        what=what,
        target="" if target is None else f"≥ {target:.2g} of {beside}",
        measured=speed(ours),
        baseline=f"{beside}: {speed(base)}",
        ratio=times(ours["jobs_per_s"], base["jobs_per_s"]),
        met=None if target is None else ratio >= target,
    )
