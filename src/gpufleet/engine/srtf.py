"""The pass of SRTF: shortest remaining work first, with preemption.

All jobs of the island, waiting and running, are ordered anew in each pass. ``roll`` holds them: row 0 the
slots in order. The remaining work of a running job is worked out at the pass; ``key`` keeps it, so that one
comparison serves all."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.life import refuse_for_ever, requeue, start
from gpufleet.engine.memory import Rules
from gpufleet.engine.node_sets import may_take
from gpufleet.engine.order import estimate_on, insert, set_key, take_out
from gpufleet.engine.pace import end_pace, worked_s
from gpufleet.engine.place import change_free
from gpufleet.engine.quota import barred, examine, lost
from gpufleet.engine.state import NOW, PASS, RUNS, SEQUENCE, TOP_SLOT, WAITS, State
from gpufleet.engine.tally import book, set_state
from gpufleet.engine.within import fit_option, pick_option
from gpufleet.world.layout import (
    LIMIT,
    NO_FREE,
    ORDER,
    OWN_QUOTA,
    POWER,
    SELECT_COUNT,
    STARTABLE,
)


@kernel
def _before(s: State, a: int, b: int) -> bool:
    """Order of SRTF: less remaining, waiting before running, lower sequence."""
    x, y = s.slot[a], s.slot[b]
    if x.key != y.key:
        return bool(x.key < y.key)
    if x.status != y.status:
        return bool(x.status == WAITS)
    return bool(x.seq < y.seq)


@kernel
def _sift(s: State, at: int, n: int) -> None:
    i = s.roll[0, at]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and _before(s, s.roll[0, child], s.roll[0, child + 1]):
            child += 1
        if not _before(s, i, s.roll[0, child]):
            break
        s.roll[0, at] = s.roll[0, child]
        at = child
    s.roll[0, at] = i


@kernel
def _sort_roll(s: State, n: int) -> None:
    """Heap sort of the first ``n`` of the roll."""
    for at in range(n // 2 - 1, -1, -1):
        _sift(s, at, n)
    for end in range(n - 1, 0, -1):
        s.roll[0, 0], s.roll[0, end] = s.roll[0, end], s.roll[0, 0]
        _sift(s, 0, end)


@kernel
def _remaining(w: Rules, s: State, i: int) -> float:
    """Work left of running job ``i`` now."""
    job = s.slot[i]
    return float(max(0.0, job.work - worked_s(w, s, i) * job.speed))


@kernel
def _call_roll(w: Rules, s: State, island: int, running: int) -> int:
    """Collect the island's waiting jobs, with ``running`` also its running ones, in order; how many."""
    n = 0
    for i in range(s.scalar[TOP_SLOT]):
        job = s.slot[i]
        if (job.status == WAITS or (running and job.status == RUNS)) and w.queue_island[
            w.class_queue[job.cls]
        ] == island:
            if job.status == RUNS:
                job.key = _remaining(w, s, i)
            s.roll[0, n] = i
            n += 1
    _sort_roll(s, n)
    return n


@kernel
def _take_in(w: Rules, s: State, island: int) -> None:
    i = s.island[island].first_new
    while i >= 0:
        set_key(w, s, i)
        insert(s, w.class_queue[s.slot[i].cls], i)
        i = s.slot[i].next_new
    s.island[island].first_new = -1
    s.island[island].last_new = -1


@kernel
def _preempt(w: Rules, s: State, i: int) -> None:
    """Running job ``i`` gives way: it keeps the work done and owes the restart overhead."""
    job = s.slot[i]
    left = _remaining(w, s, i)
    if w.slows:
        end_pace(w, s, i)
    job.work = left
    band = 0
    while band + 1 < len(w.overhead_s) and job.gpus > w.overhead_gpus[band]:
        band += 1
    job.work += w.overhead_s[band]
    requeue(w, s, i)
    set_key(w, s, i)
    insert(s, w.class_queue[job.cls], i)
    job.why, job.root, job.mark = NO_FREE, NO_FREE, -1


@kernel
def _start_from_lane(w: Rules, s: State, i: int, option: int) -> None:
    take_out(s, s.slot[i].lane, i)
    book(w, s, i, s.scalar[NOW])
    pick_option(w, s, i, option)
    start(w, s, i, option)
    s.slot[i].seq = s.scalar[SEQUENCE]
    s.scalar[SEQUENCE] += 1


@kernel
def _refuse_if_never(w: Rules, s: State, i: int, refusal: int) -> bool:
    """Take job ``i`` out if its refusal is for ever."""
    cause = lost(w, s, i, refusal)
    if cause == STARTABLE:
        return False
    take_out(s, s.slot[i].lane, i)
    book(w, s, i, s.scalar[NOW])
    refuse_for_ever(w, s, i, cause)
    return True


# --- select by count --


@kernel
def _budget(s: State, island: int) -> int:
    """GPUs in service in the island's cells."""
    total = 0
    for c in range(len(s.cell)):
        if s.cell[c].island == island:
            for size in range(1, s.n_size.shape[1]):
                total += size * s.n_size[c, size]
    return total


@kernel
def _share_out(w: Rules, s: State, island: int, n: int) -> None:
    """Give the budget out in order; preempt who did not get any, and mark the waiting who did."""
    budget = _budget(s, island)
    for at in range(n):
        i = s.roll[0, at]
        job = s.slot[i]
        s.roll[1, at] = 0
        if job.gpus <= budget:
            budget -= job.gpus
            s.roll[1, at] = 1
    for at in range(n):
        i = s.roll[0, at]
        if s.roll[1, at] == 0:
            if s.slot[i].status == RUNS:
                _preempt(w, s, i)
            else:
                set_state(w, s, i, s.scalar[NOW], NO_FREE, NO_FREE, -1)
        elif s.slot[i].status == RUNS:
            s.roll[1, at] = 0


@kernel
def _pass_by_count(w: Rules, s: State, island: int) -> None:
    now = s.scalar[NOW]
    n = _call_roll(w, s, island, 1)
    _share_out(w, s, island, n)
    closer = -1
    for at in range(n):
        i = s.roll[0, at]
        if s.roll[1, at] == 1:
            if closer >= 0:
                set_state(w, s, i, now, ORDER, s.slot[closer].root, s.slot[closer].id)
                continue
            refusal, option = examine(w, s, i)
            if refusal == STARTABLE:
                _start_from_lane(w, s, i, option)
            elif not _refuse_if_never(w, s, i, refusal):
                set_state(w, s, i, now, refusal, refusal, -1)
                if w.strict:
                    closer = i


# --- select by placement --


@kernel
def _may_use(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    return not barred(w, s, cls, cell, gpus)


@kernel
def _candidates(w: Rules, s: State, i: int) -> int:
    """Running jobs with more work left than ``i`` in cells that would help it, into the roll in order; how
    many."""
    job, n = s.slot[i], 0
    first = w.class_option[job.cls]
    for v in range(s.scalar[TOP_SLOT]):
        other = s.slot[v]
        if other.status == RUNS and other.key > job.key:
            for option in range(first, first + w.class_options[job.cls]):
                cell = w.option_cell[option]
                helps = cell == other.cell and _may_use(w, s, job.cls, cell, job.gpus)
                if helps and _holds_usable(w, s, v, i, option):
                    s.roll[0, n] = v
                    n += 1
                    break
    _sort_roll(s, n)
    return n


@kernel
def _holds_usable(w: Rules, s: State, v: int, i: int, option: int) -> bool:
    """Whether job ``v`` holds a node that job ``i`` may take now."""
    if not w.option_masked[option]:
        return True
    g, estimate = s.slot[v].grants, estimate_on(w, s, i, option)
    while g >= 0:
        if may_take(w, s.slot[i].cls, s.grant[g].node, s.scalar[NOW], estimate):
            return True
        g = s.grant[g].next_of_job
    return False


@kernel
def _lend(w: Rules, s: State, v: int, sign: int) -> None:
    """Count the GPUs of job ``v`` as free (+1), or take that back (-1); it keeps its grants."""
    g = s.slot[v].grants
    while g >= 0:
        change_free(w, s, s.grant[g].node, sign * s.grant[g].gpus)
        g = s.grant[g].next_of_job


@kernel
def _would_fit(w: Rules, s: State, i: int) -> bool:
    job = s.slot[i]
    first = w.class_option[job.cls]
    for option in range(first, first + w.class_options[job.cls]):
        cell = w.option_cell[option]
        if _may_use(w, s, job.cls, cell, job.gpus) and fit_option(w, s, i, option) == STARTABLE:
            return True
    return False


@kernel
def _take_victims(w: Rules, s: State, i: int) -> bool:
    """Preempt as few jobs as make ``i`` fit, most remaining work first; False if none would do."""
    n = _candidates(w, s, i)
    taken, fits = 0, False
    while taken < n and not fits:
        _lend(w, s, s.roll[0, n - 1 - taken], 1)
        taken += 1
        fits = _would_fit(w, s, i)
    for at in range(taken):
        _lend(w, s, s.roll[0, n - 1 - at], -1)
    if fits:
        for at in range(taken):
            _preempt(w, s, s.roll[0, n - 1 - at])
    return fits


@kernel
def _first_not_met(s: State, island: int, again: int) -> int:
    """The lane whose next job, not met in this pass, comes first; -1 if none is left."""
    best, lane = -1, s.island[island].first_lane
    while lane >= 0:
        row = s.lane[lane]
        if again:
            row.at = s.lane_first[lane, 0]
        while row.at >= 0 and s.slot[row.at].mark == s.scalar[PASS]:
            row.at = s.later[row.at, 0]
        if row.at >= 0 and (best < 0 or _before(s, row.at, s.lane[best].at)):
            best = lane
        lane = row.next_of_island
    return best


@kernel
def _meet(w: Rules, s: State, lane: int, i: int) -> bool:
    """The walk meets waiting job ``i``; True if others were preempted for it."""
    row, now = s.lane[lane], s.scalar[NOW]
    if row.head >= 0:
        set_state(w, s, i, now, ORDER, s.slot[row.head].root, s.slot[row.head].id)
        return False
    refusal, option = examine(w, s, i)
    preempted = False
    ruled = refusal == OWN_QUOTA or refusal == LIMIT or refusal == POWER
    helped = refusal != STARTABLE and not ruled
    if helped and _take_victims(w, s, i):
        preempted = True
        refusal, option = examine(w, s, i)
    if refusal == STARTABLE:
        _start_from_lane(w, s, i, option)
    elif not _refuse_if_never(w, s, i, refusal):
        set_state(w, s, i, now, refusal, refusal, -1)
        if w.strict:
            row.head = i
    return preempted


@kernel
def _pass_by_placement(w: Rules, s: State, island: int) -> None:
    for i in range(s.scalar[TOP_SLOT]):
        if s.slot[i].status == RUNS:
            s.slot[i].key = _remaining(w, s, i)
    lane = s.island[island].first_lane
    while lane >= 0:
        s.lane[lane].head = -1
        lane = s.lane[lane].next_of_island
    again = True
    while True:
        lane = _first_not_met(s, island, again)
        if lane < 0:
            break
        i = s.lane[lane].at
        s.slot[i].mark = s.scalar[PASS]
        s.lane[lane].at = s.later[i, 0]
        again = _meet(w, s, lane, i)


@kernel
def pass_srtf(w: Rules, s: State, island: int) -> None:
    """One pass over an island."""
    _take_in(w, s, island)
    if w.select == SELECT_COUNT:
        _pass_by_count(w, s, island)
    else:
        _pass_by_placement(w, s, island)
