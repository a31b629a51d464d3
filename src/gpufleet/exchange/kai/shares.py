"""Queues of KAI: quota, fair share, who is next, who may reclaim from whom.

All amounts are GPUs; None is unlimited.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cmp_to_key
from typing import Final, NamedTuple

from gpufleet.exchange.kai.cluster import Cluster, Job

_NO_SHARE: Final = 1000
"""How much the share of a queue weighs that may have nothing."""

Amount = Fraction | None
_Order = tuple[int, bool, Fraction, tuple[int, ...]]


class Yield(NamedTuple):
    """GPUs that a job of a queue gives up."""

    queue: str
    gpus: Fraction


@dataclass
class KaiQueue:
    """A queue with what it is due."""

    name: str
    parent: str | None
    quota: Amount
    limit: Amount
    weight: Fraction
    priority: int
    born: int  # smaller is older
    children: list[KaiQueue] = field(default_factory=list)
    request: Fraction = Fraction(0)
    fair: Fraction = Fraction(0)

    def allocatable(self) -> Amount:
        """The most that it may keep."""
        if self.quota is None:
            return self.limit
        most = max(self.quota, self.fair)
        return most if self.limit is None else min(most, self.limit)

    def requestable(self) -> Fraction:
        """What it asks for, within its limit."""
        return self.request if self.limit is None else min(self.request, self.limit)


def within(amount: Fraction, most: Amount) -> bool:
    """Whether an amount stays within a limit."""
    return most is None or amount <= most


class Shares:
    """The queues of a cluster at the beginning of a round, with their fair shares."""

    def __init__(self, cluster: Cluster, queues: Sequence[KaiQueue]) -> None:
        self.cluster = cluster
        self.queues = {queue.name: queue for queue in queues}
        self.total = Fraction(sum(cluster.nodes.values()))
        for queue in queues:
            queue.children = [each for each in queues if each.parent == queue.name]
            queue.request, queue.fair = Fraction(0), Fraction(0)
        for job in cluster.jobs:
            asked = sum(task.status != "releasing" for task in job.tasks) * job.gpus
            for queue in self.up(job.queue):
                queue.request += asked
        self.tops = [queue for queue in queues if queue.parent is None]
        _divide(self.total, self.tops)

    def up(self, name: str | None) -> Iterator[KaiQueue]:
        """A queue and those above it."""
        while name is not None:
            queue = self.queues[name]
            yield queue
            name = queue.parent

    def held(self, queue: KaiQueue, *, firm: bool = False) -> Fraction:
        """GPUs that the jobs below a queue hold; with `firm` only of those that are not preemptible."""
        jobs = (job for job in self.cluster.jobs if not (firm and job.preemptible))
        return sum((job.held() for job in jobs if queue in self.up(job.queue)), Fraction(0))

    def refuses(self, job: Job, gpus: Fraction, *, only_quota: bool = False) -> bool:
        """Whether more GPUs for a job break a limit, or its queues' quota if it is not preemptible."""
        for queue in self.up(job.queue):
            if not only_quota and not within(self.held(queue) + gpus, queue.limit):
                return True
            if not job.preemptible and not within(self.held(queue, firm=True) + gpus, queue.quota):
                return True
        return False

    # --- who is next

    def next_job(self, jobs: Sequence[Job]) -> Job:
        """The job that is tried first: of the queue that is due, from the top down; there the first."""
        return self._first(jobs, Job.order, self._compare_asking)

    def next_victim(self, jobs: Sequence[Job], taken: Sequence[Job]) -> Job:
        """The job that yields first, if those of `taken` yield already: the order of above, backwards."""

        def compare(a: KaiQueue, x: Job, b: KaiQueue, y: Job) -> int:
            gone = [[v for v in (*taken, best) if v.queue == best.queue] for best in (x, y)]
            less = [sum((v.held() for v in victims), Fraction(0)) for victims in gone]
            return -self._compare(a, b, -less[0], -less[1])

        return self._first(jobs, _backwards, compare)

    def _first(
        self,
        jobs: Sequence[Job],
        order: Callable[[Job], _Order],
        compare: Callable[[KaiQueue, Job, KaiQueue, Job], int],
    ) -> Job:
        def due(x: tuple[KaiQueue, Job], y: tuple[KaiQueue, Job]) -> int:
            return compare(x[0], x[1], y[0], y[1])

        def best(queue: KaiQueue) -> Job | None:
            if not queue.children:
                own = [job for job in jobs if job.queue == queue.name]
                return min(own, key=order, default=None)
            return first(queue.children)

        def first(queues: Sequence[KaiQueue]) -> Job | None:
            found = [(queue, job) for queue in queues if (job := best(queue)) is not None]
            found.sort(key=cmp_to_key(due))
            return found[0][1] if found else None

        job = first(self.tops)
        assert job is not None
        return job

    def _compare_asking(self, a: KaiQueue, x: Job, b: KaiQueue, y: Job) -> int:
        return self._compare(a, b, x.gpus * len(x.to_start()), y.gpus * len(y.to_start()))

    def _compare(self, a: KaiQueue, b: KaiQueue, more_a: Fraction, more_b: Fraction) -> int:
        """Negative if queue `a` is first, when each holds so much more."""
        held = (self.held(a), self.held(b))
        then = (held[0] + more_a, held[1] + more_b)
        asking = (max(more_a, Fraction(0)), max(more_b, Fraction(0)))
        keys = [
            (
                not within(held[i] + asking[i], queue.quota),
                -queue.priority,
                queue.allocatable() == 0 and held[i] + asking[i] > 0,
                self._dominant(queue, then[i]),
                self._dominant(queue, held[i]),
                math.inf if queue.allocatable() is None else queue.allocatable(),
                queue.born,
                queue.name,
            )
            for i, queue in enumerate((a, b))
        ]
        return -1 if keys[0] < keys[1] else 1

    def _dominant(self, queue: KaiQueue, held: Fraction) -> Fraction:
        """The part of what it may have that a queue holds."""
        most = queue.allocatable()
        most = self.total if most is None else most
        return held / most if most else held * _NO_SHARE

    # --- reclaiming

    def may_reclaim(self, job: Job, gpus: Fraction) -> bool:
        """Whether a job's queue stays within its fair share."""
        queue = self.queues[job.queue]
        return self.held(queue) + gpus <= queue.fair

    def reclaims(self, job: Job, gpus: Fraction, held: dict[str, Fraction], victims: Sequence[Yield]) -> bool:
        """Whether it is fair that victims yield for a job.

        Args: held: what each queue held before; victims: in the order in which they yield.
        """
        left = dict(held)
        touched: set[str] = set()
        for victim in victims:
            own, other = self._sides(job.queue, victim.queue)
            over_share = not within(left[other.name], other.allocatable())
            needy = within(held[own.name] + gpus, own.quota) and not within(left[other.name], other.quota)
            if not (over_share or needy):
                return False
            for queue in self.up(victim.queue):
                left[queue.name] -= victim.gpus
                touched.add(queue.name)
        return self._stays_fair(job, gpus, left, touched)

    def _stays_fair(self, job: Job, gpus: Fraction, left: dict[str, Fraction], touched: set[str]) -> bool:
        """Whether, afterwards, no queue above a job is fuller than one beside it from which was taken."""
        for queue in self.up(job.queue):
            full = _fullness(left[queue.name] + gpus, queue.fair)
            beside = [self.queues[name] for name in touched - {queue.name}]
            others = [each for each in beside if each.parent == queue.parent and each.fair > 0]
            if full > 1 and any(full >= _fullness(left[each.name], each.fair) for each in others):
                return False
        return True

    def _sides(self, own: str, other: str) -> tuple[KaiQueue, KaiQueue]:
        """The two queues below the lowest common one, on the ways to two queues."""
        ways = [list(self.up(name))[::-1] for name in (own, other)]
        pairs = list(zip(*ways, strict=False))
        return next((pair for pair in pairs if pair[0] is not pair[1]), pairs[-1])


def _backwards(job: Job) -> _Order:
    less_urgent, complete, born, name = job.order()
    return -less_urgent, not complete, -born, tuple(-letter for letter in name)


def _fullness(held: Fraction, fair: Fraction) -> float:
    if fair == 0:
        return math.inf if held > 0 else 0.0
    return float(held / fair)


# --- fair shares


def _divide(total: Fraction, queues: Sequence[KaiQueue]) -> None:
    """Give queues beside each other their fair shares of a total, and theirs to those below."""
    left = total
    for queue in queues:
        queue.fair = min(total if queue.quota is None else queue.quota, queue.requestable())
        left -= queue.fair
    rest: dict[int, list[tuple[Fraction, KaiQueue]]] = {}
    priorities = sorted({queue.priority for queue in queues}, reverse=True)
    for priority in priorities:
        if left > 0:
            left, rest[priority] = _by_weight(left, [q for q in queues if q.priority == priority])
    for priority in priorities:
        for _, queue in sorted(rest.get(priority, ()), key=lambda e: (-e[0], e[1].born, e[1].name)):
            given = min(Fraction(1), max(left, Fraction(0)))
            queue.fair, left = queue.fair + given, left - given
    for queue in queues:
        _divide(queue.fair, queue.children)


def _by_weight(
    left: Fraction, queues: Sequence[KaiQueue]
) -> tuple[Fraction, list[tuple[Fraction, KaiQueue]]]:
    """Divide what is left over among queues of one priority by their weights, in whole GPUs, in rounds.

    Returns what is left then, and which queues were rounded down by how much.
    """
    if len(queues) == 1:
        queues[0].fair += left
        return Fraction(0), []
    rounded: dict[str, tuple[Fraction, KaiQueue]] = {}
    again = True
    while again and left > 0:
        again, amount = False, left
        hungry = [queue for queue in queues if queue.requestable() > queue.fair]
        weights = sum((queue.weight for queue in hungry), Fraction(0))
        for queue in hungry:
            if queue.weight == 0 or weights == 0:
                continue
            share, wanted = amount * queue.weight / weights, queue.requestable() - queue.fair
            rounded.pop(queue.name, None)
            if wanted <= share:
                given = wanted
            else:
                given = Fraction(math.floor(share))
                if share > given:
                    rounded[queue.name] = (share - given, queue)
            again = again or (given > 0 and wanted < share)
            queue.fair, left = queue.fair + given, left - given
    return left, list(rounded.values())
