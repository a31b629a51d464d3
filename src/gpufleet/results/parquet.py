"""Parquet files whose bytes depend on nothing but the rows: fixed settings, no time, no schema metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpufleet.results.columns import Column, arrow_schema, strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROW_GROUP: Final = 1 << 17
"""Rows of a row group at most."""

SOUGHT: Final = ("job", "submit_s", "t_s")
"""Columns by which rows are sought; only these have statistics, which cost more than the rest of writing."""


class TableWriter:
    """Writes rows of one table of `gpufleet.results.columns`, row group by row group.

    Holds at most ``ROW_GROUP`` rows that are not written yet, however small or large the batches are; so the
    bytes do not depend on how the rows were cut into batches.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.schema = arrow_schema(columns)
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
        fields = [self._field(arrays[f.name], f.type) for f in self.schema]
        batch = pa.RecordBatch.from_arrays(fields, schema=self.schema)
        self.rows += batch.num_rows
        at = 0
        while at < batch.num_rows:
            take = min(ROW_GROUP - self._n_pending, batch.num_rows - at)
            self._pending.append(batch.slice(at, take))
            self._n_pending += take
            at += take
            if self._n_pending == ROW_GROUP:
                self._flush()

    def _field(self, values: Any, kind: pa.DataType) -> pa.Array:
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        return array if array.type == kind else array.cast(kind)

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


def words(codes: NDArray[Any], names: Sequence[str]) -> pa.Array:
    """Names by code as text; a negative code is null.

    >>> words(np.array([1, -1]), ("a", "b")).to_pylist()
    ['b', None]
    """
    index = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(index, pa.array(names, pa.string())).dictionary_decode()


def optional(values: NDArray[Any]) -> pa.Array:
    """Numbers of which a negative one means that there is none.

    >>> optional(np.array([5, -1])).to_pylist()
    [5, None]
    """
    return pa.array(values, mask=values < 0)
