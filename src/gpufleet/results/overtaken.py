"""Who went ahead of a job in its queue, and by which rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from gpufleet.results.blame import FOREVER_S, Blame, line
from gpufleet.results.then import Then, eligible

if TYPE_CHECKING:
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run


class Overtaken(NamedTuple):
    """Jobs that came to the same queue later and started first, on products that the job accepts."""

    jobs: int
    smaller: int  # of these, with fewer GPUs
    lines: tuple[Blame, ...]  # rules that let them


def overtaken(run: Run, row: Row, came: Then) -> Overtaken:
    """Who went ahead of a job, from first starts: one that never waited was overtaken by nobody."""
    lines = [line(run.plan, f"policy.{key}") for key, plain in _IN_TURN.items() if _policy(run, key) != plain]
    lines += _own_strict(run, row["queue"])
    if row["state"] == "refused" or not row["wait_s"]:
        return Overtaken(0, 0, ())
    until = row["start_s"] if row["start_s"] is not None else FOREVER_S
    ahead = run.scan_jobs().filter(
        pl.col("queue") == row["queue"],
        pl.col("eligible_s") > eligible(row),
        pl.col("start_s") < until,
        pl.col("product").is_in([product.name for product in came.products]),
    )
    counted = ahead.select(jobs=pl.len(), smaller=(pl.col("gpus") < row["gpus"]).sum())
    jobs, smaller = counted.collect(engine="streaming").row(0)
    return Overtaken(jobs, smaller, tuple(lines))


_IN_TURN: Final = {"order": "fifo", "strict": True, "backfill": "none"}
"""Settings with which no job overtakes another."""


def _policy(run: Run, key: str) -> object:
    return run.plan["policy"][key]


def _own_strict(run: Run, queue: str) -> list[Blame]:
    """Where a queue, or its tenant for it, says that others pass."""
    mine = run.plan["queues"][queue]
    if mine.get("strict") is not False:
        return []
    tenant = f"tenants.{mine['tenant']}"
    paths = [f"{tenant}.queues.{queue}.strict", f"{tenant}.strict"]
    return [line(run.plan, path) for path in paths if path in run.plan["lines"]][:1]
