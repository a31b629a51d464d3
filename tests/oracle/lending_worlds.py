"""Small random worlds in which queues lend to each other and take back, too full for all their jobs.

As in `worlds`: one seed is one world, and the first n jobs of a seed are the same whatever n is.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tests.oracle.extras import with_extras
from tests.oracle.set_worlds import node_sets
from tests.oracle.worlds import failures_of, restarts_of

from gpufleet.world.layout import (
    BLOCK_LEVEL,
    DOMAIN_LEVEL,
    DRAIN,
    EXACT,
    FIFO,
    KILL,
    KILL_AT_LIMIT,
    NO_BACKFILL,
    NO_WISH,
    NODE_LEVEL,
    PREFERRED,
    PRIORITY,
    REQUIRED,
    RUN_ON,
    SELECT_PLACEMENT,
    SITE_LEVEL,
    UNCONSTRAINED,
    UP,
    Capacity,
    Cells,
    Classes,
    ClassRules,
    Clock,
    Jobs,
    Nodes,
    Options,
    Policy,
    Queues,
    SharedQuotas,
    Tree,
    World,
)
from gpufleet.world.quotas import Cohort, Limits, Queue, Sharing, Strategy, arrays_of

MAX_JOBS, MAX_DEPTH = 24, 3
STRATEGIES: tuple[tuple[Strategy, ...], ...] = (
    ("LessThanOrEqualToFinalShare", "LessThanInitialShare"),
    ("LessThanOrEqualToFinalShare",),
    ("LessThanInitialShare",),
)
Table = dict[str, list[Any]]


def lending_worlds() -> st.SearchStrategy[tuple[World, Jobs]]:
    """Worlds in which queues lend, with their jobs, most with limits or dependencies."""
    seeds = st.integers(0, 2**32 - 1)
    return st.builds(
        lambda seed, n: with_extras(*lending_world(seed, n), seed), seeds, st.integers(1, MAX_JOBS)
    )


def sliced_worlds() -> st.SearchStrategy[tuple[World, Jobs]]:
    """The same where jobs have slices, and some give way a few times only."""
    return st.builds(sliced_world, st.integers(0, 2**32 - 1), st.integers(1, MAX_JOBS))


def sliced_world(seed: int, n_jobs: int = MAX_JOBS) -> tuple[World, Jobs]:
    """The lending world of a seed, in which most classes have slices and preemptions may be bounded."""
    return with_slices(*lending_world(seed, n_jobs), seed)


def lending_world(seed: int, n_jobs: int = MAX_JOBS, *, sets: bool = True) -> tuple[World, Jobs]:
    """The world of a seed with the first so many of its jobs; without ``sets`` jobs may take every node."""
    random = Random(seed)
    n_queues, n_products = random.randint(1, 5), random.choice((1, 1, 2))
    nodes, cells, blocks = _fleet(random, n_products)
    clock = Clock(random.choice((30, 60, 60, 120)), random.randint(0, 1), random.choice((7, 60)))
    gpus = [0] * n_products
    for product, count, whole in zip(cells["product"], cells["n_nodes"], cells["gpus_per_node"], strict=True):
        gpus[product] += count * whole
    tree = _tree(random, n_queues, gpus)
    classes, options = _classes(random, n_queues, len(cells["product"]))
    queue_island, cells["island"] = _islands(tree, n_queues, len(cells["product"]), classes, options)
    world = World(
        nodes=Nodes(*(_small(nodes[name]) for name in Nodes._fields)),
        cells=Cells(*(_ints(cells[name]) for name in Cells._fields)),
        capacity=_capacity(random, cells, clock.end_s),
        queues=Queues(
            _ints(range(n_queues)), _ints(queue_island), np.full((n_queues, n_products), -1, np.int64)
        ),
        classes=Classes(*(_ints(classes[name]) for name in Classes._fields)),
        options=Options(_ints(options["cell"]), np.array(options["speed"], np.float64)),
        policy=_policy(random),
        clock=clock,
        restarts=restarts_of(seed, len(classes["queue"])),
        failures=failures_of(seed, len(nodes["size"]), clock.end_s),
        shared=_shared(random, tree, gpus, blocks, len(classes["queue"]), clock.end_s),
    )
    if sets:
        world = world._replace(node_sets=node_sets(Random(f"sets {seed}"), world))
    return world, _jobs(random, n_jobs, world)


def _ints(values: Any) -> Any:
    return np.array(list(values), dtype=np.int64)


def _small(values: Any) -> Any:
    return np.array(list(values), dtype=np.int32)


def _fleet(random: Random, n_products: int) -> tuple[Table, Table, list[int]]:
    nodes: Table = {"size": [], "cell": [], "domain": []}
    cells: Table = {name: [] for name in Cells._fields}
    blocks: list[int] = []
    block = 0
    for cell in range(random.randint(1, 3)):
        whole, n_nodes = random.choice((1, 2, 2, 4)), random.randint(1, 8)
        row = (len(nodes["size"]), n_nodes, whole, random.randrange(n_products), 0, -1, -1)
        for name, value in zip(Cells._fields, row, strict=True):
            cells[name].append(value)
        left = n_nodes
        while left:
            count = min(left, random.randint(1, 3))
            left -= count
            sizes = [random.randint(1, whole) if random.random() < 0.1 else whole for _ in range(count)]
            nodes["size"] += sizes
            nodes["cell"] += [cell] * count
            nodes["domain"] += [len(blocks)] * count
            blocks.append(block)
            block += random.random() < 0.5 or not left  # a block lies in one cell
    return nodes, cells, blocks


def _capacity(random: Random, cells: Table, end_s: int) -> Capacity:
    """Most nodes come at 0; then a few changes, each of some nodes of one cell, no-ops among them."""
    rows: list[tuple[int, int, int, int, int]] = []
    for first, count in zip(cells["first_node"], cells["n_nodes"], strict=True):
        at_start = count if random.random() < 0.7 else random.randint(0, count)
        later = random.randrange(1, end_s + 20)
        if at_start:
            rows.append((0, UP, first, at_start, -1))
        if at_start < count:
            rows.append((later, UP, first + at_start, count - at_start, -1))
    for _ in range(random.choice((0, 0, 0, 1, 2, 4))):
        cell = random.randrange(len(cells["first_node"]))
        begins = random.randrange(cells["n_nodes"][cell])
        count = random.randint(1, min(3, cells["n_nodes"][cell] - begins))
        t = random.choice((random.randrange(1, end_s), 5 * random.randrange(1, end_s // 5)))
        rows.append((t, random.choice((UP, DRAIN, KILL)), cells["first_node"][cell] + begins, count, -1))
    rows.sort()
    return Capacity(*(_ints(column) for column in zip(*rows, strict=True)))


def _tree(random: Random, n_queues: int, gpus: list[int]) -> Tree:
    depth: dict[str, int] = {}
    cohorts: list[Cohort] = []
    for name in ("r", "s", "t", "u")[: random.choice((0, 1, 1, 2, 3, 4))]:
        above = [c for c in depth if depth[c] < MAX_DEPTH]
        parent = random.choice(above) if above and random.random() < 0.9 else None
        depth[name] = 1 + (depth[parent] if parent else 0)
        own = _quotas(random, gpus, 3 * n_queues, limits=parent is not None) if random.random() < 0.3 else ()
        cohorts.append(Cohort(name, parent, own, random.choice((0.0, 1.0, 1.0, 2.0))))
    queues = tuple(_queue(random, f"q{i}", list(depth), gpus, n_queues) for i in range(n_queues))
    sharing = Sharing(tuple(cohorts), queues, random.random() < 0.4, random.choice(STRATEGIES))
    return arrays_of(sharing, []).tree._replace(placed=1)


def _queue(random: Random, name: str, cohorts: list[str], gpus: list[int], n_queues: int) -> Queue:
    cohort = random.choice(cohorts) if cohorts and random.random() < 0.93 else None
    reclaim = random.choice(("Never", "LowerPriority", "Any", "Any"))
    borrows = reclaim != "Never" and random.random() < 0.4
    return Queue(
        name=name,
        cohort=cohort,
        groups=_quotas(random, gpus, n_queues, limits=cohort is not None),
        weight=random.choice((0.0, 1.0, 1.0, 1.0, 2.0, 0.5)),
        strict=random.random() < 0.4,
        within=random.choice(("Never", "LowerPriority", "LowerOrNewerEqualPriority")),
        reclaim=reclaim,  # type: ignore[arg-type]
        borrow_within="LowerPriority" if borrows else "Never",
        threshold=random.choice((None, -1, 0, 1)) if borrows else None,
        next_if_borrowing=random.random() < 0.5,
        next_if_preempting=random.random() < 0.5,
        rather_preempt=random.random() < 0.5,
    )


def _quotas(random: Random, gpus: list[int], shares: int, *, limits: bool) -> Any:
    made = []
    for product, total in enumerate(gpus):
        fair = -(-total // shares)
        nominal = random.choice((0, fair, fair, random.randint(0, 2 * fair), total))
        borrow = random.randint(0, 2 * fair) if limits and random.random() < 0.25 else None
        lend = random.randint(0, nominal) if limits and random.random() < 0.2 else None
        made.append((str(product), {"gpu": Limits(nominal, borrow, lend)}))
    return (tuple(made),)


def _classes(random: Random, n_queues: int, n_cells: int) -> tuple[Table, Table]:
    classes: Table = {"queue": [], "first_option": [], "n_options": []}
    options: Table = {"cell": [], "speed": []}
    seen = set()
    for queue in range(n_queues):
        for _ in range(random.randint(1, 2)):
            count = 0 if random.random() < 0.02 else random.randint(1, n_cells)
            chosen = tuple(
                (cell, random.choice((1.0, 1.0, 2.0, 0.55))) for cell in random.sample(range(n_cells), count)
            )
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
    tree: Tree, n_queues: int, n_cells: int, classes: Table, options: Table
) -> tuple[list[int], list[int]]:
    """Islands of queues and of cells: parts joined by common cells or by a common tree."""
    first = len(tree.parent) - n_queues
    parts = {("queue", q): {("queue", q)} for q in range(n_queues)}

    def join(a: tuple[str, int], b: tuple[str, int]) -> None:
        both = parts.setdefault(a, {a}) | parts.setdefault(b, {b})
        for member in both:
            parts[member] = both

    for queue, begins, count in zip(
        classes["queue"], classes["first_option"], classes["n_options"], strict=True
    ):
        for cell in options["cell"][begins : begins + count]:
            join(("queue", queue), ("cell", cell))
    has_cells = {q for q, count in zip(classes["queue"], classes["n_options"], strict=True) if count}
    for queue in has_cells:
        row = first + queue
        while tree.parent[row] >= 0:
            row = int(tree.parent[row])
        join(("queue", queue), ("root", row))
    numbers: dict[int, int] = {}
    queue_island = [
        numbers.setdefault(id(parts["queue", q]), len(numbers)) if q in has_cells else -1
        for q in range(n_queues)
    ]
    cell_island = [numbers[id(parts["cell", c])] if ("cell", c) in parts else -1 for c in range(n_cells)]
    return queue_island, cell_island


def _policy(random: Random) -> Policy:
    return Policy(
        order=random.choice((FIFO, PRIORITY, PRIORITY)),
        strict=random.randint(0, 1),  # of no consequence: each queue has its own
        backfill=NO_BACKFILL,
        placement=random.randrange(4),
        interval_s=random.choice((0, 0, 0, 5)),
        depth=1000,
        window_s=0,
        resolution_s=0,
        estimate=EXACT,
        factor=1.0,
        over_limit=random.choice((KILL_AT_LIMIT, RUN_ON)),
        finish_lag_s=random.choice((0, 0, 2)),
        select=SELECT_PLACEMENT,
        overhead_gpus=_ints(()),
        overhead_s=_ints(()),
    )


def _shared(
    random: Random, tree: Tree, gpus: list[int], blocks: list[int], n_classes: int, end_s: int
) -> SharedQuotas:
    rows = []
    for _ in range(random.choice((0, 0, 1, 2, 4))):
        row, product = random.randrange(len(tree.parent)), random.randrange(len(gpus))
        t = random.choice((0, random.randrange(1, end_s + 5), 5 * random.randrange(1, end_s // 5)))
        rows.append((t, row, product, random.choice((0, random.randint(0, gpus[product])))))
    rows = sorted({row[:3]: row for row in rows}.values())
    changes = [[row[column] for row in rows] for column in range(4)]
    return SharedQuotas(
        tree,
        *(_ints(column) for column in changes),
        classes=_class_rules(random, n_classes),
        domain_block=_ints(blocks),
        evict_falling=random.randint(0, 1),
        return_s=random.choice((0, 0, 0, 1, 7)),
        return_last=random.choice((0, 0, 1)),
        preemptions_at_most=0,
    )


def _class_rules(random: Random, n_classes: int) -> ClassRules:
    wishes = random.random() < 0.5
    kinds = [random.choice((NO_WISH, PREFERRED, REQUIRED)) if wishes else NO_WISH for _ in range(n_classes)]
    levels = (NODE_LEVEL, DOMAIN_LEVEL, DOMAIN_LEVEL, BLOCK_LEVEL, BLOCK_LEVEL, SITE_LEVEL)
    return ClassRules(
        preemptible=_ints(int(random.random() < 0.85) for _ in range(n_classes)),
        wish=_ints(kinds),
        level=_ints(random.choice(levels) for _ in range(n_classes)),
        slice_gpus=_ints([0] * n_classes),
        slice_level=_ints([DOMAIN_LEVEL] * n_classes),
    )


def with_slices(world: World, jobs: Jobs, seed: int) -> tuple[World, Jobs]:
    """The same with classes whose jobs have slices, most of them of a size that can be."""
    assert world.shared is not None
    random, rules = Random(seed), world.shared.classes
    wish, level, of_slice, at = (column.copy() for column in rules[1:5])
    gpus = jobs.gpus.copy()
    for cls in range(len(wish)):
        first, count = int(world.classes.first_option[cls]), int(world.classes.n_options[cls])
        if count == 0 or random.random() < 0.2:
            wish[cls] = random.choice((wish[cls], UNCONSTRAINED))
            continue
        whole = int(world.cells.gpus_per_node[world.options.cell[first]])
        wish[cls] = random.choice((PREFERRED, REQUIRED, REQUIRED, UNCONSTRAINED))
        at[cls] = random.choice((DOMAIN_LEVEL, DOMAIN_LEVEL, BLOCK_LEVEL))
        level[cls] = random.randint(int(at[cls]), SITE_LEVEL)
        of_slice[cls] = whole * random.choice((1, 1, 2, 2, 3)) + (random.random() < 0.05)
        for job in np.flatnonzero(jobs.cls == cls):
            exact = of_slice[cls] * random.choice((1, 1, 2, 2, 3))
            gpus[job] = exact + (random.random() < 0.05)
    classes = rules._replace(wish=wish, level=level, slice_gpus=of_slice, slice_level=at)
    shared = world.shared._replace(classes=classes, preemptions_at_most=random.choice((0, 0, 1, 2)))
    return world._replace(shared=shared), jobs._replace(gpus=gpus)


def _jobs(random: Random, n_jobs: int, world: World) -> Jobs:
    """Jobs that come close together, in few sizes, so that some are refused and some preempted."""
    end_s = world.clock.end_s
    spread = random.choice((1, 10, 30, end_s, end_s + 5))
    n_classes = len(world.classes.queue)
    sizes = [_sizes(random, world, cls) for cls in range(n_classes)]
    limits = random.random() < 0.3
    rows = []
    for _ in range(n_jobs):
        submit = random.choice((random.randrange(spread), 5 * random.randrange(spread // 5 + 1)))
        cls = random.randrange(n_classes)
        work = random.choice((1, 5, 10, 20, 20, 40, random.randrange(1, 60), random.randrange(1, 200) / 8))
        limit = random.choice((0, 10, 30)) if limits else 0
        rows.append(
            (submit, random.choice(sizes[cls]), float(work), cls, limit, random.choice((0, 0, 1, 2, -1)))
        )
    rows.sort(key=lambda row: row[0])
    submits, gpus, works, classes, limit_s, priorities = zip(*rows, strict=True)
    return Jobs(
        submit_s=_ints(submits),
        gpus=_small(gpus),
        work_s=np.array(works, np.float64),
        cls=_small(classes),
        limit_s=_ints(limit_s),
        priority=_small(priorities),
    )


def _sizes(random: Random, world: World, cls: int) -> list[int]:
    """A few sizes that the jobs of a class have: parts of a node, some nodes, seldom too many."""
    first, count = int(world.classes.first_option[cls]), int(world.classes.n_options[cls])
    if count == 0:
        return [1]
    cell = int(world.options.cell[first + random.randrange(count)])
    whole, nodes = int(world.cells.gpus_per_node[cell]), int(world.cells.n_nodes[cell])
    most = whole * nodes
    sizes = {1, whole, min(most, 2 * whole), min(most, whole + whole // 2), random.randint(1, -(-most // 2))}
    if random.random() < 0.1:
        sizes.add(most + random.randint(0, 2))
    return random.sample(sorted(sizes), min(len(sizes), random.randint(1, 3)))
