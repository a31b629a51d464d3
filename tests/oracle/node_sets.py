"""Who may take which nodes, and when: groups of nodes, classes that may use them, windows of reservations."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpufleet.world.layout import UNKNOWN_S, World

from .model import Job
from .placing import View


@dataclass(frozen=True)
class Window:
    group: int
    reservation: int
    begins: int
    ends: int


@dataclass
class NodeSets:
    """Without groups every job may take every node."""

    group: list[int] = field(default_factory=list)  # of each node
    may: list[list[int]] = field(default_factory=list)  # class, group
    holds: list[list[int]] = field(default_factory=list)  # class, reservation
    windows: list[Window] = field(default_factory=list)

    def may_use(self, job: Job, view: View) -> View:
        """The nodes that its class may use at all."""
        if not self.group:
            return view
        return {n: gpus for n, gpus in view.items() if self.may[job.cls][self.group[n]]}

    def may_take(self, job: Job, view: View, t: int, seconds: int) -> View:
        """The nodes that it may take for [t, t + seconds)."""
        until = UNKNOWN_S if seconds >= UNKNOWN_S else t + seconds
        return {n: gpus for n, gpus in self.may_use(job, view).items() if not self.is_kept(job, n, t, until)}

    def is_kept(self, job: Job, node: int, t: int, until: int) -> bool:
        return any(
            w.group == self.group[node] and w.begins < until and w.ends > t
            for w in self.windows
            if not self.holds[job.cls][w.reservation]
        )


def load_node_sets(world: World) -> NodeSets:
    sets = world.node_sets
    if sets is None:
        return NodeSets()
    rows = zip(
        sets.window_group.tolist(),
        sets.window_reservation.tolist(),
        sets.window_from_s.tolist(),
        sets.window_to_s.tolist(),
        strict=True,
    )
    return NodeSets(
        sets.node_group.tolist(),
        sets.class_groups.tolist(),
        sets.class_holds.tolist(),
        [Window(*row) for row in rows],
    )
