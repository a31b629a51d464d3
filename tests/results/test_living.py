"""What is known of jobs that are alive: each row comes back once, whatever came and went before."""

from __future__ import annotations

from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.results.living import NOTHING, NUMBERS, Living
from gpufleet.world.demand import Batch
from gpufleet.world.layout import Jobs

COLUMNS = (*NUMBERS, "recorded_start_s", "recorded_end_s", "name", "user")


def batch(first: int, n: int, *, bare: bool) -> Batch:
    """Jobs whose every value tells their number; bare ones have only what every job has."""
    ids = np.arange(first, first + n)
    small = ids.astype(np.int32)
    jobs = Jobs(ids, small + 1, ids / 4, small % 3, ids * 2, -small)
    known = [None if bare or i % 3 == 0 else i for i in ids.tolist()]
    table = {
        "workload": pl.Series(small % 2, dtype=pl.Int32),
        "name": pl.Series([None if i is None else f"j{i}" for i in known], dtype=pl.String),
        "user": pl.Series([None if i is None else f"u{i % 5}" for i in known], dtype=pl.String),
        "recorded_start_s": pl.Series([None if i is None else -i for i in known], dtype=pl.Int64),
        "recorded_end_s": pl.Series([None if i is None else i for i in known], dtype=pl.Int64),
    }
    return Batch(jobs, pl.DataFrame(table))


def plain(living: Living, ids: list[int]) -> list[tuple[object, ...]]:
    """The rows of some jobs as Python values; they are gone then."""
    taken = living.take(np.array(ids, np.int64))
    columns = [taken[name] for name in COLUMNS]
    lists = [[None] * len(ids) if column is None else column.tolist() for column in columns]
    return list(zip(*lists, strict=True))


def expected(i: int, *, bare: bool) -> tuple[object, ...]:
    numbers = (i, i + 1, i / 4, i % 3, 2 * i, -i, i % 2)
    return (
        (*numbers, None, None, None, None) if bare or i % 3 == 0 else (*numbers, -i, i, f"j{i}", f"u{i % 5}")
    )


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12))
@settings(max_examples=60, deadline=None)
def test_every_row_comes_back_once(seed: int, batches: list[tuple[int, bool]]) -> None:
    random, living, alive, bare_of = Random(seed), Living(), [], {}
    for n, bare in batches:
        first = living.next_id
        living.add(batch(first, n, bare=bare))
        alive += range(first, first + n)
        bare_of |= dict.fromkeys(range(first, first + n), bare)
        random.shuffle(alive)
        going, alive = alive[: len(alive) // 2], alive[len(alive) // 2 :]
        if random.random() < 0.3:
            living = Living.from_arrow(living.to_arrow(), living.next_id)
        assert plain(living, going) == [expected(i, bare=bare_of[i]) for i in going]
        assert living.n == len(alive)
    assert plain(living, alive) == [expected(i, bare=bare_of[i]) for i in alive]


def test_room_is_bounded_by_what_is_alive() -> None:
    living = Living()
    for at in range(0, 200_000, 1000):
        living.add(batch(at, 1000, bare=True))
        living.take(np.arange(at, at + 1000))
    assert len(living._gone) < 10_000
    assert "name" not in living._columns


@pytest.mark.parametrize("ids", [[5], [2, 7], [3]])
def test_a_job_that_is_not_alive_is_refused(ids: list[int]) -> None:
    living = Living()
    living.add(batch(0, 5, bare=True))
    living.take(np.array([3]))
    with pytest.raises(KeyError, match="not alive"):
        living.take(np.array(ids))


def test_times_that_are_not_known_are_null() -> None:
    living = Living()
    living.add(batch(0, 4, bare=False))
    assert living.take(np.arange(4))["recorded_start_s"].to_pylist() == [None, -1, -2, None]
    assert NOTHING < -(2**62)
