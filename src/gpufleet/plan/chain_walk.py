"""The way of lots from step to step, and what sets each date: the arithmetic of the chain.

A step is reached at the latest of: its own date, the step before plus its lead time, all milestones that it
needs, and its turn in a slot that it shares with others. The cause of its date is what came last. What has
happened already (a lot that is delivered or online) waits for nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from gpufleet.plan.chain import STEPS
from gpufleet.plan.chain_times import NEVER, Times, later

if TYPE_CHECKING:
    from gpufleet.plan.supply import Delivery

DONE: Final = {"delivered": STEPS.index("delivered"), "online": len(STEPS) - 1}
"""By status the last step that has happened already."""


class Reached(NamedTuple):
    """One step of a lot: when, and why not before. `at` = None: never, as far as is known."""

    step: str
    at: datetime | None
    cause: str  # date, lead, milestone, law, before (no time after the step before)
    name: str  # of the milestone
    path: str  # of the plan, behind the cause


Gate = Callable[["Delivery", datetime], tuple[datetime | None, str]]
"""When a lot that is ready at a moment may be shipped, None = never; and the path of the plan behind it."""


def walk(lot: Delivery, times: Times, gate: Gate | None = None) -> tuple[Reached, ...]:
    """The steps of one lot that shares nothing; as `walk_all`."""
    return walk_all((lot,), times, gate)[lot.name]


def walk_all(
    lots: Sequence[Delivery], times: Times, gate: Gate | None = None
) -> dict[str, tuple[Reached, ...]]:
    """The steps of lots by name, in their order; those of which nothing is known are left out.

    All lots take a step before any takes the next one: who shares a slot meets there.

    Args: gate: of export law; None: it holds nobody.
    """
    found: dict[str, list[Reached]] = {lot.name: [] for lot in lots}
    for step in STEPS:
        for lot in lots:
            found[lot.name] += _next(lot, times, step, found[lot.name], gate)
    return {name: tuple(steps) for name, steps in found.items()}


def passed(lot: Delivery, step: str) -> bool:
    """Whether a lot has taken a step already, by its status."""
    return STEPS.index(step) <= DONE.get(lot.status, -1)


def _next(
    lot: Delivery, times: Times, step: str, so_far: list[Reached], gate: Gate | None
) -> Iterator[Reached]:
    """The next step of a lot, if anything is known of it."""
    before = so_far[-1].at if so_far else None
    if so_far and before is None:
        yield so_far[-1]._replace(step=step, cause="before")
    elif step == "licensed":
        if gate is not None and not passed(lot, step):
            yield _licensed(lot, times, before, gate)
    else:
        bounds = sorted(_bounds(lot, times, step, before), key=lambda bound: bound[0])
        if bounds:
            at, cause, name, path = bounds[-1]
            yield Reached(step, at, cause, name, path)


def _licensed(lot: Delivery, times: Times, before: datetime | None, gate: Gate) -> Reached:
    """When law lets a lot go: from when it is made, or else in time to come at its date."""
    ready = before
    if ready is None:
        way = sum(times.lead_s(lot, step, usual=False)[0] for step in ("shipped", "delivered"))
        ready = times.of(lot.at, lot.at_range) - timedelta(seconds=way)
    at, path = gate(lot, ready)
    return Reached("licensed", at, "before" if at == ready else "law", "", path)


def _bounds(
    lot: Delivery, times: Times, step: str, before: datetime | None
) -> Iterator[tuple[datetime, str, str, str]]:
    """Moments before which a step is not reached: when, cause, name of a milestone, path of the plan."""
    part, here = f"deliveries.{lot.name}", passed(lot, step)
    if before is not None:
        lead_s, path = (0, part) if here else times.lead_s(lot, step, usual=not lot.at_stated)
        yield later(before, lead_s), "lead" if lead_s else "before", "", path
    stated, extent, path = stated_of(lot, step)
    if stated is not None:
        yield times.of(stated, extent), "date", "", path
    for name in getattr(lot.needs, step, ()) if lot.needs and not here else ():
        yield times.milestone[name], "milestone", name, f"milestones.{name}"


def stated_of(lot: Delivery, step: str) -> tuple[datetime | None, tuple[datetime, datetime] | None, str]:
    """The date of a step that the plan writes, its range and its path."""
    part = f"deliveries.{lot.name}"
    if step == "ordered":
        return lot.ordered, lot.ordered_range, f"{part}.ordered"
    if step == "delivered":
        return (lot.at, lot.at_range, f"{part}.at") if lot.at_stated else (None, None, part)
    value = getattr(lot.steps, step, None) if lot.steps else None
    extent = lot.steps.ranges.get(step) if lot.steps else None
    return value, extent, f"{part}.steps.{step}"


def reached_at(steps: tuple[Reached, ...], step: str) -> datetime | None:
    """When a step is reached; None if nothing is known of it. Never is `NEVER`."""
    return next((each.at or NEVER for each in steps if each.step == step), None)
