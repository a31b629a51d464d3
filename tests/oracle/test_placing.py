"""Fit and placement, worked by hand: which nodes of a cell a job gets."""

from __future__ import annotations

import pytest
from tests.oracle.model import Cell, Node
from tests.oracle.placing import fits, place

from gpufleet.world.layout import BEST_FIT, CONSOLIDATE, DOMAIN_FIRST, SPREAD


def cell(*domains: int) -> Cell:
    """A cell of 8-GPU nodes in domains of the given numbers of nodes."""
    made = Cell(index=0, gpus_per_node=8, product=0, island=0)
    for domain, count in enumerate(domains):
        for _ in range(count):
            made.nodes.append(Node(len(made.nodes), 8, domain, made))
    return made


def view(*free: int) -> dict[int, int]:
    return dict(enumerate(free))


def test_a_part_bought_node_is_never_idle() -> None:
    assert not fits(view(7, 3), cell(2), 8)
    assert fits(view(8, 3), cell(2), 11)
    assert not fits(view(8, 3), cell(2), 12)


@pytest.mark.parametrize(
    ("rule", "gpus", "held"),
    [
        (CONSOLIDATE, 2, {0: 2}),  # fewest free that fit
        (SPREAD, 2, {1: 2}),  # most free
        (CONSOLIDATE, 10, {1: 8, 2: 2}),  # the remainder goes to the most free
        (BEST_FIT, 10, {1: 8, 0: 2}),  # ... to the fewest free that fit
        (SPREAD, 8, {1: 8}),
    ],
)
def test_where_the_remainder_goes(rule: int, gpus: int, held: dict[int, int]) -> None:
    assert place(view(3, 8, 8), cell(1, 2), gpus, rule) == held


@pytest.mark.parametrize(
    ("gpus", "nodes"),
    [
        (16, [3, 4]),  # the tightest domain that has two
        (12, [3, 4]),  # one whole node from the tightest, the remainder beside it
        (20, [3, 4, 0]),  # that domain is full: the remainder anywhere
        (24, [0, 1, 2]),
        (32, [0, 1, 2, 3]),  # no domain has four: all of the largest, then the tightest for the last
    ],
)
def test_domain_first(gpus: int, nodes: list[int]) -> None:
    idle = view(*[8] * 8)  # domains: nodes 0-2, 3-4, 5-7
    assert list(place(idle, cell(3, 2, 3), gpus, DOMAIN_FIRST)) == nodes


@pytest.mark.parametrize(("gpus", "nodes"), [(16, [0, 5]), (24, [0, 5, 1]), (32, [0, 5, 1, 3])])
def test_spread_takes_from_the_emptiest_domain_each_time(gpus: int, nodes: list[int]) -> None:
    # After 0 (tie of 3 and 3) and 5: two idle each, so 1, then domains 1 and 2 have two: 3.
    assert list(place(view(*[8] * 8), cell(3, 2, 3), gpus, SPREAD)) == nodes
