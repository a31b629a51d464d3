"""A broken-off run with shared quotas goes on with its preemptions and its books of borrowing."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from streamed import small_steps

from gpufleet.engine.run import Summary
from gpufleet.plan.load import load_plan
from gpufleet.results.checkpoint import Checkpoint
from gpufleet.results.folder import JOBS
from gpufleet.stream import Watcher, simulate_jobs
from gpufleet.world.build import build

PLAN = """
gpufleet: 1
name: shared
start: 2026-01-05
end: 2026-01-08
after_end: finish
files: {trace: jobs.csv}
systems: {box: {product: chip, gpus_per_node: 4}}
sites: {lab: {}}
deliveries: [{name: x, to: lab, system: box, gpus: 24, at: 2026-01-05}]
cohorts: {all: {}}
tenants:
  a: {cohort: all, quota: {chip: 12}, preemption: {reclaim_within_cohort: any}}
  b: {cohort: all, quota: {chip: 12}, preemption: {reclaim_within_cohort: any}}
workloads: {day: {kind: trace, file: trace, checkpoint: 20 min}}
policy: {strict: false}
"""
PART_ROWS = 7


@pytest.fixture
def shared(tmp_path: Path) -> Any:
    random = Random(3)
    rows = ["job,submit_s,gpus,duration_s,queue"]
    for i, at in enumerate(sorted(random.randrange(86400) for _ in range(60))):
        rows.append(
            f"j{i},{at},{random.choice([1, 2, 4, 8])},{random.randrange(600, 20_000)},{random.choice('aab')}"
        )
    (tmp_path / "jobs.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "plan.yaml").write_text(PLAN)
    return build(load_plan(tmp_path / "plan.yaml"))


def stream(table: Path, of: Any, watcher: Watcher | None = None) -> Summary:
    return simulate_jobs(table, of, "same", watcher=watcher, part_rows=PART_ROWS)


@pytest.mark.parametrize("stop_at", [14, 30, 45])
def test_goes_on_with_its_preemptions(tmp_path: Path, shared: Any, stop_at: int) -> None:
    resumed: list[Checkpoint] = []

    def stop(rows: int) -> None:
        if rows >= stop_at:
            raise KeyboardInterrupt

    with small_steps():
        (tmp_path / "whole").mkdir()
        (tmp_path / "broken").mkdir()
        whole = stream(tmp_path / "whole" / JOBS, shared)
        assert len(whole.preemptions) > 5
        with pytest.raises(KeyboardInterrupt):
            stream(tmp_path / "broken" / JOBS, shared, Watcher(stop))
        again = stream(tmp_path / "broken" / JOBS, shared, Watcher(resumed=resumed.append))
    assert resumed
    assert np.array_equal(again.preemptions, whole.preemptions)
    assert all(np.array_equal(a, b) for a, b in zip(again.tallies, whole.tallies, strict=True))
