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
    """``numba.njit`` with its cache, typed."""
    return cast(F, numba.njit(cache=True)(function))


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


@compiled
def _move(first: Any, after: Any, before: Any, count: Any, free: Any, node: int, change: int) -> None:
    """Give or take GPUs of a node: off the stack of its free count, on top of another."""
    old, new = free[node], free[node] + change
    if before[node] < 0:
        first[old] = after[node]
    else:
        after[before[node]] = after[node]
    if after[node] >= 0:
        before[after[node]] = before[node]
    after[node], before[node] = first[new], -1
    if first[new] >= 0:
        before[first[new]] = node
    first[new] = node
    count[old] -= 1
    count[new] += 1
    free[node] = new


@compiled
def strict_fifo(
    submit_s: Any, gpus: Any, duration_s: Any, n_nodes: int, per_node: int
) -> tuple[int, int, int]:
    """GPU-seconds in use, seconds waited, and jobs that waited."""
    free = np.full(n_nodes, per_node, np.int32)
    after, before = np.arange(1, n_nodes + 1), np.arange(-1, n_nodes - 1)
    after[n_nodes - 1] = -1
    first, count = np.full(per_node + 1, -1), np.zeros(per_node + 1, np.int64)
    first[per_node], count[per_node] = 0, n_nodes
    slots = min(len(submit_s), n_nodes * per_node)
    heap, slot_node, slot_gpus = (
        np.zeros(slots, np.int64),
        np.zeros(slots, np.int32),
        np.zeros(slots, np.int32),
    )
    empty, n_empty, n_running = np.arange(slots), slots, 0
    next_of_job = np.full(n_nodes, -1, np.int32)
    busy = waited_s = waited = now = 0
    for job in range(len(submit_s)):
        now = max(now, submit_s[job])
        size = gpus[job]
        while True:
            while n_running > 0 and heap[0] >> SLOT_BITS <= now:
                slot = heap[0] & ((1 << SLOT_BITS) - 1)
                _pop(heap, n_running)
                n_running -= 1
                node, held = slot_node[slot], min(slot_gpus[slot], per_node)
                while node >= 0:
                    _move(first, after, before, count, free, node, held)
                    node = next_of_job[node]
                empty[n_empty] = slot
                n_empty += 1
            fit = min(size, per_node)
            while fit < per_node and count[fit] == 0:
                fit += 1
            if count[fit] >= max(1, size // per_node):
                break
            now = heap[0] >> SLOT_BITS
        n_empty -= 1
        slot, last = empty[n_empty], -1
        for _ in range(max(1, size // per_node)):
            node = first[fit]
            _move(first, after, before, count, free, node, -min(size, per_node))
            next_of_job[node] = last
            last = node
        slot_node[slot], slot_gpus[slot] = last, size
        _push(heap, n_running, ((now + duration_s[job]) << SLOT_BITS) | slot)
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
