"""`Run`: what notebooks and the report see."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from small import Small

from gpufleet.base.errors import GpufleetError
from gpufleet.results.run import Run


def test_names_times_and_answer(run: Run, told: Small) -> None:
    assert run.names == told.built.names
    assert run.start == datetime(2026, 1, 4, 15, tzinfo=UTC)
    assert (run.end_s, run.grid_s, run.time_zone) == (86400, 60, "Asia/Seoul")
    assert run.environment["schema"] == "gpufleet.environment/1"
    assert run.findings == tuple(run.measures_json["findings"])
    assert isinstance(run.notes, tuple)


def test_frames_are_frames(run: Run) -> None:
    for frame in (run.jobs, run.timeline, run.measures):
        assert isinstance(frame, pl.DataFrame)
    assert run.counted_s == 86400


def test_repr_says_what_it_is_and_what_to_try(run: Run) -> None:
    text = repr(run)
    assert run.answer in text
    for word in (".jobs", ".timeline", ".measures", ".measure(", ".why(", ".compare("):
        assert word in text


def test_a_folder_that_is_no_run_does_not_break_the_repr(tmp_path: Path) -> None:
    assert "no complete run" in repr(Run(tmp_path))
    with pytest.raises(GpufleetError, match="R004"):
        Run.load(tmp_path)


def test_shortcuts_are_the_functions(run: Run) -> None:
    assert run.why(1).row["name"] == "b"
    assert run.compare(run).empty
    assert run.measure("no such measure") is None
