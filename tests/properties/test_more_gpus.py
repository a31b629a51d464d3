"""More GPUs delay no start: with one queue, one product, strict FIFO, whole GPUs by count (nodes of one
GPU), and neither preemption nor failures.

Under any other rule they may: test_anomalies.py has an example of each.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracle.by_hand import ints, jobs, make

from gpufleet.engine.run import simulate
from gpufleet.world.layout import UP, World

ROWS = st.lists(
    st.tuples(
        st.integers(0, 60), st.integers(1, 1 << 20), st.integers(0, 40), st.sampled_from([0, 0, 5, 20])
    ),
    min_size=1,
    max_size=40,
)


def fleet(n_early: int, n_late: int, late_s: int, interval_s: int) -> World:
    """Nodes of one GPU: some there from the start, some that come later."""
    changes = [(late_s, UP, n_early + i, 1) for i in range(n_late)]
    world = make([[1] * (n_early + n_late)], changes=changes, interval_s=interval_s)
    return world._replace(cells=world.cells._replace(gpus_per_node=ints([1])))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    ROWS,
    st.integers(1, 12),
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(1, 60),
    st.sampled_from([0, 0, 7]),
)
def test_no_start_is_later(
    rows: list[tuple[int, int, int, int]], early: int, more: int, late: int, late_s: int, interval_s: int
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    # no job is larger than the small fleet: one refused for ever there would take GPUs in the large one
    table = [(submit, 1 + size % early, work) for submit, size, work, _ in rows]
    load = jobs(*table, limit_s=[limit for *_, limit in rows])
    small, large = (simulate(fleet(n, late, late_s, interval_s), load) for n in (early, early + more))
    assert (small.outcomes.start_s >= 0).all()
    assert (large.outcomes.start_s <= small.outcomes.start_s).all()
    assert (np.diff(large.outcomes.start_s) >= 0).all()
