"""Checks of dates that can be meant, and lie outside of the plan's time: what happens then is not shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding
from gpufleet.base.say import say
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.check import check

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan


@check("P089", "date beyond the plan's end")
def beyond_the_end(plan: Plan) -> Iterator[Finding]:
    """A plan shows what happens before its `end`. A lot that comes later is kept in the tables of supply as
    not delivered, and what falls due later is not yet short. The run goes on.

    Example::

        end:        2031-01-01
        deliveries: [{to: lab, system: DGX B200, gpus: 64, at: 2032-03-01}]    # not there by 2031-01-01
    """
    yield from _lots(plan)
    yield from _promises(plan)
    yield from _steps(plan)
    for i, retirement in enumerate(plan.retirements):
        if retirement.at >= plan.end:
            says = say(
                "{gpus:,} {system} GPUs leave {site} on {day}; the plan ends on {end}",
                gpus=retirement.gpus, system=retirement.system, site=retirement.from_,
                day=plan.local(retirement.at, retirement.from_).date(), end=plan.local(plan.end).date(),
            )  # fmt: skip
            at = plan.line(f"retirements.{i}.at") or retirement.line
            yield Finding(at=at, says=says, fix=say("move `end` behind it, or leave the retirement out"))


def _lots(plan: Plan) -> Iterator[Finding]:
    for i, lot in enumerate(plan.deliveries):
        if lot.at < plan.end or lot.stopped:
            continue
        if lot.at >= NEVER:
            says = say(
                "{lot} ({gpus:,} GPUs) never comes, as far as the plan says", lot=lot.name, gpus=lot.gpus
            )
            fix = say("`gpufleet why` of a run says what it waits for")
            path = next((s.path for s in plan.chains.get(lot.name, ((),))[0] if s.at is None), "")
            yield Finding(at=plan.line(path) or lot.line, says=says, fix=fix)
            continue
        values = {
            "lot": lot.name, "gpus": lot.gpus,
            "day": plan.local(lot.at, lot.to).date(), "end": plan.local(plan.end).date(),
        }  # fmt: skip
        if plan.after_end == "finish":
            says = say(
                "{lot} ({gpus:,} GPUs) comes on {day}, after the plan's end, {end}: only jobs that are left "
                "then can use it",
                **values,
            )
        else:
            says = say(
                "{lot} ({gpus:,} GPUs) comes on {day}, after the plan's end, {end}: no job can use it, and "
                "supply shows it as not delivered",
                **values,
            )
        paths = (f"deliveries.{lot.name}.at", f"deliveries.{i}.at")
        at = next((plan.origins[path].at for path in paths if path in plan.origins), lot.line)
        yield Finding(at=at, says=says, fix=say("move `end` behind it, if it should be seen to arrive"))


def _promises(plan: Plan) -> Iterator[Finding]:
    for name, promise in plan.promises.items():
        values = {"promise": name, "gpus": promise.gpus, "end": plan.local(plan.end).date()}
        if promise.at >= plan.end:
            says = say(
                "{promise} ({gpus:,} GPUs) is made on {day}, after the plan's end, {end}: it is never "
                "counted",
                day=plan.local(promise.at).date(),
                **values,
            )
            fix = say("move `end` behind it, or correct the date")
            yield Finding(at=plan.line(f"promises.{name}.at"), says=says, fix=fix)
        elif promise.until > plan.end:
            says = say(
                "{promise} ({gpus:,} GPUs) is due by {day}, after the plan's end, {end}: its count on that "
                "day is not known, that of {end} is shown",
                day=plan.local(promise.until).date(),
                **values,
            )
            fix = say("move `end` behind it, if it should be seen to be kept")
            yield Finding(at=plan.line(f"promises.{name}.until"), says=says, fix=fix)


def _steps(plan: Plan) -> Iterator[Finding]:
    for name, site in plan.sites.items():
        for i, (t_s, _) in enumerate(site.power_w):
            if t_s >= plan.horizon_s:
                says = say(
                    "the power of {site} changes on {day}; the plan ends on {end}",
                    site=name, day=plan.local(t_s, name).date(), end=plan.local(plan.end).date(),
                )  # fmt: skip
                fix = say("move `end` behind it, or leave the step out")
                yield Finding(at=plan.line(f"sites.{name}.power.{i}"), says=says, fix=fix)
