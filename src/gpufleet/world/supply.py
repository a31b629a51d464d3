"""The supply staircase of a plan: how many GPUs of which lot are ordered, delivered, powered, online by when.

Counted at the end of each month of the plan's time zone. Every count is made three times: as planned, with
everything late and few, and with everything early and many; each time power decides anew what comes online.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Ints
from gpufleet.plan.money_lots import ordered_at
from gpufleet.world.capacity import Fleet, capacity_of
from gpufleet.world.layout import UP, Capacity, Nodes
from gpufleet.world.names import Names

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.promises import Promise
    from gpufleet.plan.sites import Site
    from gpufleet.plan.supply import Delivery

STEPS: Final = ("pledged", "ordered", "delivered", "powered", "online")
"""The stairs. A GPU takes them in this order."""

SHORT_STEPS: Final = ("not_ordered", "not_delivered", "not_powered", "not_online")
"""What a GPU that is not online lacks: the first stair that it has not taken."""


class Counts(NamedTuple):
    """GPUs of each lot at the end of each month. Shape (n_lots, n_months)."""

    ordered: Ints
    delivered: Ints
    powered: Ints  # have had power at some time
    online: Ints  # in service now
    retired: Ints  # gone
    retired_dark: Ints  # gone, and never had power


@dataclass(frozen=True)
class Staircase:
    """The supply of a plan, month by month."""

    months: tuple[str, ...]  # "2026-03"
    ends_s: Ints  # end of each month, s from the plan's start; the last one is the plan's end
    value: Counts
    low: Counts  # at most `value`
    high: Counts  # at least `value`
    pledged: Ints  # GPUs of each promise that is made by then, (n_promises, n_months)
    due: Ints  # GPUs of each promise that fall due by then, (n_promises, n_months)


def staircase(plan: Plan, names: Names) -> Staircase:
    """The staircase of a plan, from its start to its end, whatever the simulation of jobs covers.

    `low` takes the low end of every range of a count and of power, the late end of every range of a date, and
    the high end of every range of PUE and rated power; `high` the other ends. Power is given out in order of
    delivery, so that one lot may gain by what another loses: each bound is the least, or the most, of the
    three.
    """
    months, ends_s = month_ends(plan)
    value = counts_of(plan, names, ends_s)
    low = high = value
    if _has_ranges(plan):
        others = [counts_of(_variant(plan, end), names, ends_s) for end in (0, 1)]
        low = Counts._make(_over(np.minimum, columns) for columns in zip(value, *others, strict=True))
        high = Counts._make(_over(np.maximum, columns) for columns in zip(value, *others, strict=True))
    promises = plan.promises.values()
    pledged = [np.where(ends_s > plan.seconds(p.at), p.gpus, 0) for p in promises]
    due = [due_of(plan, promise, months) for promise in promises]
    shape = (len(plan.promises), len(months))
    return Staircase(
        months=months,
        ends_s=ends_s,
        value=value,
        low=low,
        high=high,
        pledged=np.array(pledged, np.int64).reshape(shape),
        due=np.array(due, np.int64).reshape(shape),
    )


def _over(function: Callable[[Ints, Ints], Ints], columns: Iterable[Ints]) -> Ints:
    """A function of two arrays over several."""
    first, *rest = columns
    for other in rest:
        first = function(first, other)
    return first


def month_ends(plan: Plan) -> tuple[tuple[str, ...], Ints]:
    """The months of a plan in its time zone, and when each ends, s from the plan's start.

    The last month ends with the plan.
    """
    zone = ZoneInfo(plan.time_zone)
    first, months, ends = plan.local(plan.start), [], []
    year, month = first.year, first.month
    while True:
        months.append(f"{year:04}-{month:02}")
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        end_s = plan.seconds(datetime(year, month, 1, tzinfo=zone).astimezone(UTC))
        ends.append(min(end_s, plan.horizon_s))
        if end_s >= plan.horizon_s:
            return tuple(months), np.array(ends, np.int64)


def due_of(plan: Plan, promise: Promise, months: tuple[str, ...]) -> Ints:
    """GPUs of a promise that fall due by the end of each month.

    In equal parts over the whole months of its window, the first and the last one included.
    """
    number = _month_number(plan.local(promise.due_from))
    whole = _month_number(plan.local(promise.until)) - number + 1
    at = np.array([int(m[:4]) * 12 + int(m[5:]) - 1 for m in months], np.int64)
    passed: Ints = np.clip(at - number + 1, 0, whole)
    return promise.gpus * passed // whole


def _month_number(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1


def _variant(plan: Plan, end: int) -> Plan:
    """The plan at one end of its ranges: 0 = few and late, little power and much drawn; 1 = the other end."""
    lots = []
    for lot in plan.deliveries:
        gpus = lot.gpus_range[end] if lot.gpus_range else lot.gpus
        at = lot.at_range[1 - end] if lot.at_range else lot.at
        ordered = lot.ordered_range[1 - end] if lot.ordered_range else lot.ordered
        ready = lot.ready_range[1 - end] if lot.ready_range else lot.ready
        parts = (lot.parts_early if end else lot.parts_late) or ()
        dates = {"at": at, "ordered": ordered, "ready": ready, "parts": parts}
        lots.append(lot.model_copy(update={"gpus": gpus, **dates}))
    sites = {name: _site_variant(site, end) for name, site in plan.sites.items()}
    systems = {
        name: system.model_copy(update={"node_power_w": system.node_power_w_range[1 - end]})
        if system.node_power_w_range
        else system
        for name, system in plan.systems.items()
    }
    law = {
        "licences": {name: each.at_end(end) for name, each in plan.licences.items()},
        "rules": {name: each.at_end(end) for name, each in plan.rules.items()},
    }
    return plan.model_copy(update={"deliveries": tuple(lots), "sites": sites, "systems": systems, **law})


def _site_variant(site: Site, end: int) -> Site:
    """A site at one end of the ranges of its power and PUE."""
    pue = site.pue_range[1 - end] if site.pue_range else site.pue
    power_w = site.power_w_range[end] if site.power_w_range else site.power_w
    return site.model_copy(update={"pue": pue, "power_w": power_w})


def _has_ranges(plan: Plan) -> bool:
    """Whether anything that supply is made of has a range."""
    return (
        any(lot.gpus_range or lot.at_range or lot.ordered_range or lot.ready_range for lot in plan.deliveries)
        or any(site.pue_range or site.power_w_range for site in plan.sites.values())
        or any(system.node_power_w_range for system in plan.systems.values())
        or any(each.from_range or each.until_range for each in plan.licences.values())
        or any(each.from_range or each.until_range for each in plan.rules.values())
    )


def counts_of(plan: Plan, names: Names, ends_s: Ints) -> Counts:
    """GPUs of each lot on each stair at some times, s from the plan's start; what happens at one counts not.

    Returns: arrays of shape (n_lots, n_times).
    """
    fleet = capacity_of(plan, names)
    lots = plan.deliveries
    gpus = np.array([lot.gpus for lot in lots], np.int64)[:, None]
    ordered_s = np.array([plan.seconds(ordered_at(plan, lot)) for lot in lots], np.int64)[:, None]
    delivered = np.array([_delivered(plan, lot, ends_s) for lot in lots], np.int64).reshape(
        gpus.size, ends_s.size
    )
    powered, online = _in_service(fleet, len(lots), ends_s)
    retired, dark = _retired(fleet, len(lots), ends_s)
    cancelled = np.array([cancelled_by(plan, lot, ends_s) for lot in lots], np.bool_).reshape(delivered.shape)
    ordered = np.where(cancelled, delivered, gpus * (ordered_s < ends_s))  # what has come stays ordered
    return Counts(ordered, delivered, powered, online, retired, dark)


def cancelled_by(plan: Plan, lot: Delivery, ends_s: Ints) -> NDArray[np.bool_]:
    """Whether a lot is cancelled, at some times, s from the plan's start."""
    if lot.stopped is None:
        return np.zeros(ends_s.size, np.bool_)
    found: NDArray[np.bool_] = plan.seconds(lot.stopped) < ends_s
    return found


def _delivered(plan: Plan, lot: Delivery, ends_s: Ints) -> Ints:
    """GPUs of a lot that are at the site at some times; what comes in parts is there in parts."""
    if not lot.parts:
        return np.where(plan.seconds(lot.at) < ends_s, lot.gpus, 0)
    before_s = plan.seconds(lot.ready or lot.at) - plan.seconds(lot.at)  # from delivery to ready
    parts = ((gpus, plan.seconds(at) - before_s) for gpus, at in lot.parts)
    there: Ints = np.sum([np.where(at_s < ends_s, gpus, 0) for gpus, at_s in parts], axis=0)
    return there


def _in_service(fleet: Fleet, n_lots: int, ends_s: Ints) -> tuple[Ints, Ints]:
    """GPUs of each lot that have been, and that are, in service: steps summed up over the changes."""
    powered, online = (np.zeros((n_lots, ends_s.size + 1), np.int64) for _ in range(2))
    size = fleet.nodes.size.astype(np.int64)
    lot_of = np.zeros(size.size, np.int64)
    up, ever = (np.zeros(size.size, np.bool_) for _ in range(2))
    month_of = np.searchsorted(ends_s, fleet.capacity.t_s, side="right")
    changes = zip(month_of.tolist(), *(column.tolist() for column in fleet.capacity[1:]), strict=True)
    for month, kind, first, n, lot in changes:
        nodes = slice(first, first + n)
        if kind == UP:
            lot_of[nodes] = lot
            powered[lot, month] += size[nodes][~ever[nodes]].sum()
            online[lot, month] += size[nodes][~up[nodes]].sum()
            ever[nodes] = True
        else:
            np.subtract.at(online[:, month], lot_of[nodes][up[nodes]], size[nodes][up[nodes]])
        up[nodes] = kind == UP
    return np.cumsum(powered, axis=1)[:, :-1], np.cumsum(online, axis=1)[:, :-1]


class Service(NamedTuple):
    """How much of one lot is in service from a second on."""

    from_s: int
    powered: int  # GPUs that have had power at some time
    online: int  # GPUs in service
    retired: int  # GPUs that a retirement took out of service


def service_of(nodes: Nodes, capacity: Capacity, lot: int, n_lots: int) -> list[Service]:
    """When the GPUs of one lot come into and go out of service, by time; two steps differ.

    Args: nodes, capacity: of the world; lot: row of the delivery, of ``n_lots`` (retirements follow them).
    """
    size = nodes.size.astype(np.int64)
    mine, up, gone = (np.zeros(size.size, np.bool_) for _ in range(3))
    steps: list[Service] = []
    for t_s, kind, first, n, of in zip(*(column.tolist() for column in capacity), strict=True):
        span = slice(first, first + n)
        mine[span] |= kind == UP and of == lot
        if not mine[span].any():
            continue
        up[span] = mine[span] & (kind == UP)
        gone[span] |= mine[span] & (of >= n_lots)
        now = Service(t_s, *(int(size[nodes].sum()) for nodes in (mine, up, gone)))
        if steps and steps[-1].from_s == t_s:
            steps.pop()
        if not steps or steps[-1][1:] != now[1:]:
            steps.append(now)
    return steps


def _retired(fleet: Fleet, n_lots: int, ends_s: Ints) -> tuple[Ints, Ints]:
    """GPUs of each lot that are gone, and those of them that never had power."""
    gone, dark = (np.zeros((n_lots, ends_s.size + 1), np.int64) for _ in range(2))
    for took in fleet.retired:
        month = int(np.searchsorted(ends_s, took.t_s, side="right"))
        for lot, gpus, never in took.lots:
            gone[lot, month] += gpus
            dark[lot, month] += never
    return np.cumsum(gone, axis=1)[:, :-1], np.cumsum(dark, axis=1)[:, :-1]
