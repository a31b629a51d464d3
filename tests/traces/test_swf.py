from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from gpufleet.traces import source
from gpufleet.traces.lines import chunks
from gpufleet.traces.read import read_trace
from gpufleet.traces.swf import CANCELLED, NEVER, PART

from .conftest import START, Write

HEADER = "; Version: 2.2\n; UnixStartTime: 1027839845\n;\n"
ROWS = """\
    1        0    60   100   30   90    -1   30  3600    -1  1   7   3  -1  2  1 -1 -1
    2       10    -1   100   -1   90    -1    8    -1    -1  0   8   4  -1  1  1 -1 -1
    3       20     5    -1   40   -1    -1   40  3600    -1  1   7   3  -1  2  1 -1 -1
    4       30     5    -1   40   -1    -1   40  3600    -1  5   7   3  -1  2  1 -1 -1
    5       40     5    50   40   -1    -1   40  3600    -1  3   7   3  -1  2  1 -1 -1
    6       50     0    50   -1   -1    -1   -1  3600    -1  1   7   3  -1  2  1 -1 -1
    7       60     0    50    4
\t8\t70\t0\t 0\t4\t-1\t-1\t4\t60.5\t-1\t1\t-1\t-1\t-1\t-1\t1\t-1\t-1
"""


def test_golden(write: Write) -> None:
    trace = read_trace(write((HEADER + ROWS).encode(), "x.swf.gz"), start=datetime(2002, 7, 28, tzinfo=UTC))
    zero = 7 * 3600 + 4 * 60 + 5
    assert trace.format == "swf"
    assert trace.rows_read == 8
    columns = ("name", "submit_s", "gpus", "run_s", "limit_s", "queue", "user", "state", "recorded_start_s")
    assert trace.jobs.select(columns).rows() == [
        ("1", zero, 30, 100.0, 3600, "q2", "u7", "1", zero + 60),
        ("2", zero + 10, 8, 100.0, 0, "q1", "u8", "0", None),
        ("8", zero + 70, 4, 0.0, 60, None, None, "1", zero + 70),
    ]
    assert trace.jobs["recorded_end_s"].to_list() == [zero + 160, None, zero + 70]
    assert trace.dropped == {
        NEVER: 1,
        CANCELLED: 1,
        PART: 1,
        "allocated is missing": 1,
        "row with too few or too many fields": 1,
    }
    assert [f.says for f in trace.findings] == [
        "2 of 8 rows were dropped: 1 allocated is missing; 1 row with too few or too many fields"
    ]


def test_groups_are_the_queues_of_a_file_without_queue_numbers(write: Write) -> None:
    rows = "".join(f"{i} {i} 0 9 1 -1 -1 1 -1 -1 1 5 {i} -1 -1 1 -1 -1\n" for i in (1, 2))
    trace = read_trace(write(HEADER + rows), start=datetime(2002, 7, 28, tzinfo=UTC))
    assert trace.jobs["queue"].to_list() == ["g1", "g2"]
    assert "user group" in trace.notes[0]


def test_a_file_without_a_date_starts_with_the_plan(write: Write) -> None:
    trace = read_trace(write("1 5 0 9 1 -1 -1 1 -1 -1 1 5 1 -1 -1 1 -1 -1\n"), start=START)
    assert (trace.format, trace.dated, trace.jobs["submit_s"].to_list()) == ("swf", False, [5])
    assert trace.notes[-1] == "the file has no calendar: its second 0 is 2026-01-05 00:00:00 UTC"


def test_many_chunks_give_the_same(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write((HEADER + ROWS).encode())
    whole = read_trace(path)
    monkeypatch.setattr(source, "chunks", partial(chunks, chunk_bytes=90))
    parts = read_trace(path)
    assert parts.jobs.equals(whole.jobs)
    assert (parts.dropped, parts.rows_read, parts.start) == (whole.dropped, whole.rows_read, whole.start)
