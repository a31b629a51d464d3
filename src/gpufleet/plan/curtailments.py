"""Times in which a site may draw less, and what its energy costs in carbon."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.declared import Key, PartList, Sourced
from gpufleet.plan.kinds import Kind, Number, Quantity, Schema
from gpufleet.plan.moments import Moment
from gpufleet.plan.reader import Reader
from gpufleet.plan.steps import dated
from gpufleet.plan.tree import Map, Node, Seq

Steps = tuple[tuple[int, float], ...]


class Curtailment(Sourced):
    """A call of the grid: so much power and no more, for a time."""

    from_: Annotated[datetime, Key(Moment(inside=True), "when it begins; local to the site", "from")]
    until: Annotated[datetime, Key(Moment(), "when it ends; local to the site")]
    power_w: Annotated[float, Key(Quantity("power"), "power that the site may draw then", "power")]

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        first, last = values["from_"], values["until"]
        if last <= first:
            says = say(
                "`until` ({last}) is not after `from` ({first})",
                last=reader.local(last),
                first=reader.local(first),
            )
            raise reader.refuse("P022", node.key_at["until"], says, say("correct one of the two"))
        return values


class CarbonStep(Sourced):
    """Carbon intensity from a date on."""

    from_: Annotated[datetime, Key(Moment(), "from when; local to the site", "from")]
    value: Annotated[float, Key(Number(most=2000.0), "g CO2 equivalent per kWh until the next step")]


class Carbon(Kind[Steps]):
    """A number, or a list of steps. Read as ((seconds from start, g/kWh), ...); unknown before the first."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Steps:
        if not isinstance(node, Seq):
            return ((0, Number(most=2000.0).read(node, path, reader)),)
        steps = PartList(CarbonStep).read(node, path, reader)
        if not steps:
            says = say("the list of steps is empty")
            raise reader.refuse("P008", node.at, says, say("leave `carbon_g_per_kwh` out: not known"))
        return dated(steps, reader, later=True)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Number(most=2000.0).schema(), PartList(CarbonStep).schema()]}
