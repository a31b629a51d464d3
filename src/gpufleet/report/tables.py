"""Tables of the page: exact values, formatted for reading, with the bare value kept for sorting and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from gpufleet.base.units import format_duration
from gpufleet.report.words import percent

Kind = Literal["name", "text", "whole", "number", "exact", "share", "wait", "place"]

RIGHT = frozenset({"whole", "number", "exact", "share", "wait"})


class Cell(NamedTuple):
    """What is read, and the value behind it ("" when it is the text itself)."""

    text: str
    raw: str


@dataclass(frozen=True)
class Column:
    """A column: header with its unit, and how its values are written."""

    title: str
    kind: Kind = "text"

    @property
    def right(self) -> bool:
        """Whether values stand at the right edge (numbers)."""
        return self.kind in RIGHT


@dataclass(frozen=True)
class Table:
    """A table as the page shows it.

    >>> t = Table("Jobs", (Column("team", "name"), Column("jobs", "whole")), (("vision", 12960),))
    >>> t.cells()[0]
    (Cell(text='vision', raw=''), Cell(text='12,960', raw='12960'))
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def cells(self) -> list[tuple[Cell, ...]]:
        """All rows, formatted."""
        return [tuple(cell(v, c.kind) for v, c in zip(row, self.columns, strict=True)) for row in self.rows]


def table(caption: str, columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[Any]]) -> Table:
    """A table from plain pairs and rows."""
    return Table(caption, tuple(Column(*c) for c in columns), tuple(tuple(row) for row in rows))


def cell(value: Any, kind: Kind) -> Cell:
    """One value, written as its column wants it; None is a dash.

    >>> cell(0.7234, "share"), cell(8280.0, "wait"), cell(None, "number")
    (Cell(text='72 %', raw='0.7234'), Cell(text='2 h 18 min', raw='8280.0'), Cell(text='–', raw=''))
    """
    if value is None:
        return Cell("–", "")
    if kind == "whole":
        return Cell(f"{value:,.0f}", str(int(value)))
    if kind == "number":
        return Cell(f"{value:,.1f}", str(round(float(value), 4)))
    if kind == "exact":
        return Cell(f"{value:,.4f}", str(round(float(value), 6)))
    if kind == "share":
        return Cell(percent(value), str(round(float(value), 6)))
    if kind == "wait":
        return Cell(format_duration(value), str(round(float(value), 3)))
    return Cell(str(value), "")
