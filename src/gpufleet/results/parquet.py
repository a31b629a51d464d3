"""Parquet files whose bytes depend on nothing but the rows: fixed settings, no time, no schema metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpufleet.results.column import Column, arrow_schema, strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROW_GROUP: Final = 1 << 17
"""Rows of a row group at most."""

MANY_VALUES: Final = ("name", "user")
"""Columns of text with so many values that a list of them all would be long."""

SOUGHT: Final = ("job", "submit_s", "t_s")
"""Columns by which rows are sought; only these have statistics, which cost more than the rest of writing."""


class TableWriter:
    """Writes rows of one table of `gpufleet.results.columns`, row group by row group.

    Holds at most ``ROW_GROUP`` rows that are not written yet, however small or large the batches are; so the
    bytes do not depend on how the rows were cut into batches.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.schema = coded_schema(columns)
        self.rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._n_pending = 0
        self._writer = pq.ParquetWriter(
            path,
            self.schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=strings(columns),
            column_encoding={c.name: "DELTA_BINARY_PACKED" for c in columns if c.dtype in ("i64", "i32")},
            write_statistics=[c.name for c in columns if c.name in SOUGHT],
            version="2.6",
            data_page_version="1.0",
            store_schema=False,
        )

    def write(self, arrays: Mapping[str, Any]) -> None:
        """Append rows.

        Args:   arrays: an Arrow or NumPy array for each column, all of one length.
        Raises: KeyError if a column is missing; OSError if the disk is full.
        """
        self.append(batch_of(self.schema, arrays))

    def append(self, batch: pa.RecordBatch) -> None:
        """Append rows as `batch_of` makes them.

        Raises: OSError if the disk is full.
        """
        self.rows += batch.num_rows
        at = 0
        while at < batch.num_rows:
            take = min(ROW_GROUP - self._n_pending, batch.num_rows - at)
            self._pending.append(batch.slice(at, take))
            self._n_pending += take
            at += take
            if self._n_pending == ROW_GROUP:
                self._flush()

    @property
    def pending(self) -> pa.Table:
        """Rows that are not in the file yet: the last ones, fewer than ``ROW_GROUP``."""
        return pa.Table.from_batches(self._pending, self.schema)

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._pending, self.schema).combine_chunks()
        self._pending, self._n_pending = [], 0
        self._writer.write_table(table, row_group_size=ROW_GROUP)

    def close(self) -> None:
        """Write what is left and the footer."""
        if self._pending:
            self._flush()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._pending = []
            self._close_quietly()

    def _close_quietly(self) -> None:
        """Let go of the file of a table that is given up; the error that made it so is the one to hear of."""
        try:
            self._writer.close()
        except OSError:
            return


def coded_schema(columns: Sequence[Column]) -> pa.Schema:
    """The schema in which rows are gathered: names of a few things travel as codes with a list of the names.

    In the file they are plain text, as `arrow_schema` says.
    """
    coded = pa.dictionary(pa.int32(), pa.string())
    kinds = {c.name: coded for c in columns if c.dtype == "str" and c.name not in MANY_VALUES}
    return pa.schema([f.with_type(kinds.get(f.name, f.type)) for f in arrow_schema(columns)])


def batch_of(schema: pa.Schema, arrays: Mapping[str, Any]) -> pa.RecordBatch:
    """Rows from an Arrow or NumPy array for each column; None: the column has no value.

    Raises: KeyError if a column is missing.
    """
    n = next(len(values) for values in arrays.values() if values is not None)
    fields = [_field(arrays[f.name], f.type, n) for f in schema]
    return pa.RecordBatch.from_arrays(fields, schema=schema)


def _field(values: Any, kind: pa.DataType, n: int) -> pa.Array:
    if values is None:
        return pa.nulls(n, kind)
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(array.type):
        array = array.cast(pa.string()).dictionary_encode()
    return array if array.type == kind else array.cast(kind)


def words(codes: NDArray[Any], names: Sequence[str]) -> pa.Array:
    """Names by code; a negative code is null. The names are kept once, and a code for each row.

    >>> words(np.array([1, -1]), ("a", "b")).to_pylist()
    ['b', None]
    """
    index = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(index, pa.array(names, pa.string()))


def optional(values: NDArray[Any]) -> pa.Array:
    """Numbers of which a negative one means that there is none.

    >>> optional(np.array([5, -1])).to_pylist()
    [5, None]
    """
    return pa.array(values, mask=values < 0)
