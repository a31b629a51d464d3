"""Published traces, whole. They are not part of the repository; see the fixture `shared`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gpufleet.traces.read import read_trace
from gpufleet.traces.sacct import CANCELLED
from gpufleet.traces.summary import summarise
from gpufleet.traces.swf import NEVER

FILES = [
    ("traces/philly-2017/philly_jobs_2017-09_to_2017-10.csv.gz", "philly", 52_849, 0),
    (
        "traces/reference-helios-sim/philly_2017-10-01_2017-10-07_quarter88nodes_fifo.csv.gz",
        "helios",
        10_650,
        0,
    ),
    (
        "traces/reference-helios-sim/philly_2017-10-01_2017-10-07_quarter88nodes_sjf.csv.gz",
        "helios",
        10_650,
        0,
    ),
    ("traces/swf-sdsc-sp2-1998-4/SDSC-SP2-1998-4.jobs.csv.gz", "gpufleet", 67_620, 0),
    ("traces/reference-accasim-sdsc/sdsc-sp2_first20000_accasim_fifo.csv.gz", "gpufleet", 20_000, 0),
    ("traces/reference-cqsim-sdsc/sdsc-sp2_first2999_cqsim_fcfs_easy.csv.gz", "gpufleet", 2_999, 0),
    ("traces/swf-hpc2n-2002-slice/hpc2n-first3171.swf.gz", "swf", 3_145, 25),
    ("slurm/a-limits-fairshare/sacct.csv", "sacct", 299, 1),
    ("slurm/c-repeats/sacct_fairshare_run1.csv", "sacct", 100, 0),
]


@pytest.mark.parametrize(("name", "format_name", "kept", "dropped"), FILES)
def test_rows(name: str, format_name: str, kept: int, dropped: int, shared: Path) -> None:
    trace = read_trace(shared / "data" / name)
    assert trace.format == format_name
    assert (trace.jobs.height, sum(trace.dropped.values())) == (kept, dropped)
    assert trace.rows_read == kept + dropped


def test_philly(shared: Path) -> None:
    trace = read_trace(
        shared / "data" / FILES[0][0],
        start=datetime(2017, 10, 1, tzinfo=UTC),
        end=datetime(2017, 10, 8, tzinfo=UTC),
    )
    assert trace.rows_read == 52_849
    assert trace.jobs["submit_s"].is_between(0, 7 * 86_400 - 1).all()
    assert set(trace.jobs["gpus"].unique()) <= {1, 2, 4, 8, 12, 16, 24, 32, 64, 128}


def test_helios_keeps_the_order_within_each_cluster(shared: Path) -> None:
    trace = read_trace(shared / "data" / FILES[1][0], start=datetime(2017, 10, 1, tzinfo=UTC))
    assert trace.jobs["queue"].n_unique() == 11
    done = trace.jobs["recorded_end_s"] - trace.jobs["recorded_start_s"]
    assert done.cast(float).equals(trace.jobs["run_s"], check_names=False)
    waits = trace.jobs["recorded_start_s"] - trace.jobs["submit_s"]
    assert waits.mean() == pytest.approx(20_095.47, abs=0.01)


def test_swf(shared: Path) -> None:
    trace = read_trace(shared / "data" / FILES[6][0])
    assert trace.dropped == {NEVER: 25}
    assert trace.start == datetime(2002, 7, 28, tzinfo=UTC)
    first = trace.jobs.row(0, named=True)
    assert (first["submit_s"], first["gpus"], first["recorded_start_s"]) == (25_445, 30, 25_445 + 308_434)


def test_sacct_stays_within_the_limits_of_its_slurm_conf(shared: Path) -> None:
    trace = read_trace(shared / "data" / FILES[7][0])
    assert trace.dropped == {CANCELLED: 1}
    found = summarise(trace)
    assert {q.name: q.peak_gpus for q in found.queues} == {"prod": 128, "research": 96, "edu": 48}
    assert found.peak_gpus == 192
