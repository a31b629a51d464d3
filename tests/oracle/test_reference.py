"""The oracle against schedules that a public simulator made: strict FIFO and SJF on the small Philly VCs."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from tests.oracle.by_hand import jobs, make
from tests.oracle.oracle import simulate

from gpufleet.world.layout import CONSOLIDATE, FIFO, SJF

VCS = ("103959", "2869ce", "7f04ca", "ed69ec", "ee9e8c", "6c71a0")


@pytest.mark.parametrize("vc", VCS)
@pytest.mark.parametrize(("name", "order"), [("fifo", FIFO), ("sjf", SJF)])
def test_starts_and_ends_are_those_of_the_reference(shared: Path, name: str, order: int, vc: str) -> None:
    folder = shared / "data" / "traces" / "reference-helios-sim"
    if not folder.is_dir():
        pytest.skip(f"needs third-party data: {folder} is not there")
    with (folder / "vc_nodes_quarter.csv").open() as file:
        n_nodes = next(int(row["node num"]) for row in csv.DictReader(file) if row["vc"] == vc)
    path = folder / f"philly_2017-10-01_2017-10-07_quarter88nodes_{name}.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["vc"] == vc]
    rows.sort(key=lambda row: int(row["order_in_vc"]))
    world = make([[8] * n_nodes], order=order, placement=CONSOLIDATE, clock=(7 * 86_400, 1, 3600))
    result = simulate(
        world, jobs(*((int(r["submit_s"]), int(r["gpu_num"]), int(r["duration_s"])) for r in rows))
    )
    assert result.outcomes.start_s.tolist() == [int(row["start_s"]) for row in rows]
    assert result.outcomes.end_s.tolist() == [int(row["end_s"]) for row in rows]
