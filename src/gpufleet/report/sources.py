"""Where the numbers come from: the run's ledger, one entry per measure, and the plan's values as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gpufleet.report.tables import Kind, Table, table
from gpufleet.report.words import duration, percent, short
from gpufleet.results.measures import MEASURES

if TYPE_CHECKING:
    from gpufleet.results.run import Run

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """One measure with what it rests on."""

    id: str
    name: str
    what: str
    value: str  # for the whole run, "" if there is none
    facts: tuple[tuple[str, str], ...]
    assumed: bool
    parts: Table | None  # the same measure by tenant, product, ...


def is_input(row: Row) -> bool:
    """Whether a ledger's entry is a value of the plan, not a measure.

    >>> is_input({"name": "policy.order", "section": "policy"}), is_input({"name": "jobs"})
    (True, False)
    """
    return bool(row.get("section", "measures") != "measures")


def entry_id(measure: str) -> str:
    """Id of a measure's entry in the page."""
    return f"number-{measure}"


def entries(run: Run) -> tuple[Entry, ...]:
    """The ledger's measures, in their order."""
    rows: dict[str, list[Row]] = {}
    for row in run.ledger["entries"]:
        if not is_input(row):
            rows.setdefault(row["name"], []).append(row)
    return tuple(_entry(run, name, found) for name, found in rows.items())


def _entry(run: Run, name: str, rows: Sequence[Row]) -> Entry:
    first = rows[0]
    known = MEASURES.get(name)
    whole = next((row for row in rows if not row["by"]), None)
    named = [
        ("formula", first["formula"]),
        ("made from", ", ".join(first["inputs"])),
        ("line of the plan", first["plan_line"]),
        ("source", titled(run, first["source"])),
        ("trust", first["trust"]),
        ("exact value", f"{whole['value']!r} {_of(first['unit'])}".strip() if whole else None),
    ]
    return Entry(
        id=entry_id(name),
        name=name,
        what=known.doc.splitlines()[0].rstrip(".") if known else name,
        value=quantity(whole["value"], whole["unit"]) if whole else "",
        facts=tuple((term, str(says)) for term, says in named if says),
        assumed=first["trust"] == "assumption",
        parts=_parts(name, [row for row in rows if row["by"]]),
    )


def _of(unit: str) -> str:
    """A unit as it stands behind a number; a pure number has none."""
    return "" if unit == "1" else unit


def titled(run: Run, source: str | None) -> str:
    """A source by its title where the plan gives one; several stand with commas.

    An id that the plan does not explain stays as it is.
    """
    known = run.plan.get("sources") or {}
    names = (source or "").split(", ")
    return ", ".join((known.get(name) or {}).get("title") or name for name in names)


def _parts(name: str, rows: Sequence[Row]) -> Table | None:
    """A measure's values by its dimensions."""
    if not rows:
        return None
    unit = rows[0]["unit"]
    kinds: dict[str, Kind] = {"1": "exact", "s": "wait", "job": "whole", "row": "whole"}
    values = [(", ".join(f"{k} {v}" for k, v in row["by"].items()), row["value"]) for row in rows]
    return table(
        f"{name} by part",
        [("of", "name"), (f"{name}, {_of(unit)}".rstrip(", "), kinds.get(unit, "number"))],
        values,
    )


def quantity(value: float, unit: str) -> str:
    """A measure's value as a reader wants it.

    >>> quantity(0.871, "1"), quantity(2.5, "1"), quantity(15120, "s")
    ('87 %', '2.5', '4 h 12 min')
    >>> quantity(12345.6, "GPU·h"), quantity(1, "job")
    ('12,300 GPU·h', '1 job')
    """
    if unit == "1":
        return percent(value) if value <= 1 else short(value)
    if unit == "s":
        return duration(value)
    if unit in ("job", "row"):
        return f"{value:,.0f} {unit}{'' if value == 1 else 's'}"
    return f"{short(value)} {unit}".strip()


def inputs(run: Run) -> Table | None:
    """The plan's values that the run was made of, with line, source and trust."""
    rows = [
        (
            ("◆ " if row["trust"] == "assumption" else "") + row["name"],
            written(run, row["value"], row["unit"]),
            row["unit"],
            row["trust"] or "",
            titled(run, row["source"]),
            row["plan_line"] or row["formula"],
        )
        for row in run.ledger["entries"]
        if is_input(row)
    ]
    if not rows:
        return None
    columns: list[tuple[str, Kind]] = [
        ("value of the plan", "name"), ("is", "name"), ("unit", "text"), ("trust", "text"),
        ("source", "name"), ("written at", "place"),
    ]  # fmt: skip
    return table("The plan's values", columns, rows)


def written(run: Run, value: Any, unit: str) -> str:
    """A value of the lock on one line: a file by its name, a date in the plan's zone, power as steps."""
    if isinstance(value, Mapping) and "sha256" in value:
        return str(value["name"])
    if unit == "date":
        return _day(run, datetime.fromisoformat(value))
    if unit == "W" and isinstance(value, list):
        return ", ".join(_power_from(run, int(from_s), watts) for from_s, watts in value)
    if isinstance(value, list | Mapping):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:,.12g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _day(run: Run, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(run.time_zone)):%Y-%m-%d %H:%M}"


def _power_from(run: Run, from_s: int, watts: float) -> str:
    """A step of a site's power."""
    since = f" from {_day(run, run.start + timedelta(seconds=from_s))}" if from_s else ""
    return f"{watts:,.12g}{since}"
