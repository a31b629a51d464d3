"""Export law on the page: what each authority says of each lot from day to day, who waits, when it ships."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from gpufleet.base.say import Said, say, tell
from gpufleet.models.export import NO_ADVICE
from gpufleet.models.export_inputs import BY_COLUMN
from gpufleet.models.export_policies import AUTHORITIES
from gpufleet.report.tables import Kind, Table, table
from gpufleet.results.licences import said

if TYPE_CHECKING:
    from gpufleet.results.run import Run

Row = Mapping[str, Any]


def title(run: Run) -> Said | None:
    """How many lots wait and never ship; None where export law is not asked."""
    rows = run.licences.to_dicts()
    if not rows:
        return None
    lots = {row["lot"]: row["gpus"] for row in rows if row["kind"] == "verdict"}
    shipped = dict.fromkeys(lots, 0)
    for row in rows:
        if row["kind"] == "ships" and row["lot"] in lots:  # what crosses no border, nobody is asked about
            shipped[row["lot"]] += row["gpus"]
    never = [lot for lot, gpus in lots.items() if shipped[lot] < gpus]
    waiting = {row["lot"] for row in rows if row["kind"] == "wait"} - set(never)
    return say(
        "Export law: lots asked about: {lots:,}; waiting: {waiting:,}; not shipped whole: {never:,}",
        lots=len(lots),
        waiting=len(waiting),
        never=len(never),
    )


def subtitle(run: Run) -> Said:
    """What stands beside everything that is said of export law."""
    read = next(row for row in run.licences["rules_read_on"].to_list() if row)
    words = {"advice": NO_ADVICE, "day": date.fromisoformat(read)}
    if run.plan.get("rules"):
        return say(
            "{advice} Rules as they were read on {day}; with {n:,} hypothetical rule of the plan.",
            "{advice} Rules as they were read on {day}; with {n:,} hypothetical rules of the plan.",
            n=len(run.plan["rules"]),
            **words,
        )
    return say("{advice} Rules as they were read on {day}.", **words)


def law_table(run: Run) -> Table:
    """One row per lot and span: verdicts, waits, shipments."""
    columns: list[tuple[str, Kind]] = [
        (say("lot"), "name"), (say("GPUs"), "whole"), (say("product"), "name"), (say("to"), "name"),
        (say("from"), "day"), (say("until"), "day"), (say("whose position"), "text"),
        (say("what it is"), "text"), (say("nearest threshold"), "text"), (say("where it stands"), "text"),
        (say("hypothetical"), "text"), (say("plan"), "place"),
    ]  # fmt: skip
    rows = [_row(row) for row in run.licences.to_dicts()]
    return table(say("What export law says of each lot, from day to day"), columns, rows)


def _row(row: Row) -> tuple[Any, ...]:
    return (
        row["lot"],
        row["gpus"],
        row["product"],
        row["country"],
        date.fromisoformat(row["from"]),
        date.fromisoformat(row["until"]) if row["until"] else None,
        _whose(row),
        said(row),
        _near(row),
        row["citation"] or "",
        say("yes") if row["hypothetical"] else "",
        row["place"] or "",
    )


def _whose(row: Row) -> Said:
    if row["kind"] == "wait":
        return say("the lot waits")
    if row["kind"] == "ships":
        return say("the lot ships")
    return AUTHORITIES[row["authority"]].says


def _near(row: Row) -> str:
    """The number that is nearest to where a rule would turn."""
    if row["near_input"] is None:
        return ""
    words = {"input": BY_COLUMN[row["near_input"]].says, "value": _number(row["near_value"])}
    if row["near_by"] >= 0:
        return tell(say("{input} {value} is {by} under", by=_number(row["near_by"]), **words))
    return tell(say("{input} {value} is {by} over", by=_number(-row["near_by"]), **words))


def _number(value: float) -> str:
    return f"{value:,.10g}"
