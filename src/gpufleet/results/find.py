"""Finds a job of a run by what people call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet.base.errors import nearest
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
        listed = [f"#{r['job']} ({r['workload']}/{r['name']})" for r in found[:MOST_LISTED]]
        more = f" and {len(found) - MOST_LISTED:,} more" if len(found) > MOST_LISTED else ""
        says = f"`{job}` means {len(found):,} jobs: {', '.join(listed)}{more}"
        fail(AMBIGUOUS_JOB, says, f"name one by its number, e.g. `#{found[0]['job']}`")
    return row_of(run, found[0]["job"])


def row_of(run: Run, number: int) -> Row:
    """The row of the job with that number; it must exist."""
    return run.scan_jobs().filter(pl.col("job") == number).collect().row(0, named=True)


def _matches(run: Run, word: str, *, number_only: bool) -> list[Row]:
    """Number, workload and name of all jobs that a word may mean, by number."""
    digits = word.removeprefix("#")
    number = pl.lit(False)
    if digits.isdecimal() and len(digits) < 19:
        number = pl.col("job") == int(digits)
    if number_only or word.startswith("#"):
        meant = number
    else:
        workload, _, name = word.partition("/")
        both = (pl.col("workload") == workload) & (pl.col("name") == name)
        meant = number | (pl.col("name") == word) | both
    found = run.scan_jobs().filter(meant).select("job", "workload", "name").sort("job").collect()
    return list(found.iter_rows(named=True))


def _nothing(run: Run, word: str) -> str:
    n = run.scan_jobs().select(pl.len()).collect().item()
    return f"no job is called `{word}`; {f'jobs are numbered 0 to {n - 1:,}' if n else 'the run has no jobs'}"


def _suggestion(run: Run, word: str) -> str:
    names = run.scan_jobs().select("name").head(MOST_COMPARED).collect().get_column("name")
    likely = nearest(word, names.to_list())
    return f"did you mean `{likely}`?" if likely else "see the columns job and name of jobs.parquet"
