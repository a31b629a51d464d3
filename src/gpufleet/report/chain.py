"""The chain of lots: when each reaches which step, and what holds GPUs back at the end of each year."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import Said, say, tell
from gpufleet.plan.chain import STEPS
from gpufleet.report.tables import Kind, Table, table
from gpufleet.results.answer_supply import CANCELLED, main_promises, month_of
from gpufleet.results.chain import STEP_WORDS, cause_words
from gpufleet.results.lot_chain import chain_of, stuck_on

if TYPE_CHECKING:
    from gpufleet.results.run import Run

MOST_PLACES: Final = 3
"""Lines of the plan that one cause names."""


def chain(run: Run) -> Table | None:
    """One row per lot and step; None for a plan whose lots have no chain."""
    if run.chain.is_empty():
        return None
    columns: list[tuple[str, Kind]] = [
        (say("lot"), "name"), (say("step"), "text"), (say("when"), "text"), (say("at the earliest"), "text"),
        (say("at the latest"), "text"), (say("why then"), "text"), (say("line of the plan"), "place"),
    ]  # fmt: skip
    wanted = ("lot", "step", "at", "early", "late", "cause", "name", "place")
    rows = [
        (
            lot,
            STEP_WORDS[step],
            at or say("never"),
            early or say("never"),
            late or say("never"),
            cause_words(cause, name),
            place,
        )
        for lot, step, at, early, late, cause, name, place in run.chain.select(wanted).iter_rows()
    ]
    return table(say("The chain of each lot"), columns, rows)


def steps(run: Run) -> Table | None:
    """GPUs that have taken each step by the end of each year, of lots with a chain; None without any."""
    if run.chain.is_empty():
        return None
    years = run.supply.get_column("month").str.slice(0, 4).unique().sort().to_list()
    known = [step for step in STEPS if step in run.chain["step"]]
    columns: list[tuple[str, Kind]] = [(say("at the end of"), "text")]
    columns += [(str(tell(STEP_WORDS[step])), "whole") for step in known]
    taken = run.chain.drop_nulls("at").with_columns(year=pl.col("at").str.slice(0, 4))
    sums = {
        (step, year): n for step, year, n in taken.group_by("step", "year").agg(pl.col("gpus").sum()).rows()
    }
    rows = [
        (year, *(sum(n for (of, when), n in sums.items() if of == step and when <= year) for step in known))
        for year in years
    ]
    return table(say("GPUs that have taken each step, of lots with a chain"), columns, rows)


def stuck(run: Run) -> Table | None:
    """Where each lot is today (`as_of`), since when, and what it waits for; None if none waits."""
    if run.chain.is_empty():
        return None
    today = str(datetime.fromisoformat(run.plan["as_of"]).astimezone(ZoneInfo(run.time_zone)).date())
    columns: list[tuple[str, Kind]] = [
        (say("lot"), "name"), (say("GPUs"), "whole"), (say("last step"), "text"), (say("since"), "text"),
        (say("waits to be"), "text"), (say("until"), "text"), (say("because"), "text"),
        (say("line of the plan"), "place"),
    ]  # fmt: skip
    rows = []
    for lot in run.chain.get_column("lot").unique(maintain_order=True).to_list():
        found = stuck_on(chain_of(run, lot), today)
        if found is None:
            continue
        last, ahead = found
        rows.append((
            lot,
            run.plan["deliveries"][lot]["gpus"],
            STEP_WORDS[last.step] if last else say("none"),
            last.on if last else "",
            STEP_WORDS[ahead.step],
            ahead.on or say("never"),
            cause_words(ahead.cause, ahead.name),
            ahead.at,
        ))  # fmt: skip
    return (
        table(say("Where each lot is on {day}", day=date.fromisoformat(today)), columns, rows)
        if rows
        else None
    )


def causes(run: Run) -> Table | None:
    """GPUs that are not online at the end of each year, by step and cause; None where none is missing."""
    if run.shortage.is_empty():
        return None
    months = run.supply.get_column("month").unique().sort().to_list()
    sums = _sums(run, list({month[:4]: month for month in months}.values()))
    columns: list[tuple[str, Kind]] = [
        (say("at the end of"), "month"), (say("GPUs"), "whole"), (say("wait to be"), "text"),
        (say("where, or for whom"), "name"), (say("because"), "text"), (say("line of the plan"), "place"),
    ]  # fmt: skip
    rows = [
        (month, gpus, _next(step, stuck), where, _because(step, cause, bare=bare), _places(places))
        for month, step, stuck, cause, where, bare, gpus, places in sums.iter_rows()
    ]
    return table(say("What holds GPUs back"), columns, rows) if rows else None


def _sums(run: Run, months: list[str]) -> pl.DataFrame:
    """GPUs that are missing at the end of some months, by step and cause; each lot once.

    Promises stand side by side: what has no lot counts for those that the answer speaks of.
    """
    keys = ["month", "step", "stuck", "cause", "where", "bare"]
    promises = run.plan["promises"]
    titles = {name: promise.get("title") or name for name, promise in promises.items()}
    mine = pl.col("lot").is_not_null() | pl.col("promise").is_in([*main_promises(promises)])
    bare = pl.col("lot").is_null()
    where = pl.when(bare).then(pl.col("promise").replace(titles)).otherwise(pl.col("site"))
    rows = run.shortage.filter(pl.col("month").is_in(months), mine).with_columns(bare=bare, where=where)
    of_lot = rows.unique(["lot", "place", *keys], maintain_order=True)
    both = pl.col("gpus").sum(), pl.col("place").unique(maintain_order=True).alias("places")
    sums = of_lot.group_by(keys, maintain_order=True).agg(both)
    order = sums.sort(["month", "gpus", "where"], descending=[False, True, False])
    return order.select(*keys, "gpus", "places")


def _places(places: list[str]) -> Said | str:
    """Lines of the plan, the first few of them."""
    if len(places) <= MOST_PLACES:
        return ", ".join(places)
    more = len(places) - MOST_PLACES
    return say("{places:, } and {more:,} more", places=places[:MOST_PLACES], more=more)


def missing(run: Run) -> tuple[Said, list[tuple[str, Said]]] | None:
    """What holds GPUs back in the month that the answer speaks of, the most first; None: nothing does.

    Returns: a heading, and per cause a number of GPUs and what they wait for.
    """
    if run.shortage.is_empty():
        return None
    month, _ = month_of(run, main_promises(run.plan["promises"]))
    sums = _sums(run, [month])
    if sums.is_empty():
        return None
    head = say(
        "What holds {gpus:,} GPUs back at the end of {day:%Y-%m}",
        gpus=int(sums["gpus"].sum()), day=date.fromisoformat(f"{month}-01"),
    )  # fmt: skip
    return head, [(f"{row['gpus']:,}", _line(row)) for row in sums.iter_rows(named=True)]


def _line(row: Mapping[str, Any]) -> Said:
    """What GPUs wait for, in a line."""
    why, told = _because(row["step"], row["cause"], bare=row["bare"]), {"where": row["where"] or ""}
    told |= {"step": _next(row["step"], row["stuck"]), "why": why, "place": _places(row["places"])}
    if row["stuck"] == CANCELLED:
        return say("{why} ({place})", **told)
    if row["bare"]:
        return say("wait to be ordered: {why}, {where} ({place})", **told)
    return say("wait to be {step} at {where}: {why} ({place})", **told)


def _next(step: str, stuck: str | None) -> Said:
    """The step that GPUs wait for; of lots without a chain the first that they lack."""
    plain = {"not_ordered": "ordered", "not_delivered": "delivered", "not_powered": "powered"}
    word = stuck or plain.get(step)
    return say("–") if stuck == CANCELLED else STEP_WORDS[word] if word else say("in service")


def _because(step: str, cause: str | None, *, bare: bool) -> Said:
    """What holds a step; `bare`: of what was promised and has no lot."""
    if bare:
        return say("no lot of the plan is for it")
    if cause:
        kind, _, name = cause.partition(" ")
        return cause_words(kind, name)
    plain = {"not_powered": "power", "not_delivered": "date", "not_ordered": "date"}
    return cause_words(plain[step], None) if step in plain else say("out of service")
