"""Tables of the page: exact values, formatted for reading, with the bare value kept for sorting and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from gpufleet.base.say import say, tell
from gpufleet.base.units import format_duration
from gpufleet.report.words import month, percent

Kind = Literal[
    "name",
    "text",
    "whole",
    "signed",
    "number",
    "exact",
    "share",
    "wait",
    "place",
    "time",
    "day",
    "month",
    "figure",
    "list",
]

RIGHT = frozenset({"whole", "signed", "number", "exact", "share", "wait", "figure"})


class Cell(NamedTuple):
    """What is read, the value behind it ("" when it is the text itself), and the id that it opens."""

    text: str
    raw: str
    to: str = ""


class Link(NamedTuple):
    """A value of a table that opens what stands behind it."""

    value: Any
    to: str  # id of an element of the page


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
    (Cell(text='vision', raw='', to=''), Cell(text='12,960', raw='12960', to=''))
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    ids: tuple[str, ...] = ()  # one per row, for links to it; empty: none
    filtered: bool = False  # whether readers get a box to filter rows by text

    def cells(self) -> list[tuple[Cell, ...]]:
        """All rows, formatted."""
        return [tuple(cell(v, c.kind) for v, c in zip(row, self.columns, strict=True)) for row in self.rows]


def table(caption: str, columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[Any]]) -> Table:
    """A table from plain pairs and rows."""
    return Table(caption, tuple(Column(*c) for c in columns), tuple(tuple(row) for row in rows))


def cell(value: Any, kind: Kind) -> Cell:
    """One value, written as its column wants it: a month as "2027-03", a time as a datetime; None is a dash.

    >>> [cell(*pair)[:2] for pair in ((0.7234, "share"), (8280.0, "wait"), (None, "number"))]
    [('72 %', '0.7234'), ('2 h 18 min', '8280.0'), ('–', '')]
    >>> cell(Link(64, "promise-1"), "whole")
    Cell(text='64', raw='64', to='promise-1')
    >>> [cell(n, "signed").text for n in (8, 0, -1200)]
    ['+8', '0', '−1,200']
    """
    if isinstance(value, Link):
        return cell(value.value, kind)._replace(to="" if value.value is None else value.to)
    if value is None:
        return Cell("–", "")
    if kind == "whole":
        return Cell(f"{value:,.0f}", str(int(value)))
    if kind == "signed":  # a difference: with its sign, a minus as long as a figure
        return Cell(f"{value:+,.0f}".replace("-", "−") if value else "0", str(int(value)))
    if kind == "number":
        return Cell(f"{value:,.1f}", str(round(float(value), 4)))
    if kind == "exact":
        return Cell(f"{value:,.4f}", str(round(float(value), 6)))
    if kind == "share":
        return Cell(percent(value), str(round(float(value), 6)))
    if kind == "wait":
        return Cell(format_duration(value), str(round(float(value), 3)))
    if kind == "month":
        return Cell(month(value), value)
    if kind == "day":
        return Cell(say("{at:%Y-%m-%d}", at=value), f"{value:%Y-%m-%d}")
    if kind == "time":
        return Cell(say("{at:%Y-%m-%d %H:%M}", at=value), f"{value:%Y-%m-%d %H:%M}")
    return Cell(tell(value) if isinstance(value, str) else str(value), "")
