"""The jobs of a simulation up to a moment, and one that somebody asks about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gpufleet.results.limits_now import Holding
from gpufleet.world.layout import RUNNING, WAITING, Jobs, Outcomes

if TYPE_CHECKING:
    from gpufleet.plan.asked_job import AskedJob
    from gpufleet.world.arrivals import Arrivals
    from gpufleet.world.layout import World

NOT_YET: Final = 1 << 62
"""The number of the job before all others have come."""


class Waits(NamedTuple):
    """How a job waits."""

    refusal: int  # code of REFUSALS
    behind: int  # number of the job that it stands behind, -1 = none


class Past:
    """All jobs up to a second, and how those that are not over stand then."""

    def __init__(self, t_s: int) -> None:
        self.t_s = t_s
        self.running: dict[int, int] = {}  # cell, by number
        self.waiting: dict[int, Waits] = {}  # by number
        self._cls, self._gpus = [], []  # type: list[Any], list[Any]

    def batches(self, arrivals: Arrivals) -> Iterator[Jobs]:
        """The jobs; later ones are not made."""
        for batch in arrivals.batches():
            kept = int(np.searchsorted(batch.submit_s, self.t_s, side="right"))
            yield self._noted(Jobs._make(column[:kept] for column in batch))
            if kept < len(batch.gpus):
                return

    def _noted(self, batch: Jobs) -> Jobs:
        self._cls.append(batch.cls)
        self._gpus.append(batch.gpus)
        return batch

    def take(self, outcomes: Outcomes) -> None:
        """Note who runs and who waits at the end."""
        runs = np.flatnonzero(outcomes.state == RUNNING)
        self.running |= dict(zip(outcomes.id[runs].tolist(), outcomes.cell[runs].tolist(), strict=True))
        waits = np.flatnonzero(outcomes.state == WAITING)
        columns = (getattr(outcomes, name)[waits].tolist() for name in ("id", "last_refusal", "behind"))
        self.waiting |= {number: Waits(*how) for number, *how in zip(*columns, strict=True)}

    def holdings(self, world: World, below: int = NOT_YET) -> list[Holding]:
        """What runs, of jobs whose number is below some."""
        product = world.cells.product
        return [
            Holding(self.cls_of(number), int(product[cell]), self.gpus_of(number), cell)
            for number, cell in self.running.items()
            if number < below
        ]

    def cls_of(self, number: int) -> int:
        """The class of a job, by its number."""
        return self._find(self._cls, number)

    def queue_of(self, world: World, number: int) -> int:
        """The queue of a job, by its number."""
        return int(world.classes.queue[self.cls_of(number)])

    def gpus_of(self, number: int) -> int:
        """The GPUs of a job, by its number."""
        return self._find(self._gpus, number)

    def _find(self, parts: list[Any], number: int) -> int:
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return int(parts[0][number])


class Crowd(Past):
    """All jobs up to a second with one more, or an array, at the end; what became of those that matter."""

    def __init__(self, job: AskedJob, cls: int, t_s: int) -> None:
        super().__init__(t_s)
        self.job, self.number = job, NOT_YET
        self.mine: dict[int, dict[str, int]] = {}  # what became of each of its tasks, by number
        self._one = Jobs(
            submit_s=np.full(job.tasks, t_s, np.int64),
            gpus=np.full(job.tasks, job.gpus, np.int32),
            work_s=np.full(job.tasks, job.duration_s, np.float64),
            cls=np.full(job.tasks, cls, np.int32),
            limit_s=np.full(job.tasks, job.limit_s, np.int64),
            priority=np.full(job.tasks, job.priority, np.int32),
        )

    def batches(self, arrivals: Arrivals) -> Iterator[Jobs]:
        """The jobs, and the one that is asked about."""
        yield from super().batches(arrivals)
        self.number = sum(map(len, self._gpus))
        yield self._noted(self._one)

    def take(self, outcomes: Outcomes) -> None:
        """Note the job's outcome, and who runs at the end."""
        super().take(outcomes)
        for at in np.flatnonzero(outcomes.id >= self.number).tolist():
            names = ("state", "cell", "last_refusal")
            self.mine[int(outcomes.id[at])] = {name: int(getattr(outcomes, name)[at]) for name in names}
