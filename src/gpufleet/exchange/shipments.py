"""Shipments that export law is asked about: from a CSV file, or one from the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

from gpufleet.base.errors import (
    Finding,
    GpufleetError,
    Place,
    Severity,
    did_you_mean,
    explain_code,
    finding,
    nearest,
)
from gpufleet.base.say import say
from gpufleet.catalog.load import find_chip, resolve_chip, resolve_country
from gpufleet.exchange.csv_table import Row, Table, read_table
from gpufleet.models.export import RuleSet, Verdict
from gpufleet.models.export_chip import chip_inputs
from gpufleet.models.export_inputs import BY_COLUMN, Input, Value, complete, is_date
from gpufleet.models.export_policies import AUTHORITIES

OUTSIDE: Final = explain_code(
    "C043",
    "a date that the rules do not reach",
    "Before the first rule nothing was in force, and nothing is known of rules that came after those of the "
    "catalogue were read. The verdict is what follows from the rules that are there.",
    "gpufleet export-check H20 --to CN --on 2021-01-01      # the first rule is of 2022-08-26",
).code

NEEDED: Final = ("case_id", "query_date", "chip", "destination", "buyer_hq", "origin")
"""Columns without which a row is no question."""
CHIP: Final = ("maker_hq", "tpp", "performance_density", "mem_bw_gbps", "io_gbps", "dc_marketed")
"""Columns that are there together, or not at all: then the catalogue has the chips."""
EXPECTED: Final = ("authority_group", "expected_licence_required", "expected_policy")
"""Columns that say which authority is asked, and what is expected of it."""
BESIDE: Final = ("rule_id", "vendor", "die_area_mm2", "label_basis", "confidence", "source_url", "note")
"""Columns that a file may have besides; they change no verdict."""

Tell = Callable[[Finding], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shipment:
    """One question.

    `inputs` are complete. `asked` is the authority that is asked, "" for all; `expected` what is expected of
    it: `licence_required` and `policy`.
    """

    id: str
    inputs: Mapping[str, Value]
    at: Place
    asked: str = ""
    expected: tuple[str, str] | None = None


def read_shipments(path: Path) -> tuple[list[Shipment], list[Finding]]:
    """Read a file of shipments: them, and warnings.

    A row that gives any number of its chip speaks for the whole chip, and an empty cell then means that the
    number is not known. A row that gives none has the numbers of the catalogue.

    Raises: GpufleetError X040 to X042, C001, C002, C040 with everything that is wrong.
    """
    table = read_table(path)
    found = list(_columns(table))
    if any(each.severity == "error" for each in found):
        raise GpufleetError(*found)
    made: list[Shipment] = []
    seen: dict[str, int] = {}
    for row in table.rows:
        made.append(_shipment(row, found.append))
        name = row.cells["case_id"]
        if name in seen:
            says = say("case_id: `{name}` is in line {line:,} too", name=name, line=seen[name])
            found.append(finding("X042", says, say("give one another id"), row.at))
        seen[name] = row.at.line
    if any(each.severity == "error" for each in found):
        raise GpufleetError(*found)
    return made, found


def one_shipment(
    chip: str, to: str, on: str, hq: str | None, origin: str | None, more: Iterable[str]
) -> tuple[Shipment, list[str]]:
    """A shipment of a product of the catalogue.

    Args:    chip: a product; to, hq, origin: countries; on: a date; more: ``column=value``, which go before
             the catalogue.
    Returns: it, and the columns whose value was not given but taken: the headquarters are then in the
             destination, and it leaves the US.
    Raises:  GpufleetError C001, C002, C040, X041 or X042 with everything that is wrong.

    >>> shipment, taken = one_shipment("H20", "CN", "2025-05-01", None, None, ["state_funded=1"])
    >>> shipment.inputs["hq"], shipment.inputs["state_funded"], shipment.inputs["tpp"], taken
    ('CN', 1.0, 2368.0, ['buyer_hq', 'origin'])
    """
    found: list[Finding] = []
    given = {}
    if (row := _asked(lambda: resolve_chip(chip), Place("PRODUCT", 0), "", found.append)) is not None:
        given = chip_inputs(row)
    taken = [c for c, value in (("buyer_hq", hq), ("origin", origin)) if value is None]
    named = {"--to": to, "--on": on, "--buyer-hq": hq or to, "--origin": origin or "US"}
    for (option, text), column in zip(named.items(), _OPTIONS, strict=True):
        if option == "--buyer-hq" and hq is None:
            continue
        given[BY_COLUMN[column].name] = _value(BY_COLUMN[column], text, Place(option, 0), found.append)
    if hq is None:
        given["hq"] = given["dest"]
    for each in more:
        _set(each, given, found.append)
    if found:
        raise GpufleetError(*found)
    return Shipment("", complete(given), Place("--on", 0)), taken


_OPTIONS: Final = ("destination", "query_date", "buyer_hq", "origin")


def agrees(shipment: Shipment, found: Iterable[Verdict]) -> bool | None:
    """Whether the authority that is asked says what is expected; None if nothing is expected."""
    said = {each.authority_group: (each.licence_required, each.policy) for each in found}
    return None if shipment.expected is None else said[shipment.asked] == shipment.expected


def outside(shipments: Iterable[Shipment], rules: RuleSet) -> list[Finding]:
    """Warnings for dates before the first rule, and after the rules were read; one for each kind."""
    days = [(date.fromisoformat(str(each.inputs["date"])), each.at) for each in shipments]
    first, last = date.fromisoformat(rules.first_day), date.fromisoformat(rules.read_on)
    early, late = [each for each in days if each[0] < first], [each for each in days if each[0] > last]
    found = []
    if early:
        says = say(
            "{date} is before {first}, the first day of any rule",
            "{n:,} dates are before {first}, the first day of any rule; the first of them is {date}",
            n=len(early),
            date=early[0][0],
            first=first,
        )
        fix = say("ask for a date from {first} on", first=first)
        found.append(finding(OUTSIDE, says, fix, early[0][1], severity="warning"))
    if late:
        says = say(
            "{date} is after {last}, when the rules were read",
            "{n:,} dates are after {last}, when the rules were read; the first of them is {date}",
            n=len(late),
            date=late[0][0],
            last=last,
        )
        fix = say("look whether the rules have changed since")
        found.append(finding(OUTSIDE, says, fix, late[0][1], severity="warning"))
    return found


def _set(text: str, given: dict[str, Value], tell: Tell) -> None:
    """``column=value`` of the command line."""
    column, sign, value = (part.strip() for part in text.partition("="))
    at = Place(f"--input {column}", 0)
    if column not in BY_COLUMN or column in (*_OPTIONS, "chip") or not sign:
        columns = [each for each in BY_COLUMN if each not in (*_OPTIONS, "chip")]
        says = say("`{text}` sets no input of a rule", text=text)
        tell(finding("X041", says, did_you_mean(column, columns, limit=len(columns)), at))
        return
    known = BY_COLUMN[column]
    given[known.name] = _value(known, value, at, tell) if value or known.needed else known.empty


def _columns(table: Table) -> Iterable[Finding]:
    """What is wrong with the columns of a file."""
    at = Place(str(table.path), 1)
    known = (*BY_COLUMN, "case_id", *EXPECTED, *BESIDE)
    chip = CHIP if any(each in table.columns for each in (*CHIP, *_of_chip())) else ()
    strange = [each for each in table.columns if each not in known]
    for each in (each for each in (*NEEDED, *chip) if each not in table.columns):
        fix = say("add the column `{each}`", each=each)
        if near := nearest(each, strange):
            strange.remove(near)
            fix = say("is it `{near}`? rename it", near=near)
        yield finding("X041", say("there is no column `{each}`", each=each), fix, at)
    if strange:
        says = say("not read: {columns:, }", columns=[f"`{each}`" for each in strange])
        yield finding("X041", says, did_you_mean(strange[0], known), at, severity="warning")
    absent = [each for each in BY_COLUMN if each not in (*table.columns, *NEEDED, *CHIP)]
    if absent:
        says = say("not there, taken as empty: {columns:, }", columns=[f"`{each}`" for each in absent])
        fix = say("add those that are not empty in every row")
        yield finding("X041", says, fix, at, severity="warning")


def _shipment(row: Row, tell: Tell) -> Shipment:
    cells = row.cells
    given: dict[str, Value] = {}
    own = any(cells.get(each) for each in (*_of_chip(), "die_area_mm2"))
    known = find_chip(cells["chip"]) if cells["chip"] else None
    if not own and known is not None:
        given = chip_inputs(known)
    elif not own and cells["chip"]:
        given = _strange_chip(cells, row.at, tell)
    elif known is not None:
        given = {"maker_hq": known.maker_hq}
    for column, each in BY_COLUMN.items():
        text = cells.get(column, "")
        if text:
            given[each.name] = _value(each, text, row.at, tell)
        elif each.needed and each.name not in given:
            says = say("{column} is empty", column=column)
            tell(finding("X042", says, say("write one: {what}", what=each.says), row.at))
    if known is not None:
        given["chip"] = known.id
    if not cells["case_id"]:
        tell(finding("X042", say("{column} is empty", column="case_id"), say("give the row an id"), row.at))
    asked, expected = _expected(cells, row.at, tell)
    return Shipment(cells["case_id"], complete({"origin": "", **given}), row.at, asked, expected)


def _strange_chip(cells: Mapping[str, str], at: Place, tell: Tell) -> dict[str, Value]:
    """A chip that the catalogue does not have, in a row without numbers: they are not known, if the file has
    columns for them and so could have said them; else its name must be a slip.
    """
    found: list[Finding] = []
    _asked(lambda: resolve_chip(cells["chip"]), at, "chip", found.append)
    severity: Severity = "warning" if all(each in cells for each in CHIP) else "error"
    for each in found:
        tell(replace(each, severity=severity))
    return {} if severity == "warning" else {"maker_hq": ""}


def _of_chip() -> list[str]:
    return [column for column, each in BY_COLUMN.items() if each.of_chip]


def _expected(cells: Mapping[str, str], at: Place, tell: Tell) -> tuple[str, tuple[str, str] | None]:
    """The authority that is asked, and what is expected of it."""
    asked, *wanted = (cells.get(column, "") for column in EXPECTED)
    expected = (wanted[0], wanted[1])
    if asked and asked not in AUTHORITIES:
        says = say("{column}: `{text}` is no authority", column="authority_group", text=asked)
        tell(finding("X042", says, did_you_mean(asked, AUTHORITIES), at))
    if any(expected) and not (asked and all(expected)):
        says = say("what is expected is not whole")
        fix = say("fill {columns: and }, or none of them", columns=list(EXPECTED))
        tell(finding("X042", says, fix, at))
    return asked, expected if all(expected) else None


def _value(known: Input, text: str, at: Place, tell: Tell) -> Value:
    """A text as a value of an input; what is wrong is told, and the value is then of no use."""
    if known.kind == "country":
        return _asked(lambda: resolve_country(text), at, known.column, tell)
    wrong: tuple[str, str] | None = None
    value: Value = text
    if known.kind in ("number", "flag"):
        value = _number(text)
        if known.kind == "flag" and value not in (0.0, 1.0):
            wrong = (
                say("{column}: `{text}` is neither 0 nor 1", column=known.column, text=text),
                say("write 0 or 1"),
            )
        elif value is None:
            says = say("{column}: `{text}` is no number from 0 up", column=known.column, text=text)
            wrong = says, say("write e.g. {example}", example="2368")
    elif known.kind == "date" and not is_date(text):
        says = say("{column}: `{text}` is no date", column=known.column, text=text)
        wrong = says, say("write e.g. {example}", example="2025-04-09")
    elif known.choices and text not in known.choices:
        says = say("{column}: `{text}` is not known", column=known.column, text=text)
        wrong = says, did_you_mean(text, known.choices)
    if wrong:
        tell(finding("X042", *wrong, at))
    return value


def _number(text: str) -> float | None:
    try:
        value = float(text) if "_" not in text else -1.0
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _asked(ask: Callable[[], T], at: Place, column: str, tell: Tell) -> T | None:
    """What the catalogue answers; a refusal is told with the place."""
    try:
        return ask()
    except GpufleetError as error:
        for each in error.findings:
            says = say("{column}: {says}", column=column, says=each.says) if column else each.says
            tell(replace(each, says=says, at=at))
        return None
