"""The rows of one table as parts of a plan: its columns, its cells, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from gpufleet.base.errors import GpufleetError, Place, column_letters, did_you_mean, nearest
from gpufleet.base.say import say
from gpufleet.plan import table_codes as codes
from gpufleet.plan.declared import as_map
from gpufleet.plan.grids import MAX_BAD_ROWS, Cell, Grid, Problem, Row, read_grid, twice
from gpufleet.plan.kinds import LONG_KEYS
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.table_parts import LISTS, Table, row_keys, row_required
from gpufleet.plan.tree import Leaf, Map, Node, Seq, parse_yaml


@dataclass(frozen=True, slots=True)
class _Column:
    """A column that is used: its number, and where it is named."""

    number: int
    at: Place


@dataclass
class Rows:
    """One reading of one table."""

    table: Table
    node: Map
    part: str
    reader: Reader
    grid: Grid
    shown: str
    columns: dict[str, _Column] = field(default_factory=dict)  # by key, with dots
    bad_cells: list[Problem] = field(default_factory=list)
    spoilt: set[Place] = field(default_factory=set)  # of cells that cannot be used
    lacking: set[str] = field(default_factory=set)  # keys whose column is missing or called otherwise
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)  # as in `Grid`, where they matter

    @classmethod
    def of(cls, node: Map, part: str, reader: Reader) -> Rows:
        """Open the table and find its columns.

        Raises: UnreadableError, with the findings recorded.
        """
        table = Table.from_node(node, part, reader)
        shown = os.path.relpath(table.table, reader.root)
        try:
            grid = read_grid(table.table, table.sheet, part)
        except OSError as error:
            says = say("{why}", why=error.strerror or str(error))
            raise reader.refuse("P002", Place(shown, 0), says, say("make the file readable")) from error
        rows = cls(table, node, part, reader, grid, shown)
        for note in grid.notes:
            reader.note(say("{file}: {note}", file=shown, note=note))
        for problem in grid.problems:
            rows._tell(problem)
            reader.broken.add(part)
        if grid.broken:
            raise UnreadableError(part)
        rows._find_columns()
        rows._find_merged()
        return rows

    def _place(self, line: int, column: int) -> Place:
        sheet = self.grid.sheet
        return Place(self.shown, line, column, sheet)

    def _tell(self, problem: Problem) -> None:
        """Report a problem of the file; one with the name of its sheet where the plan has that name."""
        at = self._place(problem.line, problem.column)
        named = self.node.items.get("sheet")
        if named is not None and problem.code in (codes.WHICH_SHEET, codes.HIDDEN_SHEET, "P024"):
            at = named.at
        self.reader.report(problem.code, at, problem.says, problem.fix)

    def _find_columns(self) -> None:
        """Which column holds which key; a wrong key is found once, and not in every row.

        Raises: UnreadableError (P006, P007, P026, P108 to P111, P114)
        """
        before = len(self.reader.findings)
        if self.table.columns:
            found = self._columns_of_plan()
            if len(self.reader.findings) > before:
                raise UnreadableError(self.part)
        else:
            found = self._columns_of_header()
        self.columns = self._long_forms(found)
        self._check_keys()
        if len(self.reader.findings) > before:  # the other columns are read nevertheless
            self.reader.broken.add(self.part)
        if "name" in self.lacking:
            raise UnreadableError(self.part)

    def _columns_of_plan(self) -> dict[str, _Column]:
        """Columns by what `columns` says."""
        body = as_map(self.node.items["columns"], under(self.part, "columns"), self.reader)
        header = {cell.text: column for column, cell in reversed(self.grid.header.cells.items())}
        doubled = {self.grid.header.cells[each.column].text: each for each in twice(self.grid.header)}
        found: dict[str, _Column] = {}
        for key, name in self.table.columns.items():
            at = body.key_at.get(key, body.items[key].at)
            if name in doubled:
                self._tell(doubled[name])
            if name in header:
                found[key] = _Column(header[name], at)
                continue
            says = say("{file} has no column `{name}`", file=self.shown, name=name)
            self.reader.report("P026", body.items[key].at, says, did_you_mean(name, header))
        return found

    def _columns_of_header(self) -> dict[str, _Column]:
        """Columns by their headers, which are keys of the plan."""
        header, used = self.grid.header, {column for row in self.grid.rows for column in row.cells}
        for problem in (*(c.problem for c in header.cells.values() if c.problem), *twice(header)):
            self._tell(problem)
        for column in sorted(used - set(header.cells)):
            says = say("column {letters} has values and no header", letters=column_letters(column))
            fix = say("write the key that it holds above it, or delete the column")
            self.reader.report(codes.NO_HEADER, self._place(header.line, column), says, fix)
        known = row_keys(self.part)
        found: dict[str, _Column] = {}
        for column, cell in header.cells.items():
            meant = cell.text.split(".")[0] in known or column in used
            if cell.problem is None and meant:
                found.setdefault(cell.text, _Column(column, self._place(header.line, column)))
        return found

    def _long_forms(self, found: dict[str, _Column]) -> dict[str, _Column]:
        """`gpus` beside `gpus.range` is `gpus.value`; any other key beside a part of itself is refused."""
        renamed = dict(found)
        for key in found:
            inner = {other for other in found if other.startswith(f"{key}.")}
            if not inner:
                continue
            rest = {other.removeprefix(f"{key}.") for other in inner}
            if rest <= set(LONG_KEYS) - {"value"}:
                renamed[f"{key}.value"] = renamed.pop(key)
                continue
            other = min(inner)
            says = say("`{key}` and `{other}` are both columns", key=key, other=other)
            self.reader.report(codes.EXCLUDE, found[other].at, says, say("keep one of the two"))
            for each in inner:
                renamed.pop(each, None)
        return renamed

    def _check_keys(self) -> None:
        """Keys that are not known, stand twice, or are missing."""
        known = row_keys(self.part)
        each = self.node.items.get("each")
        given = {key: each.key_at.get(key, each.at) for key in each.items} if isinstance(each, Map) else {}
        for key, at in [*((key, column.at) for key, column in self.columns.items()), *given.items()]:
            if key.split(".")[0] not in known:
                says = say("`{key}` is not a key of {part}", key=key, part=self.part)
                self.reader.report("P006", at, says, did_you_mean(key, known, limit=20))
                self.columns.pop(key, None)
                self.table.each.pop(key, None)
                meant = nearest(key, known)
                if meant is not None and meant not in self.columns:
                    self.lacking.add(meant)
        for key, column in list(self.columns.items()):
            if key.split(".")[0] in given:
                says = say("`{key}` is in a column and in `each`", key=key)
                self.reader.report("P026", column.at, says, say("keep one"))
        written = {key.split(".")[0] for key in (*self.columns, *given)}
        missing = [key for key in row_required(self.part) if key not in written]
        if "name" not in self.columns and self.part not in LISTS:
            missing.insert(0, "name")
        for key in missing:
            self._miss(key, known[key])
            self.lacking.add(key)

    def _miss(self, key: str, doc: str) -> None:
        if self.table.columns:
            says = say("neither `columns` nor `each` of `{part}` has `{key}`", part=self.part, key=key)
            self.reader.report("P007", self.node.at, says, say("add `{key}`: {doc}", key=key, doc=doc))
            return
        at = self._place(self.grid.header.line, min(self.grid.header.cells, default=1))
        says = say("the table has no column `{key}`", key=key)
        fix = say("add a column `{key}`: {doc}", key=key, doc=doc)
        self.reader.report("P007", at, says, fix)

    def _find_merged(self) -> None:
        """Report merged cells that the table lies in."""
        from gpufleet.plan.sheets import merged_problem

        used = {column.number for column in self.columns.values()}
        first = self.grid.header.line
        last = self.grid.rows[-1].line if self.grid.rows else first
        for block in self.grid.merged:
            top, bottom, left, right = block
            if top <= last and bottom >= first and any(left <= column <= right for column in used):
                self.bad_cells.append(merged_problem(block))
                self.merged.append(block)

    # --- the rows -------------------------------------------------------------------------------------------

    def as_list(self) -> Seq:
        """The rows as a list."""
        rows = tuple(self._read())
        return Seq(rows, self.node.at)

    def as_map(self) -> Map:
        """The rows by their name."""
        items: dict[str, Node] = {}
        places: dict[str, Place] = {}
        for row in self._read():
            name = row.items.pop("name", None)
            if isinstance(name, Leaf) and not name.text:
                continue  # a cell that cannot be used
            if not isinstance(name, Leaf):
                fix = say("fill the cell, or delete the row")
                self.reader.report("P007", row.at, say("the row has no name"), fix)
            elif name.text in items:
                says = say("`{name}` stands here and in {at}", name=name.text, at=str(places[name.text]))
                self.reader.report("P005", name.at, says, say("keep one, or give one another name"))
            else:
                items[name.text], places[name.text] = row, name.at
        return Map(items, self.node.at, places)

    def _read(self) -> Iterator[Map]:
        """Each row as the mapping that it stands for."""
        for row in self.grid.rows:
            yield self._row(row)
        self._tell_bad_cells()

    def _row(self, row: Row) -> Map:
        """A row as a mapping. A cell that cannot be used is nothing, and nothing more is said about it."""
        first = min((n for c in self.columns.values() if (n := c.number) in row.cells), default=1)
        found = Map(dict(self.table.each), self._place(row.line, first if self.grid.sheet else 0), {})
        for key, column in self.columns.items():
            at = self._place(row.line, column.number)
            cell = row.cells.get(column.number)
            if cell is None and self._is_merged(row.line, column.number):
                cell = Cell(None, "")
            elif cell is not None and cell.problem is not None:
                self.bad_cells.append(cell.problem)
            if cell is not None:
                if not cell.text:
                    self.spoilt.add(at)
                _put(found, key.split("."), _node(cell, at, self.reader))
        for key in self.lacking:  # it is told once, and not in every row
            self.spoilt.add(found.at)
            found.items.setdefault(key, Leaf(None, "", found.at))
        return found

    def _is_merged(self, line: int, column: int) -> bool:
        return any(t <= line <= b and left <= column <= right for t, b, left, right in self.merged)

    def _tell_bad_cells(self) -> None:
        """Report cells that cannot be used, the first ones each, the others by their number."""
        for problem in self.bad_cells[:MAX_BAD_ROWS]:
            self._tell(problem)
        more = len(self.bad_cells) - MAX_BAD_ROWS
        if more > 0:
            at = self.bad_cells[MAX_BAD_ROWS]
            says = say("{n:,} more cell cannot be used", "{n:,} more cells cannot be used", n=more)
            self.reader.report(at.code, self._place(at.line, at.column), says, at.fix)
        if self.bad_cells or self.lacking:
            self.reader.broken.add(self.part)  # not all names are known
            self.reader.spoilt |= self.spoilt


def _put(row: Map, keys: list[str], node: Node) -> None:
    """Put a cell at a path such as `quota.B200`."""
    for key in keys[:-1]:
        inner = row.items.setdefault(key, Map({}, row.at))
        assert isinstance(inner, Map)
        row = inner
    row.items[keys[-1]] = node
    row.key_at[keys[-1]] = node.at


def _node(cell: Cell, at: Place, reader: Reader) -> Node:
    """What a cell holds. Text in brackets is YAML, for ranges and lists: `[40000, 65000]`."""
    text = cell.text
    if text[:1] + text[-1:] not in ("[]", "{}") or len(text) < 2:
        return Leaf(cell.value, text, at)
    try:
        return _at(parse_yaml(text, at.file, first_line=0), at)
    except GpufleetError as error:
        reader.pass_on(error, at)
        reader.spoilt.add(at)
        return Leaf(None, "", at)


def _at(node: Node, at: Place) -> Node:
    """A tree, all of it at one place."""
    if isinstance(node, Leaf):
        return Leaf(node.value, node.text, at)
    if isinstance(node, Seq):
        return Seq(tuple(_at(item, at) for item in node.items), at)
    return Map({key: _at(item, at) for key, item in node.items.items()}, at, dict.fromkeys(node.items, at))
