"""How fast jobs run where a cap slows them: all jobs of a site at one level, the highest that its cap allows.

A level is a hundredth of what jobs draw at full speed. What a job has left is kept in millionths of a second
at full speed, as a whole number, so that ends are exact however often the level changes."""

from __future__ import annotations

from gpufleet.engine import heap
from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.order import ceil_s
from gpufleet.engine.power import meter_site
from gpufleet.engine.state import AWAY, N_ENDS, NOW, RUNS, State
from gpufleet.world.layout import DONE, FULL_LEVEL, FULL_SPEED, KILL_AT_LIMIT, KILLED


@kernel
def full_s(w: Rules, s: State, i: int) -> int:
    """How long the attempt of job ``i`` takes at full speed, lag included."""
    job = s.slot[i]
    return int(max(1, ceil_s(job.work / job.speed)) + w.finish_lag_s)


@kernel
def _speed(w: Rules, s: State, i: int) -> int:
    job = s.slot[i]
    return int(w.level_speed[s.level[w.power_site[job.cell]], w.power_kind[job.cls], job.cell])


@kernel
def begin_pace(w: Rules, s: State, i: int) -> None:
    """Job ``i`` starts now: all of its attempt is left."""
    s.left[i], s.paced[i] = full_s(w, s, i) * FULL_SPEED, s.scalar[NOW]
    set_end(w, s, i)


@kernel
def keep_pace(w: Rules, s: State, i: int) -> None:
    """Count what running job ``i`` did up to now."""
    s.left[i] -= min(s.left[i], (s.scalar[NOW] - s.paced[i]) * _speed(w, s, i))
    s.paced[i] = s.scalar[NOW]


@kernel
def set_end(w: Rules, s: State, i: int) -> None:
    """When job ``i``, of which ``left`` is left now, ends at the speed of its site."""
    job, speed = s.slot[i], _speed(w, s, i)
    job.end, job.outcome = s.scalar[NOW] + -(-s.left[i] // speed), DONE
    if job.limit > 0 and w.over_limit == KILL_AT_LIMIT and job.start + job.limit < job.end:
        job.end, job.outcome = job.start + job.limit, KILLED


@kernel
def worked_s(w: Rules, s: State, i: int) -> float:
    """Seconds at full speed that running job ``i`` has done in this attempt."""
    if w.slows:
        keep_pace(w, s, i)
        return float((full_s(w, s, i) * FULL_SPEED - s.left[i]) / FULL_SPEED)
    return float(s.scalar[NOW] - s.slot[i].start)


@kernel
def end_pace(w: Rules, s: State, i: int) -> None:
    """Running job ``i`` stops now: count by how much it was slowed. Its ``work`` is still the attempt's."""
    keep_pace(w, s, i)
    s.slowed[i] += (s.scalar[NOW] - s.slot[i].start) * FULL_SPEED - (full_s(w, s, i) * FULL_SPEED - s.left[i])


@kernel
def _draw_at(w: Rules, s: State, site: int, level: int) -> int:
    """What jobs of the site would draw at a level, W."""
    drawn = 0
    for cell in range(len(w.power_site)):
        if w.power_site[cell] == site:
            for kind in range(s.drawn.shape[1]):
                drawn += s.kind_gpus[kind, cell] * w.level_w[level, kind, cell]
    return int(drawn)


@kernel
def _best_level(w: Rules, s: State, site: int) -> int:
    """The highest level under the site's cap; the lowest it has if there is none."""
    idle = s.draw[site]
    for kind in range(s.drawn.shape[1]):
        idle -= s.drawn[site, kind]
    low, high = w.site_low[site], FULL_LEVEL
    while low < high:
        middle = (low + high + 1) // 2
        if idle + _draw_at(w, s, site, middle) <= s.cap[site]:
            low = middle
        else:
            high = middle - 1
    return int(low)


@kernel
def is_current(s: State, entry: int) -> bool:
    """Whether an entry of the heap of ends belongs to an attempt that still runs, or to a return to come."""
    job = s.slot[entry & heap.SLOT_MASK]
    return bool((job.status == RUNS or job.status == AWAY) and job.end == entry >> heap.SLOT_BITS)


@kernel
def _runs_at(w: Rules, s: State, i: int, site: int) -> bool:
    return bool(s.slot[i].status == RUNS and w.power_site[s.slot[i].cell] == site)


@kernel
def _set_level(w: Rules, s: State, site: int, level: int) -> None:
    """All jobs of the site run at a level from now on, and end at another time."""
    meter_site(w, s, site)
    for at in range(s.scalar[N_ENDS]):
        i = s.ends[at] & heap.SLOT_MASK
        if is_current(s, s.ends[at]) and _runs_at(w, s, i, site):
            keep_pace(w, s, i)
    s.level[site] = level
    _draw_anew(w, s, site)
    n, s.scalar[N_ENDS] = s.scalar[N_ENDS], 0
    for at in range(n):
        entry = s.ends[at]
        i = entry & heap.SLOT_MASK
        if is_current(s, entry):
            if _runs_at(w, s, i, site):
                set_end(w, s, i)
            heap.push(s.ends, s.scalar[N_ENDS], (s.slot[i].end << heap.SLOT_BITS) | i)
            s.scalar[N_ENDS] += 1


@kernel
def _draw_anew(w: Rules, s: State, site: int) -> None:
    """What the site's jobs draw at its level."""
    for kind in range(s.drawn.shape[1]):
        watts = 0
        for cell in range(len(w.power_site)):
            if w.power_site[cell] == site:
                watts += s.kind_gpus[kind, cell] * w.level_w[s.level[site], kind, cell]
        s.draw[site] += watts - s.drawn[site, kind]
        s.drawn[site, kind] = watts


@kernel
def settle_levels(w: Rules, s: State) -> None:
    """Once a second has passed: the level of every site where anything changed in it."""
    for site in range(len(s.cap)):
        if s.unsettled[site]:
            s.unsettled[site] = 0
            level = _best_level(w, s, site)
            if level != s.level[site]:
                _set_level(w, s, site, level)
