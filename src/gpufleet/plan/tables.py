"""Tables: parts of a plan that stand in a CSV file, one row each.

``tenants: {table: nodes.csv, columns: {name: vc}, each: {...}}`` becomes what one would have written by hand;
every value keeps the file and line of its row.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from typing_extensions import override

from gpufleet.base.errors import Place, did_you_mean
from gpufleet.plan.declared import Declared, Key, as_map
from gpufleet.plan.kinds import File, Kind, Schema, Text
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.tree import Leaf, Map, Node, Seq, plain

TABLES: Final = {"sites": True, "systems": True, "tenants": True, "deliveries": False, "retirements": False}
"""Parts that may be a table; True: a mapping, whose names are in a column; False: a list."""

MAX_BYTES: Final = 16_000_000
MAX_BAD_ROWS: Final = 20


class Columns(Kind[dict[str, str]]):
    """Keys of the plan and the columns that hold them."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, str]:
        body = as_map(node, path, reader)
        return {key: Text().read(item, under(path, key), reader) for key, item in body.items.items()}

    @override
    def schema(self) -> Schema:
        return {"type": "object", "minProperties": 1, "additionalProperties": {"type": ["string", "number"]}}


class Each(Kind[dict[str, Node]]):
    """What is the same for every row."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Node]:
        return dict(as_map(node, path, reader).items)

    @override
    def schema(self) -> Schema:
        return {"type": "object"}


class Table(Declared):
    """Rows of a CSV file as parts of the plan."""

    table: Annotated[Path, Key(File(), "the CSV file: a key of `files`, or a path")]
    columns: Annotated[dict[str, str], Key(Columns(), "keys of the plan and the columns that hold them")]
    each: Annotated[dict[str, Any], Key(Each(), "what is the same for every row")] = {}  # noqa: RUF012


def expand_tables(tree: Map, reader: Reader) -> Map:
    """The tree with every table written out. What cannot be read is reported, and its part left out."""
    items = dict(tree.items)
    for part, named in TABLES.items():
        node = items.get(part)
        if not isinstance(node, Map) or not isinstance(node.items.get("table"), Leaf):
            continue
        try:
            table = Table.from_node(node, part, reader)
            rows = list(_rows(table, node, part, reader))
            items[part] = (
                _as_map(rows, table, part, reader) if named else Seq(tuple(row for row in rows), node.at)
            )
        except UnreadableError:
            del items[part]
    return Map(items, tree.at, tree.key_at)


def _rows(table: Table, node: Map, part: str, reader: Reader) -> Iterator[Map]:
    """Each row as the mapping that it stands for."""
    columns = as_map(node.items["columns"], under(part, "columns"), reader)
    for key in table.columns:
        if key.split(".")[0] in table.each:
            says = f"`{key}` is in `columns` and in `each`"
            raise reader.refuse("P026", columns.key_at[key], says, "keep one")
    shown = os.path.relpath(table.table, reader.root)
    lines = _read_csv(table.table, Place(shown, 0), reader)
    _, header = next(lines)
    for key, column in table.columns.items():
        if column not in header:
            says = f"{shown} has no column `{column}`"
            raise reader.refuse("P026", columns.items[key].at, says, did_you_mean(column, header))
    where = {key: header.index(column) for key, column in table.columns.items()}
    for line, cells in lines:
        row = Map(dict(table.each), Place(shown, line), {})
        for key, index in where.items():
            if cells[index].strip():
                text = cells[index].strip()
                _put(row, key.split("."), Leaf(plain(text), text, Place(shown, line, index + 1)))
        yield row


def _put(row: Map, keys: list[str], leaf: Leaf) -> None:
    """Put a cell at a path such as `quota.B200`."""
    for key in keys[:-1]:
        inner = row.items.setdefault(key, Map({}, row.at))
        assert isinstance(inner, Map)
        row = inner
    row.items[keys[-1]] = leaf
    row.key_at[keys[-1]] = leaf.at


def _as_map(rows: list[Map], table: Table, part: str, reader: Reader) -> Map:
    """Rows by their name."""
    if "name" not in table.columns:
        says = f"`{part}.columns` does not say which column holds the `name`"
        raise reader.refuse("P007", table.line, says, "add `name: COLUMN`")
    items: dict[str, Node] = {}
    places: dict[str, Place] = {}
    for row in rows:
        name = row.items.pop("name", None)
        if not isinstance(name, Leaf):
            reader.report("P007", row.at, "the row has no name", "fill the cell, or delete the row")
        elif name.text in items:
            says = f"`{name.text}` stands here and in {places[name.text]}"
            reader.report("P005", name.at, says, "keep one, or give one another name")
        else:
            items[name.text], places[name.text] = row, name.at
    return Map(items, table.line, places)


def _read_csv(path: Path, at: Place, reader: Reader) -> Iterator[tuple[int, list[str]]]:
    """Header and rows with their line numbers; rows that are only commas are skipped.

    Raises: UnreadableError (P003, P026)
    """
    bad = 0
    try:
        if path.stat().st_size > MAX_BYTES:
            says = f"{path.stat().st_size / 1e6:,.0f} MB; a table is at most {MAX_BYTES / 1e6:.0f} MB"
            raise reader.refuse("P003", at, says, "is this the right file?")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(rows, [])]
            if not any(header):
                raise reader.refuse(
                    "P026", at, "the table is empty", "write a header row and one row per entry"
                )
            yield 1, header
            for cells in rows:
                place = Place(at.file, rows.line_num)
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    says = f"{len(cells)} cells; the header has {len(header)}"
                    reader.report("P026", place, says, "give every row as many cells as the header")
                    bad += 1
                    if bad >= MAX_BAD_ROWS:
                        raise UnreadableError(place)
                    continue
                yield rows.line_num, cells
    except (csv.Error, UnicodeDecodeError) as error:
        raise reader.refuse("P026", at, f"not a CSV file: {error}", "save it as CSV in UTF-8") from error
    except OSError as error:
        raise reader.refuse("P002", at, f"{error.strerror}", "make the file readable") from error
