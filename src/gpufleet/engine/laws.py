"""Conservation laws, checked after every event in debug runs (plain NumPy; not part of the kernels)."""

from __future__ import annotations

import numpy as np

from gpufleet.engine.memory import least_w
from gpufleet.engine.state import ALIVE, AWAY, HELD, OVER, RUNS, WAITS, State
from gpufleet.world.layout import Power, World


def check_laws(world: World, state: State) -> None:
    """Raise AssertionError if GPUs or jobs were made or lost."""
    slot, node = state.slot, state.node
    sets = world.node_sets
    status = np.asarray(slot.status)
    alive = int(np.isin(status, (WAITS, RUNS, OVER, AWAY, HELD)).sum())
    assert alive == state.scalar[ALIVE], "jobs alive"
    held = np.zeros(len(node), np.int64)
    used = np.zeros_like(state.used)
    accounts = np.zeros_like(state.account)
    for i in np.flatnonzero(status == RUNS):
        queue = world.classes.queue[slot.cls[i]]
        product = state.cell.product[slot.cell[i]]
        used[queue, product] += slot.gpus[i]
        if world.accounts is not None:
            rows = world.accounts.of_class[slot.cls[i]]
            rows = rows[rows >= 0]
            accounts[rows, product] += slot.gpus[i]
            accounts[rows, -2:] += slot.gpus[i], 1
        g, total = slot.grants[i], 0
        while g >= 0:
            held[state.grant.node[g]] += state.grant.gpus[g]
            total += state.grant.gpus[g]
            assert sets is None or sets.queue_groups[queue, sets.node_group[state.grant.node[g]]], "node sets"
            g = state.grant.next_of_job[g]
        assert total == slot.gpus[i], "a gang holds all its GPUs"
    assert (held + node.free == node.gpus).all(), "GPUs per node"
    assert (node.free >= 0).all(), "no node is overbooked"
    assert (used == state.used).all(), "use per queue"
    assert (accounts == state.account).all(), "use per account"
    if world.accounts is not None:
        most = np.column_stack([world.accounts.limit, world.accounts.total, world.accounts.jobs])
        assert ((most < 0) | (accounts <= most)).all(), "limit"
    if world.gates is not None:
        source = world.gates.source[slot.cls]
        alive = np.isin(status, (WAITS, RUNS, AWAY, HELD)) & (source >= 0)
        counts = np.bincount(source[alive], minlength=len(state.source))
        assert (counts == state.source.alive).all(), "jobs of a source"
    if world.power is not None:
        _check_power(world, world.power, state)
    quota = world.queues.quota
    assert ((quota < 0) | (used <= quota)).all(), "quota"
    online = np.asarray(node.online) == 1
    free = np.bincount(node.cell[online], weights=node.free[online], minlength=len(state.cell))
    assert (free == state.cell.free).all(), "free GPUs per cell"


def _check_power(world: World, power: Power, state: State) -> None:
    """What is drawn is what free GPUs and running jobs draw."""
    drawn, site_of = np.zeros_like(state.drawn), world.cells.site
    least = least_w(world, power)
    idle = np.bincount(site_of, weights=state.cell.free * power.idle_w, minlength=len(state.cap))
    lowest = idle.copy()
    for i in np.flatnonzero(np.asarray(state.slot.status) == RUNS):
        cls, cell, gpus = state.slot.cls[i], state.slot.cell[i], int(state.slot.gpus[i])
        kind, site = power.class_kind[cls], site_of[state.slot.cell[i]]
        watts = power.level_w[state.level[site]] if power.level_w.size else power.kind_w
        drawn[site, kind] += gpus * watts[kind, cell]
        lowest[site] += gpus * least[kind, cell]
    assert (drawn == state.drawn).all(), "power of running jobs"
    assert (idle + drawn.sum(axis=1) == state.draw).all(), "power of sites"
    assert (lowest == state.least).all(), "power of sites at their lowest level"
