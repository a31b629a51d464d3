"""The pass without backfill, strict or best effort.

Both are one algorithm. With strict order a lane is a queue, and the first job refused closes it; with best
effort a lane is a shape of a queue (class and GPUs), and the first job refused speaks for all like it. Either
way one test per lane and pass is enough, and the waiting of all others follows from the lane's state."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.life import refuse_for_ever, start
from gpufleet.engine.memory import Rules
from gpufleet.engine.order import insert, precedes, set_key, take_out
from gpufleet.engine.quota import examine, lost
from gpufleet.engine.shapes import shape_of
from gpufleet.engine.state import N_TODO, NOW, PASS, WAITS, State
from gpufleet.engine.tally import join, leave, set_head, set_root
from gpufleet.engine.within import pick_option
from gpufleet.world.layout import LIMIT, NOT_ONLINE, POWER, STARTABLE


@kernel
def _look_at(s: State, lane: int) -> None:
    """Have the pass test the lane's first job."""
    row = s.lane[lane]
    if row.mark != s.scalar[PASS]:
        row.mark = s.scalar[PASS]
        row.closed, row.refused = 0, 0
        s.todo[s.scalar[N_TODO]] = lane
        s.scalar[N_TODO] += 1


@kernel
def _take_in_new(w: Rules, s: State, island: int) -> None:
    """Put the jobs that the pass meets for the first time into their lanes, and choose the lanes to test."""
    i = s.island[island].first_new
    while i >= 0:
        set_key(w, s, i)
        lane = w.class_queue[s.slot[i].cls] if w.strict else shape_of(w, s, i, island)
        empty = s.lane[lane].count == 0
        insert(s, lane, i)
        if empty or (w.strict and s.lane_first[lane, 0] == i):
            _look_at(s, lane)
        i = s.slot[i].next_new


@kernel
def _test_lanes(w: Rules, s: State) -> int:
    """Test the first job of each open lane: the lane whose first job starts next, -1 if none can."""
    best = -1
    for at in range(s.scalar[N_TODO]):
        lane = s.todo[at]
        row = s.lane[lane]
        i = s.lane_first[lane, 0]
        if i < 0:
            row.closed = 1
        if not row.closed:
            row.refused, row.found = examine(w, s, i)
            if row.refused == STARTABLE and (best < 0 or precedes(s, i, s.lane_first[best, 0])):
                best = lane
    return best


@kernel
def _first_for_ever(w: Rules, s: State, best: int) -> int:
    """The first lane, before ``best``, whose first job was refused for ever; -1 if there is none."""
    found = -1
    for at in range(s.scalar[N_TODO]):
        lane = s.todo[at]
        row = s.lane[lane]
        lasting = row.refused == NOT_ONLINE or row.refused == LIMIT or row.refused == POWER
        if not row.closed and lasting:
            i = s.lane_first[lane, 0]
            before_best = best < 0 or precedes(s, i, s.lane_first[best, 0])
            before_found = found < 0 or precedes(s, i, s.lane_first[found, 0])
            if before_best and before_found and lost(w, s, i, row.refused) != STARTABLE:
                found = lane
    return found


@kernel
def _close_before(s: State, limit: int) -> None:
    """Refusals of jobs before the first one of lane ``limit`` (-1 = of all) are final for this pass."""
    for at in range(s.scalar[N_TODO]):
        lane = s.todo[at]
        row = s.lane[lane]
        if not row.closed and row.refused != STARTABLE and lane != limit:
            row.closed = limit < 0 or precedes(s, s.lane_first[lane, 0], s.lane_first[limit, 0])


@kernel
def _settle(w: Rules, s: State, island: int, now: int) -> None:
    """Write down who waits for what until the next pass."""
    i = s.island[island].first_new
    while i >= 0:
        if s.slot[i].status == WAITS:
            join(w, s, i, s.slot[i].lane, now)
        i = s.slot[i].next_new
    for at in range(s.scalar[N_TODO]):
        lane = s.todo[at]
        first = s.lane_first[lane, 0]
        if first >= 0 and w.strict:
            # a lane that came back to its old head after others started keeps the head's refusal
            set_head(w, s, lane, now, first, s.lane[lane].refused)
        elif first >= 0:
            set_root(w, s, lane, now, s.lane[lane].refused)


@kernel
def pass_lanes(w: Rules, s: State, island: int, full: int) -> None:
    """One pass over an island."""
    now = s.scalar[NOW]
    s.scalar[N_TODO] = 0
    if full:
        lane = s.island[island].first_lane
        while lane >= 0:
            if s.lane[lane].count > 0:
                _look_at(s, lane)
            lane = s.lane[lane].next_of_island
    _take_in_new(w, s, island)
    while True:
        best = _test_lanes(w, s)
        gone = _first_for_ever(w, s, best)
        _close_before(s, gone if gone >= 0 else best)
        if gone >= 0:
            i = s.lane_first[gone, 0]
            take_out(s, gone, i)
            leave(w, s, i, gone, now)
            refuse_for_ever(w, s, i, lost(w, s, i, s.lane[gone].refused))
            continue
        if best < 0:
            break
        i, option = s.lane_first[best, 0], s.lane[best].found
        take_out(s, best, i)
        leave(w, s, i, best, now)
        pick_option(w, s, i, option)
        start(w, s, i, option)
        if not full and w.strict and s.lane[best].head >= 0 and s.lane[best].head == s.lane_first[best, 0]:
            s.lane[best].refused, s.lane[best].closed = s.lane[best].root, 1  # its refusal stands
    _settle(w, s, island, now)
    s.island[island].first_new = -1
    s.island[island].last_new = -1
