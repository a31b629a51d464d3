"""What happens to a job: it comes, becomes eligible, starts, ends, is killed with its node, is handed out."""

from __future__ import annotations

from gpufleet.engine import heap
from gpufleet.engine.jit import entry, kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.order import estimate_s
from gpufleet.engine.own import note_job
from gpufleet.engine.pace import begin_pace, end_pace, full_s, is_current, worked_s
from gpufleet.engine.place import grant_picks, release_grants
from gpufleet.engine.power import count_power
from gpufleet.engine.quota import count_in_accounts, never
from gpufleet.engine.rows import prefetch
from gpufleet.engine.sharing.books import release, write_event
from gpufleet.engine.sharing.state import BY_FAILURE, Share
from gpufleet.engine.state import (
    ALIVE,
    AWAY,
    DONE_FIRST,
    DONE_LAST,
    FIRST_ID,
    FREE_SLOT,
    FREE_SLOTS,
    GATES_DUE,
    HELD,
    N_DUE,
    N_ENDS,
    N_OUT,
    N_OUT_WAITS,
    NEXT_JOB,
    NOW,
    OPENED,
    OVER,
    RUNS,
    TOP_SLOT,
    WAITS,
    WAITS_AT,
    State,
)
from gpufleet.engine.tally import book, book_kept, step
from gpufleet.world.layout import (
    BETWEEN_PASSES,
    DONE,
    FULL_SPEED,
    KILL_AT_LIMIT,
    KILLED,
    REFUSED,
    RETURNING,
    RUNNING,
    STARTABLE,
    UNKNOWN_S,
    Jobs,
    Tree,
)


@kernel
def mark_due(s: State, island: int, full: int) -> None:
    """The island needs a pass; a full one if anything but eligibility happened."""
    if island < 0:
        return
    row = s.island[island]
    if row.due == 0:
        row.due = 1
        s.due[s.scalar[N_DUE]] = island
        s.scalar[N_DUE] += 1
    row.full |= full


@kernel
def wait_for_pass(w: Rules, s: State, i: int, island: int) -> None:
    """Put job ``i`` at the end of the island's list of jobs that the next pass meets for the first time."""
    job, row = s.slot[i], s.island[island]
    job.status, job.why, job.root = WAITS, BETWEEN_PASSES, BETWEEN_PASSES
    job.since, job.next_new, job.joined = s.scalar[NOW], -1, 0
    if row.last_new < 0:
        row.first_new = i
    else:
        s.slot[row.last_new].next_new = i
    row.last_new = i


@kernel
def take_in(w: Rules, s: State, jobs: Jobs) -> None:
    """Take the next job of the batch in; a free slot must be there. It is eligible, or held by a gate."""
    row = s.scalar[NEXT_JOB]
    s.scalar[NEXT_JOB] += 1
    i = s.scalar[FREE_SLOTS]
    job = s.slot[i]
    s.scalar[FREE_SLOTS] = job.link
    s.scalar[ALIVE] += 1
    s.scalar[TOP_SLOT] = max(s.scalar[TOP_SLOT], i + 1)
    job.id = s.scalar[FIRST_ID] + row
    job.gpus, job.cls, job.prio = jobs.gpus[row], jobs.cls[row], jobs.priority[row]
    job.work, job.limit = jobs.work_s[row], jobs.limit_s[row]
    job.first_start, job.start, job.end, job.run = -1, -1, -1, 0
    job.behind, job.cell, job.grants, job.shape_no, job.lane = -1, -1, -1, -1, -1
    job.attempts, job.preemptions, job.last, job.mark, job.since = 0, 0, 0, -1, s.scalar[NOW]
    job.waited, job.failures, job.lost, job.submit, job.yields = 0, 0, 0.0, s.scalar[NOW], 0
    if w.slows:
        s.slowed[i] = 0
    if w.gates and _is_held(w, s, i):
        return
    become_eligible(w, s, i)


@kernel
def become_eligible(w: Rules, s: State, i: int) -> None:
    """Job ``i``, which has come, may run from now on, or never."""
    job = s.slot[i]
    island = w.queue_island[w.class_queue[job.cls]]
    mark_due(s, island, 0)
    cause = never(w, s, i)
    if cause != STARTABLE:
        refuse_for_ever(w, s, i, cause)
    else:
        wait_for_pass(w, s, i, island)


@kernel
def _is_held(w: Rules, s: State, i: int) -> bool:
    """Count new job ``i`` in its source; put it behind its gate if that is not open."""
    job = s.slot[i]
    source, gate = w.class_source[job.cls], w.class_gate[job.cls]
    if source >= 0:
        s.source[source].alive += 1
    s.held[i] = 0
    if gate < 0 or s.gate[gate].state == OPENED:
        return False
    job.status, job.next_new, s.held[i] = HELD, -1, -1
    row = s.gate[gate]
    if row.last < 0:
        row.first = i
    else:
        s.slot[row.last].next_new = i
    row.last = i
    s.scalar[GATES_DUE] = 1
    return True


@kernel
def leave_source(w: Rules, s: State, i: int, outcome: int) -> None:
    """Job ``i`` has left; whoever waits for that may be told at the next look at the gates."""
    source = w.class_source[s.slot[i].cls]
    if source >= 0:
        row = s.source[source]
        row.alive -= 1
        row.not_done += int(outcome != DONE)
        if row.alive == 0 or outcome != DONE:
            s.scalar[GATES_DUE] = 1


@kernel
def _hand_out_later(s: State, i: int, outcome: int) -> None:
    """Job ``i`` has left the simulation; it waits to be written out."""
    job = s.slot[i]
    job.status, job.outcome, job.link = OVER, outcome, -1
    if s.scalar[DONE_LAST] < 0:
        s.scalar[DONE_FIRST] = i
    else:
        s.slot[s.scalar[DONE_LAST]].link = i
    s.scalar[DONE_LAST] = i


@kernel
def refuse_for_ever(w: Rules, s: State, i: int, cause: int) -> None:
    """Job ``i`` can never run."""
    s.slot[i].last = cause
    if w.gates:
        leave_source(w, s, i, REFUSED)
    _hand_out_later(s, i, REFUSED)


@kernel
def start(w: Rules, s: State, i: int, option: int) -> None:
    """Start job ``i`` on the picked nodes of an option. It must be in no lane any more."""
    job = s.slot[i]
    now, cell = s.scalar[NOW], w.option_cell[option]
    queue, product = w.class_queue[job.cls], s.cell[cell].product
    job.status, job.start, job.cell, job.speed = RUNS, now, cell, w.option_speed[option]
    job.attempts += 1
    if job.first_start < 0:
        job.first_start = now
    duration = full_s(w, s, i)
    job.est_end = now + estimate_s(w, job.limit, duration)
    job.outcome = DONE
    if 0 < job.limit < duration and w.over_limit == KILL_AT_LIMIT:
        duration, job.outcome = job.limit, KILLED
    job.end = now + duration
    if w.slows:
        begin_pace(w, s, i)
    heap.push(s.ends, s.scalar[N_ENDS], (job.end << heap.SLOT_BITS) | i)
    s.scalar[N_ENDS] += 1
    grant_picks(w, s, i)
    note_job(s, i)
    s.used[queue, product] += job.gpus
    if w.accounts:
        count_in_accounts(w, s, job.cls, product, job.gpus, 1)
    if w.power:
        count_power(w, s, job.cls, cell, job.gpus, -job.gpus)
    step(s.busy, queue, product, w.grid_s, now, job.gpus)


@kernel
def stop(w: Rules, s: State, i: int) -> None:
    """Running job ``i`` gives its GPUs back now."""
    job = s.slot[i]
    now = s.scalar[NOW]
    queue, product = w.class_queue[job.cls], s.cell[job.cell].product
    book_kept(w, s, i, now)
    free = s.cell[job.cell].free
    release_grants(w, s, i)
    s.used[queue, product] -= job.gpus
    if w.accounts:
        count_in_accounts(w, s, job.cls, product, -job.gpus, -1)
    if w.power:
        count_power(w, s, job.cls, job.cell, -job.gpus, s.cell[job.cell].free - free)
    step(s.busy, queue, product, w.grid_s, now, -job.gpus)
    job.run += now - job.start


@kernel
def drop_stale_ends(s: State) -> None:
    """Have a current entry on top of the heap, or none, and keep room in it."""
    while s.scalar[N_ENDS] > 0 and not is_current(s, s.ends[0]):
        heap.pop(s.ends, s.scalar[N_ENDS])
        s.scalar[N_ENDS] -= 1
    if s.scalar[N_ENDS] > len(s.ends) // 2:
        n, s.scalar[N_ENDS] = s.scalar[N_ENDS], 0
        for at in range(n):
            entry = s.ends[at]
            if is_current(s, entry):
                heap.push(s.ends, s.scalar[N_ENDS], entry)
                s.scalar[N_ENDS] += 1


@kernel
def _bring_near(s: State) -> None:
    """Have what ends next at hand."""
    n = s.scalar[N_ENDS]
    for at in range(min(n, 5)):
        prefetch(s.slot, s.ends[at] & heap.SLOT_MASK)
    if n > 0:
        g = s.slot[s.ends[0] & heap.SLOT_MASK].grants
        if g >= 0:
            prefetch(s.grant, g)


@kernel
def come_back(w: Rules, s: State, i: int) -> None:
    """A preempted job competes again from now on."""
    book(w, s, i, s.scalar[NOW])
    s.slot[i].end = -1
    island = w.queue_island[w.class_queue[s.slot[i].cls]]
    mark_due(s, island, 0)
    wait_for_pass(w, s, i, island)


@kernel
def go_away(w: Rules, s: State, i: int) -> None:
    """Preempted job ``i``, which waits, competes again only after the policy's delay."""
    job = s.slot[i]
    job.status, job.why, job.root = AWAY, RETURNING, RETURNING
    job.end = s.scalar[NOW] + w.return_s
    heap.push(s.ends, s.scalar[N_ENDS], (job.end << heap.SLOT_BITS) | i)
    s.scalar[N_ENDS] += 1


@kernel
def end_jobs(w: Rules, s: State, t: Tree, h: Share, now: int) -> None:
    """End all that ends at ``now``. Entries of attempts that were cut short are recognised and dropped."""
    while s.scalar[N_ENDS] > 0 and s.ends[0] >> heap.SLOT_BITS == now:
        i = heap.pop(s.ends, s.scalar[N_ENDS]) & heap.SLOT_MASK
        s.scalar[N_ENDS] -= 1
        job = s.slot[i]
        _bring_near(s)
        if job.status == RUNS and job.end == now:
            if w.slows:
                end_pace(w, s, i)
            stop(w, s, i)
            if w.shares:
                release(w, s, t, h, i, now)
            mark_due(s, s.cell[job.cell].island, 1)
            if w.gates:
                leave_source(w, s, i, job.outcome)
            _hand_out_later(s, i, job.outcome)
        elif job.status == AWAY and job.end == now:
            come_back(w, s, i)


@kernel
def keep_checkpoint(w: Rules, s: State, i: int) -> float:
    """Running job ``i`` loses its nodes: what it did since its last checkpoint is to be done again.

    Returns the work that is lost, in seconds at speed 1.
    """
    job = s.slot[i]
    done = min(job.work, worked_s(w, s, i) * job.speed)
    if w.slows:
        end_pace(w, s, i)
    step, kept = w.class_checkpoint_s[job.cls], 0.0
    if step == 0:
        kept = done
    elif step < UNKNOWN_S:
        kept = step * float(int(done / step))
    job.work = job.work - kept + w.class_restart_s[job.cls]
    job.lost += done - kept
    return float(done - kept)


@kernel
def requeue(w: Rules, s: State, i: int) -> None:
    """Running job ``i`` loses its GPUs and waits again (its ``work`` says what is left)."""
    job = s.slot[i]
    stop(w, s, i)
    job.preemptions += 1
    job.since = s.scalar[NOW]
    job.joined = 0
    job.status = WAITS


@kernel
def kill_on_node(w: Rules, s: State, t: Tree, h: Share, n: int, why: int) -> bool:
    """Kill every job that holds GPUs of the node, lowest row first; False if there was none."""
    any_killed = False
    while s.node[n].grants >= 0:
        g = s.node[n].grants
        i = s.grant[g].slot
        while g >= 0:
            if s.slot[s.grant[g].slot].id < s.slot[i].id:
                i = s.grant[g].slot
            g = s.grant[g].next_on_node
        lost = keep_checkpoint(w, s, i)
        s.slot[i].failures += int(why == BY_FAILURE)
        if w.shares:
            write_event(s, h, i, -1, why, lost)
            release(w, s, t, h, i, s.scalar[NOW])
        requeue(w, s, i)
        wait_for_pass(w, s, i, s.cell[s.slot[i].cell].island)
        any_killed = True
    return any_killed


@kernel
def _hand_out_waits(w: Rules, s: State, i: int, at: int) -> int:
    """Write what job ``i`` waited for; most jobs have nothing to write. Returns the whole wait, s."""
    row, wait = s.scalar[N_OUT_WAITS], 0
    for r in range(w.n_causes):
        wait += s.wait_ref[i, r]
        s.out_ref[row, r] = s.wait_ref[i, r]
        s.out_root[row, r] = s.wait_root[i, r]
    s.out[WAITS_AT, at] = row
    s.scalar[N_OUT_WAITS] = row + 1
    return wait


@entry
def hand_out(w: Rules, s: State) -> bool:
    """Write finished jobs to ``out``; False if it is full and some are left."""
    while s.scalar[DONE_FIRST] >= 0:
        at = s.scalar[N_OUT]
        if at >= s.out.shape[1]:
            return False
        i = s.scalar[DONE_FIRST]
        job = s.slot[i]
        s.scalar[DONE_FIRST] = job.link
        if job.link < 0:
            s.scalar[DONE_LAST] = -1
        wait = _hand_out_waits(w, s, i, at) if job.waited else 0
        end = job.end if job.outcome == DONE or job.outcome == KILLED else -1
        out = s.out  # columns in the order of Outcomes
        out[0, at], out[1, at], out[2, at], out[3, at] = job.id, job.first_start, end, wait
        out[4, at], out[5, at], out[6, at], out[7, at] = job.run, job.cell, job.outcome, job.last
        out[8, at], out[9, at], out[10, at] = job.attempts, job.preemptions, job.behind
        out[11, at], out[12, at] = job.failures, int(job.lost)
        out[13, at] = s.held[i] if w.gates else 0
        out[14, at] = s.slowed[i] // FULL_SPEED if w.slows else 0
        if not job.waited:
            out[WAITS_AT, at] = -1
        s.scalar[N_OUT] += 1
        if job.outcome != RUNNING:
            job.status = FREE_SLOT
        job.link = s.scalar[FREE_SLOTS]
        s.scalar[FREE_SLOTS] = i
        s.scalar[ALIVE] -= 1
    return True
