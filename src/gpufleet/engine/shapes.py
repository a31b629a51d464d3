"""Shapes: jobs of one class and one number of GPUs, numbered as they appear."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.state import N_SHAPES, State, hash_of
from gpufleet.world.layout import NO_BACKFILL

GPU_BITS = 24


@kernel
def number_of(s: State, key: int) -> tuple[int, bool]:
    """(the number of a key, whether it is new); room for a new one must be there."""
    size = len(s.shape_key)
    at = hash_of(key, size)
    while s.shape_key[at] >= 0:
        if s.shape_key[at] == key:
            return int(s.shape_id[at]), False
        at = (at + 1) & (size - 1)
    number = s.scalar[N_SHAPES]
    s.scalar[N_SHAPES] += 1
    s.shape_key[at], s.shape_id[at] = key, number
    return int(number), True


@kernel
def open_lane(s: State, number: int, queue: int, island: int) -> None:
    """Make a new number a lane of the island."""
    lane = s.lane[number]
    lane.queue, lane.island = queue, island
    lane.next_of_island = s.island[island].first_lane
    s.island[island].first_lane = number


@kernel
def shape_of(w: Rules, s: State, i: int, island: int) -> int:
    """The shape number of job ``i``; room for a new one must be there. Without backfill a shape is a lane."""
    job = s.slot[i]
    number, new = number_of(s, (int(job.cls) << GPU_BITS) | int(job.gpus))
    job.shape_no = number
    if new and w.backfill == NO_BACKFILL:
        open_lane(s, number, w.class_queue[job.cls], island)
    return number
