"""Slices: parts of a job that each lie within one domain or block, given out as Kueue gives them.

A domain (or block) of the slice level holds as many slices as its idle nodes make up, a wider part the sum of
those in it. Parts with the fewest slices that suffice come first; if none suffices, those with the most.
"""

from __future__ import annotations

from gpufleet.base.arrays import Ints
from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.place import clear_picks, pick_node
from gpufleet.engine.state import N_PICKS, State
from gpufleet.world.layout import BLOCK_LEVEL, DOMAIN_LEVEL, REQUIRED, SITE_LEVEL, UNCONSTRAINED


@kernel
def take_of_domain(s: State, cell: int, domain: int, nodes: int, gpus: int) -> int:
    """Pick the lowest ``nodes`` idle nodes of a domain; the GPUs that are left to pick."""
    per_node = s.cell[cell].per_node
    for n in range(s.domain_first[domain], s.domain_first[domain] + s.domain_n[domain]):
        if nodes > 0 and s.node[n].online and s.node[n].free == per_node and s.node[n].mark != -2:
            pick_node(s, n, min(per_node, gpus))
            gpus -= min(per_node, gpus)
            nodes -= 1
    return gpus


@kernel
def _count_blocks(s: State, cell: int, idle: Ints, size: int, level: int) -> int:
    """Count in ``block_slices`` the slices that each block of the cell holds; their sum.

    Args:   idle: nodes per domain.   size: nodes of a slice.   level: of slices.
    """
    first, total = s.cell[cell].first_block, 0
    for block in range(first, first + s.cell[cell].n_blocks):
        count = 0
        for domain in range(s.block_first[block], s.block_first[block + 1]):
            count += idle[domain] // size if level == DOMAIN_LEVEL else idle[domain]
        s.block_slices[block] = count if level == DOMAIN_LEVEL else count // size
        total += s.block_slices[block]
    return total


@kernel
def _most_slices(s: State, cell: int, idle: Ints, size: int, level: int, outer: int) -> int:
    """Most slices that one domain, one block, or the cell holds."""
    most = 0
    if outer <= DOMAIN_LEVEL:
        first = s.cell[cell].first_domain
        for domain in range(first, first + s.cell[cell].n_domains):
            most = max(most, idle[domain] // size)
        return most
    total = _count_blocks(s, cell, idle, size, level)
    if outer > BLOCK_LEVEL:
        return total
    first = s.cell[cell].first_block
    for block in range(first, first + s.cell[cell].n_blocks):
        most = max(most, s.block_slices[block])
    return most


@kernel
def slices_fit(w: Rules, s: State, cls: int, cell: int, gpus: int, idle: Ints) -> bool:
    """Whether so many nodes per domain hold all slices of a job, in one part of what it requires."""
    of_slice, per_node = w.class_slice[cls], s.cell[cell].per_node
    if of_slice % per_node != 0 or gpus % of_slice != 0:
        return False
    outer = w.class_level[cls] if w.class_wish[cls] == REQUIRED else SITE_LEVEL
    most = _most_slices(s, cell, idle, of_slice // per_node, w.class_slice_level[cls], outer)
    return bool(most >= gpus // of_slice)


@kernel
def _is_better(count: int, idle: int, best: int, best_idle: int, rest: int, sparing: bool) -> bool:
    """Whether a part that holds ``count`` goes before one that holds ``best``; the lower one wins a tie."""
    holds = count >= rest
    if not sparing and holds != (best >= rest):
        return holds
    if count != best:
        return (count < best) == (sparing or holds)
    return idle < best_idle


@kernel
def _next_block(s: State, cell: int, rest: int, sparing: bool) -> int:
    """The block that gives the next slices, of those in which there are some."""
    best, first = -1, s.cell[cell].first_block
    for block in range(first, first + s.cell[cell].n_blocks):
        count, idle = s.block_slices[block], s.block_idle[block]
        if count > 0 and (
            best < 0 or _is_better(count, idle, s.block_slices[best], s.block_idle[best], rest, sparing)
        ):
            best = block
    return best


@kernel
def _next_domain(s: State, first: int, n: int, size: int, rest: int, sparing: bool) -> int:
    """The domain that gives the next slices of so many nodes, of ``n`` in marked blocks; -1 = none."""
    best = -1
    for domain in range(first, first + n):
        idle = s.domain_idle[domain]
        if idle < size or s.block_mark[s.domain_block[domain]] == 0:
            continue
        other = s.domain_idle[best] if best >= 0 else 0
        if best < 0 or _is_better(idle // size, idle, other // size, other, rest, sparing):
            best = domain
    return best


@kernel
def _give_out(s: State, cell: int, first: int, n: int, size: int, rest: int, sparing: bool) -> None:
    """Pick ``rest`` slices of ``size`` nodes from ``n`` domains in marked blocks. It lowers `domain_idle`."""
    per_node = s.cell[cell].per_node
    while rest > 0:
        domain = _next_domain(s, first, n, size, rest, sparing)
        taken = min(rest, s.domain_idle[domain] // size)
        take_of_domain(s, cell, domain, taken * size, taken * size * per_node)
        s.domain_idle[domain] -= taken * size
        rest -= taken


@kernel
def _pick_of_blocks(s: State, cell: int, size: int, rest: int, level: int, sparing: bool) -> None:
    """Pick slices block by block; slices within domains go to the domains of all these blocks together."""
    first, n = s.cell[cell].first_block, s.cell[cell].n_blocks
    wanted = rest
    for block in range(first, first + n):
        s.block_mark[block] = 0
    while rest > 0:
        block = _next_block(s, cell, rest, sparing)
        taken = min(rest, s.block_slices[block])
        s.block_mark[block] = 1
        s.block_slices[block] = 0
        rest -= taken
        if level == BLOCK_LEVEL:
            domain = s.block_first[block]
            _give_out(s, cell, domain, s.block_first[block + 1] - domain, 1, taken * size, True)
    if level == DOMAIN_LEVEL:
        _give_out(s, cell, s.cell[cell].first_domain, s.cell[cell].n_domains, size, wanted, sparing)
    for at in range(s.scalar[N_PICKS]):
        s.domain_idle[s.node[s.pick_node[at]].domain] += 1


@kernel
def _narrowest_domain(s: State, cell: int, size: int, slices: int) -> int:
    """Of the domains that hold all slices the one with the fewest, then the fewest idle nodes; -1 = none."""
    best, first = -1, s.cell[cell].first_domain
    for domain in range(first, first + s.cell[cell].n_domains):
        idle = s.domain_idle[domain]
        other = s.domain_idle[best] if best >= 0 else 0
        # fewer slices means fewer idle nodes, so that these alone decide
        if idle // size >= slices and (best < 0 or idle < other):
            best = domain
    return best


@kernel
def pick_slices(w: Rules, s: State, cls: int, cell: int, gpus: int) -> None:
    """Choose nodes for a job of slices that fits the cell."""
    size, slices = w.class_slice[cls] // s.cell[cell].per_node, gpus // w.class_slice[cls]
    sparing, level = w.class_wish[cls] == UNCONSTRAINED, w.class_slice_level[cls]
    s.scalar[N_PICKS] = 0
    domain = -1
    if w.class_level[cls] <= DOMAIN_LEVEL and not sparing:
        domain = _narrowest_domain(s, cell, size, slices)
    if domain >= 0:
        take_of_domain(s, cell, domain, slices * size, gpus)
    else:
        _count_blocks(s, cell, s.domain_idle, size, level)
        _pick_of_blocks(s, cell, size, slices, level, sparing)
    clear_picks(s)
