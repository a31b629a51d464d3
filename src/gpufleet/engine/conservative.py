"""The pass with conservative backfill: every waiting job within the depth gets a place in a plan, anew in
each pass.

The plan is kept per node: running jobs until their estimated ends, and the intervals planned so far. A job is
tried at ``now`` and at every later time at which something in its cell ends or comes into service."""

from __future__ import annotations

from gpufleet.engine import heap
from gpufleet.engine.easy import begin_walk, end_walk, leave_lane, next_in_order, put_state
from gpufleet.engine.forecast import in_service_at
from gpufleet.engine.jit import kernel
from gpufleet.engine.life import refuse_for_ever, start
from gpufleet.engine.memory import Rules
from gpufleet.engine.node_sets import is_own, may_take
from gpufleet.engine.order import estimate_on
from gpufleet.engine.own import own_planned_domain, own_planned_node
from gpufleet.engine.place import clear_picks, pick_node
from gpufleet.engine.quota import barred, lost, rank, test_option
from gpufleet.engine.state import N_PICKS, N_PLANNED, NEXT_CHANGE, NOW, State
from gpufleet.world.layout import (
    BEST_FIT,
    CONSOLIDATE,
    DOMAIN_FIRST,
    LIMIT,
    ORDER,
    OWN,
    OWN_QUOTA,
    POWER,
    RESERVATION,
    SPREAD,
    STARTABLE,
    UNKNOWN_S,
    UP,
)

FROM, UNTIL, GPUS = 1, 2, 3  # columns of plan; column 0 is the node


# --- what a node has left --


@kernel
def _end_of(s: State, g: int) -> int:
    """When the holder of a grant ends, as the plan believes."""
    return int(max(s.slot[s.grant[g].slot].est_end, s.scalar[NOW] + 1))


@kernel
def _used_at(s: State, n: int, t: int) -> int:
    """GPUs of the node that are taken at ``t`` in the plan."""
    used = 0
    g = s.node[n].grants
    while g >= 0:
        if _end_of(s, g) > t:
            used += s.grant[g].gpus
        g = s.grant[g].next_on_node
    p = s.plan_first[n]
    while p >= 0:
        if s.plan[p, FROM] <= t < s.plan[p, UNTIL]:
            used += s.plan[p, GPUS]
        p = s.plan_next[p]
    return used


@kernel
def _least_free(w: Rules, s: State, n: int, t: int, until: int) -> int:
    """The fewest GPUs that the plan leaves free on the node over [t, until); -1 if it is not in service at
    ``t``."""
    if not in_service_at(w, s, n, t):
        return -1
    most = _used_at(s, n, t)
    p = s.plan_first[n]
    while p >= 0:
        if t < s.plan[p, FROM] < until:
            most = max(most, _used_at(s, n, s.plan[p, FROM]))
        p = s.plan_next[p]
    return int(s.node[n].gpus - most)


@kernel
def _fits_at(w: Rules, s: State, i: int, option: int, t: int, estimate: int) -> bool:
    """Whether job ``i`` can be placed for [t, t + estimate); ``trial[:, 0]`` keeps what each node has."""
    cell, gpus, masked = w.option_cell[option], s.slot[i].gpus, w.option_masked[option]
    per_node, first = s.cell[cell].per_node, s.cell[cell].first_node
    whole, part = gpus // per_node, gpus % per_node
    idle, enough = 0, 0
    for n in range(first, first + s.cell[cell].n_nodes):
        free = -1
        if not masked or may_take(w, s.slot[i].cls, n, t, estimate):
            free = _least_free(w, s, n, t, t + estimate)
        s.trial[n, 0] = free
        idle += 1 if free == per_node else 0
        enough += 1 if free >= part else 0
    return bool(idle >= whole and (part == 0 or enough > whole))


@kernel
def _times(w: Rules, s: State, option: int) -> int:
    """Times at which something of the cell ends or comes up, as a heap in ``scratch[0]``; how many."""
    cell = w.option_cell[option]
    first, count = s.cell[cell].first_node, 0
    for n in range(first, first + s.cell[cell].n_nodes):
        g = s.node[n].grants
        while g >= 0:
            if _end_of(s, g) < UNKNOWN_S:
                heap.push(s.scratch[0], count, _end_of(s, g))
                count += 1
            g = s.grant[g].next_on_node
    for p in range(s.scalar[N_PLANNED]):
        if s.node[s.plan[p, 0]].cell == cell and s.plan[p, UNTIL] < UNKNOWN_S:
            heap.push(s.scratch[0], count, s.plan[p, UNTIL])
            count += 1
    for row in range(s.scalar[NEXT_CHANGE], len(w.change_t_s)):
        here = first <= w.change_first_node[row] < first + s.cell[cell].n_nodes
        if here and w.change_kind[row] == UP and (w.finish == 1 or w.change_t_s[row] < w.end_s):
            heap.push(s.scratch[0], count, w.change_t_s[row])
            count += 1
    if w.option_masked[option]:
        for window in range(len(w.window_to_s)):
            if w.window_to_s[window] > s.scalar[NOW]:
                heap.push(s.scratch[0], count, w.window_to_s[window])
                count += 1
    return count


@kernel
def _earliest(w: Rules, s: State, i: int, option: int) -> int:
    """The earliest time from now on at which the plan has room for job ``i``; UNKNOWN_S if none is known."""
    now, estimate = s.scalar[NOW], estimate_on(w, s, i, option)
    if _fits_at(w, s, i, option, now, estimate):
        return int(now)
    left, last = _times(w, s, option), now
    while left > 0:
        t = heap.pop(s.scratch[0], left)
        left -= 1
        if w.resolution_s > 0:
            t = -(-t // w.resolution_s) * w.resolution_s
        if t > last:
            last = t
            if _fits_at(w, s, i, option, t, estimate):
                return int(t)
    return UNKNOWN_S


# --- the placement rules, on what ``trial`` says --


@kernel
def _extreme(s: State, first: int, last: int, gpus: int, most: bool) -> int:
    """The node with the fewest (or most) free GPUs that holds ``gpus`` and is not picked; lowest on a tie."""
    found = -1
    for n in range(first, last):
        free = s.trial[n, 0]
        if free >= gpus and s.node[n].mark != -2:
            better = found < 0 or (free > s.trial[found, 0] if most else free < s.trial[found, 0])
            found = n if better else found
    return found


@kernel
def _idle_of(s: State, domain: int, per_node: int) -> int:
    count = 0
    for n in range(s.domain_first[domain], s.domain_first[domain] + s.domain_n[domain]):
        if s.trial[n, 0] == per_node and s.node[n].mark != -2:
            count += 1
    return count


@kernel
def _choose_domain(s: State, cell: int, left: int, tight: bool) -> int:
    """The domain with the fewest idle nodes from ``left`` up (``tight``), else the one with most; lowest on a
    tie."""
    per_node, first = s.cell[cell].per_node, s.cell[cell].first_node
    end = first + s.cell[cell].n_nodes
    enough, enough_idle, most, most_idle = -1, 0, -1, 0
    domain = s.cell[cell].first_domain
    while domain < len(s.domain_first) and s.domain_first[domain] < end:
        idle = _idle_of(s, domain, per_node)
        if idle >= left and (enough < 0 or idle < enough_idle):
            enough, enough_idle = domain, idle
        if idle > most_idle:
            most, most_idle = domain, idle
        domain += 1
    return enough if tight and enough >= 0 else most


@kernel
def _pick_idle(s: State, cell: int, first: int, count: int, wanted: int) -> int:
    """Pick up to ``wanted`` idle nodes of ``count`` from ``first`` on, lowest first; how many were picked."""
    per_node, taken = s.cell[cell].per_node, 0
    for n in range(first, first + count):
        if taken < wanted and s.trial[n, 0] == per_node and s.node[n].mark != -2:
            pick_node(s, n, per_node)
            taken += 1
    return taken


@kernel
def _pick_planned(w: Rules, s: State, cell: int, gpus: int) -> None:
    """Choose nodes by the policy's placement, on the counts in ``trial``."""
    s.scalar[N_PICKS] = 0
    per_node, first, rule = s.cell[cell].per_node, s.cell[cell].first_node, w.placement
    last = first + s.cell[cell].n_nodes
    whole, part, domain = gpus // per_node, gpus % per_node, -1
    if gpus <= per_node:
        whole, part = 0, gpus
    if rule == CONSOLIDATE or rule == BEST_FIT or (rule == OWN and not w.own_by_domain):
        _pick_idle(s, cell, first, last - first, whole)
    else:
        while whole > 0:
            wanted = 1 if rule == SPREAD else whole
            if rule == OWN:
                domain, wanted = own_planned_domain(w, s, cell, gpus, whole)
            else:
                domain = _choose_domain(s, cell, whole, rule == DOMAIN_FIRST)
            whole -= _pick_idle(s, cell, s.domain_first[domain], s.domain_n[domain], wanted)
    if part > 0:
        n = -1
        if domain >= 0 and rule == DOMAIN_FIRST:
            start_of = s.domain_first[domain]
            n = _extreme(s, start_of, start_of + s.domain_n[domain], part, False)
        elif rule == OWN:
            n = own_planned_node(w, s, cell, gpus, part, domain)
        if n < 0:
            most = rule == SPREAD or (rule == CONSOLIDATE and gpus > per_node)
            n = _extreme(s, first, last, part, most)
        pick_node(s, n, part)
    clear_picks(s)


@kernel
def _prefer_own(w: Rules, s: State, i: int, option: int, t: int) -> None:
    """Have only the nodes of the job's own reservations count, if they alone hold it at ``t``."""
    cell, gpus, cls = w.option_cell[option], s.slot[i].gpus, s.slot[i].cls
    if not w.option_masked[option]:
        return
    per_node, first, idle, enough = s.cell[cell].per_node, s.cell[cell].first_node, 0, 0
    whole, part = gpus // per_node, gpus % per_node
    last = first + s.cell[cell].n_nodes
    for n in range(first, last):
        if is_own(w, cls, n, t):
            idle += 1 if s.trial[n, 0] == per_node else 0
            enough += 1 if s.trial[n, 0] >= part else 0
    if idle >= whole and (part == 0 or enough > whole):
        for n in range(first, last):
            if not is_own(w, cls, n, t):
                s.trial[n, 0] = -1


# --- the walk --


@kernel
def _add_to_plan(s: State, i: int, cell: int, t: int, estimate: int, rank: int) -> None:
    """Hold the picked nodes for job ``i`` from ``t`` on."""
    for at in range(s.scalar[N_PICKS]):
        p, n = s.scalar[N_PLANNED], s.pick_node[at]
        s.plan[p, 0], s.plan[p, FROM] = n, t
        s.plan[p, UNTIL] = UNKNOWN_S if estimate >= UNKNOWN_S else t + estimate
        s.plan[p, GPUS] = s.pick_gpus[at]
        s.plan_next[p] = s.plan_first[n]
        s.plan_first[n] = p
        s.scalar[N_PLANNED] = p + 1
    if s.cell[cell].planned < 0:
        s.cell[cell].planned, s.cell[cell].planned_rank = i, rank


@kernel
def _clear_plan(s: State, island: int) -> None:
    for p in range(s.scalar[N_PLANNED]):
        s.plan_first[s.plan[p, 0]] = -1
    s.scalar[N_PLANNED] = 0
    for c in range(len(s.cell)):
        s.cell[c].planned = -1


@kernel
def _find_place(w: Rules, s: State, i: int) -> tuple[int, int]:
    """(time, option) of the earliest place of job ``i`` in the plan."""
    job = s.slot[i]
    best, best_option = UNKNOWN_S, -1
    first = w.class_option[job.cls]
    for option in range(first, first + w.class_options[job.cls]):
        cell = w.option_cell[option]
        if not barred(w, s, job.cls, cell, job.gpus):
            t = _earliest(w, s, i, option)
            if t < best:
                best, best_option = t, option
    return best, best_option


@kernel
def _refusal(w: Rules, s: State, i: int) -> tuple[int, bool]:
    """(what the free GPUs of now say, RESERVATION if it would fit; whether a window reserves them)."""
    job = s.slot[i]
    highest, window, first = STARTABLE, False, w.class_option[job.cls]
    for option in range(first, first + w.class_options[job.cls]):
        refusal = test_option(w, s, i, option)
        now = RESERVATION if refusal == STARTABLE else refusal
        if rank(now) > rank(highest):
            window, highest = refusal == RESERVATION, now
    return highest, window


@kernel
def _first_planned(w: Rules, s: State, i: int) -> int:
    """The first job of this pass that is planned in a cell of job ``i``; -1 if there is none."""
    cls, found, found_rank = s.slot[i].cls, -1, 0
    for option in range(w.class_option[cls], w.class_option[cls] + w.class_options[cls]):
        cell = s.cell[w.option_cell[option]]
        if cell.planned >= 0 and (found < 0 or cell.planned_rank < found_rank):
            found, found_rank = cell.planned, cell.planned_rank
    return found


@kernel
def _refuse(w: Rules, s: State, lane: int, i: int) -> None:
    refusal, window = _refusal(w, s, i)
    cause = lost(w, s, i, refusal)
    if cause != STARTABLE:
        leave_lane(w, s, lane, i)
        refuse_for_ever(w, s, i, cause)
        return
    root, behind = refusal, -1
    if refusal == RESERVATION and not window:
        ahead = _first_planned(w, s, i)
        root, behind = s.slot[ahead].root, s.slot[ahead].id
    put_state(w, s, lane, i, refusal, root, behind)
    if (refusal == OWN_QUOTA or refusal == LIMIT or refusal == POWER) and w.strict:
        s.lane[lane].closed, s.lane[lane].head = 1, i


@kernel
def _meet(w: Rules, s: State, lane: int, i: int, rank: int) -> None:
    """Start job ``i``, or plan it and write down why it does not start."""
    row = s.lane[lane]
    s.slot[i].mark = -1
    if row.closed:
        put_state(w, s, lane, i, ORDER, s.slot[row.head].root, s.slot[row.head].id)
        return
    now = s.scalar[NOW]
    t, option = _find_place(w, s, i)
    if option >= 0:
        cell, gpus, estimate = w.option_cell[option], s.slot[i].gpus, estimate_on(w, s, i, option)
        _fits_at(w, s, i, option, t, estimate)
        _prefer_own(w, s, i, option, t)
        _pick_planned(w, s, cell, gpus)
        if t == now:
            leave_lane(w, s, lane, i)
            start(w, s, i, option)
            return
    _refuse(w, s, lane, i)
    if option >= 0 and (w.window_s == 0 or t <= now + w.window_s):
        _add_to_plan(s, i, cell, t, estimate, rank)


@kernel
def pass_conservative(w: Rules, s: State, island: int) -> None:
    """One pass over an island."""
    begin_walk(w, s, island, 1)
    _clear_plan(s, island)
    rank = 0
    while True:
        lane = next_in_order(w, s, island)
        if lane < 0:
            break
        row = s.lane[lane]
        i = row.at
        row.at = s.later[i, 0]
        row.seen += 1
        _meet(w, s, lane, i, rank)
        rank += 1
    end_walk(w, s, island, 1)
