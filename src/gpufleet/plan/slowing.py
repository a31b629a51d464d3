"""What slows jobs down: the curve of speed against power, caps of single GPUs, and what a site's cap does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from gpufleet.base.errors import Finding, Place, explain_code
from gpufleet.base.say import say
from gpufleet.plan.check import check
from gpufleet.plan.declared import as_map, by_name
from gpufleet.plan.kinds import Kind, Number, Quantity, Schema
from gpufleet.plan.reader import Reader, under
from gpufleet.plan.tree import Node, Seq

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan

ON_CAP: Final = ("hold", "slow")
Points = tuple[tuple[float, float], ...]

CURVE: Final = explain_code(
    "P269",
    "a curve of speed that is none",
    "A curve says how fast jobs run with a share of what they draw at full speed: points of power and speed, "
    "each in both above the one before, the last one full power and full speed.",
    "curve: [[0.5, 0.62], [0.7, 0.83], [1.0, 1.0]]",
).code


class Curve(Kind[Points]):
    """Speed against power, both as shares; straight lines between the points."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Points:
        if not isinstance(node, Seq):
            raise reader.refuse(CURVE, node.at, say("a curve is a list of points"), self._fix())
        points = tuple(self._point(item, under(path, str(i)), reader) for i, item in enumerate(node.items))
        for before, after in pairwise(points):
            if after[0] <= before[0] or after[1] <= before[1]:
                says = say("the point {after} does not lie above {before}", after=after, before=before)
                raise reader.refuse(CURVE, node.at, says, say("list the points from little power to full"))
        if len(points) < 2 or points[-1] != (1.0, 1.0):
            says = say("the curve does not end with full power and full speed, [1.0, 1.0]")
            raise reader.refuse(CURVE, node.at, says, self._fix())
        return points

    def _point(self, node: Node, path: str, reader: Reader) -> tuple[float, float]:
        if not isinstance(node, Seq) or len(node.items) != 2:
            says = say("a point is a list of two numbers: share of power, share of speed")
            raise reader.refuse(CURVE, node.at, says, self._fix())
        share = Number(above=True, most=1.0)
        power, speed = (share.read(item, under(path, str(i)), reader) for i, item in enumerate(node.items))
        return power, speed

    def _fix(self) -> str:
        return say("write `curve: [[0.5, 0.62], [0.7, 0.83], [1.0, 1.0]]` with what you have measured")

    @override
    def schema(self) -> Schema:
        number = Number(above=True, most=1.0).schema()
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        return {"type": "array", "items": pair, "minItems": 2}


class GpuCaps(Kind[dict[str, float]]):
    """Power of single GPUs by product, W."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, float]:
        from gpufleet.plan.supply import product_named

        def product(name: str, at: Place) -> str:
            return product_named(name, at, reader)

        def cap_w(item: Node, at: str) -> float:
            return Quantity("power", above=True).read(item, at, reader)

        return by_name(as_map(node, path, reader), path, reader, product, cap_w)

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": Quantity("power", above=True).schema()}


def curve_of(plan: Plan, site: str) -> Points:
    """The curve of a site: its own, or the plan's; empty where there is none."""
    assert plan.power is not None
    return plan.sites[site].curve or plan.power.curve


def capped_share(cap_w: float, board_w: float, rated_w: float) -> float:
    """What a GPU under a cap draws, with its part of its node, as a share of what it draws without.

    Args: board_w: highest power of the GPU alone; rated_w: with its part of the node.

    >>> capped_share(500.0, 700.0, 1000.0)
    0.8
    """
    return 1.0 - (board_w - cap_w) / max(rated_w, board_w)


def board_w(product: str) -> float | None:
    """Highest power of a GPU of the catalogue alone, W."""
    from gpufleet.catalog.load import gpus

    row = gpus().get(product)
    return row.tdp_w if row else None


def capped_systems(plan: Plan, site: str) -> Iterator[tuple[str, float | None]]:
    """(product, share of full power) of all systems that come to a site and have a cap on their GPUs; None:
    the power of the GPU is not known."""
    caps = plan.sites[site].gpu_caps
    for name in dict.fromkeys(lot.system for lot in plan.deliveries if lot.to == site):
        system = plan.systems[name]
        if system.product in caps:
            alone, rated = board_w(system.product), system.rated_node_w
            known = alone is not None and rated is not None
            yield (
                system.product,
                capped_share(caps[system.product], alone, rated / system.gpus_per_node)  # type: ignore[arg-type, operator]
                if known
                else None,
            )


@check("P270", "jobs are slowed, and no curve says by how much", severity="error")
def no_curve(plan: Plan) -> Iterator[Finding]:
    """How fast a job runs with less power depends on what it does: there is no curve that holds for all, and
    the catalogue has none. `on_cap: slow` and `gpu_caps` need one that you have measured.

    Example::

        sites: {lab: {power: 1 MW, pue: 1.2, on_cap: slow}}       # add `curve`, or `power: {curve: ...}`
    """
    for name, site in plan.sites.items() if plan.power else ():
        for key, asks in (("on_cap", site.on_cap == "slow"), ("gpu_caps", bool(site.gpu_caps))):
            if asks and not curve_of(plan, name):
                says = say(
                    "`{key}` of {site} slows jobs, and no `curve` says by how much", key=key, site=name
                )
                fix = say("add `curve: [[0.5, 0.62], [1.0, 1.0]]` to the site or to `power`, as measured")
                yield Finding(at=plan.line(f"sites.{name}.{key}"), says=says, fix=fix)


@check("P271", "work that is slowed below nothing running", severity="error")
def slowed_below_idle(plan: Plan) -> Iterator[Finding]:
    """At the lowest point of a curve a job still draws what a free GPU draws, or more.

    Example::

        power: {idle: 0.3, kinds: {light: 0.4}, curve: [[0.5, 0.7], [1.0, 1.0]]}      # 0.5 x 0.4 < 0.3
    """
    from gpufleet.plan.power import kinds_of

    for name, site in plan.sites.items() if plan.power else ():
        curve = curve_of(plan, name)
        if site.on_cap != "slow" or not curve or plan.power is None:
            continue
        for kind in kinds_of(plan):
            share = plan.power.share(kind)
            slowed = None if share is None or kind in plan.power.steady else share * curve[0][0]
            if slowed is not None and slowed < plan.power.idle_share:
                says = say(
                    "work of the kind {kind} slowed to {low:.0%} of its power draws {slowed:.1%} of rated "
                    "power, free GPUs draw {idle:.1%}",
                    kind=kind,
                    low=curve[0][0],
                    slowed=slowed,
                    idle=plan.power.idle_share,
                )
                fix = say("begin the curve of {site} at more power, or name {kind} in `power.steady`",
                          site=name, kind=kind)  # fmt: skip
                yield Finding(at=plan.line(f"sites.{name}.on_cap"), says=says, fix=fix)


@check("P272", "a cap of GPUs that cannot be", severity="error")
def gpu_caps_fit(plan: Plan) -> Iterator[Finding]:
    """A cap of GPUs is below the power of the GPU, which the catalogue knows, on a product that comes to the
    site, and not below the lowest point of the site's curve.

    Example::

        sites: {lab: {gpu_caps: {H100: 900 W}}}       # it draws 700 W
    """
    for name, site in plan.sites.items() if plan.power else ():
        shares = dict(capped_systems(plan, name))
        for product, cap in site.gpu_caps.items():
            says = _misfit(plan, name, product, cap, shares)
            if says:
                at = plan.line(f"sites.{name}.gpu_caps")
                yield Finding(at=at, says=says, fix=say("correct it, or leave it out"))


def _misfit(plan: Plan, site: str, product: str, cap_w: float, shares: dict[str, float | None]) -> str | None:
    """What is wrong with a cap of GPUs, None if nothing is."""
    alone, curve = board_w(product), curve_of(plan, site)
    if product not in shares:
        return say("{site} gets no {product}", site=site, product=product)
    share = shares[product]
    if alone is None or share is None:
        return say("the power of {product} alone is not known", product=product)
    if cap_w >= alone:
        return say("a cap of {cap:,.0f} W: {product} draws {most:,.0f} W at most",
                   cap=cap_w, product=product, most=alone)  # fmt: skip
    if curve and share < curve[0][0]:
        return say("a cap of {cap:,.0f} W leaves {share:.0%} of full power, where the curve does not reach",
                   cap=cap_w, share=share)  # fmt: skip
    return None
