"""Checks of workloads by profile, and of trainings, that need no world."""

from __future__ import annotations

from collections.abc import Iterator

from gpufleet.base.errors import Finding
from gpufleet.base.say import say
from gpufleet.plan.check import check
from gpufleet.plan.plan import Plan
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import ProfileWorkload


@check("P071", "demand for products that never arrive", severity="error")
def demand_without_products(plan: Plan) -> Iterator[Finding]:
    """A workload by profile, or a training, asks for GPUs that its queue can use: products that it accepts,
    its tenant's own or shared, within the queue's quota. Here none is ever delivered.

    Example::

        deliveries: [{to: lab, system: DGX B200, gpus: 64, ...}]
        workloads:  {train: {kind: profile, load: 0.8, products: {H200: 1.0}, ...}}
    """
    for name, workload in plan.workloads.items():
        if not isinstance(workload, ProfileWorkload | TrainingWorkload):
            continue
        queue = plan.queues[workload.queue]
        accepted = dict(workload.products)
        for delivery in plan.deliveries:
            product = plan.systems[delivery.system].product
            mine = delivery.tenant in (None, queue.tenant) and (not accepted or product in accepted)
            if mine and delivery.gpus and queue.most(product, 1):
                break
        else:
            wanted = ", ".join(accepted) or say("any product")
            says = say(
                "{name} asks for {wanted}; none ever comes that queue {queue} can use",
                name=name,
                wanted=wanted,
                queue=queue.name,
            )
            fix = say("deliver some, raise the quota of {queue}, or list other products", queue=queue.name)
            yield Finding(at=plan.line(f"workloads.{name}.products"), says=says, fix=fix)
