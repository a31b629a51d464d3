"""The way of lots from step to step, and what sets each date: the arithmetic of the chain.

A step is reached at the latest of: its own date, the step before plus its lead time, all milestones that it
needs, its turn in a slot that it shares with others, and when a budget can pay it. The cause of its date is
what came last. What has happened already (a lot that is delivered or online) waits for nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from gpufleet.plan.chain import STEPS
from gpufleet.plan.chain_times import NEVER, Times, later
from gpufleet.plan.purses import Payments
from gpufleet.plan.slot_turns import Sharing, Turns

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.slots import Slot
    from gpufleet.plan.supply import Delivery

DONE: Final = {"delivered": STEPS.index("delivered"), "online": len(STEPS) - 1}
"""By status the last step that has happened already."""


_TIES: Final = ("before", "lead", "date", "milestone")
"""Of causes that are reached at one moment the last one of these counts."""


class Reached(NamedTuple):
    """One step of a lot: when, and why not before. `at` = None: never, as far as is known."""

    step: str
    at: datetime | None
    cause: str  # date, lead, milestone, slot, funding, law, before (no time after the step before), cancelled
    name: str  # of the milestone, slot, budget; of a cancelled lot why, or the lot that stands in for it
    path: str  # of the plan, behind the cause
    instead: Reached | None = None  # of a cancelled lot the step that it would have taken next


Gate = Callable[["Delivery", datetime], tuple[datetime | None, str]]
"""When a lot that is ready at a moment may be shipped, None = never; and the path of the plan behind it."""


def walk(lot: Delivery, times: Times, gate: Gate | None = None) -> tuple[Reached, ...]:
    """The steps of one lot that shares nothing; as `walk_all`."""
    return walk_all((lot,), times, gate)[lot.name]


def walk_all(
    lots: Sequence[Delivery], times: Times, gate: Gate | None = None, sharing: Sharing | None = None
) -> dict[str, tuple[Reached, ...]]:
    """The steps of lots by name, in their order; those of which nothing is known are left out.

    All lots take a step before any takes the next one: who shares a slot meets there.

    Args: gate: of export law; None: it holds nobody. sharing: the slots of the plan.
    """
    found: dict[str, list[Reached]] = {lot.name: [] for lot in lots}
    for step in STEPS:
        for lot in lots:
            found[lot.name] += _next(lot, times, step, found[lot.name], gate)
        for slot in sharing.at(step) if sharing else ():
            assert sharing is not None
            users = [lot for lot in lots if slot.holds(lot, sharing.products[lot.system])]
            _take_turns(Turns(slot, sharing), slot, users, times, found)
        for purse in sharing.purses if sharing else ():
            if purse.step == step:
                _pay(Payments(purse), [lot for lot in lots if lot.name in purse.lots], times, found)
    return {lot.name: cut(lot, tuple(found[lot.name])) for lot in lots}


def _take_turns(
    turns: Turns, slot: Slot, lots: Sequence[Delivery], times: Times, found: dict[str, list[Reached]]
) -> None:
    """Let lots take a step in a slot, in the order in which they are ready; who has to wait is later."""
    for ready, lot in _asks(lots, slot.step, times, found):
        if not passed(lot, slot.step):
            at = turns.take(ready, times.gpus(lot), lot.cancelled.at if lot.cancelled else NEVER)
            _put_off(found[lot.name], ready, Reached(slot.step, at, "slot", slot.name, f"slots.{slot.name}"))


def _pay(payments: Payments, lots: Sequence[Delivery], times: Times, found: dict[str, list[Reached]]) -> None:
    """Pay for lots out of a budget, in the order in which they are ready; who has to wait is later."""
    purse = payments.purse
    for ready, lot in _asks(lots, purse.step, times, found):
        if passed(lot, purse.step):
            payments.spend(lot, times.gpus(lot), ready)
            continue
        at = payments.take(lot, ready, times.gpus(lot), lot.cancelled.at if lot.cancelled else NEVER)
        step = Reached(purse.step, at, "funding", purse.name, f"money.funding.{purse.name}")
        _put_off(found[lot.name], ready, step)


def _asks(
    lots: Sequence[Delivery], step: str, times: Times, found: dict[str, list[Reached]]
) -> list[tuple[datetime, Delivery]]:
    """Who is ready to take a step, and when, in this order; who never is asks for nothing."""
    asks = []
    for row, lot in enumerate(lots):
        steps = found[lot.name]
        known = bool(steps) and steps[-1].step == step
        ready = steps[-1].at if known else _in_time(lot, times, steps, step)
        if ready is not None:
            asks.append((ready, row))
    return [(ready, lots[row]) for ready, row in sorted(asks)]


def _put_off(steps: list[Reached], ready: datetime, step: Reached) -> None:
    """Put a step off until its turn, if that is later than the lot is ready."""
    assert step.at is not None
    if step.at <= ready:
        return
    if steps and steps[-1].step == step.step:
        steps.pop()
    steps.append(step if step.at < NEVER else step._replace(at=None))


def _in_time(lot: Delivery, times: Times, steps: list[Reached], step: str) -> datetime | None:
    """When a lot of which a step is not known has to take it, to come at its date; None: it never comes."""
    before = steps[-1].at if steps else None
    if steps and before is None:
        return None
    after = STEPS[STEPS.index(step) + 1 : STEPS.index("delivered") + 1]
    way_s = sum(times.lead_s(lot, each, usual=False)[0] for each in after)
    ready = times.of(lot.at, lot.at_range) - timedelta(seconds=way_s)
    return max(ready, before) if before else ready


def cut(lot: Delivery, steps: tuple[Reached, ...]) -> tuple[Reached, ...]:
    """The steps of a lot that is cancelled: those that it has taken by then, and that it is cancelled.

    Who is in service by then is not cancelled any more.
    """
    if lot.cancelled is None or lot.status == "online":
        return steps
    at, by = lot.cancelled.at, lot.cancelled.replaced_by
    done = tuple(takewhile(lambda each: each.at is not None and each.at < at, steps))
    if done and done[-1].step == STEPS[-1]:
        return steps
    path = f"deliveries.{lot.name}.cancelled"
    name, cause = (by, "replaced") if by else (lot.cancelled.because or "", "cancelled")
    instead = steps[len(done)] if len(done) < len(steps) else None
    end = Reached("cancelled", at, cause, name, f"deliveries.{by}.replaces" if by else path, instead)
    off = lot.cancelled.written_off
    written_off = (Reached("written_off", off, "date", "", f"{path}.written_off"),) if off else ()
    return (*done, end, *(written_off if is_made(done) else ()))


def is_made(steps: Sequence[Reached]) -> bool:
    """Whether a lot is made, by the steps that it has taken."""
    made = STEPS.index("made")
    return any(each.step in STEPS and STEPS.index(each.step) >= made for each in steps)


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
        bounds = sorted(
            _bounds(lot, times, step, before), key=lambda bound: (bound[0], _TIES.index(bound[1]))
        )
        if bounds:
            at, cause, name, path = bounds[-1]
            yield Reached(step, at, cause, name, path)


def _licensed(lot: Delivery, times: Times, before: datetime | None, gate: Gate) -> Reached:
    """When law lets a lot go: from when it is made, and not before it must, to come at its date."""
    way = sum(times.lead_s(lot, step, usual=False)[0] for step in ("shipped", "delivered"))
    in_time = times.of(lot.at, lot.at_range) - timedelta(seconds=way)
    ready = in_time if before is None else max(before, in_time) if lot.at_stated else before
    at, path = gate(lot, ready)
    return Reached("licensed", at, "before" if at == ready else "law", "", path)


def _bounds(
    lot: Delivery, times: Times, step: str, before: datetime | None
) -> Iterator[tuple[datetime, str, str, str]]:
    """Moments before which a step is not reached: when, cause, name of a milestone, path of the plan."""
    part, here = f"deliveries.{lot.name}", passed(lot, step)
    stated, extent, path = stated_of(lot, step)
    if stated is not None:
        yield times.of(stated, extent), "date", "", path
    if before is not None and not (here and stated):  # what has happened has happened on its date
        lead_s, path = (0, part) if here else times.lead_s(lot, step, usual=not lot.at_stated)
        yield later(before, lead_s), "lead" if lead_s else "before", "", path
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
    for each in steps:
        if each.step == step:
            return each.at or NEVER
        if each.step == "cancelled" and each.instead:
            missed = STEPS.index(step) >= STEPS.index(each.instead.step)
            return NEVER if missed else None
    return None


def stopped_at(steps: tuple[Reached, ...]) -> datetime | None:
    """When a lot is cancelled; None if it never is."""
    return next((each.at for each in steps if each.step == "cancelled"), None)


def crosses(plan: Plan, lot: Delivery) -> bool:
    """Whether law is asked about a lot, cancelled or not: its site has a country, and it has not come yet."""
    return plan.sites[lot.to].country is not None and lot.status not in DONE
