"""`gpufleet why` about limits and dependencies, on a run of a plan."""

from __future__ import annotations

import pytest

from gpufleet.plan.load import load_plan
from gpufleet.results.explain import why
from gpufleet.results.run import Run
from gpufleet.study import simulate

PLAN = """\
gpufleet: 1
name: limits
start: 2026-01-05
end: 2026-01-12
sites: {lab: {}}
deliveries: [{to: lab, system: DGX B200, gpus: 64, at: 2026-01-05}]
tenants:
  lab:
    limits:
      per_user: {gpus: 8}
      per_project: {gpus: {B200: 16}, for: 2 d}
workloads:
  history: {kind: trace, file: jobs.csv, queue: lab}
  sweep: {kind: campaign, queue: lab, gpus: 1, duration: 1 h, at: 2026-01-06, tasks: 3, at_once: 2}
  vision: {kind: campaign, queue: lab, gpus: 16, duration: 1 d, at: 2026-01-06, project: vision, tasks: 2}
  late: {kind: campaign, queue: lab, gpus: 1, duration: 1 d, at: 2026-01-09, project: vision}
  cut: {kind: campaign, queue: lab, gpus: 1, duration: 2 h, limit: 1 h, at: 2026-01-06}
  sum:
    {kind: campaign, queue: lab, gpus: 8, duration: 1 h, at: 2026-01-06,
     after: [sweep, {workload: cut, any: true}]}
  never: {kind: campaign, queue: lab, gpus: 8, duration: 1 h, at: 2026-01-06, after: cut}
  long: {kind: campaign, queue: lab, gpus: 1, duration: 30 d, at: 2026-01-06}
  last: {kind: campaign, queue: lab, gpus: 8, duration: 1 h, at: 2026-01-06, after: long}
policy: {strict: false}
"""
JOBS = """\
job,submit,gpus,duration_s,user
a,2026-01-05T00:00:00,8,7200,ann
b,2026-01-05T01:00:00,4,3600,ann
c,2026-01-05T01:00:00,9,3600,ann
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "plan.yaml").write_text(PLAN)
    (folder / "jobs.csv").write_text(JOBS)
    return simulate(load_plan(folder / "plan.yaml"), out=folder / "run")


# The job, and what its explanation says.
SAYS = [
    ("b", "first cause: limit of user, project or array (tenants.lab.limits.per_user at plan.yaml:10)"),
    ("b", "user ann held 8 of 8 GPUs that it may hold (tenants.lab.limits.per_user at plan.yaml:10)"),
    ("c", "can never run: it wants 9 GPUs; user ann may hold 8 GPUs at most"),
    (
        "sweep-3",
        "array sweep ran 2 of 2 jobs that it may run at once (workloads.sweep.at_once at",
    ),
    ("late", "can never run: it wants 1 GPU; project vision ended 2026-01-08"),
    ("vision-2", "project vision held 16 of 16 B200-SXM that it may hold"),
    ("sum", "did not wait"),
    ("sum", "came 2026-01-06 00:00, eligible 2026-01-06 02:00, started 2026-01-06 02:00"),
    ("sum", "all 3 jobs of sweep had ended 2026-01-06 02:00 (workloads.sum.after at plan.yaml:20)"),
    ("sum", "the job of cut had ended 2026-01-06 01:00 (workloads.sum.after at plan.yaml:20)"),
    ("never", "can never run: 1 job of cut was not done (job 8), and all must be (workloads.never"),
    ("last", "is not eligible yet: what it depends on has not ended"),
    (
        "last",
        "1 of 1 jobs of long had not ended by the end of the run (workloads.last.after at plan.yaml:23)",
    ),
]


@pytest.mark.parametrize(("job", "words"), SAYS, ids=[f"{job}: {words[:30]}" for job, words in SAYS])
def test_it_says_what_refused_the_job(run: Run, job: str, words: str) -> None:
    assert words in why(run, job).text()


def test_the_table_tells_projects_and_eligibility(run: Run) -> None:
    jobs = run.jobs.rows_by_key("name", named=True, unique=True)
    assert (jobs["vision-2"]["project"], jobs["b"]["project"]) == ("vision", None)
    day = 86400
    assert (jobs["sum"]["submit_s"], jobs["sum"]["eligible_s"]) == (day, day + 7200)
    assert jobs["b"]["eligible_s"] == jobs["b"]["submit_s"] == 3600
    assert jobs["last"]["eligible_s"] is jobs["never"]["eligible_s"] is None
    assert (jobs["last"]["state"], jobs["last"]["last_refusal"], jobs["last"]["wait_s"]) == (
        "waiting",
        "dependency",
        0,
    )
    assert (jobs["never"]["state"], jobs["never"]["last_refusal"]) == ("refused", "dependency")
    assert jobs["b"]["wait_limit_s"] == 3600


def test_as_json(run: Run) -> None:
    told = why(run, "b").to_json()
    (limit,) = told["limits"]
    assert (limit["kind"], limit["name"], limit["used"], limit["most"]) == ("user", "ann", 8, 8)
    assert limit["line"] == {"path": "tenants.lab.limits.per_user", "at": "plan.yaml:10"}
    after = why(run, "sum").to_json()["after"]
    assert [(each["workload"], each["any"], each["left"]) for each in after] == [
        ("sweep", False, 0),
        ("cut", True, 0),
    ]


def test_measures_count_refusals(run: Run) -> None:
    rows = run.measures_json["measures"]
    refused = [row for row in rows if row["name"] == "refused_jobs" and row["by"]]
    assert {row["by"]["cause"]: row["value"] for row in refused} == {"dependency": 1, "limit": 2}
