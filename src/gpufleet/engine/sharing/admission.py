"""A pass with admission by cycles: heads of queues compete, until a cycle changes nothing.

Waiting jobs of a best-effort queue stand in one lane per shape: what refuses the first of them refuses all,
so the lane is parked as a whole until something is given back. A strict queue is one lane.
"""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.life import refuse_for_ever, wait_for_pass
from gpufleet.engine.memory import Rules
from gpufleet.engine.order import insert, plain_estimate_s, precedes, set_key, take_out
from gpufleet.engine.own import own_key
from gpufleet.engine.quota import lost, rank
from gpufleet.engine.shapes import GPU_BITS, number_of, open_lane
from gpufleet.engine.sharing.books import release, write_event
from gpufleet.engine.sharing.cycle import run_cycle
from gpufleet.engine.sharing.physical import SEQUENCE_BITS, evict, place_for
from gpufleet.engine.sharing.quotas import change_quotas, first_to_go
from gpufleet.engine.sharing.state import (
    ACTIVE,
    ANY_STICKY,
    BY_QUOTA,
    CYCLE,
    FIRST_QUEUE,
    N_CHOSEN,
    N_ENTRIES,
    N_EVENTS,
    N_HEADS,
    N_WAITING,
    PARKED,
    RELEASES,
    THIS_PASS,
    Share,
)
from gpufleet.engine.sharing.tree import available
from gpufleet.engine.state import N_TODO, NOW, PASS, TOP_SLOT, WAITS, State
from gpufleet.engine.tally import join, leave, set_head, set_root
from gpufleet.world.layout import (
    COHORT,
    OWN,
    OWN_QUOTA,
    STARTABLE,
    UNLIMITED,
    Tree,
)

_STRICT_KEY = 1 << 46  # of lanes of strict queues among the keys of shapes


@kernel
def room_for_pass(s: State, h: Share) -> bool:
    """Whether there are rows for all jobs and lanes, and to write that all are preempted, then killed."""
    rows = len(h.work) >= len(s.slot) and len(h.n_pods) >= len(s.lane)
    return bool(rows and h.scalar[N_EVENTS] + 2 * s.scalar[TOP_SLOT] <= h.event.shape[0])


@kernel
def refusal_of(w: Rules, s: State, t: Tree, h: Share, i: int) -> int:
    """Why job ``i`` does not start now: the highest refusal over the products that it accepts."""
    work, highest = h.work[i], STARTABLE
    amount = s.slot[i].gpus
    for at in range(h.flavors.shape[2]):
        k = h.flavors[work.shape_no, 0, at]
        if k < 0:
            break
        refusal = STARTABLE
        if amount > available(t, h, work.queue, k):
            refusal = OWN_QUOTA if _own_limit_refuses(t, h, work.queue, k, amount) else COHORT
        else:
            refusal = place_for(w, s, i, k)[0]
        if rank(refusal) > rank(highest):
            highest = refusal
    return COHORT if highest == STARTABLE else highest  # what it needs is held for another queue's head


@kernel
def _own_limit_refuses(t: Tree, h: Share, queue: int, k: int, amount: int) -> bool:
    """Whether the queue's own quota and borrowing limit refuse the amount, whatever its cohort has."""
    if t.parent[queue] < 0:
        return True
    if t.borrow[queue, k] == UNLIMITED:
        return False
    return bool(h.usage[queue, k] + amount > t.nominal[queue, k] + t.borrow[queue, k])


@kernel
def _look_at(s: State, lane: int) -> None:
    """Have the pass consider the lane."""
    row = s.lane[lane]
    if row.mark != s.scalar[PASS]:
        row.mark = s.scalar[PASS]
        s.todo[s.scalar[N_TODO]] = lane
        s.scalar[N_TODO] += 1
    row.closed, row.blocked = 0, 0


@kernel
def _new_shape(w: Rules, s: State, h: Share, cls: int, gpus: int, shape: int) -> None:
    """What jobs of a new shape ask for: one pod set of one pod, of the products that the class accepts."""
    h.n_pods[shape], h.pods[shape, 0], h.least_pods[shape, 0], h.ask[shape, 0, 0] = 1, 1, 1, gpus
    n, first = 0, w.class_option[cls]
    for at in range(h.flavors.shape[2]):
        h.flavors[shape, 0, at] = -1
    for option in range(first, first + w.class_options[cls]):
        product, known = s.cell[w.option_cell[option]].product, False
        for at in range(n):
            known = known or h.flavors[shape, 0, at] == product
        if not known:
            h.flavors[shape, 0, n] = product
            n += 1


@kernel
def _lane_of(w: Rules, s: State, t: Tree, h: Share, i: int, island: int) -> int:
    """The lane of job ``i``; its shape is numbered on the way."""
    job = s.slot[i]
    queue = w.class_queue[job.cls]
    strict = t.strict[h.scalar[FIRST_QUEUE] + queue]
    shape, new = number_of(s, (int(job.cls) << GPU_BITS) | int(job.gpus))
    job.shape_no = shape
    if new:
        _new_shape(w, s, h, job.cls, job.gpus, shape)
        if not strict:
            open_lane(s, shape, queue, island)
            s.lane[shape].strict = 0
    if not strict:
        return shape
    lane, new = number_of(s, _STRICT_KEY | queue)
    if new:
        open_lane(s, lane, queue, island)
        s.lane[lane].strict = 1
    return lane


@kernel
def _make_work(w: Rules, s: State, h: Share, i: int) -> None:
    """Have job ``i`` compete for quota."""
    job, work = s.slot[i], h.work[i]
    work.queue, work.shape_no = h.scalar[FIRST_QUEUE] + w.class_queue[job.cls], job.shape_no
    work.priority, work.key, work.time, work.rank = job.prio, job.key, job.seq, job.id
    work.state, work.n_use, work.evicted, work.sticky = ACTIVE, 0, 0, 0
    work.chosen, work.away, work.passed, work.tried_in, work.tried_at = 0, 0, -1, -1, -1
    h.tried[i, 0, 0] = -1


@kernel
def _take_in(w: Rules, s: State, t: Tree, h: Share, i: int, island: int) -> int:
    """Put a job that the pass meets for the first time into its lane; the lane."""
    if s.slot[i].attempts == 0:
        set_key(w, s, i)
        s.slot[i].seq = s.slot[i].id << SEQUENCE_BITS
    elif w.order == OWN:  # its place in time stays
        s.slot[i].key = own_key(w, s, i, plain_estimate_s(w, s, i))
    lane = _lane_of(w, s, t, h, i, island)
    _make_work(w, s, h, i)
    row = s.lane[lane]
    empty = row.count == 0
    insert(s, lane, i)
    if empty:
        _note_waiting(s, h, lane)
    if empty or row.strict:
        _look_at(s, lane)
    elif s.lane_first[lane, 0] == i and row.mark != s.scalar[PASS]:
        _look_at(s, lane)
        row.blocked = 1  # those who waited before stay parked
    return lane


@kernel
def _note_waiting(s: State, h: Share, lane: int) -> None:
    """Somebody waits in a lane that was empty."""
    if s.lane[lane].at == 0:
        h.waiting[h.scalar[N_WAITING]] = lane
        h.scalar[N_WAITING] += 1
        s.lane[lane].at = h.scalar[N_WAITING]


@kernel
def _open_waiting(s: State, h: Share, island: int, strict_only: bool) -> None:
    """Have the pass consider all lanes in which somebody waits; those that are empty leave the list."""
    at = 0
    while at < h.scalar[N_WAITING]:
        lane = h.waiting[at]
        row = s.lane[lane]
        if row.count == 0:
            h.scalar[N_WAITING] -= 1
            last = h.waiting[h.scalar[N_WAITING]]
            h.waiting[at] = last
            s.lane[last].at = at + 1
            row.at = 0
            continue
        if row.island == island and (row.strict or not strict_only):
            _look_at(s, lane)
        at += 1


@kernel
def _is_open(s: State, i: int) -> bool:
    """Whether job ``i`` waits in an open lane."""
    return bool(s.slot[i].status == WAITS and not s.lane[s.slot[i].lane].closed)


@kernel
def _find_heads(s: State, h: Share) -> bool:
    """The job that competes for each queue: the first of its open lanes. False if there is none."""
    for at in range(h.scalar[N_HEADS]):
        h.head[h.heads[at]] = -1
    h.scalar[N_HEADS] = 0
    for at in range(s.scalar[N_TODO]):
        lane = s.todo[at]
        row, i = s.lane[lane], s.lane_first[lane, 0]
        if not row.closed and i >= 0 and not (row.blocked and s.slot[i].joined):
            node = h.scalar[FIRST_QUEUE] + row.queue
            first = h.sticky[node]
            if first >= 0 and _is_open(s, first):
                i = first
            if h.head[node] < 0:
                h.heads[h.scalar[N_HEADS]] = node
                h.scalar[N_HEADS] += 1
            if h.head[node] < 0 or precedes(s, i, h.head[node]):
                h.head[node] = i
    return bool(h.scalar[N_HEADS] > 0)


@kernel
def _carry_out(w: Rules, s: State, t: Tree, h: Share, island: int) -> None:
    """Victims of the cycle hold no quota any more, and wait; everybody may try again."""
    now = s.scalar[NOW]
    for at in range(h.scalar[N_CHOSEN]):
        i = h.chosen[at]
        release(w, s, t, h, i, now)
        put_back_in_line(w, s, t, h, i, island)
    if h.scalar[N_CHOSEN] > 0:
        h.scalar[RELEASES] += 1
        _open_waiting(s, h, island, False)


@kernel
def put_back_in_line(w: Rules, s: State, t: Tree, h: Share, i: int, island: int) -> None:
    """A job that was evicted waits in its lane, unless it is to return later."""
    if s.slot[i].status == WAITS:
        wait_for_pass(w, s, i, island)
        _take_in(w, s, t, h, i, island)


@kernel
def _note_refusals(w: Rules, s: State, t: Tree, h: Share) -> bool:
    """Close the lanes of heads that were parked; whether there were any."""
    parked = False
    for e in range(h.scalar[N_ENTRIES]):
        i = h.entry[e].work
        if h.work[i].state == PARKED:
            h.work[i].state = ACTIVE
            s.lane[s.slot[i].lane].closed = 1
            parked = True
    return parked


@kernel
def _evict_what_exceeds(w: Rules, s: State, t: Tree, h: Share, island: int) -> None:
    """Jobs of queues that use more than they may, since a quota fell, give way."""
    for queue in range(s.used.shape[0]):
        if w.queue_island[queue] == island:
            for k in range(s.used.shape[1]):
                i = first_to_go(t, h, h.scalar[FIRST_QUEUE] + queue, k)
                while i >= 0:
                    write_event(s, h, i, -1, BY_QUOTA, evict(w, s, i))
                    release(w, s, t, h, i, s.scalar[NOW])
                    if s.slot[i].status == WAITS:
                        wait_for_pass(w, s, i, island)  # the pass takes it in with those that are new
                    i = first_to_go(t, h, h.scalar[FIRST_QUEUE] + queue, k)


@kernel
def _drop_for_ever(w: Rules, s: State, t: Tree, h: Share, now: int) -> bool:
    """Note why the first jobs are refused, and take out those that can never run; whether there were any."""
    dropped = False
    for at in range(s.scalar[N_TODO]):
        lane = s.todo[at]
        i = s.lane_first[lane, 0]
        if i < 0:
            continue
        s.lane[lane].refused = refusal_of(w, s, t, h, i)
        cause = lost(w, s, i, s.lane[lane].refused)
        if cause != STARTABLE:
            take_out(s, lane, i)
            leave(w, s, i, lane, now)
            refuse_for_ever(w, s, i, cause)
            dropped = True
    return dropped


@kernel
def _settle(w: Rules, s: State, island: int, now: int) -> None:
    """Write down who waits for what until the next pass."""
    i = s.island[island].first_new
    while i >= 0:
        if s.slot[i].status == WAITS and s.slot[i].joined == 0:
            join(w, s, i, s.slot[i].lane, now)
        i = s.slot[i].next_new
    for at in range(s.scalar[N_TODO]):
        lane = s.todo[at]
        first = s.lane_first[lane, 0]
        if first >= 0 and s.lane[lane].strict:
            set_head(w, s, lane, now, first, s.lane[lane].refused)
        elif first >= 0:
            set_root(w, s, lane, now, s.lane[lane].refused)


@kernel
def _run_cycles(w: Rules, s: State, t: Tree, h: Share, island: int) -> None:
    """Cycles until one changes nothing."""
    while _find_heads(s, h):
        changes = run_cycle(w, s, t, h)
        parked = _note_refusals(w, s, t, h)
        _carry_out(w, s, t, h, island)
        if changes == 0 and not parked:
            break


@kernel
def pass_sharing(w: Rules, s: State, t: Tree, h: Share, island: int, full: int) -> None:
    """One pass over an island: cycles until one changes nothing."""
    now = s.scalar[NOW]
    s.scalar[N_TODO] = 0
    h.scalar[THIS_PASS] = s.scalar[PASS]
    h.scalar[CYCLE] += 2  # nothing that was tried before the pass is remembered
    h.scalar[RELEASES] += 1
    changed = change_quotas(w, s, t, h)
    if w.evict_falling and (changed or full):
        _evict_what_exceeds(w, s, t, h, island)
    _open_waiting(s, h, island, not full)
    i = s.island[island].first_new
    while i >= 0:
        following = s.slot[i].next_new
        _take_in(w, s, t, h, i, island)
        i = following
    _run_cycles(w, s, t, h, island)
    while _drop_for_ever(w, s, t, h, now):
        _run_cycles(w, s, t, h, island)
    if h.scalar[ANY_STICKY]:
        h.scalar[ANY_STICKY] = 0
        for node in range(len(h.sticky)):
            h.sticky[node] = -1
    _settle(w, s, island, now)
    s.island[island].first_new = -1
    s.island[island].last_new = -1
