"""Strict FIFO with best fit on a large fleet, beside a loop that does nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from benchmarks.fleet import Case, minimal, simulate
from benchmarks.measure import Row, Sample, interleaved, speed, times

TITLE: Final = "A fleet of 300,000 GPUs"
ABOUT: Final = """\
FIFO, strict, best fit, 37,500 nodes of 8 GPUs, jobs of 1 to 4,096 GPUs (powers of two, each half as likely
as the one before; run times exponential). gpufleet accounts for all waiting by cause and takes the jobs in
batches. Beside it: a [loop in Numba](https://numba.pydata.org) that only finds each job's start, on the
same jobs, and knows no events, causes, timelines or batches. With a mean run time of 1 h, eight times as
many jobs fall into one second and share a scheduling pass as with 8 h. Compiling and making the jobs are
not counted."""


def rows(quick: bool) -> Iterator[Row]:
    """Speed and memory at two loads and two densities of events."""
    n, repeats = (500_000, 1) if quick else (10_000_000, 3)
    fewer = min(n, 3_000_000)
    simulate(Case(1000, 0.6))  # a process that compiles needs more memory than one that simulates
    for mean_h, load, jobs in ((8, 0.6, n), (8, 0.95, n), (1, 0.6, fewer), (1, 0.95, fewer)):
        case = Case(jobs, load, mean_h=mean_h)
        taken = interleaved({"ours": partial(simulate, case), "loop": partial(minimal, case)}, repeats)
        yield from _rows(case, taken["ours"], taken["loop"])


def _rows(case: Case, ours: Sample, loop: Sample) -> Iterator[Row]:
    name = f"{case.n_jobs / 1e6:g} M jobs of {case.mean_h:g} h, {case.load * 100:.0f} % load"
    yield Row(
        what=f"{name} ({ours['waited'] * 100:.1f} % of jobs wait)",
        target="≥ 1 M jobs/s",
        measured=speed(ours),
        baseline=f"loop {speed(loop)}",
        ratio=times(ours["jobs_per_s"], loop["jobs_per_s"]),
        met=ours["jobs_per_s"] >= 1e6,
    )
    yield Row(
        what=f"{name}: peak memory",
        target="≤ 1.5 GB",
        measured=f"{ours['peak_bytes'] / 1e9:.2f} GB",
        baseline=f"loop {loop['peak_bytes'] / 1e9:.2f} GB",
        ratio=times(ours["peak_bytes"], loop["peak_bytes"]),
        met=ours["peak_bytes"] <= 1.5e9,
    )
    yield same_total(name, ours, loop)


def same_total(name: str, ours: Sample, loop: Sample) -> Row:
    """Both must have run every job for its whole time.

    Mean waits differ a little: among like nodes the two take different ones.
    """
    return Row(
        what=f"{name}: GPU-seconds in use; mean wait",
        target="same total",
        measured=f"{ours['busy_gpu_s']:,.0f}; {ours['wait_s']:.1f} s",
        baseline=f"loop {loop['busy_gpu_s']:,.0f}; {loop['wait_s']:.1f} s",
        met=ours["busy_gpu_s"] == loop["busy_gpu_s"],
        exact=True,
    )
