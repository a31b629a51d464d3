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
from gpufleet.results.explain_sharing import quotas_then
from gpufleet.results.holdings import holdings_at
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


def test_the_numbers_are_those_of_the_moment(run: Run) -> None:
    """The quotas from the tables of the run; what is free is what its running jobs leave of the fleet."""
    waited = run.jobs.filter(pl.col("wait_cohort_s") > 120, pl.col("preemptions") == 0)
    assert waited.height > 2
    for row in waited.head(3).iter_rows(named=True):
        t_s = row["submit_s"] + row["wait_s"] // 2
        numbers = held_at(run, row["job"], at(run, t_s)).numbers
        assert numbers is not None
        wants = run.jobs.filter(pl.col("job") == numbers.job).row(0, named=True)
        assert (numbers.gpus, numbers.queue) == (wants["gpus"], wants["queue"])
        assert numbers.quotas == quotas_then(run, numbers.queue, ["B200-SXM"], t_s)
        (room,) = numbers.rooms
        assert room.online == 64
        assert room.free == 64 - sum(holdings_at(run, t_s).values())
        assert room.quota is None


def test_who_stands_behind_another_gets_the_numbers_of_that_one(tmp_path: Path) -> None:
    with speaking("en"):
        plan = load_plan(ROOT / "plans" / "one-cluster", scenarios=["no-backfill"])
        run = simulate(plan, out=tmp_path / "run")
    behind = run.jobs.filter(pl.col("wait_order_s") > 120)
    rows = [row for row in behind.iter_rows(named=True) if row["wait_order_s"] == row["wait_s"]]
    assert rows
    held = held_at(run, rows[0]["job"], at(run, rows[0]["submit_s"] + 60))
    assert (held.refusal, held.root is not None, held.numbers is not None) == ("order", True, True)
    assert held.root is not None
    assert held.numbers is not None
    assert held.numbers.job == held.root.job != held.job
    assert held.root.refusal not in ("order", "reservation")
    assert f"job {held.root.job} ({held.root.called}), which wants {held.numbers.gpus} GPUs" in held.text()
    (room,) = held.numbers.rooms
    assert str(room.text(held.numbers.queue)) in held.text()
    assert room.online - room.free == sum(holdings_at(run, rows[0]["submit_s"] + 60).values())


def test_why_says_when_the_quotas_of_a_pushed_out_job_are(run: Run) -> None:
    pushed = run.preemptions.row(0, named=True)
    text = run.why(pushed["victim"]).text()
    came, _, then = text.partition("when it was first pushed out, ")
    assert "when it came" in came
    moment = at(run, pushed["t_s"])
    assert then.startswith(moment)
    waited = run.jobs.filter(pl.col("wait_s") > 0, pl.col("preemptions") == 0).row(0, named=True)
    assert "pushed out" not in run.why(waited["job"]).text()


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
