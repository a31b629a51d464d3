"""Measures of how the free GPUs lie together."""

from __future__ import annotations

import polars as pl

from gpufleet.results.facts import Facts
from gpufleet.results.measures import Rows, measure


@measure(
    "fragmentation",
    "1",
    "1 - sum of whole_gpus / sum of free_gpus of fragmentation.parquet, by level, over the bins that begin "
    "within the same time as busy_gpu_h; only where GPUs were free at the end of some bin",
    needs=("fragmentation.whole_gpus", "fragmentation.free_gpus"),
)
def fragmentation(facts: Facts) -> Rows:
    """Share of the free GPUs that no job of the size of a whole node, domain or block could use."""
    within = facts.run.fragmentation.filter(pl.col("t_s") < facts.until_s)
    sums = within.group_by("level", maintain_order=True).agg(pl.col("free_gpus", "whole_gpus").sum())
    for level, free, whole in sums.iter_rows():
        if free:
            yield {"level": level}, 1 - whole / free
