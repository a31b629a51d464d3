"""Where the numbers come from: the run's ledger, one entry per measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gpufleet.base.say import Said, say, tell
from gpufleet.report.tables import Kind, Link, Table, table
from gpufleet.results.measure_words import quantity as quantity
from gpufleet.results.measures import MEASURES

if TYPE_CHECKING:
    from gpufleet.results.run import Run

Row = Mapping[str, Any]


class Fact(NamedTuple):
    """One thing that an entry says; what it says may open rows of the table of sources."""

    term: str
    says: str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One measure with what it rests on."""

    id: str
    name: str
    what: str
    value: str  # for the whole run, "" if there is none
    facts: tuple[Fact, ...]
    assumed: bool
    parts: Table | None  # the same measure by tenant, product, ...


def is_input(row: Row) -> bool:
    """Whether a ledger's entry is a value of the plan, not a measure.

    >>> is_input({"name": "policy.order", "section": "policy"}), is_input({"name": "jobs"})
    (True, False)
    """
    return bool(row.get("section", "measures") != "measures")


TRUSTS = {
    "stated": say("stated"),
    "estimate": say("estimate"),
    "assumption": say("assumption"),
    "confirmed": say("confirmed"),
    "partly": say("confirmed in part"),
}
"""How far a value of a plan, or a row of the catalogue, is trusted."""

_NOT_SAID: Final = say("not said for all of it")


def trusted(trust: str | None) -> str | None:
    """How far a value is trusted, as people read it."""
    return tell(TRUSTS[trust]) if trust in TRUSTS else trust


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
        Fact(say("formula"), tell(Said(first["formula"]))),
        Fact(say("made from"), ", ".join(first["inputs"])),
        Fact(say("line of the plan"), first["plan_line"] or ""),
        Fact(say("source"), titled(run, first["source"]), cites(run, first["source"])),
        Fact(say("trust"), trusted(first["trust"]) or tell(_NOT_SAID)),
        Fact(say("exact value"), f"{whole['value']!r} {_of(first['unit'])}".strip() if whole else ""),
    ]
    return Entry(
        id=entry_id(name),
        name=name,
        what=tell(known.says) if known else name,
        value=quantity(whole["value"], whole["unit"]) if whole else "",
        facts=tuple(fact for fact in named if fact.says),
        assumed=first.get("assumed", first["trust"] == "assumption"),
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


def source_ids(run: Run) -> dict[str, str]:
    """Ids of the rows of the table of sources: numbers, because names may hold anything."""
    return {name: f"source-{i + 1}" for i, name in enumerate(run.plan.get("sources") or {})}


def cites(run: Run, source: str | None) -> tuple[Link, ...]:
    """Each source of a list by its title, with the row that it opens; () if one of them has no row."""
    ids, names = source_ids(run), [name for name in (source or "").split(", ") if name]
    if not all(name in ids for name in names):
        return ()
    return tuple(Link(titled(run, name), ids[name]) for name in names)


def _parts(name: str, rows: Sequence[Row]) -> Table | None:
    """A measure's values by its dimensions."""
    if not rows:
        return None
    unit = rows[0]["unit"]
    kinds: dict[str, Kind] = {"1": "exact", "s": "wait", "job": "whole", "row": "whole", "GPU": "whole"}
    values = [(", ".join(f"{k} {v}" for k, v in row["by"].items()), row["value"]) for row in rows]
    return table(
        say("{measure} by part", measure=name),
        [(say("of"), "name"), (f"{name}, {_of(unit)}".rstrip(", "), kinds.get(unit, "number"))],
        values,
    )
