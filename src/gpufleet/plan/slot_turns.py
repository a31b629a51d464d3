"""Who takes a shared slot when: in the order in which lots are ready, month by month, to the GPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.plan.chain_times import NEVER

if TYPE_CHECKING:
    from gpufleet.plan.purses import Purse
    from gpufleet.plan.slots import Slot
    from gpufleet.plan.supply import Delivery

LAST_MONTH: Final = 9000 * 12
"""What comes later never comes."""


class Sharing(NamedTuple):
    """The slots and budgets of a plan that lots share, and how its months are counted."""

    slots: tuple[Slot, ...] = ()
    products: Mapping[str, str] = {}  # by system
    start: datetime = NEVER
    zone: ZoneInfo = ZoneInfo("UTC")
    purses: tuple[Purse, ...] = ()

    def at(self, step: str) -> Iterable[Slot]:
        """The slots in which lots take a step."""
        return (slot for slot in self.slots if slot.step == step)

    def hold(self, lot: Delivery, step: str | None = None) -> bool:
        """Whether a lot takes a step in any slot, or out of any budget; None: whichever step."""
        slots = self.slots if step is None else self.at(step)
        paid = any(lot.name in purse.lots for purse in self.purses if step in (None, purse.step))
        return paid or any(slot.holds(lot, self.products[lot.system]) for slot in slots)

    def month_of(self, moment: datetime) -> int:
        """The month of a moment, counted from year 0."""
        here = moment.astimezone(self.zone)
        return here.year * 12 + here.month - 1

    def first_of(self, month: int) -> datetime:
        """The first moment of a month; beyond all dates: never."""
        if month >= LAST_MONTH:
            return NEVER
        return datetime(month // 12, month % 12 + 1, 1, tzinfo=self.zone).astimezone(UTC)


class Turns:
    """One slot through time: how many GPUs of the month at hand are left."""

    def __init__(self, slot: Slot, sharing: Sharing) -> None:
        self._sharing = sharing
        self._steps = [
            (0 if from_s is None else self._from(from_s), gpus) for from_s, gpus in slot.gpus_per_month
        ]
        self._month = 0
        self._left = self._most(0)

    def _from(self, from_s: int) -> int:
        """The first month that begins with a step in force."""
        moment = datetime.fromtimestamp(self._sharing.start.timestamp() + from_s, UTC)
        month = self._sharing.month_of(moment)
        return month + (self._sharing.first_of(month) < moment)

    def _most(self, month: int) -> int:
        """GPUs that the slot lets through in a month."""
        return next((gpus for first, gpus in reversed(self._steps) if first <= month), 0)

    def take(self, ready: datetime, gpus: int, before: datetime = NEVER) -> datetime:
        """When the last of some GPUs that are ready at a moment has had its turn; NEVER if never.

        Who asks later is ready later: what months before that left over is lost.

        Args: before: whose turn comes only then or later is cancelled by then, and takes nothing.
        """
        kept = self._month, self._left
        at = self._take(ready, gpus)
        if before <= at and before < NEVER:
            self._month, self._left = kept
        return at

    def _take(self, ready: datetime, gpus: int) -> datetime:
        if ready >= NEVER:
            return NEVER
        own = self._sharing.month_of(ready)
        if own > self._month:
            self._month, self._left = own, self._most(own)
        while gpus > self._left:
            gpus -= self._left
            self._go_on(gpus)
            if self._month >= LAST_MONTH:
                return NEVER
        self._left -= gpus
        return max(ready, self._sharing.first_of(self._month))

    def _go_on(self, gpus: int) -> None:
        """To the next month; over many that are alike at once, as far as some GPUs need all of them."""
        self._month += 1
        self._left = self._most(self._month)
        ends = next((first for first, _ in self._steps if first > self._month), LAST_MONTH)
        alike = ends - self._month - 1
        skipped = alike if not self._left else min(alike, (gpus - 1) // self._left)
        if skipped > 0:
            self._month += skipped
            self._left += self._left * skipped
