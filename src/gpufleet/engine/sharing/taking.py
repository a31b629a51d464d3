"""Taking works out of the count and putting them back, until a request fits."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.sharing.state import N_FOUND, Share
from gpufleet.engine.sharing.tree import available, put_work, take_work
from gpufleet.world.layout import Tree


@kernel
def has_room(t: Tree, h: Share, queue: int, borrowing: bool) -> bool:
    """Whether the request fits now; without borrowing only within the queue's nominal quota."""
    for k in range(len(h.request)):
        amount = h.request[k]
        if amount > 0:
            if not borrowing and h.usage[queue, k] + amount > t.nominal[queue, k]:
                return False
            if amount > available(t, h, queue, k):
                return False
    return True


@kernel
def take_victim(t: Tree, h: Share, i: int, why: int) -> None:
    """Count work ``i`` among the victims, and its usage no longer."""
    at = h.scalar[N_FOUND]
    h.found[at], h.found_why[at] = i, why
    h.scalar[N_FOUND] += 1
    take_work(t, h, i)


@kernel
def put_back(t: Tree, h: Share, queue: int, borrowing: bool) -> None:
    """Spare the victims without whom the request fits as well, the last but one first."""
    at = h.scalar[N_FOUND] - 2
    while at >= 0:
        put_work(t, h, h.found[at])
        if has_room(t, h, queue, borrowing):
            last = h.scalar[N_FOUND] - 1
            h.found[at], h.found_why[at] = h.found[last], h.found_why[last]
            h.scalar[N_FOUND] = last
        else:
            take_work(t, h, h.found[at])
        at -= 1


@kernel
def restore(t: Tree, h: Share) -> None:
    """Count the usage of all victims again."""
    for at in range(h.scalar[N_FOUND]):
        put_work(t, h, h.found[at])
