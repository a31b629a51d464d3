"""How much of one product each queue may use more of: the quota tree in plain numbers.

The same meaning as the kernels of `engine.sharing.tree`, for those who explain a decision afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpufleet.base.arrays import Ints
from gpufleet.world.layout import UNLIMITED, SharedQuotas, Tree


def nominal_at(shared: SharedQuotas, t_s: int) -> Ints:
    """The nominal quotas in force at a second, shape (rows of the tree, products)."""
    nominal = shared.tree.nominal.copy()
    for at in range(len(shared.change_t_s)):
        if shared.change_t_s[at] <= t_s:
            nominal[shared.change_row[at], shared.change_product[at]] = shared.change_gpus[at]
    return nominal


class Headroom:
    """The tree while queues hold GPUs of one product. Rows are those of `Tree`.

    >>> from gpufleet.world.quotas import Cohort, Limits, Queue, Sharing, arrays_of
    >>> a, b = (Queue(name, "all", ((("B200", {"gpu": Limits(8, lend=lend)}),),))
    ...         for name, lend in (("a", None), ("b", 2)))
    >>> tree = arrays_of(Sharing((Cohort("all"),), (a, b)), []).tree
    >>> room = Headroom(tree, 0, {1: 8})
    >>> room.available(1), room.potential(1), room.held_back(2), room.available(2)
    (2, 10, 6, 8)
    """

    def __init__(
        self, tree: Tree, product: int, held: Mapping[int, int], nominal: Ints | None = None
    ) -> None:
        """Args: held: GPUs by row of a queue; nominal: in force now; default: at the start."""
        self.parent = tree.parent.tolist()
        self.own: list[int] = (tree.nominal if nominal is None else nominal)[:, product].tolist()
        self._borrow: list[int] = tree.borrow[:, product].tolist()
        lend = tree.lend[:, product].tolist()
        n = len(self.parent)
        self.subtree, self.local = list(self.own), [0] * n
        self.held = [held.get(row, 0) for row in range(n)]
        self.usage = list(self.held)
        for row in reversed(range(n)):  # children stand below their parents
            if lend[row] != UNLIMITED:
                self.local[row] = max(0, self.subtree[row] - lend[row])
            if self.parent[row] >= 0:
                self.subtree[self.parent[row]] += self.subtree[row] - self.local[row]
                self.usage[self.parent[row]] += max(0, self.usage[row] - self.local[row])

    def available(self, row: int) -> int:
        """GPUs that it may use more of, borrowing included; below 0 if it uses too many."""
        least, gathered = None, 0
        while self.parent[row] >= 0:
            gathered += self.held_back(row)
            if self._borrow[row] != UNLIMITED:
                lent = self.subtree[row] - self.local[row]
                beyond = max(0, self.usage[row] - self.local[row])
                limited = gathered + self._borrow[row] + lent - beyond
                least = limited if least is None else min(least, limited)
            row = self.parent[row]
        whole: int = gathered + self.subtree[row] - self.usage[row]
        return whole if least is None else min(least, whole)

    def potential(self, row: int) -> int:
        """GPUs that it could use if nobody else used any."""
        least, gathered = None, 0
        while self.parent[row] >= 0:
            if self._borrow[row] != UNLIMITED:
                limited = gathered + self.subtree[row] + self._borrow[row]
                least = limited if least is None else min(least, limited)
            gathered += self.local[row]
            row = self.parent[row]
        whole: int = gathered + self.subtree[row]
        return whole if least is None else min(least, whole)

    def held_back(self, row: int) -> int:
        """Free GPUs of its own that it does not lend."""
        return max(0, self.local[row] - self.usage[row])

    def borrow_limit(self, row: int) -> int | None:
        """The most that it borrows; None = no limit."""
        return None if self._borrow[row] == UNLIMITED else self._borrow[row]

    def above(self, row: int) -> Iterator[int]:
        """The cohorts that it is in, the nearest first."""
        while self.parent[row] >= 0:
            row = self.parent[row]
            yield row

    def below(self, cohort: int) -> list[int]:
        """All rows in a cohort, but not it."""
        return [row for row in range(len(self.parent)) if cohort in self.above(row)]

    def total(self, cohort: int) -> int:
        """Own GPUs of a cohort and of all in it."""
        return self.own[cohort] + sum(self.own[row] for row in self.below(cohort))

    def in_use(self, cohort: int) -> int:
        """GPUs that queues in a cohort hold."""
        return sum(self.held[row] for row in self.below(cohort))
