"""Recorded jobs in this plan: the limits of its queues, and what of them can never run, or not to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import polars as pl

from gpufleet.base.errors import Finding, explain_code, finding
from gpufleet.base.say import say
from gpufleet.plan.levels import most_at_level

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.workloads import TraceWorkload

OVER_LIMIT: Final = explain_code(
    "T062",
    "recorded run times exceed their limit",
    "With `policy.over_limit: kill` a job ends at its time limit, even where the log says that it ran "
    "longer: schedulers grant some grace, and limits are raised while a job runs. `run-on` lets it run as "
    "recorded.",
    "policy: {over_limit: run-on}",
).code
OVER_LEVEL: Final = explain_code(
    "T063",
    "recorded jobs are larger than what they require to be in",
    "With `topology: {required: LEVEL}` all GPUs of a job lie in one node, domain, block or site. Jobs that "
    "are larger than the largest of them that they may use never start.",
    "workloads: {history: {kind: trace, topology: {required: node}, ...}}     # some jobs have several nodes",
).code
PART_SLICE: Final = explain_code(
    "T064",
    "jobs that are no whole number of slices",
    "With `topology: {slice: {gpus: N}}` a job consists of slices of N GPUs. Jobs of other sizes are "
    "refused for ever when they come.",
    "workloads: {w: {topology: {required: site, slice: {gpus: 72, level: domain}}, ...}}   # jobs of 8 GPUs",
).code


def limited(plan: Plan, jobs: pl.DataFrame) -> pl.DataFrame:
    """Jobs with limits within those of their queues."""
    most_s = [queue.limit_s(0) for queue in plan.queues.values()]
    if not any(most_s):
        return jobs
    most = pl.col("queue").replace_strict(list(range(len(most_s))), most_s, return_dtype=pl.Int64)
    own = pl.when(pl.col("limit_s") > 0).then(pl.col("limit_s"))
    within = pl.when(most > 0).then(pl.min_horizontal(own, most)).otherwise(pl.col("limit_s"))
    return jobs.with_columns(limit_s=within)


def over_limit(plan: Plan, workload: TraceWorkload, jobs: pl.DataFrame) -> Iterator[Finding]:
    """A warning about jobs that ran longer than they may here, even on the fastest product."""
    fastest = max((speed for _, speed in workload.products), default=1.0)
    longer = (pl.col("limit_s") > 0) & (pl.col("work_s") / fastest > pl.col("limit_s"))
    count = jobs.filter(longer).height
    if count and plan.policy.over_limit == "kill":
        says = say(
            "{n:,} recorded run time exceeds its limit; it will be killed (policy.over_limit)",
            "{n:,} recorded run times exceed their limit; they will be killed (policy.over_limit)",
            n=count,
        )
        fix = say("set `policy.over_limit: run-on` to let such jobs run as recorded")
        yield finding(OVER_LIMIT, says, fix, workload.line, severity="warning")


def over_level(plan: Plan, workload: TraceWorkload, jobs: pl.DataFrame) -> Iterator[Finding]:
    """A warning about jobs that are larger than the node, domain or block that they require."""
    wish = workload.topology
    yield from _of_part_slices(workload, jobs)
    if wish is None or wish.required is None:
        return
    level = wish.required
    queues = list(plan.queues.values())
    sizes = [most_at_level(plan, queue, workload.products, level, wish.slice)[0] for queue in queues]
    most = pl.col("queue").replace_strict(list(range(len(sizes))), sizes, return_dtype=pl.Int64)
    large = jobs.filter(pl.col("gpus") > most)
    if large.height:
        says = say(
            "{n:,} job of {name} has more GPUs than one {level} holds: up to {gpus:,}, of at most {most:,}",
            "{n:,} jobs of {name} have more GPUs than one {level} holds: up to {gpus:,}, of at most {most:,}",
            n=large.height,
            name=workload.name,
            level=level,
            gpus=large["gpus"].max(),
            most=max(sizes),
        )
        fix = say("write `preferred`, require a wider level, or accept other products")
        yield finding(OVER_LEVEL, says, fix, workload.line, severity="warning")


def _of_part_slices(workload: TraceWorkload, jobs: pl.DataFrame) -> Iterator[Finding]:
    """A warning about jobs that are no whole number of slices."""
    part = workload.topology.slice if workload.topology else None
    odd = jobs.filter(pl.col("gpus") % part.gpus != 0) if part else jobs.clear()
    if part and odd.height:
        says = say(
            "{n:,} job of {name} is no whole number of slices of {gpus:,} GPUs; it never starts",
            "{n:,} jobs of {name} are no whole number of slices of {gpus:,} GPUs; they never start",
            n=odd.height,
            name=workload.name,
            gpus=part.gpus,
        )
        fix = say("make slices smaller, or leave `slice` out")
        yield finding(PART_SLICE, says, fix, workload.line, severity="warning")
