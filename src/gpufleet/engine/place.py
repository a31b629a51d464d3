"""Can it: whether a job fits a cell, which nodes it takes there, and giving GPUs to jobs and back.

Choosing never changes who holds what: the nodes go to ``pick_node`` / ``pick_gpus``, and ``grant_picks``
makes it so."""

from __future__ import annotations

from gpufleet.engine import sets
from gpufleet.engine.forecast import touch
from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.own import own_domain, own_node, own_node_alone
from gpufleet.engine.power import count_idle
from gpufleet.engine.state import FREE_GRANTS, LAST_DOMAIN, N_PICKS, State
from gpufleet.world.layout import (
    BEST_FIT,
    CONSOLIDATE,
    DOMAIN_FIRST,
    EASY,
    FRAGMENTED,
    NO_FREE,
    NOT_ONLINE,
    OWN,
    SPREAD,
    STARTABLE,
)


@kernel
def _holds(table: object, row: int, per_node: int, gpus: int) -> bool:
    """Whether nodes counted by free GPUs (``table[row, f]``) hold a job of ``gpus``."""
    whole, part = gpus // per_node, gpus % per_node
    idle = table[row, per_node]  # type: ignore[index]
    if idle < whole:
        return False
    if part == 0 or idle > whole:
        return True
    for f in range(part, per_node):  # noqa: SIM110  (any() is slow in a kernel)
        if table[row, f] > 0:  # type: ignore[index]
            return True
    return False


@kernel
def fit(s: State, cell: int, gpus: int) -> int:
    """STARTABLE, or why the job does not fit the cell now."""
    per_node = s.cell[cell].per_node
    if _holds(s.n_free, cell, per_node, gpus):
        return STARTABLE
    if not _holds(s.n_size, cell, per_node, gpus):
        return NOT_ONLINE
    if s.cell[cell].free < gpus:
        return NO_FREE
    return FRAGMENTED


@kernel
def fits_ever(s: State, cell: int, row: int, epoch: int, gpus: int) -> bool:
    """Whether the cell's nodes that ``row`` of the future counts, empty, hold the job now (``epoch``) or
    after a later capacity change."""
    per_node = s.cell[cell].per_node
    for e in range(epoch, s.future.shape[1]):  # noqa: SIM110
        if _holds(s.future[:, e], row, per_node, gpus):
            return True
    return False


# --- free counts --


@kernel
def _domain_change(w: Rules, s: State, n: int, change: int) -> None:
    cell, domain = s.node[n].cell, s.node[n].domain
    i = domain - s.cell[cell].first_domain
    width = s.n_domain.shape[1]
    old = s.domain_idle[domain]
    new = old + change
    sets.remove(s.domain_words, s.domain_where, cell * width + old, i)
    sets.add(s.domain_words, s.domain_where, cell * width + new, i)
    s.n_domain[cell, old] -= 1
    s.n_domain[cell, new] += 1
    s.domain_idle[domain] = new
    s.block_idle[s.domain_block[domain]] += change


@kernel
def _enter(w: Rules, s: State, n: int) -> None:
    """Count an in-service node by its free GPUs."""
    cell, free = s.node[n].cell, s.node[n].free
    s.n_free[cell, free] += 1
    if free > 0:
        sets.add(s.words, s.where, cell * s.n_free.shape[1] + free, n - s.cell[cell].first_node)
    if free == s.cell[cell].per_node and w.by_domain:
        _domain_change(w, s, n, 1)


@kernel
def _exit(w: Rules, s: State, n: int) -> None:
    """Undo ``_enter``."""
    cell, free = s.node[n].cell, s.node[n].free
    s.n_free[cell, free] -= 1
    if free > 0:
        sets.remove(s.words, s.where, cell * s.n_free.shape[1] + free, n - s.cell[cell].first_node)
    if free == s.cell[cell].per_node and w.by_domain:
        _domain_change(w, s, n, -1)


@kernel
def change_free(w: Rules, s: State, n: int, change: int) -> None:
    """The node's free GPUs change; one out of service is only written down."""
    node = s.node[n]
    if node.online:
        _exit(w, s, n)
        node.free += change
        _enter(w, s, n)
        s.cell[node.cell].free += change
    else:
        node.free += change


@kernel
def set_service(w: Rules, s: State, n: int, online: int) -> bool:
    """Bring a node into service or take it out; False if it was so already."""
    node = s.node[n]
    if node.online == online:
        return False
    if online:
        node.online = 1
        _enter(w, s, n)
        s.cell[node.cell].free += node.free
        s.n_size[node.cell, node.gpus] += 1
        if w.power:
            count_idle(w, s, node.cell, node.free)
    else:
        _exit(w, s, n)
        s.cell[node.cell].free -= node.free
        s.n_size[node.cell, node.gpus] -= 1
        node.online = 0
        if w.power:
            count_idle(w, s, node.cell, -node.free)
    return True


@kernel
def plan_service(w: Rules, s: State, n: int, online: int) -> bool:
    """The plan brings a node into service or takes it out; one that has failed waits for its repair."""
    node = s.node[n]
    node.planned = online
    return set_service(w, s, n, online) if node.failed == 0 else False


# --- choosing nodes --


@kernel
def _lowest_with(s: State, cell: int, free: int) -> int:
    row = cell * s.n_free.shape[1] + free
    return int(s.cell[cell].first_node + sets.lowest(s.words, s.where, row))


@kernel
def pick_node(s: State, n: int, gpus: int) -> None:
    """Add a node to the picks, and mark it as picked."""
    at = s.scalar[N_PICKS]
    s.pick_node[at] = n
    s.pick_gpus[at] = gpus
    s.scalar[N_PICKS] = at + 1
    s.node[n].mark = -2


@kernel
def _least_free(s: State, cell: int, low: int, gpus: int) -> int:
    """Lowest node of those with the fewest free GPUs from ``low`` up that hold ``gpus``; idle ones last."""
    per_node = s.cell[cell].per_node
    for f in range(low, per_node):
        if s.n_free[cell, f] > 0:
            return _lowest_with(s, cell, f)
    return _unpicked_idle(s, cell)


@kernel
def _most_free(s: State, cell: int, gpus: int) -> int:
    n = _unpicked_idle(s, cell)
    if n >= 0:
        return n
    for f in range(s.cell[cell].per_node - 1, gpus - 1, -1):
        if s.n_free[cell, f] > 0:
            return _lowest_with(s, cell, f)
    return -1


@kernel
def _unpicked_idle(s: State, cell: int) -> int:
    """Lowest idle node that is not picked, -1 if there is none."""
    row = cell * s.n_free.shape[1] + s.cell[cell].per_node
    first = s.cell[cell].first_node
    if s.scalar[N_PICKS] >= s.n_free[cell, s.cell[cell].per_node]:
        return -1
    i = sets.lowest(s.words, s.where, row)
    while i >= 0 and s.node[first + i].mark == -2:
        i = sets.following(s.words, s.where, row, i)
    return first + i if i >= 0 else -1


@kernel
def _pick_lowest(s: State, cell: int, whole: int) -> None:
    row = cell * s.n_free.shape[1] + s.cell[cell].per_node
    first = s.cell[cell].first_node
    i = sets.lowest(s.words, s.where, row)
    for taken in range(whole):
        pick_node(s, first + i, s.cell[cell].per_node)
        if taken + 1 < whole:
            i = sets.following(s.words, s.where, row, i)


@kernel
def _pick_in_domain(s: State, cell: int, domain: int, count: int) -> None:
    """Pick the ``count`` lowest idle nodes of a domain that are not picked yet."""
    first, per_node = s.domain_first[domain], s.cell[cell].per_node
    s.scalar[LAST_DOMAIN] = domain
    for n in range(first, first + s.domain_n[domain]):
        if count > 0 and s.node[n].online and s.node[n].free == per_node and s.node[n].mark != -2:
            pick_node(s, n, per_node)
            count -= 1


@kernel
def _lowest_domain(s: State, cell: int, idle: int) -> int:
    row = cell * s.n_domain.shape[1] + idle
    return int(s.cell[cell].first_domain + sets.lowest(s.domain_words, s.domain_where, row))


@kernel
def fewest_idle(s: State, cell: int, low: int) -> int:
    """Lowest domain of those with the fewest idle nodes from ``low`` up, -1 if there is none."""
    for idle in range(low, s.n_domain.shape[1]):
        if s.n_domain[cell, idle] > 0:
            return _lowest_domain(s, cell, idle)
    return -1


@kernel
def _most_idle(s: State, cell: int) -> int:
    for idle in range(s.n_domain.shape[1] - 1, 0, -1):
        if s.n_domain[cell, idle] > 0:
            return _lowest_domain(s, cell, idle)
    return -1


@kernel
def _pick_by_domain(w: Rules, s: State, cell: int, gpus: int, whole: int) -> None:
    """Whole nodes by SPREAD, DOMAIN_FIRST or OWN.

    The domains' counts are lowered while choosing, and put back.
    """
    first = s.scalar[N_PICKS]
    left = whole
    while left > 0:
        domain, count = -1, 1
        if w.placement == DOMAIN_FIRST:
            domain, count = fewest_idle(s, cell, left), left
        elif w.placement == OWN:
            domain, count = own_domain(w, s, cell, gpus, left)
        if domain < 0:
            domain = _most_idle(s, cell)
            count = 1 if w.placement == SPREAD else s.domain_idle[domain]
        before = s.scalar[N_PICKS]
        _pick_in_domain(s, cell, domain, count)
        for at in range(before, s.scalar[N_PICKS]):
            _domain_change(w, s, s.pick_node[at], -1)
        left -= count
    for at in range(first, s.scalar[N_PICKS]):
        _domain_change(w, s, s.pick_node[at], 1)


@kernel
def _part_in_last_domain(s: State, cell: int, part: int) -> int:
    """The node of the domain used last with the fewest free GPUs that hold ``part``, -1 if there is none."""
    domain = s.scalar[LAST_DOMAIN]
    best, best_free = -1, 1 << 30
    for n in range(s.domain_first[domain], s.domain_first[domain] + s.domain_n[domain]):
        node = s.node[n]
        if node.online and node.mark != -2 and part <= node.free < best_free:
            best, best_free = n, node.free
    return best


@kernel
def _node_for(w: Rules, s: State, cell: int, gpus: int, rule: int) -> int:
    """The node of a job that fits one, by a rule of placement."""
    if rule == SPREAD:
        return _most_free(s, cell, gpus)
    if rule == OWN:
        return own_node_alone(w, s, cell, gpus)
    return _least_free(s, cell, gpus, gpus)


@kernel
def pick(w: Rules, s: State, cell: int, gpus: int) -> None:
    """Choose nodes for a job that fits the cell, by the policy's placement."""
    pick_by(w, s, cell, gpus, w.placement)


@kernel
def pick_by(w: Rules, s: State, cell: int, gpus: int, rule: int) -> None:
    """Choose nodes for a job that fits the cell, by this placement."""
    s.scalar[N_PICKS] = 0
    per_node = s.cell[cell].per_node
    if gpus <= per_node:
        pick_node(s, _node_for(w, s, cell, gpus, rule), gpus)
    else:
        whole, part = gpus // per_node, gpus % per_node
        if rule == CONSOLIDATE or rule == BEST_FIT or (rule == OWN and not w.own_by_domain):
            _pick_lowest(s, cell, whole)
        else:
            _pick_by_domain(w, s, cell, gpus, whole)
        if part > 0:
            n = -1
            if rule == DOMAIN_FIRST:
                n = _part_in_last_domain(s, cell, part)
            elif rule == OWN:
                n = own_node(w, s, cell, gpus, part)
            if n < 0:
                fullest = rule == BEST_FIT or rule == DOMAIN_FIRST
                n = _least_free(s, cell, part, part) if fullest else _most_free(s, cell, part)
            pick_node(s, n, part)
    clear_picks(s)


@kernel
def clear_picks(s: State) -> None:
    """Take the marks off the picked nodes; the picks stay."""
    for at in range(s.scalar[N_PICKS]):
        s.node[s.pick_node[at]].mark = 0


# --- giving and taking --


@kernel
def grant_picks(w: Rules, s: State, i: int) -> None:
    """Job ``i`` holds the picked GPUs from now on."""
    head = -1
    for at in range(s.scalar[N_PICKS]):
        n, gpus = s.pick_node[at], s.pick_gpus[at]
        g = s.scalar[FREE_GRANTS]
        grant = s.grant[g]
        s.scalar[FREE_GRANTS] = grant.next_of_job
        grant.node, grant.slot, grant.gpus, grant.next_of_job = n, i, gpus, head
        head = g
        if w.chained:
            other = s.node[n].grants
            grant.next_on_node, grant.prev_on_node = other, -1
            if other >= 0:
                s.grant[other].prev_on_node = g
            s.node[n].grants = g
        change_free(w, s, n, -gpus)
        if w.backfill == EASY:
            touch(w, s, n)
    s.slot[i].grants = head


@kernel
def _unchain(s: State, g: int) -> None:
    grant = s.grant[g]
    if grant.prev_on_node >= 0:
        s.grant[grant.prev_on_node].next_on_node = grant.next_on_node
    else:
        s.node[grant.node].grants = grant.next_on_node
    if grant.next_on_node >= 0:
        s.grant[grant.next_on_node].prev_on_node = grant.prev_on_node


@kernel
def release_grants(w: Rules, s: State, i: int) -> None:
    """Job ``i`` holds nothing any more. Its grants keep their nodes until they are given out again."""
    g = s.slot[i].grants
    while g >= 0:
        grant = s.grant[g]
        following = grant.next_of_job
        if w.chained:
            _unchain(s, g)
        change_free(w, s, grant.node, grant.gpus)
        if w.backfill == EASY:
            touch(w, s, grant.node)
        grant.next_of_job = s.scalar[FREE_GRANTS]
        s.scalar[FREE_GRANTS] = g
        g = following
    s.slot[i].grants = -1
