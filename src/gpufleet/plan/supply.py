"""Supply: what is delivered where and when, what it is made of, and what leaves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from typing_extensions import override

from gpufleet.base.errors import GpufleetError, Place
from gpufleet.base.money import Money
from gpufleet.base.say import say
from gpufleet.plan.chain import LeadTimes, LotSteps, Needs
from gpufleet.plan.declared import Key, Part, PartList, Sourced
from gpufleet.plan.kinds import Choice, Count, Kind, Quantity, Ref, Schema, Text
from gpufleet.plan.law import UNKNOWN_LAW, Buyer, Country, Export, UnknownLaw
from gpufleet.plan.lot_words import (
    STATUSES,
    Cancelled,
    CancelledKind,
    LotPart,
    Replaces,
    ReplacesKind,
    Status,
    UnitPrice,
)
from gpufleet.plan.moments import Moment
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.tree import Leaf, Map, Node, word_at

MODES: Final = ("drain", "kill")

Mode = Literal["drain", "kill"]


class SystemName(Text):
    """A system: an own one of the plan, or a name that the catalogue knows."""

    wants = say("the name of a system")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        name = super().parse(leaf, reader)
        if name in reader.known.get("system", ()):
            return name
        if "systems" in reader.broken:
            raise UnreadableError(name)  # its table is reported already
        return from_catalogue("system", name, leaf.at, reader)


def product_named(name: str, at: Place, reader: Reader) -> str:
    """The id of a product. Raises: UnreadableError with a catalogue code if it is unknown or ambiguous."""
    own = name in reader.known.get("product", ())
    return name if own else from_catalogue("product", name, at, reader)


def from_catalogue(what: Literal["product", "system"], name: str, at: Place, reader: Reader) -> str:
    """The catalogue's id for a name; what it says about the choice becomes a note.

    Raises: UnreadableError with the catalogue's finding at this place.
    """
    from gpufleet.catalog.load import resolve_product, resolve_system

    try:
        found = resolve_product(name) if what == "product" else resolve_system(name)
    except GpufleetError as error:
        raise reader.pass_on(error, at) from error
    if found.note:
        reader.note(found.note)
    return found.id


def own_product(name: str) -> bool:
    """Whether a name is none of the catalogue's, so that the plan may make it a product of its own."""
    from gpufleet.catalog.load import resolve_product

    try:
        resolve_product(name)
    except GpufleetError as error:
        return error.findings[0].code == "C001"
    return False


class OwnProduct(Kind[str]):
    """The product of an own system: one of the catalogue, or a new one."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> str:
        name = Text().read(node, path, reader)
        if own_product(name):
            reader.note(
                say("{name} is a product of this plan: the catalogue has none of that name", name=name)
            )
            return name
        return from_catalogue("product", name, node.at, reader)

    @override
    def schema(self) -> Schema:
        return Text().schema()


class System(Sourced):
    """What is bought: nodes of like GPUs, joined to domains (NVLink, racks)."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    product: Annotated[str, Key(OwnProduct(), "its GPU: a product of the catalogue, or a name of your own")]
    gpus_per_node: Annotated[int, Key(Count("GPUs", least=1, most=4096), "GPUs of one node")]
    nodes_per_domain: Annotated[
        int, Key(Count("nodes", least=1, most=100_000), "nodes that share one scale-up network")
    ] = 1
    node_power_w: Annotated[
        float | None, Key(Quantity("power", above=True), "rated power of one node", "node_power")
    ] = None
    rack_power_w: float | None = None  # rated power of one domain, W; from the catalogue
    node_power_w_range: tuple[float, float] | None = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        from gpufleet.catalog.load import resolve_system

        if "node_power_w" in values:
            values["node_power_w_range"] = reader.origins[f"{path}.node_power"].range
        try:
            known = resolve_system(values["name"]).id
        except GpufleetError:
            return values
        says = say("`{values}` is a system of the catalogue ({known})", values=values["name"], known=known)
        raise reader.refuse("P020", node.at, says, say("give your own system another name"))

    @classmethod
    def of_catalogue(cls, name: str, at: Place) -> Self:
        """A system of the catalogue.

        Raises: GpufleetError C003 if the catalogue does not know how many GPUs a node has.

        >>> rack = System.of_catalogue("GB200-NVL72", Place("plan.yaml", 9))
        >>> rack.gpus_per_domain, rack.rated_node_w
        (72, 6666.666666666667)
        """
        from gpufleet.catalog.load import systems

        row = systems()[name]
        return cls(
            line=at,
            name=name,
            title=row.system,
            product=row.product or name,
            gpus_per_node=int(row.need("gpus_per_node")),
            nodes_per_domain=row.nodes_per_domain or 1,
            node_power_w=row.node_power_max_w,
            rack_power_w=row.rack_power_kw * 1000 if row.rack_power_kw else None,
            source=row.source,
            trust=row.trust,
        )

    @property
    def gpus_per_domain(self) -> int:
        """GPUs of one domain: a rack of GB200 NVL72 has 72."""
        return self.gpus_per_node * self.nodes_per_domain

    @property
    def rated_node_w(self) -> float | None:
        """Rated IT power of one node, W; of a rack its share of the rack's. None if not known."""
        if self.nodes_per_domain > 1 and self.rack_power_w is not None:
            return self.rack_power_w / self.nodes_per_domain
        return self.node_power_w


_LATER: Final = datetime.fromisoformat("9000-01-01T00:00:00+00:00")
"""Of a lot that says no date: it follows from its steps when the plan is read."""


class Delivery(Sourced):
    """GPUs that arrive at one site. A national programme is a list of these."""

    one_of: ClassVar[tuple[str, ...]] = ("gpus", "nodes")
    or_else: ClassVar[str] = "replaces"

    name: Annotated[str, Key(Text(), "its name in results and in --set paths")] = ""
    to: Annotated[str, Key(Ref("site"), "the site")]
    system: Annotated[str, Key(SystemName(), "what is bought: of the catalogue, or of `systems`")]
    gpus: Annotated[int, Key(Count("GPUs", least=1), "how many GPUs")] = 0
    nodes: Annotated[int, Key(Count("nodes", least=1), "how many nodes, instead of `gpus`")] = 0
    at: Annotated[
        datetime,
        Key(
            Moment(),
            "when it arrives; a bare date is local to the site; left out: when it is `ordered` and its lead "
            "times say",
        ),
    ] = _LATER
    status: Annotated[Status, Key(Choice(STATUSES), "how far it is; online = already there")] = "ordered"
    tenant: Annotated[str | None, Key(Ref("tenant"), "who owns it; left out: shared by all", "for")] = None
    ordered: Annotated[
        datetime | None, Key(Moment(), "when it was or will be ordered; left out: not known")
    ] = None
    counts_toward: Annotated[
        tuple[str, ...],
        Key(NameList("promise"), "the promise, or promises, that it is part of; or none"),
    ] = ()
    operator: Annotated[str | None, Key(Text(), "who runs it, in words")] = None
    steps: Annotated[LotSteps | None, Key(Part(LotSteps), "dates of the steps beside `ordered` and `at`")] = (
        None
    )
    lead_times: Annotated[
        LeadTimes | None, Key(Part(LeadTimes), "how long its steps take; left out: as the plan says")
    ] = None
    needs: Annotated[Needs | None, Key(Part(Needs), "milestones that its steps wait for")] = None
    pieces: Annotated[
        tuple[LotPart, ...] | None,
        Key(
            PartList(LotPart),
            "GPUs of it that have dates of their own; what they leave over stays with the lot",
            "parts",
        ),
    ] = None
    cancelled: Annotated[
        Cancelled | None, Key(CancelledKind(), "when it is cancelled, if it is: a date, or more")
    ] = None
    replaces: Annotated[
        Replaces | None,
        Key(ReplacesKind(), "the lot for which it stands in; its GPUs follow where it does not say them"),
    ] = None
    unit_price: Annotated[
        Money | None, Key(UnitPrice(), "what a GPU or a node of it costs, where `replaces` goes by money")
    ] = None
    buyer: Annotated[Buyer | None, Key(Part(Buyer), "who buys it, for export law; left out: the tenant")] = (
        None
    )
    ships_from: Annotated[
        str | None,
        Key(
            Country(),
            "country that it leaves, for export law; left out: where the maker has its headquarters",
        ),
    ] = None
    export: Annotated[Export | None, Key(Part(Export), "what else rules of export law read of it")] = None
    unknown_law: Annotated[
        UnknownLaw | None,
        Key(Choice(UNKNOWN_LAW), "may it ship where the law is not decided; left out: as the plan says"),
    ] = None
    ordered_range: tuple[datetime, datetime] | None = None
    at_stated: bool = True  # else `at` follows from the steps before
    ready: datetime | None = None  # when it is installed and accepted, but for power; None: when it arrives
    ready_range: tuple[datetime, datetime] | None = None
    to_ship: datetime | None = None  # when it would be shipped if no law held it; None: when it arrives
    parts: tuple[tuple[int, datetime], ...] = ()  # GPUs that are ready at a time, if not all at once
    parts_late: tuple[tuple[int, datetime], ...] | None = None  # the same at the late end of all ranges
    parts_early: tuple[tuple[int, datetime], ...] | None = None
    at_range: tuple[datetime, datetime] | None = None
    gpus_range: tuple[int, int] | None = None
    whole: str | None = None  # the declared lot that it is a part of
    stopped: datetime | None = None  # when it is cancelled, if it is not in service by then

    @override
    @classmethod
    def from_node(cls, node: Node, path: str, reader: Reader, **given: Any) -> Self:
        with reader.at_site(word_at(node, "to")):
            return super().from_node(node, path, reader, **given)

    @override
    @classmethod
    def _has_one(cls, body: Map, path: str, reader: Reader) -> bool:
        ok = super()._has_one(body, path, reader)
        if "at" in body.items or "ordered" in body.items or under(path, "at") in reader.broken:
            return ok
        says = say("`{path}` has no `at`, and it does not follow from an order", path=path)
        reader.report("P007", body.at, says, say("add `at`: when it arrives"))
        return False

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        here = values.get("status") in ("delivered", "online")
        if "at" in values:
            origin = reader.origins[f"{path}.at"]
            reader.within(values["at"], origin.at, past=here, later=True)
            values["at_range"] = origin.range
        elif here:
            says = say("`{path}` has no `at`, and it does not follow from an order", path=path)
            raise reader.refuse("P007", node.at, says, say("add `at`: when it arrives"))
        else:
            values |= {"at": values["ordered"], "at_stated": False}
        if "name" not in values:
            values["name"] = f"#{int(path.rpartition('.')[2]) + 1}"
        count = next((key for key in cls.one_of if key in values), None)
        if count:  # else it follows from the lot that it replaces
            values["gpus_range"] = reader.origins[f"{path}.{count}"].range  # of nodes until `counted`
        if "ordered" in values:
            values["ordered_range"] = reader.origins[f"{path}.ordered"].range
        return values

    def counted(self, system: System) -> Self:
        """The delivery with both counts: a last node may be there in part."""
        gpus, extent = self.gpus, self.gpus_range
        if not gpus:
            gpus = self.nodes * system.gpus_per_node
            extent = extent and (extent[0] * system.gpus_per_node, extent[1] * system.gpus_per_node)
        nodes = -(-gpus // system.gpus_per_node)
        return self.model_copy(update={"gpus": gpus, "nodes": nodes, "gpus_range": extent})


class Retirement(Sourced):
    """GPUs that leave a site: those that were delivered first."""

    from_: Annotated[str, Key(Ref("site"), "the site", "from")]
    system: Annotated[str, Key(SystemName(), "which system")]
    gpus: Annotated[int, Key(Count("GPUs", least=1), "how many GPUs")]
    at: Annotated[
        datetime, Key(Moment(after_start=True), "when they leave; a bare date is local to the site")
    ]
    mode: Annotated[Mode, Key(Choice(MODES), "drain: jobs run to their end; kill: they are cut off")] = (
        "drain"
    )
    tenant: Annotated[str | None, Key(Ref("tenant"), "whose GPUs; left out: anybody's", "for")] = None

    @override
    @classmethod
    def from_node(cls, node: Node, path: str, reader: Reader, **given: Any) -> Self:
        with reader.at_site(word_at(node, "from")):
            return super().from_node(node, path, reader, **given)
