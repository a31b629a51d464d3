"""Somebody makes a mistake: the command says where and how to mend it, exits with 2, and nothing is lost."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest


def refused(done, code: str, line: int | None, *words: str) -> None:
    assert done.code == 2, done
    assert not done.out
    place = rf"^plan\.yaml:{line}  error {code}  " if line else rf"error {code}  "
    assert re.search(place, done.err, re.MULTILINE), done.err
    assert "fix: " in done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "words"),
    [
        ("backfill: easy", "backfil: easy", "P006", 20, ["did you mean `backfill`?"]),
        ("power: 60 kW", "power: 60", "P009", 8, ["`60` has no unit"]),
        ("power: 60 kW", "power: 60 parsec", "P009", 8, ["MW"]),
        ("power: 60 kW", "power: 3 d", "P009", 8, ["kW"]),
        ("gpus: 16,", "gpus: -16,", "P010", 12, []),
        ("gpus: 16,", "gpus: 1.5,", "P010", 12, []),
        ("at: 2026-01-05,", "at: 2026-13-05,", "P012", 12, []),
        ("gpus: 16,", "gpus: {value: 16, range: [20, 12]},", "P014", 12, []),
        ("workloads:\n", "  research: {}\nworkloads:\n", "P005", 16, ["plan.yaml:14"]),
        ("tenants.research.quota.B200: 16", "policy.order: fifo", "P029", 22, []),
        ("sites:\n", "sites: [\n", "P001", None, []),
        ("to: lab", "to: lap", "P016", 12, ["did you mean `lab`?"]),
        ("pue: 1.25", "pue: 0.9", "P021", 8, []),
        ("system: box", "system: DGX B20", "C001", 12, ["DGX-B200"]),
        ("quota: {B200: 8}", "quota: {A100: 8}", "C002", 14, ["A100-SXM4-80GB"]),
        ("file: trace}", "file: tracee}", "P025", 17, ["did you mean `trace`?"]),
        ("jobs.csv", "job.csv", "P025", 6, ["jobs.csv"]),
    ],
)
def test_a_mistake_in_the_plan(cli, edit, old, new, code, line, words):
    path = edit(old, new)
    for command in ("check", "run"):
        refused(cli(command, path.name), code, line, *words)
    assert not Path("runs").exists()


def test_all_mistakes_are_told_at_once(cli, edit):
    edit("backfill: easy", "backfil: easy")
    path = edit("power: 60 kW", "power: 60")
    done = cli("check", path.name)
    assert done.code == 2
    assert {"P006", "P009"} <= set(re.findall(r"error (P\d+)", done.err))


def test_scenarios_that_contradict_each_other(cli, edit):
    path = edit("scenarios:\n", "scenarios:\n  tight: {set: {tenants.research.quota.B200: 4}}\n")
    refused(cli("check", path.name, "--scenario", "free", "--scenario", "tight"), "P028", None, "B200")


def test_an_override_of_something_that_is_not_there(cli, plan):
    done = cli("run", plan.name, "--set", "site.lab.power=90 kW")
    assert done.code == 2
    assert "--set site.lab.power  error P030" in done.err
    assert "sites" in done.err


def test_a_yaml_bomb(cli, plan):
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    plan.write_text("\n".join(layers))
    refused(cli("check", plan.name), "P004", None)


def test_200_mb_of_rubbish_as_a_plan(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("plan.yaml", "wb") as file:
        file.truncate(200_000_000)
    refused(cli("check", "plan.yaml"), "P003", None)


@pytest.mark.parametrize("start", [b"", b"\xff\xfe\x00rubbish\x80" * 1000, b"job,submit,gpus,duration_s\n"])
def test_200_mb_of_rubbish_as_a_trace(cli, plan, start):
    with open("jobs.csv", "wb") as file:
        file.write(start)
        file.truncate(200_000_000)
    done = cli("run", plan.name)
    assert done.code == 2
    assert re.search(r"jobs\.csv(:\d+)?  error T0", done.err), done.err


def test_a_trace_without_a_column(cli, plan):
    Path("jobs.csv").write_text("job,submit,gpus\na,2026-01-05T08:00:00,8\n")
    for command in (("run", plan.name), ("check", plan.name, "--traces")):
        done = cli(*command)
        assert done.code == 2
        assert "jobs.csv" in done.err
        assert "duration_s" in done.err


def test_a_trace_without_a_usable_job(cli, plan):
    Path("jobs.csv").write_text("job,submit,gpus,duration_s,queue\na,2019-01-05T08:00:00,8,60,vision\n")
    done = cli("run", plan.name)
    assert done.code == 2
    assert "error T007" in done.err
    assert "1 submitted before the plan's start" in done.err


def test_a_trace_of_other_queues_only(cli, plan):
    Path("jobs.csv").write_text("job,submit,gpus,duration_s,queue\na,2026-01-05T08:00:00,8,60,ml\n")
    refused(cli("run", plan.name), "T060", 17, "no job is left", "ml")


@pytest.mark.parametrize("out", ["jobs.csv", "jobs.csv/run", "/proc/nowhere/run"])
def test_an_output_folder_that_cannot_be(cli, plan, out):
    before = Path("jobs.csv").read_text()
    done = cli("run", plan.name, "--out", out)
    assert done.code == 2
    assert "error R00" in done.err
    assert Path("jobs.csv").read_text() == before


def test_an_output_folder_with_other_things(cli, plan):
    Path("home").mkdir()
    Path("home/letter.txt").write_text("dear")
    done = cli("run", plan.name, "--out", "home")
    assert done.code == 2
    assert "error R001" in done.err
    assert Path("home/letter.txt").read_text() == "dear"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_is_not_writable(cli, plan):
    Path("shut").mkdir(mode=0o500)
    done = cli("run", plan.name, "--out", "shut/run")
    assert done.code == 2
    assert "error R002" in done.err


def test_a_plan_that_is_not_there(cli, plan):
    done = cli("run", "plan.yml")
    assert done.code == 2
    assert "plan.yml  error P002" in done.err
    assert "plan.yaml" in done.err


@pytest.mark.parametrize(
    "arguments", [("rum",), ("run",), ("run", "plan.yaml", "--scenrio", "x"), ("why", "runs/x"), ("explain",)]
)
def test_a_command_that_is_not_understood(cli, arguments):
    done = cli(*arguments)
    assert done.code == 2
    assert "error U001" in done.err
    assert "--help" in done.err


def test_findings_as_json(cli, edit):
    import json

    path = edit("backfill: easy", "backfil: easy")
    done = cli("check", path.name, "--json")
    assert done.code == 2
    found = json.loads(done.out)
    assert found["schema"] == "gpufleet.error/1"
    assert found["findings"][0]["code"] == "P006"
    assert (found["findings"][0]["file"], found["findings"][0]["line"]) == ("plan.yaml", 20)


def test_a_lot_after_the_plans_end_is_told_and_the_run_goes_on(cli, edit):
    path = edit("at: 2026-01-05,", "at: 2026-02-05,")
    done = cli("check", path.name)
    assert done.code == 0
    assert re.search(r"^plan\.yaml:12  warning P089  ", done.out, re.MULTILINE)
    assert cli("check", path.name, "--strict").code == 2
    assert cli("run", path.name).code == 0
