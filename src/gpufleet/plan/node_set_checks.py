"""Checks of partitions that need no node: which of them nobody names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding
from gpufleet.base.say import say
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
