"""What hurts in the trainings of a plan, by their predictions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding, GpufleetError, complete, explain_codes, finding
from gpufleet.base.say import say
from gpufleet.base.units import format_duration
from gpufleet.plan.sharing_checks import not_sliced
from gpufleet.plan.stock import cells_over_time, stock_over_time
from gpufleet.plan.warnings import too_large
from gpufleet.world.training import Planned, planned, trainings

if TYPE_CHECKING:
    from gpufleet.plan import Plan

explain_codes(
    """
P173 GPUs of a training that no layout uses
Layouts divide heads, layers, experts and sequences. The fastest one found uses fewer GPUs than are asked for:
the others would be held, and stand idle.
    big: {kind: training, model: llama-3-8b, gpus: 521, ...}      # 521 is a prime number

P175 a training that is not done when the plan ends
By the prediction it takes longer than the plan's time.
    end: 2027-06-01
    workloads: {big: {kind: training, tokens: 15T, at: 2027-01-01, ...}}

P176 a training longer than its queue's time limit
Its jobs would be killed at the limit, and never be done.
    tenants: {lab: {limit: 7 d}}
    workloads: {big: {kind: training, queue: lab, tokens: 15T, ...}}
"""
)


def training_findings(plan: Plan) -> tuple[Finding, ...]:
    """Warnings about the trainings of a plan.

    Raises: GpufleetError with all errors of all of them.
    """
    warnings: list[Finding] = []
    errors: list[Finding] = []
    for workload in trainings(plan):
        try:
            made = planned(plan, workload)
            warnings += (*made.findings, *_warnings(plan, made))
            if workload.by is not None:  # else the plan's own check has looked at it
                sliced = not_sliced(plan, workload, workload.sizes(made.gpus).values())
                errors += [complete(each, "P055", "error") for each in sliced]
        except GpufleetError as refused:
            errors += refused.findings
    if errors:
        raise GpufleetError(*errors)
    return tuple(warnings)


def _warnings(plan: Plan, made: Planned) -> Iterator[Finding]:
    workload, name = made.workload, made.workload.name
    first = next(iter(made.forecasts.values()))
    if first.gpus < made.gpus:
        says = say(
            "{name} asks for {gpus:,} GPUs; the fastest layout uses {used:,} ({layout}), {idle:,} stand idle",
            name=name, gpus=made.gpus, used=first.gpus, layout=first.layout, idle=made.gpus - first.gpus,
        )  # fmt: skip
        at = plan.line(f"workloads.{name}.gpus")
        yield finding("P173", says, say("ask for {used:,}", used=first.gpus), at, severity="warning")
    end_s = made.phases[-1].end_s
    if end_s > plan.jobs_end_s and plan.after_end == "stop":
        says = say(
            "{name} is predicted to end on {end}; the plan ends on {last}",
            name=name, end=plan.local(end_s).date(), last=plan.local(plan.jobs_end_s).date(),
        )  # fmt: skip
        fix = say("move `end`, give it more GPUs, or fewer tokens")
        yield finding("P175", says, fix, workload.line, severity="warning")
    if workload.by is not None:  # else the plan's own check has looked at it
        cells = list(cells_over_time(plan, stock_over_time(plan)))
        large = too_large(plan, cells, workload, max(workload.sizes(made.gpus).values()))
        yield from (complete(each, "P019", "warning") for each in large)
    limit_s, longest_s = plan.queues[workload.queue].limit_s(0), max(one.work_s for one in made.phases)
    if plan.policy.over_limit == "kill" and 0 < limit_s < longest_s:
        says = say(
            "{name} runs {lasts} at best; the limit of queue {queue} is {limit}",
            name=name, lasts=format_duration(longest_s), queue=workload.queue, limit=format_duration(limit_s),
        )  # fmt: skip
        fix = say("raise the limit, or set `policy.over_limit: run-on`")
        yield finding("P176", says, fix, workload.line, severity="warning")
