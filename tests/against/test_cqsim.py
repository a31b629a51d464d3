"""EASY backfill on a real log: CQSim, 2,999 jobs, 128 processors.

Whether a job that would overtake ends before the reservation, CQSim asks of its *actual* run time; textbook
EASY, and gpufleet, of its limit, because no scheduler knows the other. The README of the reference tells of
two engines of its own: one with CQSim's rule gave 2,993 of the 2,999 starts, one with the textbook's 2,144.
gpufleet gives as many as the second.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet import Run

TEXTBOOK = 2_144


@pytest.fixture
def log(data: Callable[..., Path]) -> Path:
    return data("traces", "reference-cqsim-sdsc") / "sdsc-sp2_first2999_cqsim_fcfs_easy.csv.gz"


def test_as_many_starts_as_textbook_easy(log: Path, run_sp2: Callable[[Path, str], Run]) -> None:
    jobs = run_sp2(log, "{kind: easy, depth: 3000}").jobs
    assert jobs.height == 2_999
    assert (jobs["start_s"] == jobs["recorded_start_s"]).sum() == TEXTBOOK


def test_overtaking_by_actual_run_times_waits_less(log: Path, run_sp2: Callable[[Path, str], Run]) -> None:
    """CQSim lies where it must: better than EASY by limits, and EASY better than no backfill."""
    waits = [run_sp2(log, rule).jobs["wait_s"].mean() for rule in ("{kind: easy, depth: 3000}", "none")]
    recorded = run_sp2(log, "none").jobs.select("recorded_start_s", "submit_s")
    assert (recorded["recorded_start_s"] - recorded["submit_s"]).mean() < waits[0] < waits[1]
