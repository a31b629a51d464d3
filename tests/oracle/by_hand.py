"""Worlds and jobs small enough to be worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpufleet.world.layout import (
    EXACT,
    FIFO,
    KILL_AT_LIMIT,
    NO_BACKFILL,
    SELECT_PLACEMENT,
    UP,
    Capacity,
    Cells,
    Classes,
    Clock,
    Jobs,
    Nodes,
    Options,
    Policy,
    Queues,
    World,
)

Lane = Sequence[tuple[int, float]]  # options of a queue's only class: (cell, speed)


def ints(values: Any) -> Any:
    return np.array(list(values), dtype=np.int64)


def small(values: Any) -> Any:
    return np.array(list(values), dtype=np.int32)


def policy(**changed: Any) -> Policy:
    """Strict FIFO without backfill and with best fit, unless said otherwise; `bands`: (GPUs up to, s)."""
    bands = changed.pop("bands", ())
    base = Policy(
        order=FIFO,
        strict=1,
        backfill=NO_BACKFILL,
        placement=1,
        interval_s=0,
        depth=1000,
        window_s=0,
        resolution_s=0,
        estimate=EXACT,
        factor=1.0,
        over_limit=KILL_AT_LIMIT,
        finish_lag_s=0,
        select=SELECT_PLACEMENT,
        overhead_gpus=ints(bound for bound, _ in bands),
        overhead_s=ints(seconds for _, seconds in bands),
    )
    return base._replace(**changed)


def make(
    cells: Sequence[Sequence[int]],
    *,
    changes: Sequence[tuple[int, int, int, int]] = (),
    lanes: Sequence[Lane] = (((0, 1.0),),),
    quota: Sequence[int] = (),
    clock: tuple[int, int, int] = (1000, 1, 1000),
    **rules: Any,
) -> World:
    """A world of cells of 8-GPU nodes, given by the nodes' sizes; all in one island, each its own product.

    changes: (t_s, kind, first_node, n_nodes); a node that no change brings up is up from 0.
    lanes: per queue the options of its one class. quota: per queue for every product, -1 without.
    clock: end_s, finish, grid_s.
    """
    sizes = [size for cell in cells for size in cell]
    of_cell = [i for i, cell in enumerate(cells) for _ in cell]
    later = {n for _, kind, first, count in changes if kind == UP for n in range(first, first + count)}
    rows = sorted([*changes, *((0, UP, n, 1) for n in range(len(sizes)) if n not in later)])
    n = len(cells)
    options = [option for lane in lanes for option in lane]
    counts = [len(lane) for lane in lanes]
    quotas = [[q] * n for q in (quota or [-1] * len(lanes))]
    return World(
        nodes=Nodes(small(sizes), small(of_cell), small(range(len(sizes)))),
        cells=Cells(
            first_node=ints(of_cell.index(i) for i in range(n)),
            n_nodes=ints(len(cell) for cell in cells),
            gpus_per_node=ints([8] * n),
            product=ints(range(n)),
            site=ints([0] * n),
            tenant=ints([-1] * n),
            island=ints([0] * n),
        ),
        capacity=Capacity(*(ints(column) for column in zip(*[(*row, -1) for row in rows], strict=True))),
        queues=Queues(ints(range(len(lanes))), ints([0] * len(lanes)), ints(quotas).reshape(len(lanes), n)),
        classes=Classes(ints(range(len(lanes))), ints(np.cumsum([0, *counts])[:-1]), ints(counts)),
        options=Options(ints(cell for cell, _ in options), np.array([speed for _, speed in options], float)),
        policy=policy(**rules),
        clock=Clock(*clock),
    )


def jobs(*rows: tuple[float, ...], cls: Sequence[int] = (), **columns: Sequence[int]) -> Jobs:
    """Jobs from (submit_s, gpus, work_s); more columns by name, else 0. The class is 0 unless given."""
    zero = [0] * len(rows)
    return Jobs(
        submit_s=ints(int(row[0]) for row in rows),
        gpus=small(int(row[1]) for row in rows),
        work_s=np.array([row[2] for row in rows], np.float64),
        cls=small(cls or zero),
        limit_s=ints(columns.get("limit_s", zero)),
        priority=small(columns.get("priority", zero)),
    )
