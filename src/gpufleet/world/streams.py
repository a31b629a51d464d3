"""Workloads by profile as streams: what is asked of the fleet, hour by hour, before a job is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from gpufleet.base.arrays import Floats, Ints, distinct
from gpufleet.plan.workloads import ProfileWorkload
from gpufleet.world.capacity import Fleet
from gpufleet.world.generate import Stream, key_of
from gpufleet.world.names import Names
from gpufleet.world.online import Online, usable_gpus
from gpufleet.world.rhythm import Hours, hours_of, uneven

if TYPE_CHECKING:
    from gpufleet.catalog.profiles import Profile
    from gpufleet.plan import Plan
    from gpufleet.plan.profiled import Scale

MONTH_H: Final = 730.5
"""Hours of a month, on average."""


class Ask(NamedTuple):
    """What one workload asks for: GPUs at speed 1 that its jobs would keep busy, and the jobs that do so.

    Between two seconds of ``from_s`` nothing changes but the hour of the week. Arrays have shape (n_steps,).
    """

    workload: ProfileWorkload
    stream: Stream
    from_s: Ints  # seconds from the plan's start, ascending, the first is 0
    gpus: Floats  # asked for, on average over the week; 0 outside the workload's window
    usable: Floats  # that there are for it, at speed 1


def asks_of(plan: Plan, names: Names, fleet: Fleet, online: Online) -> tuple[Ask, ...]:
    """What each workload by profile asks for, in the order of the plan; job classes are not known yet."""
    declared = [each for each in plan.workloads.values() if isinstance(each, ProfileWorkload)]
    if not declared:
        return ()
    hours = hours_of(plan.start, plan.jobs_end_s, ZoneInfo(plan.time_zone))
    return tuple(_ask(plan, names, fleet, online, hours, workload) for workload in declared)


def _ask(
    plan: Plan, names: Names, fleet: Fleet, online: Online, hours: Hours, workload: ProfileWorkload
) -> Ask:
    stream = _stream(plan, names, workload)
    usable = usable_gpus(fleet, online, names, plan.queues[workload.queue], workload.products)
    low_s = max(0, plan.seconds(workload.from_)) if workload.from_ else 0
    high_s = min(plan.jobs_end_s, plan.seconds(workload.to)) if workload.to else plan.jobs_end_s
    asked = _asked(workload, online.from_s, usable)
    from_s = distinct(np.concatenate([asked[0], [low_s, max(high_s, 0)]]))
    gpus = asked[1][np.searchsorted(asked[0], from_s, side="right") - 1]
    gpus[(from_s < low_s) | (from_s >= high_s)] = 0.0
    knots = _knots(plan, workload, from_s, gpus / stream.mean_gpu_s, hours)
    usable = usable[np.searchsorted(online.from_s, from_s, side="right") - 1]
    return Ask(workload, stream._replace(knot_s=knots[0], knot_jobs=knots[1]), from_s, gpus, usable)


def _stream(plan: Plan, names: Names, workload: ProfileWorkload) -> Stream:
    """The jobs of one workload; when they come is not known yet."""
    profile, scale = workload.jobs_like, workload.scale
    slowest = min((speed for _, speed in workload.products), default=1.0)
    users = profile.users
    return Stream(
        key=key_of(plan.seed, workload.name),
        workload=names.workloads.index(workload.name),
        cls=0,
        priority=workload.priority,
        knot_s=np.zeros(1, np.int64),
        knot_jobs=np.zeros(1),
        gpus=np.array([scaled_gpus(size.gpus, scale) for size in profile.sizes], np.int64),
        share=_shares(profile),
        run_at=np.concatenate([i + np.array(size.run_s.p) for i, size in enumerate(profile.sizes)]),
        run_s=np.concatenate([size.run_s.s for size in profile.sizes]) * scale.run_time,
        limited=np.array([size.limit.share if size.limit else 0.0 for size in profile.sizes]),
        **_limits(profile, slowest),
        most_s=plan.queues[workload.queue].limit_s(0),
        users=users.count if users else 0,
        user_share=np.array(users.share if users else [0.0]),
        user_p=np.array(users.p if users else [0.0]),
        owner_cls=np.zeros((0, 0), np.int64),
        begin_s=0,
        life_s=0,
    )


def scaled_gpus(gpus: int, scale: Scale) -> int:
    """GPUs of a job after scaling: rounded, at least 1, at most ``most_gpus``."""
    rounded = max(1, int(gpus * scale.gpus + 0.5))
    return min(rounded, scale.most_gpus) if scale.most_gpus else rounded


def _shares(profile: Profile) -> Floats:
    share = np.cumsum([size.share for size in profile.sizes])
    share /= share[-1]
    share[-1] = 1.0
    return share


def _limits(profile: Profile, slowest: float) -> dict[str, Floats]:
    """Limits over work. A limit is on the wall clock: jobs ask for what the slowest product needs."""
    at: list[Floats] = [np.zeros(1)]
    over: list[Floats] = [np.zeros(1)]
    for i, size in enumerate(profile.sizes):
        if size.limit:
            at.append(i + np.array(size.limit.p))
            over.append(np.array(size.limit.over_run) / slowest)
    keep = slice(1, None) if len(at) > 1 else slice(None)
    return {"limit_at": np.concatenate(at[keep]), "limit_over_run": np.concatenate(over[keep])}


def _asked(workload: ProfileWorkload, online_s: Ints, usable: Floats) -> tuple[Ints, Floats]:
    """GPUs at speed 1 that the jobs of a workload keep busy on average, day and night, weekend or not.

    Args:    online_s, usable: seconds at which the GPUs that it can use change, and how many there are then.
    Returns: seconds at which this changes, and GPUs from then on. Both have shape (n_steps,).
    """
    steps = workload.load or workload.gpu_hours_per_month
    own_s = np.array([t_s for t_s, _ in steps], np.int64)
    at_s = distinct(np.concatenate([online_s, own_s.clip(min=0)]))
    value = np.array([0.0, *(value for _, value in steps)])[np.searchsorted(own_s, at_s, side="right")]
    if workload.load:
        return at_s, value * usable[np.searchsorted(online_s, at_s, side="right") - 1]
    return at_s, value / MONTH_H


def _knots(
    plan: Plan, workload: ProfileWorkload, from_s: Ints, per_s: Floats, hours: Hours
) -> tuple[Ints, Floats]:
    """Jobs expected until each second at which their rate changes: steps and local hours."""
    busy = np.flatnonzero(per_s > 0)
    if not busy.size:
        return np.zeros(1, np.int64), np.zeros(1)
    ends = np.append(from_s[1:], plan.jobs_end_s)
    low_s, high_s = from_s[busy[0]], min(int(ends[busy[-1]]), plan.jobs_end_s)
    all_s = distinct(np.concatenate([[low_s, high_s], from_s, hours.from_s]))
    at_s = all_s[(all_s >= low_s) & (all_s <= high_s)]
    arrivals = workload.jobs_like.arrivals
    day, hour = (key_of(plan.seed, workload.name, word) for word in ("day", "hour"))
    times = uneven(hours, arrivals.hour_of_week, (day, arrivals.day_cv), (hour, arrivals.hour_cv))
    times /= np.mean(arrivals.hour_of_week)  # files round them
    rate = per_s[np.searchsorted(from_s, at_s[:-1], side="right") - 1]
    rate = rate * times[np.searchsorted(hours.from_s, at_s[:-1], side="right") - 1]
    return at_s, np.concatenate([[0.0], np.cumsum(rate * np.diff(at_s))])
