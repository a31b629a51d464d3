"""Writes fragmentation.parquet: how the free GPUs lie together, by level, product and bin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import SmallInts
from gpufleet.results.columns import FRAGMENTATION
from gpufleet.results.parquet import TableWriter, words
from gpufleet.results.timeline import bin_edges
from gpufleet.world.layout import (
    FREE_GPUS,
    LARGEST_BLOCK,
    LARGEST_DOMAIN,
    LARGEST_NODE,
    WHOLE_BLOCK,
    WHOLE_DOMAIN,
    WHOLE_NODE,
    Tallies,
    World,
)

if TYPE_CHECKING:
    from gpufleet.world.names import Names


class Level(NamedTuple):
    """A level of the topology, and where its samples are."""

    name: str
    whole: int
    largest: int


LEVELS: Final = (
    Level("node", WHOLE_NODE, LARGEST_NODE),
    Level("domain", WHOLE_DOMAIN, LARGEST_DOMAIN),
    Level("block", WHOLE_BLOCK, LARGEST_BLOCK),
)


def write_fragmentation(path: Path, world: World, names: Names, tallies: Tallies, end_s: int) -> int:
    """Write fragmentation.parquet, one product and level after the other.

    Args:    tallies: of the engine; end_s: when the run ended.
    Returns: rows written.
    """
    starts = bin_edges(world, end_s)[:-1]
    with TableWriter(path, FRAGMENTATION) as writer:
        for product in range(len(names.products)):
            samples = tallies.sampled[product, :, : starts.size]
            for level in levels_of(world, product):
                writer.write({
                    "t_s": starts,
                    "product": words(np.full(starts.size, product, np.int64), names.products),
                    "level": words(np.zeros(starts.size, np.int64), (level.name,)),
                    "free_gpus": samples[FREE_GPUS],
                    "whole_gpus": samples[level.whole],
                    "largest_gpus": samples[level.largest],
                })  # fmt: skip
        return writer.rows


def levels_of(world: World, product: int) -> tuple[Level, ...]:
    """The levels that a product has: nodes, domains of several nodes, blocks of several domains."""
    mine = np.flatnonzero(world.cells.product[world.nodes.cell] == product)
    if not mine.size:
        return ()
    domains, nodes = np.unique(world.nodes.domain[mine], return_counts=True)
    has: list[bool] = [True, bool((nodes > 1).any()), _has_blocks(world, domains)]
    return tuple(level for level, there in zip(LEVELS, has, strict=True) if there)


def _has_blocks(world: World, domains: SmallInts) -> bool:
    """Whether one block has several of these domains; without shared quotas no block is known."""
    if world.shared is None:
        return False
    every = np.unique(world.nodes.domain)
    block = world.shared.domain_block[np.searchsorted(every, domains)]
    return bool((np.unique(block, return_counts=True)[1] > 1).any())
