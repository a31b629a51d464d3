"""What a search for victims looks at, in both rules."""

from __future__ import annotations

from dataclasses import dataclass

from .model import FR, Amounts, Policy, Victim, Work
from .tree import Node, Snapshot


@dataclass
class Search:
    """A work that needs room in some FRs, and the moment, from which victims are taken out one by one."""

    now: Snapshot
    work: Work
    need: frozenset[FR]
    request: Amounts

    @property
    def leaf(self) -> Node:
        return self.now.leaves[self.work.queue]

    @property
    def policy(self) -> Policy:
        assert self.leaf.queue is not None
        return self.leaf.queue.policy

    def uses_need(self, candidate: Work) -> bool:
        return any(candidate.usage.get(fr, 0) > 0 for fr in self.need)

    def fits(self, borrow: bool) -> bool:
        """Every request is available; without borrowing, the queue also ends within nominal."""
        if not borrow and any(self.now.over(self.leaf, fr, n) for fr, n in self.request.items()):
            return False
        return self.now.fits(self.leaf, self.request)

    def put_back(self, victims: list[Victim], borrow: bool) -> list[Victim]:
        """From the last but one to the first: who can return leaves the list, and the last takes its slot."""
        for i in range(len(victims) - 2, -1, -1):
            self.now.put(victims[i].work)
            if self.fits(borrow):
                victims[i] = victims[-1]
                victims.pop()
            else:
                self.now.take(victims[i].work)
        return victims
