"""What can be meant but hurts: the command says so and goes on."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl


def run(cli, plan, *more):
    done = cli("run", plan.name, "--out", "run", *more)
    assert done.code == 0, done.err
    return done, pl.read_parquet("run/jobs.parquet").sort("job")


def test_a_job_larger_than_the_fleet_will_ever_be(cli, plan):
    with Path("jobs.csv").open("a") as file:
        file.write("x,2026-01-06T10:00:00,64,60,vision,eve\n")
    done, jobs = run(cli, plan)
    assert "warning T061" in done.err
    assert "1 job asks for up to 64 GPUs; at most 16" in done.err
    assert jobs.filter(pl.col("name") == "x")["state"].to_list() == ["refused"]
    assert jobs.filter(pl.col("name") != "x")["state"].to_list() == ["done"] * 5


def test_rows_that_are_no_jobs_are_dropped_and_counted(cli, plan):
    with Path("jobs.csv").open("a") as file:
        file.write("n,2026-01-06T10:00:00,nan,60,vision,eve\n")
        file.write("t,2026-01-06T10:00:00,eight,60,vision,eve\n")
        file.write("a,2026-01-06T10:00:00,1,60,vision,eve\n")
        file.write("m,2026-01-06T10:00:00,1,-60,vision,eve\n")
        file.write("o,2026-01-06T10:00:00,1,99999999999999999999,vision,eve\n")
    done, jobs = run(cli, plan)
    assert "warning T010" in done.err
    assert "5 of 10 rows" in done.err
    assert jobs.height == 5


def test_an_unsorted_trace_is_sorted(cli, plan):
    head, *rows = Path("jobs.csv").read_text().splitlines()
    Path("jobs.csv").write_text("\n".join([head, *reversed(rows)]) + "\n")
    done, jobs = run(cli, plan)
    assert "warning T011" in done.err
    assert jobs["name"].to_list() == ["a", "b", "c", "d", "e"]


def test_gpus_before_power(cli, edit):
    plan = edit("power: 60 kW", "power: [{from: 2026-01-05, value: 20 kW}, {from: 2026-01-07, value: 60 kW}]")
    done, jobs = run(cli, plan)
    assert "plan.yaml:12  warning P017" in done.err
    # the job of 16 GPUs waits for the second node, which is powered on the third day
    assert jobs.filter(pl.col("name") == "c")["start_s"].item() >= 2 * 86400


def test_a_quota_above_what_ever_comes(cli, edit):
    done, _ = run(cli, edit("quota: {B200: 8}", "quota: {B200: 800}"))
    assert "plan.yaml:14  warning P018" in done.err


def test_a_retirement_of_more_than_is_there(cli, edit):
    plan = edit("tenants:\n", "retirements: [{from: lab, system: box, gpus: 24, at: 2026-01-07}]\ntenants:\n")
    done, _ = run(cli, plan)
    assert "plan.yaml:13  warning P061" in done.err
    assert cli("check", plan.name).code == 0


def test_warnings_are_errors_when_strict(cli, edit):
    plan = edit("quota: {B200: 8}", "quota: {B200: 800}")
    assert cli("check", plan.name).code == 0
    done = cli("check", plan.name, "--strict")
    assert done.code == 2
    assert "warning P018" in done.out
    found = json.loads(cli("check", plan.name, "--strict", "--json").out)
    assert [f["code"] for f in found["findings"]] == ["P018"]


def test_warnings_are_kept_in_the_run(cli, edit):
    _, _ = run(cli, edit("quota: {B200: 8}", "quota: {B200: 800}"))
    found = json.loads(Path("run/measures.json").read_text())["findings"]
    assert [(f["code"], f["at"]) for f in found] == [("P018", "plan.yaml:14")]


def test_traces_are_checked_when_asked(cli, plan):
    with Path("jobs.csv").open("a") as file:
        file.write("x,2026-01-06T10:00:00,64,60,vision,eve\n")
    assert "1 trace not read" in cli("check", plan.name).out
    done = cli("check", plan.name, "--traces", "--strict")
    assert done.code == 2
    assert "warning T061" in done.out
