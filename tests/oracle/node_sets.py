"""Who may take which nodes, and when: groups of nodes, classes that may use them, windows of reservations."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpufleet.world.layout import BEFORE_S, UNKNOWN_S, World

from .model import Job
from .placing import View


@dataclass
class Window:
    group: int
    reservation: int
    begins: int
    ends: int
    held: list[int] = field(default_factory=lambda: [0, 0, 0])  # GPU-seconds: by its jobs, by others, before


@dataclass
class NodeSets:
    """Without groups every job may take every node."""

    group: list[int] = field(default_factory=list)  # of each node
    may: list[list[int]] = field(default_factory=list)  # queue, group
    holds: list[list[int]] = field(default_factory=list)  # class, reservation
    windows: list[Window] = field(default_factory=list)

    def may_use(self, job: Job, view: View) -> View:
        """The nodes that its class may use at all."""
        if not self.group:
            return view
        return {n: gpus for n, gpus in view.items() if self.may[job.queue.index][self.group[n]]}

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

    def own(self, job: Job, view: View, t: int) -> View:
        """The nodes that a reservation keeps for it at t."""
        mine = {
            w.group for w in self.windows if self.holds[job.cls][w.reservation] and w.begins <= t < w.ends
        }
        return {n: gpus for n, gpus in view.items() if mine and self.group[n] in mine}

    def account(self, job: Job, begins: int, ends: int) -> None:
        """A job runs in [begins, ends): what of it lies in windows, and in the time before them."""
        for w in self.windows:
            gpus = sum(held for n, held in job.held.items() if self.group[n] == w.group)
            whose = 0 if self.holds[job.cls][w.reservation] else 1
            w.held[whose] += gpus * overlap(begins, ends, w.begins, w.ends)
            w.held[2] += gpus * overlap(begins, ends, w.begins - BEFORE_S, w.begins)


def overlap(a: int, b: int, c: int, d: int) -> int:
    return max(0, min(b, d) - max(a, c))


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
        sets.queue_groups.tolist(),
        sets.class_holds.tolist(),
        [Window(*row) for row in rows],
    )
