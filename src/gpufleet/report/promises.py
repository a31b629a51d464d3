"""Promises side by side, never summed: what counts toward each, what is contracted, online and short.

Each promise has an entry of its own among the page's numbers: formula, lots, line of the plan, source, trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import say
from gpufleet.report import measured
from gpufleet.report.sources import Entry, Fact, cites, source_ids, titled, trusted
from gpufleet.report.stairs import Flight, Stairs
from gpufleet.report.tables import Kind, Link, Table, table
from gpufleet.results.chain import never_comes
from gpufleet.results.measures_supply import of_other_kind

if TYPE_CHECKING:
    from gpufleet.results.run import Run

Row = Mapping[str, Any]


def anchor(promises: Mapping[str, Any], name: str) -> str:
    """Id of a promise's entry in the page: a number, because names may hold anything.

    >>> anchor({"first": {}, "second": {}}, "second")
    'promise-2'
    """
    return f"promise-{list(promises).index(name) + 1}"


def called(promises: Mapping[str, Any], name: str) -> str:
    """What people call a promise.

    >>> called({"a": {"title": "Fifty thousand"}, "b": {}}, "a"), called({"b": {}}, "b")
    ('Fifty thousand', 'b')
    """
    return str(promises.get(name, {}).get("title") or name)


def side_by_side(stairs: Stairs) -> Table:
    """One row per promise."""
    columns: list[tuple[str, Kind]] = [
        (say("promise"), "name"), (say("promised, GPUs"), "whole"),
        (say("contracted, GPUs"), "whole"), (say("due by"), "day"), (say("online then, GPUs"), "whole"),
        (say("low to high"), "figure"), (say("short then, GPUs"), "whole"),
        (say("largest gap at"), "place"), (say("online at the end, GPUs"), "whole"),
        (say("of another product, GPUs"), "whole"),
        (say("for"), "name"), (say("kind"), "text"), (say("by"), "name"), (say("lots"), "whole"),
    ]  # fmt: skip
    flights = {flight.name: flight for flight in stairs.flights()}
    rows = [_row(stairs, name, flights[name]) for name in stairs.promises]
    return table(
        say("Promises, side by side; they may speak of the same GPUs and are not added up"), columns, rows
    )


class Kept(NamedTuple):
    """A promise in numbers: GPUs, those online and short when it is due."""

    name: str
    promised: int
    contracted: int
    online: int
    short: int
    due: date


def kept(stairs: Stairs) -> list[Kept]:
    """How far each promise is kept when it is due."""
    flights = {flight.name: flight for flight in stairs.flights()} if stairs.promises else {}
    contracted = measured.values(stairs.run, "contracted_gpus", "promise")
    return [
        Kept(
            name,
            promise["gpus"],
            int(contracted.get((name,), 0)),
            flights[name].at("online", stairs.due_of(name)).gpus,
            _missing(stairs, name, stairs.due_of(name))[0],
            _day(stairs.run, promise["until"]),
        )
        for name, promise in stairs.promises.items()
    ]


def _row(stairs: Stairs, name: str, flight: Flight) -> tuple[Any, ...]:
    run, promise, month = stairs.run, stairs.promises[name], stairs.due_of(name)
    to, online = anchor(stairs.promises, name), flight.at("online", month)
    contracted = measured.values(run, "contracted_gpus", "promise").get((name,))
    other = measured.values(run, "other_product_gpus", "promise").get((name,))
    short, place = _missing(stairs, name, month)
    return (
        Link(called(stairs.promises, name), to),
        Link(promise["gpus"], to),
        Link(contracted, to),
        _day(run, promise["until"]),
        Link(online.gpus, to),
        say("{low:,} to {high:,}", low=online.low, high=online.high) if online.low != online.high else None,
        Link(short, to),
        place,
        Link(flight.last("online").gpus, to),
        Link(other, to) if other else None,
        promise["tenant"],
        _kind(promise),
        promise.get("by") or "",
        len(_lots(run, name)),
    )


def _kind(promise: Row) -> str:
    return say("target") if promise.get("kind") == "target" else say("pledge")


def _lots(run: Run, promise: str) -> dict[str, Row]:
    """Lots that count toward a promise, by name."""
    found: dict[str, Row] = run.plan["deliveries"]
    return {name: lot for name, lot in found.items() if promise in (lot.get("counts_toward") or ())}


def _missing(stairs: Stairs, promise: str, month: str) -> tuple[int, str]:
    """GPUs of a promise that are short at the end of a month, and the line behind most of them."""
    rows = stairs.shortage.filter(pl.col("promise") == promise, pl.col("month") == month, pl.col("gpus") > 0)
    if rows.is_empty():
        return 0, ""
    most = rows.sort("gpus", descending=True, maintain_order=True).row(0, named=True)
    return int(rows.get_column("gpus").sum()), str(most["place"])


def _day(run: Run, text: str) -> date:
    """A moment of the lock as a day in the plan's zone."""
    return datetime.fromisoformat(text).astimezone(ZoneInfo(run.time_zone)).date()


# --- what stands behind each


def behind(stairs: Stairs) -> tuple[Entry, ...]:
    """An entry per promise: what its numbers are made of, where it is written, who says so."""
    flights = {flight.name: flight for flight in stairs.flights()} if stairs.promises else {}
    return tuple(_entry(stairs, name, flights[name]) for name in stairs.promises)


def _entry(stairs: Stairs, name: str, flight: Flight) -> Entry:
    run, promise = stairs.run, stairs.promises[name]
    own = origin(run, f"promises.{name}.gpus", f"promises.{name}")
    facts = [
        Fact(say("promised"), _promised(run, promise)),
        Fact(say("product"), _product(run, name)),
        Fact(say("range"), _range(promise)),
        Fact(say("contracted"), say("GPUs of its lots whose status is ordered, delivered or online")),
        Fact(say("online"), say("GPUs of its lots that have arrived and have power by then")),
        Fact(say("short"), say("promised − online, by the first step that is missing")),
        Fact(say("line of the plan"), own["line"]),
        Fact(say("source"), titled(run, own["source"]), cites(run, own["source"])),
        Fact(say("trust"), trusted(own["trust"]) or ""),
    ]
    return Entry(
        id=anchor(stairs.promises, name),
        name=f"promises.{name}",
        what=called(stairs.promises, name),
        value=say("{n:,} GPU", "{n:,} GPUs", n=promise["gpus"]),
        facts=tuple(fact for fact in facts if fact.says),
        assumed=own["trust"] == "assumption",
        parts=_lots_table(stairs, name),
    )


def _promised(run: Run, promise: Row) -> str:
    values = {
        "gpus": promise["gpus"],
        "tenant": promise["tenant"],
        "at": _day(run, promise["at"]),
        "until": _day(run, promise["until"]),
    }
    if promise.get("by"):
        return say(
            "{gpus:,} GPUs for {tenant}, by {who} on {at}, due by {until}", who=promise["by"], **values
        )
    return say("{gpus:,} GPUs for {tenant}, on {at}, due by {until}", **values)


def _product(run: Run, name: str) -> str:
    """Which GPUs were promised, and how many that count toward it are others."""
    words = run.plan["promises"][name].get("product") or ""
    other = measured.values(run, "other_product_gpus", "promise").get((name,))
    if not other:
        return words
    return say(
        "{words}; {gpus:,} GPUs that count toward it are of another product ({lots:, })",
        words=words, gpus=round(other), lots=list(of_other_kind(run.plan, name)),
    )  # fmt: skip


def _range(promise: Row) -> str:
    low, high = promise.get("gpus_range") or (None, None)
    return "" if low is None else say("{low:,} to {high:,} GPUs", low=low, high=high)


def origin(run: Run, *paths: str) -> dict[str, str]:
    """Line, source and trust of a value of the plan: its own, else that of the part it stands in."""
    lines, origins = run.plan["lines"], run.plan["origins"]
    known = [origins.get(path, {}) for path in paths]
    return {
        "line": next((lines[path] for path in paths if path in lines), ""),
        "source": next((one["source"] for one in known if one.get("source")), ""),
        "trust": next((one["trust"] for one in known if one.get("trust")), ""),
    }


def _lots_table(stairs: Stairs, promise: str) -> Table | None:
    """The lots that count toward a promise."""
    run = stairs.run
    online, ids, other = _last_online(stairs), source_ids(run), of_other_kind(run.plan, promise)
    rows = []
    for name, lot in _lots(run, promise).items():
        own = origin(run, f"deliveries.{name}.gpus", f"deliveries.{name}")
        mark = "◆ " if own["trust"] == "assumption" else ""
        title = titled(run, own["source"])
        source = Link(title, ids[own["source"]]) if own["source"] in ids else title
        rows.append(
            (
                f"{mark}{name}", lot["to"], lot["system"],
                say("no: {kind}", kind=other[name]) if name in other else None,
                lot.get("operator") or "", lot["gpus"],
                None if never_comes(lot) else _day(run, lot["at"]),
                status_name(lot.get("status", "ordered")), online.get(name, 0),
                own["line"], source, trusted(own["trust"]) or "",
            )
        )  # fmt: skip
    if not rows:
        return None
    columns: list[tuple[str, Kind]] = [
        (say("lot"), "name"), (say("site"), "name"), (say("system"), "name"), (say("as promised"), "text"),
        (say("operator"), "name"), (say("GPUs"), "whole"), (say("arrives"), "day"), (say("status"), "text"),
        (say("online at the end, GPUs"), "whole"), (say("line of the plan"), "place"),
        (say("source"), "name"), (say("trust"), "text"),
    ]  # fmt: skip
    return table(
        say("Lots that count toward {promise}", promise=called(stairs.promises, promise)), columns, rows
    )


def status_name(status: str) -> str:
    """How far a lot is, in words."""
    words = {
        "pledged": say("pledged"),
        "ordered": say("ordered"),
        "delivered": say("delivered"),
        "online": say("online"),
    }
    return words.get(status, status)


def _last_online(stairs: Stairs) -> dict[str, int]:
    """GPUs of each lot that are online at the end of the plan."""
    last = stairs.lots.filter(pl.col("month") == stairs.months[-1], pl.col("step") == "online")
    return dict(last.select("lot", "gpus").iter_rows())
