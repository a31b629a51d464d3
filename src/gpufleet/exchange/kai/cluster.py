"""Jobs, their tasks and the nodes that these are on.

What can be derived (what is free, what a queue holds) is derived from the tasks when it is asked for, so
that trying something out is: remember the tasks, change them, put them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Literal

Status = Literal["pending", "running", "releasing", "pipelined"]

NOT_PREEMPTIBLE: Final = 100
"""Jobs of this priority or a higher one are not preempted, and stay within their queue's quota."""

HOLDING: Final = ("running", "pipelined")
"""What counts for a queue: a pipelined task waits for GPUs that are being released."""


@dataclass
class Task:
    """A pod: where it is, or will be."""

    job: Job
    status: Status
    node: str | None = None
    gpu: str | None = None  # name of the GPU that it shares
    evicted: bool = False  # on trial


@dataclass
class Job:
    """A gang: all of its tasks run, or none starts."""

    name: str
    queue: str
    priority: int
    gpus: Fraction  # of each task
    born: Fraction  # minutes; smaller is older
    tasks: list[Task] = field(default_factory=list)

    @property
    def preemptible(self) -> bool:
        """Whether it may have to yield."""
        return self.priority < NOT_PREEMPTIBLE

    def to_start(self) -> list[Task]:
        """Tasks that wait, and tasks that are evicted only on trial."""
        return [task for task in self.tasks if task.status == "pending" or task.evicted]

    def held(self) -> Fraction:
        """GPUs of its tasks that run or will."""
        return self.gpus * len(self.active())

    def active(self) -> list[Task]:
        """Its tasks that run or will."""
        return [task for task in self.tasks if task.status in HOLDING]

    def order(self) -> tuple[int, bool, Fraction, tuple[int, ...]]:
        """Who of a queue is first: higher priority, not yet complete, older, name."""
        return -self.priority, len(self.active()) >= len(self.tasks), self.born, tuple(map(ord, self.name))


Memory = list[tuple[Status, str | None, str | None, bool]]


@dataclass
class Cluster:
    """All jobs and the GPUs of each node."""

    nodes: dict[str, int]
    jobs: list[Job]

    def tasks(self) -> Iterator[Task]:
        """All tasks of all jobs."""
        for job in self.jobs:
            yield from job.tasks

    def remember(self) -> Memory:
        """How all tasks are now."""
        return [(task.status, task.node, task.gpu, task.evicted) for task in self.tasks()]

    def put_back(self, memory: Memory) -> None:
        """Undo everything since."""
        for task, (status, node, gpu, evicted) in zip(self.tasks(), memory, strict=True):
            task.status, task.node, task.gpu, task.evicted = status, node, gpu, evicted

    # --- what is free

    def _on(self, node: str, statuses: Iterable[str]) -> list[Task]:
        return [task for task in self.tasks() if task.node == node and task.status in statuses]

    def idle(self, node: str) -> Fraction:
        """Whole GPUs that nobody uses, not even somebody who is leaving."""
        return self.nodes[node] - _whole(self._on(node, ("running", "releasing")))

    def open(self, node: str) -> Fraction:
        """Whole GPUs that are free once everybody who is leaving has left."""
        return self.nodes[node] - _whole(self._on(node, HOLDING))

    def spare(self, node: str) -> Fraction:
        """GPUs that are open, with the open parts of shared ones."""
        shared = self._shared(node, HOLDING)
        return self.open(node) + sum((1 - used for used in shared.values()), Fraction(0))

    def _shared(self, node: str, statuses: Iterable[str]) -> dict[str, Fraction]:
        """How much of each shared GPU is used."""
        used: dict[str, Fraction] = {}
        for task in self._on(node, statuses):
            if task.gpu is not None:
                used[task.gpu] = used.get(task.gpu, Fraction(0)) + task.job.gpus
        return used

    # --- placing

    def place(self, tasks: Sequence[Task], nodes: Iterable[str], *, now: bool) -> bool:
        """Place all tasks on nodes, or none.

        With `now` they run if all of them can at once; else they are pipelined.
        """
        memory = self.remember()
        nodes = list(nodes)
        at_once = [self._place(task, nodes, now) for task in tasks]
        if None in at_once:
            self.put_back(memory)
            return False
        if not all(at_once):  # a gang starts together
            for task in tasks:
                task.status = "pipelined"
        return True

    def _place(self, task: Task, nodes: Sequence[str], now: bool) -> bool | None:
        """Place a task on the best node; whether it runs at once, None if there is no room."""
        if 0 < task.job.gpus < 1:
            return self._place_part(task, nodes, now)
        gpus = task.job.gpus
        fitting = [node for node in nodes if gpus == 0 or self.open(node) >= gpus]
        if not fitting:
            return None
        at_once = {node: now and (gpus == 0 or self.idle(node) >= gpus) for node in fitting}
        best = min(fitting, key=lambda node: (not at_once[node], self.open(node), node))
        return _put(task, best, None, at_once[best])

    def _place_part(self, task: Task, nodes: Sequence[str], now: bool) -> bool | None:
        """A part of a GPU: rather one that is shared already, the fullest of them, than another one."""
        part, options = task.job.gpus, []
        for node in nodes:
            later = self._shared(node, HOLDING)
            for gpu, used in self._shared(node, (*HOLDING, "releasing")).items():
                left = later.get(gpu, Fraction(0))
                if left + part <= 1 and (gpu in later or self.open(node) >= 1):
                    at_once = now and used + part <= 1
                    options.append((not at_once, False, self.open(node), node, 1 - left, gpu))
            if self.open(node) >= 1:
                at_once = now and self.idle(node) >= 1
                fresh = f"{task.job.name}-{task.job.tasks.index(task)}"
                options.append((not at_once, True, self.open(node), node, Fraction(1), fresh))
        if not options:
            return None
        waits, _, _, node, _, gpu = min(options)
        return _put(task, node, gpu, not waits)


def _whole(tasks: Iterable[Task]) -> Fraction:
    """GPUs that tasks of one node take from others: whole ones, and each shared one."""
    tasks = list(tasks)
    shared = {task.gpu for task in tasks if task.gpu is not None}
    return sum((task.job.gpus for task in tasks if task.gpu is None), Fraction(0)) + len(shared)


def _put(task: Task, node: str, gpu: str | None, at_once: bool) -> bool:
    task.status, task.node, task.gpu, task.evicted = "running" if at_once else "pipelined", node, gpu, False
    return at_once
