"""SRTF as the README of the reference schedules states it: one virtual cluster, one second after another.

Written from that text alone, without gpufleet, and as plainly as it goes; Numba only because it ticks through
months. Nodes have 8 GPUs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

PER_NODE = 8
POSITIONS = 1 << 20  # more than there are candidates


class Schedule(NamedTuple):
    """What became of each job, in the order of the jobs."""

    start: Any  # first start
    end: Any
    queue: Any  # seconds without GPUs, over all its waits
    preemptions: Any


def schedule(submit: Any, gpus: Any, duration: Any, n_nodes: int, overhead: Any) -> Schedule:
    """Run jobs, sorted by submit time, until the last has ended; `overhead`: seconds per restart."""
    columns = (np.asarray(column, np.int64) for column in (submit, gpus, duration, overhead))
    return Schedule(*_tick(*columns, n_nodes))


@numba.njit
def _tick(submit: Any, gpus: Any, duration: Any, overhead: Any, n_nodes: int) -> Any:
    n = len(submit)
    start, end = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    waited, preemptions, waits_since = np.zeros(n, np.int64), np.zeros(n, np.int64), submit.copy()
    remain, runs = duration.copy(), np.zeros(n, np.bool_)
    free, held = np.full(n_nodes, PER_NODE, np.int64), np.zeros((n, n_nodes), np.int64)
    queue, n_queue = np.zeros(n, np.int64), 0
    running, n_running = np.zeros(n, np.int64), 0
    arrived, ended, now = 0, 0, 0
    while ended < n:
        # release what is done; the others have one second less to go
        kept = 0
        for at in range(n_running):
            job = running[at]
            if remain[job] == 0:
                end[job], runs[job] = now, False
                free += held[job]
                ended += 1
            else:
                remain[job] -= 1
                running[kept] = job
                kept += 1
        n_running = kept
        while arrived < n and submit[arrived] == now:
            queue[n_queue] = arrived
            n_queue += 1
            arrived += 1
        if n_queue > 0:  # with none waiting, those that run have room and go on
            candidates = _by_remain(queue[:n_queue], running[:n_running], remain)
            # whom the number of GPUs allows
            quota = n_nodes * PER_NODE
            chosen, n_chosen = np.zeros(n_queue, np.int64), 0
            for job in candidates:
                if gpus[job] <= quota:
                    quota -= gpus[job]
                    if not runs[job]:
                        chosen[n_chosen] = job
                        n_chosen += 1
                elif runs[job]:
                    runs[job] = False
                    remain[job] += overhead[job]
                    preemptions[job] += 1
                    waits_since[job] = now
                    free += held[job]
                    n_running = _take_out(running, n_running, job)
                    queue[n_queue] = job
                    n_queue += 1
            for job in chosen[:n_chosen]:
                if _place(free, held[job], gpus[job]):
                    runs[job] = True
                    if start[job] < 0:
                        start[job] = now
                    waited[job] += now - waits_since[job]
                    n_queue = _take_out(queue, n_queue, job)
                    running[n_running] = job
                    n_running += 1
        now += 1
    return start, end, waited, preemptions


@numba.njit
def _by_remain(queue: Any, running: Any, remain: Any) -> Any:
    """Those that wait, then those that run, sorted by what remains; ties stay as they are."""
    candidates = np.concatenate((queue, running))
    keys = remain[candidates] * POSITIONS + np.arange(len(candidates))
    keys.sort()
    return candidates[keys % POSITIONS]


@numba.njit
def _take_out(jobs: Any, n: int, job: int) -> int:
    """Take a job out of a list, which keeps its order; the new length."""
    kept = 0
    for at in range(n):
        if jobs[at] != job:
            jobs[kept] = jobs[at]
            kept += 1
    return kept


@numba.njit
def _place(free: Any, held: Any, gpus: int) -> bool:
    """Consolidate: take the GPUs and write down from which nodes, or take none and say no."""
    held[:] = 0
    if gpus <= PER_NODE:
        best = -1
        for node in range(len(free)):
            if free[node] >= gpus and (best < 0 or free[node] < free[best]):
                best = node
        if best < 0:
            return False
        held[best] = gpus
    else:
        left = gpus
        for node in range(len(free)):
            if left >= PER_NODE and free[node] == PER_NODE:
                held[node] = PER_NODE
                left -= PER_NODE
        if left >= PER_NODE:
            return False
        if left > 0:  # the next node, most free first
            best = -1
            for node in range(len(free)):
                if held[node] == 0 and (best < 0 or free[node] > free[best]):
                    best = node
            if best < 0 or free[best] < left:
                return False
            held[best] = left
    free -= held
    return True
