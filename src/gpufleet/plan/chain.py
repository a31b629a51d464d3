"""The chain of a lot as people declare it: its steps, how long each takes, and what it waits for.

A lot is ordered, made, licensed, shipped, delivered, installed, powered, accepted and then online. What the
plan says of a step is a date, a time after the step before, or a milestone that must be reached first.
`gpufleet.plan.chain_walk` has when each is reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from typing_extensions import override

from gpufleet.base.errors import explain_code
from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key, Part, Sourced, as_map
from gpufleet.plan.kinds import Choice, Count, Kind, Number, Schema, Text
from gpufleet.plan.moments import Duration, Moment
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.tree import Map, Node

STEPS: Final = ("ordered", "made", "licensed", "shipped", "delivered", "installed", "accepted")
"""Steps that have dates, in their order. Who is accepted, and has power, is online."""

MILESTONES: Final = ("foundry", "memory", "building", "grid", "cooling", "budget", "tender", "other")
MilestoneKind = Literal["foundry", "memory", "building", "grid", "cooling", "budget", "tender", "other"]
EVERY: Final = "default"
"""Stands for all systems that have no lead times of their own."""

explain_code(
    "P200",
    "milestone without a date",
    "A milestone is reached `at` a date, or some time (`takes`) after others (`after`). A tender that "
    "`fails` so many times, or succeeds with a chance of `p_success`, is held again each time, after "
    "`repeat_after`.",
    "milestones: {hall: {kind: building, takes: 10 months}}       # after what?",
)
explain_code(
    "P201",
    "milestones wait for each other",
    "Milestones that come after each other in a circle are never reached.",
    "milestones:\n  hall: {after: grid, takes: 1 d}\n  grid: {after: hall, takes: 1 d}",
)


_TOGETHER: Final = (
    ("takes", "after"),
    ("fails", "repeat_after"),
    ("p_success", "repeat_after"),
    ("repeat_after", "fails", "p_success"),
)
"""Keys of a milestone that want another one, or one of others, beside them."""


class Milestone(Sourced):
    """What lots wait for: a chip plant, a hall, a grid step, a budget, a tender."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    kind: Annotated[MilestoneKind, Key(Choice(MILESTONES), "what it is about")] = "other"
    at: Annotated[datetime | None, Key(Moment(), "when it is reached")] = None
    after: Annotated[
        tuple[str, ...], Key(NameList("milestone"), "milestones that must be reached before it begins")
    ] = ()
    takes_s: Annotated[
        int | None,
        Key(
            Duration(),
            "how long it takes from then on; left out: of a building what is usual, else no time",
            "takes",
        ),
    ] = None
    fails: Annotated[
        int, Key(Count("times", most=100), "how many times a tender fails before it succeeds")
    ] = 0
    repeat_after_s: Annotated[
        int, Key(Duration(least=1), "how long until it is held again after each failure", "repeat_after")
    ] = 0
    p_success: Annotated[
        float | None,
        Key(
            Number(above=True, most=1.0),
            "chance that a tender succeeds each time it is held; how often it fails is drawn from the seed, "
            "but `fails` wins where it is stated",
        ),
    ] = None
    at_range: tuple[datetime, datetime] | None = None
    takes_range: tuple[int, int] | None = None
    fails_range: tuple[int, int] | None = None
    fails_stated: bool | None = None
    fails_drawn: bool | None = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if ("at" in values) == ("after" in values):
            says = say("`{path}` has neither `at` nor `after`", path=path)
            if "at" in values:
                says = say("`{path}` has both `at` and `after`", path=path)
            raise reader.refuse("P200", node.at, says, say("write a date, or `after` and `takes`"))
        for key, *wants in _TOGETHER:
            if key in node.items and not any(want in node.items for want in wants):
                says = say("`{path}` has `{key}` and no `{wants}`", path=path, key=key, wants=wants[0])
                fix = say("write `{wants}` too", wants=wants[0])
                raise reader.refuse("P200", node.key_at[key], says, fix)
        values["fails_stated"] = True if "fails" in values else None
        for key in ("at", "takes", "fails"):
            if f"{path}.{key}" in reader.origins:
                values[f"{key}_range"] = reader.origins[f"{path}.{key}"].range
        return values


class LotSteps(Declared):
    """Dates of steps: none is reached before its own."""

    made: Annotated[datetime | None, Key(Moment(), "when it is made")] = None
    shipped: Annotated[datetime | None, Key(Moment(), "when it is shipped")] = None
    installed: Annotated[datetime | None, Key(Moment(), "when it is installed")] = None
    accepted: Annotated[datetime | None, Key(Moment(), "when it is accepted")] = None
    ranges: Mapping[str, tuple[datetime, datetime]] = {}

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        return values | {"ranges": _ranges(values, path, reader)}


class LeadTimes(Sourced):
    """How long each step takes, from the step before it."""

    made: Annotated[int | None, Key(Duration(), "from the order until it is made")] = None
    shipped: Annotated[int | None, Key(Duration(), "from then, or its licence, until it is shipped")] = None
    delivered: Annotated[int | None, Key(Duration(), "from the shipment until it is at the site")] = None
    installed: Annotated[int | None, Key(Duration(), "from the delivery until it is installed")] = None
    accepted: Annotated[int | None, Key(Duration(), "from then until it is accepted")] = None
    ranges: Mapping[str, tuple[int, int]] = {}

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        return values | {"ranges": _ranges(values, path, reader)}


class Needs(Declared):
    """Milestones that must be reached before a step."""

    ordered: Annotated[tuple[str, ...], Key(NameList("milestone"), "before it is ordered")] = ()
    made: Annotated[tuple[str, ...], Key(NameList("milestone"), "before it is made")] = ()
    shipped: Annotated[tuple[str, ...], Key(NameList("milestone"), "before it is shipped")] = ()
    installed: Annotated[tuple[str, ...], Key(NameList("milestone"), "before it is installed")] = ()
    accepted: Annotated[tuple[str, ...], Key(NameList("milestone"), "before it is accepted")] = ()


def _ranges(values: dict[str, Any], path: str, reader: Reader) -> dict[str, Any]:
    """The ranges of what is written."""
    found = {key: reader.origins.get(under(path, key)) for key in values if key in STEPS}
    return {key: origin.range for key, origin in found.items() if origin and origin.range}


class LeadTimesOf(Kind[dict[str, LeadTimes]]):
    """Lead times by system; `default` is for all others."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, LeadTimes]:
        from gpufleet.plan.supply import from_catalogue

        found: dict[str, LeadTimes] = {}
        body, ok = as_map(node, path, reader), True
        for name, item in body.items.items():
            try:
                times = Part(LeadTimes).read(item, under(path, name), reader)
                own = name == EVERY or name in reader.known.get("system", ())
                system = name if own else from_catalogue("system", name, body.key_at[name], reader)
            except UnreadableError:
                ok = False
                continue
            found[system] = times
        if not ok:
            raise UnreadableError(path)
        return found

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": Part(LeadTimes).schema()}
