"""Tables: parts of a plan that stand in a CSV file, one row each.

``tenants: {table: nodes.csv, columns: {name: vc}, each: {...}}`` becomes what one would have written by hand;
every value keeps the file and line of its row.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeGuard

from pydantic import Field
from typing_extensions import override

from gpufleet.base.errors import Place, did_you_mean
from gpufleet.plan.declared import Declared, Key, Keyed, as_map, keys_of, required_keys
from gpufleet.plan.kinds import File, Kind, Schema, Text
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.sites import Site
from gpufleet.plan.supply import Delivery, Retirement, System
from gpufleet.plan.tenants import Tenant
from gpufleet.plan.tree import Leaf, Map, Node, Seq, plain

TABLES: Final[dict[str, type[Keyed]]] = {
    "sites": Site,
    "systems": System,
    "tenants": Tenant,
    "deliveries": Delivery,
    "retirements": Retirement,
}
"""Parts that may be a table, and what a row stands for."""

LISTS: Final = ("deliveries", "retirements")
"""Parts that are lists; the others are mappings, whose names are in a column."""

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
    each: Annotated[dict[str, Any], Key(Each(), "what is the same for every row")] = Field(
        default_factory=dict
    )


def is_table(node: Node | None) -> TypeGuard[Map]:
    """Whether a part of the plan stands in a CSV file."""
    return isinstance(node, Map) and isinstance(node.items.get("table"), Leaf)


def expand_tables(tree: Map, reader: Reader, parts: Iterable[str] = tuple(TABLES)) -> Map:
    """The tree with its tables written out. What cannot be read is reported, and its part left out."""
    items = dict(tree.items)
    for part in parts:
        node = items.get(part)
        if not is_table(node):
            continue
        node = Map(node.items, tree.key_at.get(part, node.at), node.key_at)
        try:
            table = Table.from_node(node, part, reader)
            rows = list(_rows(table, node, part, reader))
            items[part] = Seq(tuple(rows), node.at) if part in LISTS else _as_map(rows, table, part, reader)
        except UnreadableError:
            del items[part]
            reader.broken.add(part)
    return Map(items, tree.at, tree.key_at)


def _rows(table: Table, node: Map, part: str, reader: Reader) -> Iterator[Map]:
    """Each row as the mapping that it stands for."""
    columns = as_map(node.items["columns"], under(part, "columns"), reader)
    _check_keys(table, node, part, reader)
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


def _check_keys(table: Table, node: Map, part: str, reader: Reader) -> None:
    """Find a wrong key once in the plan, and not in every row.

    Raises: UnreadableError (P006, P007, P026)
    """
    before = len(reader.findings)
    known = keys_of(TABLES[part])
    columns, each = _key_places(node, "columns"), _key_places(node, "each")
    for key, at in [*columns, *each]:
        if key.split(".")[0] not in {"name", *known}:
            reader.report("P006", at, f"`{key}` is not a key of {part}", did_you_mean(key, known, limit=20))
    for key, at in columns:
        if key.split(".")[0] in table.each:
            reader.report("P026", at, f"`{key}` is in `columns` and in `each`", "keep one")
    written = {key.split(".")[0] for key, _ in [*columns, *each]}
    for key in required_keys(TABLES[part]):
        if key not in written:
            says = f"neither `columns` nor `each` of `{part}` has `{key}`"
            reader.report("P007", node.at, says, f"add `{key}`: {known[key].doc}")
    if len(reader.findings) > before:
        raise UnreadableError(part)


def _key_places(node: Map, group: str) -> list[tuple[str, Place]]:
    body = node.items.get(group)
    items = body.items if isinstance(body, Map) else {}
    return [(key, body.key_at.get(key, item.at)) for key, item in items.items() if isinstance(body, Map)]


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
