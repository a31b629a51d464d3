"""`gpufleet why` about trainings: the parts of the days are all of the days, whatever cut the jobs short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan.load import load_plan
from gpufleet.results.campaigns import campaigns_of, whole
from gpufleet.results.explain import why
from gpufleet.results.explain_days import Days, days_of
from gpufleet.results.explain_training import TrainingExplanation
from gpufleet.results.run import Run
from gpufleet.study import simulate

PLAN = """\
gpufleet: 1
name: team
start: 2027-01-01
end: 2027-04-01
sites: {{lab: {{}}}}
deliveries:
  - {{to: lab, system: DGX B200, gpus: 64, at: 2027-01-03}}
  - {{to: lab, system: DGX H100, gpus: 64, at: 2027-01-01}}
tenants: {{team: {{}}, others: {{}}}}
workloads:
  first: {{kind: campaign, queue: others, gpus: 32, duration: 2 d, at: 2027-01-01, tasks: 3, at_once: 1,
          products: {{B200: 1, H100: 0.5}}}}
  sovereign:
    kind: training
    model: llama-3-8b
    tokens: 1T
    queue: team
    products: [B200, H100]
    gpus: 64
    at: 2027-01-02
    phases: {{ablations: {{jobs: 5, gpus: 16}}, post_training: {{}}, evaluation: {{gpus: 8}}}}
  next: {{kind: campaign, queue: team, gpus: 8, duration: 1 d, at: 2027-01-02, after: sovereign}}
{more}
"""
FAILING = "failures: {gpu_hours_between: 1000, repair: 6 h}"
Made = Callable[..., Run]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    known: dict[tuple[str, ...], Run] = {}

    def make(*more: str) -> Run:
        if more not in known:
            folder = tmp_path_factory.mktemp("training")
            (folder / "plan.yaml").write_text(PLAN.format(more="\n".join(more)))
            known[more] = simulate(load_plan(folder / "plan.yaml"), out=folder / "run")
        return known[more]

    return make


def parts(days: Days) -> int:
    own = days.queue_s + days.again_s + days.compute_s + days.lost_s + days.restarts_s
    return own + sum(each.slower_s for each in days.elsewhere)


CASES = [
    (),
    (FAILING,),
    ("policy: {sharing: {}}",),
    (FAILING, "policy: {sharing: {}}"),
    (FAILING, "jobs_until: 2027-01-20"),
]


@pytest.mark.parametrize("more", CASES)
def test_the_parts_are_the_time_from_eligible_to_the_end(made: Made, more: tuple[str, ...]) -> None:
    run = made(*more)
    rows = run.scan_jobs().collect().to_dicts()
    looked_at = 0
    for row in rows:
        days = days_of(run, row)
        if days is None:
            assert row["eligible_s"] is None
            continue
        looked_at += 1
        end_s = row["end_s"] if row["end_s"] is not None else run.end_s
        assert parts(days) == days.whole_s
        if row["state"] != "refused":
            assert days.whole_s == end_s - row["eligible_s"]
        own = (days.queue_s, days.again_s, days.lost_s, days.restarts_s)
        assert min(own) >= 0
        assert days.compute_s >= -1
        if row["state"] == "done":
            assert days.compute_s == pytest.approx(row["work_s"], abs=2 * row["attempts"] + 1)
    assert looked_at >= 5


@pytest.mark.parametrize("more", CASES[:4])
def test_the_days_of_a_training_are_those_of_its_phases(made: Made, more: tuple[str, ...]) -> None:
    run = made(*more)
    told = run.why("sovereign")
    assert isinstance(told, TrainingExplanation)
    assert told.total is not None
    mine = run.scan_jobs().filter(pl.col("workload") == "sovereign").collect()
    first_s, last_s = mine["eligible_s"].min(), mine["end_s"].max()
    assert parts(told.total) == told.total.whole_s == last_s - first_s  # type: ignore[operator]
    assert told.whole.end_s == last_s
    assert told.to_json()["late_s"] == last_s - told.whole.planned_end_s  # type: ignore[operator]
    assert len(told.last) == 4


def test_a_phase_is_eligible_when_the_one_before_has_ended(made: Made) -> None:
    run = made(FAILING)
    phases = {each.name: each for each in campaigns_of(run)}
    jobs = run.scan_jobs().collect()
    before = None
    for phase in ("ablations", "pre-training", "post-training", "evaluation"):
        mine = jobs.filter(pl.col("workload") == "sovereign", pl.col("name").str.starts_with(phase))
        assert mine.height == (5 if phase == "ablations" else 1)
        if before is not None:
            assert mine["eligible_s"].unique().to_list() == [before]
        before = mine["end_s"].max()
        assert phases[f"sovereign/{phase}"].end_s == before
    following = jobs.filter(pl.col("workload") == "next")
    assert following["eligible_s"].to_list() == [before]
    assert phases["next"].planned_start_s == phases["sovereign/evaluation"].planned_end_s
    assert phases["first"].planned_end_s - phases["first"].planned_start_s == 3 * 2 * 86_400


def test_failures_cost_time_and_are_told(made: Made) -> None:
    calm, failing = made("policy: {sharing: {}}"), made(FAILING, "policy: {sharing: {}}")
    quiet, told = calm.why("sovereign"), failing.why("sovereign")
    assert isinstance(quiet, TrainingExplanation)
    assert isinstance(told, TrainingExplanation)
    assert quiet.total is not None
    assert told.total is not None
    assert (quiet.total.failures, quiet.total.lost_s) == (0, 0)
    assert told.total.failures > 3
    assert told.total.lost_s + told.total.restarts_s > 0
    # about as many as are predicted: on these GPUs, in this time
    assert told.whole.failures == pytest.approx(told.whole.planned_failures, rel=1.0)
    assert "by failures" in told.text()
    assert "sovereign was done on" in told.text()


def test_a_training_that_is_not_done_is_told(made: Made) -> None:
    run = made(FAILING, "jobs_until: 2027-01-20")
    told = run.why("workloads.sovereign")
    assert isinstance(told, TrainingExplanation)
    assert "is not done by the end of the run" in told.text()
    assert "not begun; planned" in told.text()
    assert told.total is not None
    assert not told.total.done
    (training,) = whole(told.phases)
    assert training.late_s is None
    assert training.done < training.jobs


def test_a_job_of_a_training_tells_its_days(made: Made) -> None:
    says = why(made(FAILING), "sovereign/pre-training").text()
    assert "steps of training" in says
    assert "checkpoints, and waiting for the slowest GPU" in says


def test_a_date_that_is_kept_or_missed_is_told(tmp_path: Path) -> None:
    text = PLAN.format(more="").replace("    gpus: 64\n", "    by: 2027-02-20\n")
    text = text.replace("products: [B200, H100]", "products: [B200]")
    rest = "gpus: 64, duration: 30 d, at: 2027-01-01, products: {B200: 1}"
    before = f"  block: {{kind: campaign, queue: others, {rest}}}"
    for name, more, says in (("a", "", "; in time"), ("b", before, "too late")):
        (tmp_path / f"{name}.yaml").write_text(text + more)
        told = simulate(load_plan(tmp_path / f"{name}.yaml"), out=tmp_path / name).why("sovereign")
        assert isinstance(told, TrainingExplanation)
        assert f"wanted by 2027-02-20: {told.whole.gpus:,} GPUs follow from that" in told.text()
        assert says in told.text()


def test_what_is_no_training_is_refused(made: Made) -> None:
    with pytest.raises(GpufleetError) as refused:
        made().why("workloads.sovereig")
    (found,) = refused.value.findings
    assert (found.code, "did you mean `sovereign`" in str(found.fix)) == ("R008", True)


def test_the_days_are_written_to_json(made: Made, tmp_path: Path) -> None:
    told = why(made(FAILING), "sovereign/pre-training").to_json()["days"]
    assert set(told) == set(Days._fields)
