"""How the free GPUs lie together, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from tests.oracle.by_hand import ints, jobs, make, small

from gpufleet.engine.run import simulate
from gpufleet.results.fragmentation import levels_of, write_fragmentation
from gpufleet.world.layout import SPREAD, World
from gpufleet.world.names import Names

NAMES = Names(("chip", "card"), ("lab",), ("a",), ("q",), ("w",), ("lot",), ())


def racks(placement: int = SPREAD) -> World:
    """Two racks of three nodes of 8 GPUs, and a single node of another product with 4 of its 8."""
    world = make([[8] * 6, [4]], clock=(250, 0, 100), placement=placement)
    return world._replace(nodes=world.nodes._replace(domain=small([0, 0, 0, 1, 1, 1, 2])))


def rows(tmp_path: Path, world: World, load: object) -> pl.DataFrame:
    result = simulate(world, load)  # type: ignore[arg-type]
    path = tmp_path / "fragmentation.parquet"
    assert write_fragmentation(path, world, NAMES, result.tallies, result.end_s) == 9
    return pl.read_parquet(path)


def test_the_state_before_the_border_counts(tmp_path: Path) -> None:
    # 40 s: the second ends; 100 s, a bin's border: 2 GPUs of a node are taken; 150 s: the first ends
    frame = rows(tmp_path, racks(), jobs((0, 8, 150), (0, 8, 40), (100, 2, 500)))
    chip = frame.filter(pl.col("product") == "chip").select(pl.exclude("product"))
    assert chip.rows() == [
        # before the border at 100 s only the first job runs; then until 200 s, and at the plan's end
        (0, "node", 40, 40, 8),
        (100, "node", 46, 40, 8),
        (200, "node", 46, 40, 8),
        (0, "domain", 40, 24, 24),
        (100, "domain", 46, 24, 24),
        (200, "domain", 46, 24, 24),
    ]


def test_what_was_bought_in_part_is_free_and_never_idle(tmp_path: Path) -> None:
    frame = rows(tmp_path, racks(), jobs((0, 8, 10)))
    assert frame.filter(pl.col("product") == "card").rows() == [
        (t, "card", "node", 4, 0, 4) for t in (0, 100, 200)
    ]


def test_placement_that_packs_keeps_racks_idle(tmp_path: Path) -> None:
    load = jobs((0, 16, 300))  # one node in each rack, or both in the first
    spread, packed = (rows(tmp_path, racks(rule), load).filter(level="domain") for rule in (SPREAD, 1))
    assert spread["whole_gpus"].to_list() == [0, 0, 0]
    assert packed["whole_gpus"].to_list() == [24, 24, 24]


def test_levels_of_one_part_each_are_none() -> None:
    world = racks()
    assert [level.name for level in levels_of(world, 0)] == ["node", "domain"]
    assert [level.name for level in levels_of(world, 1)] == ["node"]
    gone = world._replace(cells=world.cells._replace(product=ints([0, 0])))
    assert levels_of(gone, 1) == ()


def test_time_that_nothing_happens_in_counts(tmp_path: Path) -> None:
    """A run of many bins with one event: the state stays."""
    world = racks()._replace(clock=racks().clock._replace(end_s=2_000))
    sampled = simulate(world, jobs((950, 1, 10))).tallies.sampled
    assert sampled[0, 0].tolist() == [48] * 9 + [48] * 11
    assert np.array_equal(sampled[:, :, :1].repeat(20, axis=2), sampled)
