"""Dependencies between workloads, and between the phases of a training, as gates of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpufleet.plan.training import ABLATIONS, TrainingWorkload
from gpufleet.plan.workloads import ProfileWorkload
from gpufleet.world.layout import Gates

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.workloads import Workload


class Place(NamedTuple):
    """Where jobs of a workload stand among dependencies: before a gate, as a source; -1 = neither."""

    gate: int = -1
    source: int = -1


class Part(NamedTuple):
    """Jobs that depend on others together: a phase of a training, or all of another workload ("")."""

    workload: str
    phase: str = ""


class Wait(NamedTuple):
    """What must have ended before the jobs of a part are eligible."""

    after: Part
    any_end: bool  # however it ended; else all of it must be done


class GateBook:
    """Gates of what depends on others, and those that others depend on, in the plan's order."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        waits = {part: list(self._waits(part)) for each in plan.workloads.values() for part in parts(each)}
        waited_for = {wait.after for each in waits.values() for wait in each}
        self.sources = {part: at for at, part in enumerate(part for part in waits if part in waited_for)}
        self.gates = {part: at for at, part in enumerate(part for part, each in waits.items() if each)}
        self.waits = waits

    def place_of(self, workload: Workload, phase: str = "") -> Place:
        """The place of the jobs of a workload, or of a phase of a training."""
        part = Part(workload.name, phase)
        return Place(self.gates.get(part, -1), self.sources.get(part, -1))

    def _waits(self, part: Part) -> Iterator[Wait]:
        """What a part waits for: the phase before it; the first phase for what its workload names.

        What follows ablations needs them to have ended; what trains on needs the model, so it must be done.
        """
        workload = self.plan.workloads[part.workload]
        phases = [each.phase for each in parts(workload)]
        at = phases.index(part.phase)
        if at:
            before = phases[at - 1]
            yield Wait(Part(part.workload, before), before == ABLATIONS)
            return
        for after in workload.after:
            for each in parts(self.plan.workloads[after.workload]):
                yield Wait(each, after.any or each.phase == ABLATIONS)

    def table(self, of_class: Sequence[Place], last_s: Mapping[str, int]) -> Gates | None:
        """The gates as arrays; None if nothing depends on anything.

        Args: of_class: the place of each job class; last_s: the last submission of workloads that are known
              job by job, s.
        """
        if not self.gates:
            return None
        conditions = [
            (self.gates[part], self.sources[wait.after], int(wait.any_end))
            for part in self.gates
            for wait in self.waits[part]
        ]
        gate, after, any_end = (np.array(column, np.int64) for column in zip(*conditions, strict=True))
        return Gates(
            of_class=np.array([place.gate for place in of_class], np.int64),
            source=np.array([place.source for place in of_class], np.int64),
            gate=gate,
            after=after,
            any_end=any_end,
            last_s=np.array([self._last_s(part.workload, last_s) for part in self.sources], np.int64),
        )

    def _last_s(self, name: str, known: Mapping[str, int]) -> int:
        """After this second no job of the workload comes."""
        workload = self.plan.workloads[name]
        if not isinstance(workload, ProfileWorkload):
            return known.get(name, 0)
        end_s = self.plan.jobs_end_s
        until_s = self.plan.seconds(workload.to) if workload.to else end_s
        return max(0, min(until_s, end_s) - 1)


def parts(workload: Workload) -> tuple[Part, ...]:
    """The phases of a training in their order; of any other workload, all of it."""
    phases = workload.phase_names if isinstance(workload, TrainingWorkload) else ("",)
    return tuple(Part(workload.name, phase) for phase in phases)
