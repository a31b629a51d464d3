"""Strict first come, first served, on a real log: AccaSim 1.1.3, 20,000 jobs, 128 processors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from gpufleet import Run


def test_every_start_and_end(data: Callable[..., Path], run_sp2: Callable[[Path, str], Run]) -> None:
    folder = data("traces", "reference-accasim-sdsc")
    jobs = run_sp2(folder / "sdsc-sp2_first20000_accasim_fifo.csv.gz", "none").jobs
    other = (pl.col("start_s") != pl.col("recorded_start_s")) | (pl.col("end_s") != pl.col("recorded_end_s"))
    assert jobs.height == 20_000
    assert jobs.filter(other.fill_null(True)).select("name", "start_s", "recorded_start_s").rows() == []
