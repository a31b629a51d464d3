"""Small random worlds and jobs, built without the plan language, in which events collide often.

A world is drawn as one seed and built with a seeded `random.Random`: drawing every number through Hypothesis
would cost more than simulating it. The number of jobs is drawn on its own, so that failures still shrink, and
the first n jobs of a seed are the same whatever n is.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tests.oracle.extras import with_extras
from tests.oracle.set_worlds import node_sets

from gpufleet.world.layout import (
    DRAIN,
    EXACT,
    FACTOR,
    KILL,
    KILL_AT_LIMIT,
    NO_BACKFILL,
    NO_ESTIMATE,
    RUN_ON,
    SRTF,
    UNKNOWN_S,
    UP,
    Capacity,
    Cells,
    Classes,
    Clock,
    Failures,
    Jobs,
    Nodes,
    Options,
    Policy,
    Queues,
    Restarts,
    World,
)

MAX_JOBS = 40
SPEEDS = (1.0, 1.0, 1.0, 2.0, 0.5, 3.0, 0.55)


def worlds(order: int, backfill: int, placement: int, strict: int) -> st.SearchStrategy[tuple[World, Jobs]]:
    """Worlds of one policy, with their jobs, most with limits or dependencies.

    SRTF takes no backfill, whatever is asked.
    """
    rules = (order, backfill, placement, strict)
    seeds = st.integers(0, 2**32 - 1)
    counts = st.integers(1, MAX_JOBS)
    return st.builds(lambda seed, n: with_extras(*world_of(seed, n, rules), seed), seeds, counts)


def random_world(seed: int, order: int, backfill: int, placement: int, strict: int) -> tuple[World, Jobs]:
    """The world of a seed, with 1 to 40 jobs."""
    return world_of(seed, 1 + Random(seed).randrange(MAX_JOBS), (order, backfill, placement, strict))


def world_of(
    seed: int, n_jobs: int, rules: tuple[int, int, int, int], *, sets: bool = True
) -> tuple[World, Jobs]:
    """The world of a seed with the first so many of its jobs; rules: order, backfill, placement, strict.

    Without ``sets`` every job may take every node.
    """
    random = Random(seed)
    n_queues, n_products = random.randint(1, 3), random.randint(1, 2)
    nodes, cells = _fleet(random, n_products)
    clock = Clock(
        end_s=random.choice((50, 100, 200, 200)),
        finish=random.randint(0, 1),
        grid_s=random.choice((7, 60, 3600)),
    )
    capacity = _capacity(random, len(nodes["size"]), cells, clock.end_s)
    classes, options = _classes(random, n_queues, len(cells["gpus_per_node"]))
    queue_island, cells["island"] = _islands(n_queues, len(cells["gpus_per_node"]), classes, options)
    quota = [[_quota(random) for _ in range(n_products)] for _ in range(n_queues)]
    world = World(
        nodes=Nodes(*(_small(nodes[name]) for name in Nodes._fields)),
        cells=Cells(*(_ints(cells[name]) for name in Cells._fields)),
        capacity=capacity,
        queues=Queues(
            _ints(range(n_queues)), _ints(queue_island), _ints(quota).reshape(n_queues, n_products)
        ),
        classes=Classes(*(_ints(classes[name]) for name in Classes._fields)),
        options=Options(_ints(options["cell"]), np.array(options["speed"], np.float64)),
        policy=_policy(random, *rules),
        clock=clock,
        restarts=restarts_of(seed, len(classes["queue"])) if seed % 2 else None,
        failures=failures_of(seed, len(nodes["size"]), clock.end_s),
    )
    if sets:
        world = world._replace(node_sets=node_sets(Random(f"sets {seed}"), world))
    return world, _jobs(random, n_jobs, len(classes["queue"]), world)


def restarts_of(seed: int, n_classes: int) -> Restarts:
    """Classes that lose nothing, something, or all of an attempt that is cut short."""
    random = Random(f"restarts of {seed}")
    return Restarts(
        _ints(random.choice((0, 3, 10, UNKNOWN_S)) for _ in range(n_classes)),
        _ints(random.choice((0, 0, 2)) for _ in range(n_classes)),
    )


def failures_of(seed: int, n_nodes: int, end_s: int) -> Failures | None:
    """Two worlds of five have nodes that fail, some of them again before they are repaired."""
    random = Random(f"failures of {seed}")
    if random.random() < 0.6:
        return None
    rows = set()
    for _ in range(random.choice((1, 2, 4, 8))):
        t = random.choice((random.randrange(end_s + 10), 5 * random.randrange(1, end_s // 5)))
        rows.add((t, random.randrange(n_nodes), random.choice((1, 5, 10, 30, 1000))))
    once = {row[:2]: row for row in sorted(rows)}
    return Failures(*(_ints(column) for column in zip(*sorted(once.values()), strict=True)))


def _ints(values: Any) -> Any:
    return np.array(list(values), dtype=np.int64)


def _small(values: Any) -> Any:
    return np.array(list(values), dtype=np.int32)


def _fleet(random: Random, n_products: int) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    nodes: dict[str, list[int]] = {"size": [], "cell": [], "domain": []}
    cells: dict[str, list[int]] = {name: [] for name in Cells._fields}
    domain = 0
    for cell in range(random.randint(1, 3)):
        whole = random.choice((1, 2, 4, 8))
        n_nodes = random.randint(1, 8)
        per_domain = random.randint(1, 4)
        row = (len(nodes["size"]), n_nodes, whole, random.randrange(n_products), random.randrange(2), -1, -1)
        for name, value in zip(Cells._fields, row, strict=True):
            cells[name].append(value)
        for i in range(n_nodes):
            domain += 1 if i > 0 and i % per_domain == 0 else 0
            nodes["size"].append(random.randint(1, whole) if random.random() < 0.15 else whole)
            nodes["cell"].append(cell)
            nodes["domain"].append(domain)
        domain += 1
    return nodes, cells


def _capacity(random: Random, n_nodes: int, cells: dict[str, list[int]], end_s: int) -> Capacity:
    """Most nodes come at 0; then a few changes, each of some nodes of one cell, no-ops among them."""
    rows: list[tuple[int, int, int, int, int]] = []
    lot = 0
    for first, count in zip(cells["first_node"], cells["n_nodes"], strict=True):
        at_start = count if random.random() < 0.6 else random.randint(0, count)
        for begins, size, t in (
            (first, at_start, 0),
            (first + at_start, count - at_start, random.randrange(1, end_s + 20)),
        ):
            if size:
                rows.append((t, UP, begins, size, lot))
                lot += 1
    # A third of the fleets do not change any more: the other rules then show without disturbance.
    for _ in range(random.choice((0, 1, 1, 2, 4, 6))):
        cell = random.randrange(len(cells["first_node"]))
        begins = random.randrange(cells["n_nodes"][cell])
        count = random.randint(1, min(3, cells["n_nodes"][cell] - begins))
        t = random.choice(
            (random.randrange(1, end_s), random.randrange(0, 40), 10 * random.randrange(1, end_s // 10))
        )
        rows.append((t, random.choice((UP, DRAIN, KILL)), cells["first_node"][cell] + begins, count, -1))
    rows.sort()
    return Capacity(*(_ints(column) for column in zip(*rows, strict=True)))


def _classes(
    random: Random, n_queues: int, n_cells: int
) -> tuple[dict[str, list[int]], dict[str, list[Any]]]:
    classes: dict[str, list[int]] = {"queue": [], "first_option": [], "n_options": []}
    options: dict[str, list[Any]] = {"cell": [], "speed": []}
    seen = set()
    for queue in range(n_queues):
        for _ in range(random.randint(1, 3)):
            count = 0 if random.random() < 0.03 else random.randint(1, n_cells)
            chosen = tuple((cell, random.choice(SPEEDS)) for cell in random.sample(range(n_cells), count))
            if (queue, chosen) in seen:  # no two classes are alike
                continue
            seen.add((queue, chosen))
            classes["queue"].append(queue)
            classes["first_option"].append(len(options["cell"]))
            classes["n_options"].append(count)
            options["cell"] += [cell for cell, _ in chosen]
            options["speed"] += [speed for _, speed in chosen]
    return classes, options


def _islands(
    n_queues: int, n_cells: int, classes: dict[str, list[int]], options: dict[str, list[Any]]
) -> tuple[list[int], list[int]]:
    """Islands of queues and of cells: parts joined by common cells, numbered in the order of their queues."""
    uses: list[set[int]] = [set() for _ in range(n_queues)]
    for queue, first, count in zip(
        classes["queue"], classes["first_option"], classes["n_options"], strict=True
    ):
        uses[queue].update(options["cell"][first : first + count])
    queue_island, cell_island = [-1] * n_queues, [-1] * n_cells
    island = 0
    for queue in range(n_queues):
        if queue_island[queue] >= 0 or not uses[queue]:
            continue
        reached = set(uses[queue])
        for _ in range(n_queues):  # each round reaches at least one queue more, or nothing changes
            reached |= {c for use in uses if use & reached for c in use}
        for other in range(n_queues):
            if uses[other] & reached:
                queue_island[other] = island
        for cell in reached:
            cell_island[cell] = island
        island += 1
    return queue_island, cell_island


def _quota(random: Random) -> int:
    return random.choice((-1, -1, -1, -1, random.randint(0, 4), random.randint(4, 16), random.randint(8, 40)))


def _policy(random: Random, order: int, backfill: int, placement: int, strict: int) -> Policy:
    bands = random.choice(((), ((8, 5),), ((2, 3), (8, 7)), ((8, 40), (1 << 30, 60))))
    return Policy(
        order=order,
        strict=strict,
        backfill=NO_BACKFILL if order == SRTF else backfill,
        placement=placement,
        interval_s=random.choice((0, 0, 0, 1, 5, 30)),
        depth=random.choice((1, 2, 3, 5, 1000, 1000, 1000, 1000)),
        window_s=random.choice((0, 0, 10, 50)),
        resolution_s=random.choice((0, 0, 5, 10)),
        estimate=random.choice((EXACT, EXACT, FACTOR, NO_ESTIMATE)),
        factor=random.choice((0.5, 1.5, 2.0)),
        over_limit=random.choice((KILL_AT_LIMIT, RUN_ON)),
        finish_lag_s=random.choice((0, 0, 1, 2)),
        select=random.randint(0, 1),
        overhead_gpus=_ints(bound for bound, _ in bands),
        overhead_s=_ints(seconds for _, seconds in bands),
    )


def _jobs(random: Random, n_jobs: int, n_classes: int, world: World) -> Jobs:
    """Jobs in which ties of submit time, of length and of shape are frequent."""
    end_s = world.clock.end_s
    # How dense they come is one number per world: some worlds are empty, some never catch up.
    spread = random.choice((1, 10, 40, 100, 100, end_s, end_s + 10))
    limits_used = random.random() < 0.5
    sizes = [_sizes(random, world, cls) for cls in range(n_classes)]
    rows = []
    for _ in range(n_jobs):
        submit = random.choice((random.randrange(spread), 5 * random.randrange(spread // 5 + 1)))
        cls, priority = random.randrange(n_classes), random.choice((0, 0, 1, 2, -1))
        rows.append(
            (submit, random.choice(sizes[cls]), _work(random), cls, _limit(random, limits_used), priority)
        )
    rows.sort(key=lambda row: row[0])
    submits, gpus, work, classes, limits, priorities = zip(*rows, strict=True)
    return Jobs(
        submit_s=_ints(submits),
        gpus=_small(gpus),
        work_s=np.array(work, np.float64),
        cls=_small(classes),
        limit_s=_ints(limits),
        priority=_small(priorities),
    )


def _sizes(random: Random, world: World, cls: int) -> list[int]:
    """A few sizes that the jobs of a class have: parts of a node, nodes with a rest, seldom too many."""
    first, count = int(world.classes.first_option[cls]), int(world.classes.n_options[cls])
    if count == 0:
        return [1]
    cell = int(world.options.cell[first + random.randrange(count)])
    whole, nodes = int(world.cells.gpus_per_node[cell]), int(world.cells.n_nodes[cell])
    most = whole * nodes
    sizes = {
        1,
        whole // 2 + 1,
        whole,
        random.randint(1, most),
        min(most, whole + whole // 2),
        random.randint(1, whole),
    }
    if random.random() < 0.2:
        sizes.add(most + random.randint(0, 3))
    return random.sample(sorted(sizes), min(len(sizes), random.randint(1, 4)))


def _work(random: Random) -> float:
    kind = random.random()
    if kind < 0.05:
        return 0.0
    if kind < 0.2:
        return random.randrange(1, 400) / 8
    return float(
        random.choice((1, 2, 5, 10, 20, 20, 30, 60, random.randrange(1, 100), random.randrange(1, 200)))
    )


def _limit(random: Random, used: bool) -> int:
    return random.choice((0, 5, 10, 20, 60, random.randrange(1, 100))) if used else 0
