"""Measures of jobs that push each other out in turn: two queues that take the same GPUs to and fro."""

from __future__ import annotations

from typing import Final

import polars as pl

from gpufleet.results.facts import Facts
from gpufleet.results.measures import HOUR_S, Rows, measure

WITHIN_S: Final = 24 * HOUR_S
"""A preemption answers one in the other direction that is no longer ago than this."""

_COUNTED: Final = (
    "rows of preemptions.parquet with another queue as preemptor, where within the 24 h before (not in the "
    "same second) a job of the victim's queue had preempted one of the preemptor's queue on that product"
)


def answered(preempted: pl.DataFrame) -> pl.DataFrame:
    """Preemptions that answer one in the other direction: queue and by_queue sorted, product, lost_gpu_s.

    Args:   preempted: rows of preemptions.parquet, by t_s.

    >>> rows = {"t_s": [0, 60, 90_000], "queue": ["a", "b", "a"], "by_queue": ["b", "a", "b"]}
    >>> rows |= {"product": ["chip"] * 3, "lost_gpu_s": [1, 2, 3]}
    >>> answered(pl.DataFrame(rows)).select("one", "other", "lost_gpu_s").rows()
    [('a', 'b', 2)]
    """
    between = preempted.drop_nulls("by_queue").filter(pl.col("queue") != pl.col("by_queue"))
    rows = between.select("t_s", "queue", "by_queue", "product", "lost_gpu_s").sort("t_s")
    earlier = rows.select("t_s", "product", queue="by_queue", by_queue="queue", before="t_s")
    keys = ["queue", "by_queue", "product"]
    joined = rows.join_asof(
        earlier, on="t_s", by=keys, strategy="backward", tolerance=WITHIN_S, allow_exact_matches=False,
        check_sortedness=False,
    )  # fmt: skip
    return joined.drop_nulls("before").select(
        "product", "lost_gpu_s", one=pl.min_horizontal("queue", "by_queue"),
        other=pl.max_horizontal("queue", "by_queue"),
    )  # fmt: skip


def _rows(facts: Facts, value: pl.Expr) -> Rows:
    """A value of the answers in all, and by pair of queues."""
    found = answered(facts.preempted)
    if found.is_empty():
        return
    yield {}, found.select(value).item()
    for one, other, number in found.group_by("one", "other").agg(value).sort("one", "other").iter_rows():
        yield {"queue": one, "other_queue": other}, number


@measure(
    "to_and_fro",
    "preemption",
    f"number of {_COUNTED}; by pair of queues",
    needs=("preemptions.by_queue",),
)
def to_and_fro(facts: Facts) -> Rows:
    """Preemptions that take back within a day what the other queue had taken."""
    if facts.shares:
        yield from _rows(facts, pl.len().alias("n"))


@measure(
    "to_and_fro_lost_gpu_h",
    "GPU·h",
    f"sum of lost_gpu_s / 3600 of {_COUNTED}; by pair of queues",
    needs=("preemptions.by_queue", "preemptions.lost_gpu_s"),
)
def to_and_fro_lost_gpu_h(facts: Facts) -> Rows:
    """GPU-hours of work lost by these preemptions."""
    if facts.shares:
        yield from _rows(facts, (pl.col("lost_gpu_s").sum() / HOUR_S).alias("hours"))


@measure(
    "bounded_jobs",
    "job",
    "number of jobs that were preempted policy.sharing.preemptions_at_most times, without lost nodes",
    needs=("preemptions.victim", "policy"),
)
def bounded_jobs(facts: Facts) -> Rows:
    """Jobs that were preempted as often as the policy allows, and not any more."""
    sharing = facts.run.plan["policy"].get("sharing") or {}
    most = sharing.get("preemptions_at_most", 0)
    if facts.shares and most:
        yield {}, facts.victims.filter(pl.col("n") >= most).height
