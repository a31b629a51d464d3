from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.traces.read import AFTER, BEFORE, DUPLICATE, OUTSIDE, read_trace
from gpufleet.traces.trace import JOBS

from .conftest import START, Write

FULL = """\
    job,submit,gpus,duration_s,limit_s,priority,queue,user,start,end
    a,2026-01-05T00:00:30,8,5400.5,7200,10,train,ana,2026-01-05T00:01:00,2026-01-05T01:31:00
    b,2026-01-05 00:00:10,1,60,,,"debug, small",,,
    """


def test_golden(write: Write) -> None:
    trace = read_trace(write(FULL), start=START)
    assert trace.format == "gpufleet"
    assert trace.jobs.schema == pl.Schema(JOBS)
    assert trace.jobs.rows() == [
        ("b", 10, 1, 60.0, 0, 0, "debug, small", None, None, None, None),
        ("a", 30, 8, 5400.5, 7200, 10, "train", "ana", None, 60, 5460),
    ]
    assert [f.code for f in trace.findings] == ["T011"]


def test_names_that_converted_logs_use(write: Write) -> None:
    text = "job_id,procs,requested_time_s,run_time_s,submit_s,start_s,end_s\n4,5,172800,100,0,7,107\n"
    trace = read_trace(write(text), start=START)
    columns = ("name", "gpus", "run_s", "limit_s", "recorded_start_s", "recorded_end_s")
    assert trace.jobs.select(columns).rows() == [("4", 5, 100.0, 172_800, 7, 107)]
    assert not trace.dated


def test_columns_in_any_order_case_and_more_of_them(write: Write) -> None:
    trace = read_trace(write("note, GPUs ,Submit_S,duration_s\nx,2,5,9\n"), start=START)
    assert trace.jobs.select("name", "submit_s", "gpus", "run_s").rows() == [("j000000", 5, 2, 9.0)]


BAD = {
    "a,0,1,60": None,
    "a,1,1,60": DUPLICATE,
    "b,1,1,nan": "duration_s is NaN or infinite",
    "c,1,1,long": "duration_s is not a number",
    "d,1,1,-5": "duration_s is negative",
    "e,1,1,1e300": "duration_s is too large",
    "f,-1,1,60": "submit_s is negative",
    "g,9223372036854775808,1,60": "submit_s is too large",
    "h,1,0,60": "gpus is zero",
    "i,1,-2,60": "gpus is negative",
    "j,1,1.5,60": "gpus is not whole",
    "k,1,two,60": "gpus is not a number",
    "l,1,,60": "gpus is missing",
    ",1,1,60": "job is missing",
    "m,1,1": "row with too few or too many fields",
    "n,1,1,60,9": "row with too few or too many fields",
    'o,1,1,"60': "row with too few or too many fields",
    "": None,  # a blank line is no row
}


def test_every_row_is_accounted_for(write: Write) -> None:
    path = write("job,submit_s,gpus,duration_s\n" + "".join(f"{line}\n" for line in BAD))
    trace = read_trace(path, start=START)
    assert trace.jobs["name"].to_list() == ["a"]
    reasons = [reason for reason in BAD.values() if reason]
    assert trace.dropped == {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    assert trace.rows_read == trace.jobs.height + sum(trace.dropped.values()) == len(BAD) - 1
    assert trace.findings[0].code == "T010"
    assert (
        f"{len(reasons)} of {trace.rows_read} rows were dropped: 3 row with too few" in trace.findings[0].says
    )


def test_windows(write: Write) -> None:
    rows = "".join(f"j{day},2026-01-{day:02d} 12:00:00,1,60\n" for day in range(1, 13))
    path = write("job,submit,gpus,duration_s\n" + rows)
    trace = read_trace(path, start=START, end=START + timedelta(days=5))
    assert trace.jobs["name"].to_list() == ["j5", "j6", "j7", "j8", "j9"]
    assert trace.dropped == {BEFORE: 4, AFTER: 3}
    assert trace.findings == ()
    day = timedelta(days=1)
    trace = read_trace(path, start=START, from_=START - 3 * day, to=START - day, shift_s=4 * 86_400)
    assert trace.jobs["name"].to_list() == ["j2", "j3"]
    assert trace.jobs["submit_s"].to_list() == [86_400 + 43_200, 2 * 86_400 + 43_200]
    assert trace.dropped == {OUTSIDE: 10}


def test_a_job_at_the_end_is_outside(write: Write) -> None:
    path = write("job,submit_s,gpus,duration_s\na,0,1,60\nb,59,1,60\nc,60,1,60\n")
    trace = read_trace(path, start=START, end=START + timedelta(seconds=60))
    assert trace.jobs["name"].to_list() == ["a", "b"]


def test_without_a_start_the_day_of_the_first_job_is_taken(write: Write) -> None:
    path = write("job,submit,gpus,duration_s\na,2026-03-02 10:00:00,1,60\n")
    trace = read_trace(path, time_zone="Asia/Seoul")
    assert trace.start == datetime(2026, 3, 1, 15, tzinfo=UTC)
    assert trace.jobs["submit_s"].to_list() == [36_000]


def test_recorded_times_that_cannot_be_are_set_aside(write: Write) -> None:
    text = "job,submit_s,gpus,duration_s,start_s,end_s\na,50,1,60,40,100\nb,50,1,60,60,55\nc,50,1,60,50,110\n"
    trace = read_trace(write(text), start=START)
    assert trace.jobs["recorded_start_s"].to_list() == [None, None, 50]
    assert trace.jobs["recorded_end_s"].to_list() == [None, None, 110]
    assert trace.notes[0] == "recorded times set aside: 1 starts before submit, 1 ends before start"


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Seoul"])
def test_parquet_with_times(zone: str | None, tmp_path: Path) -> None:
    times = pl.Series([datetime(2026, 1, 5, 0, 0, 5)]).dt.replace_time_zone("UTC")
    submit = times.dt.convert_time_zone(zone) if zone else times.dt.replace_time_zone(None)
    path = tmp_path / "jobs.parquet"
    frame = pl.DataFrame({"job": ["a"], "submit": submit, "gpus": [8], "duration_s": [1.5]})
    frame.with_columns(pl.col("gpus").cast(pl.Int16)).write_parquet(path)
    trace = read_trace(path, start=START)
    assert trace.jobs.select("name", "submit_s", "gpus", "run_s").rows() == [("a", 5, 8, 1.5)]


def test_parquet_with_categories_and_nulls(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "job": ["a", "b"],
            "submit_s": [0.0, 1.0],
            "gpus": [1, 2],
            "run_s": [1.0, 2.0],
            "queue": ["x", None],
        },
        schema_overrides={"queue": pl.Categorical},
    ).with_columns(user=pl.lit(None))
    frame.write_parquet(tmp_path / "x")
    trace = read_trace(tmp_path / "x", start=START)
    assert trace.jobs.select("submit_s", "gpus", "queue", "user").rows() == [
        (0, 1, "x", None),
        (1, 2, None, None),
    ]


def test_parquet_of_the_jobs_table_reads_back(write: Write, tmp_path: Path) -> None:
    trace = read_trace(write(FULL), start=START)
    trace.jobs.write_parquet(tmp_path / "again.parquet")
    assert read_trace(tmp_path / "again.parquet", start=START).jobs.equals(trace.jobs)


def test_parquet_rows_are_accounted_for_too(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "job": ["a", "a", "b", None],
            "submit_s": [0, 1, -2, 3],
            "gpus": [1, 1, 1, 1],
            "run_s": [1.0, 1.0, 1.0, 1.0],
        }
    )
    frame.write_parquet(tmp_path / "x")
    trace = read_trace(tmp_path / "x", start=START)
    assert trace.dropped == {DUPLICATE: 1, "job is missing": 1, "submit_s is negative": 1}


def test_parquet_columns_of_a_strange_kind(tmp_path: Path) -> None:
    frame = pl.DataFrame({"job": ["a"], "submit_s": [0], "gpus": [[1, 2]], "run_s": [1.0]})
    frame.write_parquet(tmp_path / "x")
    with pytest.raises(GpufleetError, match="column gpus holds large_list") as caught:
        read_trace(tmp_path / "x", start=START)
    assert caught.value.findings[0].code == "T006"
