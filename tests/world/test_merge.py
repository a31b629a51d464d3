from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.world.merge import Rows, cut, merged, no_rows

Lists = st.lists(st.lists(st.integers(0, 12), max_size=30), min_size=1, max_size=4)


def rows(submits: list[int], workload: int) -> Rows:
    n = len(submits)
    return no_rows()._replace(
        submit_s=np.array(submits, np.int64),
        gpus=np.ones(n, np.int32),
        work_s=np.zeros(n),
        cls=np.zeros(n, np.int32),
        limit_s=np.zeros(n, np.int64),
        priority=np.zeros(n, np.int32),
        workload=np.full(n, workload, np.int32),
        recorded=np.arange(n),
        user=np.zeros(n, np.int64),
    )


def chunks(whole: Rows, size: int) -> Iterator[Rows]:
    for at in range(0, len(whole.gpus), size):
        yield Rows._make(column[at : at + size] for column in whole)


@given(Lists, st.integers(1, 7), st.integers(1, 9))
def test_rows_come_by_time_then_workload_then_as_they_came(lists, chunk, size):
    sources = [rows(sorted(submits), i) for i, submits in enumerate(lists)]
    parts = list(cut(merged([chunks(source, chunk) for source in sources], len(lists)), size))
    found = [row for part in parts for row in zip(*(c.tolist() for c in part), strict=True)]
    expected = [row for source in sources for row in zip(*(c.tolist() for c in source), strict=True)]
    assert found == sorted(expected, key=lambda row: (row[0], row[6], row[7]))
    sizes = [len(part.gpus) for part in parts]
    assert all(n == size for n in sizes[:-1])
    assert all(0 < n <= size for n in sizes)
