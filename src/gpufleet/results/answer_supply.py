"""The part of the answer that speaks of promises: how much of them is online, and what is short most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import Said, say

if TYPE_CHECKING:
    from gpufleet.results.run import Run

_SHORT: Final[dict[str, Callable[..., Said]]] = {
    "no_lot": lambda **values: say("{gpus:,} have no order ({who}, {place})", **values),
    "not_ordered": lambda **values: say("{gpus:,} are not ordered ({who}, {place})", **values),
    "not_delivered": lambda **values: say("{gpus:,} are not delivered ({who}, {place})", **values),
    "not_powered": lambda **values: say("{gpus:,} have no power at {site} ({who}, {place})", **values),
    "not_installed": lambda **values: say("{gpus:,} are not installed at {site} ({who}, {place})", **values),
    "cancelled": lambda **values: say("{gpus:,} are cancelled ({who}, {place})", **values),
    "not_online": lambda **values: say("{gpus:,} are out of service at {site} ({who}, {place})", **values),
}
"""What GPUs lack, by step."""

NOT_YET: Final = ("installed", "accepted")
"""Next steps of lots that have arrived and do not ask for power yet."""

CANCELLED: Final = "cancelled"
"""What stands in the place of the next step of lots that are cancelled."""


def supply_answer(run: Run) -> Said | None:
    """How much of what was promised is online when it is due, and the largest shortage.

    None for a plan without promises. Promises to one tenant may speak of the same GPUs, so each tenant counts
    with its largest one (pledges before targets); lots belong to one tenant, so that these do add up.
    """
    names = main_promises(run.plan["promises"])
    if not names:
        return None
    month, day = month_of(run, names)
    online, low, high = (_online(run, names, month, column) for column in ("gpus", "gpus_low", "gpus_high"))
    whole = sum(run.plan["promises"][name]["gpus"] for name in names)
    values: dict[str, Any] = {"online": online, "whole": whole, "day": day, "low": low, "high": high}
    if low == high:
        says = say("{online:,} of {whole:,} promised GPUs are online on {day}", **values)
    else:
        says = say(
            "{online:,} of {whole:,} promised GPUs are online on {day} (low {low:,}, high {high:,})", **values
        )
    due = last_due(run, names)
    if due > day:
        says = say("{says}, the plan's last day (due by {due}, after the plan's end)", says=says, due=due)
    short = _shortage(run, names, month)
    return says if short is None else say("{says}; largest shortage: {short}", says=says, short=short)


def main_promises(promises: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The promises that may be added up: of each tenant the largest, of pledges if there is any pledge.

    >>> main_promises({
    ...     "a": {"kind": "pledge", "tenant": "x", "gpus": 50},
    ...     "b": {"kind": "pledge", "tenant": "x", "gpus": 20},
    ...     "c": {"kind": "pledge", "tenant": "y", "gpus": 60},
    ...     "d": {"kind": "target", "tenant": "x", "gpus": 99},
    ... })
    ['a', 'c']
    """
    pledges = {name: p for name, p in promises.items() if p["kind"] == "pledge"}
    largest: dict[str, str] = {}
    for name, promise in (pledges or promises).items():
        best = largest.setdefault(promise["tenant"], name)
        if promise["gpus"] > promises[best]["gpus"]:
            largest[promise["tenant"]] = name
    return list(largest.values())


def last_due(run: Run, names: Sequence[str]) -> date:
    """The day by which the last of some promises is due, also where it lies after the plan's end."""
    dates = [datetime.fromisoformat(run.plan["promises"][name]["until"]) for name in names]
    return max(dates).astimezone(ZoneInfo(run.time_zone)).date()


def month_of(run: Run, names: Sequence[str]) -> tuple[str, date]:
    """The month in which the last of the promises is due, and its last day; at most the plan's last.

    Without promises it is the plan's last.
    """
    zone = ZoneInfo(run.time_zone)
    dates = [run.plan["promises"][name]["until"] for name in names] or [run.plan["end"]]
    due = max(datetime.fromisoformat(moment) for moment in dates)
    months = run.supply.get_column("month").unique().sort().to_list() or [f"{due.astimezone(zone):%Y-%m}"]
    month = min(max(f"{due.astimezone(zone):%Y-%m}", months[0]), months[-1])
    year, number = int(month[:4]) + int(month[5:]) // 12, int(month[5:]) % 12 + 1
    ends = datetime(year, number, 1, tzinfo=zone)
    last = min(ends, datetime.fromisoformat(run.plan["end"]).astimezone(zone))
    return month, date.fromordinal(last.toordinal() - ((last.hour, last.minute, last.second) == (0, 0, 0)))


def _online(run: Run, names: list[str], month: str, column: str) -> int:
    """GPUs online that count toward promises, of each at most what was promised."""
    rows = run.supply.filter(
        pl.col("month") == month, pl.col("step") == "online", pl.col("promise").is_in(names)
    )
    sums = dict(rows.group_by("promise").agg(pl.col(column).sum()).iter_rows())
    return sum(min(sums.get(name, 0), run.plan["promises"][name]["gpus"]) for name in names)


def shortage_words(lacks: str, **values: Any) -> Said:
    """What some GPUs lack, in words.

    Args: lacks: a step of shortage.parquet, or "no_lot"; values: gpus, site, who, place.
    """
    return _SHORT[lacks](**values)


def _shortage(run: Run, names: list[str], month: str) -> Said | None:
    """What is short most, by promise, step and site."""
    rows = run.shortage.filter(pl.col("month") == month, pl.col("promise").is_in(names))
    kind = (
        pl.when(pl.col("lot").is_null())
        .then(pl.lit("no_lot"))
        .when(pl.col("stuck") == CANCELLED)
        .then(pl.lit(CANCELLED))
        .when(pl.col("stuck").is_in(list(NOT_YET)))
        .then(pl.lit("not_installed"))
        .otherwise(pl.col("step"))
        .alias("kind")
    )
    keys = ["kind", "tenant", "promise", "site"]
    sums = rows.with_columns(kind).group_by(keys).agg(pl.col("gpus").sum(), pl.col("place").first())
    if sums.is_empty():
        return None
    order = ["gpus", *keys]
    worst = sums.sort(order, descending=[True, *[False] * len(keys)]).row(0, named=True)
    return shortage_words(
        worst["kind"],
        gpus=worst["gpus"],
        site=worst["site"],
        who=called(run.plan["tenants"], worst["tenant"]),
        place=worst["place"],
    )


def called(tenants: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """What people call a tenant: its title, if the plan declares one.

    >>> called({"sk": {"title": "SK Group"}, "lab": {}}, "sk"), called({"lab": {}}, "lab")
    ('SK Group', 'lab')
    """
    return str(tenants.get(name, {}).get("title") or name)
