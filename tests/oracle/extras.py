"""Accounts and gates for worlds drawn elsewhere: limits of users and projects, jobs that wait for others.

They are drawn from a seed of their own, so that a world is the same with and without them.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from gpufleet.world.layout import (
    NO_CAP,
    UNKNOWN_S,
    UNLIMITED,
    Accounts,
    Classes,
    ClassRules,
    Gates,
    Jobs,
    Power,
    Restarts,
    World,
)


def with_extras(world: World, jobs: Jobs, seed: int) -> tuple[World, Jobs]:
    """The world with accounts, with gates, with both, or as it was."""
    random = Random(f"extras {seed}")
    if random.random() < 0.25:
        return world, jobs
    world, jobs = _with_twins(random, world, jobs)
    if random.random() < 0.75:
        world = world._replace(accounts=_accounts(random, world))
        world = _with_joined_islands(world)
    if random.random() < 0.4:
        world = _with_power(random, world)
    if random.random() < 0.5:
        world = world._replace(gates=_gates(random, world, jobs))
    return world, jobs


def _with_twins(random: Random, world: World, jobs: Jobs) -> tuple[World, Jobs]:
    """Each class twice, so that like jobs may count in other accounts, or stand before other gates."""
    n = len(world.classes.queue)
    cls = np.array([c + n * random.randint(0, 1) for c in jobs.cls.tolist()], np.int32)
    world = world._replace(classes=Classes._make(np.tile(column, 2) for column in world.classes))
    if world.restarts is not None:
        world = world._replace(restarts=Restarts._make(np.tile(column, 2) for column in world.restarts))
    if world.shared is not None:
        rules = ClassRules._make(np.tile(column, 2) for column in world.shared.classes)
        world = world._replace(shared=world.shared._replace(classes=rules))
    if world.node_sets is not None:
        holds = np.tile(world.node_sets.class_holds, (2, 1))
        world = world._replace(node_sets=world.node_sets._replace(class_holds=holds))
    return world, jobs._replace(cls=cls)


def _accounts(random: Random, world: World) -> Accounts:
    n, n_products = random.randint(1, 4), world.queues.quota.shape[1]
    n_classes = len(world.classes.queue)
    of_class = [random.sample(range(n), min(n, random.choice((0, 1, 1, 2)))) for _ in range(n_classes)]
    small = [UNLIMITED, UNLIMITED, *(random.randint(0, 6) for _ in range(2)), random.randint(4, 20)]
    end_s = world.clock.end_s
    return Accounts(
        of_class=_ints([*rows, -1, -1][:2] for rows in of_class),
        limit=_ints([random.choice(small) for _ in range(n_products)] for _ in range(n)),
        total=_ints(random.choice(small) for _ in range(n)),
        jobs=_ints(random.choice((UNLIMITED, UNLIMITED, 1, 2, 3)) for _ in range(n)),
        end_s=_ints(random.choice((UNKNOWN_S, UNKNOWN_S, random.randrange(end_s))) for _ in range(n)),
    )


def _with_joined_islands(world: World) -> World:
    """Queues whose jobs count in one account are in one island."""
    assert world.accounts is not None
    queue, cell = world.queues.island.copy(), world.cells.island.copy()
    for account in range(len(world.accounts.jobs)):
        classes = np.flatnonzero((world.accounts.of_class == account).any(axis=1))
        islands = sorted(set(queue[world.classes.queue[classes]].tolist()) - {-1})
        for other in islands[1:]:
            queue[queue == other] = islands[0]
            cell[cell == other] = islands[0]
    return world._replace(queues=world.queues._replace(island=queue), cells=world.cells._replace(island=cell))


def _with_power(random: Random, world: World) -> World:
    """Sites with meters and caps; what lies at one site is one island."""
    n_cells, n_classes, n_kinds = len(world.cells.site), len(world.classes.queue), random.randint(1, 3)
    n_sites = int(world.cells.site.max(initial=0)) + 1
    idle = np.array([random.randint(0, 3) for _ in range(n_cells)], np.int64)
    busy = np.array([[random.randint(0, 9) for _ in range(n_cells)] for _ in range(n_kinds)], np.int64)
    gpus = np.bincount(world.nodes.cell, weights=world.nodes.size, minlength=n_cells)
    kinds = busy.reshape(n_kinds, n_cells) + idle
    most = np.bincount(world.cells.site, weights=gpus * kinds.max(axis=0), minlength=n_sites).astype(np.int64)
    caps = sorted(
        (
            random.randrange(world.clock.end_s),
            site,
            random.choice((NO_CAP, random.randint(0, 1 + int(most[site])))),
        )
        for site in range(n_sites)
        for _ in range(random.randint(0, 4))
    )
    t_s, site, cap_w = (_ints(row[i] for row in caps) for i in range(3))
    kind = _ints(random.randrange(n_kinds) for _ in range(n_classes))
    world = world._replace(
        power=Power(
            *(idle, kinds.astype(np.int64), kind, t_s, site, cap_w, most),
            class_kept=_ints(int(random.random() < 0.3) for _ in range(n_classes)),
            **_levels(random, world, idle, kinds),
            cell_speed=np.ones(n_cells),
            over_cap=random.randint(0, 1),
        )
    )
    queue, cell = world.queues.island.copy(), world.cells.island.copy()
    for at in range(n_sites):
        there = sorted(set(cell[world.cells.site == at].tolist()) - {-1})
        for other in there[1:]:
            queue[queue == other] = there[0]
            cell[cell == other] = there[0]
    return world._replace(queues=world.queues._replace(island=queue), cells=world.cells._replace(island=cell))


def _levels(random: Random, world: World, idle: Any, kinds: Any) -> dict[str, Any]:
    """Some sites slow jobs down: power falls to that of a free GPU, speed by a line or a step."""
    n_sites = int(world.cells.site.max(initial=0)) + 1
    if random.random() < 0.4:
        return {"site_low": _ints([100] * n_sites), "level_w": _none(), "level_speed": _none()}
    low = [random.choice((100, random.randint(1, 99))) for _ in range(n_sites)]
    share = np.array([max(level, low[site]) for level in range(101) for site in world.cells.site.tolist()])
    share = share.reshape(101, 1, -1)
    watts = idle + (kinds[None] - idle) * share // 100
    steady = np.array([random.random() < 0.3 for _ in range(len(kinds))])[None, :, None]
    speed = 10_000 * (share + (100 - share) * random.choice((0, 30, 90)) // 100)
    return {
        "site_low": _ints(low),
        "level_w": np.where(steady, kinds[None], watts).astype(np.int64),
        "level_speed": (np.where(steady, 1_000_000, speed) + 0 * watts).astype(np.int64),
    }


def _none() -> Any:
    return np.zeros((0, 0, 0), np.int64)


def _gates(random: Random, world: World, jobs: Jobs) -> Gates | None:
    """Classes in an order: each may be a source, alone or with the one before; gates ask for earlier ones."""
    n_classes = len(world.classes.queue)
    source, of_class = np.full(n_classes, -1), np.full(n_classes, -1)
    conditions: list[tuple[int, int, int]] = []
    n_sources, n_gates = 0, 0
    for cls in random.sample(range(n_classes), n_classes):
        if n_sources and random.random() < 0.6:
            chosen = random.sample(range(n_sources), random.randint(1, min(2, n_sources)))
            conditions += [(n_gates, after, random.randint(0, 1)) for after in chosen]
            of_class[cls] = n_gates
            n_gates += 1
        if random.random() < 0.7:
            source[cls] = n_sources
            n_sources += 1
    if not conditions:
        return None
    last = [
        int(jobs.submit_s[source[jobs.cls] == s].max(initial=0)) + random.choice((0, 0, 0, 1, 10))
        for s in range(n_sources)
    ]
    gate, after, any_end = (_ints(column) for column in zip(*conditions, strict=True))
    return Gates(_ints(of_class), _ints(source), gate, after, any_end, _ints(last))


def _ints(values: Any) -> Any:
    return np.array(list(values), dtype=np.int64)
