"""Finds a job of a run by what people call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet.base.errors import nearest
from gpufleet.base.say import say
from gpufleet.results.codes import AMBIGUOUS_JOB, NO_JOB, fail

if TYPE_CHECKING:
    from gpufleet.results.run import Run

Row = dict[str, Any]

MOST_LISTED: Final = 10
MOST_COMPARED: Final = 5_000
"""Names that are looked through for the likely one."""


def find_job(run: Run, job: int | str) -> Row:
    """The row of a job.

    Args:   job: its number; or as text: a number, ``#number``, its name in the trace, or ``workload/name``.
    Raises: GpufleetError R006 if there is no such job, R007 if several are called so.
    """
    found = _matches(run, str(job), number_only=isinstance(job, int))
    if not found:
        fail(NO_JOB, _nothing(run, str(job)), _suggestion(run, str(job)))
    if len(found) > 1:
        listed = [f"#{r['job']} ({called(r)})" for r in found[:MOST_LISTED]]
        means = {"name": str(job), "jobs": len(found), "listed": listed}
        says = say("`{name}` means {jobs:,} jobs: {listed:, }", **means)
        if len(found) > MOST_LISTED:
            more = len(found) - MOST_LISTED
            says = say("`{name}` means {jobs:,} jobs: {listed:, } and {more:,} more", **means, more=more)
        fail(AMBIGUOUS_JOB, says, say("name one by its number, e.g. `#{number}`", number=found[0]["job"]))
    return row_of(run, found[0]["job"])


def row_of(run: Run, number: int) -> Row:
    """The row of the job with that number; it must exist."""
    found = run.scan_jobs().filter(pl.col("job") == number).collect(engine="streaming")
    return found.row(0, named=True)


def called(row: Row) -> str:
    """A job by its workload and name; generated jobs have a number only.

    >>> called({"job": 17, "workload": "research", "name": None})
    'research/#17'
    """
    return f"{row['workload']}/{row['name'] or '#' + str(row['job'])}"


def _matches(run: Run, word: str, *, number_only: bool) -> list[Row]:
    """Number, workload and name of all jobs that a word may mean, by number."""
    number = _is_number(word.removeprefix("#"))
    if number_only or word.startswith("#"):
        meant = number
    else:
        workload, _, name = word.partition("/")
        of_number = _is_number(name[1:]) if name.startswith("#") else pl.lit(False)
        both = (pl.col("workload") == workload) & ((pl.col("name") == name) | of_number)
        meant = number | (pl.col("name") == word) | both
    found = run.scan_jobs().filter(meant).select("job", "workload", "name").collect(engine="streaming")
    return list(found.sort("job").iter_rows(named=True))


def _is_number(digits: str) -> pl.Expr:
    """Whether a job has this number; false for what is none."""
    return pl.col("job") == int(digits) if digits.isdecimal() and len(digits) < 19 else pl.lit(False)


def _nothing(run: Run, word: str) -> str:
    n = run.scan_jobs().select(pl.len()).collect().item()
    if not n:
        return say(
            "no job, lot, promise, tenant or training is called `{name}`; the run has no jobs", name=word
        )
    return say(
        "no job, lot, promise, tenant or training is called `{name}`; jobs are numbered 0 to {last:,}",
        name=word,
        last=n - 1,
    )


def _suggestion(run: Run, word: str) -> str:
    names = run.scan_jobs().select("name").drop_nulls().head(MOST_COMPARED).collect(engine="streaming")
    lots = [name for name in run.plan["deliveries"] if not name.startswith("#")]  # `why` takes them too
    parts = [*lots, *run.plan["promises"], *run.plan["tenants"], *run.plan.get("trainings", {})]
    known = [*names.get_column("name").to_list(), *parts]
    likely = nearest(word, known)
    if likely:
        return say("did you mean `{close}`?", close=likely)
    if not parts:
        return say("see the columns job and name of jobs.parquet")
    some = [next(iter(run.plan[each]), None) for each in ("deliveries", "promises", "tenants")]
    return say(
        "name a job by its number, or a lot, promise or tenant, such as {names}",
        names=[f"`{name}`" for name in some if name in parts],
    )
