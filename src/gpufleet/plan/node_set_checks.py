"""Checks of partitions that need no node: which of them nobody names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding
from gpufleet.base.say import say
from gpufleet.base.units import format_duration
from gpufleet.plan.check import check

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan


@check("P156", "a partition that nobody uses")
def partition_unused(plan: Plan) -> Iterator[Finding]:
    """No queue runs on it and no reservation is made of it. If it is exclusive, its nodes stand idle: queues
    without partitions do not use them either.

    Example::

        partitions: {batch: {site: lab}, debug: {site: lab, nodes: [1, 2]}}
        tenants:    {research: {partitions: batch}}            # nobody says debug
    """
    named = {name for queue in plan.queues.values() for name in queue.partitions}
    named |= {r.partition for r in plan.reservations.values() if r.partition is not None}
    for name, partition in plan.partitions.items():
        if name in named:
            continue
        if partition.exclusive:
            says = say(
                "no queue runs on {partition}, and it is exclusive: its nodes are idle", partition=name
            )
        else:
            says = say("no queue runs on {partition}, and no reservation is made of it", partition=name)
        fix = say("name it in `partitions` of a queue, or delete it")
        yield Finding(at=partition.line, says=says, fix=fix)


@check("P158", "partitions of one queue with unlike run times")
def unlike_run_times(plan: Plan) -> Iterator[Finding]:
    """A job of a queue may run in any of its partitions, so it must not run longer than the shortest
    `max_run_time` of them. Slurm would keep longer jobs to the partitions that allow them: here they need a
    queue of their own.

    Example::

        partitions: {batch: {site: lab, max_run_time: 3 d}, debug: {site: lab, max_run_time: 1 h}}
        tenants:    {research: {partitions: [batch, debug]}}         # all its jobs: 1 h
    """
    for queue in plan.queues.values():
        limits = {name: plan.partitions[name].max_run_time_s for name in queue.partitions}
        if len(set(limits.values())) < 2:
            continue
        shortest = min(limit for limit in limits.values() if limit is not None)
        unlike = [
            say("{name} {limit}", name=name, limit=say("none") if limit is None else format_duration(limit))
            for name, limit in limits.items()
        ]
        says = say(
            "queue {queue} runs on partitions with unlike run times ({limits:, }): for all of its jobs it is "
            "{shortest}",
            queue=queue.name, limits=unlike, shortest=format_duration(shortest),
        )  # fmt: skip
        fix = say("give the longer jobs a queue with the partitions that allow them")
        yield Finding(at=queue.line, says=says, fix=fix)


@check("P159", "a reservation that ends after the plan")
def ends_after_plan(plan: Plan) -> Iterator[Finding]:
    """Nothing happens after the plan's end: the rest of the reservation is not simulated, and not counted.

    Example::

        end: 2026-02-02
        reservations: {course: {site: lab, gpus: 32, from: 2026-01-25, to: 2026-03-16, for: research}}
    """
    for name, reservation in plan.reservations.items():
        if reservation.to > plan.end:
            says = say(
                "{name} ends on {to}, after the plan's end ({end}); the rest of it is not simulated",
                name=name, to=plan.local(reservation.to), end=plan.local(plan.end),
            )  # fmt: skip
            fix = say("end it by {end}, or give the plan a later `end`", end=plan.local(plan.end))
            yield Finding(at=reservation.line, says=says, fix=fix)
