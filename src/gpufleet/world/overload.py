"""More work than the fleet can do: which workloads by profile ask for it, and what is left at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, distinct
from gpufleet.base.errors import Finding, explain_code, finding
from gpufleet.base.say import say
from gpufleet.world.capacity import Fleet
from gpufleet.world.names import Names
from gpufleet.world.online import Flags, Online, usable_cells
from gpufleet.world.streams import Ask

if TYPE_CHECKING:
    from gpufleet.plan import Plan

OVERLOAD: Final = explain_code(
    "P072",
    "more is asked for than the fleet can do",
    "The jobs of a workload by profile, or of all that share its GPUs, would keep more GPUs busy than they "
    "can use. Work piles up; the backlog is what is left at the end if no GPU ever stands idle.",
    "workloads: {research: {kind: profile, profile: philly, queue: research, load: 1.2}}",
).code


class _Backlog(NamedTuple):
    """What a set of workloads asks for against what there is, as if work were a fluid."""

    asked: bool  # whether any of it comes before the jobs end
    times: float  # asked for / there, from the first job on
    gpu_hours: float  # left at the end
    usable: float  # GPUs at speed 1 at the end

    @property
    def days(self) -> float:
        """How long all its GPUs take for the backlog."""
        return self.gpu_hours / 24 / self.usable if self.usable else float("inf")


def overloads(
    plan: Plan, names: Names, fleet: Fleet, online: Online, asks: Sequence[Ask]
) -> Iterator[Finding]:
    """A warning for the smallest sets of workloads that ask for more than there is."""
    told: list[set[str]] = []
    for group in _groups(plan, names, fleet, asks):
        members = {ask.workload.name for ask in group}
        if any(known <= members for known in told):
            continue
        backlog = _backlog(plan, names, fleet, online, group)
        if not backlog.asked:
            continue  # all of it comes after `jobs_until`
        alone = len(group) == 1 and any(value > 1 for _, value in group[0].workload.load)
        if backlog.gpu_hours >= 1 or alone:
            told.append(members)
            yield _overload(plan, group, backlog)


def _groups(plan: Plan, names: Names, fleet: Fleet, asks: Sequence[Ask]) -> Iterator[tuple[Ask, ...]]:
    """Each workload; those of a tenant that share GPUs; all that share GPUs."""
    yield from ((ask,) for ask in asks)
    tenant = {ask.workload.name: plan.queues[ask.workload.queue].tenant for ask in asks}
    in_order = sorted(asks, key=lambda ask: names.tenants.index(tenant[ask.workload.name]))
    for _, of_tenant in groupby(in_order, key=lambda ask: tenant[ask.workload.name]):
        yield from _joined(plan, names, fleet, tuple(of_tenant))
    yield from _joined(plan, names, fleet, tuple(asks))


def _joined(plan: Plan, names: Names, fleet: Fleet, asks: tuple[Ask, ...]) -> Iterator[tuple[Ask, ...]]:
    """Sets of two or more workloads that are joined by cells that they can use."""
    left = [(ask, set(np.flatnonzero(_cells(plan, names, fleet, ask)).tolist())) for ask in asks]
    while left:
        first, cells = left.pop(0)
        group, grown = [first], True
        while grown:
            near = [pair for pair in left if pair[1] & cells]
            left = [pair for pair in left if not pair[1] & cells]
            group += [ask for ask, _ in near]
            cells = cells.union(*(more for _, more in near))
            grown = bool(near)
        if len(group) > 1:
            yield tuple(sorted(group, key=lambda ask: ask.stream.workload))


def _backlog(plan: Plan, names: Names, fleet: Fleet, online: Online, group: Sequence[Ask]) -> _Backlog:
    """What is left of the work at the end, if no GPU that can do some ever stands idle."""
    at_s = distinct(np.concatenate([ask.from_s for ask in group]))
    at_s = at_s[at_s < plan.jobs_end_s]
    asked = np.zeros(at_s.size)
    for ask in group:
        asked += ask.gpus[np.searchsorted(ask.from_s, at_s, side="right") - 1]
    usable = _usable(plan, names, fleet, online, group)[
        np.searchsorted(online.from_s, at_s, side="right") - 1
    ]
    hours = np.diff(np.append(at_s, plan.jobs_end_s)) / 3600
    left = 0.0
    for more, there, h in zip(asked.tolist(), usable.tolist(), hours.tolist(), strict=True):
        left = max(0.0, left + (more - there) * h)
    since = np.cumsum(asked) > 0
    there_h = float((usable * hours)[since].sum())
    times = float(asked @ hours) / there_h if there_h else float("inf")
    return _Backlog(bool(since.any()), times, left, float(usable[-1]) if usable.size else 0.0)


def _usable(plan: Plan, names: Names, fleet: Fleet, online: Online, group: Sequence[Ask]) -> Floats:
    """GPUs at speed 1 that a set of workloads can use: each at the speed of the workload it is best for."""
    total = np.zeros(online.from_s.size)
    cells = np.any([_cells(plan, names, fleet, ask) for ask in group], axis=0)
    for code, product in enumerate(names.products):
        speeds = {
            ask.workload.queue: dict(ask.workload.products).get(
                product, 0.0 if ask.workload.products else 1.0
            )
            for ask in group
        }
        gpus = online.gpus[:, cells & (fleet.cells.product == code)].sum(axis=1)
        most = int(gpus.max(initial=0))
        quota = sum(plan.queues[queue].most(product, most) for queue, speed in speeds.items() if speed)
        total += max(speeds.values()) * np.minimum(gpus, quota)
    return total


def _overload(plan: Plan, group: Sequence[Ask], backlog: _Backlog) -> Finding:
    ask = group[0]
    values: dict[str, Any] = {
        "names": [each.workload.name for each in group],
        "hours": backlog.gpu_hours,
        "end": plan.local(plan.jobs_end),
    }
    if not backlog.usable:
        says = say(
            "{names}: no GPU that they can use is in service on {end:%Y-%m-%d}; {hours:,.0f} GPU-hours wait",
            **values,
        )
    else:
        says = say(
            "{names}: {times:.2f} times the GPUs that there are for this; on {end:%Y-%m-%d} {hours:,.0f} "
            "GPU-hours wait, {days:,.1f} days of these GPUs",
            times=backlog.times,
            days=backlog.days,
            **values,
        )
    fix = say("ask for less, or deliver more GPUs, raise quotas, or accept more products")
    at = plan.line(
        f"workloads.{ask.workload.name}" + (f".{ask.workload.key_of_demand}" if len(group) == 1 else "")
    )
    return finding(OVERLOAD, says, fix, at, severity="warning")


def _cells(plan: Plan, names: Names, fleet: Fleet, ask: Ask) -> Flags:
    queue = plan.queues[ask.workload.queue]
    return usable_cells(fleet, names, queue, [product for product, _ in ask.workload.products])
