"""Taking works out of the count and putting them back, until a request fits."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.sharing.physical import has_place_for, lend
from gpufleet.engine.sharing.state import N_FOUND, Share
from gpufleet.engine.sharing.tree import available, count_work, discount_work
from gpufleet.engine.state import State
from gpufleet.world.layout import Tree


@kernel
def take_work(w: Rules, s: State, t: Tree, h: Share, i: int) -> None:
    """Look at the fleet without work ``i``: neither its quota nor its nodes count."""
    discount_work(t, h, i)
    if t.placed:
        lend(w, s, i, 1)


@kernel
def put_work(w: Rules, s: State, t: Tree, h: Share, i: int) -> None:
    """Undo `take_work`."""
    count_work(t, h, i)
    if t.placed:
        lend(w, s, i, -1)


@kernel
def has_room(w: Rules, s: State, t: Tree, h: Share, i: int, borrowing: bool) -> bool:
    """Whether the request of work ``i`` fits now, on nodes too; without borrowing within nominal quota."""
    queue = h.work[i].queue
    for k in range(len(h.request)):
        amount = h.request[k]
        if amount > 0:
            if not borrowing and h.usage[queue, k] + amount > t.nominal[queue, k]:
                return False
            if amount > available(t, h, queue, k):
                return False
            if t.placed and not has_place_for(w, s, i, k):
                return False
    return True


@kernel
def take_victim(w: Rules, s: State, t: Tree, h: Share, i: int, why: int) -> None:
    """Count work ``i`` among the victims, and its usage no longer."""
    at = h.scalar[N_FOUND]
    h.found[at], h.found_why[at] = i, why
    h.scalar[N_FOUND] += 1
    take_work(w, s, t, h, i)


@kernel
def put_back(w: Rules, s: State, t: Tree, h: Share, i: int, borrowing: bool) -> None:
    """Spare the victims without whom the request fits as well, the last but one first."""
    at = h.scalar[N_FOUND] - 2
    while at >= 0:
        put_work(w, s, t, h, h.found[at])
        if has_room(w, s, t, h, i, borrowing):
            last = h.scalar[N_FOUND] - 1
            h.found[at], h.found_why[at] = h.found[last], h.found_why[last]
            h.scalar[N_FOUND] = last
        else:
            take_work(w, s, t, h, h.found[at])
        at -= 1


@kernel
def restore(w: Rules, s: State, t: Tree, h: Share) -> None:
    """Count the usage of all victims again."""
    for at in range(h.scalar[N_FOUND]):
        put_work(w, s, t, h, h.found[at])
