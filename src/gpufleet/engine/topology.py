"""Wishes for the topology: a job on one node, in one domain or block; and which nodes it gets there.

A wish counts whole nodes: a job of more than one node takes idle ones only, in the narrowest part of the cell
that holds it: among domains, or blocks, the one with the fewest idle nodes that suffice. A preferred level
that holds it nowhere gives way to the next wider one.
"""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.place import clear_picks, fewest_idle, pick, pick_by
from gpufleet.engine.slices import pick_slices, slices_fit, take_of_domain
from gpufleet.engine.state import N_PICKS, State
from gpufleet.world.layout import (
    BEST_FIT,
    BLOCK_LEVEL,
    DOMAIN_LEVEL,
    NO_WISH,
    NODE_LEVEL,
    REQUIRED,
    UNCONSTRAINED,
)


@kernel
def nodes_for(s: State, cell: int, gpus: int) -> int:
    """Nodes that a job takes."""
    return int(-(-gpus // s.cell[cell].per_node))


@kernel
def _holds_level(s: State, cell: int, gpus: int, level: int) -> bool:
    """Whether some node, domain or block of the cell, all idle, holds the job."""
    nodes = nodes_for(s, cell, gpus)
    if level == NODE_LEVEL:
        return nodes <= 1
    if level == DOMAIN_LEVEL:
        return bool(nodes <= max(1, s.cell[cell].most_of_domain))
    if level == BLOCK_LEVEL:
        return bool(nodes <= max(1, s.cell[cell].most_of_block))
    return True


@kernel
def may_hold(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    """Whether the cell, with all its nodes idle, holds a job as its class requires."""
    if w.class_slice[cls] > 0:
        return slices_fit(w, s, cls, cell, gpus, s.domain_whole)
    return w.class_wish[cls] != REQUIRED or _holds_level(s, cell, gpus, w.class_level[cls])


@kernel
def _block_with(s: State, cell: int, least: int) -> int:
    """The block of the cell with the fewest idle nodes from ``least`` up; lowest; -1 = none."""
    best, first = -1, s.cell[cell].first_block
    for block in range(first, first + s.cell[cell].n_blocks):
        idle = s.block_idle[block]
        if idle >= least and (best < 0 or idle < s.block_idle[best]):
            best = block
    return best


@kernel
def _most_in_domain(s: State, cell: int) -> int:
    """Most idle nodes in one domain of the cell."""
    for idle in range(s.n_domain.shape[1] - 1, 0, -1):
        if s.n_domain[cell, idle] > 0:
            return idle
    return 0


@kernel
def has_place(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    """Whether a job that fits the cell fits as its class requires."""
    if w.class_slice[cls] > 0:
        return slices_fit(w, s, cls, cell, gpus, s.domain_idle)
    if w.class_wish[cls] != REQUIRED:
        return True
    nodes, level = nodes_for(s, cell, gpus), w.class_level[cls]
    if nodes <= 1:
        return True
    if level == NODE_LEVEL:
        return False
    if level == DOMAIN_LEVEL:
        return _most_in_domain(s, cell) >= nodes
    if level == BLOCK_LEVEL:
        return _block_with(s, cell, nodes) >= 0
    return bool(s.n_free[cell, s.cell[cell].per_node] >= nodes)


@kernel
def _choose_blocks(s: State, cell: int, nodes: int) -> None:
    """Mark blocks that hold the job together: most idle nodes first, the last as narrow as may be."""
    first, n = s.cell[cell].first_block, s.cell[cell].n_blocks
    for block in range(first, first + n):
        s.block_mark[block] = 0
    while nodes > 0:
        best = -1
        for block in range(first, first + n):
            if s.block_mark[block] == 0 and (best < 0 or _is_better_block(s, block, best, nodes)):
                best = block
        s.block_mark[best] = 1
        nodes -= s.block_idle[best]


@kernel
def _is_better_block(s: State, block: int, best: int, nodes: int) -> bool:
    """Whether to take a block rather than one before it: the narrowest that holds all, else the widest."""
    idle, other = s.block_idle[block], s.block_idle[best]
    if other >= nodes:
        return bool(nodes <= idle < other)
    return bool(idle > other)


@kernel
def _domain_of_marked(s: State, first: int, n: int, nodes: int) -> int:
    """Of the domains in marked blocks, the narrowest that holds the nodes, else the widest; lowest."""
    best = -1
    for domain in range(first, first + n):
        idle = s.domain_idle[domain]
        if s.block_mark[s.domain_block[domain]] == 0 or idle == 0:
            continue
        other = s.domain_idle[best] if best >= 0 else 0
        narrower = nodes <= idle < other
        if best < 0 or narrower or (other < nodes and idle > other):
            best = domain
    return best


@kernel
def _pick_across(s: State, cell: int, gpus: int, first: int, n: int) -> None:
    """Pick from ``n`` domains in marked blocks: most idle nodes first, the rest where it fits best.

    The domains' counts are lowered while choosing, and put back.
    """
    while gpus > 0:
        nodes = nodes_for(s, cell, gpus)
        domain = _domain_of_marked(s, first, n, nodes)
        taken = min(nodes, s.domain_idle[domain])
        gpus = take_of_domain(s, cell, domain, taken, gpus)
        s.domain_idle[domain] -= taken
    for at in range(s.scalar[N_PICKS]):
        s.domain_idle[s.node[s.pick_node[at]].domain] += 1


@kernel
def pick_wish(w: Rules, s: State, cls: int, cell: int, gpus: int) -> None:
    """Choose nodes for a job that fits the cell, by its class's wish or else by the policy's placement."""
    nodes, level = nodes_for(s, cell, gpus), w.class_level[cls]
    idle = s.n_free[cell, s.cell[cell].per_node]
    if w.class_slice[cls] > 0:
        pick_slices(w, s, cls, cell, gpus)
        return
    if w.class_wish[cls] == UNCONSTRAINED:
        pick_by(w, s, cell, gpus, BEST_FIT)
        return
    if w.class_wish[cls] == NO_WISH or nodes <= 1 or idle < nodes:
        pick(w, s, cell, gpus)
        return
    s.scalar[N_PICKS] = 0
    domain, block = -1, -1
    if level <= DOMAIN_LEVEL:
        domain = fewest_idle(s, cell, nodes)
    if domain < 0 and level <= BLOCK_LEVEL:
        block = _block_with(s, cell, nodes)
    if domain >= 0:
        take_of_domain(s, cell, domain, nodes, gpus)
    elif block >= 0:
        s.block_mark[block] = 1
        _pick_across(s, cell, gpus, s.block_first[block], s.block_first[block + 1] - s.block_first[block])
    else:
        _choose_blocks(s, cell, nodes)
        _pick_across(s, cell, gpus, s.cell[cell].first_domain, s.cell[cell].n_domains)
    clear_picks(s)
