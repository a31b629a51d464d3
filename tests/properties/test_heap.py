"""The heap of ends gives them back in order."""

from __future__ import annotations

import heapq

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.engine.heap import SLOT_BITS, pop, push

PACKED = st.builds(lambda t, slot: (t << SLOT_BITS) | slot, st.integers(0, 20), st.integers(0, 5))
VALUES = PACKED | st.integers(0, (1 << 62) - 1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.none() | VALUES, max_size=80))
def test_it_is_a_heap(steps: list[int | None]) -> None:
    """Numbers are pushed; None pops one."""
    array, model = np.zeros(len(steps) + 1, np.int64), []
    for value in steps:
        if value is not None:
            push(array, len(model), value)
            heapq.heappush(model, value)
        elif model:
            assert pop(array, len(model)) == heapq.heappop(model)
        if model:
            assert array[0] == model[0]
    while model:
        assert pop(array, len(model)) == heapq.heappop(model)
