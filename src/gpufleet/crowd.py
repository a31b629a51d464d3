"""The jobs of a simulation up to a moment, and one that somebody asks about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gpufleet.results.limits_now import Holding
from gpufleet.world.layout import RUNNING, Jobs, Outcomes

if TYPE_CHECKING:
    from gpufleet.plan.asked_job import AskedJob
    from gpufleet.world.arrivals import Arrivals
    from gpufleet.world.layout import World

NOT_YET: Final = 1 << 62
"""The number of the job before all others have come."""


class Crowd:
    """All jobs up to a second with one more, or an array, at the end; what became of those that matter."""

    def __init__(self, job: AskedJob, cls: int, t_s: int) -> None:
        self.job, self.t_s, self.number = job, t_s, NOT_YET
        self.mine: dict[int, dict[str, int]] = {}  # what became of each of its tasks, by number
        self.running: dict[int, int] = {}  # cell, by number
        self._cls, self._gpus = [], []  # type: list[Any], list[Any]
        self._one = Jobs(
            submit_s=np.full(job.tasks, t_s, np.int64),
            gpus=np.full(job.tasks, job.gpus, np.int32),
            work_s=np.full(job.tasks, job.duration_s, np.float64),
            cls=np.full(job.tasks, cls, np.int32),
            limit_s=np.full(job.tasks, job.limit_s, np.int64),
            priority=np.full(job.tasks, job.priority, np.int32),
        )

    def batches(self, arrivals: Arrivals) -> Iterator[Jobs]:
        """The jobs; later ones are not made."""
        n = 0
        for batch in arrivals.batches():
            kept = int(np.searchsorted(batch.submit_s, self.t_s, side="right"))
            n += kept
            yield self._noted(Jobs._make(column[:kept] for column in batch))
            if kept < len(batch.gpus):
                break
        self.number = n
        yield self._noted(self._one)

    def _noted(self, batch: Jobs) -> Jobs:
        self._cls.append(batch.cls)
        self._gpus.append(batch.gpus)
        return batch

    def take(self, outcomes: Outcomes) -> None:
        """Note the job's outcome, and who runs at the end."""
        runs = np.flatnonzero(outcomes.state == RUNNING)
        self.running |= dict(zip(outcomes.id[runs].tolist(), outcomes.cell[runs].tolist(), strict=True))
        for at in np.flatnonzero(outcomes.id >= self.number).tolist():
            names = ("state", "cell", "last_refusal")
            self.mine[int(outcomes.id[at])] = {name: int(getattr(outcomes, name)[at]) for name in names}

    def holdings(self, world: World) -> list[Holding]:
        """What runs beside the job."""
        product = world.cells.product
        return [
            Holding(self._find(self._cls, number), int(product[cell]), self.gpus_of(number))
            for number, cell in self.running.items()
            if number < self.number
        ]

    def queue_of(self, world: World, number: int) -> int:
        """The queue of a job, by its number."""
        return int(world.classes.queue[self._find(self._cls, number)])

    def gpus_of(self, number: int) -> int:
        """The GPUs of a job, by its number."""
        return self._find(self._gpus, number)

    def _find(self, parts: list[Any], number: int) -> int:
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return int(parts[0][number])
