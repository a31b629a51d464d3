"""A cluster engineer asks what would become of one more job, at a moment of a plan or of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PLAN = "plans/kueue-cohort"


@pytest.fixture
def job(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(text + "\n")
        return path

    return write


def asked(cli: Any, job: Path, at: str, plan: str | Path = PLAN) -> dict[str, Any]:
    done = cli("admit", "-f", job, "--plan", plan, "--at", at, "--json")
    assert done.code == 0, done
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_the_owner_gets_its_own_back(cli: Any, job: Any) -> None:
    found = asked(cli, job("queue: serving\ngpus: 16"), "2026-01-06 08:00")
    assert found["starts"]
    assert (found["site"], found["product"]) == ("lab", "B200-SXM")
    assert [each["called"] for each in found["preempts"]] == ["daily/j07", "daily/j06"]  # the newest of llm
    assert {each["rule"] for each in found["preempts"]} == {"InCohortReclamation"}
    (quota,) = found["quotas"]
    assert (quota["own"], quota["used"], quota["more"]) == (24, 0, 0)
    assert quota["cohorts"][0]["kept"] == {"vision": 8}


def test_the_simulation_with_that_job_does_the_same(cli: Any, job: Any, tmp_path: Path) -> None:
    """The campaign of Thursday noon, asked about in a plan without it."""
    text = (
        "{queue: serving, gpus: 24, duration: 4 h, priority: urgent, preemptible: false, "
        "topology: {preferred: block}}"
    )
    done = cli("run", PLAN, "--out", tmp_path / "run", "--quiet")
    assert done.code == 0
    from gpufleet.results.run import Run

    took = Run.load(tmp_path / "run").preemptions.filter(pl_by(41))
    before = asked(cli, job(text), "2026-01-08 11:59:59")
    assert {each["job"] for each in before["preempts"]} == set(took["victim"])
    after = asked(cli, job(text), "2026-01-08 12:00")  # the campaign is there, and may not be pushed out
    assert not after["starts"]


def pl_by(job: int) -> Any:
    import polars as pl

    return pl.col("preemptor") == job


def test_a_run_answers_as_its_plan(cli: Any, job: Any, tmp_path: Path) -> None:
    assert cli("run", PLAN, "--out", tmp_path / "run", "--quiet").code == 0
    path = job("{queue: vision, gpus: 8, priority: urgent}")
    for at in ("2026-01-05 12:00", "2026-01-07 09:00"):
        assert asked(cli, path, at, tmp_path / "run") == asked(cli, path, at)


def test_not_now_is_not_never(cli: Any, job: Any) -> None:
    later = cli("admit", "-f", job("queue: serving\ngpus: 32"), "--plan", PLAN, "--at", "2026-01-08 09:04")
    assert later.out.startswith(
        "not now: 32 GPUs of serving wait at 2026-01-08 09:04: neither the queue's quota"
    )
    never = cli("admit", "-f", job("queue: llm\ngpus: 64"), "--plan", PLAN, "--at", "2026-01-05")
    assert never.out.startswith("never: 64 GPUs of llm can never run")
    wish = cli("admit", "-f", job("queue: llm\ngpus: 16\ntopology: {required: node}"), "--plan", PLAN,
               "--at", "2026-01-05")  # fmt: skip
    assert wish.out.startswith("never: 16 GPUs of llm can never run: free nodes would hold the job, but not")


def test_a_plan_with_hard_quotas_answers_too(cli: Any, job: Any) -> None:
    found = asked(cli, job("queue: vision\ngpus: 8"), "2026-01-05 00:00", "plans/one-cluster")
    assert found["starts"]
    assert found["quotas"] == []


LIMITED = """
gpufleet: 1
name: limited
start: 2026-01-01
end: 2026-01-10
sites: {lab: {power: 1 MW, pue: 1.2}}
deliveries: [{name: a, to: lab, system: DGX B200, gpus: 64, at: 2026-01-01, status: online}]
tenants:
  uni:
    limits: {per_project: {gpus: {B200: 16}, for: 5 d}}
    queues:
      q: {quota: {B200: 64}, limits: {per_user: {gpus: 8}}}
      r: {quota: {B200: 64}}
workloads:
  old: {kind: campaign, queue: q, project: alpha, gpus: 12, duration: 30 h, at: 2026-01-02}
"""


@pytest.fixture
def limited(tmp_path: Path) -> Path:
    path = tmp_path / "limited.yaml"
    path.write_text(LIMITED)
    return path


def test_limits_of_project_and_user_count(cli: Any, job: Any, limited: Path, tmp_path: Path) -> None:
    path = job("{queue: r, gpus: 8, project: alpha}")
    held = asked(cli, path, "2026-01-02 01:00", limited)
    assert (held["starts"], held["ever"], held["refusal"]) == (False, True, "limit")
    (limit,) = held["limits"]
    assert (limit["name"], limit["product"], limit["used"], limit["most"]) == ("alpha", "B200-SXM", 12, 16)
    assert asked(cli, job("{queue: r, gpus: 8, project: beta}"), "2026-01-02 01:00", limited)["starts"]
    small = asked(cli, job("{queue: q, gpus: 9, user: kim}"), "2026-01-02 01:00", limited)
    assert (small["starts"], small["ever"], small["refusal"]) == (False, False, "limit")
    path = job("{queue: r, gpus: 8, project: alpha}")
    ended = asked(cli, path, "2026-01-07 01:00", limited)  # alpha began on the 2nd, for 5 days
    assert (ended["ever"], ended["limits"][0]["ended"]) == (False, True)
    assert asked(cli, path, "2026-01-06 23:00", limited)["starts"]
    assert cli("run", limited, "--out", tmp_path / "run", "--quiet").code == 0
    assert asked(cli, path, "2026-01-02 01:00", tmp_path / "run") == held


def test_an_array_is_asked_as_a_whole(cli: Any, job: Any, limited: Path) -> None:
    found = asked(cli, job("{queue: r, gpus: 8, project: beta, tasks: 3}"), "2026-01-02", limited)
    assert (found["starts"], found["started"], found["refusal"]) == (False, 2, "limit")
    few = asked(cli, job("{queue: r, gpus: 1, tasks: 9, at_once: 4}"), "2026-01-02", limited)
    assert (few["starts"], few["started"], few["refusal"]) == (False, 4, "limit")
    done = cli("admit", "-f", job("{queue: r, gpus: 1, tasks: 9}"), "--plan", limited, "--at", "2026-01-02")
    assert done.out.startswith("yes: all 9 jobs of 1 GPUs of r start 2026-01-02")


def test_what_limits_nothing_is_told(cli: Any, job: Any, limited: Path) -> None:
    path = job("queue: r\ngpus: 1\nuser: kim\ntasks: 2\nat_once: 2")
    done = cli("admit", "-f", path, "--plan", limited, "--at", "2026-01-02")
    assert done.code == 2
    for word in ("job.yaml:3", "user of r", "job.yaml:5", "2 of 2 jobs"):
        assert word in done.err


def test_what_is_wrong_with_a_job_is_told_with_its_lines(cli: Any, job: Any) -> None:
    done = cli(
        "admit", "-f", job("queue: servin\ngpus: 0\nprioriti: 3"), "--plan", PLAN, "--at", "2026-01-06"
    )
    assert done.code == 2
    for word in ("job.yaml:1", "serving", "job.yaml:2", "job.yaml:3", "priority"):
        assert word in done.err
    path = job("queue: vision\ngpus: 1\npreemptible: false")
    rules = cli("admit", "-f", path, "--plan", "plans/one-cluster",
                "--at", "2026-01-06")  # fmt: skip
    assert rules.code == 2
    assert "job.yaml:3" in rules.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "there is no question"),
        (("-f", "job.yaml"), "-f needs --plan and --at"),
        (("-f", "job.yaml", "--cases", "cases.json"), "-f asks about one job, --cases about others"),
        (("--cases", "cases.json", "--at", "2026-01-06"), "--plan and --at go with -f"),
        (("-f", "nothing.yaml", "--plan", PLAN, "--at", "2026-01-06"), "nothing.yaml"),
        (("-f", "README.md", "--plan", PLAN, "--at", "2027-01-06"), "README.md"),
    ],
)
def test_half_a_question_is_told(cli: Any, options: tuple[str, ...], says: str) -> None:
    done = cli("admit", *options)
    assert done.code == 2
    assert says in done.err


def test_a_moment_outside_the_plan_is_told(cli: Any, job: Any) -> None:
    done = cli("admit", "-f", job("queue: llm\ngpus: 8"), "--plan", PLAN, "--at", "2027-01-06")
    assert done.code == 2
    assert "--at" in done.err
    assert "2026-01-12" in done.err


def test_a_refusal_has_the_numbers_of_the_moment(cli: Any, job: Any) -> None:
    told = cli("admit", "-f", job("queue: serving\ngpus: 32"), "--plan", PLAN, "--at", "2026-01-08 09:04").out
    assert "B200-SXM: 0 of 64 GPUs are free where it may run" in told


def test_a_product_that_nobody_brings_is_never_there(cli: Any, job: Any) -> None:
    path = job("{queue: llm, gpus: 8, products: {B300: 1}}")
    done = cli("admit", "-f", path, "--plan", PLAN, "--at", "2026-01-06")
    assert done.out.startswith("never: 8 GPUs of llm can never run"), done
