"""What people say of a lot beside its steps: it comes in parts, is cancelled, stands in for another."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from typing_extensions import override

from gpufleet.base.errors import explain_code
from gpufleet.base.money import Money, parse_money
from gpufleet.base.say import say
from gpufleet.base.units import UnitError
from gpufleet.plan.chain import LeadTimes, LotSteps, Needs
from gpufleet.plan.declared import Key, Part, Sourced
from gpufleet.plan.kinds import Choice, Count, Kind, Number, Ref, Schema, Text, Value
from gpufleet.plan.moments import Moment
from gpufleet.plan.reader import Reader
from gpufleet.plan.tree import Leaf, Map, Node

BYS: Final = ("gpus", "compute", "money")
By = Literal["gpus", "compute", "money"]
STATUSES: Final = ("pledged", "ordered", "delivered", "online")
Status = Literal["pledged", "ordered", "delivered", "online"]

explain_code(
    "P203",
    "parts that do not make the lot",
    "A lot may come in `parts`, each with GPUs and dates of its own. What the parts leave over stays with "
    "the lot and its own dates; together they are never more than the lot. Where a lot has a range and its "
    "parts leave nothing over, the parts have ranges. A lot without a rest is named by its parts: first/1.",
    "deliveries:\n"
    "  - {name: first, gpus: 64, at: 2027-01-01, parts: [{gpus: 48}, {gpus: 32, at: 2027-03-01}], ...}",
)
explain_code(
    "P204",
    "cancellation that cannot be meant",
    "What is cancelled is at most the lot. It is written off when it is cancelled or later. Of a lot in "
    "parts it is the rest, or the parts say so themselves.",
    "deliveries: [{name: first, gpus: 64, cancelled: {at: 2027-03-01, gpus: 96}, ...}]",
)
explain_code(
    "P206",
    "lot that cannot stand in for another",
    "`replaces` names the lot whose GPUs are cancelled. Where the new lot does not say how many GPUs it "
    "has, "
    "they follow: as many (`by: gpus`), the same dense BF16 rate (`by: compute`), or the same money "
    "(`by: money`), in whole nodes. Rates and prices are those of the catalogue, or `unit_price` of both "
    "lots; `ratio` says how many new GPUs there are for one of the old.",
    "deliveries:\n"
    "  - {name: old, system: DGX B200, gpus: 64, at: 2027-01-01, ...}\n"
    "  - {name: new, system: own, replaces: {lot: old, by: compute}, ...}    # how fast is `own`?",
)


class Cancelled(Sourced):
    """That a lot, or GPUs of it, never comes."""

    at: Annotated[datetime, Key(Moment(), "when it is cancelled; a bare date is local to the site")]
    gpus: Annotated[
        int | None, Key(Count("GPUs", least=1), "how many of its GPUs; left out: all that are not in service")
    ] = None
    because: Annotated[str | None, Key(Text(), "why, in words")] = None
    written_off: Annotated[
        datetime | None, Key(Moment(), "when what was made by then is written off; left out: it is kept")
    ] = None
    replaced_by: str | None = None  # the lot that stands in for it

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        off = values.get("written_off")
        if off is not None and off < values["at"]:
            says = say(
                "it is written off on {day}, and cancelled on {later}",
                day=reader.local(off), later=reader.local(values["at"]),
            )  # fmt: skip
            at = reader.origins[f"{path}.written_off"].at
            raise reader.refuse("P204", at, says, say("correct one of the two"))
        return values


class CancelledKind(Kind[Cancelled]):
    """A date, or a mapping that says more."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Cancelled:
        if isinstance(node, Map) and "value" not in node.items:
            return Cancelled.from_node(node, path, reader)
        at = Moment().read(node, path, reader)
        origin = reader.origins[path]
        return Cancelled(line=origin.at, at=at, source=origin.source, trust=origin.trust)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Moment().schema(), Part(Cancelled).schema()]}


class Replaces(Sourced):
    """The lot for which another one stands in."""

    lot: Annotated[str, Key(Ref("lot"), "the lot that is cancelled")]
    by: Annotated[
        By | None,
        Key(Choice(BYS), "what stays the same, where the new lot says no GPUs; left out: the number of GPUs"),
    ] = None
    gpus: Annotated[
        int | None, Key(Count("GPUs", least=1), "how many of the old GPUs; left out: all that are cancelled")
    ] = None
    at: Annotated[
        datetime | None,
        Key(Moment(), "when the old lot is cancelled; left out: when the new one is `ordered`, else `as_of`"),
    ] = None
    ratio: Annotated[
        float | None,
        Key(Number(above=True, most=1e4), "new GPUs for one of the old; left out: as the catalogue says"),
    ] = None


class ReplacesKind(Kind[Replaces]):
    """The name of a lot, or a mapping that says more."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Replaces:
        if isinstance(node, Map) and "value" not in node.items:
            return Replaces.from_node(node, path, reader)
        lot = Ref("lot").read(node, path, reader)
        return Replaces(line=reader.origins[path].at, lot=lot)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Ref("lot").schema(), Part(Replaces).schema()]}


class UnitPrice(Value[Money]):
    """The price of one GPU, or of one node."""

    wants = say("a price such as `30 kUSD/GPU`")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> Money:
        try:
            price = parse_money(leaf.text, ["GPU", "node"])
        except UnitError as error:
            raise reader.refuse(
                "P009", leaf.at, error.args[0], say("write {wants}", wants=self.wants)
            ) from error
        if price.micro <= 0:
            says = say("`{text}` must be {least}", text=leaf.text[:60], least=say("more than 0"))
            raise reader.refuse("P011", leaf.at, says, say("write {wants}", wants=self.wants))
        return price

    @override
    def short_schema(self) -> Schema:
        return {
            "type": "string",
            "pattern": r"^\s*[0-9.].*[A-Z]{3}\s*/\s*(GPU|node)\s*$",
            "examples": ["30 kUSD/GPU"],
        }


class LotPart(Sourced):
    """GPUs of a lot that take their own way from some step on."""

    gpus: Annotated[int, Key(Count("GPUs", least=1), "how many of the lot's GPUs")]
    at: Annotated[datetime | None, Key(Moment(), "when it arrives; left out: as the lot says")] = None
    ordered: Annotated[datetime | None, Key(Moment(), "when it is ordered; left out: as the lot says")] = None
    status: Annotated[Status | None, Key(Choice(STATUSES), "how far it is; left out: as far as the lot")] = (
        None
    )
    steps: Annotated[LotSteps | None, Key(Part(LotSteps), "dates of its steps, before those of the lot")] = (
        None
    )
    lead_times: Annotated[
        LeadTimes | None, Key(Part(LeadTimes), "how long its steps take, before those of the lot")
    ] = None
    needs: Annotated[Needs | None, Key(Part(Needs), "milestones of its steps, instead of the lot's")] = None
    cancelled: Annotated[Cancelled | None, Key(CancelledKind(), "when it is cancelled, if it is")] = None
    at_range: tuple[datetime, datetime] | None = None
    ordered_range: tuple[datetime, datetime] | None = None
    gpus_range: tuple[int, int] | None = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        for key in ("at", "ordered", "gpus"):
            if key in values:
                values[f"{key}_range"] = reader.origins[f"{path}.{key}"].range
        return values
