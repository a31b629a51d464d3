"""What holds for every file."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError
from gpufleet.traces.detect import FORMATS
from gpufleet.traces.read import read_trace

START = datetime(2026, 1, 5, tzinfo=UTC)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(
    lambda s: s not in ("null", "None", "NA", "N/A")
)

JOB = st.fixed_dictionaries(
    {
        "submit_s": st.integers(0, 10**8),
        "gpus": st.integers(1, 4096),
        "duration_s": st.floats(0, 1e8, allow_subnormal=False),
        "limit_s": st.integers(0, 10**8),
        "priority": st.integers(-1000, 1000),
        "queue": st.none() | NAMES,
        "user": st.none() | NAMES,
    }
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces") / "jobs"


@given(jobs=st.lists(JOB, min_size=1, max_size=30), dated=st.booleans())
def test_what_was_written_reads_back(file: Path, jobs: list[dict[str, object]], dated: bool) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    submit = "submit" if dated else "submit_s"
    rows.writerow(["job", submit, "gpus", "duration_s", "limit_s", "priority", "queue", "user"])
    for number, job in enumerate(jobs):
        at = START + timedelta(seconds=int(str(job["submit_s"])))
        first = at.isoformat() if dated else job["submit_s"]
        rest = [job[name] for name in ("gpus", "duration_s", "limit_s", "priority", "queue", "user")]
        rows.writerow([f"j{number}", first, *rest])
    file.write_text(text.getvalue(), encoding="utf-8")
    trace = read_trace(file, start=START)
    order = sorted(range(len(jobs)), key=lambda i: jobs[i]["submit_s"])  # type: ignore[arg-type, return-value]
    assert trace.jobs["name"].to_list() == [f"j{i}" for i in order]
    for ours, theirs in (("run_s", "duration_s"), *((n, n) for n in ("submit_s", "gpus", "queue", "user"))):
        assert trace.jobs[ours].to_list() == [jobs[i][theirs] for i in order]
    assert trace.dropped == {}


CELL = st.sampled_from(
    ["", "0", "1", "8", "-1", "1.5", "x", "nan", "1e99", "60", "j1", '"', '"a,b"', "2026-01-05"]
)


@given(
    rows=st.lists(st.lists(CELL, min_size=1, max_size=6), max_size=20), name=st.sampled_from(sorted(FORMATS))
)
def test_every_row_is_kept_or_counted(file: Path, rows: list[list[str]], name: str) -> None:
    layout = FORMATS[name]
    needed = [c.theirs[0] for c in layout.columns if c.need]
    header = list(layout.header) or list(dict.fromkeys(needed))
    good = {"submit": "2026-01-05T00:00:00", "Eligible": "2026-01-05T00:00:00", "AllocTRES": "gres/gpu=1"}
    good |= {"timestamp": "2026-01-05 00:00:00", "Start": "2026-01-05T00:00:00", "status": "1"}
    good = {} if name == "swf" else good
    lines = [[good.get(column, "1") for column in header], *rows]
    lines = lines if layout.header else [header, *lines]
    file.write_text("\n".join(layout.separator.join(line) for line in lines), encoding="utf-8")
    trace = read_trace(file, name, start=START)
    assert trace.rows_read == trace.jobs.height + sum(trace.dropped.values())
    blank = sum(not layout.separator.join(row).strip() for row in rows)
    assert trace.rows_read == 1 + len(rows) - blank
    assert trace.jobs["submit_s"].is_sorted()
    assert trace.jobs["gpus"].min() >= 1  # type: ignore[operator]
    assert (
        trace.jobs.select(
            pl.col("name", "submit_s", "gpus", "run_s", "limit_s").null_count().sum()
        ).sum_horizontal()[0]
        == 0
    )


HEADS = st.sampled_from(
    [
        b"",
        b"PAR1",
        b"\x1f\x8b\x08\0",
        b"; UnixStartTime: 1\n",
        b"job,submit,gpus,duration_s\n",
        b"timestamp,duration,num_gpus,cluster\n",
        b"vc,job_id,gpu_num,submit_s,duration_s\n",
        b"JobIDRaw|Eligible|Start|ElapsedRaw|AllocTRES\n",
    ]
)


@given(
    head=HEADS,
    data=st.binary(max_size=200) | st.text("0123456789,|.-:\"' \n;eT", max_size=200).map(str.encode),
)
@example(head=b"", data=b"\x80" * 10)
@example(head=b"job,submit,gpus,duration_s\n", data=b'"\n"')
def test_arbitrary_bytes_never_give_a_traceback(file: Path, head: bytes, data: bytes) -> None:
    for content in (head + data, gzip.compress(head + data), gzip.compress(head + data)[:-5]):
        file.write_bytes(content)
        with suppress(GpufleetError):
            trace = read_trace(file, start=START)
            assert trace.rows_read == trace.jobs.height + sum(trace.dropped.values())


@given(data=st.binary(max_size=300), at=st.integers(0, 10_000))
def test_damaged_parquet_never_gives_a_traceback(file: Path, data: bytes, at: int) -> None:
    whole = io.BytesIO()
    pl.DataFrame({"job": ["a"], "submit_s": [0], "gpus": [1], "run_s": [1.0]}).write_parquet(whole)
    content = bytearray(whole.getvalue())
    cut = 4 + at % (len(content) - 8)
    content[cut : cut + len(data)] = data
    file.write_bytes(bytes(content))
    with suppress(GpufleetError):
        read_trace(file, start=START)
