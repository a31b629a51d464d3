"""Orders and placements that a function of the user decides: what it is asked, what its answers do.

It is asked once for each kind of choice: for each number of free GPUs of a node, and for each number of idle
nodes of a domain. A result that is no number is noted, and ends the run when the pass is over.
"""

from __future__ import annotations

from math import inf
from typing import Final

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.engine import sets
from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.own_code import N_FIELDS, call_own
from gpufleet.engine.state import LAST_DOMAIN, State
from gpufleet.world.layout import TAKE_NODE, UNKNOWN_S, OwnCode, World

NO_FAULT, FAULT_OF_ORDER, FAULT_OF_PLACEMENT = 0, 1, 2
FAULT, FAULT_JOB, FAULT_FIELDS = 0, 1, 2  # entries of State.fault; the fields follow each other
N_FAULT: Final = FAULT_FIELDS + N_FIELDS


class OwnFaultError(Exception):
    """A function of the user has no number for a job; the run cannot go on."""

    def __init__(self, kind: str, code: OwnCode, job: int, fields: tuple[float, ...]) -> None:
        super().__init__(f"{code.function} of {code.file} has no number for job {job}")
        self.kind, self.code, self.job, self.fields = kind, code, job, fields


def fault_of(world: World, fault: Floats) -> OwnFaultError:
    """The fault that kernels noted. Job -1: not known."""
    assert world.own is not None
    kind = "order" if fault[FAULT] == FAULT_OF_ORDER else "placement"
    code: OwnCode = getattr(world.own, kind)
    return OwnFaultError(kind, code, int(fault[FAULT_JOB]), tuple(fault[FAULT_FIELDS:].tolist()))


@kernel
def _note(
    s: State,
    kind: int,
    job: int,
    a: float,
    b: float,
    c: float,
    d: float,
    e: float,
    f: float,
    g: float,
    h: float,
) -> None:
    """Keep the first question that has no answer."""
    if s.fault[FAULT] == NO_FAULT:
        s.fault[FAULT], s.fault[FAULT_JOB] = kind, job
        s.fault[2], s.fault[3], s.fault[4], s.fault[5] = a, b, c, d
        s.fault[6], s.fault[7], s.fault[8], s.fault[9] = e, f, g, h


@kernel
def own_key(w: Rules, s: State, i: int, estimate: int) -> float:
    """The key of job ``i`` by the user's order."""
    job = s.slot[i]
    known = inf if estimate >= UNKNOWN_S else float(estimate)
    gpus, limit, submit, prio = float(job.gpus), float(job.limit), float(job.submit), float(job.prio)
    queue, attempts, lost = float(w.class_queue[job.cls]), float(job.attempts), float(job.preemptions)
    key = call_own(w.own_order, gpus, known, limit, submit, prio, queue, attempts, lost)
    if key != key:
        _note(s, FAULT_OF_ORDER, job.id, gpus, known, limit, submit, prio, queue, attempts, lost)
        key = 0.0
    return float(key)


@kernel
def _score(
    w: Rules, s: State, cell: int, gpus: int, need: int, free: int, near: int, left: int, idle: int
) -> float:
    """What the user's placement says of a choice; a result that is no number counts as worst."""
    whole, node, most = float(gpus), float(s.cell[cell].per_node), float(s.cell[cell].most_of_domain)
    a, b, c, d, e = float(need), float(free), float(near), float(left), float(idle)
    score = call_own(w.own_placement, whole, node, a, b, c, d, e, most)
    if score != score:
        _note(s, FAULT_OF_PLACEMENT, -1, whole, node, a, b, c, d, e, most)
        score = inf
    return float(score)


@kernel
def note_job(s: State, i: int) -> None:
    """The job whose placement had no number."""
    if s.fault[FAULT] == FAULT_OF_PLACEMENT and s.fault[FAULT_JOB] < 0:
        s.fault[FAULT_JOB] = s.slot[i].id


# --- on the nodes as they are --


@kernel
def _far_node(s: State, cell: int, free: int, near_first: int, near_end: int) -> int:
    """Lowest node with so many free GPUs that is not picked and not in a range of nodes, -1 if none is."""
    row, first = cell * s.n_free.shape[1] + free, s.cell[cell].first_node
    i = sets.lowest(s.words, s.where, row)
    while i >= 0 and (s.node[first + i].mark == -2 or near_first <= first + i < near_end):
        i = sets.following(s.words, s.where, row, i)
    return first + i if i >= 0 else -1


@kernel
def own_node_alone(w: Rules, s: State, cell: int, gpus: int) -> int:
    """The node of a job that fits one, by the user's placement; ties: lowest index.

    No node is taken yet, so that which node it is need be looked up at ties and at the end only.
    """
    best, lowest = -1, 0.0
    for free in range(gpus, s.cell[cell].per_node + 1):
        if s.n_free[cell, free] > 0:
            score = _score(w, s, cell, gpus, gpus, free, 0, 0, 0)
            if best < 0 or score < lowest:
                best, lowest = free, score
            elif score == lowest and _far_node(s, cell, free, 0, 0) < _far_node(s, cell, best, 0, 0):
                best = free
    return _far_node(s, cell, best, 0, 0)


@kernel
def own_node(w: Rules, s: State, cell: int, gpus: int, need: int) -> int:
    """The node that gets the last ``need`` GPUs of a job on several; ties: lowest index."""
    per_node, best, lowest = s.cell[cell].per_node, -1, 0.0
    near_first, near_end = 0, 0
    if w.own_by_domain:
        near_first = s.domain_first[s.scalar[LAST_DOMAIN]]
        near_end = near_first + s.domain_n[s.scalar[LAST_DOMAIN]]
    for free in range(need, per_node + 1):
        n = -1
        if s.n_free[cell, free] > 0:
            n = _far_node(s, cell, free, near_first, near_end)
        if n >= 0:
            score = _score(w, s, cell, gpus, need, free, 0, 0, 0)
            if best < 0 or score < lowest or (score == lowest and n < best):
                best, lowest = n, score
    for n in range(near_first, near_end):
        node = s.node[n]
        if node.online and node.mark != -2 and node.free >= need:
            score = _score(w, s, cell, gpus, need, node.free, 1, 0, 0)
            if best < 0 or score < lowest or (score == lowest and n < best):
                best, lowest = n, score
    return best


@kernel
def own_domain(w: Rules, s: State, cell: int, gpus: int, left: int) -> tuple[int, int]:
    """(domain, idle nodes to take there) by the user's placement; ties: lowest index."""
    best, lowest, count = -1, 0.0, 1
    for idle in range(1, s.n_domain.shape[1]):
        if s.n_domain[cell, idle] > 0:
            row = cell * s.n_domain.shape[1] + idle
            domain = int(s.cell[cell].first_domain + sets.lowest(s.domain_words, s.domain_where, row))
            score = _score(w, s, cell, gpus, 0, 0, 0, left, idle)
            if best < 0 or score < lowest or (score == lowest and domain < best):
                best, lowest, count = domain, score, idle
    return best, 1 if w.own_take == TAKE_NODE else min(count, left)


# --- on what a plan leaves of them, in ``trial`` --


@kernel
def own_planned_node(w: Rules, s: State, cell: int, gpus: int, need: int, domain: int) -> int:
    """As `own_node`; ``domain``: the one used last, -1 = none."""
    first, best, lowest = s.cell[cell].first_node, -1, 0.0
    for n in range(first, first + s.cell[cell].n_nodes):
        free = s.trial[n, 0]
        if free >= need and s.node[n].mark != -2:
            score = _score(w, s, cell, gpus, need, free, 1 if s.node[n].domain == domain else 0, 0, 0)
            if best < 0 or score < lowest:
                best, lowest = n, score
    return best


@kernel
def own_planned_domain(w: Rules, s: State, cell: int, gpus: int, left: int) -> tuple[int, int]:
    """As `own_domain`."""
    best, lowest, count = -1, 0.0, 1
    first = s.cell[cell].first_domain
    for domain in range(first, first + s.cell[cell].n_domains):
        idle = 0
        for n in range(s.domain_first[domain], s.domain_first[domain] + s.domain_n[domain]):
            if s.trial[n, 0] == s.cell[cell].per_node and s.node[n].mark != -2:
                idle += 1
        if idle > 0:
            score = _score(w, s, cell, gpus, 0, 0, 0, left, idle)
            if best < 0 or score < lowest:
                best, lowest, count = domain, score, idle
    return best, 1 if w.own_take == TAKE_NODE else min(count, left)


def no_fault() -> Floats:
    """Nothing noted yet; the entry of `State.fault`."""
    return np.zeros(N_FAULT)
