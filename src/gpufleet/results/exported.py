"""The tables of a run as other programs get them: rows in pieces, and what their columns are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from gpufleet.results import folder
from gpufleet.results.column import Column, DType
from gpufleet.results.columns import TABLES
from gpufleet.results.run import Run

ABOUT: Final = "about"
ROWS: Final = 1 << 16
"""Rows that are in memory at one time."""

Kind = dict[str, pl.DataType | type[pl.DataType]]
_TYPES: Final[Kind] = {
    "i64": pl.Int64,
    "i32": pl.Int32,
    "f64": pl.Float64,
    "str": pl.String,
    "bool": pl.Boolean,
}


def _column(name: str, dtype: DType, unit: str, meaning: str) -> Column:
    return Column(name, dtype, unit, meaning, nullable=True)


_MEASURES: Final = (
    _column("name", "str", "", "name of the measure"),
    _column("unit", "str", "", "unit of the value"),
    _column("value", "f64", "", "the value; empty: the run has none"),
    _column("formula", "str", "", "how it comes about"),
)
_LEDGER: Final = (
    _column("name", "str", "", "a measure, or a path of the plan"),
    _column("value", "f64", "", "the value, if it is a number"),
    _column("text", "str", "", "the value, if it is no number"),
    _column("unit", "str", "", "unit of the value"),
    _column("by", "str", "", "what the measure is for, such as tenant=research"),
    _column("formula", "str", "", "how it comes about"),
    _column("inputs", "str", "", "what it is made of"),
    _column("plan_line", "str", "", "line of the plan behind it"),
    _column("source", "str", "", "source that the plan names"),
    _column("trust", "str", "", "stated, estimate or assumption"),
)
_FINDINGS: Final = (
    _column("severity", "str", "", "warning, or note"),
    _column("code", "str", "", "code of the finding"),
    _column("title", "str", "", "what kind of finding it is"),
    _column("says", "str", "", "what was found"),
    _column("fix", "str", "", "what to do about it"),
    _column("at", "str", "", "where: file and line, or cell"),
)
_ABOUT: Final = (
    _column("table", "str", "", "table that has the column"),
    _column("column", "str", "", "name of the column"),
    _column("type", "str", "", "i64 and i32: whole numbers; f64: numbers; str: text; bool: true or false"),
    _column("unit", "str", "", "unit of its values"),
    _column("meaning", "str", "", "what its values are"),
    _column("formula", "str", "", "how they come about"),
)


@dataclass(frozen=True)
class RunTable:
    """A table of a run, read in pieces; there is always a first piece, if of no rows."""

    name: str
    columns: tuple[Column, ...]
    rows: int
    frames: Callable[[], Iterator[pl.DataFrame]]


def table_names(run: Run) -> list[str]:
    """Tables that a run has.

    >>> table_names(run)  # doctest: +SKIP
    ['jobs', 'timeline', 'supply', 'shortage', 'measures', 'ledger', 'findings']
    """
    stored = [name for name in TABLES if (run.path / f"{name}.parquet").exists()]
    return [*stored, "measures", "ledger", "findings"]


def read_table(run: Run, name: str) -> RunTable:
    """A table of a run; `name` as in `table_names`."""
    if name in TABLES:
        return _stored(run.path / f"{name}.parquet", name)
    if name == "measures":
        dims = [c for c in run.measures.columns if c not in {known.name for known in _MEASURES}]
        inner = [_column(dim, "str", "", f"for which {dim}; empty: over all") for dim in dims]
        return _whole(name, (*_MEASURES[:3], *inner, *_MEASURES[3:]), run.measures.to_dicts())
    if name == "ledger":
        return _whole(name, _LEDGER, [_entry(entry) for entry in run.ledger["entries"]])
    notes = [{"severity": "note", "says": note} for note in run.notes]
    return _whole(name, _FINDINGS, [*run.findings, *notes])


def _stored(path: Path, name: str) -> RunTable:
    """A Parquet file, or a folder of such files, read row group by row group in their order."""
    import pyarrow.parquet as pq

    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]

    def frames() -> Iterator[pl.DataFrame]:
        yield _empty(TABLES[name])
        for file in files:
            with pq.ParquetFile(file) as table:
                for batch in table.iter_batches(ROWS):
                    yield pl.DataFrame(batch, schema_overrides=_schema(TABLES[name]))

    return RunTable(name, TABLES[name], sum(pq.read_metadata(file).num_rows for file in files), frames)


def _whole(name: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> RunTable:
    """A table that fits into memory."""
    values = {column.name: [row.get(column.name) for row in rows] for column in columns}
    frame = pl.DataFrame(values, schema=_schema(columns))
    return RunTable(name, tuple(columns), frame.height, lambda: iter([frame]))


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the ledger as one row: a value is a number or a text."""
    value = entry["value"]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        **entry,
        "value": float(value) if is_number else None,
        "text": None if is_number or value is None else _text(value),
        "by": ", ".join(f"{key}={item}" for key, item in entry["by"].items()) or None,
        "inputs": ", ".join(map(str, entry["inputs"])) or None,
        "source": entry.get("source"),
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else folder.dump_json(value).replace("\n", "").strip()


def about_tables(tables: Sequence[RunTable]) -> RunTable:
    """What the columns of tables are."""
    rows = [
        {
            "table": table.name,
            "column": column.name,
            "type": column.dtype,
            "unit": column.unit or None,
            "meaning": column.meaning,
            "formula": column.formula or None,
        }
        for table in tables
        for column in table.columns
    ]
    return _whole(ABOUT, _ABOUT, rows)


def _schema(columns: Sequence[Column]) -> Kind:
    return {column.name: _TYPES[column.dtype] for column in columns}


def _empty(columns: Sequence[Column]) -> pl.DataFrame:
    return pl.DataFrame(schema=_schema(columns))
