"""EASY backfill by placement on a large fleet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from benchmarks.bare import same_total
from benchmarks.fleet import Case, minimal, simulate
from benchmarks.measure import Row, Sample, interleaved, speed, times

TITLE: Final = "EASY backfill by placement"
ABOUT: Final = """\
The same fleet and jobs with a mean run time of 8 h, depth 100, all waiting accounted for by cause. Beside
it: strict FIFO in the minimal loop, which overtakes nobody, on the same jobs."""


def rows(quick: bool) -> Iterator[Row]:
    """Speed at three loads, with exact estimates and with limits."""
    n, repeats = (500_000, 1) if quick else (3_000_000, 3)
    for load in (0.85, 0.9, 0.95):
        for limits in (False, True):
            case = Case(n, load, backfill="easy", limits=limits)
            taken = interleaved({"ours": partial(simulate, case), "loop": partial(minimal, case)}, repeats)
            yield from _rows(case, taken["ours"], taken["loop"])


def _rows(case: Case, ours: Sample, loop: Sample) -> Iterator[Row]:
    known = "limits of 1 to 3 run times" if case.limits else "exact estimates"
    name = f"{case.n_jobs / 1e6:g} M jobs, {case.load * 100:.0f} % load, {known}"
    wanted = case.load <= 0.9
    yield Row(
        what=f"{name} ({ours['waited'] * 100:.1f} % of jobs wait)",
        target="≥ 300,000 jobs/s" if wanted else "",
        measured=speed(ours),
        baseline=f"FIFO loop {speed(loop)}",
        ratio=times(ours["jobs_per_s"], loop["jobs_per_s"]),
        met=ours["jobs_per_s"] >= 3e5 if wanted else None,
    )
    yield same_total(name, ours, loop)
