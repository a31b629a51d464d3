"""Cases of KAI: as a cluster with queues, decided, and the decision in the words of the file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

from gpufleet.base.say import say
from gpufleet.exchange.forms import KaiCase, KaiJob
from gpufleet.exchange.kai.cluster import Cluster, Job, Task
from gpufleet.exchange.kai.rounds import Round
from gpufleet.exchange.kai.shares import KaiQueue

_PRIORITY: Final = 100
"""Of a queue that has none."""


class UnsupportedError(Exception):
    """A case needs a rule that gpufleet has not; the text names it."""


def decide_rounds(case: KaiCase) -> dict[str, Any]:
    """The answer to a case of `kai`, in the form of its `expect`: how the jobs are after its rounds.

    Raises: UnsupportedError.
    """
    _check(case)
    queues = _queues(case)
    cluster = Cluster({name: node.gpus for name, node in case.nodes.items()}, _jobs(case))
    for _ in range(case.rounds_until_match):
        Round(cluster, queues).run()
    return {"jobs": {job.name: _state(job) for job in sorted(cluster.jobs, key=lambda each: each.name)}}


def _check(case: KaiCase) -> None:
    for job in case.jobs:
        if job.cpu_milli_per_task or job.memory_per_task:
            raise UnsupportedError(say("CPU and memory (a case does not say how much a node has)"))
        for task in job.tasks:
            if task.gpu_groups is not None and len(task.gpu_groups) > 1:
                raise UnsupportedError(say("parts of several GPUs for one task"))


def _queues(case: KaiCase) -> list[KaiQueue]:
    """Departments first. The format has no weights for them: their quotas are their weights."""
    made = [
        KaiQueue(
            each.name,
            None,
            _amount(each.gpu_quota),
            _amount(each.gpu_limit),
            Fraction(each.gpu_quota or 0),
            _PRIORITY,
            at,
        )
        for at, each in enumerate(case.departments)
    ]
    return made + [
        KaiQueue(
            each.name,
            each.parent,
            _amount(each.gpu_quota),
            _amount(each.gpu_limit),
            Fraction(each.gpu_over_quota_weight),
            _PRIORITY if each.priority is None else each.priority,
            at,
        )
        for at, each in enumerate(case.queues)
    ]


def _amount(value: Any) -> Fraction | None:
    return None if value is None else Fraction(value)


def _jobs(case: KaiCase) -> list[Job]:
    """The jobs, higher priority first; of those without an age, the earlier in the file is older."""
    ordered = sorted(case.jobs, key=lambda job: -job.priority)
    return [_job(job, at - len(ordered)) for at, job in enumerate(ordered)]


def _job(job: KaiJob, place: int) -> Job:
    born = -Fraction(job.age_min) if job.age_min else Fraction(place)
    made = Job(job.name, job.queue, job.priority, Fraction(job.gpus_per_task), born)
    for at, task in enumerate(job.tasks):
        gpu = None
        if 0 < made.gpus < 1 and task.state != "pending":
            gpu = task.gpu_groups[0] if task.gpu_groups else f"{job.name}-{at}"
        node = None if task.state == "pending" else task.node
        made.tasks.append(Task(made, task.state, node, gpu))
    return made


def _state(job: Job) -> dict[str, str | None]:
    """A gang runs if all of its tasks do; its node, if they are on one."""
    if any(task.status != "running" for task in job.tasks):
        return {"status": "pending", "node": None}
    nodes: Sequence[str | None] = sorted({task.node or "" for task in job.tasks})
    return {"status": "running", "node": nodes[0] if len(nodes) == 1 else None}
