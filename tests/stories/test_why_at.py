"""An engineer asks what held a job at a moment of a run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.base.language import speaking
from gpufleet.held import held_at
from gpufleet.plan.load import load_plan
from gpufleet.results.run import Run
from gpufleet.study import simulate

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    plan = load_plan(ROOT / "plans" / "kueue-cohort")
    with speaking("en"):
        yield simulate(plan, out=tmp_path_factory.mktemp("runs") / "cohort")


def at(run: Run, t_s: int) -> str:
    local = (run.start + timedelta(seconds=t_s)).astimezone(ZoneInfo(run.time_zone))
    return local.strftime("%Y-%m-%d %H:%M:%S")


def test_who_waits_is_held_by_something_that_the_run_counts(run: Run) -> None:
    waited = run.jobs.filter(pl.col("wait_s") > 120, pl.col("preemptions") == 0)
    assert waited.height > 2
    for row in waited.head(4).iter_rows(named=True):
        middle = row["submit_s"] + row["wait_s"] // 2
        held = held_at(run, row["job"], at(run, middle))
        assert (held.state, held.waited_s) == ("waiting", row["wait_s"] // 2)
        assert row[f"wait_{held.refusal}_s"] > 0
        assert held.called in held.text()


def test_before_while_and_after(run: Run) -> None:
    row = run.jobs.filter(pl.col("state") == "done", pl.col("submit_s") > 60).row(0, named=True)
    moments = (row["submit_s"] - 60, row["start_s"], row["end_s"])
    states = [held_at(run, row["job"], at(run, t_s)).state for t_s in moments]
    assert states == ["to come", "running", "done"]


def test_the_command_says_it(cli: Any, run: Run) -> None:
    row = run.jobs.filter(pl.col("wait_s") > 120, pl.col("preemptions") == 0).row(0, named=True)
    told = cli("why", run.path, row["job"], "--at", at(run, row["submit_s"] + 60))
    assert told.code == 0, told
    assert f"job {row['job']} (" in told.out
    assert " waits at " in told.out


def test_a_moment_outside_of_the_plan_is_refused(run: Run) -> None:
    with pytest.raises(GpufleetError) as error:
        held_at(run, 0, "2031-01-01")
    assert [found.code for found in error.value.findings] == ["P022"]
