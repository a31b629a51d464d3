"""The end of a run: jobs that still wait or run are booked up to the last second and handed out as such."""

from __future__ import annotations

from collections.abc import Callable

from gpufleet.engine.jit import entry
from gpufleet.engine.life import _hand_out_later, hand_out
from gpufleet.engine.memory import Rules, pack
from gpufleet.engine.pace import end_pace
from gpufleet.engine.power import close_meters
from gpufleet.engine.room import grow_bins
from gpufleet.engine.state import AWAY, HELD, NOW, RUNS, TOP_SLOT, WAITS, State
from gpufleet.engine.tally import book, book_kept, leave, step
from gpufleet.world.layout import DEPENDENCY, RUNNING, WAITING


@entry
def close_slots(w: Rules, s: State, now: int) -> None:
    """Book every job that is alive up to ``now`` and put it on the list to hand out, in slot order."""
    s.scalar[NOW] = now
    if w.power:
        close_meters(w, s)
    for i in range(s.scalar[TOP_SLOT]):
        job = s.slot[i]
        if job.status == RUNS:
            if w.slows:
                end_pace(w, s, i)
            job.run += now - job.start
            book_kept(w, s, i, now)
            queue, product = w.class_queue[job.cls], s.cell[job.cell].product
            step(s.busy, queue, product, w.grid_s, now, -job.gpus)
            _hand_out_later(s, i, RUNNING)
        elif job.status == WAITS or job.status == AWAY:
            if job.joined:
                leave(w, s, i, job.lane, now)
            else:
                book(w, s, i, now)
                job.last = job.why
            _hand_out_later(s, i, WAITING)
        elif job.status == HELD:
            job.last = DEPENDENCY
            _hand_out_later(s, i, WAITING)


def close_books(rules: Rules, state: State, drain: Callable[[State], None]) -> State:
    """Close the run at its last second."""
    now = int(state.scalar[NOW]) if rules.finish else rules.end_s
    n_bins = now // rules.grid_s + 2
    if n_bins > state.busy.shape[-1]:
        state = grow_bins(state, n_bins)
    w, s = pack(rules), pack(state)
    close_slots(w, s, now)
    while not hand_out(w, s):
        drain(state)
    return state
