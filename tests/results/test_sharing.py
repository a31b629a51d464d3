"""What queues owned, used, borrowed, lent and lost: the tables, their sums, and what is said of a job."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest

from gpufleet.base.language import speaking
from gpufleet.engine.run import simulate as run_engine
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.report import preempted
from gpufleet.report.view import View
from gpufleet.results.facts import Facts, Seen
from gpufleet.results.holdings import holdings_at
from gpufleet.results.quota_ledger import Books
from gpufleet.results.run import Run
from gpufleet.results.timeline import bin_edges
from gpufleet.study import simulate
from gpufleet.world.build import build
from gpufleet.world.layout import Tallies
from gpufleet.world.names import Names

PLAN = """
gpufleet: 1
name: shared
start: 2026-01-05
end: 2026-01-08
files: {trace: jobs.csv}
systems:
  rack: {product: chip, gpus_per_node: 4}
  box: {product: card, gpus_per_node: 4}
sites: {lab: {}}
deliveries:
  - {name: x, to: lab, system: rack, gpus: 48, at: 2026-01-05}
  - {name: y, to: lab, system: box, gpus: 24, at: 2026-01-05}
retirements:
  - {from: lab, system: box, gpus: 4, at: 2026-01-06T06:00, mode: kill}
  - {from: lab, system: rack, gpus: 8, at: 2026-01-06T12:00, mode: kill}
cohorts:
  all: {quota: {chip: 8}}
  inner: {in: all, quota: {chip: {nominal: 4, lending_limit: 2}}}
tenants:
  a:
    cohort: inner
    quota: {chip: {nominal: 12, lending_limit: 6}, card: 8}
    preemption: {reclaim_within_cohort: any, within_queue: lower-priority}
  b:
    cohort: inner
    quota: {chip: [{from: 2026-01-05, value: 12}, {from: 2026-01-06, value: 4}], card: 8}
    preemption: {reclaim_within_cohort: any}
  c:
    cohort: all
    quota: {chip: 12, card: {nominal: 8, borrowing_limit: 4}}
    preemption: {reclaim_within_cohort: any}
  d: {quota: {card: 4}}
workloads:
  day: {kind: trace, file: trace, checkpoint: 20 min, restart: 5 min, products: {chip: 1.0, card: 1.0}}
policy:
  order: priority
  strict: false
  sharing: {fair: true, evict_falling_quota: true}
"""


def write_plan(folder: Path, seed: int = 5, n: int = 150) -> Plan:
    random = Random(seed)
    rows = ["job,submit_s,gpus,duration_s,queue,user,priority"]
    submits = sorted(random.randrange(2 * 86400) for _ in range(n))
    for i, at in enumerate(submits):
        gpus, run_s = random.choice([1, 2, 4, 8, 12]), random.randrange(600, 6 * 3600)
        rows.append(f"j{i},{at},{gpus},{run_s},{random.choice('aabbccd')},u,{random.randrange(3)}")
    (folder / "jobs.csv").write_text("\n".join(rows) + "\n")
    (folder / "plan.yaml").write_text(PLAN)
    return load_plan(folder / "plan.yaml")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return write_plan(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def run(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return simulate(plan, out=tmp_path_factory.mktemp("runs") / "shared")


def test_the_plan_shows_something(run: Run) -> None:
    rules = set(run.preemptions["rule"])
    assert {"InCohortReclamation", "QuotaFell", "NodeKilled"} <= rules
    assert run.preemptions.group_by("victim").len()["len"].max() >= 2
    assert run.preemptions["product"].null_count() == 0
    assert run.preemptions.filter(pl.col("start_s") > pl.col("t_s")).is_empty()


def test_each_attempt_that_was_cut_short_has_a_row(run: Run) -> None:
    counted = run.preemptions.group_by("victim").agg(rows=pl.len())
    jobs = run.jobs.join(counted, left_on="job", right_on="victim", how="left")
    assert jobs.filter(pl.col("rows").fill_null(0) != pl.col("preemptions")).is_empty()
    killed = run.preemptions.filter(pl.col("rule") == "NodeKilled")
    assert killed["preemptor"].null_count() == killed["by_queue"].null_count() == killed.height


def test_who_takes_to_and_fro_is_counted(run: Run) -> None:
    """Each preemption that follows one in the other direction within a day, found by looking at all pairs."""
    rows = run.preemptions.drop_nulls("by_queue").rows(named=True)

    def answers(row: dict[str, Any]) -> bool:
        return any(
            (other["queue"], other["by_queue"]) == (row["by_queue"], row["queue"])
            and other["product"] == row["product"]
            and 0 < row["t_s"] - other["t_s"] <= 86_400
            for other in rows
        )

    found = [row for row in rows if row["queue"] != row["by_queue"] and answers(row)]
    assert found
    pairs = Counter(tuple(sorted((row["queue"], row["by_queue"]))) for row in found)
    assert run.measure("to_and_fro") == len(found)
    for (one, other), n in pairs.items():
        assert run.measure("to_and_fro", queue=one, other_queue=other) == n
    lost = sum(row["lost_gpu_s"] for row in found) / 3600
    assert run.measure("to_and_fro_lost_gpu_h") == pytest.approx(lost)


def test_a_bound_ends_it_and_is_told(plan: Plan, tmp_path: Path) -> None:
    bounded = load_plan(plan.root / "plan.yaml", sets=["policy.sharing.preemptions_at_most=1"])
    done = simulate(bounded, out=tmp_path / "run")
    pushed = done.preemptions.filter(pl.col("rule") != "NodeKilled")
    assert pushed.height
    assert pushed["victim"].is_unique().all()
    assert done.measure("bounded_jobs") == pushed.height
    with speaking("en"):
        told = [str(line) for line in preempted.to_and_fro(View(done))]
    assert any(f"{pushed.height:,} jobs were preempted as often as" in line for line in told)


def test_what_is_lent_is_what_is_borrowed(run: Run) -> None:
    quotas = run.quotas
    sums = quotas.group_by("t_s", "product").agg(
        lent=pl.col("lent_gpu_h").sum(),
        borrowed=pl.col("borrowed_gpu_h").filter(pl.col("kind") == "queue", pl.col("name") != "d").sum(),
        beyond=pl.col("borrowed_gpu_h").filter(pl.col("name") == "all").sum(),
    )
    assert sums["lent"].sum() > 0
    odd = sums.filter((pl.col("lent") + pl.col("beyond") - pl.col("borrowed")).abs() > 1e-9)
    assert odd.is_empty(), odd


def test_nobody_lends_more_than_it_has_to_spare(run: Run) -> None:
    own = pl.col("nominal_gpu_h") - (pl.col("used_gpu_h") - pl.col("borrowed_gpu_h"))
    queues = run.quotas.filter(pl.col("kind") == "queue", pl.col("nominal_gpu_h").is_not_null())
    assert queues.filter(pl.col("lent_gpu_h") > own + 1e-9).is_empty()
    limited = run.quotas.filter(pl.col("name") == "a", pl.col("product") == "chip")
    assert limited["lent_gpu_h"].max() <= 6 * run.grid_s / 3600 + 1e-9


def test_used_is_what_the_timeline_says(run: Run) -> None:
    busy = (
        run.timeline.filter(pl.col("kind") == "busy")
        .group_by("t_s", "queue", "product")
        .agg(busy=pl.col("gpu_s").sum() / 3600)
    )
    used = run.quotas.filter(pl.col("kind") == "queue", pl.col("used_gpu_h") > 0)
    both = busy.join(
        used, left_on=["t_s", "queue", "product"], right_on=["t_s", "name", "product"], how="full"
    )
    assert both.filter((pl.col("busy") - pl.col("used_gpu_h")).abs().fill_null(1) > 1e-9).is_empty()
    top = run.quotas.filter(pl.col("name") == "all")["used_gpu_h"].sum()
    below = run.quotas.filter(pl.col("name").is_in(["a", "b", "c"]))["used_gpu_h"].sum()
    assert top == pytest.approx(below)


def test_quotas_change_when_the_plan_says(run: Run) -> None:
    b = run.quotas.filter(pl.col("name") == "b", pl.col("product") == "chip").sort("t_s")
    gpus = (b["nominal_gpu_h"] * 3600 / run.grid_s).round(6)
    assert gpus[0] == 12
    assert gpus[-1] == 4
    alone = run.quotas.filter(pl.col("name") == "d", pl.col("product") == "chip")
    assert alone["nominal_gpu_h"].null_count() == alone.height  # no limit


def test_what_is_taken_is_taken_from_somebody(run: Run) -> None:
    known = run.preemptions.filter(pl.col("rule") != "NodeKilled")
    assert 0 < known.height < run.preemptions.height
    queues = run.quotas.filter(pl.col("kind") == "queue")
    assert queues["taken_from_gpus"].sum() == known["gpus"].sum()
    assert queues["taken_by_gpus"].sum() == known.drop_nulls("preemptor")["gpus"].sum()
    assert queues["taken_from_gpu_h"].sum() == pytest.approx(known["lost_gpu_s"].sum() / 3600)


def test_measures_are_sums_of_the_tables(run: Run) -> None:
    assert run.measure("lost_gpu_h") == pytest.approx(run.preemptions["lost_gpu_s"].sum() / 3600)
    assert run.measure("preemptions") == run.preemptions.height
    rules = {name: run.measure("preemptions", rule=name) for name in set(run.preemptions["rule"])}
    assert sum(rules.values()) == run.preemptions.height
    within = run.quotas.filter(pl.col("kind") == "queue", pl.col("t_s") < run.counted_s)
    for name in ("borrowed_gpu_h", "lent_gpu_h"):
        tenants = [run.measure(name, tenant=tenant) or 0.0 for tenant in "abcd"]
        assert sum(tenants) == pytest.approx(within[name].sum()) == pytest.approx(run.measure(name))
    pushed = run.preemptions.filter(pl.col("rule") != "NodeKilled")
    counts = pushed.group_by("victim").len()["len"]
    killed = run.preemptions.filter(pl.col("rule") == "NodeKilled")
    assert run.measure("lost_gpu_h", rule="NodeKilled") == pytest.approx(killed["lost_gpu_s"].sum() / 3600)
    assert run.measure("taken_gpu_h", queue="a") == pytest.approx(
        pushed.filter(pl.col("by_queue") == "a")["lost_gpu_s"].sum() / 3600
    )
    assert run.measure("most_preemptions") == counts.max()
    assert run.measure("often_preempted_jobs") == (counts >= 3).sum()


def test_who_lost_a_node_was_not_pushed_out_by_anybody(run: Run) -> None:
    rows = run.preemptions
    killed = rows.filter(pl.col("rule") == "NodeKilled")
    others = rows.filter(pl.col("rule") != "NodeKilled")
    victims = Facts(run, Seen(run.grid_s, run.end_s, runs_on=False)).victims
    assert victims["n"].sum() == others.height == rows.height - killed.height
    assert victims["lost_gpu_s"].sum() == others["lost_gpu_s"].sum()
    assert killed["lost_gpu_s"].sum() > 0


def test_lending_inside_a_cohort_comes_first(plan: Plan) -> None:
    """By hand: a uses 4 of 12 (lends 6 of the 8 unused), b 24 of its 12, nobody else anything."""
    built = build(plan)
    world, grid = built.world, built.world.clock.grid_s
    edges = bin_edges(world, 0)
    n = len(edges) - 1
    busy, borrowing = np.zeros((4, 2, n), np.int64), np.zeros((6, 2, n), np.int64)
    busy[0, 0, 0], busy[1, 0, 0] = 4 * grid, 24 * grid
    borrowing[3, 0, 0] = 12 * grid  # b: 12 beyond its own
    borrowing[1, 0, 0] = 2 * grid  # inner: 12 - 6 of a - 4 of its own
    books = Books(
        world,
        Tallies(busy, np.zeros((4, 12, n), np.int64), borrowing, np.zeros((1, 7, n), np.int64)),
        edges,
        0,
    )
    names = ("all", "inner", "a", "b", "c", "d")
    lent = {name: books.lent[row, 0] / grid for row, name in enumerate(names)}
    # of the 12 that b borrows, a and inner give all they lend (6 and 4); 2 of all's 8 and c's 12
    assert lent == pytest.approx({"all": 0.8, "inner": 4.0, "a": 6.0, "b": 0.0, "c": 1.2, "d": 0.0})


def test_the_same_plan_gives_the_same_bytes(run: Run, plan: Plan, tmp_path: Path) -> None:
    again = simulate(plan, out=tmp_path / "again")
    for name in ("preemptions.parquet", "quotas.parquet", "measures.json"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes()


@pytest.mark.parametrize(
    "t_s", [0, 3600, 40_000, 86_400, 100_000, 107_999, 108_000, 129_600, 130_000, 170_000]
)
def test_holdings_are_those_of_a_run_that_stops_there(run: Run, plan: Plan, t_s: int) -> None:
    built = build(plan)
    clock = built.world.clock._replace(end_s=t_s + 1, finish=0)
    names = Names.of(plan)
    jobs = built.demand.jobs()
    stopped = run_engine(built.world._replace(clock=clock), jobs).outcomes
    held: dict[tuple[str, str], int] = {}
    running = np.flatnonzero(stopped.state == 3)
    for i in stopped.id[running].tolist():
        at = int(np.flatnonzero(stopped.id == i)[0])
        queue = names.queues[built.world.classes.queue[jobs.cls[i]]]
        product = names.products[built.world.cells.product[stopped.cell[at]]]
        held[queue, product] = held.get((queue, product), 0) + int(jobs.gpus[i])
    assert holdings_at(run, t_s) == held


def test_why_says_the_numbers_of_the_moment(run: Run) -> None:
    waited = run.jobs.filter(pl.col("last_refusal") == "cohort", pl.col("queue") == "a").row(0, named=True)
    why = run.why(waited["job"])
    with speaking("en"):
        text = why.text()
    chip = next(each for each in why.quotas if each.product == "chip")
    assert chip.own == 12
    assert [cohort.name for cohort in chip.cohorts] == ["inner", "all"]
    assert f"a may use {max(0, chip.more):,} more chip: it holds {chip.used:,}, and 12 are its own" in text
    lines = {line["path"] for part in why.to_json()["waits"] for line in part["lines"]}
    assert "tenants.a.quota.chip" in lines
    assert "cohorts.inner" in lines


def test_why_tells_who_took_its_gpus_and_whose_it_took(run: Run) -> None:
    row = run.preemptions.filter(pl.col("rule") == "InCohortReclamation").row(0, named=True)
    with speaking("en"):
        victim, by = (run.why(row[side]).text() for side in ("victim", "preemptor"))
    assert f"went to job {row['preemptor']} of {row['by_queue']}" in victim
    assert "InCohortReclamation; tenants." in victim
    assert "preemption.reclaim_within_cohort at plan.yaml:" in victim
    assert f"GPUs from job {row['victim']} of {row['queue']}" in by
    fell = run.preemptions.filter(pl.col("rule") == "QuotaFell").row(0, named=True)
    with speaking("en"):
        assert (
            "its 4 GPUs were taken" in (text := run.why(fell["victim"]).text()) or "GPUs were taken" in text
        )


def test_why_names_the_retirement_that_took_its_node(run: Run) -> None:
    killed = run.preemptions.filter(pl.col("rule") == "NodeKilled")
    with speaking("en"):
        for row in killed.iter_rows(named=True):
            at = {"card": 0, "chip": 1}[row["product"]]
            text = run.why(row["victim"]).text()
            assert f"its {row['gpus']:,} GPUs were taken: its node was taken away" in text
            assert f"(NodeKilled; retirements.{at} at plan.yaml:{15 + at})" in text


def test_never_by_topology_is_told_with_its_line(tmp_path: Path) -> None:
    write_plan(tmp_path, n=12)
    wish = PLAN.replace("restart: 5 min,", "restart: 5 min, topology: {required: node},")
    (tmp_path / "plan.yaml").write_text(wish)
    done = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    refused = done.jobs.filter(pl.col("state") == "refused", pl.col("last_refusal") == "topology")
    row = refused.filter(pl.col("gpus") == 8).row(0, named=True)
    with speaking("en"):
        text = done.why(row["job"]).text()
    assert "can never run: it wants 8 GPUs; no part of the fleet that it requires is large enough" in text
    assert "workloads.day.topology at plan.yaml:" in text


def test_quotas_of_cohorts_are_inputs_of_the_run(run: Run) -> None:
    inputs = {entry["name"]: entry for entry in run.ledger["entries"]}
    assert inputs["cohorts.all.quota.chip"]["value"] == 8
    assert inputs["cohorts.inner.quota.chip"]["value"] == 4
    assert inputs["tenants.a.quota.chip"]["value"] == 12
