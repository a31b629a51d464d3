"""The plan philly-quarter against a published simulator: 10,650 real jobs, every start and every end.

FIFO and SJF are held against the schedules of the reference. It has none for SRTF; there, the plan is held
against `helios_srtf`, written from the reference's README.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from tests.against.helios_srtf import schedule
from tests.conftest import ROOT

from gpufleet import Run, load_plan, simulate

PLAN = ROOT / "plans" / "philly-quarter"
WEEK = "philly_2017-10-01_2017-10-07_quarter88nodes_{}.csv.gz"
LUCID = ((8, 40), (None, 60))
HELIOS_ARTIFACT = ((1, 7), (8, 30), (None, 60))
Bands = Sequence[tuple[int | None, int]]  # up to so many GPUs, so many seconds per restart


@pytest.fixture
def run(data: Callable[..., Path]) -> Callable[..., Run]:
    """Simulate the plan with some settings changed."""
    folder = data("traces", "reference-helios-sim")
    log = folder / WEEK.format("fifo")

    def simulated(
        *sets: str,
        trace: Path = log,
        nodes: Path = folder / "vc_nodes_quarter.csv",
    ) -> Run:
        files = (f"files.trace={trace}", f"files.nodes={nodes}")
        return simulate(load_plan(PLAN, sets=[*files, *sets]))

    return simulated


@pytest.mark.parametrize("order", ["fifo", "sjf"])
def test_every_start_and_end(order: str, run: Callable[..., Run], data: Callable[..., Path]) -> None:
    log = data("traces", "reference-helios-sim") / WEEK.format(order)
    jobs = run(f"policy.order={order}", trace=log).jobs
    other = (pl.col("start_s") != pl.col("recorded_start_s")) | (pl.col("end_s") != pl.col("recorded_end_s"))
    assert jobs.height == 10_650
    assert jobs.filter(other.fill_null(True)).select("name", "start_s", "recorded_start_s").rows() == []


def test_sjf_from_the_job_log_itself(run: Callable[..., Run], data: Callable[..., Path]) -> None:
    """The jobs as Philly recorded them, not as the reference wrote them down again.

    Rows of one second stand in another order there. That decides who goes first by FIFO, but not by SJF:
    which of two jobs of one cluster, second, size and length is which makes no difference.
    """
    log = data("traces", "philly-2017") / "philly_jobs_2017-09_to_2017-10.csv.gz"
    first = "2017-10-01 00:00:45"  # second 0 of the reference: the first job
    window = (f"start={first}", "workloads.jobs.from=2017-10-01", "workloads.jobs.to=2017-10-08")
    jobs = run(*window, "policy.order=sjf", trace=log).jobs
    reference = pl.read_csv(
        data("traces", "reference-helios-sim") / WEEK.format("sjf"), schema_overrides={"vc": pl.String}
    )
    theirs = reference.select("vc", "submit_s", "gpu_num", "duration_s", "start_s", "end_s").sort(pl.all())
    ours = jobs.select("queue", "submit_s", "gpus", "work_s", "start_s", "end_s").sort(pl.all())
    assert ours.rows() == theirs.rows()


def as_setting(bands: Bands) -> str:
    bound = (f"gpus_up_to: {gpus}, " if gpus else "" for gpus, _ in bands)
    return f"[{', '.join(f'{{{b}add: {s} s}}' for b, (_, s) in zip(bound, bands, strict=True))}]"


def srtf_settings(bands: Bands) -> tuple[str, ...]:
    """As README.md of the plan tells."""
    return (
        "policy.order=srtf",
        "policy.select=count",
        "policy.strict=false",
        "policy.finish_lag=1 s",
        f"policy.restart_overhead={as_setting(bands)}",
    )


def ticked(jobs: pl.DataFrame, n_nodes: int, bands: Bands) -> pl.DataFrame:
    """The jobs of one cluster, scheduled second by second."""
    overhead = [next(s for bound, s in bands if bound is None or g <= bound) for g in jobs["gpus"]]
    columns = (jobs[name].to_numpy() for name in ("submit_s", "gpus", "work_s"))
    done = schedule(*columns, n_nodes, overhead)
    names = ("start_s", "end_s", "wait_s", "preemptions")
    return jobs.select("job").with_columns(
        *(pl.Series(name, column) for name, column in zip(names, done, strict=True))
    )


def differs(jobs: pl.DataFrame, nodes: dict[str, int], bands: Bands) -> list[tuple[object, ...]]:
    """Jobs to which the plan and the ticking clock do not give the same start, end, wait, preemptions."""
    clusters = jobs.group_by("queue", maintain_order=True)
    parts = [ticked(mine, nodes[str(vc)], bands) for (vc,), mine in clusters]
    names = ("start_s", "end_s", "wait_s", "preemptions")
    both = jobs.join(pl.concat(parts), on="job", suffix="_ticked", validate="1:1")
    assert both.height == jobs.height
    same = [pl.col(name).eq_missing(pl.col(f"{name}_ticked")) for name in names]
    return (
        both.filter(~pl.all_horizontal(same)).select("name", *names, *(f"{n}_ticked" for n in names)).rows()
    )


def quarter(folder: Path) -> dict[str, int]:
    frame = pl.read_csv(folder / "vc_nodes_quarter.csv", schema_overrides={"vc": pl.String})
    return dict(frame.select("vc", "node num").iter_rows())


@pytest.mark.parametrize("bands", [LUCID, HELIOS_ARTIFACT], ids=["lucid", "helios-artifact"])
def test_srtf_second_by_second(bands: Bands, run: Callable[..., Run], data: Callable[..., Path]) -> None:
    jobs = run(*srtf_settings(bands)).jobs
    assert jobs["preemptions"].sum() > 2_000
    assert differs(jobs, quarter(data("traces", "reference-helios-sim")), bands) == []


def test_srtf_of_another_month_on_another_size(
    run: Callable[..., Run], data: Callable[..., Path], tmp_path: Path
) -> None:
    nodes = {vc: 2 * n for vc, n in quarter(data("traces", "reference-helios-sim")).items()}
    table = tmp_path / "nodes.csv"
    table.write_text("vc,node num\n" + "".join(f"{vc},{n}\n" for vc, n in nodes.items()))
    log = data("traces", "philly-2017") / "philly_jobs_2017-09_to_2017-10.csv.gz"
    window = ("start=2017-09-24", "workloads.jobs.from=2017-09-24", "workloads.jobs.to=2017-10-01")
    jobs = run(*window, *srtf_settings(LUCID), trace=log, nodes=table).jobs
    assert jobs.height > 1_000
    assert jobs["preemptions"].sum() > 0
    assert differs(jobs, nodes, LUCID) == []
