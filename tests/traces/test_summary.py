from __future__ import annotations

from datetime import timedelta

from gpufleet.traces.read import read_trace
from gpufleet.traces.summary import QueueSummary, summarise

from .conftest import START, Write


def test_without_recorded_starts_jobs_start_when_submitted(write: Write) -> None:
    text = """\
        job,submit_s,gpus,duration_s,queue
        a,0,8,100,x
        b,50,4,100,x
        c,100,2,3600,y
        d,150,1,0,
        """
    found = summarise(read_trace(write(text), start=START))
    assert found.queues == (
        QueueSummary("y", 1, 2, 2, 2.0),
        QueueSummary("x", 2, 12, 8, 1200 / 3600),
        QueueSummary(None, 1, 1, 1, 0.0),
    )
    assert (found.jobs, found.peak_gpus, found.largest_gpus, found.recorded_share) == (4, 12, 8, 0.0)
    assert (found.first_submit, found.last_submit) == (START, START + timedelta(seconds=150))
    assert found.last_end == START + timedelta(seconds=3700)
    assert repr(found).startswith(
        "4 jobs in 3 queues, submitted over 0 h from 2026-01-05 00:00 UTC; at most 12 GPUs"
    )


def test_recorded_starts_count_where_they_are_known(write: Write) -> None:
    text = "job,submit_s,gpus,duration_s,start_s,end_s\na,0,8,100,0,100\nb,0,8,100,100,200\nc,0,1,500,,\n"
    found = summarise(read_trace(write(text), start=START))
    assert found.peak_gpus == 9
    assert found.recorded_share == 2 / 3
