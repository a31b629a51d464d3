"""When the steps of lots are reached, and what sets each date: the arithmetic of the chain.

A step is reached at the latest of: its own date, the step before plus its lead time, all milestones that it
needs. The cause of its date is what came last. What has happened already (a lot that is delivered or online)
waits for nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from gpufleet.plan.chain import EVERY, STEPS

if TYPE_CHECKING:
    from gpufleet.plan.chain import LeadTimes, Milestone
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.supply import Delivery

End = Literal[0, 1] | None
"""Which ends of the ranges count: 0 = late, 1 = early, None = the values themselves."""

T = TypeVar("T")

HERE: Final = ("delivered", "online")


class Reached(NamedTuple):
    """One step of a lot: when, and why not before. `at` = None: never, as far as is known."""

    step: str
    at: datetime | None
    cause: str  # date, lead, milestone, law, before (no time after the step before)
    name: str  # of the milestone
    path: str  # of the plan, behind the cause


Gate = Callable[["Delivery", datetime], tuple[datetime | None, str]]
"""When a lot that is ready at a moment may be shipped, None = never; and the path of the plan behind it."""


class Times:
    """The dates of a plan's milestones, and its lead times, at one end of their ranges."""

    def __init__(self, milestones: Mapping[str, Milestone], lead: Mapping[str, LeadTimes], end: End) -> None:
        self.end = end
        self._lead = lead
        self.milestone: dict[str, datetime] = {}
        for name in milestones:
            self._reach(milestones, name)

    def _reach(self, milestones: Mapping[str, Milestone], name: str) -> datetime:
        """When a milestone is reached; they are in no circle."""
        if name not in self.milestone:
            each = milestones[name]
            if each.at is not None:
                begins = self.of(each.at, each.at_range)
            else:
                begins = max(self._reach(milestones, other) for other in each.after)
            held = self.of(each.fails, each.fails_range) * each.repeat_after_s
            self.milestone[name] = _later(begins, self.of(each.takes_s, each.takes_range) + held)
        return self.milestone[name]

    def of(self, value: T, extent: tuple[T, T] | None) -> T:
        """A value, or the end of its range that is wanted: the high one is the late one."""
        return value if extent is None or self.end is None else extent[1 - self.end]

    def lead_s(self, lot: Delivery, step: str, *, usual: bool) -> tuple[int, str]:
        """How long a step takes, and the path of the plan that says so.

        Args: usual: whether the catalogue fills in what the plan does not say.
        """
        own = (f"deliveries.{lot.name}.lead_times", lot.lead_times)
        places = [own, *((f"lead_times.{name}", self._lead.get(name)) for name in (lot.system, EVERY))]
        for path, times in places:
            value = getattr(times, step, None) if times else None
            if times is not None and value is not None:
                return self.of(value, times.ranges.get(step)), f"{path}.{step}"
        if usual:
            from gpufleet.catalog.lead_times import lead_times

            known = lead_times().get(step)
            if known is not None:
                return self.of(known.seconds, (known.low_s, known.high_s)), f"deliveries.{lot.name}"
        return 0, f"deliveries.{lot.name}"


def circle_of(milestones: Mapping[str, Milestone]) -> list[str]:
    """Milestones that wait for each other, in their order, the first one again at the end; else none.

    >>> circle_of({})
    []
    """
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done or name not in milestones:
            return []
        for other in milestones[name].after:
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in milestones if (found := visit(name, []))), [])


def has_chain(lot: Delivery, plan_lead: Mapping[str, LeadTimes]) -> bool:
    """Whether the plan says more of a lot than when it comes."""
    of_system = lot.system in plan_lead or EVERY in plan_lead
    return bool(lot.steps or lot.lead_times or lot.needs or of_system or not lot.at_stated)


def walk(lot: Delivery, times: Times, gate: Gate | None = None) -> tuple[Reached, ...]:
    """The steps of a lot, in their order; those of which nothing is known are left out.

    Args: gate: of export law; None: it holds nobody.
    """
    found: list[Reached] = []
    here = lot.status in HERE
    for step in STEPS:
        before = found[-1].at if found else None
        if found and before is None:
            found.append(found[-1]._replace(step=step, cause="before"))
            continue
        if step == "licensed":
            if gate is not None and not here:
                found.append(_licensed(lot, times, before, gate))
            continue
        bounds = sorted(_bounds(lot, times, step, before, here=here), key=lambda bound: bound[0])
        if bounds:
            at, cause, name, path = bounds[-1]
            found.append(Reached(step, at, cause, name, path))
    return tuple(found)


def _licensed(lot: Delivery, times: Times, before: datetime | None, gate: Gate) -> Reached:
    """When law lets a lot go: from when it is made, and not before it must, to come at its date."""
    way = sum(times.lead_s(lot, step, usual=False)[0] for step in ("shipped", "delivered"))
    in_time = times.of(lot.at, lot.at_range) - timedelta(seconds=way)
    ready = in_time if before is None else max(before, in_time) if lot.at_stated else before
    at, path = gate(lot, ready)
    return Reached("licensed", at, "before" if at == ready else "law", "", path)


def _bounds(
    lot: Delivery, times: Times, step: str, before: datetime | None, *, here: bool
) -> Iterator[tuple[datetime, str, str, str]]:
    """Moments before which a step is not reached: when, cause, name of a milestone, path of the plan."""
    part = f"deliveries.{lot.name}"
    if before is not None:
        lead_s, path = (0, part) if here else times.lead_s(lot, step, usual=not lot.at_stated)
        yield _later(before, lead_s), "lead" if lead_s else "before", "", path
    stated, extent, path = _stated(lot, step)
    if stated is not None:
        yield times.of(stated, extent), "date", "", path
    for name in getattr(lot.needs, step, ()) if lot.needs and not here else ():
        yield times.milestone[name], "milestone", name, f"milestones.{name}"


def _stated(lot: Delivery, step: str) -> tuple[datetime | None, tuple[datetime, datetime] | None, str]:
    """The date of a step that the plan writes, its range and its path."""
    part = f"deliveries.{lot.name}"
    if step == "ordered":
        return lot.ordered, lot.ordered_range, f"{part}.ordered"
    if step == "delivered":
        return (lot.at, lot.at_range, f"{part}.at") if lot.at_stated else (None, None, part)
    value = getattr(lot.steps, step, None) if lot.steps else None
    extent = lot.steps.ranges.get(step) if lot.steps else None
    return value, extent, f"{part}.steps.{step}"


NEVER: Final = datetime.fromisoformat("9000-01-01T00:00:00+00:00")
"""Stands for a date that is never reached."""


def _later(moment: datetime, seconds: int) -> datetime:
    """A moment so many seconds later; what lies beyond all dates is never."""
    left_s = (NEVER - moment).total_seconds()
    return NEVER if seconds >= left_s else moment + timedelta(seconds=seconds)


def reached_at(steps: tuple[Reached, ...], step: str) -> datetime | None:
    """When a step is reached; None if nothing is known of it. Never is `NEVER`."""
    return next((each.at or NEVER for each in steps if each.step == step), None)


def dated(plan: Plan, gate: Gate | None = None) -> Plan:
    """The plan with the dates that its chains give to lots, and with the chains.

    Args: gate: of export law. A plan whose lots have no chain, and no law to wait for, stays as it is.
    """
    ends: tuple[End, ...] = (None, 0, 1)
    every = [Times(plan.milestones, plan.lead_times, end) for end in ends]
    lots, chains = [], dict(plan.chains)
    for lot in plan.deliveries:
        if not has_chain(lot, plan.lead_times) and gate is None:
            lots.append(lot)
            continue
        value, late, early = (walk(lot, times, gate) for times in every)
        held = any(each.cause == "law" for each in (*value, *late, *early))
        if not has_chain(lot, plan.lead_times) and not held:
            lots.append(lot)
            continue
        chains[lot.name] = value, late, early
        lots.append(lot.model_copy(update=_dates(lot, value, late, early)))
    return plan.model_copy(update={"deliveries": tuple(lots), "chains": chains})


def _dates(
    lot: Delivery, value: tuple[Reached, ...], late: tuple[Reached, ...], early: tuple[Reached, ...]
) -> dict[str, object]:
    """The fields of a lot that its chain sets."""
    found: dict[str, object] = {}
    for field, step in (("ordered", "ordered"), ("at", "delivered"), ("ready", "accepted")):
        here, last, first = (reached_at(steps, step) for steps in (value, late, early))
        if here is None or last is None or first is None:
            continue
        found[field] = here
        found[f"{field}_range"] = None if first == last == here else (min(first, here), max(last, here))
    return found
