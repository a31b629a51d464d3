"""In which order works give way; the lists of admitted works are kept in it."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.sharing.state import Share
from gpufleet.world.layout import NO_THRESHOLD


@kernel
def precedes(h: Share, a: int, b: int, queue: int) -> bool:
    """Whether work a is to be taken before b, for a preemptor of this queue; -1 = of any."""
    x, y = h.work[a], h.work[b]
    if x.evicted != y.evicted:
        return bool(x.evicted > y.evicted)
    if queue >= 0 and (x.queue == queue) != (y.queue == queue):
        return bool(y.queue == queue)
    if x.priority != y.priority:
        return bool(x.priority < y.priority)
    if x.reserved != y.reserved:
        return bool(x.reserved > y.reserved)
    return bool(x.rank < y.rank)


@kernel
def least_priority(h: Share, queue: int) -> int:
    """No admitted work of the queue has a lower priority."""
    first = h.first[queue]
    if first < 0:
        return NO_THRESHOLD
    return -NO_THRESHOLD if h.work[first].evicted else int(h.work[first].priority)


@kernel
def link(h: Share, i: int) -> None:
    """Put work ``i`` into its queue's list of admitted works: what gives way first is first."""
    work = h.work[i]
    top, after = h.top[work.queue], h.first[work.queue]
    if top >= 0 and h.work[top].priority <= work.priority:
        after = top  # all before have lower priorities, and give way before
    before = h.work[after].prev if after >= 0 else -1
    while after >= 0 and precedes(h, after, i, -1):
        before, after = after, h.work[after].next
    work.prev, work.next = before, after
    if before < 0:
        h.first[work.queue] = i
    else:
        h.work[before].next = i
    if after >= 0:
        h.work[after].prev = i
    begins = before < 0 or h.work[before].priority < work.priority
    highest = h.work[top].priority <= work.priority if top >= 0 else after < 0
    if begins and highest:
        h.top[work.queue] = -1 if work.evicted else i


@kernel
def unlink(h: Share, i: int) -> None:
    """Take work ``i`` out of its queue's list of admitted works."""
    work = h.work[i]
    if h.top[work.queue] == i:
        same = work.next >= 0 and h.work[work.next].priority == work.priority
        h.top[work.queue] = work.next if same else -1
    if work.prev < 0:
        h.first[work.queue] = work.next
    else:
        h.work[work.prev].next = work.next
    if work.next >= 0:
        h.work[work.next].prev = work.prev
