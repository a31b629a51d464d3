"""Tables: parts of a plan that stand in a CSV file or in a sheet of a workbook, one row each.

``tenants: nodes.csv`` (columns are called like keys) and ``tenants: {table: nodes.csv, columns: {name: vc},
each: {...}}`` become what one would have written by hand; every value keeps the file and line, or the cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from gpufleet.plan.frame import Files
from gpufleet.plan.grids import SUFFIXES
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.table_parts import LISTS, TABLES
from gpufleet.plan.table_rows import Rows
from gpufleet.plan.tree import Leaf, Map


def table_of(tree: Map, part: str) -> Map | None:
    """The table that a part of the plan stands in, written long; None if it stands in the plan itself."""
    node = tree.items.get(part) if part in TABLES else None
    at = tree.key_at.get(part, node.at) if node else tree.at
    if isinstance(node, Map) and isinstance(node.items.get("table"), Leaf):
        return Map(node.items, at, node.key_at)
    if isinstance(node, Leaf) and isinstance(node.value, str):
        files = tree.items.get("files")
        named = isinstance(files, Map) and node.text in files.items
        if named or node.text.lower().endswith(SUFFIXES):
            return Map({"table": node}, at, {"table": node.at})
    return None


def expand_tables(tree: Map, reader: Reader, parts: Iterable[str] = tuple(TABLES)) -> Map:
    """The tree with its tables written out. What cannot be read is reported, and its part left out."""
    items = dict(tree.items)
    for part in parts:
        node = table_of(tree, part)
        if node is None:
            continue
        try:
            rows = Rows.of(node, part, reader)
            items[part] = rows.as_list() if part in LISTS else rows.as_map()
        except UnreadableError:
            del items[part]
            reader.broken.add(part)
    return Map(items, tree.at, tree.key_at)


def expand_alone(tree: Map, reader: Reader, parts: Iterable[str]) -> Map:
    """The same before anything else of the plan is known, but for the names of files."""
    own = Reader(reader.root, reader.zone)
    files = tree.items.get("files")
    if isinstance(files, Map):
        own.known["file"] = list(files.items)
        with suppress(UnreadableError):
            Files().read(files, "files", own)
        own.findings.clear()  # they are found again when the plan is read
    written = expand_tables(tree, own, parts)
    reader.findings += [found for found in own.findings if found not in reader.findings]
    reader.broken |= own.broken
    reader.spoilt |= own.spoilt
    for note in own.notes:
        reader.note(note)
    return written
