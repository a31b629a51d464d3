"""How the free GPUs lie together: looked at once per bin of the timeline, at its end.

Whoever asks for a whole domain finds none where every one of them has a job, however many GPUs are free. The
counts are taken from what placement keeps; domains that it does not count are counted here, node by node.
"""

from __future__ import annotations

from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.state import N_SAMPLED, State
from gpufleet.world.layout import (
    FREE_GPUS,
    LARGEST_BLOCK,
    LARGEST_DOMAIN,
    LARGEST_NODE,
    WHOLE_BLOCK,
    WHOLE_DOMAIN,
    WHOLE_NODE,
)


@entry
def take_samples(w: Rules, s: State, until: int) -> None:
    """Look at the free GPUs for each bin that ends by ``until`` and was not looked at yet."""
    first = s.scalar[N_SAMPLED]
    n = min(until // w.grid_s, s.sampled.shape[2])
    if n <= first:
        return
    for cell in range(len(s.cell)):
        _sample_nodes(s, cell, first)
        _sample_blocks(w, s, cell, first)
    for product in range(s.sampled.shape[0]):  # nothing has changed between these bins
        for column in range(s.sampled.shape[1]):
            for at in range(first + 1, n):
                s.sampled[product, column, at] = s.sampled[product, column, first]
    s.scalar[N_SAMPLED] = n


@kernel
def _sample_nodes(s: State, cell: int, at: int) -> None:
    row = s.cell[cell]
    table, per_node = s.sampled[row.product], row.per_node
    table[FREE_GPUS, at] += row.free
    table[WHOLE_NODE, at] += s.n_free[cell, per_node] * per_node
    for free in range(1, per_node + 1):
        if s.n_free[cell, free] > 0:
            table[LARGEST_NODE, at] = max(table[LARGEST_NODE, at], free)


@kernel
def _idle_nodes(w: Rules, s: State, domain: int, per_node: int) -> int:
    """Idle nodes of a domain."""
    if w.by_domain:
        return int(s.domain_idle[domain])
    count, first = 0, s.domain_first[domain]
    for n in range(first, first + s.domain_n[domain]):
        count += s.node[n].online and s.node[n].free == per_node
    return count


@kernel
def _sample_loose_nodes(s: State, cell: int, at: int) -> None:
    """As `_sample_blocks`, of a cell in one block whose nodes are domains each: no node need be looked at."""
    row = s.cell[cell]
    table, idle = s.sampled[row.product], s.n_free[cell, row.per_node]
    table[WHOLE_DOMAIN, at] += idle * row.per_node
    if idle > 0:
        table[LARGEST_DOMAIN, at] = max(table[LARGEST_DOMAIN, at], row.per_node)
    if idle == row.most_of_block:
        table[WHOLE_BLOCK, at] += idle * row.per_node
    table[LARGEST_BLOCK, at] = max(table[LARGEST_BLOCK, at], idle * row.per_node)


@kernel
def _sample_blocks(w: Rules, s: State, cell: int, at: int) -> None:
    row = s.cell[cell]
    if row.n_blocks == 1 and row.n_domains == row.n_nodes:
        _sample_loose_nodes(s, cell, at)
        return
    table, per_node = s.sampled[row.product], row.per_node
    for block in range(row.first_block, row.first_block + row.n_blocks):
        idle_of_block, whole_of_block = 0, 0
        for domain in range(s.block_first[block], s.block_first[block + 1]):
            idle, whole = _idle_nodes(w, s, domain, per_node), s.domain_whole[domain]
            idle_of_block += idle
            whole_of_block += whole
            if idle == whole:
                table[WHOLE_DOMAIN, at] += idle * per_node
            table[LARGEST_DOMAIN, at] = max(table[LARGEST_DOMAIN, at], idle * per_node)
        if idle_of_block == whole_of_block:
            table[WHOLE_BLOCK, at] += idle_of_block * per_node
        table[LARGEST_BLOCK, at] = max(table[LARGEST_BLOCK, at], idle_of_block * per_node)
