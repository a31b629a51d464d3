"""Quota in a tree of cohorts: what a node has, lends, uses, could get, and its share.

Only what queues use is kept; what a cohort uses follows: all that its children use beyond their local quota.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from .model import FR, Amount, Amounts, ClusterQueue, Cohort, Quota, Work

NOTHING = Quota()
Share = tuple[bool, Amount]
"""Is it infinite (weight 0 and borrowing), and the amount; infinite ones compare by the unweighted amount."""


@dataclass(eq=False)
class Node:
    """A cohort, or (with `queue`) a cluster queue. Children are in the order in which they were declared."""

    name: str
    quotas: dict[FR, Quota]
    weight: Amount
    queue: ClusterQueue | None = None
    parent: Node | None = None
    queues: list[Node] = field(default_factory=list)
    cohorts: list[Node] = field(default_factory=list)

    @property
    def children(self) -> list[Node]:
        return self.queues + self.cohorts

    def quota(self, fr: FR) -> Quota:
        return self.quotas.get(fr, NOTHING)

    def ancestors(self) -> Iterator[Node]:
        """The cohorts above, nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def root(self) -> Node:
        return [self, *self.ancestors()][-1]

    def leaves(self) -> Iterator[Node]:
        """The queues of this subtree."""
        if self.queue is not None:
            yield self
        for child in self.children:
            yield from child.leaves()

    def subtree(self, fr: FR) -> Amount:
        return self.quota(fr).nominal + sum(c.subtree(fr) - c.local(fr) for c in self.children)

    def local(self, fr: FR) -> Amount:
        """The part that is not lent."""
        limit = self.quota(fr).lending_limit
        return 0 if limit is None else max(0, self.subtree(fr) - limit)

    def potential(self, fr: FR) -> Amount:
        """The most it could ever use, were nobody else there."""
        if self.parent is None:
            return self.subtree(fr)
        most = self.local(fr) + self.parent.potential(fr)
        limit = self.quota(fr).borrowing_limit
        return most if limit is None else min(most, self.subtree(fr) + limit)

    def height(self) -> int:
        if not self.children:
            return 0
        return 1 + max((c.height() for c in self.cohorts), default=0)

    def all_frs(self) -> set[FR]:
        """FRs of which anything in this subtree has quota."""
        return set(self.quotas).union(*(c.all_frs() for c in self.children))


def plant(cohorts: Iterable[Cohort], queues: Iterable[ClusterQueue]) -> dict[str, Node]:
    """The nodes of the queues by name. A cohort that is only named has no quota."""
    made = {c.name: Node(c.name, c.quotas, c.weight) for c in cohorts}
    for cohort in cohorts:
        if cohort.parent is not None:
            _hang(made[cohort.name], cohort.parent, made)
    leaves: dict[str, Node] = {}
    for queue in queues:
        leaf = leaves[queue.name] = Node(queue.name, queue.quotas, queue.weight, queue)
        if queue.cohort is not None:
            _hang(leaf, queue.cohort, made)
    return leaves


def _hang(node: Node, cohort: str, made: dict[str, Node]) -> None:
    parent = made.setdefault(cohort, Node(cohort, {}, 1))
    node.parent = parent
    (parent.cohorts if node.queue is None else parent.queues).append(node)


@dataclass
class Snapshot:
    """Who holds what at one moment. It may be copied, and works put into it and taken out, to see what if."""

    leaves: dict[str, Node]
    works: dict[str, dict[str, Work]]
    extra: dict[str, Amounts]
    gone: set[str] = field(default_factory=set)
    """Keys of those who were taken out."""

    def copy(self) -> Snapshot:
        works = {name: dict(held) for name, held in self.works.items()}
        extra = {name: dict(more) for name, more in self.extra.items()}
        return Snapshot(self.leaves, works, extra, set(self.gone))

    def put(self, work: Work) -> None:
        self.works[work.queue][work.key] = work
        self.gone.discard(work.key)

    def take(self, work: Work) -> None:
        self.works[work.queue].pop(work.key, None)
        self.gone.add(work.key)

    def without(self, works: Iterable[Work]) -> Snapshot:
        """A copy in which these hold nothing."""
        left = self.copy()
        for work in works:
            left.take(work)
        return left

    def add(self, queue: str, amounts: Amounts, sign: int = 1) -> None:
        """Usage that no work of the snapshot holds: reserved, promised to a preemptor, or only thought of."""
        more = self.extra[queue]
        for fr, amount in amounts.items():
            more[fr] = more.get(fr, 0) + sign * amount

    def usage(self, node: Node, fr: FR) -> Amount:
        if node.queue is not None:
            held = sum(work.usage.get(fr, 0) for work in self.works[node.name].values())
            return held + self.extra[node.name].get(fr, 0)
        return sum(max(0, self.usage(c, fr) - c.local(fr)) for c in node.children)

    def headroom(self, node: Node, fr: FR) -> Amount:
        """What can be used here without asking the parent."""
        return max(0, node.local(fr) - self.usage(node, fr))

    def available(self, node: Node, fr: FR) -> Amount:
        """May be negative."""
        if node.parent is None:
            return node.subtree(fr) - self.usage(node, fr)
        above = self.available(node.parent, fr)
        limit = node.quota(fr).borrowing_limit
        if limit is not None:
            lent = node.subtree(fr) - node.local(fr)
            above = min(above, limit + lent - max(0, self.usage(node, fr) - node.local(fr)))
        return self.headroom(node, fr) + above

    def fits(self, leaf: Node, request: Amounts) -> bool:
        return all(amount <= max(0, self.available(leaf, fr)) for fr, amount in request.items())

    def over(self, node: Node, fr: FR, amount: Amount = 0) -> bool:
        """Does it borrow, were this much added."""
        return self.usage(node, fr) + amount > node.subtree(fr)

    def within(self, node: Node, frs: Iterable[FR]) -> bool:
        return not any(self.over(node, fr) for fr in frs)

    def level(self, leaf: Node, fr: FR, amount: Amount) -> tuple[int, bool]:
        """Height of the lowest subtree that holds the amount (0: the queue), and may it be reclaimed."""
        if leaf.parent is None or not self.over(leaf, fr, amount):
            return 0, leaf.parent is not None
        rest = amount - self.headroom(leaf, fr)
        for cohort in leaf.ancestors():
            if not self.over(cohort, fr, rest):
                return cohort.height(), cohort.parent is not None
            rest -= self.headroom(cohort, fr)
        return leaf.root().height(), False

    def share(self, node: Node) -> Share:
        """Dominant resource share: thousandths of what its parent can lend, divided by its weight."""
        assert node.parent is not None
        borrowed: dict[str, Amount] = {}
        lendable: dict[str, Amount] = {}
        for fr in node.root().all_frs() | self._used_frs(node):
            more = max(0, self.usage(node, fr) - node.subtree(fr))
            borrowed[fr[1]] = borrowed.get(fr[1], 0) + more
            lendable[fr[1]] = lendable.get(fr[1], 0) + node.parent.potential(fr)
        ratios = [Fraction(1000) * borrowed[r] / lendable[r] for r in borrowed if lendable[r] > 0]
        most = max(ratios, default=Fraction(0))
        if most == 0:
            return False, 0
        return (True, most) if node.weight == 0 else (False, most / node.weight)

    def _used_frs(self, node: Node) -> set[FR]:
        frs: set[FR] = set()
        for leaf in node.leaves():
            frs.update(self.extra[leaf.name], *(w.usage for w in self.works[leaf.name].values()))
        return frs


def snapshot(leaves: dict[str, Node], held: Iterable[Work]) -> Snapshot:
    """The moment in which these works hold their usage."""
    made = Snapshot(leaves, {name: {} for name in leaves}, {name: {} for name in leaves})
    for work in held:
        made.put(work)
    return made
