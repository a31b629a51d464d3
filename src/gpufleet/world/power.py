"""Power of a plan as arrays: what GPUs draw, and the caps of sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gpufleet.plan.power import OVER_CAP, kind_name, kinds_of
from gpufleet.world.layout import FULL_LEVEL, NO_CAP, Options, Power
from gpufleet.world.slowing import ROUNDING, Speeds, whole

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.sites import Site
    from gpufleet.plan.workloads import Workload
    from gpufleet.world.capacity import Fleet
    from gpufleet.world.names import Names
    from gpufleet.world.shared import RuleRow


def kind_of(plan: Plan, workload: Workload) -> int:
    """The number of a workload's kind of work; 0 where power is not counted."""
    return 0 if plan.power is None else kinds_of(plan).index(kind_name(plan, workload))


def power_of(
    plan: Plan, names: Names, fleet: Fleet, of_class: Sequence[int], rules: Sequence[RuleRow]
) -> Power | None:
    """What GPUs of each cell draw, and the caps of all sites; None without a section `power`.

    Powers of GPUs are rounded down to whole watts, so that no site is said to draw more than it does.

    Args: of_class: kinds of work of the job classes; rules: what the classes say of being stopped.
    """
    if plan.power is None:
        return None
    speeds = Speeds(plan, names, fleet)
    kind_w = speeds.watts(FULL_LEVEL)
    gpus = np.bincount(fleet.nodes.cell, weights=fleet.nodes.size, minlength=len(fleet.cells.site))
    busiest = gpus * kind_w.max(axis=0, initial=0)
    most_w = np.bincount(fleet.cells.site, weights=busiest, minlength=len(plan.sites)).astype(np.int64)
    caps = [
        (t_s, code, cap_w)
        for code, site in enumerate(plan.sites.values())
        for t_s, cap_w in it_caps(plan, site)
    ]
    table = np.array(sorted(caps), np.int64).reshape(-1, 3).T
    return Power(
        idle_w=whole(fleet.rated_w * plan.power.idle_share),
        kind_w=kind_w,
        class_kind=np.array(of_class, np.int64),
        cap_t_s=np.ascontiguousarray(table[0]),
        cap_site=np.ascontiguousarray(table[1]),
        cap_w=np.ascontiguousarray(table[2]),
        most_w=most_w,
        class_kept=np.array([1 - row.preemptible for row in rules], np.int64),
        site_low=np.array(speeds.low, np.int64),
        level_w=speeds.table(speeds.watts),
        level_speed=speeds.table(speeds.speeds),
        cell_speed=speeds.capped,
        over_cap=OVER_CAP.index(plan.power.over_cap),
    )


def capped_options(power: Power | None, options: Options) -> Options:
    """Options with their speeds under the caps of GPUs.

    >>> options = Options(np.array([1]), np.array([2.0]))
    >>> capped_options(None, options).speed.tolist()
    [2.0]
    """
    if power is None or (power.cell_speed == 1.0).all():
        return options
    return options._replace(speed=options.speed * power.cell_speed[options.cell])


def grid_caps(plan: Plan, site: Site) -> list[tuple[int, float]]:
    """Power that a site may draw from the grid, ((seconds from the start, W), ...); infinite: no cap."""
    calls = [(plan.seconds(call.from_), plan.seconds(call.until), call.power_w) for call in site.curtailments]
    times = {0} | {max(0, t) for t, _ in site.power_w} | {max(0, t) for call in calls for t in call[:2]}
    return [
        (t, min([site.power_at(t), *(watts for first, last, watts in calls if first <= t < last)]))
        for t in sorted(times)
    ]


def it_caps(plan: Plan, site: Site) -> list[tuple[int, int]]:
    """The same as IT power in whole W: what is left of it by the overhead and the PUE."""
    return [
        (t, NO_CAP if cap == float("inf") else int(max(0.0, cap - site.overhead_w) / site.pue * ROUNDING))
        for t, cap in grid_caps(plan, site)
    ]
