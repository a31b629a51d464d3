"""Whom a work preempts when shares decide: the walk down to the highest share, by two strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .model import FAIR, FINAL_SHARE, IN_QUEUE, INITIAL_SHARE, RECLAIM, Victim, Work
from .order import candidate_rank, may_preempt_own, may_reclaim
from .search import Search
from .tree import Node, Share

Lists = dict[str, list[Work]]
"""The candidates that are left, by queue, best first."""


def fair_victims(search: Search, strategies: tuple[str, ...]) -> list[Victim]:
    """The works to preempt so that the request fits, or none. Shares are those with the request in use."""
    lists = _candidates(search)
    search.now.add(search.work.queue, search.request)
    victims: list[Victim] = []
    retry: Lists = {}
    done = _first_walk(search, lists, strategies[0], victims, retry)
    if not done and INITIAL_SHARE in strategies[1:]:
        done = _second_walk(search, retry, victims)
    search.now.add(search.work.queue, search.request, -1)
    return search.put_back(victims, borrow=True) if done else []


def _candidates(search: Search) -> Lists:
    lists: Lists = {}
    own = search.work.queue
    for leaf in search.leaf.root().leaves():
        if leaf is not search.leaf and search.now.within(leaf, search.need):
            continue
        may = may_preempt_own if leaf is search.leaf else may_reclaim
        works = [w for w in search.now.works[leaf.name].values() if search.may_take(w) and may(search, w)]
        if works:
            lists[leaf.name] = sorted(works, key=lambda w: candidate_rank(w, own))
    return lists


def _walk(search: Search, lists: Lists) -> Iterator[Node]:
    """The queue to take from, again and again, until the root is dropped. Who is dropped stays so."""
    dropped: set[Node] = set()
    root = search.leaf.root()
    if root is search.leaf:
        while lists.get(root.name):
            yield root
        return
    while root not in dropped:
        node: Node | None = root
        while node is not None and node.queue is None:
            parent, node = node, _highest(search, node, lists, dropped)
            if node is None:
                dropped.add(parent)
        if node is not None:
            yield node


def _highest(search: Search, parent: Node, lists: Lists, dropped: set[Node]) -> Node | None:
    """The child with the highest share. A cohort wins a tie with what comes before it, queues or cohorts."""
    best: Node | None = None
    for child in parent.children:
        if child in dropped:
            continue
        if _drops_out(search, child, lists):
            dropped.add(child)
            continue
        if best is None or _beats(search, child, best, lists):
            best = child
    return best


def _drops_out(search: Search, child: Node, lists: Lists) -> bool:
    idle = search.now.share(child)[1] == 0
    if child.queue is not None:
        return not lists.get(child.name) or (idle and child is not search.leaf)
    return idle and child not in search.leaf.ancestors()


def _beats(search: Search, child: Node, best: Node, lists: Lists) -> bool:
    share, highest = search.now.share(child), search.now.share(best)
    if share != highest:
        return share > highest
    if child.queue is None:
        return True
    own = search.work.queue
    return candidate_rank(lists[child.name][0], own) < candidate_rank(lists[best.name][0], own)


def _first_walk(search: Search, lists: Lists, strategy: str, victims: list[Victim], retry: Lists) -> bool:
    for leaf in _walk(search, lists):
        mine = lists[leaf.name]
        if leaf is search.leaf:
            taken: Victim | None = Victim(mine.pop(0), IN_QUEUE)
        elif search.now.within(search.leaf, search.need):
            taken = Victim(mine.pop(0), RECLAIM)
        else:
            failed = retry.setdefault(leaf.name, [])
            taken = _first_that_passes(search, leaf, mine, failed, strategy)
        if taken is not None and _preempt(search, taken, victims):
            return True
    return False


def _second_walk(search: Search, retry: Lists, victims: list[Victim]) -> bool:
    """One candidate per queue: the share after its removal does not count, so the first is as good as any."""
    for leaf in _walk(search, retry):
        first = retry.pop(leaf.name)[0]
        mine, other = _almost_common(search, leaf)
        passes = search.now.share(mine) < search.now.share(other)
        if passes and _preempt(search, Victim(first, FAIR), victims):
            return True
    return False


def _first_that_passes(
    search: Search, leaf: Node, mine: list[Work], failed: list[Work], strategy: str
) -> Victim | None:
    preemptor, target = _almost_common(search, leaf)
    share, before = search.now.share(preemptor), search.now.share(target)
    rule = _RULES[strategy]
    while mine:
        candidate = mine.pop(0)
        search.now.take(candidate)
        after = search.now.share(target)
        search.now.put(candidate)
        if rule(share, before, after):
            return Victim(candidate, FAIR)
        failed.append(candidate)
    return None


_RULES: dict[str, Callable[[Share, Share, Share], bool]] = {
    FINAL_SHARE: lambda preemptor, before, after: preemptor <= after,
    INITIAL_SHARE: lambda preemptor, before, after: preemptor < before,
}


def _almost_common(search: Search, leaf: Node) -> tuple[Node, Node]:
    """One step below the nearest common ancestor, on the preemptor's side and on the other."""
    mine, theirs = [search.leaf, *search.leaf.ancestors()], [leaf, *leaf.ancestors()]
    while mine[-1] is theirs[-1]:
        mine.pop()
        theirs.pop()
    return mine[-1], theirs[-1]


def _preempt(search: Search, victim: Victim, victims: list[Victim]) -> bool:
    """Take it out; does the request fit now."""
    search.now.take(victim.work)
    victims.append(victim)
    search.now.add(search.work.queue, search.request, -1)
    fits = search.fits(borrow=True)
    search.now.add(search.work.queue, search.request)
    return fits
