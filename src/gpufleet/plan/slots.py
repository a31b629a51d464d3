"""Slots: what lots share on their way, such as the output of a chip plant, memory, or crews that install."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from typing_extensions import override

from gpufleet.base.errors import explain_code
from gpufleet.base.say import say
from gpufleet.plan.declared import Key, PartList, Sourced
from gpufleet.plan.kinds import Choice, Count, Kind, Schema, Text
from gpufleet.plan.law import Catalogued
from gpufleet.plan.moments import Moment
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Reader
from gpufleet.plan.steps import dated
from gpufleet.plan.tree import Map, Node, Seq

if TYPE_CHECKING:
    from gpufleet.plan.supply import Delivery

SHARED_STEPS: Final = ("made", "shipped", "delivered", "installed", "accepted")
SharedStep = Literal["made", "shipped", "delivered", "installed", "accepted"]
Monthly = tuple[tuple[int | None, int], ...]
"""GPUs a month, from a second of the plan on; None: always."""

explain_code(
    "P207",
    "slots that cannot be shared",
    "A slot lets so many GPUs a month take one step. Lots take it in the order in which they are ready, "
    "those of one moment in the order of the file; what a month leaves over is lost. The number of a month "
    "is the one of its first day, in the plan's time zone.",
    "slots: {crews: {step: installed, gpus_per_month: []}}",
)


class MonthlyStep(Sourced):
    """GPUs that a slot lets through each month, from a date on."""

    from_: Annotated[datetime, Key(Moment(), "from when; a month counts with its first day", "from")]
    value: Annotated[int, Key(Count("GPUs"), "GPUs a month")]


class PerMonth(Kind[Monthly]):
    """A number of GPUs, or a list of steps by date."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Monthly:
        if not isinstance(node, Seq):
            return ((None, Count("GPUs", least=1).read(node, path, reader)),)
        steps = PartList(MonthlyStep).read(node, path, reader)
        if not steps:
            says = say("the list of steps is empty")
            raise reader.refuse("P207", node.at, says, say("write a number of GPUs, or leave the slot out"))
        return dated(steps, reader, later=True)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Count("GPUs", least=1).schema(), PartList(MonthlyStep).schema()]}


class Slot(Sourced):
    """What lots share at one step: so many GPUs can take it each month."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    step: Annotated[SharedStep, Key(Choice(SHARED_STEPS), "the step that lots take in it")]
    gpus_per_month: Annotated[
        Monthly, Key(PerMonth(), "GPUs that can take it each month: a number, or steps by date")
    ]
    products: Annotated[
        tuple[str, ...], Key(Catalogued("product"), "products that need it; left out: all")
    ] = ()
    systems: Annotated[tuple[str, ...], Key(Catalogued("system"), "systems that need it; left out: all")] = ()
    sites: Annotated[tuple[str, ...], Key(NameList("site"), "sites whose lots need it; left out: all")] = ()

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if not any(gpus for _, gpus in values["gpus_per_month"]):
            says = say("`{path}` lets no GPU through, ever", path=path)
            raise reader.refuse("P207", node.at, says, say("write how many GPUs can take the step a month"))
        return values

    def holds(self, lot: Delivery, product: str) -> bool:
        """Whether a lot takes its step in this slot."""
        return (
            (not self.products or product in self.products)
            and (not self.systems or lot.system in self.systems)
            and (not self.sites or lot.to in self.sites)
        )
