"""Checks of the chains of lots: what can be meant and goes otherwise than it is written, and remarks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding, Place
from gpufleet.base.say import say
from gpufleet.base.units import format_duration
from gpufleet.plan.chain_times import NEVER, usual_of
from gpufleet.plan.chain_walk import Reached, is_made, passed, stated_of
from gpufleet.plan.check import check

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.supply import Delivery


@check("P202", "date of a step before what it follows")
def date_too_early(plan: Plan) -> Iterator[Finding]:
    """A step is never reached before the step that it follows and its own lead time from then on. A date
    that is earlier holds nobody and is not kept; what a lot waits for beside that (milestones, slots, law) is
    no fault of its date.

    Example::

        lead_times: {default: {installed: 30 d}}
        deliveries: [{name: a, at: 2027-04-01, steps: {installed: 2027-04-10}, ...}]   # 2027-05-01
    """
    for lot in plan.declared_lots:
        before: Reached | None = None
        for each in plan.chains[lot.name][0] if lot.name in plan.chains else ():
            stated, _, path = stated_of(lot, each.step)
            if stated and each.at and before and each.cause in ("lead", "before") and stated < each.at:
                yield _overridden(plan, lot, stated, each, before, path)
            before = each


def _overridden(
    plan: Plan, lot: Delivery, stated: datetime, step: Reached, before: Reached, path: str
) -> Finding:
    assert step.at is not None
    assert before.at is not None
    words = {
        "lot": lot.name,
        "day": plan.local(stated, lot.to).date(),
        "real": say("never") if step.at >= NEVER else plan.local(step.at, lot.to).date(),
        "first": plan.local(before.at, lot.to).date() if before.at < NEVER else say("never"),
        "step": say_step(step.step),
        "before": say_step(before.step),
    }
    lead_s = round((step.at - before.at).total_seconds())
    if lead_s:
        says = say(
            "{lot}: {step} on {day} as written; it is {before} on {first}, and {time} later is {real}",
            time=format_duration(lead_s),
            **words,
        )
    else:
        says = say("{lot}: {step} on {day} as written; it is {before} on {first} only", **words)
    fix = say("correct one of the dates, or the lead time; the later one counts")
    return Finding(at=place_of(plan, lot, path), says=says, fix=fix)


def say_step(step: str) -> str:
    """A step in words."""
    return _STEPS[step]


_STEPS = {
    each.template: each
    for each in (
        say("ordered"), say("made"), say("licensed"), say("shipped"), say("delivered"), say("installed"),
        say("accepted"),
    )
}  # fmt: skip


def place_of(plan: Plan, lot: Delivery, path: str) -> Place:
    """Where a path of a lot is written; else the lot; in a path a lot without a name goes by its number."""
    number = next((i for i, other in enumerate(plan.declared_lots) if other.name == lot.name), -1)
    paths = (path, path.replace(f"deliveries.{lot.name}.", f"deliveries.{number}.", 1))
    return next((plan.origins[each].at for each in paths if each in plan.origins), lot.line)


def chain_remarks(plan: Plan) -> Iterator[str]:
    """What of the milestones is drawn, or taken from the catalogue."""
    for name, each in plan.milestones.items():
        if each.fails_drawn:
            yield say(
                "the tender {name} fails {n:,} time: drawn with a chance of {chance:.0%} (seed {seed})",
                "the tender {name} fails {n:,} times: drawn with a chance of {chance:.0%} (seed {seed})",
                name=name, n=each.fails, chance=each.p_success, seed=plan.seed,
            )  # fmt: skip
        usual = usual_of(each)
        if usual:
            yield say(
                "{name} takes {time}, as is usual: the plan does not say how long",
                name=name, time=format_duration(usual[0]),
            )  # fmt: skip


@check("P205", "cancellation without effect")
def cancelled_in_vain(plan: Plan) -> Iterator[Finding]:
    """What is in service when it is cancelled stays in service: GPUs leave by `retirements`. Nothing can be
    written off of a lot that is not made when it is cancelled.

    Example::

        deliveries: [{name: a, at: 2027-03-01, cancelled: 2027-06-01, ...}]    # in service since March
    """
    for lot in plan.deliveries:
        if lot.cancelled is None:
            continue
        words = {"lot": lot.name, "day": plan.local(lot.cancelled.at, lot.to).date()}
        if lot.stopped is None:
            says = say(
                "{lot} is in service when it is cancelled on {day}: nothing of it is cancelled", **words
            )
            fix = say("cancel it earlier, or write what leaves under `retirements`")
            yield Finding(at=lot.cancelled.line, says=says, fix=fix)
        elif lot.cancelled.written_off and not is_made(plan.chains[lot.name][0]):
            says = say("{lot} is not made by {day}, when it is cancelled: nothing is written off", **words)
            fix = say("leave `written_off` out, or say when it is made (`steps`)")
            yield Finding(at=lot.cancelled.line, says=says, fix=fix)


@check("P208", "slot that no lot takes")
def slot_for_nobody(plan: Plan) -> Iterator[Finding]:
    """A slot holds the lots of its products, systems and sites at its step. One that fits none of them, or
    only those that have taken the step already, changes nothing.

    Example::

        slots: {crews: {step: installed, sites: busan, gpus_per_month: 500}}    # no lot goes to busan
    """
    for name, slot in plan.slots.items():
        mine = (lot for lot in plan.deliveries if slot.holds(lot, plan.systems[lot.system].product))
        if not any(not passed(lot, slot.step) for lot in mine):
            says = say("no lot takes its step in slot {name}", name=name)
            yield Finding(at=slot.line, says=says, fix=say("correct its products, systems or sites"))
