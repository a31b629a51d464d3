"""From quota to nodes: whether what quota admits has a place, and what starts and stops there."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.life import go_away, keep_checkpoint, requeue, start
from gpufleet.engine.memory import Rules
from gpufleet.engine.order import take_out
from gpufleet.engine.place import change_free, grant_picks, release_grants
from gpufleet.engine.power import power_admits
from gpufleet.engine.quota import higher, limits_admit
from gpufleet.engine.state import FIRST_ID, NEXT_JOB, NOW, SEQUENCE, State
from gpufleet.engine.tally import leave
from gpufleet.engine.within import pick_wish_option, wish_option
from gpufleet.world.layout import LIMIT, POWER, STARTABLE

SEQUENCE_BITS = 20  # jobs that return behind those who wait are numbered between two ids


@kernel
def place_for(w: Rules, s: State, i: int, product: int) -> tuple[int, int]:
    """(STARTABLE, option of this product where job ``i`` fits now, under its site's cap), or (the highest
    refusal, -1)."""
    cls, highest = s.slot[i].cls, 0
    if w.accounts and not limits_admit(w, s, cls, product, s.slot[i].gpus):
        return LIMIT, -1
    first = w.class_option[cls]
    for option in range(first, first + w.class_options[cls]):
        if s.cell[w.option_cell[option]].product == product:
            refusal = wish_option(w, s, i, option)
            cell = w.option_cell[option]
            if refusal == STARTABLE and w.power and not power_admits(w, s, cls, cell, s.slot[i].gpus):
                refusal = POWER
            if refusal == STARTABLE:
                return STARTABLE, option
            highest = higher(highest, refusal)
    return highest, -1


@kernel
def power_lets(w: Rules, s: State, i: int, product: int) -> bool:
    """Whether the cap of some site admits job ``i`` on this product: nobody gives way for power."""
    cls, first = s.slot[i].cls, w.class_option[s.slot[i].cls]
    for option in range(first, first + w.class_options[cls]):
        cell = w.option_cell[option]
        if s.cell[cell].product == product and power_admits(w, s, cls, cell, s.slot[i].gpus):
            return True
    return False


@kernel
def has_place_for(w: Rules, s: State, i: int, product: int) -> bool:
    """Whether job ``i`` fits on nodes of this product now."""
    return place_for(w, s, i, product)[0] == STARTABLE


@kernel
def lend(w: Rules, s: State, i: int, sign: int) -> None:
    """Count the GPUs of running job ``i`` as free (+1), or take that back (-1); it keeps its grants."""
    g = s.slot[i].grants
    while g >= 0:
        change_free(w, s, s.grant[g].node, sign * s.grant[g].gpus)
        g = s.grant[g].next_of_job


@kernel
def begin(w: Rules, s: State, i: int, product: int) -> None:
    """Start waiting job ``i`` on nodes of this product, where it fits."""
    option = place_for(w, s, i, product)[1]
    take_out(s, s.slot[i].lane, i)
    leave(w, s, i, s.slot[i].lane, s.scalar[NOW])
    pick_wish_option(w, s, i, option)
    start(w, s, i, option)


@kernel
def hold(w: Rules, s: State, i: int, product: int) -> None:
    """Keep nodes for waiting job ``i`` while the cycle goes on."""
    option = place_for(w, s, i, product)[1]
    pick_wish_option(w, s, i, option)
    grant_picks(w, s, i)
    _hold_power(w, s, i, 1)


@kernel
def _hold_power(w: Rules, s: State, i: int, sign: int) -> None:
    """Count what waiting job ``i`` would draw on the nodes that are kept for it, or no longer (-1)."""
    if w.power:
        cell, kind = s.node[s.grant[s.slot[i].grants].node].cell, w.power_kind[s.slot[i].cls]
        more = w.power_least_w[kind, cell] - w.power_idle_w[cell]
        s.least[w.power_site[cell]] += sign * s.slot[i].gpus * more


@kernel
def let_go(w: Rules, s: State, i: int) -> None:
    """Give back what `hold` kept."""
    if s.slot[i].grants >= 0:
        _hold_power(w, s, i, -1)
        release_grants(w, s, i)


@kernel
def _go_to_the_end(s: State, i: int) -> None:
    """Job ``i`` is behind all that have come by now, and ahead of those that will."""
    newest = s.scalar[FIRST_ID] + s.scalar[NEXT_JOB] - 1
    if s.scalar[SEQUENCE] >> SEQUENCE_BITS != newest:
        s.scalar[SEQUENCE] = newest << SEQUENCE_BITS
    s.scalar[SEQUENCE] += 1
    s.slot[i].seq = s.scalar[SEQUENCE]


@kernel
def may_yield(w: Rules, s: State, i: int) -> bool:
    """Whether job ``i`` may be a victim: its class allows that, and it was one less often than the bound."""
    most = w.preemptions_at_most
    return bool(w.class_preemptible[s.slot[i].cls] and (most == 0 or s.slot[i].yields < most))


@kernel
def evict(w: Rules, s: State, i: int) -> float:
    """Running job ``i`` gives its nodes back and owes what it did since its last checkpoint.

    Returns the work that is lost, in seconds at speed 1. The quota that it uses is counted on.
    """
    lost_s = keep_checkpoint(w, s, i)
    s.slot[i].yields += 1
    requeue(w, s, i)
    if w.return_last:
        _go_to_the_end(s, i)
    if w.return_s > 0:
        go_away(w, s, i)
    return lost_s
