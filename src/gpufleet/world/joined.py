"""A world with one more class of jobs: for a job that the plan does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.world.build import islands
from gpufleet.world.classes import options_of
from gpufleet.world.layout import UNKNOWN_S, Classes, ClassRules, Options, Restarts, World
from gpufleet.world.names import Names
from gpufleet.world.shared import job_rules

if TYPE_CHECKING:
    from gpufleet.plan.asked_job import AskedJob


def with_class(world: World, names: Names, job: AskedJob) -> tuple[World, int]:
    """The world in which a job's class is the last one, and its row.

    Two classes may be alike then; jobs of both are served as those of one queue are.
    """
    queue = names.queues.index(job.queue)
    accepted = job.products or [(product, 1.0) for product in names.products]
    pairs = list(options_of(world.cells, names, int(world.queues.tenant[queue]), accepted))
    cells, speeds = (np.array([pair[i] for pair in pairs]) for i in (0, 1))
    options = Options(
        _longer(world.options.cell, cells.astype(np.int64)),
        np.concatenate([world.options.speed, speeds.astype(np.float64)]),
    )
    row = len(world.classes.queue)
    added = queue, len(world.options.cell), len(pairs)
    classes = Classes._make(_longer(old, new) for old, new in zip(world.classes, added, strict=True))
    accounts, gates = world.accounts, world.gates
    if accounts is not None:
        accounts = accounts._replace(of_class=np.pad(accounts.of_class, ((0, 1), (0, 0)), constant_values=-1))
    if gates is not None:
        gates = gates._replace(of_class=_longer(gates.of_class, -1), source=_longer(gates.source, -1))
    power = world.power
    site = None
    if power is not None:  # it draws what the jobs of the first kind draw
        power, site = power._replace(class_kind=_longer(power.class_kind, 0)), world.cells.site
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
    return joined, row


def _longer(old: Ints, new: int | Ints) -> Ints:
    return np.concatenate([old, np.atleast_1d(np.asarray(new, np.int64))])
