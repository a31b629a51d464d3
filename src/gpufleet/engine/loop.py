"""The clock: the order of events is defined here and nowhere else.

``advance`` runs until it needs something that a kernel cannot do (more jobs, more room, writing results), says what, and
is called again: the state is consistent at each return.
"""

from __future__ import annotations

from gpufleet.engine import heap
from gpufleet.engine.conservative import pass_conservative
from gpufleet.engine.easy import pass_easy
from gpufleet.engine.forecast import look_ahead
from gpufleet.engine.jit import kernel
from gpufleet.engine.lanes import pass_lanes
from gpufleet.engine.life import become_eligible, drop_stale_ends, end_jobs, hand_out, kill_on_node, mark_due
from gpufleet.engine.memory import Rules
from gpufleet.engine.place import set_service
from gpufleet.engine.srtf import pass_srtf
from gpufleet.engine.state import (
    ENDED,
    EPOCH,
    FREE_SLOTS,
    N_DUE,
    N_ENDS,
    N_SHAPES,
    NEXT_CHANGE,
    NEXT_JOB,
    NOW,
    PASS,
    TOP_SLOT,
    WAITS,
    State,
)
from gpufleet.world.layout import CONSERVATIVE, EASY, KILL, SRTF, UNKNOWN_S, UP, Jobs

FINISHED, NEED_JOBS, OUT_FULL, GROW_SLOTS, GROW_LANES, GROW_BINS, GROW_PLAN, STEPPED = 0, 1, 2, 3, 4, 5, 6, 7


@kernel
def _next_pass(w: Rules, s: State) -> int:
    """When the next pass is due, UNKNOWN_S if nothing asks for one."""
    if s.scalar[N_DUE] == 0:
        return UNKNOWN_S
    interval = w.interval_s
    if interval == 0:
        return int(s.scalar[NOW])
    return int(-(-s.scalar[NOW] // interval) * interval)


@kernel
def _change_capacity(w: Rules, s: State, now: int) -> None:
    """Nodes come into service and leave it, as the plan says for this second."""
    if s.scalar[NEXT_CHANGE] >= len(w.change_t_s) or w.change_t_s[s.scalar[NEXT_CHANGE]] != now:
        return
    while s.scalar[NEXT_CHANGE] < len(w.change_t_s) and w.change_t_s[s.scalar[NEXT_CHANGE]] == now:
        row = s.scalar[NEXT_CHANGE]
        s.scalar[NEXT_CHANGE] += 1
        kind, first = w.change_kind[row], w.change_first_node[row]
        for n in range(first, first + w.change_n_nodes[row]):
            changed = set_service(w, s, n, 1 if kind == UP else 0)
            if kind == KILL:
                changed |= kill_on_node(w, s, n)
            if changed:
                mark_due(s, s.cell[s.node[n].cell].island, 1)
    if w.backfill == EASY:
        look_ahead(w, s)
    while s.scalar[EPOCH] + 1 < len(s.epoch_s) and s.epoch_s[s.scalar[EPOCH] + 1] <= now:
        s.scalar[EPOCH] += 1


@kernel
def _pass(w: Rules, s: State) -> None:
    """One scheduling pass over every island that is due."""
    for at in range(s.scalar[N_DUE]):
        island = s.due[at]
        row = s.island[island]
        full = row.full
        row.due, row.full = 0, 0
        s.scalar[PASS] += 1
        if w.order == SRTF:
            pass_srtf(w, s, island)
        elif w.backfill == EASY:
            pass_easy(w, s, island, full)
        elif w.backfill == CONSERVATIVE:
            pass_conservative(w, s, island)
        else:
            pass_lanes(w, s, island, full)
    s.scalar[N_DUE] = 0


@kernel
def advance(w: Rules, s: State, jobs: Jobs, closed: bool, one_step: bool) -> int:
    """Run until something is needed; ``closed`` says that no batch follows this one."""
    while True:
        if not hand_out(w, s):
            return OUT_FULL
        row = s.scalar[NEXT_JOB]
        if row >= len(jobs.gpus) and not closed:
            return NEED_JOBS
        submit = jobs.submit_s[row] if row < len(jobs.gpus) else UNKNOWN_S
        if submit >= w.end_s:
            submit = UNKNOWN_S
        change = s.scalar[NEXT_CHANGE]
        due = _next_pass(w, s)
        now = min(submit, due)
        drop_stale_ends(s)
        if s.scalar[N_ENDS] > 0:
            now = min(now, s.ends[0] >> heap.SLOT_BITS)
        if change < len(w.change_t_s):
            now = min(now, w.change_t_s[change])
        if now == UNKNOWN_S or (now >= w.end_s and not w.finish):
            s.scalar[ENDED] = 1
            return FINISHED
        if now // w.grid_s + 1 >= s.busy.shape[3]:
            return GROW_BINS
        s.scalar[NOW] = now
        end_jobs(w, s, now)
        _change_capacity(w, s, now)
        while submit == now:
            if s.scalar[FREE_SLOTS] < 0:
                return GROW_SLOTS
            become_eligible(w, s, jobs)
            row += 1
            if row >= len(jobs.gpus) and not closed:
                return NEED_JOBS
            submit = jobs.submit_s[row] if row < len(jobs.gpus) else UNKNOWN_S
        if due == now or _next_pass(w, s) == now:
            if s.scalar[N_SHAPES] + _new_jobs(s) > len(s.lane):
                return GROW_LANES
            if w.backfill == CONSERVATIVE and _most_planned(s) > len(s.plan):
                return GROW_PLAN
            _pass(w, s)
        if one_step:
            return STEPPED


@kernel
def _new_jobs(s: State) -> int:
    """Jobs that the coming pass meets for the first time: at most so many shapes may be new."""
    count = 0
    for at in range(s.scalar[N_DUE]):
        i = s.island[s.due[at]].first_new
        while i >= 0:
            count += 1
            i = s.slot[i].next_new
    return count


@kernel
def _most_planned(s: State) -> int:
    """An upper bound of the intervals that a conservative pass may plan: a node and a GPU serve once per job."""
    count = 0
    for i in range(s.scalar[TOP_SLOT]):
        if s.slot[i].status == WAITS:
            count += min(s.slot[i].gpus, len(s.node))
    return count
