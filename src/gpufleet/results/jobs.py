"""Writes jobs.parquet: one row for each job, in batches as the engine finishes them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa

from gpufleet.results.columns import JOBS, ROOTS, WAITS
from gpufleet.results.parquet import TableWriter, optional, words
from gpufleet.world.layout import ORDER, REFUSALS, RESERVATION, STARTABLE, STATES, Jobs, Outcomes, World

if TYPE_CHECKING:
    import polars as pl

    from gpufleet.world.names import Names

BATCH: Final = 1 << 17
"""Rows that are turned into columns at once; bounds the memory of a large batch of outcomes."""

FROM_TABLE: Final = ("workload", "name", "user", "recorded_start_s", "recorded_end_s")


class JobsWriter:
    """Writes jobs.parquet from batches of outcomes. Memory is bounded by ``BATCH`` rows.

    Rows stand in the order in which the engine gives them; `Run.jobs` sorts by job number.
    """

    def __init__(self, path: Path, world: World, names: Names) -> None:
        """Args: world, names: what the codes of jobs and outcomes stand for."""
        self._world, self._names = world, names
        self._writer = TableWriter(path, JOBS)

    def write(self, outcomes: Outcomes, jobs: Jobs, table: pl.DataFrame, *, first_id: int = 0) -> None:
        """Append the rows of a batch.

        Args:   jobs: the jobs as arrays; table: of the demand, row i about row i of ``jobs``;
                first_id: id of row 0 of these two, for runs whose jobs come in chunks.
        Raises: ValueError if the waits of a job do not sum to its wait: the engine broke its own law.
        """
        _check_sums(outcomes)
        for at in range(0, len(outcomes.id), BATCH):
            part = Outcomes._make(column[at : at + BATCH] for column in outcomes)
            rows = part.id - first_id
            self._writer.write(
                {
                    **_table_columns(table, rows),
                    **self._job_columns(Jobs._make(column[rows] for column in jobs)),
                    **self._outcome_columns(part),
                }
            )

    def _job_columns(self, jobs: Jobs) -> dict[str, Any]:
        """What the job was when it came."""
        queue = self._world.classes.queue[jobs.cls]
        return {
            "tenant": words(self._world.queues.tenant[queue], self._names.tenants),
            "queue": words(queue, self._names.queues),
            "gpus": jobs.gpus,
            "priority": jobs.priority,
            "submit_s": jobs.submit_s,
            "limit_s": jobs.limit_s,
            "work_s": jobs.work_s,
        }

    def _outcome_columns(self, out: Outcomes) -> dict[str, Any]:
        """What became of it."""
        cells = self._world.cells
        ran = out.cell >= 0
        cell = np.where(ran, out.cell, 0)
        last = out.last_refusal
        columns: dict[str, Any] = {
            "job": out.id,
            "start_s": optional(out.start_s),
            "end_s": optional(out.end_s),
            "wait_s": out.wait_s,
            "run_s": out.run_s,
            "product": words(np.where(ran, _at(cells.product, cell), -1), self._names.products),
            "site": words(np.where(ran, _at(cells.site, cell), -1), self._names.sites),
            "state": words(out.state, STATES),
            "last_refusal": words(np.where(last == STARTABLE, -1, last), REFUSALS),
            "attempts": out.attempts,
            "preemptions": out.preemptions,
            "behind": optional(out.behind),
        }
        for name in WAITS:
            columns[f"wait_{name}_s"] = out.wait_by_refusal_s[:, REFUSALS.index(name)]
        for name in ROOTS:
            columns[f"root_{name}_s"] = out.wait_by_root_s[:, REFUSALS.index(name)]
        return columns

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._writer.rows

    def close(self) -> None:
        """Write what is left and the footer."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._writer.__exit__(kind, error, trace)


def _at(codes: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``codes[rows]``; a world without cells has none to look up."""
    return codes[rows] if codes.size else np.full(rows.shape, -1)


def _table_columns(table: pl.DataFrame, rows: np.ndarray[Any, Any]) -> dict[str, Any]:
    """What the trace says about these jobs; a job without a name is called by its number in the table."""
    import polars as pl

    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        part = table.select(FROM_TABLE).slice(int(rows[0]), len(rows))  # no copy
    else:
        part = table.select(FROM_TABLE)[rows]
    text = part.with_columns(pl.col("workload", "name", "user").cast(pl.String))
    return {name: _arrow(text.get_column(name)) for name in FROM_TABLE}


def _arrow(column: pl.Series) -> pa.Array:
    return column.to_arrow(compat_level=_compatible())


def _compatible() -> Any:
    """Plain Arrow types: Parquet writers know no string views."""
    import polars as pl

    return pl.CompatLevel.oldest()


def _check_sums(out: Outcomes) -> None:
    by_root = out.wait_by_root_s
    sums = (out.wait_by_refusal_s.sum(axis=1), by_root.sum(axis=1))
    odd = by_root[:, [STARTABLE, RESERVATION, ORDER]].any(axis=1) | out.wait_by_refusal_s[
        :, STARTABLE
    ].astype(bool)
    for total in sums:
        odd |= total != out.wait_s
    if odd.any():
        raise ValueError(f"waits of job {out.id[odd.argmax()]} do not sum to its wait")
