"""Writes the jobs table: one row for each job, in batches as the engine finishes them.

Up to `PART_ROWS` rows it is the file jobs.parquet; more are a folder of that name with files of `PART_ROWS`
rows each. While a run goes on, the files stand in the folder jobs.parts; `gpufleet.results.checkpoint` keeps
beside them what a run needs to go on from the last of these files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa

from gpufleet.results.checkpoint import PARTS, drop, part_name
from gpufleet.results.columns import JOBS, ROOTS, WAITS
from gpufleet.results.living import Living, Rows
from gpufleet.results.parquet import TableWriter, batch_of, coded_schema, optional, words
from gpufleet.results.swap import sync_file, sync_folder
from gpufleet.world.layout import ORDER, REFUSALS, STARTABLE, STATES, Outcomes, World
from gpufleet.world.names import PROJECT

if TYPE_CHECKING:
    from gpufleet.world.demand import Batch
    from gpufleet.world.names import Names

BATCH: Final = 1 << 17
"""Rows that are turned into columns at once; bounds the memory of a large batch of outcomes."""

PART_ROWS: Final = 1 << 22
"""Rows of a file; the last one may have fewer. A run can go on after each file that is done."""

_LIVING_COLUMNS: Final = ("name", "user", "recorded_start_s", "recorded_end_s")


class JobsWriter:
    """Writes the jobs table from the jobs that come and the outcomes that follow.

    Memory is bounded by the jobs that are alive and a few batches. Rows stand in the order in which the
    engine gives them; `Run.jobs` sorts by job number. The bytes do not depend on how jobs and outcomes are
    cut into batches.
    """

    def __init__(
        self,
        path: Path,
        world: World,
        names: Names,
        *,
        part_rows: int = PART_ROWS,
        living: Living | None = None,
    ) -> None:
        """Args:
        path: of the table; world, names: what the codes of jobs and outcomes stand for.
        part_rows: rows of a file.
        living: jobs that have come already, of a run that goes on.
        """
        self.path, self.part_rows = path, part_rows
        self.folder = path.with_name(PARTS)
        self.folder.mkdir(exist_ok=True)
        self.parts = 0
        """Files that are done."""
        self.rows = 0
        """Rows given so far."""
        self.living = living or Living()
        self._world, self._names = world, names
        self._project_of_class = _projects(world, names)
        self._schema = coded_schema(JOBS)
        self._table: TableWriter | None = None

    def add(self, batch: Batch) -> None:
        """Take note of the jobs that come next."""
        self.living.add(batch)

    def write(self, outcomes: Outcomes) -> None:
        """Append the rows of a batch; their jobs are alive no more.

        Raises: ValueError if the waits of a job do not sum to its wait: the engine broke its own law;
                KeyError if a job has not come or was written before; OSError if the disk is full.
        """
        _check_sums(outcomes)
        for at in range(0, len(outcomes.id), BATCH):
            part = Outcomes._make(column[at : at + BATCH] for column in outcomes)
            rows = self.living.take(part.id)
            self.append(
                batch_of(self._schema, {**self._job_columns(rows), **self._outcome_columns(part, rows)})
            )

    def append(self, batch: pa.RecordBatch) -> None:
        """Append rows that are columns already, and close each file that is full."""
        at = 0
        while at < batch.num_rows:
            table = self._table or self._new_table()
            take = min(self.part_rows - table.rows, batch.num_rows - at)
            table.append(batch.slice(at, take))
            at, self.rows = at + take, self.rows + take
            if table.rows == self.part_rows:
                self._close_part()

    def _new_table(self) -> TableWriter:
        self._table = TableWriter(self.folder / part_name(self.parts), JOBS)
        return self._table

    def _close_part(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None
            sync_file(self.folder / part_name(self.parts))
            self.parts += 1

    def go_on(self, parts: int, tail: Sequence[pa.RecordBatch]) -> None:
        """Go on behind files that an earlier run has left; ``tail`` are its rows after these."""
        self.parts, self.rows = parts, parts * self.part_rows
        for batch in tail:
            self.append(batch.cast(self._schema))

    @property
    def tail(self) -> pa.Table | None:
        """Rows given after the last file that is done; None if some of them are in a file already."""
        if self._table is None:
            return self._schema.empty_table()
        pending = self._table.pending
        return pending if pending.num_rows == self._table.rows else None

    def _job_columns(self, rows: Rows) -> dict[str, Any]:
        """What the job was when it came."""
        queue = self._world.classes.queue[rows["cls"]]
        return {
            "workload": words(rows["workload"], self._names.workloads),
            "tenant": words(self._world.queues.tenant[queue], self._names.tenants),
            "queue": words(queue, self._names.queues),
            "project": words(self._project_of_class[rows["cls"]], self._names.accounts),
            **{name: rows[name] for name in ("gpus", "priority", "submit_s", "limit_s", "work_s")},
            **{name: rows[name] for name in _LIVING_COLUMNS},
        }

    def _outcome_columns(self, out: Outcomes, rows: Rows) -> dict[str, Any]:
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
            "eligible_s": optional(np.where(out.held_s < 0, -1, rows["submit_s"] + out.held_s)),
            "last_refusal": words(np.where(last == STARTABLE, -1, last), REFUSALS),
            "attempts": out.attempts,
            "preemptions": out.preemptions,
            "failures": out.failures,
            "lost_s": out.lost_s,
            "slowed_s": out.slowed_s,
            "behind": optional(out.behind),
        }
        for name in WAITS:
            columns[f"wait_{name}_s"] = out.wait_by_refusal_s[:, REFUSALS.index(name)]
        for name in ROOTS:
            columns[f"root_{name}_s"] = out.wait_by_root_s[:, REFUSALS.index(name)]
        return columns

    def close(self) -> None:
        """Write what is left, and give the table its name: of a file if it is one, else of a folder."""
        if self._table is None and not self.parts:
            self._new_table()
        self._close_part()
        drop(self.folder)
        if self.parts == 1:
            (self.folder / part_name(0)).replace(self.path)
            self.folder.rmdir()
        else:
            sync_folder(self.folder)
            self.folder.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif self._table is not None:
            self._table.__exit__(kind, error, trace)


def _projects(world: World, names: Names) -> np.ndarray[Any, Any]:
    """The account of each class that is a project's, -1 = none."""
    found = np.full(len(world.classes.queue), -1, np.int64)
    if world.accounts is not None:
        is_project = np.array([kind == PROJECT for kind in names.account_kinds])
        for column in world.accounts.of_class.T:
            mine = (column >= 0) & is_project[column]
            found[mine] = column[mine]
    return found


def _at(codes: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``codes[rows]``; a world without cells has none to look up."""
    return codes[rows] if codes.size else np.full(rows.shape, -1)


def _check_sums(out: Outcomes) -> None:
    by_root = out.wait_by_root_s
    sums = (out.wait_by_refusal_s.sum(axis=1), by_root.sum(axis=1))
    odd = by_root[:, [STARTABLE, ORDER]].any(axis=1) | out.wait_by_refusal_s[:, STARTABLE].astype(bool)
    for total in sums:
        odd |= total != out.wait_s
    if odd.any():
        raise ValueError(f"waits of job {out.id[odd.argmax()]} do not sum to its wait")
