"""The pass with EASY backfill: jobs in order; the first one of a lane that does not get its GPUs has a
reservation by placement.

A job behind it starts if it does not delay that reservation. The reservation's time is computed when it is
first asked for and then kept right by counts that ``forecast.touch`` corrects, so that a test costs the nodes
of the job tested."""

from __future__ import annotations

from gpufleet.engine.ahead import any_usable, earliest_within, holds_within
from gpufleet.engine.forecast import NOW_FREE, count_by, earliest, has_cell, sweep
from gpufleet.engine.jit import kernel
from gpufleet.engine.life import refuse_for_ever, start
from gpufleet.engine.memory import Rules
from gpufleet.engine.order import estimate_on, insert, plain_estimate_s, precedes, set_key, take_out
from gpufleet.engine.quota import higher, lost, test_option
from gpufleet.engine.shapes import shape_of
from gpufleet.engine.state import N_PICKS, NOW, PASS, WAITS, State
from gpufleet.engine.tally import book, set_state
from gpufleet.engine.within import pick_option
from gpufleet.world.layout import (
    BEYOND_DEPTH,
    EASY,
    LIMIT,
    NOT_ONLINE,
    ORDER,
    OWN_QUOTA,
    POWER,
    RESERVATION,
    STARTABLE,
    UNKNOWN_S,
)

CODE, ROOT, BEHIND = 1, 2, 3  # columns of shape_mark; column 0 is the pass
SCANNED = 2  # a reservation on an option that is masked holds until something changes, or the clock goes on


# --- the reservation of a lane's holder --


@kernel
def _still_known(s: State, lane: int) -> bool:
    row = s.lane[lane]
    now, h = s.scalar[NOW], row.holder
    if (
        not row.known
        or row.reserved_for != s.slot[h].id
        or (row.reserved_at <= now and row.reserved_on != now)
    ):
        return False
    if row.known == SCANNED:
        return bool(row.reserved_on == now)
    per_node = s.cell[row.reserved_cell].per_node
    whole, part = row.gpus // per_node, row.gpus % per_node
    if row.whole_by < whole or (part > 0 and row.part_by <= whole):
        return False
    sooner = row.whole_before >= whole and (part == 0 or row.part_before > whole)
    return bool(row.reserved_at == NOW_FREE or not sooner)


@kernel
def _earliest_of(w: Rules, s: State, i: int, option: int) -> int:
    """Earliest time at which job ``i`` can be placed on an option; UNKNOWN_S if none is known."""
    if w.option_masked[option]:
        return earliest_within(w, s, i, option)
    return earliest(w, s, w.option_cell[option], s.slot[i].gpus)


@kernel
def _reserve(w: Rules, s: State, lane: int) -> int:
    """The earliest time at which the lane's holder can be placed; UNKNOWN_S if none is known."""
    row = s.lane[lane]
    now = s.scalar[NOW]
    if _still_known(s, lane):
        return int(now if row.reserved_at == NOW_FREE else row.reserved_at)
    job = s.slot[row.holder]
    best, best_cell = UNKNOWN_S, -1
    first = w.class_option[job.cls]
    for option in range(first, first + w.class_options[job.cls]):
        t = _earliest_of(w, s, row.holder, option)
        if t < best:
            best, best_cell, row.found = t, w.option_cell[option], option
    row.known, row.reserved_cell, row.cls, row.gpus = 0, best_cell, job.cls, job.gpus
    row.reserved_for, row.reserved_on = job.id, now
    if w.class_masked[job.cls]:
        row.known, row.reserved_at = SCANNED, best
    elif best_cell >= 0 and best < s.cell[best_cell].next_down:
        per_node = s.cell[best_cell].per_node
        part = job.gpus % per_node
        row.known = 1
        row.reserved_at = NOW_FREE if best == now else best
        row.whole_by = count_by(s, best_cell, per_node, row.reserved_at)
        row.whole_before = count_by(s, best_cell, per_node, row.reserved_at - 1)
        row.part_by = count_by(s, best_cell, part, row.reserved_at) if part > 0 else 0
        row.part_before = count_by(s, best_cell, part, row.reserved_at - 1) if part > 0 else 0
    return best


@kernel
def _holds_without_picks(w: Rules, s: State, lane: int, t: int) -> bool:
    """Whether the holder can be placed at ``t`` in its reserved cell with the picked GPUs taken beyond it."""
    row = s.lane[lane]
    cell = row.reserved_cell
    if row.known == SCANNED and w.option_masked[row.found]:
        return holds_within(w, s, row.holder, row.found, t)
    if row.known != 1:
        return sweep(w, s, cell, row.gpus, t) == t
    per_node = s.cell[cell].per_node
    need, part = row.gpus // per_node, row.gpus % per_node
    whole, parts = row.whole_by, row.part_by
    for at in range(s.scalar[N_PICKS]):
        n = s.pick_node[at]
        f = per_node
        while f > 0 and s.free_at[n, f] > row.reserved_at:
            f -= 1
        if f == per_node:
            whole -= 1
        if f >= part > f - s.pick_gpus[at]:
            parts -= 1
    return bool(whole >= need and (part == 0 or parts > need))


@kernel
def _delays(w: Rules, s: State, lane: int, cell: int, estimate: int) -> bool:
    """Whether a job on the picked nodes of ``cell`` would delay the lane's holder."""
    h = s.lane[lane].holder
    cls = s.slot[h].cls
    if not has_cell(w, cls, cell) or (w.class_masked[cls] and not any_usable(w, s, cls)):
        return False
    if estimate >= UNKNOWN_S:
        return True
    t = _reserve(w, s, lane)
    if t >= UNKNOWN_S:
        return True
    if (
        s.scalar[NOW] + estimate <= t
        or cell != s.lane[lane].reserved_cell
        or _holds_without_picks(w, s, lane, t)
    ):
        return False
    first = w.class_option[cls]
    for option in range(first, first + w.class_options[cls]):
        if w.option_cell[option] != cell and _earliest_of(w, s, h, option) == t:
            return False
    return True


@kernel
def _first_delayed(w: Rules, s: State, island: int, i: int, option: int) -> int:
    """The first holder, in order, that job ``i`` on the picked nodes would delay; -1 if there is none."""
    estimate = estimate_on(w, s, i, option)
    found = -1
    lane = s.island[island].first_lane
    while lane >= 0:
        h = s.lane[lane].holder
        if (
            h >= 0
            and (found < 0 or precedes(s, h, found))
            and _delays(w, s, lane, w.option_cell[option], estimate)
        ):
            found = h
        lane = s.lane[lane].next_of_island
    return found


# --- the walk --


@kernel
def begin_walk(w: Rules, s: State, island: int, full: int) -> None:
    """Put new jobs into their lanes and point every lane at its first job."""
    lane = s.island[island].first_lane
    while lane >= 0:
        s.lane[lane].left = 0 if full else s.lane[lane].near
        lane = s.lane[lane].next_of_island
    i = s.island[island].first_new
    while i >= 0:
        set_key(w, s, i)
        if w.backfill == EASY:
            shape_of(w, s, i, island)
        lane = w.class_queue[s.slot[i].cls]
        insert(s, lane, i)
        s.lane[lane].near += 1
        s.slot[i].mark = s.scalar[PASS]
        i = s.slot[i].next_new
    lane = s.island[island].first_lane
    while lane >= 0:
        row = s.lane[lane]
        row.at, row.seen, row.closed, row.holder = s.lane_first[lane, 0], 0, 0, -1
        lane = row.next_of_island


@kernel
def next_in_order(w: Rules, s: State, island: int) -> int:
    """The lane whose next job comes first, within the depth; -1 when the walk is over.

    An arrival pass goes on to the jobs that its new ones pushed beyond the depth: their refusals still stand.
    """
    best = -1
    lane = s.island[island].first_lane
    while lane >= 0:
        row = s.lane[lane]
        within = row.at >= 0 and (row.seen < w.depth or row.left > 0)
        if within and (best < 0 or precedes(s, row.at, s.lane[best].at)):
            best = lane
        lane = row.next_of_island
    return best


@kernel
def put_state(w: Rules, s: State, lane: int, i: int, why: int, root: int, behind: int) -> None:
    """Set the state of job ``i``, and count how many of the lane are not beyond its depth."""
    was, now_is = s.slot[i].why == BEYOND_DEPTH, why == BEYOND_DEPTH
    s.lane[lane].near += (1 if was else 0) - (1 if now_is else 0)
    set_state(w, s, i, s.scalar[NOW], why, root, behind)


@kernel
def _note(w: Rules, s: State, lane: int, i: int) -> None:
    """Let the refusal of job ``i`` make it its lane's holder, or close the lane."""
    row, why = s.lane[lane], s.slot[i].why
    if row.holder < 0 and NOT_ONLINE <= why <= RESERVATION:
        row.holder = i
    if (why == OWN_QUOTA or why == LIMIT or why == POWER) and w.strict and not row.closed:
        row.closed = 1
        row.head = i


@kernel
def leave_lane(w: Rules, s: State, lane: int, i: int) -> None:
    """Job ``i`` waits no longer."""
    if s.slot[i].why != BEYOND_DEPTH:
        s.lane[lane].near -= 1
    take_out(s, lane, i)
    book(w, s, i, s.scalar[NOW])


@kernel
def _try(w: Rules, s: State, island: int, lane: int, i: int) -> None:
    """Start job ``i``, refuse it for ever, or write down why it does not start."""
    cls = s.slot[i].cls
    first = w.class_option[cls]
    highest, holder = STARTABLE, -1
    for option in range(first, first + w.class_options[cls]):
        refusal = test_option(w, s, i, option)
        if refusal == STARTABLE:
            pick_option(w, s, i, option)
            delayed = _first_delayed(w, s, island, i, option)
            if delayed < 0:
                leave_lane(w, s, lane, i)
                start(w, s, i, option)
                return
            refusal = RESERVATION
            holder = delayed if highest != RESERVATION else holder
        highest = higher(highest, refusal)
    cause = lost(w, s, i, highest)
    if cause != STARTABLE:
        leave_lane(w, s, lane, i)
        refuse_for_ever(w, s, i, cause)
        return
    root, behind = highest, -1
    if holder >= 0:
        root, behind = s.slot[holder].root, s.slot[holder].id
    if highest == RESERVATION:
        s.shape_est[s.slot[i].shape_no] = plain_estimate_s(w, s, i)
    memory = s.shape_mark[s.slot[i].shape_no]
    memory[0], memory[CODE], memory[ROOT], memory[BEHIND] = s.scalar[PASS], highest, root, behind
    put_state(w, s, lane, i, highest, root, behind)
    _note(w, s, lane, i)


@kernel
def _meet(w: Rules, s: State, island: int, lane: int, i: int, full: int) -> None:
    """The walk meets job ``i``."""
    row, job = s.lane[lane], s.slot[i]
    if not full and job.mark != s.scalar[PASS]:
        row.left -= 1 if job.why != BEYOND_DEPTH else 0
        if row.closed and job.why != BEYOND_DEPTH:
            put_state(w, s, lane, i, ORDER, s.slot[row.head].root, s.slot[row.head].id)
        else:
            _note(w, s, lane, i)
        return
    if row.seen > w.depth:
        return
    job.mark = -1
    if row.closed:
        put_state(w, s, lane, i, ORDER, s.slot[row.head].root, s.slot[row.head].id)
        return
    memory = s.shape_mark[job.shape_no]
    if memory[0] == s.scalar[PASS] and (
        memory[CODE] != RESERVATION or plain_estimate_s(w, s, i) >= s.shape_est[job.shape_no]
    ):
        put_state(w, s, lane, i, memory[CODE], memory[ROOT], memory[BEHIND])
        _note(w, s, lane, i)
    else:
        _try(w, s, island, lane, i)


@kernel
def _push_out(w: Rules, s: State, lane: int) -> None:
    """After a full walk: who is beyond the depth now and was not before."""
    row = s.lane[lane]
    left = row.near
    i = s.lane_first[lane, 0]
    while i >= 0 and i != row.at:
        left -= 1
        i = s.later[i, 0]
    while i >= 0 and left > 0:
        if s.slot[i].why != BEYOND_DEPTH:
            put_state(w, s, lane, i, BEYOND_DEPTH, BEYOND_DEPTH, -1)
            left -= 1
        i = s.later[i, 0]


@kernel
def end_walk(w: Rules, s: State, island: int, full: int) -> None:
    """Settle the jobs that the walk did not reach: they are beyond the depth."""
    lane = s.island[island].first_lane
    while lane >= 0:
        if full and s.lane[lane].at >= 0:
            _push_out(w, s, lane)
        lane = s.lane[lane].next_of_island
    i = s.island[island].first_new
    while i >= 0:
        job = s.slot[i]
        if job.status == WAITS and job.mark == s.scalar[PASS]:
            put_state(w, s, job.lane, i, BEYOND_DEPTH, BEYOND_DEPTH, -1)
        i = job.next_new
    s.island[island].first_new = -1
    s.island[island].last_new = -1


@kernel
def pass_easy(w: Rules, s: State, island: int, full: int) -> None:
    """One pass over an island."""
    begin_walk(w, s, island, full)
    while True:
        lane = next_in_order(w, s, island)
        if lane < 0:
            break
        row = s.lane[lane]
        i = row.at
        row.at = s.later[i, 0]
        row.seen += 1
        _meet(w, s, island, lane, i, full)
    end_walk(w, s, island, full)
