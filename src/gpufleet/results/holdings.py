"""Who held which GPUs at a second of a run, from its jobs and its preemptions.

A job that was preempted has several attempts. The first begins with its first start, each but the last ends
with a preemption, and what is left of its run time is the last one; so all attempts of a job that was
preempted once are known. Between two preemptions of one job the start of its attempt is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run

NEVER_S = 1 << 62


class Attempt(NamedTuple):
    """One time that a job held its GPUs."""

    start_s: int | None  # None = not known: after the preemption before it
    end_s: int | None  # None = it ran on when the run ended


class Unsure(NamedTuple):
    """A job of which it is not known whether it ran."""

    job: int
    queue: str
    gpus: int


class Holdings(NamedTuple):
    """GPUs held at a second."""

    gpus: dict[tuple[str, str], int]  # by queue and product
    unsure: tuple[Unsure, ...]


def attempts_of(row: Row, preempted_s: list[int], ended_s: int) -> list[Attempt]:
    """The attempts of a job, in their order.

    Args: row: of jobs.parquet; preempted_s: when it was preempted, ascending; ended_s: when the run ended.

    >>> job = {"start_s": 10, "end_s": 100, "run_s": 60, "attempts": 2, "preemptions": 1}
    >>> attempts_of(job, [30], 1000)
    [Attempt(start_s=10, end_s=30), Attempt(start_s=60, end_s=100)]
    """
    if row["start_s"] is None:
        return []
    starts: list[int | None] = [row["start_s"], *(None for _ in range(row["attempts"] - 1))]
    ends: list[int | None] = [*preempted_s, row["end_s"]][: row["attempts"]]
    if row["attempts"] == 2:
        until = ended_s if ends[1] is None else ends[1]
        starts[1] = until - (row["run_s"] - (preempted_s[0] - row["start_s"]))
    return [Attempt(*pair) for pair in zip(starts, ends, strict=True)]


def holdings_at(run: Run, t_s: int) -> Holdings:
    """What every queue held at a second, when all that happened at it had happened."""
    alive = run.scan_jobs().filter(
        pl.col("start_s") <= t_s, pl.col("end_s").is_null() | (pl.col("end_s") > t_s)
    )
    steady = alive.filter(pl.col("preemptions") == 0).group_by("queue", "product")
    counted = steady.agg(pl.col("gpus").cast(pl.Int64).sum()).sort("queue", "product")
    gpus = {(queue, product): n for queue, product, n in counted.collect(engine="streaming").iter_rows()}
    columns = (
        "job",
        "queue",
        "workload",
        "gpus",
        "product",
        "start_s",
        "end_s",
        "run_s",
        "attempts",
        "preemptions",
    )
    moved = alive.filter(pl.col("preemptions") > 0).select(columns).collect(engine="streaming").sort("job")
    events = _events(run, moved)
    unsure = []
    for row in moved.iter_rows(named=True):
        held, product = _held(run, row, events.get(row["job"], []), t_s)
        if held is None:
            unsure.append(Unsure(row["job"], row["queue"], row["gpus"]))
        elif held:
            key = row["queue"], product
            gpus[key] = gpus.get(key, 0) + row["gpus"]
    return Holdings(gpus, tuple(unsure))


def _events(run: Run, jobs: pl.DataFrame) -> dict[int, list[tuple[int, str | None]]]:
    """When each of some jobs was preempted, and on which product it ran."""
    rows = run.preemptions.filter(pl.col("victim").is_in(jobs["job"].to_list()))
    found: dict[int, list[tuple[int, str | None]]] = {}
    for victim, t_s, product in rows.select("victim", "t_s", "product").iter_rows():
        found.setdefault(victim, []).append((t_s, product))
    return found


def _held(run: Run, row: Row, events: list[tuple[int, str | None]], t_s: int) -> tuple[bool | None, str]:
    """Whether a job that was preempted held its GPUs at a second (None: not known), and of which product."""
    if len(events) != row["preemptions"]:  # a node that was taken away stands in no table
        return None, ""
    times, ended_s = [t for t, _ in events], int(run.measures_json["clock"]["ended_s"])
    last = str(row["product"])
    known = [*(product for _, product in events), last]
    before = 0
    for attempt, product in zip(attempts_of(row, times, ended_s), known, strict=False):
        end_s = NEVER_S if attempt.end_s is None else attempt.end_s
        if attempt.start_s is None and before <= t_s < end_s:
            return None, ""
        if attempt.start_s is not None and attempt.start_s <= t_s < end_s:
            return (True, product) if product else (None, "")
        before = end_s
    return False, ""
