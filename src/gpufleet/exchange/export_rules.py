"""Export rules of one's own beside those of the catalogue: ones that are feared, or newer than it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gpufleet.base.errors import Finding, GpufleetError, Place, did_you_mean, finding, nearest
from gpufleet.base.say import say
from gpufleet.catalog.rows import ExportRule, column_names
from gpufleet.exchange.csv_table import Row, read_table
from gpufleet.models.export import RuleSet
from gpufleet.models.export_rules import compile_rules, shipped_rules

_NEEDED: Final = ("id", "effective_from", "authority_group", "role", "destination_expr", "policy_expr")
_DEFAULTS: Final = {
    "entity_hq_expr": "True",
    "combine": "AND",
    "instrument": "rule of one's own",
    "trust": "assumption",
}
"""What an absent or empty column means; others stay empty."""


def with_rules(path: Path) -> RuleSet:
    """The rules of the catalogue, and those of a CSV file with the columns of ``catalog/export_rules.csv``.

    Raises: GpufleetError X040 to X042, C041 or C042 with everything that is wrong, each with its line.
    """
    table = read_table(path)
    found = list(_columns(table.columns, Place(str(path), 1)))
    if found:
        raise GpufleetError(*found)
    rows = [(_rule(row), row.at) for row in table.rows]
    return RuleSet(compile_rules(rows, beside=shipped_rules()))


def _columns(columns: tuple[str, ...], at: Place) -> list[Finding]:
    known = column_names(ExportRule)
    strange = [each for each in columns if each not in known]
    found = []
    for each in (each for each in _NEEDED if each not in columns):
        fix = say("add the column `{each}`", each=each)
        if near := nearest(each, strange):
            strange.remove(near)
            fix = say("is it `{near}`? rename it", near=near)
        found.append(finding("X041", say("there is no column `{each}`", each=each), fix, at))
    for each in strange:
        says = say("`{column}` is no column of a rule", column=each)
        found.append(finding("X041", says, did_you_mean(each, known), at))
    return found


def _rule(row: Row) -> ExportRule:
    """A row as a rule; checked when it is compiled."""
    cells = {name: row.cells.get(name) or _DEFAULTS.get(name, "") for name in column_names(ExportRule)}
    cells["title"] = cells["title"] or cells["id"]
    cells["published"] = cells["published"] or cells["effective_from"]
    may_be_empty = {
        name: cells[name] or None
        for name, kind in ExportRule.__annotations__.items()
        if str(kind).endswith("| None")
    }
    values: dict[str, str | None] = {**cells, **may_be_empty}
    return ExportRule(line=row.at.line, **values)  # type: ignore[arg-type]
