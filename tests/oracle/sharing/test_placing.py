"""Topology-aware placement on one small fleet, each row worked by hand."""

from __future__ import annotations

import pytest
from tests.oracle.sharing.placing import PREFERRED, REQUIRED, UNCONSTRAINED, Ask, Path, place

FREE: dict[Path, int] = {
    ("b1", "r1", "h1"): 3,
    ("b1", "r1", "h2"): 2,
    ("b1", "r2", "h3"): 4,
    ("b1", "r2", "h4"): 1,
    ("b2", "r3", "h5"): 4,
    ("b2", "r3", "h6"): 4,
    ("b2", "r4", "h7"): 2,
}
BLOCK, RACK, HOST = range(3)


def hosts(ask: Ask, free: dict[Path, int] = FREE) -> tuple[dict[str, int], str | None] | None:
    found = place({path: {"gpu": gpus} for path, gpus in free.items()}, ask)
    if found is None:
        return None
    return {path[-1]: pods for path, pods in found.pods.items()}, found.leader[-1] if found.leader else None


ROWS: list[tuple[str, Ask, dict[str, int] | None]] = [
    ("smallest rack that holds 5, by name", Ask(5, {"gpu": 1}, REQUIRED, RACK), {"h1": 3, "h2": 2}),
    ("only r3 holds 6", Ask(6, {"gpu": 1}, REQUIRED, RACK), {"h5": 4, "h6": 2}),
    ("no rack holds 9", Ask(9, {"gpu": 1}, REQUIRED, RACK), None),
    ("up to b1, hosts pooled", Ask(9, {"gpu": 1}, PREFERRED, RACK), {"h1": 3, "h2": 2, "h3": 4}),
    ("two blocks", Ask(12, {"gpu": 1}, PREFERRED, RACK), {"h1": 3, "h2": 1, "h5": 4, "h6": 4}),
    ("smallest hosts first", Ask(5, {"gpu": 1}), {"h2": 2, "h4": 1, "h7": 2}),
    ("first host from below that holds 3", Ask(3, {"gpu": 1}), {"h1": 3}),
    ("b2 has 2 slices of 4", Ask(8, {"gpu": 1}, REQUIRED, BLOCK, 4, HOST), {"h5": 4, "h6": 4}),
    (
        "below the slices' racks by ascending pods",
        Ask(6, {"gpu": 1}, REQUIRED, BLOCK, 3, RACK),
        {"h1": 1, "h2": 2, "h3": 2, "h4": 1},
    ),
    ("slices only", Ask(6, {"gpu": 1}, UNCONSTRAINED, None, 2, HOST), {"h1": 2, "h2": 2, "h3": 2}),
    ("more than there is", Ask(21, {"gpu": 1}), None),
    ("more than there is, preferred", Ask(21, {"gpu": 1}, PREFERRED, HOST), None),
    ("all there is", Ask(20, {"gpu": 1}, PREFERRED, HOST), {p[-1]: n for p, n in FREE.items()}),
    ("two GPUs per pod", Ask(3, {"gpu": 2}, REQUIRED, RACK), {"h5": 2, "h6": 1}),
]


@pytest.mark.parametrize(("why", "ask", "result"), ROWS, ids=[row[0] for row in ROWS])
def test_row(why: str, ask: Ask, result: dict[str, int] | None) -> None:
    found = hosts(ask)
    assert (found and found[0]) == result, why


def test_leader_beside_its_workers() -> None:
    # Beside the leader r1 holds 4, r2 4, r3 7: r1. In it h1 holds 2 beside the leader, and h2 the other 2.
    ask = Ask(4, {"gpu": 1}, REQUIRED, RACK, leader={"gpu": 1})
    assert hosts(ask) == ({"h1": 2, "h2": 2}, "h1")


def test_leader_where_the_total_can_afford_it() -> None:
    # 4 workers of 2 GPUs need every pair of GPUs: the leader on h1 (4 GPUs) would cost one pod, on h2 none.
    free: dict[Path, int] = {("r1", "h1"): 4, ("r1", "h2"): 5}
    assert hosts(Ask(4, {"gpu": 2}, REQUIRED, 0, leader={"gpu": 1}), free) == ({"h1": 2, "h2": 2}, "h2")


def test_no_place_for_the_leader() -> None:
    assert hosts(Ask(4, {"gpu": 1}, REQUIRED, RACK, leader={"gpu": 5})) is None
