"""What is known of the jobs that are alive: those that have come and have not been written yet.

The engine numbers jobs and knows no names. A job's row is added when it comes and taken when its outcome is
written, so that memory is bounded by what is alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from gpufleet.base.arrays import Ints
    from gpufleet.world.demand import Batch

Array: TypeAlias = "np.ndarray[Any, Any]"
Rows: TypeAlias = dict[str, Any]
"""Columns of some jobs, NumPy or Arrow; None where no job has had a value so far."""

NUMBERS: Final = {
    "submit_s": np.int64,
    "gpus": np.int32,
    "work_s": np.float64,
    "cls": np.int32,
    "limit_s": np.int64,
    "priority": np.int32,
    "workload": np.int32,
}
RECORDED: Final = ("recorded_start_s", "recorded_end_s")
TEXTS: Final = ("name", "user")
OPTIONAL: Final = (*RECORDED, *TEXTS)
NOTHING: Final = int(np.iinfo(np.int64).min)
"""Stands for a recorded time that is not known."""

_LEAST_ROOM: Final = 1 << 12
_ID: Final = "id"


class Living:
    """Rows of jobs by their number.

    Numbers ascend as batches come, so rows are found by bisection. Rows that were taken stay until they are
    half of all; then they are squeezed out.
    """

    def __init__(self) -> None:
        self.next_id = 0
        """Number of the next job to come."""
        self._n = 0
        self._n_gone = 0
        self._gone: Array = np.zeros(0, bool)
        self._columns: dict[str, Array] = {_ID: np.zeros(0, np.int64)}
        self._columns |= {name: np.zeros(0, kind) for name, kind in NUMBERS.items()}
        self._users: dict[str, int] = {}  # codes: users have many jobs

    @property
    def n(self) -> int:
        """Jobs that are alive."""
        return self._n - self._n_gone

    def add(self, batch: Batch) -> None:
        """Add the jobs of the next batch."""
        n = len(batch.jobs.gpus)
        self._make_room(n)
        here = slice(self._n, self._n + n)
        self._columns[_ID][here] = np.arange(self.next_id, self.next_id + n)
        given = {**batch.jobs._asdict(), "workload": batch.table.get_column("workload").to_numpy()}
        for name in NUMBERS:
            self._columns[name][here] = given[name]
        for name in OPTIONAL:
            self._add_optional(name, batch.table.get_column(name), here)
        self._gone[here] = False
        self._n += n
        self.next_id += n

    def _add_optional(self, name: str, values: pl.Series, here: slice) -> None:
        """A column that most runs do not have exists from the first value on."""
        if values.null_count() < len(values):
            if name not in self._columns:
                self._columns[name] = _empty(name, len(self._gone))
            self._columns[name][here] = self._stored(name, values)
        elif name in self._columns:
            self._columns[name][here] = _empty(name, 1)[0]

    def _stored(self, name: str, values: pl.Series) -> Array:
        """Values as they are kept: users by code, an unknown time as `NOTHING`."""
        if name == "user":
            return self._user_codes(values)
        return values.fill_null(NOTHING).to_numpy() if name in RECORDED else values.to_numpy()

    def _user_codes(self, values: pl.Series) -> Array:
        import pyarrow as pa

        coded = pa.array(values.to_arrow()).cast(pa.string()).dictionary_encode()
        known = [self._users.setdefault(user, len(self._users)) for user in coded.dictionary.to_pylist()]
        table = np.array([*known, -1], np.int32)
        codes: Array = table[coded.indices.fill_null(len(known)).to_numpy()]
        return codes

    def take(self, ids: Ints) -> Rows:
        """Give the rows of these jobs and forget them.

        Args:   ids: numbers of jobs that are alive, each once, in any order.
        Raises: KeyError if one is not alive.
        """
        rows = np.searchsorted(self._columns[_ID][: self._n], ids)
        there = rows < self._n
        if not there.all() or not (self._columns[_ID][rows] == ids).all() or self._gone[rows].any():
            raise KeyError("a job is written that is not alive")
        self._gone[rows] = True
        self._n_gone += len(rows)
        return {name: self._column(name, rows) for name in (*NUMBERS, *OPTIONAL)}

    def _column(self, name: str, rows: Array) -> Any:
        """Some rows of a column: numbers as NumPy, the others as Arrow, None if the column does not exist."""
        import pyarrow as pa

        if name not in self._columns:
            return None
        values = self._columns[name][rows]
        if name in RECORDED:
            return pa.array(values, mask=values == NOTHING)
        if name == "user":
            codes = pa.array(values, mask=values < 0)
            return pa.DictionaryArray.from_arrays(
                codes, pa.array(list(self._users), pa.string())
            ).dictionary_decode()
        return pa.array(values, pa.string()) if name == "name" else values

    def _make_room(self, n: int) -> None:
        """Room for so many rows more, by squeezing out rows that are gone, or by growing to the double."""
        room = len(self._gone)
        if self._n + n <= room and 2 * self._n_gone <= self._n:
            return
        kept = np.flatnonzero(~self._gone[: self._n])
        if len(kept) + n > room // 2:
            room = max(2 * (len(kept) + n), _LEAST_ROOM)
        self._columns = {name: _moved(column, kept, room) for name, column in self._columns.items()}
        self._gone = np.zeros(room, bool)
        self._n, self._n_gone = len(kept), 0

    # --- on disk

    def to_arrow(self) -> pa.Table:
        """All rows of jobs that are alive."""
        import pyarrow as pa

        kept = np.flatnonzero(~self._gone[: self._n])
        names = [name for name in (*NUMBERS, *OPTIONAL) if name in self._columns]
        return pa.table({_ID: self._columns[_ID][kept], **{name: self._column(name, kept) for name in names}})

    @classmethod
    def from_arrow(cls, table: pa.Table, next_id: int) -> Living:
        """What `to_arrow` gave.

        Raises: KeyError if it is something else.
        """
        import polars as pl

        living, n = cls(), table.num_rows
        living._gone = np.zeros(n, bool)
        for name in (_ID, *NUMBERS):
            living._columns[name] = table.column(name).to_numpy().copy()
        for name in OPTIONAL:
            if name in table.column_names:
                values = pl.from_arrow(table.column(name))
                living._add_optional(name, pl.Series(name, values), slice(0, n))
        living._n, living.next_id = n, next_id
        return living


def _empty(name: str, room: int) -> Array:
    """A column without a value."""
    if name == "user":
        return np.full(room, -1, np.int32)
    return np.full(room, NOTHING, np.int64) if name in RECORDED else np.full(room, None, object)


def _moved(column: Array, kept: Array, room: int) -> Array:
    """The rows that are kept, at the front of a column with more room."""
    new = np.empty(room, column.dtype)
    new[: len(kept)] = column[kept]
    return new
