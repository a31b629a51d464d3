"""Dependencies between workloads, as gates of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpufleet.plan.workloads import ProfileWorkload
from gpufleet.world.layout import Gates

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.workloads import Workload


class Place(NamedTuple):
    """Where jobs of a workload stand among dependencies: before a gate, as a source; -1 = neither."""

    gate: int = -1
    source: int = -1


class GateBook:
    """Gates of workloads that depend on others, and those that others depend on, in the plan's order."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        waited_for = {after.workload for each in plan.workloads.values() for after in each.after}
        self.sources = [name for name in plan.workloads if name in waited_for]
        self.gated = [each for each in plan.workloads.values() if each.after]

    def place_of(self, workload: Workload) -> Place:
        """The place of a workload's jobs."""
        names = [each.name for each in self.gated]
        gate = names.index(workload.name) if workload.after else -1
        source = self.sources.index(workload.name) if workload.name in self.sources else -1
        return Place(gate, source)

    def table(self, of_class: Sequence[Place], last_s: Mapping[str, int]) -> Gates | None:
        """The gates as arrays; None if nothing depends on anything.

        Args: of_class: the place of each job class; last_s: the last submission of workloads that are known
              job by job, s.
        """
        if not self.gated:
            return None
        conditions = [
            (gate, self.sources.index(after.workload), int(after.any))
            for gate, each in enumerate(self.gated)
            for after in each.after
        ]
        gate, after, any_end = (np.array(column, np.int64) for column in zip(*conditions, strict=True))
        return Gates(
            of_class=np.array([place.gate for place in of_class], np.int64),
            source=np.array([place.source for place in of_class], np.int64),
            gate=gate,
            after=after,
            any_end=any_end,
            last_s=np.array([self._last_s(name, last_s) for name in self.sources], np.int64),
        )

    def _last_s(self, name: str, known: Mapping[str, int]) -> int:
        """After this second no job of the workload comes."""
        workload = self.plan.workloads[name]
        if not isinstance(workload, ProfileWorkload):
            return known.get(name, 0)
        end_s = self.plan.jobs_end_s
        until_s = self.plan.seconds(workload.to) if workload.to else end_s
        return max(0, min(until_s, end_s) - 1)
