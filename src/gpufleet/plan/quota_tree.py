"""The quotas of a plan as a tree in plain numbers: what may each queue use at most, and who may use whose."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gpufleet.plan.quotas import Steps, nominal_at
from gpufleet.plan.sharing import Cohort, SharingPlan
from gpufleet.plan.tenants import Queue

UNLIMITED: Final = 1 << 50
"""More GPUs than any plan has."""

Key = tuple[str, str]
"""What holds quota: ("cohort", its name) or ("queue", its name)."""


@dataclass(frozen=True)
class Terms:
    """The quota of one product."""

    nominal: Steps
    borrow: int = UNLIMITED
    lend: int = UNLIMITED


class QuotaTree:
    """Cohorts and the queues in them. Names of parents are known, and there is no circle."""

    def __init__(
        self, cohorts: Mapping[str, Cohort], queues: Iterable[Queue], policy: SharingPlan | None
    ) -> None:
        self._part: dict[Key, Cohort | Queue] = {("cohort", name): part for name, part in cohorts.items()}
        self._part |= {("queue", queue.name): queue for queue in queues if queue.cohort is not None}
        self.parent: dict[Key, Key | None] = {}
        for key, part in self._part.items():
            above = part.cohort if isinstance(part, Queue) else part.parent
            self.parent[key] = None if above is None else ("cohort", above)
        self.below: dict[Key, list[Key]] = {key: [] for key in self._part}
        for key, parent in self.parent.items():
            if parent is not None:
                self.below[parent].append(key)
        self._lends = policy is None or policy.lending
        self._subtrees: dict[tuple[Key, str, int], tuple[int, int]] = {}

    def terms(self, key: Key, product: str) -> Terms:
        """The quota of a product, with what may be borrowed and lent."""
        part = self._part[key]
        alone = key[0] == "queue" and not self._lends
        most = 0 if alone else UNLIMITED
        if product not in part.terms:
            return Terms(((0, part.quota.get(product, 0)),), most, most)
        said = part.terms[product]
        borrow = UNLIMITED if said.borrowing_limit is None else said.borrowing_limit
        lend = UNLIMITED if said.lending_limit is None else said.lending_limit
        return Terms(said.nominal, min(borrow, most), min(lend, most))

    def up(self, key: Key) -> Iterator[Key]:
        """It and what is above it, the root last."""
        at: Key | None = key
        while at is not None:
            yield at
            at = self.parent[at]

    def down(self, key: Key) -> Iterator[Key]:
        """It and all below it."""
        yield key
        for child in self.below[key]:
            yield from self.down(child)

    def root(self, key: Key) -> Key:
        """The cohort at the top."""
        return list(self.up(key))[-1]

    def roots(self) -> list[Key]:
        """The cohorts at the top, in the order of the plan."""
        return [key for key, parent in self.parent.items() if parent is None]

    def holders(self) -> Iterator[tuple[Key, str]]:
        """What has a quota of its own, and of which product."""
        for key, part in self._part.items():
            for product in part.quota:
                yield key, product

    def dates(self, key: Key, product: str) -> list[int]:
        """Seconds at which a quota of the product changes somewhere below, the first is 0."""
        steps = (self.terms(each, product).nominal for each in self.down(key))
        return sorted({0, *(max(0, t_s) for each in steps for t_s, _ in each)})

    def nominal(self, key: Key, product: str, t_s: int) -> int:
        """GPUs of all quotas of it and below it."""
        return sum(nominal_at(self.terms(each, product).nominal, t_s) for each in self.down(key))

    def peak(self, key: Key, product: str) -> tuple[int, int]:
        """(most GPUs of all quotas of it and below it, when first)."""
        sums = [(self.nominal(key, product, t_s), -t_s) for t_s in self.dates(key, product)]
        gpus, t_s = max(sums)
        return gpus, -t_s

    def _most(self, key: Key, product: str, t_s: int) -> int:
        subtree, own = self._subtree(key, product, t_s)
        parent = self.parent[key]
        if parent is None:
            return subtree
        return min(own + self._most(parent, product, t_s), subtree + self.terms(key, product).borrow)

    def _subtree(self, key: Key, product: str, t_s: int) -> tuple[int, int]:
        """(GPUs that it has with what comes from below, those of them that it keeps for itself)."""
        known = self._subtrees.get((key, product, t_s))
        if known is None:
            terms = self.terms(key, product)
            below = (self._subtree(child, product, t_s) for child in self.below[key])
            total = nominal_at(terms.nominal, t_s) + sum(subtree - own for subtree, own in below)
            known = self._subtrees[key, product, t_s] = total, max(0, total - terms.lend)
        return known

    def reaches(self, holder: Key, queue: str, product: str) -> bool:
        """Whether a queue may use quota of a holder: it lends up the tree, the queue borrows from there."""
        borrower: Key = ("queue", queue)
        if borrower not in self.parent:
            return False
        above, own_way = list(self.up(holder)), list(self.up(borrower))
        common = next((key for key in own_way if key in above), None)
        if common is None:
            return False
        lends = all(self.terms(key, product).lend for key in above[: above.index(common)])
        return lends and all(self.terms(key, product).borrow for key in own_way[: own_way.index(common)])

    def ceilings(self, products: Collection[str]) -> dict[str, dict[str, int]]:
        """The most GPUs of each product that each queue may ever hold, if nobody else held anything."""
        found: dict[str, dict[str, int]] = {}
        for root in self.roots():
            dates = {product: self.dates(root, product) for product in products}
            for key in self.down(root):
                if key[0] == "queue":
                    found[key[1]] = {
                        product: max(self._most(key, product, t_s) for t_s in dates[product])
                        for product in products
                    }
        return found


def circles(cohorts: Mapping[str, Cohort]) -> Iterator[list[str]]:
    """Cohorts that are part of themselves, each circle once, from its first name in the plan."""
    seen: set[str] = set()
    for name in cohorts:
        way: list[str] = []
        at: str | None = name
        while at is not None and at not in way and at not in seen:
            way.append(at)
            at = cohorts[at].parent
        if at is not None and at in way:
            yield way[way.index(at) :]
        seen |= set(way)
