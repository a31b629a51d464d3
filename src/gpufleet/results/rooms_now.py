"""GPUs that a job could use at a moment of a simulation: online, free, and held by its queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.base.say import Said, say
from gpufleet.results.limits_now import Holding
from gpufleet.world.layout import UP

if TYPE_CHECKING:
    from gpufleet.world.layout import World
    from gpufleet.world.names import Names


class RoomThen(NamedTuple):
    """GPUs of one product that the job could use, at the moment."""

    product: str
    online: int
    free: int
    held: int  # by its queue
    quota: int | None  # hard quota of its queue; None = unlimited, or shared

    def text(self, queue: str) -> Said:
        """The numbers in a line."""
        told = {"product": self.product, "free": self.free, "online": self.online}
        if self.quota is None:
            return say("{product}: {free:,} of {online:,} GPUs are free where it may run", **told)
        return say(
            "{product}: {free:,} of {online:,} GPUs are free where it may run; {queue} holds {held:,} of a "
            "quota of {quota:,}",
            queue=queue,
            held=self.held,
            quota=self.quota,
            **told,
        )


def rooms_now(
    world: World, names: Names, cls: int, running: Sequence[Holding], t_s: int
) -> tuple[RoomThen, ...]:
    """What is online and free of each product that a class of jobs accepts, where it may run."""
    online, used = _online(world, t_s), np.zeros(len(world.cells.product), np.int64)
    queue, shared = int(world.classes.queue[cls]), world.shared is not None
    own: dict[int, int] = {}
    for each in running:
        used[each.cell] += each.gpus
        if world.classes.queue[each.cls] == queue:
            own[each.product] = own.get(each.product, 0) + each.gpus
    first = int(world.classes.first_option[cls])
    cells = np.unique(world.options.cell[first : first + int(world.classes.n_options[cls])])
    rooms = []
    for product in dict.fromkeys(world.cells.product[cells].tolist()):
        here = cells[world.cells.product[cells] == product]
        total, quota = int(online[here].sum()), int(world.queues.quota[queue, product])
        most = None if shared or quota < 0 else quota
        free = max(0, total - int(used[here].sum()))
        rooms.append(RoomThen(names.products[product], total, free, own.get(product, 0), most))
    return tuple(rooms)


def _online(world: World, t_s: int) -> Ints:
    """GPUs in service by cell, as planned; nodes that have failed count."""
    online, rows = np.zeros(len(world.nodes.size), bool), world.capacity
    for row in range(int(np.searchsorted(rows.t_s, t_s, side="right"))):
        first = rows.first_node[row]
        online[first : first + rows.n_nodes[row]] = rows.kind[row] == UP
    cells = world.nodes.cell[online]
    gpus = np.bincount(cells, weights=world.nodes.size[online], minlength=len(world.cells.product))
    return gpus.astype(np.int64)
