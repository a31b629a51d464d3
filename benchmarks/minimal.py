"""The baseline: strict FIFO with best fit and nothing else, in one Numba function, without gpufleet.

It knows only that the next job starts at the first second, not before its forerunner's start, at which it
fits. No events, no policies, no causes of waiting, no timeline, no streaming: all jobs are in memory and only
sums come out. Sizes are powers of two, so a job of more than one node takes whole nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from benchmarks.measure import Sample, Stopwatch, peak_bytes

F = TypeVar("F", bound=Callable[..., Any])
SLOT_BITS = 20  # at most 2^20 jobs run at once


def compiled(function: F) -> F:
    """``numba.njit`` with its cache, without counting references to arrays: no function here makes any."""
    return cast(F, numba.njit(cache=True, _nrt=False)(function))


@compiled
def _push(heap: Any, n: int, key: int) -> None:
    while n > 0 and heap[(n - 1) >> 1] > key:
        heap[n] = heap[(n - 1) >> 1]
        n = (n - 1) >> 1
    heap[n] = key


@compiled
def _pop(heap: Any, n: int) -> None:
    """Take the least of ``n`` keys out."""
    key, at, child = heap[n - 1], 0, 1
    while child < n - 1:
        if child + 1 < n - 1 and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    heap[at] = key


def _stacks(n_nodes: int, per_node: int) -> tuple[Any, ...]:
    """Nodes stacked by their free GPUs: top, next, previous, height of each stack, free GPUs of each node."""
    top, height = np.full(per_node + 1, -1), np.zeros(per_node + 1, np.int64)
    after, before = np.arange(1, n_nodes + 1), np.arange(-1, n_nodes - 1)
    after[n_nodes - 1] = -1
    top[per_node], height[per_node] = 0, n_nodes
    return top, after, before, height, np.full(n_nodes, per_node, np.int32)


@compiled
def _move(stacks: Any, node: int, change: int) -> None:
    """Give or take GPUs of a node: off its stack, on top of another."""
    top, after, before, height, free = stacks
    old, new = free[node], free[node] + change
    if before[node] < 0:
        top[old] = after[node]
    else:
        after[before[node]] = after[node]
    if after[node] >= 0:
        before[after[node]] = before[node]
    after[node], before[node] = top[new], -1
    if top[new] >= 0:
        before[top[new]] = node
    top[new] = node
    height[old] -= 1
    height[new] += 1
    free[node] = new


@compiled
def _release(stacks: Any, next_of_job: Any, node: int, held: int) -> None:
    while node >= 0:
        _move(stacks, node, held)
        node = next_of_job[node]


@compiled
def _take(stacks: Any, next_of_job: Any, size: int, per_node: int) -> int:
    """Place a job: the last of its nodes, -1 if it does not fit."""
    top, height = stacks[0], stacks[3]
    fit, n = min(size, per_node), max(1, size // per_node)
    while fit < per_node and height[fit] == 0:
        fit += 1
    if height[fit] < n:
        return -1
    last = -1
    for _ in range(n):
        node = top[fit]
        _move(stacks, node, -min(size, per_node))
        next_of_job[node] = last
        last = node
    return last


def strict_fifo(
    submit_s: Any, gpus: Any, duration_s: Any, n_nodes: int, per_node: int
) -> tuple[int, int, int]:
    """GPU-seconds in use, seconds waited, and jobs that waited."""
    slots = min(len(submit_s), n_nodes * per_node)
    running = (
        np.zeros(slots, np.int64),
        np.zeros(slots, np.int64),
        np.zeros(slots, np.int64),
        np.arange(slots),
    )
    jobs, next_of_job = (submit_s, gpus, duration_s), np.full(n_nodes, -1)
    busy, waited_s, waited = _loop(jobs, running, next_of_job, _stacks(n_nodes, per_node), per_node)
    return busy, waited_s, waited


@compiled
def _loop(jobs: Any, running: Any, next_of_job: Any, stacks: Any, per_node: int) -> Any:
    submit_s, gpus, duration_s = jobs
    ends, slot_node, slot_gpus, empty = running
    slots = len(empty)
    n_running = busy = waited_s = waited = now = 0
    for job in range(len(submit_s)):
        now, size = max(now, submit_s[job]), gpus[job]
        while True:
            while n_running > 0 and ends[0] >> SLOT_BITS <= now:
                slot = ends[0] & ((1 << SLOT_BITS) - 1)
                _pop(ends, n_running)
                n_running -= 1
                _release(stacks, next_of_job, slot_node[slot], min(slot_gpus[slot], per_node))
                empty[slots - 1 - n_running] = slot
            node = _take(stacks, next_of_job, size, per_node)
            if node >= 0:
                break
            now = ends[0] >> SLOT_BITS
        slot = empty[slots - 1 - n_running]
        slot_node[slot], slot_gpus[slot] = node, size
        _push(ends, n_running, ((now + duration_s[job]) << SLOT_BITS) | slot)
        n_running += 1
        busy += size * duration_s[job]
        waited_s += now - submit_s[job]
        waited += now > submit_s[job]
    return busy, waited_s, waited


def simulate_here(**case: Any) -> Sample:
    """Run the jobs of a `benchmarks.fleet.Case` in this process; compiling and making them is not counted."""
    from benchmarks.fleet import PER_NODE, Case, batches

    wanted = Case(**case)
    columns = [(jobs.submit_s, jobs.gpus, jobs.work_s.astype(np.int64)) for jobs in batches(wanted)]
    submit_s, gpus, duration_s = (np.concatenate(column) for column in zip(*columns, strict=True))
    n_nodes = -(-wanted.n_gpus // PER_NODE)
    strict_fifo(submit_s[:1000], gpus[:1000], duration_s[:1000], n_nodes, PER_NODE)
    with Stopwatch() as watch:
        busy, wait_s, waited = strict_fifo(submit_s, gpus, duration_s, n_nodes, PER_NODE)
    n = wanted.n_jobs
    return {
        **watch.figures(n),
        "busy_gpu_s": int(busy),
        "wait_s": wait_s / n,
        "waited": waited / n,
        "peak_bytes": peak_bytes(),
    }
