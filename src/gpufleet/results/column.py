"""A column of a table: its name, type, unit and meaning; and what is made of such columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

DType = Literal["i64", "i32", "f64", "str", "bool"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is called, holds, counts in, and how it comes about."""

    name: str
    dtype: DType
    unit: str  # "" = a name or a number without unit
    meaning: str
    formula: str = ""
    nullable: bool = False


def strings(columns: Sequence[Column]) -> list[str]:
    """Names of the text columns.

    >>> strings([Column("a", "str", "", ""), Column("b", "i64", "", "")])
    ['a']
    """
    return [c.name for c in columns if c.dtype == "str"]


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of a table; text columns are plain strings.

    >>> arrow_schema([Column("a", "str", "", "")]).field("a").nullable
    False
    """
    import pyarrow as pa

    types = {
        "i64": pa.int64(),
        "i32": pa.int32(),
        "f64": pa.float64(),
        "str": pa.string(),
        "bool": pa.bool_(),
    }
    return pa.schema([pa.field(c.name, types[c.dtype], nullable=c.nullable) for c in columns])


def markdown(columns: Sequence[Column]) -> str:
    """The columns as a Markdown table, for the reference docs.

    >>> print(markdown([Column("t_s", "i64", "s", "start of the bin, from the plan's start")]))
    | column | type | unit | meaning | formula |
    |---|---|---|---|---|
    | `t_s` | i64 | s | start of the bin, from the plan's start |  |
    """
    rows = [
        f"| `{c.name}` | {c.dtype}{' or null' if c.nullable else ''} | {c.unit} | {c.meaning} | {c.formula} |"
        for c in columns
    ]
    return "\n".join(["| column | type | unit | meaning | formula |", "|---|---|---|---|---|", *rows])
