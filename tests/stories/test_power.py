"""A site operator asks what a call of the grid does: to jobs that may stop, may not, or may be slow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

PLAN = """\
gpufleet: 1
name: power
start: 2026-01-05
end: 2026-01-09
sites:
  lab:
    power: 40 kW
    pue: 1.25
    overhead: 1 kW
    curtailments: [{from: 2026-01-07, until: 2026-01-07T12:00, power: 25 kW}]
deliveries: [{to: lab, system: DGX H100, gpus: 32, at: 2026-01-05}]
tenants: {a: {}, b: {}}
power: {counts: measured, steady: [inference]}
policy: {order: fifo, strict: false}
workloads:
  train: {kind: campaign, queue: a, gpus: 8, duration: 60 h, at: 2026-01-06, tasks: 3}
  serve: {kind: campaign, queue: b, gpus: 8, duration: 20 h, at: 2026-01-06T12:00, power: inference}
"""
IDLE_W, TRAIN_W, SERVE_W = 297, 969, 637  # of a GPU, IT


@pytest.fixture
def go(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*edits: tuple[str, str]) -> tuple[Any, pl.DataFrame, pl.DataFrame]:
        text = PLAN
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        Path("plan.yaml").write_text(text)
        done = cli("run", "plan.yaml", "--out", "out")
        assert done.code == 0, done
        power = pl.read_parquet("out/power.parquet")
        assert (power["idle_j"] + power["jobs_j"] + power["overhead_j"] == power["meter_j"]).all()
        return done, power, pl.read_parquet("out/jobs.parquet").sort("job")

    return run


def measure(name: str) -> float:
    content = json.loads(Path("out/measures.json").read_text())
    (value,) = (m["value"] for m in content["measures"] if m["name"] == name and set(m["by"]) <= {"site"})
    return float(value)


def test_jobs_that_may_not_stop_hold_the_site_above_its_cap(cli: Any, go: Any) -> None:
    kept = ("tasks: 3}", "tasks: 3, preemptible: false}")
    done, power, jobs = go(kept)
    # Inference stops, three trainings go on: (24 x 969 + 8 x 297) W x 1.25 + 1 kW, 8.04 kW above 25 kW.
    over_w = (24 * TRAIN_W + 8 * IDLE_W) * 1.25 + 1000 - 25_000
    assert over_w == 8040
    call = power.filter(pl.col("over_cap_s") > 0)
    assert call["over_cap_s"].sum() == 12 * 3600
    assert (call["peak_w"] - call["cap_w"]).unique().to_list() == [over_w]
    assert call["over_cap_j"].sum() == over_w * 12 * 3600
    assert measure("over_cap_mwh") == pytest.approx(over_w * 12 / 1e6)
    assert "warning P273" in done.err + done.out
    assert "no cap stops jobs of train" in done.err + done.out
    assert jobs["preemptions"].to_list() == [0, 0, 0, 1]
    held = cli("why", "out", "serve", "--at", "2026-01-07 06:00").out
    assert "lab draws 33.0 kW, 8.0 kW more than its cap of 25.0 kW; the job would add 3.4 kW" in held
    assert "8.0 kW more than its cap of 25.0 kW" in cli("why", "out", "serve").out


def test_a_site_that_slows_keeps_its_cap_and_says_by_how_much(cli: Any, go: Any) -> None:
    # 19,200 W IT: until 08:00 the steady 8 x 637 W leave 14,104 W for three trainings of 7,752 W: level 60,
    # speed 0.72. Then free GPUs leave 16,824 W: level 72, speed 0.8413. 8 h x 0.28 + 4 h x 0.1587 are lost.
    curve = ("    pue: 1.25", "    pue: 1.25\n    on_cap: slow\n    curve: [[0.4, 0.5], [0.7, 0.83], [1, 1]]")
    done, power, jobs = go(curve)
    assert "P273" not in done.err + done.out
    assert power["over_cap_s"].sum() == 0
    levels = (
        power.filter(pl.col("slowed_s") > 0).group_by("level").agg(pl.col("slowed_s").sum()).sort("level")
    )
    assert levels.rows() == [(0.6, 8 * 3600), (0.72, 4 * 3600)]
    assert jobs["slowed_s"].to_list() == [*[round(8 * 3600 * 0.28 + 4 * 3600 * 0.15867)] * 3, 0]
    assert measure("slowed_gpu_h") == pytest.approx(24 * 10349 / 3600)
    assert jobs["preemptions"].sum() == 0
    story = cli("why", "out", "train-1").out
    assert "longer, as the cap of lab's power slowed it (sites.lab.curtailments at plan.yaml:12" in story


def test_gpus_under_a_cap_run_longer_and_draw_less(cli: Any, go: Any) -> None:
    capped = ("    pue: 1.25", "    pue: 1.25\n    gpu_caps: {H100: 500 W}\n    curve: [[0.5, 0.6], [1, 1]]")
    _, power, jobs = go(capped, ("60 h", "6 h"))
    share = 1 - 200 / 1275
    speed = 0.6 + (share - 0.5) / 0.5 * 0.4
    assert jobs["run_s"].to_list()[0] == -int(-6 * 3600 // speed)
    drawn = int(TRAIN_W * share) * 24 * jobs["run_s"].to_list()[0]
    assert (
        power["jobs_j"].sum() == drawn + int(SERVE_W * share + 0.5 * share) * 8 * jobs["run_s"].to_list()[3]
    )
    assert (
        "longer, as caps of GPUs slow all jobs there (sites.lab.gpu_caps" in cli("why", "out", "train-1").out
    )


def test_where_queues_lend_a_cap_holds_back_and_nobody_yields_for_it(cli: Any, go: Any) -> None:
    # Under 25 kW one training runs (19.6 kW), and inference beside it (23.0 kW). Inference of queue b, within
    # its quota, would find power if a training gave way; nodes are free, and nobody is pushed out for power.
    lend = ("tenants: {a: {}, b: {}}", """cohorts: {all: {}}
tenants:
  a: {cohort: all, quota: {H100: 8}, preemption: {reclaim_within_cohort: any}}
  b: {cohort: all, quota: {H100: 24}, preemption: {reclaim_within_cohort: any}}""")  # fmt: skip
    call = ("from: 2026-01-07, ", "from: 2026-01-06, ")
    _, power, jobs = go(lend, call)
    noon = 2 * 86400 + 12 * 3600
    assert jobs["start_s"].to_list() == [86400, noon, noon, noon - 86400]
    assert jobs["preemptions"].sum() == 0
    assert jobs["wait_power_s"].to_list() == [0, 36 * 3600, 36 * 3600, 0]
    assert power["over_cap_s"].sum() == 0
    (tight,) = json.loads(cli("why", "out", "train-3", "--json").out)["power"]
    assert tight["cap_w"] - tight["drawn_w"] < tight["wants_w"] == 8 * (TRAIN_W - IDLE_W) * 1.25


def test_an_asked_job_is_of_its_own_kind_of_work(cli: Any, go: Any) -> None:
    go()
    asked = {"train": "queue: a\ngpus: 8", "serve": "queue: a\ngpus: 8\npower: inference"}
    found = {}
    for name, text in asked.items():
        Path("job.yaml").write_text(text + "\n")
        done = cli("admit", "-f", "job.yaml", "--plan", "plan.yaml", "--at", "2026-01-06 06:00", "--json")
        found[name] = json.loads(done.out)["power"][0]["wants_w"]
    assert found == {"train": 8 * (TRAIN_W - IDLE_W) * 1.25, "serve": 8 * (SERVE_W - IDLE_W) * 1.25}
    Path("job.yaml").write_text("queue: a\ngpus: 8\npower: infer\n")
    done = cli("admit", "-f", "job.yaml", "--plan", "plan.yaml", "--at", "2026-01-06 06:00")
    assert "`infer` is no kind of work of the plan" in done.err
