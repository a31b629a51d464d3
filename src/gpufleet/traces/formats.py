"""What a format is: a table that says which column of the file becomes which column of ours, and how.

A format is data (`Format`, a tuple of `Column`); `Table` applies it to one chunk of lines after the other.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import polars as pl

from gpufleet.base.say import say
from gpufleet.traces.cells import Clock, Reader, missing, text
from gpufleet.traces.findings import fault, listed
from gpufleet.traces.trace import JOBS

BROKEN: Final = "row with too few or too many fields"
_NO_QUOTES: Final = "\x1f"  # separator of a chunk whose quoted fields were taken apart


class Column(NamedTuple):
    """One column of ours and where it comes from."""

    ours: str  # a key of JOBS, or a name with _ that only the format's own steps read
    theirs: tuple[
        str, ...
    ]  # names in the file, without regard to case; a row takes the first that has a value
    read: Reader
    says: str = ""  # for the reference page
    need: bool = False  # without it the file is not of this format, and a row without it is dropped


class Joined(NamedTuple):
    """What a format's last step gives: the jobs, rows dropped by it, notes."""

    jobs: pl.DataFrame
    dropped: Counter[str]
    notes: tuple[str, ...]


Refuse: TypeAlias = Callable[[pl.DataFrame], Sequence[tuple[str, pl.Expr]]]


@dataclass(frozen=True)
class Format:
    """A kind of job log. Rows are refused for the first reason that holds."""

    name: str
    title: str
    columns: tuple[Column, ...]
    separator: str = ","
    quotes: bool = True  # a field may be written in double quotes
    comment: str | None = None  # lines that start so are skipped
    header: tuple[str, ...] = ()  # column names of a file that has no line of them
    nothing: tuple[str, ...] = ("",)  # what stands for "no value"
    numbered: str | None = None  # no column of job ids: rows are named by this prefix and their number
    aside: tuple[str, ...] = ()  # reasons of `refuse` and `finish`: not faults of the file, only noted
    by_time: bool = True  # rows are expected in order of submit time
    zero: Callable[[Sequence[str]], int | None] = field(default=lambda comments: None)
    """Unix time of the file's second 0, from its comment lines."""
    refuse: Refuse = field(default=lambda raw: ())
    finish: Callable[[pl.DataFrame], Joined] = field(default=lambda jobs: Joined(jobs, Counter(), ()))

    def lacks(self, found: Sequence[str]) -> list[str]:
        """Columns that a file with these names would still need: alternatives are joined by ``|``."""
        have = {name.lower() for name in found}
        need: dict[str, list[str]] = {}
        for column in self.columns:
            if any(c.need for c in self.columns if c.ours == column.ours):
                need.setdefault(column.ours, []).extend(column.theirs)
        return ["|".join(names) for names in need.values() if have.isdisjoint(n.lower() for n in names)]

    def with_queue(self, wanted: str | None) -> Format:
        """The same format with the queue taken from the file's column ``wanted`` (or from one of ours)."""
        if wanted is None or wanted == "queue":
            return self
        alike = next((c for c in self.columns if c.ours == wanted), None)
        names = alike.theirs if alike else (wanted,)
        others = tuple(c for c in self.columns if c.ours != "queue")
        read = alike.read if alike else text
        return replace(self, columns=(*others, Column("queue", names, read, "as the plan says", need=True)))


class Table:
    """Reads the rows of one file in one format.

    Args:    layout: the format.   found: the file's column names, in order.
    Raises:  GpufleetError T006 (a needed column is missing), T008 (two columns with one name).
    """

    def __init__(self, layout: Format, found: Sequence[str], path: Path, clock: Clock) -> None:
        self.layout, self.found, self.clock = layout, tuple(found), clock
        self._where = {name.strip().lower(): i for i, name in reversed(list(enumerate(found)))}
        twice = [n for n, rows in Counter(n.strip().lower() for n in found).items() if rows > 1 and n]
        used = self._used()
        if clash := sorted(set(twice) & {n.lower() for _, names in used for n in names}):
            raise fault(
                "T008", path, f"column {listed(clash)} is there twice", "rename or remove one", line=1
            )
        if lacks := layout.lacks(found):
            says = say(
                "{name} needs {listed}; columns found: {listed_2}",
                name=layout.name,
                listed=listed(lacks),
                listed_2=listed(self.found),
            )
            raise fault("T006", path, says, "add the column, or give another format", line=1)
        self._used_columns = used

    def _used(self) -> list[tuple[Column, tuple[str, ...]]]:
        """Per column of ours, the first entry of the format that the file has, and the names it has of it."""
        used: dict[str, tuple[Column, tuple[str, ...]]] = {}
        for column in self.layout.columns:
            names = tuple(n for n in column.theirs if n.lower() in self._where)
            if names:
                used.setdefault(column.ours, (column, names))
        return list(used.values())

    def read(self, raw: pl.DataFrame, whole: pl.Series, first_row: int) -> tuple[pl.DataFrame, pl.Series]:
        """Jobs of some rows.

        Args:    raw, whole: as `split` gives them.   first_row: number of the first, from 0.
        Returns: columns as `JOBS` and those that the format alone knows; and why a row is refused, or null.
        """
        reasons: list[pl.Expr | pl.Series] = [pl.when(~whole).then(pl.lit(BROKEN))]
        reasons += [pl.when(mask).then(pl.lit(reason)) for reason, mask in self.layout.refuse(raw)]
        values: dict[str, pl.Series] = {}
        if self.layout.numbered is not None:
            number = pl.int_range(first_row, first_row + raw.height, eager=True).cast(pl.String)
            values["name"] = self.layout.numbered + number.str.zfill(6)
        needed = {c.ours for c in self.layout.columns if c.need}
        for column, names in self._used_columns:
            cells = column.read([raw[name] for name in names], self.clock)
            if column.ours == "name" or column.ours in needed:
                cells = missing(cells, names[0])
            values[column.ours] = cells.value
            if cells.reason is not None:
                reasons.append(cells.reason)
        why = raw.select(pl.coalesce(reasons).cast(pl.String).alias("reason")).to_series()
        return _typed(values, raw.height), why

    def split(self, lines: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
        """Lines as columns of text (only those used), and which rows have the right number of fields."""
        separator, fields = self.layout.separator, len(self.found)
        if separator == " ":
            lines = _single_spaced(lines)
        if self.layout.quotes and lines.str.contains('"', literal=True).any():
            lines, separator = _unquote(lines, separator), _NO_QUOTES
        whole = lines.str.count_matches(separator, literal=True) == fields - 1
        parts = lines.str.split_exact(separator, fields - 1).struct.unnest()
        nothing = dict.fromkeys(self.layout.nothing)
        cells = [parts.to_series(at).replace(nothing).alias(name) for name, at in self.wanted.items()]
        return pl.DataFrame(cells), whole

    def reader(self, ours: str) -> Reader | None:
        """How a column of ours is read from this file; None if the file does not have it."""
        return next((column.read for column, _ in self._used_columns if column.ours == ours), None)

    @property
    def wanted(self) -> dict[str, int]:
        """Columns of the file that are used, by the format's name for them, and their places."""
        names = sorted({name for _, used in self._used_columns for name in used})
        return {name: self._where[name.lower()] for name in names}


def _single_spaced(lines: pl.Series) -> pl.Series:
    """Fields of a line parted by one space. Plain replacement, some times over, is faster than a pattern."""
    lines = lines.str.replace_all("\t", " ", literal=True).str.strip_chars()
    while lines.str.contains("  ", literal=True).any():
        lines = lines.str.replace_all("  ", " ", literal=True)
    return lines


def _unquote(lines: pl.Series, separator: str) -> pl.Series:
    """Lines with their fields joined by `_NO_QUOTES`, quotes resolved. A field never spans lines."""
    apart: list[str] = []
    for line in lines.str.replace_all(_NO_QUOTES, " ", literal=True).to_list():
        if '"' not in line:
            apart.append(line.replace(separator, _NO_QUOTES))
            continue
        try:
            apart.append(_NO_QUOTES.join(next(csv.reader([line], delimiter=separator, strict=True))))
        except (csv.Error, StopIteration):
            apart.append("")  # an open quote: a broken row
    return pl.Series("line", apart, pl.String)


def _typed(values: dict[str, pl.Series], height: int) -> pl.DataFrame:
    """The columns of JOBS in their types, then those that the format alone knows."""
    default = {"limit_s": 0, "priority": 0}
    columns: list[pl.Series] = []
    for name, kind in JOBS.items():
        if name in values:
            cells = values[name].cast(kind).alias(name)
            columns.append(cells.fill_null(default[name]) if name in default else cells)
        else:
            columns.append(pl.Series(name, [default.get(name)], kind).new_from_index(0, height))
    own = [cells.alias(name) for name, cells in values.items() if name not in JOBS]
    return pl.DataFrame([*columns, *own])
