"""Lanes: waiting jobs in the policy's order, as skip lists through the slots.

A lane is a queue, or, with best effort and no backfill, one shape of a queue. A job at the end is put in by
one comparison (FIFO); any other place costs the logarithm of the lane's length. The towers' heights are a
hash of the job's row, so they are the same in every run."""

from __future__ import annotations

from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.own import own_key
from gpufleet.engine.state import LEVELS, SEQUENCE, State
from gpufleet.world.layout import FIFO, NO_ESTIMATE, OWN, PRIORITY, SJF, SRTF, UNKNOWN_S

FACTOR_CODE = 1


@kernel
def ceil_s(x: float) -> int:
    """Whole seconds not less than ``x``."""
    n = int(x)
    return n + 1 if n < x else n


@kernel
def estimate_s(w: Rules, limit: int, duration: int) -> int:
    """What the scheduler believes a job takes: its limit, or by policy."""
    if limit > 0:
        return limit
    if w.estimate == NO_ESTIMATE:
        return UNKNOWN_S
    if w.estimate == FACTOR_CODE:
        return ceil_s(w.factor * duration)
    return duration


@kernel
def plain_estimate_s(w: Rules, s: State, i: int) -> int:
    """The estimate of job ``i`` at speed 1, without lag: what orders and memories compare."""
    return estimate_s(w, s.slot[i].limit, max(1, ceil_s(s.slot[i].work)))


@kernel
def estimate_on(w: Rules, s: State, i: int, option: int) -> int:
    """The estimate of job ``i`` on an option."""
    job = s.slot[i]
    return estimate_s(w, job.limit, max(1, ceil_s(job.work / w.option_speed[option])) + w.finish_lag_s)


@kernel
def set_key(w: Rules, s: State, i: int) -> None:
    """Give job ``i`` its place in the order: ``(key, seq)``, smaller first."""
    job = s.slot[i]
    order = w.order
    job.seq = job.id
    if order == FIFO:
        job.key = 0.0
    elif order == PRIORITY:
        job.key = -float(job.prio)
    elif order == SJF:
        job.key = float(plain_estimate_s(w, s, i))
    elif order == SRTF:
        job.key = job.work
        job.seq = s.scalar[SEQUENCE]
        s.scalar[SEQUENCE] += 1
    elif order == OWN:
        job.key = own_key(w, s, i, plain_estimate_s(w, s, i))


@kernel
def precedes(s: State, a: int, b: int) -> bool:
    """Whether job ``a`` comes before job ``b``."""
    x, y = s.slot[a], s.slot[b]
    if x.key != y.key:
        return bool(x.key < y.key)
    return bool(x.seq < y.seq)


@kernel
def _height(row: int) -> int:
    mixed = (row * 40503) ^ (row >> 7)
    mixed = (mixed * 60493) >> 9
    height = 1
    while height < LEVELS and mixed & 7 == 0:
        height += 1
        mixed >>= 3
    return height


@entry
def insert(s: State, lane: int, i: int) -> None:
    """Put job ``i`` into its place in the lane."""
    height = _height(s.slot[i].id)
    s.lane[lane].count += 1
    s.slot[i].lane = lane
    last = s.lane_last[lane, 0]
    if last < 0 or precedes(s, last, i):
        for level in range(height):
            end = s.lane_last[lane, level]
            if end < 0:
                s.lane_first[lane, level] = i
            else:
                s.later[end, level] = i
            s.later[i, level] = -1
            s.lane_last[lane, level] = i
        return
    before = -1
    for down in range(LEVELS):
        level = LEVELS - 1 - down
        after = s.lane_first[lane, level] if before < 0 else s.later[before, level]
        while after >= 0 and precedes(s, after, i):
            before = after
            after = s.later[before, level]
        if level < height:
            s.later[i, level] = after
            if before < 0:
                s.lane_first[lane, level] = i
            else:
                s.later[before, level] = i
            if after < 0:
                s.lane_last[lane, level] = i


@entry
def take_out(s: State, lane: int, i: int) -> None:
    """Take job ``i`` out of the lane."""
    height = _height(s.slot[i].id)
    s.lane[lane].count -= 1
    if s.lane_first[lane, 0] == i:
        for level in range(height):
            s.lane_first[lane, level] = s.later[i, level]
            if s.later[i, level] < 0:
                s.lane_last[lane, level] = -1
        return
    before = -1
    for down in range(LEVELS):
        level = LEVELS - 1 - down
        after = s.lane_first[lane, level] if before < 0 else s.later[before, level]
        while after >= 0 and after != i and precedes(s, after, i):
            before = after
            after = s.later[before, level]
        if level < height:
            following = s.later[i, level]
            if before < 0:
                s.lane_first[lane, level] = following
            else:
                s.later[before, level] = following
            if following < 0:
                s.lane_last[lane, level] = before
