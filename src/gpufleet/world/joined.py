"""A world with one more class of jobs: for a job that the plan does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.world.build import islands
from gpufleet.world.classes import options_of
from gpufleet.world.layout import (
    UNKNOWN_S,
    UNLIMITED,
    Accounts,
    Classes,
    ClassRules,
    Options,
    Restarts,
    World,
)
from gpufleet.world.names import ARRAY, Names
from gpufleet.world.shared import job_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpufleet.plan.asked_job import AskedJob
    from gpufleet.plan.limits import Held

Account = tuple[str, str, str]  # kind, name, path of its limit


def with_class(
    world: World, names: Names, job: AskedJob, limits: Sequence[tuple[str, str, Held]] = (), kind: int = 0
) -> tuple[World, int, tuple[Account, ...]]:
    """The world in which a job's class is the last one; its row; and who has which number among accounts.

    Two classes may be alike then; jobs of both are served as those of one queue are.

    Args: limits: that the job counts in: kind and name of the account, and the limit; kind: of work, which
          says what it draws.
    """
    queue = names.queues.index(job.queue)
    accepted = job.products or [(product, 1.0) for product in names.products]
    pairs = list(options_of(world.cells, names, int(world.queues.tenant[queue]), accepted))
    cells, speeds = (np.array([pair[i] for pair in pairs]) for i in (0, 1))
    if world.power is not None:
        speeds = speeds * world.power.cell_speed[cells.astype(np.int64)]
    options = Options(
        _longer(world.options.cell, cells.astype(np.int64)),
        np.concatenate([world.options.speed, speeds.astype(np.float64)]),
    )
    row = len(world.classes.queue)
    added = queue, len(world.options.cell), len(pairs)
    classes = Classes._make(_longer(old, new) for old, new in zip(world.classes, added, strict=True))
    (accounts, mine), gates = _with_accounts(world, names, job, limits), world.gates
    if gates is not None:
        gates = gates._replace(of_class=_longer(gates.of_class, -1), source=_longer(gates.source, -1))
    power = world.power
    site = None
    if power is not None:
        kept = _longer(power.class_kept, 1 - int(job.preemptible))
        power = power._replace(class_kind=_longer(power.class_kind, kind), class_kept=kept)
        site = world.cells.site
    of_queue, of_cell = islands(len(names.queues), len(world.cells.site), classes, options, accounts, site)
    shared = world.shared
    if shared is not None:
        rules = zip(shared.classes, job_rules(job)[len(Restarts._fields) :], strict=True)
        shared = shared._replace(classes=ClassRules._make(_longer(old, new) for old, new in rules))
    own = Restarts._make(job_rules(job)[: len(Restarts._fields)])
    old = world.restarts or Restarts(np.full(row, UNKNOWN_S), np.zeros(row, np.int64))
    restarts = Restarts._make(_longer(*pair) for pair in zip(old, own, strict=True))
    sets = world.node_sets
    if sets is not None:
        holds = np.concatenate([sets.class_holds, sets.queue_holds[queue : queue + 1]])
        sets = sets._replace(class_holds=holds)
    joined = world._replace(
        cells=world.cells._replace(island=of_cell),
        queues=world.queues._replace(island=of_queue),
        classes=classes,
        options=options,
        restarts=restarts,
        shared=shared,
        node_sets=sets,
        accounts=accounts,
        gates=gates,
        power=power,
    )
    return joined, row, mine


def _with_accounts(
    world: World, names: Names, job: AskedJob, limits: Sequence[tuple[str, str, Held]]
) -> tuple[Accounts | None, tuple[Account, ...]]:
    """The accounts with those of the job, who may be there already; and who has which number.

    A project that is new does not end by the moment that is asked about.
    """
    n_classes, n_products = len(world.classes.queue), len(names.products)
    known: list[Account] = list(zip(names.account_kinds, names.accounts, names.account_paths, strict=True))
    old = world.accounts or Accounts(
        np.full((n_classes, 1), -1), np.zeros((0, n_products), np.int64),
        *(np.zeros(0, np.int64) for _ in range(3)),
    )  # fmt: skip
    rows: list[tuple[list[int], int, int]] = []
    mine: list[int] = []
    wanted = [((kind, name, held.path), held.limit) for kind, name, held in limits]
    for account, limit in wanted:
        if account not in known:
            known.append(account)
            gpus = [limit.gpus.get(product, UNLIMITED) for product in names.products]
            total, jobs = (UNLIMITED if most is None else most for most in (limit.total, limit.jobs))
            rows.append((gpus, total, jobs))
        mine.append(known.index(account))
    if job.at_once is not None:
        known.append((ARRAY, job.queue, "at_once"))
        rows.append(([UNLIMITED] * n_products, UNLIMITED, job.at_once))
        mine.append(len(known) - 1)
    if world.accounts is None and not rows:
        return None, ()
    width = max(old.of_class.shape[1], len(mine))
    of_class = np.full((n_classes + 1, width), -1, np.int64)
    of_class[:-1, : old.of_class.shape[1]] = old.of_class
    of_class[-1, : len(mine)] = mine
    more = Accounts(
        of_class,
        np.concatenate([old.limit, np.array([row[0] for row in rows], np.int64).reshape(-1, n_products)]),
        _longer(old.total, np.array([row[1] for row in rows], np.int64)),
        _longer(old.jobs, np.array([row[2] for row in rows], np.int64)),
        _longer(old.end_s, np.full(len(rows), UNKNOWN_S)),
    )
    return more, tuple(known)


def _longer(old: Ints, new: int | Ints) -> Ints:
    return np.concatenate([old, np.atleast_1d(np.asarray(new, np.int64))])
