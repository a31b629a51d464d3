"""Caps of sites' power: how they change, and who stops where more is drawn than a cap allows."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.life import keep_checkpoint, mark_due, requeue, wait_for_pass
from gpufleet.engine.memory import Rules
from gpufleet.engine.power import meter_site
from gpufleet.engine.sharing.books import release, write_event
from gpufleet.engine.sharing.state import BY_KILL, Share
from gpufleet.engine.state import NEXT_CAP, NOW, RUNS, TOP_SLOT, State
from gpufleet.world.layout import Tree


@kernel
def change_caps(w: Rules, s: State, now: int) -> None:
    """Caps that change at this second make a full pass due at their sites."""
    while s.scalar[NEXT_CAP] < len(w.cap_t_s) and w.cap_t_s[s.scalar[NEXT_CAP]] <= now:
        at = s.scalar[NEXT_CAP]
        s.scalar[NEXT_CAP] += 1
        meter_site(w, s, w.cap_site[at])
        s.cap[w.cap_site[at]] = w.cap_w[at]
        s.unsettled[w.cap_site[at]] = 1
        for cell in range(len(w.power_site)):
            if w.power_site[cell] == w.cap_site[at]:
                mark_due(s, s.cell[cell].island, 1)


@kernel
def _stops_before(s: State, i: int, other: int) -> bool:
    """Whether running job ``i`` stops before another: lower priority, then later start, then higher id."""
    a, b = s.slot[i], s.slot[other]
    if a.prio != b.prio:
        return bool(a.prio < b.prio)
    if a.start != b.start:
        return bool(a.start > b.start)
    return bool(a.id > b.id)


@kernel
def _next_to_stop(w: Rules, s: State, site: int) -> int:
    """The running job of a site that stops first, -1 if none runs there that may be stopped."""
    found = -1
    for i in range(s.scalar[TOP_SLOT]):
        job = s.slot[i]
        here = job.status == RUNS and w.power_site[job.cell] == site
        if here and not w.class_kept[job.cls] and (found < 0 or _stops_before(s, i, found)):
            found = i
    return found


@kernel
def keep_caps(w: Rules, s: State, t: Tree, h: Share) -> None:
    """Stop jobs, as if killed, at every site that draws more than its cap, until it does not.

    Where the cap slows jobs, only if they draw too much at its lowest level. Some jobs no cap stops."""
    for site in range(len(s.cap)):
        while s.least[site] > s.cap[site]:
            i = _next_to_stop(w, s, site)
            if i < 0:
                break
            lost = keep_checkpoint(w, s, i)
            if w.shares:
                write_event(s, h, i, -1, BY_KILL, lost)
                release(w, s, t, h, i, s.scalar[NOW])
            island = s.cell[s.slot[i].cell].island
            requeue(w, s, i)
            wait_for_pass(w, s, i, island)
            mark_due(s, island, 1)
