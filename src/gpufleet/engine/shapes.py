"""Shapes: jobs of one class and one number of GPUs, numbered as they appear."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.state import N_SHAPES, State, hash_of
from gpufleet.world.layout import NO_BACKFILL

GPU_BITS = 24


@kernel
def shape_of(w: Rules, s: State, i: int, island: int) -> int:
    """The shape number of job ``i``; room for a new one must be there. Without backfill a shape is a lane."""
    job = s.slot[i]
    key = (job.cls << GPU_BITS) | job.gpus
    size = len(s.shape_key)
    at = hash_of(key, size)
    while s.shape_key[at] >= 0:
        if s.shape_key[at] == key:
            job.shape_no = s.shape_id[at]
            return int(s.shape_id[at])
        at = (at + 1) & (size - 1)
    number = s.scalar[N_SHAPES]
    s.scalar[N_SHAPES] += 1
    s.shape_key[at], s.shape_id[at] = key, number
    job.shape_no = number
    if w.backfill == NO_BACKFILL:
        lane = s.lane[number]
        lane.queue, lane.island = w.class_queue[job.cls], island
        lane.next_of_island = s.island[island].first_lane
        s.island[island].first_lane = number
    return int(number)
