"""Own orders and placements: the engine agrees with the oracle, which calls the user's function itself."""

from __future__ import annotations

import os
from random import Random
from typing import Final

import pytest
from tests.oracle.compare import differences
from tests.oracle.lending_worlds import lending_world
from tests.oracle.own import ORDERS, PLACEMENTS, with_own
from tests.oracle.test_worlds import RULES
from tests.oracle.worlds import random_world

from gpufleet.engine.run import simulate
from gpufleet.world.layout import NO_BACKFILL, SRTF, TAKE_DOMAIN, TAKE_NODE, Jobs, World

WORLDS: Final = int(os.environ.get("GPUFLEET_WORLDS", "200"))
PARTS: Final = 4


def own_world(seed: int) -> tuple[World, Jobs]:
    """A world of the seed with an own order, an own placement, or both."""
    random = Random(seed)
    order, placement = random.choice((None, *ORDERS)), random.choice((None, *PLACEMENTS))
    rules = random.choice(RULES)
    if rules[0] == SRTF:
        order = None
    world, jobs = lending_world(seed) if random.random() < 0.3 else random_world(seed, *rules)
    return with_own(world, order, placement, random.randrange(2)), jobs


@pytest.mark.parametrize("part", range(PARTS))
def test_the_engine_agrees_with_the_oracle(part: int) -> None:
    for seed in range(part, WORLDS, PARTS):
        found = differences(*own_world(seed), debug=seed % 5 == 0)
        assert not found, (seed, found[:20])


SAME_ORDERS: Final = ("fifo", "priority", "sjf")
SAME_PLACEMENTS: Final = ("consolidate", "best_fit", "spread", "domain_first")


@pytest.mark.parametrize("number", range(4))
def test_the_built_in_placements_as_own_ones(number: int) -> None:
    take = TAKE_NODE if SAME_PLACEMENTS[number] == "spread" else TAKE_DOMAIN
    for seed in range(40):
        rules = RULES[(7 * seed) % len(RULES)]
        world, jobs = lending_world(seed) if seed % 4 == 0 else random_world(seed, *rules)
        world = world._replace(policy=world.policy._replace(placement=number))
        built_in, own = (
            simulate(world, jobs),
            simulate(with_own(world, None, SAME_PLACEMENTS[number], take), jobs),
        )
        assert_same(built_in, own, seed)


@pytest.mark.parametrize("number", range(3))
def test_the_built_in_orders_as_own_ones(number: int) -> None:
    for seed in range(40):
        _, backfill, placement, strict = RULES[(7 * seed) % len(RULES)]
        world, jobs = random_world(seed, number, backfill, placement, strict)
        if seed % 4 == 0 and number < 2:
            world, jobs = lending_world(seed)
            world = world._replace(policy=world.policy._replace(order=number, backfill=NO_BACKFILL))
        built_in, own = simulate(world, jobs), simulate(with_own(world, SAME_ORDERS[number], None), jobs)
        assert_same(built_in, own, seed)


def assert_same(a: object, b: object, seed: int) -> None:
    """All that two runs give back."""
    for name in ("outcomes", "tallies"):
        for field, x, y in zip(getattr(a, name)._fields, getattr(a, name), getattr(b, name), strict=True):
            assert (x == y).all(), (seed, name, field)
