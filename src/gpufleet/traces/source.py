"""A file opened in its format: rows as batches of text columns, whatever they are stored as."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl

from gpufleet.base.say import say
from gpufleet.traces.cells import Clock, date_time
from gpufleet.traces.detect import by_columns, header, layout_of
from gpufleet.traces.findings import fault, listed
from gpufleet.traces.formats import Format, Table
from gpufleet.traces.lines import Chunk, chunks, container

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

Batch: TypeAlias = tuple[pl.DataFrame, pl.Series]  # text columns, and which rows have all their fields
_ROWS: Final = 500_000  # of a Parquet file, turned into text at once


@dataclass(frozen=True)
class Source:
    """A trace file whose format is known."""

    layout: Format
    table: Table
    batches: Iterator[Batch]
    dated: bool  # its times lie on the calendar


def open_trace(path: Path, format_name: str, clock: Clock, queue_column: str | None) -> Source:
    """Open a file, find its format, and set out to read its rows.

    Raises: GpufleetError T001 to T006, T008, T009, T012; also while the batches are taken.
    """
    if container(path) == "parquet":
        return _open_parquet(path, format_name, clock, queue_column)
    stream = (_with_text(chunk) for chunk in chunks(path))
    text = next((lines for lines in stream if lines.len()), None)
    if text is None:
        raise fault("T004", path, "the file has no line with text in it", "check how it was written")
    layout = layout_of(format_name, text[0].strip(), path).with_queue(queue_column)
    comments = text.filter(text.str.starts_with(layout.comment)).to_list() if layout.comment else []
    zero = layout.zero(comments)
    if zero is not None:
        clock = Clock(clock.epoch_s, zero - clock.epoch_s, clock.time_zone)
    table = Table(layout, header(text[0], layout), path, clock)
    bodies = chain([text if layout.header else text.slice(1)], stream)
    dated = zero is not None or table.reader("submit_s") is date_time
    return Source(layout, table, _text_batches(table, bodies), dated)


def _with_text(chunk: Chunk) -> pl.Series:
    return chunk.lines.filter(chunk.lines.str.contains(r"\S"))


def _text_batches(table: Table, bodies: Iterable[pl.Series]) -> Iterator[Batch]:
    comment = table.layout.comment
    for lines in bodies:
        rows = lines.filter(~lines.str.starts_with(comment)) if comment else lines
        if rows.len():
            yield table.split(rows)


def _open_parquet(path: Path, format_name: str, clock: Clock, queue_column: str | None) -> Source:
    from pyarrow import parquet

    file: ParquetFile = _guarded(path, lambda: parquet.ParquetFile(path))
    names = [str(name) for name in file.schema_arrow.names]
    layout = by_columns(names, path) if format_name == "auto" else layout_of(format_name, "", path)
    if layout.header or not layout.quotes:
        raise fault("T005", path, f"{layout.name} is a text format; this is Parquet", "give format: gpufleet")
    table = Table(layout.with_queue(queue_column), names, path, clock)
    return Source(
        table.layout, table, _parquet_batches(path, file, table), table.reader("submit_s") is date_time
    )


def _parquet_batches(path: Path, file: ParquetFile, table: Table) -> Iterator[Batch]:
    columns = {name: table.found[at] for name, at in table.wanted.items()}
    _refuse_kinds(path, file, list(columns.values()))
    nothing = dict.fromkeys(table.layout.nothing)
    batches = file.iter_batches(_ROWS, columns=list(columns.values()))
    while (batch := _guarded(path, lambda: next(batches, None))) is not None:
        arrow = {name: batch.column(batch.schema.get_field_index(column)) for name, column in columns.items()}
        cells = [_as_text(pl.Series(name, array)).replace(nothing) for name, array in arrow.items()]
        yield pl.DataFrame(cells), pl.Series("whole", [True], pl.Boolean).new_from_index(0, batch.num_rows)


def _refuse_kinds(path: Path, file: ParquetFile, columns: list[str]) -> None:
    """Columns that are neither text, numbers nor times."""
    from pyarrow import types

    for name in columns:
        kind = file.schema_arrow.field(name).type
        value = kind.value_type if types.is_dictionary(kind) else kind
        usable = (
            types.is_string,
            types.is_large_string,
            types.is_integer,
            types.is_floating,
            types.is_decimal,
        )
        if not any(fits(value) for fits in (*usable, types.is_timestamp, types.is_date, types.is_null)):
            says = say("column {name} holds {kind}, neither text, numbers nor times", name=name, kind=kind)
            raise fault("T006", path, says, f"write {listed([name])} as text or numbers")


def _as_text(cells: pl.Series) -> pl.Series:
    if isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone is not None:
        return cells.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    return cells.cast(pl.String)


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    """What a step of reading Parquet gives; what the library raises of a damaged file becomes T002."""
    from pyarrow import ArrowException

    try:
        return read()
    except (ArrowException, OSError, ValueError) as error:
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        says = say("the Parquet data is damaged or cut off: {why}", why=why)
        raise fault("T002", path, says, "get or write the file again") from None
