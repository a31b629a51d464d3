"""What lasts from cycle to cycle: the queues' lines, who is admitted, and where flavor scans stopped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .flavors import Stops
from .model import Rules, Work
from .order import heap_rank
from .tree import Node, Snapshot, snapshot


@dataclass
class Line:
    """The works that wait in one queue: those that will be tried, and those parked until an event."""

    strategy: str
    active: dict[str, Work] = field(default_factory=dict)
    parked: dict[str, Work] = field(default_factory=dict)
    parked_shapes: set[tuple[object, ...]] = field(default_factory=set)
    sticky: str | None = None

    def ordered(self) -> list[Work]:
        return sorted(self.active.values(), key=lambda work: heap_rank(work, self.sticky))

    def park(self, shape: tuple[object, ...]) -> None:
        """All works of this shape, now and until the next event."""
        self.parked_shapes.add(shape)
        for work in list(self.active.values()):
            if work.shape == shape:
                self.parked[work.key] = self.active.pop(work.key)

    def unpark(self) -> None:
        self.active |= self.parked
        self.parked.clear()
        self.parked_shapes.clear()

    def leave(self, work: Work) -> None:
        self.active.pop(work.key, None)
        self.parked.pop(work.key, None)
        if self.sticky == work.key:
            self.sticky = None

    def enter(self, work: Work) -> None:
        line = self.parked if work.shape in self.parked_shapes else self.active
        line[work.key] = work


@dataclass(frozen=True)
class Memory:
    stops: Stops
    cycle: int
    generation: int


@dataclass
class World:
    leaves: dict[str, Node]
    rules: Rules
    lines: dict[str, Line]
    admitted: dict[str, Work] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    cycle: int = 0
    generation: int = 0
    """Moves on when usage is released."""

    def snapshot(self) -> Snapshot:
        return snapshot(self.leaves, self.admitted.values())

    def heads(self) -> list[Work]:
        return [line.ordered()[0] for line in self.lines.values() if line.active]

    def remember(self, work: Work, stops: Stops) -> None:
        """Where its scans stopped before the last flavor."""
        left = {place: stop for place, stop in stops.items() if stop != -1}
        self.memory.pop(work.key, None)
        if left:
            self.memory[work.key] = Memory(left, self.cycle, self.generation)

    def recall(self, work: Work) -> Stops:
        """What is remembered, if it is of this or the last cycle or nothing was released since."""
        memory = self.memory.get(work.key)
        if memory is None or (memory.cycle < self.cycle - 1 and memory.generation != self.generation):
            return {}
        return memory.stops

    def state(self) -> object:
        """All that the next cycle depends on, at one instant."""
        return (
            sorted((w.key, w.evicted) for w in self.admitted.values()),
            {n: (sorted(q.active), sorted(q.parked), q.sticky) for n, q in self.lines.items()},
            {key: memory.stops for key, memory in self.memory.items()},
        )


def arrive(world: World, work: Work) -> None:
    world.lines[work.queue].enter(work)


def finish(world: World, key: str) -> None:
    """A work ends and gives its usage back."""
    _release(world, [world.admitted[key]])


def release_evicted(world: World) -> None:
    """The pods of evicted works are gone: they give their usage back and wait again, at their old place."""
    gone = [work for work in world.admitted.values() if work.evicted]
    _release(world, gone)
    for work in gone:
        work.admission, work.evicted = None, False
        arrive(world, work)


def _release(world: World, gone: Iterable[Work]) -> None:
    """All that is parked in the trees of these works becomes active."""
    roots = set()
    for work in gone:
        del world.admitted[work.key]
        roots.add(world.leaves[work.queue].root())
    world.generation += bool(roots)
    for name, line in world.lines.items():
        if world.leaves[name].root() in roots:
            line.unpark()
