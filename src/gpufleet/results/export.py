"""Tables of a run for other programs: CSV, Excel or Parquet files.

Every file is written beside its place and moved there when all of them are whole.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gpufleet.base.errors import did_you_mean, explain_code
from gpufleet.base.say import say
from gpufleet.results.codes import fail
from gpufleet.results.exported import RunTable, about_tables, read_table, table_names
from gpufleet.results.run import Run
from gpufleet.results.xlsx import MAX_ROWS, MAX_TEXT, Sheet, TooLongError, write_xlsx

NO_TABLE: Final = explain_code(
    "R020",
    "no such table in the run",
    "A run has the tables jobs, timeline, measures, ledger and findings; supply and shortage too, if its "
    "plan has deliveries or promises; preemptions and quotas, if its queues share; "
    "licences, if a site has a country.",
    "gpufleet export runs/first measures jobs",
).code
TOO_MANY_ROWS: Final = explain_code(
    "R021",
    "more rows than a sheet of Excel holds",
    "A sheet has 1,048,576 rows at most, its header among them. CSV and Parquet files have no such limit.",
    "gpufleet export runs/first measures timeline --format xlsx     # without the jobs",
).code
THERE: Final = explain_code(
    "R022",
    "an exported file is there already",
    "An export replaces a file only when told to.",
    "gpufleet export runs/first --out tables --force",
).code
WRONG_PLACE: Final = explain_code(
    "R023",
    "tables cannot be exported to that place",
    "Excel holds all tables in one file; CSV and Parquet files hold one table each, so several go to a "
    "folder. A run folder holds nothing but the run.",
    "gpufleet export runs/first --format xlsx --out first.xlsx\n"
    "gpufleet export runs/first jobs --out jobs.csv\n"
    "gpufleet export runs/first --out tables",
).code
LONG_TEXT: Final = explain_code(
    "R024",
    "a text that is too long for a cell of Excel",
    "A cell holds 32,767 characters at most; names of jobs come from traces and may be longer.",
    "gpufleet export runs/first jobs --format csv",
).code
NO_FORMAT: Final = explain_code(
    "R025",
    "not a format of an export",
    "Tables are exported as csv, xlsx or parquet; without --format, as the name of --out says, else as csv.",
    "gpufleet export runs/first --format xlsx",
).code

FORMATS: Final = ("csv", "xlsx", "parquet")


class Exported(NamedTuple):
    """A file that was written, and what it holds."""

    path: Path
    tables: tuple[str, ...]
    rows: int
    bytes: int


def export(
    run: Run,
    tables: Sequence[str] = (),
    *,
    format: str | None = None,
    out: Path | str | None = None,
    force: bool = False,
) -> list[Exported]:
    """Write tables of a run as CSV, Excel or Parquet files.

    Args:    tables: names as in `table_names`; none: all of them, and `about`, which explains their columns.
             format: csv, xlsx or parquet; None: as `out` is called, else csv.
             out: a file for xlsx or for one table; else a folder. None: beside the run folder.
             force: replace files that are there.
    Returns: the files, in the order of the tables.
    Raises:  GpufleetError R020 to R025; OSError if they cannot be written. Then nothing is written at all.

    >>> export(run, ["measures"], out="measures.xlsx")  # doctest: +SKIP
    [Exported(path=PosixPath('measures.xlsx'), tables=('measures',), rows=61, bytes=5012)]
    """
    place = Path(out) if out is not None else None
    kind = _format(format, place)
    chosen = [read_table(run, name) for name in _names(run, tables)]
    if kind == "xlsx" or len(chosen) > 1:
        chosen.append(about_tables(chosen))
    files = _files(run, chosen, kind, place)
    _refuse_taken(files, force)
    if kind == "xlsx":
        _refuse_long(chosen)
    return _write_all(files, kind, force)


def _format(format: str | None, out: Path | None) -> str:
    """The format that is meant."""
    by_name = out.suffix[1:].lower() if out is not None else ""
    if format is None:
        return by_name if by_name in FORMATS else "csv"
    if format not in FORMATS:
        fail(NO_FORMAT, say("`{format}` is not a format", format=format), did_you_mean(format, FORMATS))
    if by_name in FORMATS and by_name != format:
        says = say(
            "`{out}` is called .{named}, and the format is {format}", out=out, named=by_name, format=format
        )
        fail(WRONG_PLACE, says, say("leave --format out, or choose another --out"))
    return format


def _names(run: Run, tables: Sequence[str]) -> list[str]:
    there = table_names(run)
    for name in tables:
        if name not in there:
            says = say("the run {run} has no table `{name}`", run=run.path.name, name=name)
            fail(NO_TABLE, says, did_you_mean(name, there))
    return list(dict.fromkeys(tables or there))


def _files(run: Run, tables: Sequence[RunTable], kind: str, out: Path | None) -> dict[Path, list[RunTable]]:
    """Which file gets which tables."""
    default = run.path.parent / (f"{run.path.name}.xlsx" if kind == "xlsx" else f"{run.path.name}-{kind}")
    place = out if out is not None else default
    if place.resolve().is_relative_to(run.path.resolve()):
        says = say("{out} lies in the run folder, which holds nothing but the run", out=place)
        fail(WRONG_PLACE, says, say("choose another --out, such as {out}", out=default))
    is_file = place.suffix.lower() == f".{kind}"
    if kind == "xlsx":
        if not is_file or place.is_dir():
            says = say("{out} cannot be the name of a workbook", out=place)
            fail(WRONG_PLACE, says, say("choose a file in it, such as {out}", out=place / default.name))
        return {place: list(tables)}
    if not is_file:
        return {place / f"{table.name}.{kind}": [table] for table in tables}
    if len(tables) > 1:
        says = say("{n:,} tables cannot stand in one .{kind} file", n=len(tables) - 1, kind=kind)
        fail(WRONG_PLACE, says, say("name one table, or a folder"))
    return {place: list(tables)}


def _refuse_taken(files: Mapping[Path, Sequence[RunTable]], force: bool) -> None:
    """Refuse to write over what is there."""
    taken = [path for path in files if os.path.lexists(path)]
    if taken and not force:
        says = say("{path} is left as it is", path=taken[0])
        if len(taken) > 1:
            says = say(
                "{path} and others, {files:,} files in all, are left as they are",
                path=taken[0],
                files=len(taken),
            )
        fail(THERE, says, say("add --force to replace it, or choose another --out"))
    folders = [path for path in taken if path.is_dir()]
    if folders:
        says = say("{path} is a folder", path=folders[0])
        fail(WRONG_PLACE, says, say("choose another --out"))
    for path in files:
        if path.parent.exists() and not path.parent.is_dir():
            says = say("{path} is a file; a folder is wanted", path=path.parent)
            fail(WRONG_PLACE, says, say("choose another --out"))


def _refuse_long(tables: Sequence[RunTable]) -> None:
    """Refuse what no sheet holds, before anything is written."""
    for table in tables:
        if table.rows > MAX_ROWS - 1:
            says = say(
                "{table} has {n:,} rows; a sheet holds {most:,}",
                table=table.name,
                n=table.rows,
                most=MAX_ROWS - 1,
            )
            fix = say("choose --format csv or parquet, or name the other tables only")
            fail(TOO_MANY_ROWS, says, fix)


# --- the files ----------------------------------------------------------------------------------------------


def _write_all(files: Mapping[Path, Sequence[RunTable]], kind: str, force: bool) -> list[Exported]:
    """Write every file beside its place, then move all of them."""
    made: list[Path] = []
    parts = {path: path.with_name(f".{path.name[:100]}.{os.getpid()}.part") for path in files}
    try:
        for path, tables in files.items():
            made += _make_folder(path.parent)
            _WRITERS[kind](parts[path], tables)
        sizes = {path: part.stat().st_size for path, part in parts.items()}
        if not force:
            _refuse_taken(files, force)
        for path, part in parts.items():
            part.replace(path)
        made.clear()
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
        for empty in reversed(made):
            with contextlib.suppress(OSError):
                empty.rmdir()
    return [
        Exported(path, tuple(t.name for t in tables), sum(t.rows for t in tables), sizes[path])
        for path, tables in files.items()
    ]


def _make_folder(path: Path) -> list[Path]:
    """Make a folder and those above it. Returns the new ones, the outermost first."""
    new = [each for each in (path, *path.parents) if not each.exists()][::-1]
    path.mkdir(parents=True, exist_ok=True)
    return new


def _write_csv(path: Path, tables: Sequence[RunTable]) -> None:
    with path.open("wb") as file:
        for i, frame in enumerate(tables[0].frames()):
            frame.write_csv(file, include_header=i == 0)


def _write_parquet(path: Path, tables: Sequence[RunTable]) -> None:
    import pyarrow.parquet as pq

    from gpufleet.results.column import arrow_schema

    schema = arrow_schema(tables[0].columns)
    with pq.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer:
        for frame in tables[0].frames():
            if not frame.height:
                continue
            writer.write_table(frame.to_arrow().cast(schema))


def _write_workbook(path: Path, tables: Sequence[RunTable]) -> None:
    try:
        write_xlsx(path, [Sheet(table.name, table.rows, table.frames()) for table in tables])
    except TooLongError as error:
        says = say(
            "a text of {n:,} characters in the column {column}; a cell holds {most:,}",
            n=error.length,
            column=error.column,
            most=MAX_TEXT,
        )
        fail(LONG_TEXT, says, say("choose --format csv or parquet"))


_WRITERS: Final[dict[str, Callable[[Path, Sequence[RunTable]], None]]] = {
    "csv": _write_csv,
    "xlsx": _write_workbook,
    "parquet": _write_parquet,
}
