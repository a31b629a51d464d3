"""Measures of a fleet that queues share: what was owned, borrowed and lent, and what preemption cost."""

from __future__ import annotations

from typing import Final

import polars as pl

from gpufleet.results.facts import Facts
from gpufleet.results.measures import HOUR_S, Rows, measure

OFTEN: Final = 3
"""Preemptions of one job from which on it is said that it goes to and fro."""


def _quota_measure(name: str, column: str, formula: str, doc: str) -> None:
    """Register a sum over quotas.parquet, of all queues, by tenant, and by queue."""

    def owned(facts: Facts) -> Rows:
        if facts.quotas.is_empty():
            return
        yield {}, float(facts.quotas[column].sum())
        for dim, key in (("tenant", "tenant"), ("queue", "name")):
            sums = facts.quotas.group_by(key).agg(pl.col(column).sum()).sort(key)
            yield from (({dim: holder}, value) for holder, value in sums.iter_rows())

    owned.__doc__ = doc
    measure(name, "GPU·h", formula, needs=(f"quotas.{column}",))(owned)


_SPAN: Final = "over the queues and the same time as busy_gpu_h"
_quota_measure(
    "own_quota_gpu_h",
    "nominal_gpu_h",
    f"sum of nominal_gpu_h {_SPAN}; quotas without a limit do not count",
    "GPU-hours that queues own, with shared quotas.",
)
_quota_measure(
    "borrowed_gpu_h",
    "borrowed_gpu_h",
    f"sum of borrowed_gpu_h {_SPAN}",
    "GPU-hours that queues used beyond their own quota.",
)
_quota_measure(
    "lent_gpu_h",
    "lent_gpu_h",
    f"sum of lent_gpu_h {_SPAN}",
    "GPU-hours of queues' own quota that others used.",
)


@measure(
    "preemptions",
    "preemption",
    "number of rows of preemptions.parquet; by tenant and queue: of the victim",
    needs=("preemptions.victim",),
)
def preemptions(facts: Facts) -> Rows:
    """Attempts of jobs that were cut short, by rule, tenant and queue."""
    if facts.shares:
        yield {}, facts.preempted.height
        yield from _by(facts, pl.len().alias("n"))


@measure(
    "lost_gpu_h",
    "GPU·h",
    "sum of lost_gpu_s of preemptions.parquet / 3600; by tenant and queue: of the victim",
    needs=("preemptions.lost_gpu_s",),
)
def lost_gpu_h(facts: Facts) -> Rows:
    """GPU-hours of work that is done again because of preemptions."""
    if facts.shares:
        yield {}, int(facts.preempted["lost_gpu_s"].sum()) / HOUR_S
        yield from _by(facts, pl.col("lost_gpu_s").sum() / HOUR_S)


@measure(
    "taken_gpu_h",
    "GPU·h",
    "sum of lost_gpu_s of preemptions.parquet / 3600, by tenant and queue of the preemptor; "
    "a quota that fell and a node that was taken away are nobody's",
    needs=("preemptions.lost_gpu_s",),
)
def taken_gpu_h(facts: Facts) -> Rows:
    """GPU-hours of work that others lost so that a tenant's jobs could start."""
    for dim, rows in (("tenant", "by_tenant"), ("queue", "by_queue")):
        sums = facts.preempted.drop_nulls(rows).group_by(rows).agg(pl.col("lost_gpu_s").sum() / HOUR_S)
        yield from (({dim: name}, value) for name, value in sums.sort(rows).iter_rows())


@measure(
    "taken_gpus",
    "GPU",
    "sum of gpus of preemptions.parquet, by tenant of the preemptor",
    needs=("preemptions.gpus",),
)
def taken_gpus(facts: Facts) -> Rows:
    """GPUs that a tenant's jobs got by preemption."""
    by = (
        facts.preempted.drop_nulls("by_tenant").group_by("by_tenant").agg(pl.col("gpus").cast(pl.Int64).sum())
    )
    yield from (({"tenant": name}, gpus) for name, gpus in by.sort("by_tenant").iter_rows())


def _by(facts: Facts, value: pl.Expr) -> Rows:
    """A value of the preemptions by rule, and by tenant and queue of the victim."""
    for dim in ("rule", "tenant", "queue"):
        sums = facts.preempted.group_by(dim).agg(value).sort(dim)
        yield from (({dim: name}, number) for name, number in sums.iter_rows())


@measure(
    "most_preemptions",
    "preemption",
    "largest number of rows of preemptions.parquet of one job, without lost nodes",
    needs=("preemptions.victim",),
)
def most_preemptions(facts: Facts) -> Rows:
    """How often the job was preempted that was preempted most."""
    if facts.shares:
        yield {}, int(facts.victims["n"].max() or 0)  # type: ignore[arg-type]  # counts


@measure(
    "often_preempted_jobs",
    "job",
    f"number of jobs with {OFTEN} preemptions or more, without lost nodes",
    needs=("preemptions.victim",),
)
def often_preempted_jobs(facts: Facts) -> Rows:
    """Jobs that go to and fro: preempted three times or more."""
    if facts.shares:
        yield {}, facts.victims.filter(pl.col("n") >= OFTEN).height


@measure(
    "often_preempted_lost_gpu_h",
    "GPU·h",
    f"sum of lost_gpu_s / 3600 of jobs with {OFTEN} preemptions or more, without lost nodes",
    needs=("preemptions.victim", "preemptions.lost_gpu_s"),
)
def often_preempted_lost_gpu_h(facts: Facts) -> Rows:
    """GPU-hours of work lost by jobs that go to and fro."""
    if facts.shares:
        yield {}, int(facts.victims.filter(pl.col("n") >= OFTEN)["lost_gpu_s"].sum()) / HOUR_S
