"""Power by what runs: kinds of work and their shares of rated power, and what the caps of sites do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field
from typing_extensions import override

from gpufleet.catalog.power import IDLE, power_shares
from gpufleet.plan.declared import Key, Sourced, as_map, by_name
from gpufleet.plan.kinds import Choice, Kind, Number, Schema, Text
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Reader
from gpufleet.plan.slowing import Curve, Points
from gpufleet.plan.tree import Leaf, Node

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.workloads import Workload

COUNTS: Final = ("rated", "measured")
OVER_CAP: Final = ("run-on", "stop")


class Shares(Kind[dict[str, float]]):
    """Kinds of work by name, each with its share of rated power."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, float]:
        def share(item: Node, at: str) -> float:
            return Number(above=True, most=1.0).read(item, at, reader)

        return by_name(as_map(node, path, reader), path, reader, lambda name, _: name, share)

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": Number(above=True, most=1.0).schema()}


class KindList(NameList):
    """Kinds of work, which a check looks up: the catalogue's need not be declared."""

    @override
    def one(self, word: str, leaf: Leaf, reader: Reader) -> str:
        return word


class PowerPlan(Sourced):
    """Sites have meters: GPUs draw what runs on them draws, and no start lifts a site above its cap."""

    counts: Annotated[
        str,
        Key(
            Choice(COUNTS),
            "rated: what comes online is what the site's power holds at rated power; measured: all that is "
            "delivered comes online, and the site's power holds what is drawn",
        ),
    ] = "rated"
    over_cap: Annotated[
        str,
        Key(
            Choice(OVER_CAP),
            "where more is drawn than a cap that falls: stop jobs (lowest priority first, then the last "
            "started), or let them run on",
        ),
    ] = "stop"
    kinds: Annotated[
        dict[str, float],
        Key(Shares(), "own kinds of work: share of a node's rated power; beside the catalogue's, or instead"),
    ] = Field(default_factory=dict)
    curve: Annotated[
        Points,
        Key(Curve(), "how fast jobs run with less power, at sites without a curve of their own: points "
            "[share of power, share of speed]"),
    ] = ()  # fmt: skip
    steady: Annotated[
        tuple[str, ...], Key(KindList("kind"), "kinds of work that no cap of a site slows down")
    ] = ()
    default: Annotated[str, Key(Text(), "kind of work of workloads that say none")] = "training"
    idle: Annotated[
        float | None,
        Key(Number(most=1.0), "share of rated power that free GPUs draw; left out: the catalogue's"),
    ] = None

    def share(self, kind: str) -> float | None:
        """Share of rated power of a kind of work; None: there is no such kind."""
        known = power_shares().get(kind)
        return self.kinds.get(kind, known.share if known and kind != IDLE else None)

    @property
    def idle_share(self) -> float:
        """Share of rated power that free GPUs draw."""
        return power_shares()[IDLE].share if self.idle is None else self.idle

    @property
    def names(self) -> list[str]:
        """All kinds of work that may be named."""
        return list(dict.fromkeys([*self.kinds, *(name for name in power_shares() if name != IDLE)]))


def kinds_of(plan: Plan) -> list[str]:
    """The kinds of work of a plan with a section `power`: the default first."""
    assert plan.power is not None
    named = [kind_name(plan, workload) for workload in plan.workloads.values()]
    return list(dict.fromkeys([plan.power.default, *named]))


def kind_name(plan: Plan, workload: Workload) -> str:
    """The kind of work of a workload."""
    assert plan.power is not None
    return workload.power or plan.power.default
