"""Can it, on the nodes that a job may take: tests and choices of `place` and `topology`, held to node sets.

An option that is not masked goes the quick way. For another one the nodes of its cell are counted one by one,
and to choose among them those that the job may not take are taken out of service for the moment.
"""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.node_sets import is_kept, is_own, may_use
from gpufleet.engine.order import estimate_on
from gpufleet.engine.place import fit, pick, set_service
from gpufleet.engine.slices import slices_fit
from gpufleet.engine.state import NOW, State
from gpufleet.engine.topology import has_place, may_hold, nodes_for, pick_wish
from gpufleet.world.layout import (
    BLOCK_LEVEL,
    DOMAIN_LEVEL,
    FRAGMENTED,
    NO_FREE,
    NOT_ONLINE,
    REQUIRED,
    RESERVATION,
    STARTABLE,
    TOPOLOGY,
)


@kernel
def _hold(whole: int, part: int, idle: int, others: int) -> bool:
    """Whether so many idle nodes, and others with the part free, hold ``whole`` nodes and a part."""
    return idle >= whole and (part == 0 or idle + others > whole)


@kernel
def _fit_within(w: Rules, s: State, i: int, option: int) -> int:
    """`fit` of job ``i`` on the nodes that it may take; RESERVATION if only windows stand in the way."""
    cls, gpus, cell, now = s.slot[i].cls, s.slot[i].gpus, w.option_cell[option], s.scalar[NOW]
    per_node, first, estimate = s.cell[cell].per_node, s.cell[cell].first_node, estimate_on(w, s, i, option)
    whole, part = gpus // per_node, gpus % per_node
    free, idle, others, open_idle, open_others, size_idle, size_others = 0, 0, 0, 0, 0, 0, 0
    for n in range(first, first + s.cell[cell].n_nodes):
        node = s.node[n]
        if not node.online or not may_use(w, cls, n):
            continue
        free += node.free
        is_idle, is_part = node.free == per_node, part <= node.free < per_node
        idle += int(is_idle)
        others += int(is_part)
        size_idle += int(node.gpus == per_node)
        size_others += int(part <= node.gpus < per_node)
        if (is_idle or is_part) and not is_kept(w, cls, n, now, estimate):
            open_idle += int(is_idle)
            open_others += int(is_part)
    if _hold(whole, part, open_idle, open_others):
        return STARTABLE
    if _hold(whole, part, idle, others):
        return RESERVATION
    if not _hold(whole, part, size_idle, size_others):
        return NOT_ONLINE
    return NO_FREE if free < gpus else FRAGMENTED


@kernel
def fit_option(w: Rules, s: State, i: int, option: int) -> int:
    """STARTABLE, or why job ``i`` does not fit the option's nodes now; its wish does not count."""
    if w.option_masked[option]:
        return _fit_within(w, s, i, option)
    return fit(s, w.option_cell[option], s.slot[i].gpus)


# --- other nodes out of the way --

HIDDEN, OTHERS = 2, 3  # in State.trial: in service, but for the moment


@kernel
def hide(w: Rules, s: State, i: int, option: int, windows: bool) -> None:
    """Take the nodes out of service that job ``i`` may never use or, with ``windows``, may not take now."""
    cls, cell = s.slot[i].cls, w.option_cell[option]
    first, estimate = s.cell[cell].first_node, estimate_on(w, s, i, option)
    for n in range(first, first + s.cell[cell].n_nodes):
        if s.node[n].online and (
            not may_use(w, cls, n) or (windows and is_kept(w, cls, n, s.scalar[NOW], estimate))
        ):
            set_service(w, s, n, 0)
            s.trial[n, 1] = HIDDEN


@kernel
def _show(w: Rules, s: State, cell: int, least: int) -> None:
    """Bring back what is hidden; with ``least`` OTHERS only what is beside the job's own reservations."""
    first = s.cell[cell].first_node
    for n in range(first, first + s.cell[cell].n_nodes):
        if s.trial[n, 1] >= least:
            s.trial[n, 1] = 0
            set_service(w, s, n, 1)


@kernel
def _hide_for_pick(w: Rules, s: State, i: int, option: int) -> None:
    """Leave only nodes that job ``i`` may take; of these its own reservations' if they alone hold it."""
    cls, cell, any_own = s.slot[i].cls, w.option_cell[option], False
    hide(w, s, i, option, True)
    first = s.cell[cell].first_node
    for n in range(first, first + s.cell[cell].n_nodes):
        any_own = any_own or (s.node[n].online and is_own(w, cls, n, s.scalar[NOW]))
    if not any_own:
        return
    for n in range(first, first + s.cell[cell].n_nodes):
        if s.node[n].online and not is_own(w, cls, n, s.scalar[NOW]):
            set_service(w, s, n, 0)
            s.trial[n, 1] = OTHERS
    gpus = s.slot[i].gpus
    if fit(s, cell, gpus) != STARTABLE or not has_place(w, s, cls, cell, gpus):
        _show(w, s, cell, OTHERS)


@kernel
def pick_option(w: Rules, s: State, i: int, option: int) -> None:
    """Choose nodes for job ``i``, which fits the option, by the policy's placement."""
    cell, gpus = w.option_cell[option], s.slot[i].gpus
    if w.option_masked[option]:
        _hide_for_pick(w, s, i, option)
        pick(w, s, cell, gpus)
        _show(w, s, cell, HIDDEN)
    else:
        pick(w, s, cell, gpus)


# --- with wishes of the topology --


@kernel
def wish_option(w: Rules, s: State, i: int, option: int) -> int:
    """STARTABLE, or why job ``i`` does not fit the option's nodes as its class requires."""
    cls, gpus, cell = s.slot[i].cls, s.slot[i].gpus, w.option_cell[option]
    refusal = fit_option(w, s, i, option)
    requires = w.class_wish[cls] == REQUIRED or w.class_slice[cls] > 0
    if not requires or (refusal != STARTABLE and refusal != RESERVATION):
        return refusal
    if not w.option_masked[option]:
        return STARTABLE if has_place(w, s, cls, cell, gpus) else TOPOLOGY
    hide(w, s, i, option, False)
    if not has_place(w, s, cls, cell, gpus):
        refusal = TOPOLOGY
    elif refusal == STARTABLE:
        hide(w, s, i, option, True)
        if not has_place(w, s, cls, cell, gpus):
            refusal = RESERVATION
    _show(w, s, cell, HIDDEN)
    return refusal


@kernel
def pick_wish_option(w: Rules, s: State, i: int, option: int) -> None:
    """Choose nodes for job ``i``, which fits the option, by its wish or else the policy's placement."""
    cls, gpus, cell = s.slot[i].cls, s.slot[i].gpus, w.option_cell[option]
    if w.option_masked[option]:
        _hide_for_pick(w, s, i, option)
        pick_wish(w, s, cls, cell, gpus)
        _show(w, s, cell, HIDDEN)
    else:
        pick_wish(w, s, cls, cell, gpus)


@kernel
def _most_usable(w: Rules, s: State, cls: int, cell: int, level: int) -> int:
    """Nodes of full size, in service or not, that the class may use in one domain or block of the cell."""
    most, count, last = 0, 0, -1
    first, per_node = s.cell[cell].first_node, s.cell[cell].per_node
    for n in range(first, first + s.cell[cell].n_nodes):
        part = s.node[n].domain
        if level == BLOCK_LEVEL:
            part = s.domain_block[part]
        count = 0 if part != last else count
        last = part
        count += int(s.node[n].gpus == per_node and may_use(w, cls, n))
        most = max(most, count)
    return most


@kernel
def _slices_fit_within(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    """Whether the full-size nodes that the class may use, all idle, hold all slices of a job."""
    first = s.cell[cell].first_domain
    for domain in range(first, first + s.cell[cell].n_domains):
        s.domain_usable[domain] = 0
        for n in range(s.domain_first[domain], s.domain_first[domain] + s.domain_n[domain]):
            whole = s.node[n].gpus == s.cell[cell].per_node
            s.domain_usable[domain] += int(whole and may_use(w, cls, n))
    return slices_fit(w, s, cls, cell, gpus, s.domain_usable)


@kernel
def level_holds(w: Rules, s: State, cls: int, option: int, gpus: int) -> bool:
    """Whether the option could ever hold the job as its class requires, all nodes idle."""
    cell, level = w.option_cell[option], w.class_level[cls]
    if not w.option_masked[option]:
        return may_hold(w, s, cls, cell, gpus)
    if w.class_slice[cls] > 0:
        return _slices_fit_within(w, s, cls, cell, gpus)
    if w.class_wish[cls] != REQUIRED or (level != DOMAIN_LEVEL and level != BLOCK_LEVEL):
        return may_hold(w, s, cls, cell, gpus)
    return bool(nodes_for(s, cell, gpus) <= max(1, _most_usable(w, s, cls, cell, level)))
