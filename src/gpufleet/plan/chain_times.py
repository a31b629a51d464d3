"""When milestones are reached, and how long steps take, at one end of what is said of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from gpufleet.plan.chain import EVERY

if TYPE_CHECKING:
    from gpufleet.plan.chain import LeadTimes, Milestone
    from gpufleet.plan.supply import Delivery

End = Literal[0, 1] | None
"""Which ends of the ranges count: 0 = late, 1 = early, None = the values themselves."""

T = TypeVar("T")

NEVER: Final = datetime.fromisoformat("9000-01-01T00:00:00+00:00")
"""Stands for a date that is never reached."""

MOST_FAILS: Final = 100
_LIKELY: Final = (0.05, 0.95)
"""The range of what is drawn: nine of ten draws lie in it."""


class Times:
    """The dates of a plan's milestones, and its lead times, at one end of their ranges."""

    def __init__(self, milestones: Mapping[str, Milestone], lead: Mapping[str, LeadTimes], end: End) -> None:
        self.end = end
        self._lead = lead
        self.milestone: dict[str, datetime] = {}
        order, _ = in_turn({name: each.after for name, each in milestones.items()})
        for name in order:
            self.milestone[name] = self._reach(milestones[name])

    def _reach(self, each: Milestone) -> datetime:
        """When a milestone is reached; those that it comes after are known."""
        if each.at is not None:
            begins = self.of(each.at, each.at_range)
        else:
            begins = max(self.milestone[other] for other in each.after)
        held = self.of(each.fails, each.fails_range) * each.repeat_after_s
        return later(begins, self._takes_s(each) + held)

    def _takes_s(self, each: Milestone) -> int:
        """How long a milestone takes: as the plan says, else what is usual for its kind."""
        if each.takes_s is not None:
            return self.of(each.takes_s, each.takes_range)
        usual = usual_of(each)
        return self.of(usual[0], usual[1:]) if usual else 0

    def of(self, value: T, extent: tuple[T, T] | None) -> T:
        """A value, or the end of its range that is wanted: the high one is the late one."""
        return value if extent is None or self.end is None else extent[1 - self.end]

    def gpus(self, lot: Delivery) -> int:
        """GPUs of a lot at this end: what is late is few."""
        return lot.gpus if lot.gpus_range is None or self.end is None else lot.gpus_range[self.end]

    def lead_s(self, lot: Delivery, step: str, *, usual: bool) -> tuple[int, str]:
        """How long a step takes, and the path of the plan that says so.

        Args: usual: whether the catalogue fills in what the plan does not say.
        """
        own = (f"deliveries.{lot.name}.lead_times", lot.lead_times)
        places = [own, *((f"lead_times.{name}", self._lead.get(name)) for name in (lot.system, EVERY))]
        for path, times in places:
            value = getattr(times, step, None) if times else None
            if times is not None and value is not None:
                return self.of(value, times.ranges.get(step)), f"{path}.{step}"
        if usual:
            from gpufleet.catalog.lead_times import lead_times

            known = lead_times().get(step)
            if known is not None:
                return self.of(known.seconds, (known.low_s, known.high_s)), f"deliveries.{lot.name}"
        return 0, f"deliveries.{lot.name}"


def usual_of(each: Milestone) -> tuple[int, int, int] | None:
    """How long a milestone usually takes where the plan does not say, from low to high: s, low, high."""
    if each.at is not None or each.takes_s is not None or each.kind not in ("building",):
        return None
    from gpufleet.catalog.lead_times import lead_times

    known = lead_times()[each.kind]
    return known.seconds, known.low_s, known.high_s


def later(moment: datetime, seconds: int) -> datetime:
    """A moment so many seconds later; what lies beyond all dates is never."""
    left_s = (NEVER - moment).total_seconds()
    return NEVER if seconds >= left_s else moment + timedelta(seconds=seconds)


def in_turn(after: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str]]:
    """Names so that each stands behind those that it comes after; and a circle of them, if there is one.

    However long the way is, it is gone without recursion.

    >>> in_turn({"c": ["b"], "b": ["a"], "a": []})
    (['a', 'b', 'c'], [])
    >>> in_turn({"a": ["b"], "b": ["a"]})[1]
    ['a', 'b', 'a']
    """
    done: dict[str, None] = {}
    for first in after:
        way: dict[str, Iterator[str]] = {} if first in done else {first: iter(after[first])}
        while way:
            here = next(reversed(way))
            other = next(way[here], None)
            if other is None:
                done[here] = None
                del way[here]
            elif other in way:
                names = list(way)
                return list(done), [*names[names.index(other) :], other]
            elif other in after and other not in done:
                way[other] = iter(after[other])
    return list(done), []


def circle_of(milestones: Mapping[str, Milestone]) -> list[str]:
    """Milestones that wait for each other, in their order, the first one again at the end; else none.

    >>> circle_of({})
    []
    """
    return in_turn({name: each.after for name, each in milestones.items()})[1]


def drawn(milestones: Mapping[str, Milestone], seed: int) -> dict[str, Milestone]:
    """The milestones with the failures of tenders that are left to chance; what is stated wins.

    Each draw hangs on the seed and the tender's name only, so that no other tender shifts its luck.
    """
    return {name: _drawn(each, seed) for name, each in milestones.items()}


def _drawn(each: Milestone, seed: int) -> Milestone:
    if each.p_success is None or each.fails_stated:
        return each
    digest = blake2b(f"{seed}/tender/{each.name}".encode(), digest_size=8).digest()
    share = (int.from_bytes(digest, "little") >> 11) / 2**53
    fails = fails_at(share, each.p_success)
    low, high = (fails_at(end, each.p_success) for end in _LIKELY)
    return each.model_copy(
        update={"fails": fails, "fails_range": (min(low, fails), max(high, fails)), "fails_drawn": True}
    )


def fails_at(share: float, p_success: float) -> int:
    """How many times a tender fails before it succeeds, at a share (0 to 1) of all luck.

    The number of failures is geometric: it is at most k with a chance of 1 - (1 - p)^(k + 1).

    >>> [fails_at(share, 0.5) for share in (0.0, 0.49, 0.51, 0.76, 0.95)]
    [0, 0, 1, 2, 4]
    """
    fails, missed = 0, 1.0 - p_success
    while 1.0 - missed <= share and fails < MOST_FAILS:
        fails, missed = fails + 1, missed * (1.0 - p_success)
    return fails
