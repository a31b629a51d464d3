"""What a search for victims looks at, in both rules."""

from __future__ import annotations

from dataclasses import dataclass

from .model import FR, HAS_PLACE, Amounts, Policy, Rules, Victim, Work
from .tree import Node, Snapshot


@dataclass
class Search:
    """A work that needs room in some FRs, and the moment, from which victims are taken out one by one."""

    now: Snapshot
    work: Work
    need: frozenset[FR]
    request: Amounts
    rules: Rules

    @property
    def leaf(self) -> Node:
        return self.now.leaves[self.work.queue]

    @property
    def policy(self) -> Policy:
        assert self.leaf.queue is not None
        return self.leaf.queue.policy

    def may_take(self, candidate: Work) -> bool:
        """It can be a victim at all, and uses what is needed."""
        return not candidate.spared and any(candidate.usage.get(fr, 0) > 0 for fr in self.need)

    def fits(self, borrow: bool) -> bool:
        """Every request is available and has a place; without borrowing, the queue ends within nominal."""
        if not borrow and any(self.now.over(self.leaf, fr, n) for fr, n in self.request.items()):
            return False
        return self.now.fits(self.leaf, self.request) and self._has_place()

    def _has_place(self) -> bool:
        room, gone = self.rules.room, self.now.gone
        return all(room.place(self.work, flavor, gone) == HAS_PLACE for flavor, _ in self.request)

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
