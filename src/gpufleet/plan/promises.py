"""Promises: what somebody said that somebody will get; and what really arrived.

Promises stand side by side and are never added up: two may speak of the same GPUs. A lot says itself which of
them it counts toward.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from typing_extensions import override

from gpufleet.base.errors import explain_code
from gpufleet.base.say import say
from gpufleet.plan.declared import Key, Sourced
from gpufleet.plan.kinds import Choice, Count, Ref, Text
from gpufleet.plan.moments import Moment
from gpufleet.plan.reader import Reader
from gpufleet.plan.tree import Map

PROMISE_KINDS: Final = ("pledge", "target")

PromiseKind = Literal["pledge", "target"]

explain_code(
    "P080",
    "promise falls due before it can",
    "A promise falls due in a window: `from` (left out: `at`, when it was made) to `until`. The window "
    "cannot end before it begins, nor before the promise was made.",
    "promises:\n  first: {for: research, gpus: 64, at: 2026-01-01, until: 2025-12-31}",
)


class Promise(Sourced):
    """So many GPUs promised to a tenant by a date. It brings none: lots that count toward it do."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    kind: Annotated[
        PromiseKind, Key(Choice(PROMISE_KINDS), "pledge: somebody gives it; target: somebody wants it")
    ] = "pledge"
    by: Annotated[str | None, Key(Text(), "who promised")] = None
    tenant: Annotated[str, Key(Ref("tenant"), "to whom: a tenant", "for")]
    gpus: Annotated[int, Key(Count("GPUs", least=1), "how many GPUs")]
    product: Annotated[str | None, Key(Text(), "which GPUs, in the words of the promise")] = None
    at: Annotated[datetime, Key(Moment(), "when it was made")]
    from_: Annotated[
        datetime | None,
        Key(Moment(), "from when it falls due, in equal parts each month; left out: `at`", "from"),
    ] = None
    until: Annotated[datetime, Key(Moment(), "by when all of it is due")]
    gpus_range: tuple[int, int] | None = None

    @property
    def due_from(self) -> datetime:
        """First moment of the window in which it falls due."""
        return self.from_ or self.at

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        at, first, until = values["at"], values.get("from_"), values["until"]
        begins = max(at, first or at)
        if until < begins:
            says = say(
                "it is due by {until}; it begins on {begins}",
                until=reader.local(until),
                begins=reader.local(begins),
            )
            fix = say("correct one of the two")
            raise reader.refuse("P080", reader.origins[f"{path}.until"].at, says, fix)
        values["gpus_range"] = reader.origins[f"{path}.gpus"].range
        return values


class Actual(Sourced):
    """GPUs of a lot that have really arrived: set against the plan, and not simulated."""

    lot: Annotated[str, Key(Ref("lot"), "the delivery: its name")]
    at: Annotated[datetime, Key(Moment(), "when they arrived; a bare date is in the plan's zone")]
    gpus: Annotated[int, Key(Count("GPUs", least=1), "how many GPUs arrived then")]
