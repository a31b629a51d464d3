from __future__ import annotations

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.traces.read import read_trace
from gpufleet.traces.sacct import CANCELLED, MERGED, NEVER, NO_GPUS, STEP

from .conftest import START, Write

HEAD = (
    "JobIDRaw|JobName|User|Account|Submit|Eligible|Start|End|ElapsedRaw|TimelimitRaw|ReqTRES|AllocTRES|State"
)
HEAD += "\n"
DAY = "2026-01-05T"


def row(
    job: str,
    submit: str = "00:00:10",
    eligible: str = "00:00:20",
    start: str = "00:01:00",
    end: str = "00:02:00",
    elapsed: str = "60",
    limit: str = "5",
    req: str = "cpu=4,gres/gpu=8,mem=4G",
    alloc: str = "cpu=4,gres/gpu=8,node=1",
    state: str = "COMPLETED",
) -> str:
    times = [t if t[:1] not in "0123456789" else DAY + t for t in (submit, eligible, start, end)]
    return "|".join([job, "train", "bob", "research", *times, elapsed, limit, req, alloc, state]) + "\n"


def test_golden(write: Write) -> None:
    text = HEAD + row("7") + row("7.batch") + row("7.0")
    text += row("8", state="CANCELLED by 0", start="None", elapsed="0", alloc="")
    text += row("9", state="PENDING", start="Unknown", end="Unknown", elapsed="0", alloc="")
    text += row("12_3", eligible="Unknown", limit="UNLIMITED", alloc="")
    text += row("13", req="cpu=1", alloc="cpu=1", state="FAILED")
    trace = read_trace(write(text, "sacct.txt"), start=START)
    assert trace.format == "sacct"
    assert trace.rows_read == 7
    columns = ("name", "submit_s", "gpus", "run_s", "limit_s", "queue", "user", "state")
    assert trace.jobs.select(columns).rows() == [
        ("12_3", 10, 8, 60.0, 0, "research", "bob", "COMPLETED"),
        ("7", 20, 8, 60.0, 300, "research", "bob", "COMPLETED"),
    ]
    assert trace.jobs.select("recorded_start_s", "recorded_end_s").row(1) == (60, 120)
    assert trace.dropped == {STEP: 2, CANCELLED: 1, NEVER: 1, NO_GPUS: 1}
    assert trace.findings == ()
    assert trace.notes[0].startswith("5 of 7 rows are no jobs of this run")


def test_a_requeued_job_is_one_job(write: Write) -> None:
    text = HEAD
    text += row("1", start="00:01:00", end="00:02:00", elapsed="60", state="PREEMPTED")
    text += row("2", eligible="00:00:30")
    text += row("1", submit="00:02:00", eligible="00:04:00", start="00:10:00", end="00:25:00", elapsed="900")
    text += row(
        "1", submit="00:02:00", eligible="00:03:00", start="00:05:00", end="00:06:00", state="NODE_FAIL"
    )
    trace = read_trace(write(text), start=START)
    columns = ("name", "submit_s", "run_s", "state", "recorded_start_s", "recorded_end_s")
    assert trace.jobs.select(columns).rows() == [
        ("1", 20, 900.0, "COMPLETED", 60, 1500),
        ("2", 30, 60.0, "COMPLETED", 60, 120),
    ]
    assert trace.dropped == {MERGED: 2}
    assert trace.notes[0] == "1 job was requeued: 2 earlier attempts were merged into the last"


@pytest.mark.parametrize(
    ("req", "alloc", "gpus"),
    [
        ("gres/gpu=2", "cpu=1,gres/gpu=4,gres/gpu:b200=4,node=1", 4),
        ("gres/gpu=2", "cpu=1,gres/gpu:b200=4,gres/gpu:h200=3", 7),
        ("cpu=1,gres/gpu:b200=16", "", 16),
        ("cpu=1,gres/gpumem=5,gres/gpu=3", "", 3),
    ],
)
def test_gpus_of_a_tres_list(req: str, alloc: str, gpus: int, write: Write) -> None:
    trace = read_trace(write(HEAD + row("1", req=req, alloc=alloc)), start=START)
    assert trace.jobs["gpus"].to_list() == [gpus]


def test_formatted_times_serve_where_raw_ones_lack(write: Write) -> None:
    text = HEAD.replace("ElapsedRaw", "Elapsed").replace("TimelimitRaw", "Timelimit")
    text += row("1", elapsed="1-00:00:30", limit="2-00:00:00") + row(
        "2", limit="Partition_Limit", elapsed="00:05"
    )
    text += row("3", limit="forever", elapsed="00:05")
    trace = read_trace(write(text), start=START)
    assert trace.jobs.select("run_s", "limit_s").rows() == [(86_430.0, 172_800), (5.0, 0)]
    assert trace.dropped == {"Timelimit is not a number": 1}


def test_running_jobs_are_said(write: Write) -> None:
    trace = read_trace(write(HEAD + row("1", state="RUNNING", end="Unknown")), start=START)
    assert trace.jobs.select("run_s", "recorded_end_s").rows() == [(60.0, None)]
    assert trace.notes == ("1 job was still running: its run time is what had passed",)


def test_times_are_local_and_the_queue_can_be_another_column(write: Write) -> None:
    text = HEAD.replace("Account", "Partition") + row(
        "1", eligible="09:00:00", start="09:00:30", end="09:01:30"
    )
    trace = read_trace(write(text), start=START, time_zone="Asia/Seoul", queue_column="JobName")
    assert trace.jobs.select("submit_s", "queue").rows() == [(0, "train")]
    assert read_trace(write(text), start=START).jobs["queue"].to_list() == ["research"]


def test_the_form_with_a_bar_at_the_end_of_lines(write: Write) -> None:
    text = (HEAD + row("1")).replace("\n", "|\n")
    assert read_trace(write(text), start=START).jobs.height == 1


def test_a_bar_in_a_job_name_breaks_only_its_row(write: Write) -> None:
    text = HEAD + row("1") + row("2").replace("train", "a|b")
    trace = read_trace(write(text), start=START)
    assert trace.jobs.height == 1
    assert trace.dropped == {"row with too few or too many fields": 1}


def test_missing_columns_are_all_named(write: Write) -> None:
    with pytest.raises(GpufleetError) as caught:
        read_trace(write("JobID|User|Start\n1|bob|2026-01-05T00:00:00\n"), start=START)
    found = caught.value.findings[0]
    assert found.code == "T006"
    assert "Eligible|Submit, AllocTRES|ReqTRES, ElapsedRaw|Elapsed" in found.says
    assert "columns found: JobID, User, Start" in found.says
