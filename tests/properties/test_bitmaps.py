"""The sets of free nodes are sets: of any size, in any order of adding and removing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.engine.sets import add, following, lay_out, lowest, remove

SIZES = st.sampled_from([1, 2, 63, 64, 65, 4_095, 4_096, 4_097, 262_144, 262_145, 600_000])


@st.composite
def changes(draw: st.DrawFn) -> tuple[int, list[tuple[bool, int]]]:
    """A size, and members that come and go; many of them at the edges of words."""
    size = draw(SIZES)
    edges = {0, 1, 63, 64, 65, 4_095, 4_096, 262_143, 262_144, size - 2, size - 1}
    members = st.sampled_from(sorted(i for i in edges if 0 <= i < size)) | st.integers(0, size - 1)
    return size, draw(st.lists(st.tuples(st.booleans(), members), max_size=60))


def walk(words: np.ndarray, where: np.ndarray, row: int) -> list[int]:
    found, i = [], lowest(words, where, row)
    while i >= 0:
        found.append(i)
        i = following(words, where, row, i)
    return found


@settings(max_examples=200, deadline=None, derandomize=True)
@given(changes(), st.data())
def test_a_bitmap_is_a_set(case: tuple[int, list[tuple[bool, int]]], data: st.DataObject) -> None:
    size, steps = case
    where, words = lay_out([size, size, size])  # neighbours in the same words array stay as they are
    add(words, where, 0, size - 1)
    add(words, where, 2, 0)
    members: set[int] = set()
    for comes, i in steps:
        (add if comes else remove)(words, where, 1, i)
        (members.add if comes else members.discard)(i)
    assert walk(words, where, 1) == sorted(members)
    probe = data.draw(st.integers(0, size - 1))
    assert following(words, where, 1, probe) == min((i for i in members if i > probe), default=-1)
    assert (walk(words, where, 0), walk(words, where, 2)) == ([size - 1], [0])


def test_a_full_set() -> None:
    where, words = lay_out([4_100])
    for i in range(4_100):
        add(words, where, 0, i)
    assert walk(words, where, 0) == list(range(4_100))
    for i in range(4_100):
        assert lowest(words, where, 0) == i
        remove(words, where, 0, i)
    assert lowest(words, where, 0) == -1
    assert not words.any()
