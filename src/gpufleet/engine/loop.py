"""The clock: the order of events is defined here and nowhere else.

A driver runs until it needs something that a kernel cannot do (more jobs, more room, writing results), says
what, and is called again: the state is consistent at each return."""

from __future__ import annotations

from collections.abc import Callable

from gpufleet.engine import heap
from gpufleet.engine.caps import change_caps, keep_caps
from gpufleet.engine.conservative import pass_conservative
from gpufleet.engine.easy import pass_easy
from gpufleet.engine.forecast import look_ahead, touch
from gpufleet.engine.gates import look_at_gates, next_look
from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.lanes import pass_lanes
from gpufleet.engine.life import drop_stale_ends, end_jobs, hand_out, kill_on_node, mark_due, take_in
from gpufleet.engine.memory import Rules
from gpufleet.engine.own import FAULT, NO_FAULT
from gpufleet.engine.pace import settle_levels
from gpufleet.engine.place import plan_service, set_service
from gpufleet.engine.samples import take_samples
from gpufleet.engine.sharing.admission import pass_sharing, room_for_pass
from gpufleet.engine.sharing.state import BY_FAILURE, BY_KILL, FIRST_QUEUE, Share
from gpufleet.engine.sharing.tree import root_of
from gpufleet.engine.srtf import pass_srtf
from gpufleet.engine.state import (
    EPOCH,
    FREE_SLOTS,
    N_DUE,
    N_ENDS,
    N_SAMPLED,
    N_SHAPES,
    NEXT_CAP,
    NEXT_CHANGE,
    NEXT_FAULT,
    NEXT_JOB,
    NEXT_OPEN,
    NEXT_PLANNED_S,
    NEXT_QUOTA,
    NOW,
    PASS,
    PASS_STANDS,
    TOP_SLOT,
    WAITS,
    State,
)
from gpufleet.world.layout import (
    CONSERVATIVE,
    EASY,
    KILL,
    NO_BACKFILL,
    SRTF,
    UNKNOWN_S,
    UP,
    Jobs,
    Tree,
    World,
)

(
    FINISHED,
    NEED_JOBS,
    OUT_FULL,
    GROW_SLOTS,
    GROW_LANES,
    GROW_BINS,
    GROW_PLAN,
    STEPPED,
    PASS_DUE,
    GROW_SHARE,
    OWN_FAULT,
) = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
)


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
def _change_capacity(w: Rules, s: State, t: Tree, h: Share, now: int) -> None:
    """Nodes come into service and leave it, as the plan says for this second."""
    if s.scalar[NEXT_CHANGE] >= len(w.change_t_s) or w.change_t_s[s.scalar[NEXT_CHANGE]] != now:
        return
    while s.scalar[NEXT_CHANGE] < len(w.change_t_s) and w.change_t_s[s.scalar[NEXT_CHANGE]] == now:
        row = s.scalar[NEXT_CHANGE]
        s.scalar[NEXT_CHANGE] += 1
        kind, first = w.change_kind[row], w.change_first_node[row]
        for n in range(first, first + w.change_n_nodes[row]):
            changed = plan_service(w, s, n, 1 if kind == UP else 0)
            if kind == KILL:
                changed |= kill_on_node(w, s, t, h, n, BY_KILL)
            if changed:
                mark_due(s, s.cell[s.node[n].cell].island, 1)
    if w.backfill == EASY:
        look_ahead(w, s)
    while s.scalar[EPOCH] + 1 < len(s.epoch_s) and s.epoch_s[s.scalar[EPOCH] + 1] <= now:
        s.scalar[EPOCH] += 1


@kernel
def _change_faults(w: Rules, s: State, t: Tree, h: Share, now: int) -> None:
    """Nodes fail at this second, and come back from repair."""
    while s.scalar[NEXT_FAULT] < len(w.fault_t_s) and w.fault_t_s[s.scalar[NEXT_FAULT]] <= now:
        n, which = w.fault_node[s.scalar[NEXT_FAULT]], w.fault_of[s.scalar[NEXT_FAULT]]
        s.scalar[NEXT_FAULT] += 1
        node, changed = s.node[n], False
        if which > 0 and node.failed == 0 and (node.online or node.grants >= 0):
            node.failed = which
            changed = set_service(w, s, n, 0)
            changed |= kill_on_node(w, s, t, h, n, BY_FAILURE)
        elif which < 0 and node.failed == -which:
            node.failed = 0
            changed = set_service(w, s, n, node.planned)
        if changed:
            mark_due(s, s.cell[node.cell].island, 1)
            if w.backfill == EASY:
                touch(w, s, n)


@kernel
def find_next_planned(w: Rules, s: State) -> None:
    """Write down when the plan's next change is due, UNKNOWN_S if none follows; few seconds have one."""
    then = UNKNOWN_S
    if s.scalar[NEXT_CHANGE] < len(w.change_t_s):
        then = min(then, w.change_t_s[s.scalar[NEXT_CHANGE]])
    if s.scalar[NEXT_FAULT] < len(w.fault_t_s):
        then = min(then, w.fault_t_s[s.scalar[NEXT_FAULT]])
    if s.scalar[NEXT_QUOTA] < len(w.quota_t_s):
        then = min(then, w.quota_t_s[s.scalar[NEXT_QUOTA]])
    if s.scalar[NEXT_OPEN] < len(w.open_t_s):
        then = min(then, w.open_t_s[s.scalar[NEXT_OPEN]])
    if s.scalar[NEXT_CAP] < len(w.cap_t_s):
        then = min(then, w.cap_t_s[s.scalar[NEXT_CAP]])
    s.scalar[NEXT_PLANNED_S] = then


@kernel
def _make_planned_changes(w: Rules, s: State, t: Tree, h: Share, now: int) -> None:
    """Whatever the plan changes at this second."""
    if s.scalar[NEXT_PLANNED_S] > now:
        return
    before = s.scalar[NEXT_CHANGE] + s.scalar[NEXT_FAULT] + s.scalar[NEXT_CAP]
    _change_capacity(w, s, t, h, now)
    _change_faults(w, s, t, h, now)
    if w.power:
        change_caps(w, s, now)
        # nothing else lifts a site above its cap
        if w.stop_over_cap and s.scalar[NEXT_CHANGE] + s.scalar[NEXT_FAULT] + s.scalar[NEXT_CAP] > before:
            keep_caps(w, s, t, h)
    _change_quotas(w, s, t, h, now)
    _end_windows(w, s, now)
    find_next_planned(w, s)


@kernel
def _next_event(w: Rules, s: State, submit: int) -> int:
    """When something happens next, UNKNOWN_S if nothing does."""
    now = min(submit, _next_pass(w, s))
    drop_stale_ends(s)
    if s.scalar[N_ENDS] > 0:
        now = min(now, s.ends[0] >> heap.SLOT_BITS)
    now = min(now, s.scalar[NEXT_PLANNED_S])
    if w.gates:
        now = min(now, next_look(w, s))
    return int(now)


@kernel
def _change_quotas(w: Rules, s: State, t: Tree, h: Share, now: int) -> None:
    """Quotas that change at this second make a full pass due in the islands of their tree."""
    while s.scalar[NEXT_QUOTA] < len(w.quota_t_s) and w.quota_t_s[s.scalar[NEXT_QUOTA]] <= now:
        root = root_of(t, h.change_row[s.scalar[NEXT_QUOTA]])
        s.scalar[NEXT_QUOTA] += 1
        for queue in range(s.used.shape[0]):
            if root_of(t, h.scalar[FIRST_QUEUE] + queue) == root:
                mark_due(s, w.queue_island[queue], 1)


@kernel
def _end_windows(w: Rules, s: State, now: int) -> None:
    """Where nodes are kept no longer, a full pass is due."""
    while s.scalar[NEXT_OPEN] < len(w.open_t_s) and w.open_t_s[s.scalar[NEXT_OPEN]] <= now:
        mark_due(s, w.open_island[s.scalar[NEXT_OPEN]], 1)
        s.scalar[NEXT_OPEN] += 1


@kernel
def _next_submit(w: Rules, s: State, jobs: Jobs) -> int:
    """When the next job of the batch becomes eligible, UNKNOWN_S if there is none within the plan."""
    row = s.scalar[NEXT_JOB]
    submit = jobs.submit_s[row] if row < len(jobs.gpus) else UNKNOWN_S
    return submit if submit < w.end_s else UNKNOWN_S


@kernel
def _needs_room(w: Rules, s: State) -> int:
    """What the coming pass needs more room for, 0 if it has enough."""
    by_shape = w.order != SRTF and (w.backfill == EASY or (w.backfill == NO_BACKFILL and not w.strict))
    if (by_shape or w.shares) and s.scalar[N_SHAPES] + 2 * _new_jobs(s) > len(s.lane):
        return GROW_LANES
    if w.backfill == CONSERVATIVE and _most_planned(s) > len(s.plan):
        return GROW_PLAN
    return 0


@kernel
def to_next_pass(w: Rules, s: State, t: Tree, h: Share, jobs: Jobs, closed: bool, one_step: bool) -> int:
    """Run until a pass is due or something is needed; ``closed`` says that no batch follows this one."""
    while True:
        if s.fault[FAULT] != NO_FAULT:
            return OWN_FAULT
        if w.slows:
            settle_levels(w, s)
        if not hand_out(w, s):
            return OUT_FULL
        if s.scalar[NEXT_JOB] >= len(jobs.gpus) and not closed:
            return NEED_JOBS
        submit = _next_submit(w, s, jobs)
        now = _next_event(w, s, submit)
        if now == UNKNOWN_S or (now >= w.end_s and not w.finish):
            return FINISHED
        grid_bin = now // w.grid_s
        if grid_bin + 1 >= s.busy.shape[3]:
            return GROW_BINS
        if grid_bin > s.scalar[N_SAMPLED]:
            take_samples(w, s, now)
        s.scalar[NOW] = now
        end_jobs(w, s, t, h, now)
        _make_planned_changes(w, s, t, h, now)
        while submit == now:
            if s.scalar[FREE_SLOTS] < 0:
                return GROW_SLOTS
            take_in(w, s, jobs)
            if s.scalar[NEXT_JOB] >= len(jobs.gpus) and not closed:
                return NEED_JOBS
            submit = _next_submit(w, s, jobs)
        if w.gates:
            look_at_gates(w, s)
        if _next_pass(w, s) == now:
            need = _needs_room(w, s)
            return need if need > 0 else PASS_DUE
        if one_step:
            return STEPPED


@kernel
def _take_due(s: State) -> tuple[int, int]:
    """(lowest island that is due, whether its pass is full); (-1, 0) when all have had their pass."""
    if s.scalar[N_DUE] == 0:
        return -1, 0
    s.scalar[N_DUE] -= 1
    last = s.scalar[N_DUE]
    for at in range(last):
        if s.due[at] < s.due[last]:
            s.due[at], s.due[last] = s.due[last], s.due[at]
    island = s.due[last]
    row = s.island[island]
    full = row.full
    row.due, row.full = 0, 0
    s.scalar[PASS] += 1
    return island, full


# One driver per kind of pass, so that a run compiles only its own. (A kernel that takes a kernel as an
# argument would be compiled
# anew in every process.)


@entry
def _run_lanes(w: Rules, s: State, t: Tree, h: Share, jobs: Jobs, closed: bool, one_step: bool) -> int:
    code = to_next_pass(w, s, t, h, jobs, closed, one_step)
    while code == PASS_DUE:
        island, full = _take_due(s)
        while island >= 0:
            pass_lanes(w, s, island, full)
            island, full = _take_due(s)
        code = STEPPED if one_step else to_next_pass(w, s, t, h, jobs, closed, one_step)
    return code


@entry
def _run_easy(w: Rules, s: State, t: Tree, h: Share, jobs: Jobs, closed: bool, one_step: bool) -> int:
    code = to_next_pass(w, s, t, h, jobs, closed, one_step)
    while code == PASS_DUE:
        island, full = _take_due(s)
        while island >= 0:
            pass_easy(w, s, island, full)
            island, full = _take_due(s)
        code = STEPPED if one_step else to_next_pass(w, s, t, h, jobs, closed, one_step)
    return code


@entry
def _run_conservative(w: Rules, s: State, t: Tree, h: Share, jobs: Jobs, closed: bool, one_step: bool) -> int:
    code = to_next_pass(w, s, t, h, jobs, closed, one_step)
    while code == PASS_DUE:
        island, _ = _take_due(s)
        while island >= 0:
            pass_conservative(w, s, island)
            island, _ = _take_due(s)
        code = STEPPED if one_step else to_next_pass(w, s, t, h, jobs, closed, one_step)
    return code


@entry
def _run_srtf(w: Rules, s: State, t: Tree, h: Share, jobs: Jobs, closed: bool, one_step: bool) -> int:
    code = to_next_pass(w, s, t, h, jobs, closed, one_step)
    while code == PASS_DUE:
        island, _ = _take_due(s)
        while island >= 0:
            pass_srtf(w, s, island)
            island, _ = _take_due(s)
        code = STEPPED if one_step else to_next_pass(w, s, t, h, jobs, closed, one_step)
    return code


@entry
def _run_sharing(w: Rules, s: State, t: Tree, h: Share, jobs: Jobs, closed: bool, one_step: bool) -> int:
    code = PASS_DUE if s.scalar[PASS_STANDS] else to_next_pass(w, s, t, h, jobs, closed, one_step)
    while code == PASS_DUE:
        s.scalar[PASS_STANDS] = 1
        while s.scalar[N_DUE] > 0:
            if not room_for_pass(s, h):
                return GROW_SHARE
            island, full = _take_due(s)
            pass_sharing(w, s, t, h, island, full)
        s.scalar[PASS_STANDS] = 0
        code = STEPPED if one_step else to_next_pass(w, s, t, h, jobs, closed, one_step)
    return code


def driver(world: World) -> Callable[..., int]:
    """The kernel for a world of this policy: ``(rules, state, tree, share, jobs, closed, one_step)``."""
    if world.shared is not None:
        return _run_sharing
    if world.policy.order == SRTF:
        return _run_srtf
    return (_run_lanes, _run_easy, _run_conservative)[world.policy.backfill]


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
    """An upper bound of the intervals that a conservative pass may plan."""
    count = 0
    for i in range(s.scalar[TOP_SLOT]):
        if s.slot[i].status == WAITS:
            count += min(s.slot[i].gpus, len(s.node))
    return count
