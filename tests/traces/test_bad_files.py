"""Files of which nothing can be used: one clear error, with the file, what was found, and a fix."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from gpufleet.base.errors import Finding, GpufleetError, explanations
from gpufleet.traces.read import read_trace

from .conftest import START, Write

HEAD = "job,submit_s,gpus,duration_s\n"


def finding(path: Path, **options: object) -> Finding:
    with pytest.raises(GpufleetError) as caught:
        read_trace(path, **{"start": START, **options})  # type: ignore[arg-type]
    (found,) = caught.value.findings
    assert found.at is not None
    assert found.at.file == str(path)
    assert found.says
    assert found.fix
    assert found.severity == "error"
    assert found.code in explanations
    return found


def test_every_code_is_explained() -> None:
    codes = [code for code in explanations if code.startswith("T0") and code < "T020"]
    assert codes == [f"T{n:03d}" for n in range(1, 13)]
    assert all(explanations[code].why and explanations[code].example for code in codes)


@pytest.mark.parametrize("data", [b"", b"\n \n\r\n", b"\xef\xbb\xbf\n"])
def test_empty(data: bytes, write: Write) -> None:
    assert finding(write(data)).code == "T004"


def test_empty_gzip(write: Write) -> None:
    assert finding(write(b"", "x.gz")).code == "T004"
    assert finding(write(b"\x1f\x8b")).code == "T002"


def test_truncated_gzip(write: Write) -> None:
    packed = gzip.compress((HEAD + "".join(f"{i},0,1,60\n" for i in range(9999))).encode())
    assert finding(write(packed[: len(packed) // 2], "x.csv")).code == "T002"


def test_truncated_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"job": ["a"], "submit_s": [0], "gpus": [1], "run_s": [1.0]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert finding(path).code == "T002"
    path.write_bytes(b"PAR1")
    assert finding(path).code == "T002"


def test_binary_rubbish_of_200_mb_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    with path.open("wb") as file:
        file.write(b"\x7fELF\2\1\1" + b"\0\1\2\3" * 1000)
        file.truncate(200 << 20)
    assert finding(path).code == "T003"


def test_unknown_columns_are_shown_with_the_nearest_format(write: Write) -> None:
    found = finding(write("job,submit_s,gpu_count,hours\na,0,1,2\n"))
    assert found.code == "T005"
    assert found.says == (
        "nearest is gpufleet, which also needs gpus|num_gpus|procs, duration_s|run_s|run_time_s; "
        "columns found: job, submit_s, gpu_count, hours"
    )
    assert finding(write("x,y\n1,2\n")).code == "T005"
    assert finding(write("no table at all\n")).code == "T005"


def test_a_missing_column_of_a_format_that_was_asked_for(write: Write) -> None:
    found = finding(write("timestamp,num_gpus\n2026-01-05,1\n"), format="philly")
    assert (found.code, found.says) == ("T006", "philly needs duration; columns found: timestamp, num_gpus")
    assert finding(write(HEAD + "a,0,1,2\n"), queue_column="team").code == "T006"


def test_two_columns_of_one_name(write: Write) -> None:
    assert finding(write("job,submit_s,gpus,duration_s,GPUs\na,0,1,2,3\n")).code == "T008"


def test_no_row_is_usable(write: Write) -> None:
    found = finding(write(HEAD + "a,0,0,60\nb,0,0,60\nc,0,1,x\n"))
    assert found.code == "T007"
    assert "3 rows read as gpufleet; all dropped: 2 gpus is zero; 1 duration_s is not a number" in found.says
    assert "there is no row below the header" in finding(write(HEAD)).says


def test_no_row_is_in_the_plan(write: Write) -> None:
    rows = "job,submit,gpus,duration_s\na,2017-10-01 00:00:00,1,60\nb,2017-10-09 00:00:00,1,60\n"
    found = finding(write(rows), end=START + timedelta(days=1))
    assert found.code == "T007"
    assert "its jobs were submitted from 2017-10-01 to 2017-10-09" in found.says
    assert "shift" in found.fix


def test_settings_that_do_not_exist(write: Write) -> None:
    found = finding(write(HEAD), format="slurm-sact")
    assert found.code == "T012"
    assert "sacct" in found.fix
    assert finding(write(HEAD), time_zone="Asia/Soul").code == "T012"
    assert finding(write(HEAD), time_zone="../x").code == "T012"


def test_a_start_needs_a_zone(write: Write) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        read_trace(write(HEAD + "a,0,1,60\n"), start=datetime(2026, 1, 5))


def test_text_formats_are_not_parquet(tmp_path: Path) -> None:
    pl.DataFrame({"JobID": ["a"]}).write_parquet(tmp_path / "x")
    assert finding(tmp_path / "x", format="sacct").code == "T005"


def test_repr_says_what_to_do_next(write: Write) -> None:
    shown = repr(read_trace(write(HEAD + "a,0,1,60\nb,0,0,60\n"), start=START))
    assert shown.startswith("Trace of 1 jobs from jobs.csv (gpufleet), 1 rows dropped (1 gpus is zero)")
    assert ".jobs: name, submit_s" in shown
