"""A programme office asks where each lot is stuck, since when, and which line of the plan holds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

PLAN = """\
gpufleet: 1
name: chain
start: 2025-01-01
end: 2026-01-01
time_zone: Asia/Shanghai
sites: {hall: {power: 100 MW, pue: 1.3, country: CN}}
systems: {box: {product: H20, gpus_per_node: 8, node_power: 8 kW}}
licences: {first: {to: CN, products: H20, from: 2025-08-08, gpus: 496}}
milestones:
  tender: {kind: tender, at: 2025-04-01}
  grid: {kind: grid, after: tender, takes: 60 d, fails: 2, repeat_after: 30 d}
promises: {all: {for: lab, gpus: 1600, at: 2025-01-01, until: 2025-12-01}}
deliveries:
  - {name: early, to: hall, system: box, gpus: 400, at: 2025-03-01, for: lab, counts_toward: all}
  - {name: spring, to: hall, system: box, gpus: 800, at: 2025-05-01, for: lab, counts_toward: all}
  - {name: late, to: hall, system: box, gpus: 400, at: 2025-02-01, needs: {installed: grid}, for: lab,
     counts_toward: all}
tenants: {lab: {}}
"""


@pytest.fixture
def run(cli: Any, tmp_path: Path) -> Path:
    folder = tmp_path
    (folder / "plan.yaml").write_text(PLAN)
    done = cli("run", folder / "plan.yaml", "--out", folder / "run", "--quiet")
    assert done.code == 0, done
    return folder / "run"


def online(run: Path, lot: str) -> dict[str, int]:
    rows = pl.read_parquet(run / "supply.parquet").filter(lot=lot, step="online")
    return dict(rows.select("month", "gpus").iter_rows())


def test_law_lets_a_lot_go_in_parts(run: Path) -> None:
    """496 GPUs under the licence from 8 August, the rest when the practice of 11 August lets them go."""
    by_month = online(run, "spring")
    assert (by_month["2025-07"], by_month["2025-08"]) == (0, 800)
    assert online(run, "early")["2025-03"] == 400  # before the ban


def test_a_milestone_holds_what_has_arrived(run: Path) -> None:
    """1 April + 60 d + 2 x 30 d = 30 July."""
    by_month = online(run, "late")
    assert (by_month["2025-06"], by_month["2025-07"]) == (0, 400)
    short = pl.read_parquet(run / "shortage.parquet").filter(lot="late", month="2025-06")
    assert short.select("step", "stuck", "cause", "gpus", "place").rows() == [
        ("not_powered", "installed", "milestone grid", 400, "plan.yaml:11")
    ]


def test_what_is_missing_adds_up(run: Path) -> None:
    short = pl.read_parquet(run / "shortage.parquet").group_by("month").agg(pl.col("gpus").sum())
    supply = pl.read_parquet(run / "supply.parquet").filter(step="online").group_by("month")
    there = dict(supply.agg(pl.col("gpus").sum()).iter_rows())
    missing = dict(short.iter_rows())
    assert all(there[month] + missing.get(month, 0) == 1600 for month in there)


def test_why_tells_the_steps_of_a_lot(cli: Any, run: Path) -> None:
    said = cli("why", run, "late").out
    assert "2025-07-30  installed: waits for milestone grid  plan.yaml:11" in said
    found = json.loads(cli("why", run, "late", "--json").out)
    steps = {each["step"]: each for each in found["chain"]}
    assert (steps["installed"]["on"], steps["installed"]["cause"]) == ("2025-07-30", "milestone")
    assert found["held"] == []  # what is not installed asks for no power


def test_the_report_has_the_chain_and_what_holds_gpus_back(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert 'id="chain"' in page
    assert "waits for milestone grid" in page


def test_what_is_not_installed_does_not_lack_power(cli: Any, tmp_path: Path) -> None:
    """The grid step comes after the promise is due: 400 GPUs have arrived and are not installed."""
    text = PLAN.replace("until: 2025-12-01", "until: 2025-06-15").replace(
        "from: 2025-08-08", "from: 2025-05-01"
    )
    (tmp_path / "plan.yaml").write_text(text.replace("gpus: 496", "gpus: 800"))
    done = cli("run", tmp_path / "plan.yaml", "--out", tmp_path / "run", "--quiet")
    assert "largest shortage: 400 are not installed at hall (lab, plan.yaml:11)" in done.out
    assert "400 are not installed at hall" in cli("why", tmp_path / "run", "promises.all").out
