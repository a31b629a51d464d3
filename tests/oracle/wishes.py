"""What a job wishes of the topology: idle nodes of one domain, of one block, or of as few as will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpufleet.world.layout import (
    BEST_FIT,
    BLOCK_LEVEL,
    DOMAIN_LEVEL,
    NODE_LEVEL,
    PREFERRED,
    REQUIRED,
    SITE_LEVEL,
    UNCONSTRAINED,
)

from .model import Cell
from .placing import Rule, View, fits, place
from .sharing import placing as kueue

Key = Callable[[int], int]


@dataclass(frozen=True)
class Wish:
    kind: int
    level: int
    slice_gpus: int = 0
    slice_level: int = DOMAIN_LEVEL

    def counts(self, cell: Cell, gpus: int) -> bool:
        """Jobs of one node have no use for it."""
        return self.kind in (PREFERRED, REQUIRED) and nodes_for(cell, gpus) > 1


@dataclass(frozen=True)
class Site:
    """Where the nodes of the fleet stand."""

    domain: Mapping[int, int]
    block: Mapping[int, int]

    def within(self, level: int) -> Key:
        """What two nodes must have in common to be together at a level above the node."""
        if level == DOMAIN_LEVEL:
            return self.domain.__getitem__
        return self.block.__getitem__ if level == BLOCK_LEVEL else lambda _: 0


def nodes_for(cell: Cell, gpus: int) -> int:
    return -(-gpus // cell.gpus_per_node)


def idle(view: View, cell: Cell) -> list[int]:
    return [n for n in sorted(view) if view[n] == cell.gpus_per_node]


def groups(nodes: list[int], key: Key) -> dict[int, list[int]]:
    """Nodes by what they share, lowest first."""
    found: dict[int, list[int]] = {}
    for n in nodes:
        found.setdefault(key(n), []).append(n)
    return dict(sorted(found.items()))


def together(nodes: list[int], wanted: int, level: int, site: Site) -> bool:
    """Are so many of the nodes in one part of this level."""
    if level == NODE_LEVEL:
        return False
    return any(len(part) >= wanted for part in groups(nodes, site.within(level)).values())


def wish_fits(view: View, cell: Cell, gpus: int, wish: Wish, site: Site) -> bool:
    """Fit, and the required level."""
    if not fits(view, cell, gpus):
        return False
    if wish.slice_gpus:
        return bool(sliced(idle(view, cell), cell, gpus, wish, site))
    if wish.kind != REQUIRED or not wish.counts(cell, gpus):
        return True
    return together(idle(view, cell), nodes_for(cell, gpus), wish.level, site)


def wish_can_fit(everything: View, cell: Cell, gpus: int, wish: Wish, site: Site) -> bool:
    """Is any node, domain or block of the required level large enough, with all its nodes idle."""
    everything = idle(everything, cell)
    if wish.slice_gpus:
        return bool(sliced(everything, cell, gpus, wish, site))
    if wish.kind != REQUIRED or wish.level == SITE_LEVEL or not wish.counts(cell, gpus):
        return True
    return together(everything, nodes_for(cell, gpus), wish.level, site)


def place_wish(view: View, cell: Cell, gpus: int, rule: Rule, wish: Wish, site: Site) -> dict[int, int]:
    """The nodes that a job gets that fits, with the GPUs on each."""
    wanted, nodes = nodes_for(cell, gpus), idle(view, cell)
    if wish.slice_gpus:
        return dict.fromkeys(sliced(nodes, cell, gpus, wish, site), cell.gpus_per_node)
    if wish.kind == UNCONSTRAINED:
        return place(view, cell, gpus, BEST_FIT)
    if not wish.counts(cell, gpus) or len(nodes) < wanted:
        return place(view, cell, gpus, rule)
    taken = _taken(nodes, wanted, wish.level, site)
    held = dict.fromkeys(taken, cell.gpus_per_node)
    held[taken[-1]] -= wanted * cell.gpus_per_node - gpus
    return held


def sliced(nodes: list[int], cell: Cell, gpus: int, wish: Wish, site: Site) -> list[int]:
    """Of these idle nodes those that a job of slices gets; none if they do not hold it.

    Kueue's own rules: an idle node is a leaf with room for one pod, below its domain, its block and its cell.
    """
    if wish.slice_gpus % cell.gpus_per_node or gpus % wish.slice_gpus or not nodes:
        return []
    # names are compared as words, so that numbers have leading zeros
    leaves: dict[kueue.Path, kueue.Requests] = {
        ("cell", f"{site.block[n]:06}", f"{site.domain[n]:06}", f"{n:06}"): {"node": 1} for n in nodes
    }
    levels = {SITE_LEVEL: 0, BLOCK_LEVEL: 1, DOMAIN_LEVEL: 2}
    modes = {REQUIRED: kueue.REQUIRED, PREFERRED: kueue.PREFERRED, UNCONSTRAINED: kueue.UNCONSTRAINED}
    ask = kueue.Ask(
        count=nodes_for(cell, gpus),
        request={"node": 1},
        mode=modes[wish.kind],
        level=levels[wish.level],
        slice_size=wish.slice_gpus // cell.gpus_per_node,
        slice_level=levels[wish.slice_level],
    )
    found = kueue.place(leaves, ask)
    return [int(path[-1]) for path in found.pods] if found else []


def _taken(nodes: list[int], wanted: int, level: int, site: Site) -> list[int]:
    if level in (NODE_LEVEL, DOMAIN_LEVEL):
        tightest = _tightest(groups(nodes, site.within(DOMAIN_LEVEL)), wanted)
        if tightest:
            return tightest[:wanted]
    if level != SITE_LEVEL:
        tightest = _tightest(groups(nodes, site.within(BLOCK_LEVEL)), wanted)
        if tightest:
            return _one_by_one(groups(tightest, site.within(DOMAIN_LEVEL)), wanted)
    return _whole_cell(nodes, wanted, site)


def _tightest(parts: dict[int, list[int]], wanted: int) -> list[int]:
    """The part with the fewest nodes that suffice, if there is one."""
    enough = [(len(part), at) for at, part in parts.items() if len(part) >= wanted]
    return parts[min(enough)[1]] if enough else []


def _one_by_one(parts: dict[int, list[int]], wanted: int) -> list[int]:
    """The tightest part that holds the rest, else all of the largest, and so on."""
    taken: list[int] = []
    left = dict(parts)
    while len(taken) < wanted:
        rest = wanted - len(taken)
        part = _tightest(left, rest) or left[min((-len(p), at) for at, p in left.items())[1]]
        taken += part[:rest]
        left = {at: p for at, p in left.items() if p is not part}
    return taken


def _whole_cell(nodes: list[int], wanted: int, site: Site) -> list[int]:
    chosen: list[int] = []
    left = groups(nodes, site.within(BLOCK_LEVEL))
    while len(chosen) < wanted:
        rest = wanted - len(chosen)
        block = _tightest(left, rest) or left[min((-len(p), at) for at, p in left.items())[1]]
        chosen += block
        left = {at: p for at, p in left.items() if p is not block}
    return _one_by_one(groups(sorted(chosen), site.within(DOMAIN_LEVEL)), wanted)
