"""Books: GPU-seconds per bin of the timeline, and the seconds that each waiting job spends in each state.

A step of height ``g`` at time ``t`` adds ``g * (end of t's bin - t)`` to its bin and ``g * width`` to every
later one. The first is kept in plane 0, the second, as a rate, in plane 1; the sums are taken once, at the
end. So an interval costs four additions, however long it is, and the result is exact."""

from __future__ import annotations

from gpufleet.base.arrays import Ints, SmallInts
from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.state import State
from gpufleet.world.layout import BEFORE_S, HELD_BEFORE, HELD_BY_ITS, HELD_BY_OTHERS, ORDER


@kernel
def step(table: Ints, row: int, column: int, grid_s: int, t: int, gpus: int) -> None:
    """The level of (row, column) changes by ``gpus`` at ``t``."""
    at = t // grid_s
    table[0, row, column, at] += gpus * ((at + 1) * grid_s - t)
    table[1, row, column, at + 1] += gpus * grid_s


@kernel
def open_account(w: Rules, s: State, i: int) -> None:
    """Have rows to book the waiting of job ``i`` in; most jobs never need them."""
    if s.slot[i].waited == 0:
        s.slot[i].waited = 1
        for r in range(w.n_causes):
            s.wait_ref[i, r] = 0
            s.wait_root[i, r] = 0


@kernel
def book(w: Rules, s: State, i: int, now: int) -> None:
    """Close the interval since ``since`` of waiting job ``i``: it was in state ``why`` with root ``root``."""
    job = s.slot[i]
    since = job.since
    if now > since:
        why, root = job.why, job.root
        open_account(w, s, i)
        s.wait_ref[i, why] += now - since
        s.wait_root[i, root] += now - since
        queue = w.class_queue[job.cls]
        step(s.waiting, queue, root, w.grid_s, since, job.gpus)
        step(s.waiting, queue, root, w.grid_s, now, -job.gpus)
        job.last = why
        job.since = now


@kernel
def set_state(w: Rules, s: State, i: int, now: int, why: int, root: int, behind: int) -> None:
    """Waiting job ``i`` is in state ``why`` from now on; ``behind`` is the job that it stands behind, -1 =
    none."""
    job = s.slot[i]
    if job.why != why or job.root != root:
        book(w, s, i, now)
        job.why = why
        job.root = root
    if behind >= 0:
        job.behind = behind


@kernel
def _overlap(a: int, b: int, c: int, d: int) -> int:
    return max(0, min(b, d) - max(a, c))


@kernel
def book_kept(w: Rules, s: State, i: int, now: int) -> None:
    """Running job ``i`` holds its GPUs until ``now``: book what of it lies in windows of reservations."""
    job = s.slot[i]
    g = job.grants if len(w.window_to_s) > 0 else -1
    while g >= 0:
        group, gpus = w.node_group[s.grant[g].node], s.grant[g].gpus
        for window in range(w.group_window[group], w.group_window[group + 1]):
            begins, ends = w.window_from_s[window], w.window_to_s[window]
            whose = HELD_BY_ITS if w.class_window[job.cls, window] else HELD_BY_OTHERS
            s.kept[window, whose] += gpus * _overlap(job.start, now, begins, ends)
            s.kept[window, HELD_BEFORE] += gpus * _overlap(job.start, now, begins - BEFORE_S, begins)
        g = s.grant[g].next_of_job


# --- lanes without backfill: the state is the lane's, and a job takes part in it from joining to leaving --


@kernel
def advance_clock(s: State, lane: int, now: int) -> None:
    """Bring the lane's clock of its root up to now."""
    row = s.lane[lane]
    s.clock[lane, row.root] += now - row.clock_at
    row.clock_at = now


@kernel
def set_root(w: Rules, s: State, lane: int, now: int, root: int) -> None:
    """All who wait in the lane wait because of ``root`` from now on."""
    row = s.lane[lane]
    if row.root != root:
        advance_clock(s, lane, now)
        if row.waiting_gpus != 0:
            step(s.waiting, row.queue, row.root, w.grid_s, now, -row.waiting_gpus)
            step(s.waiting, row.queue, root, w.grid_s, now, row.waiting_gpus)
        row.root = root


@kernel
def _add_clock(w: Rules, s: State, table: SmallInts, i: int, lane: int, sign: int) -> None:
    for root in range(w.n_causes):
        table[i, root] += sign * s.clock[lane, root]


@kernel
def join(w: Rules, s: State, i: int, lane: int, now: int) -> None:
    """Job ``i``, which did not start in its first pass, shares the lane's state from now on."""
    book(w, s, i, now)
    open_account(w, s, i)
    advance_clock(s, lane, now)
    job, row = s.slot[i], s.lane[lane]
    _add_clock(w, s, s.wait_root, i, lane, -1)
    if row.strict == 0:
        _add_clock(w, s, s.wait_ref, i, lane, -1)
    step(s.waiting, row.queue, row.root, w.grid_s, now, job.gpus)
    row.waiting_gpus += job.gpus
    job.joined = 1
    job.why = ORDER


@kernel
def leave(w: Rules, s: State, i: int, lane: int, now: int) -> None:
    """Job ``i`` shares the lane's state no longer: it starts, is refused for ever, or the run ends."""
    job, row = s.slot[i], s.lane[lane]
    if job.joined == 0:
        book(w, s, i, now)
        return
    advance_clock(s, lane, now)
    _add_clock(w, s, s.wait_root, i, lane, 1)
    step(s.waiting, row.queue, row.root, w.grid_s, now, -job.gpus)
    row.waiting_gpus -= job.gpus
    job.joined = 0
    job.last = row.root
    if row.strict == 0:
        _add_clock(w, s, s.wait_ref, i, lane, 1)
    elif row.head == i:
        _add_clock(w, s, s.wait_ref, i, lane, 1)
        row.head = -1
    else:
        s.wait_ref[i, ORDER] += now - job.since
        job.last = ORDER
        job.behind = row.closer
    job.since = now


@kernel
def set_head(w: Rules, s: State, lane: int, now: int, i: int, refusal: int) -> None:
    """Job ``i`` closes the strict lane with ``refusal``; those behind it wait for that reason."""
    row = s.lane[lane]
    advance_clock(s, lane, now)
    if row.head != i:
        if row.head >= 0:  # a job that came in ahead of the former head
            _add_clock(w, s, s.wait_ref, row.head, lane, 1)
            s.slot[row.head].since = now
        job = s.slot[i]
        if now > job.since:
            s.wait_ref[i, ORDER] += now - job.since
            job.behind = row.closer
        _add_clock(w, s, s.wait_ref, i, lane, -1)
        row.head = i
    row.closer = s.slot[i].id
    set_root(w, s, lane, now, refusal)
