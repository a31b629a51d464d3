"""The plan as arrays: ``build(plan)`` is the only way from what people declare to what the engine sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.base.errors import Finding, raise_errors
from gpufleet.base.say import say
from gpufleet.world import layout
from gpufleet.world.accounts import joined_queues
from gpufleet.world.asked import demand_findings
from gpufleet.world.capacity import Fleet, capacity_of
from gpufleet.world.chain import with_law
from gpufleet.world.failures import failures_of
from gpufleet.world.law_checks import law_findings
from gpufleet.world.layout import Accounts, Classes, Clock, Options, Policy, Queues, World
from gpufleet.world.names import Names
from gpufleet.world.node_sets import Sets, arrays_of
from gpufleet.world.own import own_of
from gpufleet.world.power import capped_options, power_of
from gpufleet.world.service import Shortage
from gpufleet.world.set_finder import sets_of
from gpufleet.world.shared import restarts_of, shared_of
from gpufleet.world.training_checks import training_findings

if TYPE_CHECKING:
    from gpufleet.plan import Plan, PolicyPlan
    from gpufleet.world.demand import Demand

GRIDS_S: Final = (60, 300, 900, 3600, 6 * 3600, 86400)
"""Widths of a bin of the timeline to choose from, s."""

MOST_BINS: Final = 4096
"""A timeline over the plan's horizon has at most this many bins, where the ladder goes so far."""


@dataclass(frozen=True)
class Built:
    """A plan as a world, with the names of its codes and what people should know about it."""

    plan: Plan  # with the dates that export law lets its lots have
    world: World
    names: Names
    demand: Demand
    shortages: tuple[Shortage, ...]  # delivered, not powered
    notes: tuple[str, ...]  # how the traces were read
    findings: tuple[Finding, ...]  # warnings
    fleet: Fleet  # what is in service when


def build(plan: Plan) -> Built:
    """Make the world of a plan; reads its traces.

    Raises: GpufleetError T0xx when a trace cannot be used, P15x for wrong node sets.
    """
    from gpufleet.world.demand import demand_of  # imports polars: not for those who look at capacity only

    law, about = law_findings(plan)
    raise_errors(law)
    plan = with_law(plan)
    names = Names.of(plan)
    fleet = capacity_of(plan, names)
    sets = sets_of(plan, names, fleet)
    raise_errors(sets.findings)
    fleet = replace(fleet, queue_nodes=sets.queue_nodes)
    asks, found = demand_findings(plan, names, fleet)
    trained = training_findings(plan)
    demand = demand_of(plan, names, fleet.cells, asks)
    names = demand.names
    notes = (
        *about,
        *(
            say("{workload}: {note}", workload=intake.workload, note=note)
            for intake in demand.intakes
            for note in intake.notes
        ),
    )
    world = world_of(plan, names, fleet, demand, sets)
    findings = (*law, *fleet.findings, *sets.findings, *found, *trained, *demand.findings)
    return Built(plan, world, names, demand, fleet.shortages, notes, findings, fleet)


def world_of(plan: Plan, names: Names, fleet: Fleet, demand: Demand, sets: Sets) -> World:
    """Put the tables together and number the islands."""
    of_queue, of_cell = islands(
        len(names.queues),
        fleet.cells.site.size,
        demand.classes,
        demand.options,
        demand.accounts,
        fleet.cells.site if plan.power else None,
    )
    power = power_of(plan, names, fleet, demand.power, demand.rules)
    return World(
        nodes=fleet.nodes,
        cells=fleet.cells._replace(island=of_cell),
        capacity=fleet.capacity,
        queues=_queues(plan, names, of_queue),
        classes=demand.classes,
        options=capped_options(power, demand.options),
        policy=policy_numbers(plan.policy),
        clock=_clock(plan),
        failures=failures_of(plan, fleet),
        restarts=restarts_of(demand.rules),
        shared=shared_of(plan, names, fleet, demand.rules),
        node_sets=arrays_of(sets, demand.classes, demand.holds),
        own=own_of(plan.policy, names.queues),
        accounts=demand.accounts,
        gates=demand.gates,
        power=power,
    )


def _queues(plan: Plan, names: Names, island: Ints) -> Queues:
    """Queues with the most that they may hold; a product without a quota is unlimited."""
    quota = np.full((len(names.queues), len(names.products)), -1, np.int64)
    for row, queue in enumerate(plan.queues.values()):
        quota[row] = [queue.most(product, -1) for product in names.products]
    tenant = np.array([names.tenants.index(queue.tenant) for queue in plan.queues.values()], np.int64)
    return Queues(tenant, island, quota)


def islands(
    n_queues: int,
    n_cells: int,
    classes: Classes,
    options: Options,
    accounts: Accounts | None = None,
    site: Ints | None = None,
) -> tuple[Ints, Ints]:
    """Number the sets of queues and cells that classes, accounts and, with ``site`` of each cell, sites join.

    They are numbered in the order of their first queue.

    Returns: island of each queue and of each cell; -1 = no class joins it to anything.

    >>> from gpufleet.world.classes import class_tables
    >>> islands(3, 3, *class_tables([(2, ((0, 1.0), (1, 1.0))), (0, ((1, 1.0),))]))
    (array([ 0, -1,  0]), array([ 0,  0, -1]))
    """
    parent = list(range(n_queues + n_cells))

    def root(x: int) -> int:
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    queue_of_option = np.repeat(classes.queue, classes.n_options)
    joined = set(zip(queue_of_option.tolist(), (options.cell + n_queues).tolist(), strict=True))
    for queue, cell in sorted(joined):
        a, b = root(queue), root(cell)
        parent[max(a, b)] = min(a, b)
    used = {x for pair in joined for x in pair}
    for one, other in joined_queues(classes.queue, accounts):
        a, b = root(one), root(other)
        parent[max(a, b)] = min(a, b)
    for place in range(0 if site is None else int(site.max(initial=-1)) + 1):
        there = [
            n_queues + cell for cell in np.flatnonzero(site == place).tolist() if n_queues + cell in used
        ]
        for other in there[1:]:
            a, b = root(there[0]), root(other)
            parent[max(a, b)] = min(a, b)
    numbers = {r: i for i, r in enumerate(sorted({root(x) for x in used}))}
    island = np.array([numbers[root(x)] if x in used else -1 for x in range(len(parent))], np.int64)
    return island[:n_queues], island[n_queues:]


def policy_numbers(policy: PolicyPlan) -> Policy:
    """The policy as codes and seconds."""
    most = int(np.iinfo(np.int32).max)
    bands = [(most if upto is None else upto, add_s) for upto, add_s in policy.restart_overhead] or [
        (most, 0)
    ]
    return Policy(
        order=layout.OWN if policy.own_order else layout.ORDERS.index(policy.order),
        strict=int(policy.strict),
        backfill=layout.BACKFILLS.index(policy.backfill),
        placement=layout.OWN if policy.own_placement else layout.PLACEMENTS.index(policy.placement),
        interval_s=policy.interval_s,
        depth=policy.depth,
        window_s=policy.window_s,
        resolution_s=policy.resolution_s,
        estimate=layout.ESTIMATES.index(policy.estimate),
        factor=policy.factor,
        over_limit=layout.OVER_LIMITS.index(policy.over_limit),
        finish_lag_s=policy.finish_lag_s,
        select=layout.SELECTS.index(policy.select),
        overhead_gpus=np.array([gpus for gpus, _ in bands], np.int64),
        overhead_s=np.array([add_s for _, add_s in bands], np.int64),
    )


def grid_for(horizon_s: int) -> int:
    """The finest bin width of the ladder that cuts a horizon into at most `MOST_BINS` bins, s.

    Beyond the ladder: whole days.

    >>> grid_for(14 * 86400), grid_for(5 * 365 * 86400), grid_for(20 * 365 * 86400)
    (300, 86400, 172800)
    """
    for grid_s in GRIDS_S:
        if horizon_s <= grid_s * MOST_BINS:
            return grid_s
    return -(-horizon_s // (86400 * MOST_BINS)) * 86400


def _clock(plan: Plan) -> Clock:
    end_s = plan.jobs_end_s
    return Clock(end_s=end_s, finish=int(plan.after_end == "finish"), grid_s=grid_for(end_s))
