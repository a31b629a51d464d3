"""The first plan gives what it gave before. After a change that is meant, write the files anew::

GPUFLEET_WRITE_GOLDEN=1 python -m pytest tests/golden
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import ROOT

from gpufleet import load_plan, simulate

HERE = Path(__file__).resolve().parent
WRITE = os.environ.get("GPUFLEET_WRITE_GOLDEN") == "1"
COLUMNS = ("name", "start_s", "end_s", "state", "attempts", "last_refusal", "behind")


@pytest.mark.parametrize("scenario", [None, "no-backfill"])
def test_every_job(scenario: str | None) -> None:
    plan = load_plan(ROOT / "plans" / "one-cluster", scenarios=[scenario] if scenario else [])
    jobs = simulate(plan).jobs
    waits = [name for name in jobs.columns if name.startswith("root_")]
    found = jobs.select(*COLUMNS, *waits)
    path = HERE / f"one-cluster{'+' + scenario if scenario else ''}.csv"
    if WRITE:
        found.write_csv(path)
    expected = pl.read_csv(path, schema=found.schema)
    other = found.with_row_index().join(
        expected.with_row_index(), on=found.columns, how="anti", nulls_equal=True
    )
    assert other.rows() == []
    assert found.height == expected.height
