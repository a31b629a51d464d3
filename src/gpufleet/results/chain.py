"""Writes chain.parquet: when each lot reaches each step, and what sets that date."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Ints
from gpufleet.base.say import Said, say
from gpufleet.plan.chain import STEPS
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.chain_walk import Reached
from gpufleet.results.columns import CHAIN
from gpufleet.results.parquet import TableWriter

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.supply import Delivery

STEP_WORDS: Final[Mapping[str, Said]] = {
    "ordered": say("ordered"),
    "made": say("made"),
    "licensed": say("licensed"),
    "shipped": say("shipped"),
    "delivered": say("delivered"),
    "installed": say("installed"),
    "powered": say("powered"),
    "accepted": say("accepted"),
    "cancelled": say("cancelled"),
    "written_off": say("written off"),
}


def cause_words(cause: str, name: str | None) -> Said:
    """What sets the date of a step, in words.

    >>> str(cause_words("milestone", "grid-2"))
    'waits for milestone grid-2'
    """
    words = {
        "date": say("on its date"),
        "lead": say("takes its time"),
        "law": say("waits for export law"),
        "before": say("with the step before"),
        "power": say("waits for power"),
    }
    if cause in _NAMED:
        return _NAMED[cause](name or "")
    return words[cause]


_NAMED: Final[Mapping[str, Callable[[str], Said]]] = {
    "milestone": lambda name: say("waits for milestone {name}", name=name),
    "funding": lambda name: say("waits for money of {name}", name=name),
    "slot": lambda name: say("waits for its turn in slot {name}", name=name),
    "replaced": lambda name: say("cancelled: {lot} stands in for it", lot=name),
    "cancelled": lambda name: say("cancelled: {why}", why=name) if name else say("cancelled"),
}
"""Causes that have a name."""


def write_chain(path: Path, plan: Plan, lock: Mapping[str, Any]) -> None:
    """Write the table; nothing for a plan whose lots have no chain.

    Args: lock: plan.lock.yaml as read, for its lines.
    """
    if not plan.chains:
        return
    rows = [row for lot in plan.deliveries for row in _rows(plan, lot, lock)]
    columns = {column.name: [row[column.name] for row in rows] for column in CHAIN}
    with TableWriter(path, CHAIN) as writer:
        writer.write(columns)


def _rows(plan: Plan, lot: Delivery, lock: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if lot.name not in plan.chains:
        return
    value, late, early = plan.chains[lot.name]
    ends = ({each.step: each for each in steps} for steps in (late, early))
    last, first = ends
    for each in value:
        never = each._replace(at=None) if each.step in STEPS else each  # cancelled at that end
        ends_of = [first.get(each.step, never), last.get(each.step, never)]
        yield {
            "lot": lot.name,
            "step": each.step,
            "gpus": lot.gpus,
            "at": _day(plan, lot, each),
            "early": _day(plan, lot, min([each, *ends_of], key=_when)),  # who shares a slot may be later
            "late": _day(plan, lot, max([each, *ends_of], key=_when)),
            "cause": each.cause,
            "name": each.name or None,
            "place": place_of(each, lot, lock),
        }


def never_comes(lot: Mapping[str, Any]) -> bool:
    """Whether a lot of the lock is never delivered, as far as the plan says.

    >>> never_comes({"at": "9000-01-01T00:00:00Z"}), never_comes({"at": "2027-01-01T00:00:00Z"})
    (True, False)
    """
    return datetime.fromisoformat(lot["at"]) >= NEVER


def _when(step: Reached) -> datetime:
    return step.at or NEVER


def _day(plan: Plan, lot: Delivery, step: Reached) -> str | None:
    """A date in the time of the lot's site."""
    if step.at is None or step.at >= NEVER:
        return None
    here = plan.local(step.at, lot.to)
    return f"{here:%Y-%m-%d}" if (here.hour, here.minute) == (0, 0) else f"{here:%Y-%m-%d %H:%M}"


def place_of(step: Reached, lot: Delivery, lock: Mapping[str, Any]) -> str:
    """The line of the plan behind the date of a step."""
    paths = [step.path, step.path.rpartition(".")[0], f"deliveries.{lot.name}"]
    return next((at for path in paths if (at := lock["lines"].get(path))), "")


class Stuck(NamedTuple):
    """What a lot waits for, month by month: the next step, and what holds it."""

    step: str
    cause: str
    name: str
    place: str
    months: NDArray[np.bool_]


def stuck_in(plan: Plan, lot: Delivery, ends_s: Ints, lock: Mapping[str, Any]) -> list[Stuck]:
    """For each step of a lot's chain the months at whose end it is the next one; what has power is not stuck.

    Args: ends_s: the end of each month, s from the plan's start.
    """
    found: list[Stuck] = []
    before = np.ones(ends_s.size, np.bool_)
    for each in plan.chains[lot.name][0] if lot.name in plan.chains else ():
        reached = _seconds(plan, each.at) < ends_s
        waits = each.instead if each.step == "cancelled" else each
        if waits is not None:
            found.append(_stuck(waits, before & ~reached, lot, lock))
        before = before & reached
        if each.step == "cancelled":
            found.append(_stuck(each, before, lot, lock))
            return found
    return found


def _stuck(step: Reached, months: NDArray[np.bool_], lot: Delivery, lock: Mapping[str, Any]) -> Stuck:
    return Stuck(step.step, step.cause, step.name, place_of(step, lot, lock), months)


def _seconds(plan: Plan, at: datetime | None) -> int:
    return plan.seconds(at or NEVER)
