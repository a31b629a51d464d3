"""Checks of promises, of the lots that count toward them, and of what has arrived."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from gpufleet.base.errors import Finding, Place
from gpufleet.base.say import Said, say
from gpufleet.plan.check import check

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.supply import Delivery

HERE: Final = ("delivered", "online")
"""Statuses of a lot whose GPUs have arrived."""


@check("P081", "lot counts toward a promise to another tenant", severity="error")
def promise_of_another(plan: Plan) -> Iterator[Finding]:
    """A promise is made to one tenant. A lot that belongs to another cannot keep it.

    Example::

        promises:   {fifty: {for: government, gpus: 50000, ...}}
        deliveries: [{for: naver, counts_toward: fifty, ...}]
    """
    for lot in plan.deliveries:
        for name in lot.counts_toward:
            promise = plan.promises[name]
            if lot.tenant is not None and lot.tenant != promise.tenant:
                yield Finding(
                    at=_line(plan, lot, "counts_toward"),
                    says=say(
                        "{lot} is for {tenant}; the promise {promise} is to {other}",
                        lot=lot.name, tenant=lot.tenant, promise=name, other=promise.tenant,
                    ),
                    fix=say("name a promise to {tenant}, or leave `counts_toward` out", tenant=lot.tenant),
                )  # fmt: skip


@check("P082", "lot that counts toward a promise belongs to nobody", severity="error")
def promise_without_owner(plan: Plan) -> Iterator[Finding]:
    """GPUs that all tenants share keep no promise to one of them. Say whose the lot is.

    Example::

        deliveries: [{to: lab, counts_toward: fifty, ...}]      # for: government
    """
    for lot in plan.deliveries:
        if lot.counts_toward and lot.tenant is None:
            tenant = plan.promises[lot.counts_toward[0]].tenant
            yield Finding(
                at=_line(plan, lot, "counts_toward"),
                says=say("{lot} has no `for`: its GPUs are shared by all tenants", lot=lot.name),
                fix=say("add `for: {tenant}`, or leave `counts_toward` out", tenant=tenant),
            )


@check("P083", "more has arrived than the lot holds", severity="error")
def arrived_too_much(plan: Plan) -> Iterator[Finding]:
    """What arrived of a lot, summed up, is at most what the lot holds. What comes beyond it is another lot.

    Example::

        deliveries: [{name: first, gpus: 64, ...}]
        actuals:    [{lot: first, at: 2026-01-05, gpus: 72}]
    """
    lots = {lot.name: lot for lot in plan.deliveries}
    sums: dict[str, int] = {}
    for i, actual in enumerate(plan.actuals):
        before = sums.get(actual.lot, 0)
        sums[actual.lot] = total = before + actual.gpus
        most = lots[actual.lot].gpus
        if before <= most < total:
            yield Finding(
                at=plan.line(f"actuals.{i}.gpus"),
                says=say(
                    "{total:,} GPUs of {lot} have arrived by then; it holds {most:,} ({over:,} too many)",
                    total=total, lot=actual.lot, most=most, over=total - most,
                ),
                fix=say("correct the count, or make the lot larger ({at})", at=str(lots[actual.lot].line)),
            )  # fmt: skip


@check("P084", "arrived after today", severity="error")
def arrived_after_today(plan: Plan) -> Iterator[Finding]:
    """`actuals` are what has happened. Nothing has happened after `as_of`.

    Example::

        as_of:   2026-11-21
        actuals: [{lot: first, at: 2026-12-24, gpus: 64}]
    """
    for i, actual in enumerate(plan.actuals):
        if not plan.known_by_today(actual.at):
            yield Finding(
                at=plan.line(f"actuals.{i}.at"),
                says=say(
                    "{gpus:,} GPUs of {lot} arrived on {day}; `as_of` is {today}",
                    gpus=actual.gpus, lot=actual.lot, day=_day(plan, actual.at), today=_day(plan, plan.today),
                ),
                fix=say("correct the date, or move `as_of`"),
            )  # fmt: skip


@check("P085", "lots of a promise are more than it")
def more_than_promised(plan: Plan) -> Iterator[Finding]:
    """Lots that count toward a promise hold more GPUs than were promised. Often a lot counts toward the wrong
    promise, or the same GPUs stand in the plan twice.

    Example::

        promises:   {fifty: {for: lab, gpus: 64, ...}}
        deliveries: [{for: lab, gpus: 72, counts_toward: fifty, ...}]
    """
    for name, promise in plan.promises.items():
        lots = [lot for lot in plan.deliveries if name in lot.counts_toward and not lot.stopped]
        total = sum(lot.gpus for lot in lots)
        if total > promise.gpus:
            yield Finding(
                at=plan.line(f"promises.{name}"),
                says=say(
                    "lots with {total:,} GPUs count toward {promise}, which is {gpus:,} ({over:,} more)",
                    total=total, promise=name, gpus=promise.gpus, over=total - promise.gpus,
                ),
                fix=say("look at `counts_toward` of {lots}", lots=_names([lot.name for lot in lots])),
            )  # fmt: skip


@check("P086", "ordered after it is delivered", severity="error")
def ordered_too_late(plan: Plan) -> Iterator[Finding]:
    """A lot is ordered before it is delivered, or on that day.

    Example::

        deliveries: [{to: lab, ordered: 2026-03-01, at: 2026-02-01, ...}]
    """
    for lot in plan.deliveries:
        if lot.ordered is not None and lot.ordered > lot.at:
            yield Finding(
                at=_line(plan, lot, "ordered"),
                says=say(
                    "{lot} is ordered on {ordered} and delivered on {day}",
                    lot=lot.name, ordered=_day(plan, lot.ordered, lot.to), day=_day(plan, lot.at, lot.to),
                ),
                fix=say("correct one of the two"),
            )  # fmt: skip


@check("P087", "status and dates contradict each other")
def status_against_dates(plan: Plan) -> Iterator[Finding]:
    """A status says how far a lot is today (`as_of`). A lot that is delivered has a date that is not after
    today; one that is ordered or pledged only has not arrived yet. The run goes by the dates. Looked at only
    where `as_of` or `actuals` say what today is. A lot that waits for export law is late for that reason.

    Example::

        as_of:      2026-11-21
        deliveries: [{status: ordered, at: 2026-03-01, ...}]      # arrived? late? then move `at`
    """
    for lot in plan.deliveries:
        if lot.status in HERE or plan.sites[lot.to].country is None:  # else law is asked first
            yield from contradictions(plan, lot)


def contradictions(plan: Plan, lot: Delivery) -> Iterator[Finding]:
    """What P087 says of one lot."""
    if "as_of" not in plan.origins and not plan.actuals:
        return
    says = _contradiction(plan, lot, arrived=any(actual.lot == lot.name for actual in plan.actuals))
    if says is not None:
        yield Finding(
            at=_line(plan, lot, "status"), says=says, fix=say("correct the status, the date or `as_of`")
        )


def _contradiction(plan: Plan, lot: Delivery, *, arrived: bool) -> Said | None:
    """What does not go together in a lot, or None."""
    if lot.stopped:
        return None  # it never comes, whatever its status
    today, day = _day(plan, plan.today), _day(plan, lot.at, lot.to)
    came, here = plan.known_by_today(lot.at), lot.status in HERE
    if here and not came:
        return say(
            "{lot} is {status} as of {today}; its date is {day}",
            lot=lot.name, status=lot.status, today=today, day=day,
        )  # fmt: skip
    if not here and arrived:
        return say(
            "{lot} is only {status}; `actuals` say that GPUs of it arrived", lot=lot.name, status=lot.status
        )
    if not here and came:
        return say(
            "{lot} was due on {day} and is only {status} as of {today}",
            lot=lot.name, status=lot.status, today=today, day=day,
        )  # fmt: skip
    if lot.ordered is None:
        return None
    is_ordered, ordered = plan.known_by_today(lot.ordered), _day(plan, lot.ordered, lot.to)
    if lot.status == "pledged" and is_ordered:
        return say(
            "{lot} is only pledged as of {today}; it was ordered on {day}",
            lot=lot.name,
            today=today,
            day=ordered,
        )
    if lot.status == "ordered" and not is_ordered:
        return say(
            "{lot} is ordered as of {today}; its order is of {day}", lot=lot.name, today=today, day=ordered
        )
    return None


@check("P088", "less has arrived than the lot holds")
def arrived_too_little(plan: Plan) -> Iterator[Finding]:
    """`actuals` count fewer GPUs of a lot than it holds, and by its status or its date it is there whole. The
    run goes by the lot, so that it counts GPUs that have not come.

    Example::

        as_of:      2026-11-21
        deliveries: [{name: first, gpus: 128, status: delivered, ...}]
        actuals:    [{lot: first, at: 2026-01-05, gpus: 120}]      # 8 are missing: a lot of their own, later
    """
    sums: dict[str, int] = {}
    last: dict[str, int] = {}
    for i, actual in enumerate(plan.actuals):
        sums[actual.lot] = sums.get(actual.lot, 0) + actual.gpus
        last[actual.lot] = i
    for lot in plan.deliveries:
        due = not lot.stopped and (lot.status in HERE or plan.known_by_today(lot.at))
        if lot.name in sums and due and sums[lot.name] < lot.gpus:
            yield Finding(
                at=plan.line(f"actuals.{last[lot.name]}.gpus"),
                says=say(
                    "{came:,} of the {gpus:,} GPUs of {lot} have arrived by {today}; the run counts "
                    "all of them",
                    came=sums[lot.name], gpus=lot.gpus, lot=lot.name, today=_day(plan, plan.today),
                ),
                fix=say(
                    "add what has arrived, or put the {rest:,} that have not in a lot of their own with a "
                    "later date",
                    rest=lot.gpus - sums[lot.name],
                ),
            )  # fmt: skip


def promise_remarks(plan: Plan) -> Iterator[str]:
    """Promises of which a part has no lot: that part stays a shortage."""
    for name, promise in plan.promises.items():
        mine = [lot for lot in plan.deliveries if name in lot.counts_toward and not lot.stopped]
        lots = sum(lot.gpus for lot in mine)
        if lots < promise.gpus:
            yield say(
                "{gpus:,} of the {whole:,} GPUs of the promise {promise} have no lot; they never come",
                gpus=promise.gpus - lots, whole=promise.gpus, promise=name,
            )  # fmt: skip


def _line(plan: Plan, lot: Delivery, key: str) -> Place:
    """Where a key of a lot is written; in a path a lot without a name goes by its number."""
    number = next(str(i) for i, other in enumerate(plan.deliveries) if other is lot)
    for name in (lot.name, number):
        if f"deliveries.{name}" in plan.origins:
            return plan.line(f"deliveries.{name}.{key}") or lot.line
    return lot.line


def _day(plan: Plan, moment: datetime, site: str | None = None) -> str:
    return f"{plan.local(moment, site):%Y-%m-%d}"


def _names(names: list[str], most: int = 5) -> list[str]:
    return [*names[:most], *(["..."] if len(names) > most else [])]
