"""Rounds of KAI: allocate, consolidation, reclaim, preempt.

Stale gangs are not evicted: that takes time, and none passes within a case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from gpufleet.exchange.kai.cluster import Cluster, Job, Task
from gpufleet.exchange.kai.shares import KaiQueue, Shares, Yield

Fair = Callable[[Sequence[Yield], dict[str, Fraction]], bool]
"""Whether it is right that these jobs yield, seeing what queues held before."""


class Round:
    """One round of the scheduler."""

    def __init__(self, cluster: Cluster, queues: Sequence[KaiQueue]) -> None:
        self.cluster = cluster
        self.shares = Shares(cluster, queues)
        self.jobs = [job for job in cluster.jobs if not self.shares.queues[job.queue].children]
        """Only queues without others below them take jobs."""

    def run(self) -> None:
        """All actions; then who was evicted is away, and who was pipelined waits for the next round."""
        self._for_each_waiting(self._allocate)
        self._for_each_waiting(self._consolidate)
        self._for_each_waiting(self._reclaim)
        self._for_each_waiting(self._preempt)
        for task in self.cluster.tasks():
            if task.status != "running":
                task.status, task.node, task.gpu, task.evicted = "pending", None, None, False

    def _for_each_waiting(self, action: Callable[[Job], object]) -> None:
        waiting = [job for job in self.jobs if any(task.status == "pending" for task in job.tasks)]
        while waiting:
            job = self.shares.next_job(waiting)
            waiting.remove(job)
            action(job)

    def _start(self, job: Job, tasks: Sequence[Task], nodes: Sequence[str], *, now: bool) -> bool:
        """Place tasks of a job if its queues allow it."""
        if self.shares.refuses(job, job.gpus * len(tasks)):
            return False
        return self.cluster.place(tasks, nodes, now=now)

    def _allocate(self, job: Job) -> bool:
        tasks = [task for task in job.tasks if task.status == "pending"]
        return self._start(job, tasks, list(self.cluster.nodes), now=True)

    # --- making room

    def _consolidate(self, job: Job) -> bool:
        """Move jobs of others so that this one fits; all of them must find another place."""
        asked = job.gpus * len(job.to_start())
        spare = sum((self.cluster.spare(node) for node in self.cluster.nodes), Fraction(0))
        if not job.preemptible or spare < asked:
            return False
        return self._solve(job, lambda other: other is not job, lambda victims, _: not victims)

    def _reclaim(self, job: Job) -> bool:
        """Take from other queues what is this one's fair share."""
        asked = job.gpus * len(job.to_start())
        if not self.shares.may_reclaim(job, asked) or self.shares.refuses(job, asked, only_quota=True):
            return False
        return self._solve(
            job,
            lambda other: other.queue != job.queue,
            lambda victims, held: self.shares.reclaims(job, asked, held, victims),
        )

    def _preempt(self, job: Job) -> bool:
        """Take from jobs of the same queue with a lower priority."""
        asked = job.gpus * len(job.to_start())
        if self.shares.refuses(job, asked, only_quota=True):
            return False
        return self._solve(
            job,
            lambda other: other.queue == job.queue and other.priority < job.priority,
            lambda *_: True,
        )

    def _solve(self, job: Job, may_yield: Callable[[Job], bool], fair: Fair) -> bool:
        """Find jobs that yield so that a gang can start: for its first task, then for two, and so on."""
        pool = [each for each in self.jobs if each.preemptible and each.active() and may_yield(each)]
        tasks = job.to_start()
        chosen: list[Job] = []
        memory = self.cluster.remember()
        for n in range(1, len(tasks) + 1):
            self.cluster.put_back(memory)
            found = self._yielding(job, tasks[:n], pool, chosen, fair)
            if found is None:
                self.cluster.put_back(memory)
                return False
            chosen = found
        for task in self.cluster.tasks():
            task.evicted = False  # no longer on trial
        return True

    def _yielding(
        self, job: Job, tasks: Sequence[Task], pool: Sequence[Job], chosen: Sequence[Job], fair: Fair
    ) -> list[Job] | None:
        """The jobs that yield for some tasks of a job: those chosen before, and one more after the other."""
        if chosen and self._try(job, tasks, chosen, fair):
            return list(chosen)
        left = [each for each in pool if each not in chosen]
        taken: list[Job] = list(chosen)
        added: list[Job] = []
        while left:
            victim = self.shares.next_victim(left, taken)
            left.remove(victim)
            taken.append(victim)
            added.append(victim)
            for node in dict.fromkeys(task.node for task in victim.active()):
                there = [each for each in added if any(task.node == node for task in each.active())]
                if self._try(job, tasks, [*chosen, *there], fair):
                    return [*chosen, *there]
        return None

    def _try(self, job: Job, tasks: Sequence[Task], victims: Sequence[Job], fair: Fair) -> bool:
        """Evict jobs and see whether tasks fit then; who still fits, somewhere, goes on there."""
        cluster, memory = self.cluster, self.cluster.remember()
        held = {name: self.shares.held(queue) for name, queue in self.shares.queues.items()}
        nodes = [node for node in cluster.nodes if job.gpus == 0 or cluster.spare(node) > 0]
        evicted = [(victim, victim.active()) for victim in victims]
        for _, running in evicted:
            nodes += [task.node for task in running if task.node is not None]
            for task in running:
                task.status, task.evicted = "releasing", True
        nodes = list(dict.fromkeys(nodes))
        if not self._place_anew(job, tasks, victims, nodes):
            cluster.put_back(memory)
            return False
        gone = [
            Yield(victim.queue, victim.gpus * len(running))
            for victim, running in evicted
            if running[0].evicted
        ]
        if not fair(gone, held):
            cluster.put_back(memory)
            return False
        return True

    def _place_anew(
        self, job: Job, tasks: Sequence[Task], victims: Sequence[Job], nodes: Sequence[str]
    ) -> bool:
        """Place tasks and those who yielded for them; the tasks must fit.

        They come in the order in which all waiting jobs are due: another job of a queue may delay its turn.
        """
        waiting = [each for each in self.jobs if each.to_start()]
        while waiting:
            due = self.shares.next_job(waiting)
            waiting.remove(due)
            if due is not job and due not in victims:
                continue
            if due is job:
                if not self._start(job, tasks, nodes, now=False):
                    return False
            else:
                self._start(due, due.to_start(), nodes, now=False)
        return True
