"""timeline.parquet: GPUs in service against a count second by second; exact sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import Small

from gpufleet.results.run import Run
from gpufleet.results.timeline import bin_edges, gpu_seconds, online_steps, write_timeline
from gpufleet.world.layout import DRAIN, KILL, UP, Capacity, Cells, Nodes, Tallies, World


def world_of(
    told: Small, sizes: list[int], cells: list[int], events: list[tuple[int, int, int, int]]
) -> World:
    """A fleet of three cells: a/x shared, a/y shared, a/x of tenant 1."""
    cell = np.array(sorted(cells), np.int32)
    nodes = Nodes(np.array(sizes, np.int32), cell, np.arange(len(sizes), dtype=np.int32))
    of = np.array([[0, 0, 0], [0, 1, 0], [-1, -1, 1]])
    any_ = np.zeros(3, np.int64)
    table = Cells(any_, any_, any_ + 8, product=of[1], site=of[0], tenant=of[2], island=any_)
    rows = np.array(sorted((*e, -1) for e in events), np.int64).reshape(-1, 5).T
    return told.built.world._replace(nodes=nodes, cells=table, capacity=Capacity(*rows))


N = 6
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 200), st.sampled_from([UP, DRAIN, KILL]), st.integers(0, N - 1), st.integers(1, N)
    ).map(lambda e: (e[0], e[1], e[2], min(e[3], N - e[2]))),
    max_size=12,
)


@given(
    st.lists(st.integers(1, 8), min_size=N, max_size=N),
    st.lists(st.integers(0, 2), min_size=N, max_size=N),
    EVENTS,
    st.integers(1, 70),
)
@settings(max_examples=60, deadline=None)
def test_gpus_online_are_exact(
    told: Small, sizes: list[int], cells: list[int], events: list[tuple[int, int, int, int]], grid: int
) -> None:
    world = world_of(told, sizes, cells, events)
    steps = online_steps(world)
    edges = np.append(np.arange(0, 250, grid), 250)
    up = np.zeros(N, bool)
    per_second = np.zeros((3, 250), np.int64)
    for t in range(250):
        for at, kind, first, n in sorted(events):
            if at == t:
                up[first : first + n] = kind == UP
        per_second[:, t] = np.bincount(world.nodes.cell, world.nodes.size * up, minlength=3)
    for cell in range(3):
        mine = (steps.product == world.cells.product[cell]) & (steps.tenant == world.cells.tenant[cell])
        got = gpu_seconds(steps.t_s[mine], steps.gpus[mine], edges)
        assert got.tolist() == np.add.reduceat(per_second[cell], edges[:-1]).tolist()


def test_a_fleet_without_cells_is_never_online(told: Small, tmp_path: Path) -> None:
    none = np.zeros(0, np.int64)
    empty = Cells(*[none] * len(Cells._fields))
    nodes = Nodes(*[none.astype(np.int32)] * 3)
    world = told.built.world._replace(cells=empty, nodes=nodes, capacity=Capacity(*[none] * 5))
    no = Tallies(
        told.tallies.busy * 0, told.tallies.waiting * 0, told.tallies.borrowing, told.tallies.sampled
    )
    assert write_timeline(tmp_path / "t.parquet", world, told.built.names, no, 0) == 0
    assert pl.read_parquet(tmp_path / "t.parquet").is_empty()


@pytest.mark.parametrize(
    ("end_s", "finish", "ended_s", "last"),
    [
        (100, 0, 100, [60, 100]),
        (100, 1, 90, [60, 120]),
        (120, 0, 120, [60, 120]),
        (120, 1, 130, [120, 180]),
        (900, 1, 70, [60, 120]),
        (180, 1, 0, [120, 180]),
    ],
)
def test_the_last_bin_is_cut_where_the_run_stops(
    told: Small, end_s: int, finish: int, ended_s: int, last: list[int]
) -> None:
    clock = told.built.world.clock._replace(end_s=end_s, finish=finish, grid_s=60)
    assert bin_edges(told.built.world._replace(clock=clock), ended_s)[-2:].tolist() == last


def test_online_by_bin_follows_the_deliveries(run: Run) -> None:
    online = run.timeline.filter(pl.col("kind") == "online")
    assert online["t_s"].to_list() == list(range(0, 86400, 60))
    assert set(online.filter(pl.col("t_s") < 43200)["gpu_s"]) == {16 * 60}
    assert set(online.filter(pl.col("t_s") >= 43200)["gpu_s"]) == {24 * 60}
    assert set(online["site"]) == {"lab"}


def test_busy_and_waiting_have_their_own_columns(run: Run) -> None:
    first = {
        kind: run.timeline.filter(pl.col("kind") == kind).row(0, named=True) for kind in ("busy", "waiting")
    }
    assert first["busy"] == {
        "t_s": 0, "kind": "busy", "tenant": "research", "queue": "research", "product": "P100-like",
        "site": None, "cause": None, "gpu_s": 480,
    }  # fmt: skip
    assert first["waiting"] == {
        "t_s": 60, "kind": "waiting", "tenant": "research", "queue": "research", "product": None,
        "site": None, "cause": "own_quota", "gpu_s": 440,
    }  # fmt: skip
