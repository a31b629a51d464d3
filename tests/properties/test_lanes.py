"""Lanes are sorted lists: every level of the skip list, in any order of coming and going."""

from __future__ import annotations

from bisect import insort
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracle.by_hand import make

from gpufleet.engine.memory import pack
from gpufleet.engine.order import insert, take_out
from gpufleet.engine.room import new_state
from gpufleet.engine.state import LEVELS, State

N_SLOTS = 48
WORLD = make([[8]], lanes=(((0, 1.0),), ((0, 1.0),)))
# Rows are job ids, of which the height of a tower is made: a span of them holds towers of every height.
SLOTS = st.integers(0, N_SLOTS - 1)
JOBS = st.tuples(SLOTS, st.integers(0, 3), st.integers(0, 100_000))  # slot, key, id


def level(state: State, lane: int, number: int) -> list[int]:
    found, i = [], int(state.lane_first[lane, number])
    while i >= 0:
        found.append(i)
        i = int(state.later[i, number])
    return found


def check(state: State, lane: int, model: list[tuple[float, int, int]]) -> None:
    slots = [slot for *_, slot in model]
    rows = [level(state, lane, number) for number in range(LEVELS)]
    assert rows[0] == slots
    assert state.lane.count[lane] == len(slots)
    for below, above in pairwise(rows):
        higher = set(above)
        assert [i for i in below if i in higher] == above
    for number, row in enumerate(rows):
        assert state.lane_last[lane, number] == (row[-1] if row else -1)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(JOBS, max_size=120))
def test_a_lane_is_a_sorted_list(steps: list[tuple[int, int, int]]) -> None:
    """A slot that is drawn while its job waits takes the job out; otherwise a job comes in it."""
    state = new_state(WORLD, n_slots=N_SLOTS)
    s: Any = pack(state)
    model: list[tuple[float, int, int]] = []
    other = [(0.0, 0, N_SLOTS - 1)]
    state.slot.id[N_SLOTS - 1] = 7
    insert(s, 1, N_SLOTS - 1)
    for slot, key, number in steps:
        here = [row for row in model if row[2] == slot]
        if slot == N_SLOTS - 1:
            continue
        if here:
            take_out(s, 0, slot)
            model.remove(here[0])
        elif all(row[:2] != (float(key), number) for row in model):
            state.slot.id[slot], state.slot.key[slot], state.slot.seq[slot] = number, float(key), number
            insert(s, 0, slot)
            insort(model, (float(key), number, slot))
        check(state, 0, model)
    check(state, 1, other)


def test_towers_of_every_height() -> None:
    state = new_state(WORLD, n_slots=1 << 15)
    s: Any = pack(state)
    n = len(state.slot)
    for i in range(n):
        state.slot.id[i], state.slot.seq[i] = i, i
        insert(s, 0, i)
    lengths = [len(level(state, 0, number)) for number in range(LEVELS)]
    assert lengths[0] == n
    for below, above in pairwise(lengths[:4]):
        assert 0 < above < below / 3
    for i in range(0, n, 3):
        take_out(s, 0, i)
    check(state, 0, [(0.0, i, i) for i in range(n) if i % 3])
