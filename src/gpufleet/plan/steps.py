"""Values that change on dates: a list of steps, each from a date on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Protocol, TypeVar

from gpufleet.base.errors import Place
from gpufleet.base.say import say
from gpufleet.plan.reader import Reader

T_co = TypeVar("T_co", covariant=True)


class Step(Protocol[T_co]):
    """A value from a date on."""

    @property
    def from_(self) -> datetime:
        """From when, UTC."""

    @property
    def value(self) -> T_co:
        """The value until the next step."""

    @property
    def line(self) -> Place:
        """Where it stands."""


def dated(
    steps: Sequence[Step[T_co]], reader: Reader, *, later: bool = False
) -> tuple[tuple[int, T_co], ...]:
    """Steps as ((seconds from the plan's start, value), ...); `later`: one after the plan's end is well.

    Raises: UnreadableError if they are not in order (P014), or one is not before the plan's end (P013).
    """
    for before, after in pairwise(steps):
        if after.from_ <= before.from_:
            late, early = reader.local(before.from_), reader.local(after.from_)
            says = say("the step from {early} stands behind that from {late}", early=early, late=late)
            raise reader.refuse("P014", after.line, says, say("list the steps by date, each date once"))
    for step in steps:
        reader.within(step.from_, step.line, past=True, later=later)
    return tuple((reader.seconds(step.from_), step.value) for step in steps)
