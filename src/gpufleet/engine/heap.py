"""A four-ary heap of whole numbers: the ends of running jobs, each packed as (time, slot)."""

from __future__ import annotations

from gpufleet.base.arrays import Ints
from gpufleet.engine.jit import entry

SLOT_BITS = 26
SLOT_MASK = (1 << SLOT_BITS) - 1


@entry
def push(heap: Ints, size: int, value: int) -> None:
    """Add ``value`` to a heap of ``size`` numbers; the array must have room."""
    i = size
    while i > 0:
        parent = (i - 1) >> 2
        if heap[parent] <= value:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = value


@entry
def pop(heap: Ints, size: int) -> int:
    """Remove and return the lowest of ``size`` numbers (``size`` >= 1)."""
    top = heap[0]
    last = heap[size - 1]
    n = size - 1
    i = 0
    while True:
        child = 4 * i + 1
        if child >= n:
            break
        best = child
        for other in range(child + 1, min(child + 4, n)):
            if heap[other] < heap[best]:
                best = other
        if heap[best] >= last:
            break
        heap[i] = heap[best]
        i = best
    if n > 0:
        heap[i] = last
    return int(top)
