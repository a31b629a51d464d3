"""Power: what each site draws, its cap, and the meter.

A free GPU in service draws its share of an idle node, a GPU that a job holds what the kind of the job draws.
All powers are IT powers in whole watts, so that every sum is exact, whatever the order. What a site draws is
booked when it changes, not at every event: sites where nothing happens cost nothing."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.state import NEXT_CAP, NOW, State
from gpufleet.world.layout import FULL_LEVEL, LEVEL_S, OVER_J, OVER_S, POWER_LEVELS, SLOW_S


@kernel
def power_admits(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    """Whether ``gpus`` free GPUs of the cell may become busy with a job of the class under its site's cap,
    with all jobs there as slow as its cap may make them."""
    site = w.power_site[cell]
    more = gpus * (w.power_least_w[w.power_kind[cls], cell] - w.power_idle_w[cell])
    return bool(s.least[site] + more <= s.cap[site])


@kernel
def power_ever_admits(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    """Whether the job alone is under the highest cap that its site has now or later."""
    site = w.power_site[cell]
    best = s.cap[site]
    for at in range(s.scalar[NEXT_CAP], len(w.cap_t_s)):
        if w.cap_site[at] == site:
            best = max(best, w.cap_w[at])
    return bool(gpus * w.power_least_w[w.power_kind[cls], cell] <= best)


@kernel
def count_power(w: Rules, s: State, cls: int, cell: int, gpus: int, idle: int) -> None:
    """Jobs of the class hold so many GPUs of the cell more, or less, and so many more of it are free."""
    kind, site = w.power_kind[cls], w.power_site[cell]
    meter_site(w, s, site)
    watts, free_w = w.power_kind_w[kind, cell], idle * w.power_idle_w[cell]
    s.least[site] += gpus * w.power_least_w[kind, cell] + free_w
    if w.slows:
        s.kind_gpus[kind, cell] += gpus
        s.unsettled[site] = 1
        watts = w.level_w[s.level[site], kind, cell]
    s.drawn[site, kind] += gpus * watts
    s.draw[site] += gpus * watts + free_w


@kernel
def count_idle(w: Rules, s: State, cell: int, gpus: int) -> None:
    """So many free GPUs of the cell come into service, or leave it."""
    site = w.power_site[cell]
    meter_site(w, s, site)
    s.draw[site] += gpus * w.power_idle_w[cell]
    s.least[site] += gpus * w.power_idle_w[cell]
    if w.slows:
        s.unsettled[site] = 1


@kernel
def meter_site(w: Rules, s: State, site: int) -> None:
    """Book what the site drew since it was booked last, up to now; nothing there changed between."""
    now, since = s.scalar[NOW], s.metered[site]
    if now <= since:
        return
    s.metered[site] = now
    level = -(-s.draw[site] * POWER_LEVELS // max(w.power_most_w[site], 1))
    here = s.bin_now[site, 0]
    if here >= 0 and now <= (here + 1) * w.grid_s:  # most often, and without a division
        _into_bin(w, s, site, here, now - since, level)
        return
    for grid_bin in range(since // w.grid_s, (now - 1) // w.grid_s + 1):
        begins, ends = grid_bin * w.grid_s, (grid_bin + 1) * w.grid_s
        _into_bin(w, s, site, grid_bin, min(now, ends) - max(since, begins), level)


@kernel
def _into_bin(w: Rules, s: State, site: int, grid_bin: int, seconds: int, level: int) -> None:
    """Book so many seconds of what the site draws."""
    total = s.draw[site]
    idle = total
    for kind in range(s.drawn.shape[1]):
        watts = s.drawn[site, kind]
        idle -= watts
        s.energy[site, 1 + kind, grid_bin] += watts * seconds
    s.energy[site, 0, grid_bin] += idle * seconds
    s.peak[site, grid_bin] = max(s.peak[site, grid_bin], total)
    if total > s.cap[site]:
        s.capped[site, OVER_S, grid_bin] += seconds
        s.capped[site, OVER_J, grid_bin] += (total - s.cap[site]) * seconds
    if w.slows:
        s.capped[site, LEVEL_S, grid_bin] += seconds * s.level[site]
        if s.level[site] < FULL_LEVEL:
            s.capped[site, SLOW_S, grid_bin] += seconds
    if s.bin_now[site, 0] != grid_bin:
        close_bin(w, s, site)
        s.bin_now[site, 0], s.bin_now[site, 1], s.bin_now[site, 2] = grid_bin, level, level
    s.bin_now[site, 1] = min(s.bin_now[site, 1], level)
    s.bin_now[site, 2] = max(s.bin_now[site, 2], level)
    s.bin_level_s[site, level] += seconds


@kernel
def close_bin(w: Rules, s: State, site: int) -> None:
    """The bin that was booked last is over: what it did not exceed in 99 % of its time; and the next one."""
    low, high = s.bin_now[site, 1], s.bin_now[site, 2]
    total = 0
    for level in range(low, high + 1):
        total += s.bin_level_s[site, level]
    level, above = high, 0
    while level > low and 100 * (above + s.bin_level_s[site, level]) <= total:
        above += s.bin_level_s[site, level]
        level -= 1
    if s.bin_now[site, 0] >= 0:
        s.p99[site, s.bin_now[site, 0]] = level * w.power_most_w[site] // POWER_LEVELS
    for level in range(low, high + 1):
        s.level_s[site, level] += s.bin_level_s[site, level]
        s.bin_level_s[site, level] = 0
    s.bin_now[site, 0], s.bin_now[site, 1], s.bin_now[site, 2] = -1, 0, -1


@kernel
def close_meters(w: Rules, s: State) -> None:
    """Book what every site drew, up to now: the end of the run."""
    for site in range(len(s.cap)):
        meter_site(w, s, site)
        close_bin(w, s, site)
