"""Power: what each site draws, its cap, and the meter.

A free GPU in service draws its share of an idle node, a GPU that a job holds what the kind of the job draws.
All powers are IT powers in whole watts, so that every sum is exact, whatever the order."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.state import METERED, NEXT_CAP, State
from gpufleet.world.layout import POWER_LEVELS


@kernel
def draw_of_site(w: Rules, s: State, site: int) -> int:
    """IT power that the site draws now, W."""
    drawn = 0
    for cell in range(len(w.power_site)):
        if w.power_site[cell] == site:
            drawn += s.cell[cell].free * w.power_idle_w[cell]
    for kind in range(s.drawn.shape[1]):
        drawn += s.drawn[site, kind]
    return int(drawn)


@kernel
def power_admits(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    """Whether ``gpus`` free GPUs of the cell may become busy with a job of the class under its site's cap."""
    site = w.power_site[cell]
    more = gpus * (w.power_kind_w[w.power_kind[cls], cell] - w.power_idle_w[cell])
    return bool(draw_of_site(w, s, site) + more <= s.cap[site])


@kernel
def power_ever_admits(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    """Whether the job alone is under the highest cap that its site has now or later."""
    site = w.power_site[cell]
    best = s.cap[site]
    for at in range(s.scalar[NEXT_CAP], len(w.cap_t_s)):
        if w.cap_site[at] == site:
            best = max(best, w.cap_w[at])
    return bool(gpus * w.power_kind_w[w.power_kind[cls], cell] <= best)


@kernel
def count_power(w: Rules, s: State, cls: int, cell: int, gpus: int) -> None:
    """Jobs of the class hold so many GPUs of the cell more, or less."""
    kind = w.power_kind[cls]
    s.drawn[w.power_site[cell], kind] += gpus * w.power_kind_w[kind, cell]


@kernel
def _into_bins(w: Rules, s: State, site: int, part: int, watts: int, since: int, until: int) -> None:
    first = since // w.grid_s
    if until <= (first + 1) * w.grid_s:
        s.energy[site, part, first] += watts * (until - since)
        return
    at = since
    while at < until and watts > 0:
        grid_bin = at // w.grid_s
        ends = min(until, (grid_bin + 1) * w.grid_s)
        s.energy[site, part, grid_bin] += watts * (ends - at)
        at = ends


@kernel
def meter(w: Rules, s: State, now: int) -> None:
    """Book what every site drew since the last call, up to ``now``; nothing changed between."""
    since = s.scalar[METERED]
    if now <= since:
        return
    s.scalar[METERED] = now
    n_kinds = s.drawn.shape[1]
    for site in range(len(s.cap)):
        total = draw_of_site(w, s, site)
        idle = total
        for kind in range(n_kinds):
            idle -= s.drawn[site, kind]
            _into_bins(w, s, site, 1 + kind, s.drawn[site, kind], since, now)
        _into_bins(w, s, site, 0, idle, since, now)
        level = -(-total * POWER_LEVELS // max(w.power_most_w[site], 1))
        s.level_s[site, level] += now - since
        for grid_bin in range(since // w.grid_s, (now - 1) // w.grid_s + 1):
            s.peak[site, grid_bin] = max(s.peak[site, grid_bin], total)
