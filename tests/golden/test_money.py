"""Cash flow, depreciation, currency, budgets, energy of a square wave: as worked by hand, exactly."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from gpufleet.plan.load import load_plan
from gpufleet.results.run import Run
from gpufleet.study import simulate

HERE = Path(__file__).parent / "money"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return simulate(load_plan(HERE / "plan.yaml"), out=tmp_path_factory.mktemp("money") / "run")


def test_cash_flow_and_depreciation(run: Run) -> None:
    keys = ["flow", "item", "payer", "year"]
    rows = run.money.with_columns(year=pl.col("month").str.slice(0, 4)).filter(
        (pl.col("flow") != "written off") | (pl.col("item") != "hall")
    )
    found = {tuple(row[:-1]): row[-1] for row in rows.group_by(keys).agg(pl.col("home").sum()).rows()}
    with (HERE / "cash-flow.csv").open(encoding="utf-8") as file:
        worked = {tuple(row[key] for key in keys): int(row["home"]) for row in csv.DictReader(file)}
    assert found == worked


def test_budgets(run: Run) -> None:
    with (HERE / "budgets.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            line, year = row["line"], int(row["year"])
            found = run.funding.filter(pl.col("line") == line, pl.col("year") == year).row(0, named=True)
            wanted = {key: int(text) for key, text in row.items() if key not in ("line", "worked")}
            assert {key: found[key] for key in wanted} == wanted


def test_what_a_gpu_hour_costs(run: Run) -> None:
    """All that is written off, and all that runs, over 16 GPUs for 2 years and 16 for 511 days."""
    off = run.money.filter(pl.col("flow") == "written off")["home"].sum()
    running = ["energy", "people", "care", "space"]
    ran = run.money.filter(pl.col("flow") == "due", pl.col("item").is_in(running))["home"].sum()
    gpu_h = 16 * 730 * 24 + 16 * 511 * 24
    assert run.measure("cost_per_gpu_h", product="chip") == pytest.approx((off + ran) / gpu_h, rel=1e-11)


def test_energy_of_a_square_wave(tmp_path: Path) -> None:
    run = simulate(load_plan(HERE / "square-wave.yaml"), out=tmp_path / "run")
    assert run.measure("energy_mwh") == pytest.approx(0.336)
    assert run.money.select("item", "site", "month", "home").rows() == [("energy", "lab", "2026-01", 54_000)]
