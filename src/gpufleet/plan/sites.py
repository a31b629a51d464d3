"""Sites: where GPUs stand, in which time zone, and how much power the grid connection gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field
from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.curtailments import Carbon, Curtailment
from gpufleet.plan.declared import Key, PartList, Sourced
from gpufleet.plan.kinds import Choice, Count, Kind, Number, Quantity, Schema, Text
from gpufleet.plan.law import Country
from gpufleet.plan.moments import Moment, Zone
from gpufleet.plan.reader import Reader
from gpufleet.plan.slowing import ON_CAP, Curve, GpuCaps, Points
from gpufleet.plan.steps import dated
from gpufleet.plan.tree import Map, Node, Seq

Steps = tuple[tuple[int, float], ...]


class PowerStep(Sourced):
    """Power of a site from a date on."""

    from_: Annotated[datetime, Key(Moment(), "from when this power is there; local to the site", "from")]
    value: Annotated[float, Key(Quantity("power"), "power of the grid connection")]


class Power(Kind[Steps]):
    """Power over time: one quantity, or a list of steps. Read as ((seconds from start, W), ...)."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Steps:
        if not isinstance(node, Seq):
            return ((0, Quantity("power").read(node, path, reader)),)
        steps = PartList(PowerStep).read(node, path, reader)
        if not steps:
            raise reader.refuse(
                "P008", node.at, say("the list of steps is empty"), say("leave `power` out: no limit")
            )
        return dated(steps, reader, later=True)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Quantity("power").schema(), PartList(PowerStep).schema()]}


def _power_ends(steps: Steps, path: str, reader: Reader) -> tuple[Steps, Steps] | None:
    """Power over time with every step at the low end of its range and late, and the other way round."""
    low, high, ranged = [], [], False
    for i, (from_s, watts) in enumerate(steps):
        whole = path not in reader.origins or f"{path}.{i}" not in reader.origins
        power = reader.origins.get(path if whole else f"{path}.{i}.value")
        date = None if whole else reader.origins.get(f"{path}.{i}.from")
        little, much = (power and power.range) or (watts, watts)
        early, late = (from_s, from_s)
        if date and date.range:
            early, late = (reader.seconds(moment) for moment in date.range)
        ranged = ranged or (little, early) != (much, late)
        low.append((late, little))
        high.append((early, much))
    return (tuple(sorted(low)), tuple(sorted(high))) if ranged else None


class Site(Sourced):
    """A place with a grid connection. Whole units come online in delivery order while their power fits."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    time_zone: Annotated[
        str, Key(Zone(), "of bare dates of its power steps, deliveries and retirements; left out: the plan's")
    ] = "UTC"
    power_w: Annotated[Steps, Key(Power(), "power of the grid connection; left out: no limit", "power")] = ()
    pue: Annotated[
        float,
        Key(Number(least=1.0, most=10.0, code="P021"), "facility power over IT power; needed with `power`"),
    ] = 1.0
    country: Annotated[
        str | None, Key(Country(), "where it is, for export law; left out: its lots are not held by law")
    ] = None
    overhead_w: Annotated[
        float,
        Key(Quantity("power"), "power beside `pue` that is drawn whatever runs; with `power:`", "overhead"),
    ] = 0.0
    curtailments: Annotated[
        tuple[Curtailment, ...], Key(PartList(Curtailment), "times of less power; with `power:`")
    ] = ()
    carbon_g_per_kwh: Annotated[
        Steps, Key(Carbon(), "carbon intensity of its energy, g CO2 equivalent per kWh; with `power:`")
    ] = ()
    on_cap: Annotated[
        str,
        Key(
            Choice(ON_CAP),
            "hold: jobs wait where they would lift the site above its cap; slow: all its jobs run slower "
            "instead, by the curve; with `power:`",
        ),
    ] = "hold"
    curve: Annotated[
        Points,
        Key(Curve(), "how fast jobs run with less power: points [share of power, share of speed]; left out: "
            "`power.curve`"),
    ] = ()  # fmt: skip
    gpu_caps: Annotated[
        dict[str, float], Key(GpuCaps(), "power that a GPU of a product may draw here, always; with `power:`")
    ] = Field(default_factory=dict)
    domains_per_block: Annotated[
        int | None,
        Key(
            Count("domains", least=1, most=100_000),
            "domains (racks, or single nodes) under one leaf of its network; left out: all like ones of an "
            "owner",
        ),
    ] = None
    power_w_range: tuple[Steps, Steps] | None = None  # little and late; much and early. None: no range
    pue_range: tuple[float, float] | None = None

    @override
    @classmethod
    def from_node(cls, node: Node, path: str, reader: Reader, **given: Any) -> Self:
        with reader.at_site(given.get("name")):
            return super().from_node(node, path, reader, **given)

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if "power_w" in values and "pue" not in values:
            says = say("`{path}` has a power and no `pue`: how much of it reaches the GPUs?", path=path)
            raise reader.refuse("P007", node.at, says, say("add `pue`, e.g. 1.3"))
        if "pue" in values:
            values["pue_range"] = reader.origins[f"{path}.pue"].range
        values["power_w_range"] = _power_ends(values.get("power_w", ()), f"{path}.power", reader)
        return {"time_zone": reader.zone.key, **values}

    def power_at(self, seconds: int) -> float:
        """Grid power, W, at a time from the plan's start; infinite without a limit, 0 before the first step.

        >>> from gpufleet.base.errors import Place
        >>> site = Site(name="lab", time_zone="UTC", power_w=((0, 1e6), (60, 2e6)), line=Place("p", 1))
        >>> site.power_at(59), site.power_at(60), site.power_at(-1)
        (1000000.0, 2000000.0, 0.0)
        """
        if not self.power_w:
            return float("inf")
        return max(((t, w) for t, w in self.power_w if t <= seconds), default=(0, 0.0))[1]
