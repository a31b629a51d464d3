"""A newcomer runs the first plan and asks why a job waited."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from gpufleet import Run, load_plan, simulate

FILES = {
    "complete.json",
    "environment.json",
    "fragmentation.parquet",
    "jobs.parquet",
    "ledger.json",
    "measures.json",
    "plan.lock.yaml",
    "report.html",
    "shortage.parquet",
    "supply.parquet",
    "timeline.parquet",
    "world.npz",
}


def test_run_why_compare(cli, plan):
    done = cli("run", plan.name)
    assert done.code == 0, done.err
    assert "16 GPUs" in done.out
    out = Path("runs/tiny")
    assert {file.name for file in out.iterdir()} == FILES

    jobs = pl.read_parquet(out / "jobs.parquet").sort("job")
    assert jobs["state"].to_list() == ["done"] * 5
    waits = [name for name in jobs.columns if name.startswith("wait_") and name != "wait_s"]
    assert jobs.select(pl.sum_horizontal(waits)).to_series().to_list() == jobs["wait_s"].to_list()
    # b waits for the quota of research: a holds its 8 GPUs until 09:00
    assert jobs.row(1, named=True)["root_own_quota_s"] == 50 * 60

    why = cli("why", "runs/tiny", "b")
    assert why.code == 0
    assert "own quota" in why.out
    assert "plan.yaml:14" in why.out

    assert cli("run", plan.name, "--scenario", "free").code == 0
    difference = cli("compare", "runs/tiny", "runs/tiny+free")
    assert difference.code == 0
    assert "8 -> 16" in difference.out
    same = json.loads(cli("compare", "runs/tiny", "runs/tiny", "--json").out)
    assert same["schema"] == "gpufleet.compare/1"
    assert same["same"]


def test_json_of_every_command_names_its_schema(cli, plan):
    for command in (
        ("run", plan.name),
        ("check", plan.name),
        ("why", "runs/tiny", "1"),
        ("compare", "runs/tiny", "runs/tiny"),
        ("catalog", "gpus"),
    ):
        done = cli(*command, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["schema"] == f"gpufleet.{command[0]}/1"


def test_quiet_is_the_answer_and_nothing_else(cli, plan):
    done = cli("run", plan.name, "--quiet")
    assert done.out == Run.load("runs/tiny").answer + "\n"


def test_the_same_plan_gives_the_same_bytes(cli, plan):
    for name in ("one", "two"):
        assert cli("run", plan.name, "--out", name).code == 0
    for name in FILES - {"environment.json"}:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes(), name


def test_a_set_changes_the_run(cli, plan):
    assert cli("run", plan.name, "--set", "policy.order=sjf", "--set", "deliveries.lot-1.gpus=8").code == 0
    lock = Run.load("runs/tiny").plan
    assert lock["policy"]["order"] == "sjf"
    assert lock["deliveries"]["lot-1"]["gpus"] == 8
    assert lock["lines"]["policy.order"] == "--set policy.order"


def test_the_report_can_be_written_anew(cli, plan):
    assert cli("run", plan.name).code == 0
    page = Path("runs/tiny/report.html")
    before = page.read_bytes()
    page.unlink()
    assert cli("report", "runs/tiny").code == 0
    assert page.read_bytes() == before


def test_from_python(plan):
    run = simulate(load_plan(plan))
    assert run.jobs.height == 5
    assert run.timeline.height > 0
    assert "own quota" in str(run.why("b"))
    folder = run.path
    del run
    assert not folder.exists()


def test_from_python_with_a_folder(plan, capfd):
    steps: list[str] = []
    run = simulate(load_plan(plan), out="kept", progress=steps.append)
    assert Run.load("kept").answer == run.answer
    assert steps[-1] == ""
    assert "simulating ..." in steps


def test_a_saved_world_runs_again_without_the_plan(cli, plan):
    from gpufleet.engine.run import simulate as run_world
    from gpufleet.world.save import load_world

    assert cli("run", plan.name).code == 0
    plan.unlink()
    world, arrivals, names = load_world(Path("runs/tiny/world.npz"))
    (jobs,) = arrivals.batches()
    result = run_world(world, jobs, debug=True)
    frame = Run.load("runs/tiny").jobs
    assert result.outcomes.start_s.tolist() == frame["start_s"].to_list()
    assert names.queues == ("research", "vision")


@pytest.mark.parametrize("trace", [False, True])
def test_a_new_plan_checks_and_runs(cli, plan, trace):
    more = ("--from", "jobs.csv") if trace else ()
    assert cli("new", "mine", *more).code == 0
    again = cli("new", "mine")
    assert again.code == 2
    assert "error U004" in again.err
    assert cli("check", "mine.yaml", "--traces", "--strict").code == 0
    assert cli("run", "mine.yaml").code == 0
    if trace:
        assert "guess" in Path("mine.yaml").read_text()
        assert Run.load("runs/mine").jobs.height == 5


def test_the_shipped_plan(cli, monkeypatch, tmp_path):
    plan = Path(__file__).resolve().parents[2] / "plans" / "one-cluster"
    monkeypatch.chdir(tmp_path)
    assert cli("check", plan, "--traces").code == 0
    done = cli("run", plan, "--quiet")
    assert done.code == 0
    assert "64 GPUs" in done.out
