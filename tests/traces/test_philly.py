from __future__ import annotations

from datetime import UTC, datetime

from gpufleet.traces.read import read_trace

from .conftest import Write

TEXT = """\
    timestamp,duration,num_gpus,gpu_time,cluster
    2017-10-01 00:00:10,102.5,1,102.5,11cb48
    2017-10-01 00:00:05,103.5,8,828.0,7f04ca
    2017-10-01 00:00:10,60.0,2,120.0,
    2017-10-01 00:00:11,,2,120.0,11cb48
    """


def test_golden(write: Write) -> None:
    trace = read_trace(write(TEXT), start=datetime(2017, 10, 1, tzinfo=UTC))
    assert trace.format == "philly"
    assert trace.jobs.select("name", "submit_s", "gpus", "run_s", "queue").rows() == [
        ("j000001", 5, 8, 104.0, "7f04ca"),
        ("j000000", 10, 1, 102.0, "11cb48"),
        ("j000002", 10, 2, 60.0, None),
    ]
    assert trace.dropped == {"duration is missing": 1}
    assert [f.code for f in trace.findings] == ["T010", "T011"]
    assert trace.jobs["recorded_start_s"].null_count() == 3


def test_times_are_local(write: Write) -> None:
    trace = read_trace(
        write(TEXT), start=datetime(2017, 10, 1, 7, tzinfo=UTC), time_zone="America/Los_Angeles"
    )
    assert trace.jobs["submit_s"].to_list() == [5, 10, 10]
