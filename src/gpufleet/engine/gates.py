"""Dependencies: jobs that come before others have ended stand at a gate, and are not eligible yet."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.life import become_eligible, refuse_for_ever
from gpufleet.engine.memory import Rules
from gpufleet.engine.state import FAILED, GATES_DUE, LOOKED_S, NEXT_GATE, NOW, OPENED, SHUT, State
from gpufleet.world.layout import DEPENDENCY, UNKNOWN_S


@kernel
def next_look(w: Rules, s: State) -> int:
    """When the gates are looked at next, UNKNOWN_S if nothing asks for it.

    What changes before the look of a second counts in it; what a pass refuses for ever, a second later.
    """
    at = UNKNOWN_S
    if s.scalar[NEXT_GATE] < len(w.gate_t_s):
        at = w.gate_t_s[s.scalar[NEXT_GATE]]
    if s.scalar[GATES_DUE]:
        at = min(at, s.scalar[NOW] + (1 if s.scalar[LOOKED_S] == s.scalar[NOW] else 0))
    return int(at)


@kernel
def _state_of(w: Rules, s: State, gate: int) -> int:
    """What the conditions of a gate say now."""
    state = OPENED
    for at in range(w.gate_first[gate], w.gate_first[gate + 1]):
        row = s.source[w.gate_after[at]]
        if w.gate_any[at] == 0 and row.not_done > 0:
            return FAILED
        if row.alive > 0 or w.source_last_s[w.gate_after[at]] > s.scalar[NOW]:
            state = SHUT
    return state


@kernel
def _let_go(w: Rules, s: State, gate: int) -> None:
    """The jobs that a gate held become eligible, or never will be."""
    row = s.gate[gate]
    i = row.first
    row.first, row.last = -1, -1
    while i >= 0:
        job = s.slot[i]
        following = job.next_new
        if row.state == OPENED:
            s.held[i] = s.scalar[NOW] - job.since
            job.since = s.scalar[NOW]
            become_eligible(w, s, i)
        else:
            refuse_for_ever(w, s, i, DEPENDENCY)
        i = following


@kernel
def look_at_gates(w: Rules, s: State) -> None:
    """Look at all gates, in their order, until none changes any more."""
    now = s.scalar[NOW]
    while s.scalar[NEXT_GATE] < len(w.gate_t_s) and w.gate_t_s[s.scalar[NEXT_GATE]] <= now:
        s.scalar[NEXT_GATE] += 1
        s.scalar[GATES_DUE] = 1
    while s.scalar[GATES_DUE]:
        s.scalar[GATES_DUE] = 0
        for gate in range(w.gates):
            row = s.gate[gate]
            if row.state == SHUT:
                row.state = _state_of(w, s, gate)
            if row.state != SHUT:
                _let_go(w, s, gate)
    s.scalar[LOOKED_S] = now
