from __future__ import annotations

from gpufleet.traces.read import read_trace

from .conftest import START, Write


def test_golden_ties_keep_their_order_in_the_cluster(write: Write) -> None:
    text = """\
        vc,order_in_vc,job_id,gpu_num,submit_s,duration_s,start_s,end_s,queue_s,preemptions
        a,1,j7,8,100,50,150,200,50,0
        a,0,j9,8,100,50,100,150,0,0
        b,1,j2,1,100,30,100,130,0,0
        b,0,j1,2,0,30,0,30,0,0
        """
    trace = read_trace(write(text), start=START)
    assert trace.format == "helios"
    assert trace.jobs.select("name", "queue", "submit_s", "gpus", "run_s").rows() == [
        ("j1", "b", 0, 2, 30.0),
        ("j9", "a", 100, 8, 50.0),
        ("j7", "a", 100, 8, 50.0),
        ("j2", "b", 100, 1, 30.0),
    ]
    assert trace.jobs["recorded_start_s"].to_list() == [0, 100, 150, 100]
    assert trace.jobs["recorded_end_s"].to_list() == [30, 150, 200, 130]
    assert trace.findings == ()


def test_order_and_recorded_times_may_be_left_out(write: Write) -> None:
    text = "vc,job_id,gpu_num,submit_s,duration_s\na,j1,8,0,60\na,j0,8,0,60\n"
    trace = read_trace(write(text), start=START)
    assert trace.jobs["name"].to_list() == ["j1", "j0"]
    assert trace.jobs["recorded_start_s"].to_list() == [None, None]
