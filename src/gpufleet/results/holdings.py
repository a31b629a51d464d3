"""Who held which GPUs at a second of a run, from its jobs and its preemptions.

Each attempt of a job that was cut short is a row of the preemptions, with its start and its end. What these
leave of the job's run time is its last attempt, which ends with the job, or with the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from gpufleet.results.run import Run

KEYS = ("queue", "product")


def holdings_at(run: Run, t_s: int) -> dict[tuple[str, str], int]:
    """GPUs that each queue held of each product at a second, when all that happened at it had happened."""
    cut = run.preemptions.lazy().filter(pl.col("start_s") <= t_s, pl.col("t_s") > t_s)
    rows = pl.concat([each.select(*KEYS, pl.col("gpus").cast(pl.Int64)) for each in (cut, _last(run, t_s))])
    sums = rows.group_by(KEYS).agg(pl.col("gpus").sum()).sort(KEYS).collect(engine="streaming")
    return {(queue, product): gpus for queue, product, gpus in sums.iter_rows()}


def jobs_at(run: Run, t_s: int) -> pl.LazyFrame:
    """The jobs that held GPUs at a second, when all that happened at it had happened; `product`: of these."""
    cut = run.preemptions.lazy().filter(pl.col("start_s") <= t_s, pl.col("t_s") > t_s)
    others = cut.select(pl.col("victim").alias("job"), pl.col("product").alias("taken"))
    before = run.scan_jobs().join(others, on="job").with_columns(product="taken").drop("taken")
    return pl.concat([_last(run, t_s).select(before.collect_schema().names()), before])


def _last(run: Run, t_s: int) -> pl.LazyFrame:
    """The jobs whose last attempt, the one that was not cut short, held GPUs at a second."""
    ended_s = int(run.measures_json["clock"]["ended_s"])
    before = run.preemptions.lazy().group_by("victim").agg(ran_s=(pl.col("t_s") - pl.col("start_s")).sum())
    alive = run.scan_jobs().filter(
        pl.col("start_s") <= t_s,
        pl.col("end_s").is_null() | (pl.col("end_s") > t_s),
        pl.col("attempts") > pl.col("preemptions"),
    )
    left_s = pl.col("run_s") - pl.col("ran_s").fill_null(0)
    jobs = alive.join(before, left_on="job", right_on="victim", how="left")
    return jobs.filter(pl.col("end_s").fill_null(ended_s) - left_s <= t_s)
