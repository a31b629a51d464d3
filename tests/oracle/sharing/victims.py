"""Whom a work preempts: `find`, and the rule by priority with its candidates and attempts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .fair import fair_victims
from .model import (
    FR,
    IN_QUEUE,
    NEVER,
    RECLAIM,
    WHILE_BORROWING,
    Amounts,
    Rules,
    Victim,
    Work,
)
from .order import candidate_rank, may_preempt_own, may_reclaim
from .search import Search
from .tree import Node, Snapshot

OWN, HIERARCHICAL, ONLY_WITHOUT, WHILE = range(4)
"""How a candidate is taken: from the own queue; with advantage; only if the preemptor ends within nominal; or
also while the preemptor borrows."""

REASONS = {OWN: IN_QUEUE, HIERARCHICAL: RECLAIM, ONLY_WITHOUT: RECLAIM, WHILE: WHILE_BORROWING}


@dataclass(frozen=True)
class Candidate:
    work: Work
    variant: int
    common: Node | None
    """The nearest cohort that holds both queues; none for the own queue."""


def find(now: Snapshot, work: Work, need: frozenset[FR], request: Amounts, rules: Rules) -> list[Victim]:
    """The works to preempt so that the request fits, or none if it cannot be made to fit.

    `need`: the FRs in which room must be made; `request`: all that is asked for.
    """
    search = Search(now.copy(), work, need, request, rules)
    if rules.fair:
        return fair_victims(search, rules.strategies)
    candidates = _own(search) + _elsewhere(search)
    for borrow in _attempts(search, candidates):
        victims = _attempt(Search(now.copy(), work, need, request, rules), candidates, borrow)
        if victims:
            return victims
    return []


def _own(search: Search) -> list[Candidate]:
    works = search.now.works[search.work.queue].values()
    return [Candidate(w, OWN, None) for w in works if search.may_take(w) and may_preempt_own(search, w)]


def _elsewhere(search: Search) -> list[Candidate]:
    """Walk up from the queue; each cohort brings the part of its subtree that was not visited below."""
    found: list[Candidate] = []
    below, rest = search.leaf, dict(search.request)
    advantage = False
    for node in [search.leaf, *search.leaf.ancestors()]:
        if node is not search.leaf:
            found += _in_subtree(search, node, below, node, advantage)
        advantage = advantage or not any(search.now.over(node, fr, rest[fr]) for fr in rest)
        rest = {fr: max(0, amount - search.now.headroom(node, fr)) for fr, amount in rest.items()}
        below = node
    return found


def _in_subtree(search: Search, node: Node, skip: Node, common: Node, advantage: bool) -> list[Candidate]:
    found: list[Candidate] = []
    for child in node.children:
        if child is skip or search.now.within(child, search.need):
            continue
        if child.queue is None:
            found += _in_subtree(search, child, skip, common, advantage)
            continue
        for work in search.now.works[child.name].values():
            if search.may_take(work) and may_reclaim(search, work):
                variant = HIERARCHICAL if advantage else _priority_variant(search, work)
                found.append(Candidate(work, variant, common))
    return found


def _priority_variant(search: Search, candidate: Work) -> int:
    policy = search.policy
    if policy.borrow == NEVER or candidate.priority >= search.work.priority:
        return ONLY_WITHOUT
    if policy.borrow_threshold is not None and candidate.priority > policy.borrow_threshold:
        return ONLY_WITHOUT
    return WHILE


def _attempts(search: Search, candidates: list[Candidate]) -> list[bool]:
    """Shall the preemptor be allowed to borrow, in the order of trying."""
    no_borrow_policy = search.policy.borrow == NEVER
    below_nominal = all(
        search.now.usage(search.leaf, fr) < search.leaf.quota(fr).nominal for fr in search.need
    )
    if all(c.variant == OWN for c in candidates) or (no_borrow_policy and not below_nominal):
        return [True]
    if no_borrow_policy and all(c.variant != HIERARCHICAL for c in candidates):
        return [False, True]
    return [True, False]


def _rank(candidate: Candidate, own_queue: str) -> tuple[object, ...]:
    group = {HIERARCHICAL: 0, ONLY_WITHOUT: 1, WHILE: 1, OWN: 2}[candidate.variant]
    return (not candidate.work.evicted, group, candidate_rank(candidate.work, own_queue))


def _attempt(search: Search, candidates: Iterable[Candidate], borrow: bool) -> list[Victim]:
    victims: list[Victim] = []
    for candidate in sorted(candidates, key=lambda c: _rank(c, search.work.queue)):
        if not _still_counts(search, candidate, borrow):
            continue
        search.now.take(candidate.work)
        victims.append(Victim(candidate.work, REASONS[candidate.variant]))
        if search.fits(borrow):
            return search.put_back(victims, borrow)
    return []


def _still_counts(search: Search, candidate: Candidate, borrow: bool) -> bool:
    if candidate.variant == OWN:
        return True
    if borrow and candidate.variant == ONLY_WITHOUT:
        return False
    leaf = search.now.leaves[candidate.work.queue]
    for node in [leaf, *leaf.ancestors()]:
        if node is candidate.common:
            return True
        if search.now.within(node, search.need):
            return False
    return True
