"""Which lots a cost is for, when each is due, and what a system costs by the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from gpufleet.base.money import MICRO, Money
from gpufleet.plan.catalogue_prices import price_per_gpu
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.money_kinds import EVER_S, PriceStep

if TYPE_CHECKING:
    from gpufleet.plan.money import Cost, Income, Selecting
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.supply import Delivery

W_PER_MW: Final = 10**6


class Due(NamedTuple):
    """GPUs of a lot that are paid at one moment."""

    gpus: int
    at_s: int
    ready_s: int  # when they serve, but for power


def selected(plan: Plan, part: Selecting) -> list[Delivery]:
    """The lots that a cost or an income is for, in the order of the plan."""
    return [
        lot
        for lot in plan.deliveries
        if (not part.lots or lot.name in part.lots)
        and (not part.sites or lot.to in part.sites)
        and (not part.systems or lot.system in part.systems)
        and (not part.products or plan.systems[lot.system].product in part.products)
        and (not part.tenants or lot.tenant in part.tenants)
    ]


def sites_of(plan: Plan, part: Selecting) -> list[str]:
    """The sites whose energy a cost is for: those that it names, else those of its lots."""
    there = {lot.to for lot in selected(plan, part)}
    return [name for name in plan.sites if name in there]


def ordered_at(plan: Plan, lot: Delivery) -> datetime:
    """When a lot is ordered; if the plan does not say so, the latest moment that goes with its status.

    A lot that is only pledged is taken to be ordered when it is delivered; one that is ordered or further is
    ordered today (`as_of`), or when it is delivered if that was before.
    """
    latest = lot.at if lot.status == "pledged" else min(lot.at, plan.today)
    return min(lot.ordered, lot.at) if lot.ordered is not None else latest


def dues(plan: Plan, cost: Cost | Income, lot: Delivery) -> list[Due]:
    """When a lot is to be paid, in parts if it comes in parts. What never comes is not paid."""
    ready = lot.ready or lot.at
    if lot.stopped is not None:
        return _of_cancelled(plan, cost, lot)
    if cost.due == "ordered":
        return [Due(lot.gpus, plan.seconds(ordered_at(plan, lot)), plan.seconds(ready))]
    before = ready - lot.at if cost.due == "delivered" else ready - ready
    parts = lot.parts or ((lot.gpus, ready),)
    return [Due(gpus, plan.seconds(at - before), plan.seconds(at)) for gpus, at in parts if at < NEVER]


def _of_cancelled(plan: Plan, cost: Cost | Income, lot: Delivery) -> list[Due]:
    """What is due of a lot that is cancelled: the steps that it has taken by then. It never serves."""
    assert lot.stopped is not None
    reached = {"ordered": ordered_at(plan, lot), "delivered": lot.at, "accepted": lot.ready or NEVER}
    at = reached[cost.due]
    never_s = plan.seconds(NEVER)
    return [Due(lot.gpus, plan.seconds(at), never_s)] if at < lot.stopped else []


def catalogue_price(plan: Plan, lot: Delivery) -> PriceStep | None:
    """What the catalogue says of a GPU of the system of a lot; None: nothing."""
    known = price_per_gpu(plan.systems[lot.system])
    if known is None:
        return None
    ends = (Money(round(each * MICRO), known.currency, "GPU") for each in known[:3])
    return PriceStep(EVER_S, *ends)


def prices_of(plan: Plan, cost: Cost | Income, lot: Delivery) -> tuple[PriceStep, ...]:
    """The prices of a cost for one lot, by date."""
    if cost.price:
        return cost.price
    found = catalogue_price(plan, lot)
    return (found,) if found else ()


def units_of(plan: Plan, lot: Delivery, gpus: int, per: str) -> Fraction:
    """GPUs of a lot as what a price is for: GPUs, nodes (a last one in part is one), or MW of its site."""
    if per == "GPU":
        return Fraction(gpus)
    nodes = -(-gpus // plan.systems[lot.system].gpus_per_node)
    return Fraction(nodes) if per == "node" else nodes * node_mw(plan, lot)


def node_mw(plan: Plan, lot: Delivery) -> Fraction:
    """Rated power of a node of a lot from the grid, MW."""
    rated_w = plan.systems[lot.system].rated_node_w or 0.0
    return Fraction(round(rated_w * plan.sites[lot.to].pue), W_PER_MW)


def currencies_of(plan: Plan, part: Cost | Income) -> Iterator[str]:
    """The currencies that the prices of a cost or an income are in."""
    assert plan.money is not None
    if part.price:
        yield part.price[0].price.currency
    elif part.price == ():
        yield "USD"
    tariff = getattr(part, "tariff", None)
    for band in plan.money.tariffs[tariff].bands if tariff else ():
        yield band.price[0].price.currency
