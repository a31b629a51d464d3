"""The jobs of a simulation up to a moment, and one that somebody asks about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from gpufleet.crowd import Crowd
from gpufleet.world.layout import RUNNING, Jobs


def outcomes(*ids: int) -> Any:
    every = np.full(len(ids), RUNNING)
    return SimpleNamespace(id=np.array(ids), state=every, cell=every, last_refusal=every, behind=every)


def test_jobs_that_end_before_it_comes_are_not_its_tasks() -> None:
    """Outcomes are handed out while batches are still made."""
    job: Any = SimpleNamespace(tasks=2, gpus=1, duration_s=5, limit_s=0, priority=0)
    none = np.zeros(3, np.int64)
    arrivals: Any = SimpleNamespace(batches=lambda: iter([Jobs(none, none, none, none, none, none)] * 2))
    crowd = Crowd(job, 0, 10)
    batches = crowd.batches(arrivals)
    next(batches)
    crowd.take(outcomes(0, 1))
    assert [len(batch.gpus) for batch in batches] == [3, 2]
    crowd.take(outcomes(2, 3, 4, 5, 6, 7))
    assert sorted(crowd.mine) == [6, 7]
