"""What stands where, as bought: deliveries less retirements, through time. Power is not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpufleet.base.say import say
from gpufleet.plan.plan import Plan
from gpufleet.plan.supply import Delivery, Retirement


@dataclass(frozen=True, slots=True)
class Stock:
    """GPUs of each delivery that are there from a second on. `gpus` is parallel to `Plan.deliveries`."""

    from_s: int  # seconds from the plan's start, not before it
    gpus: tuple[int, ...]


def stock_over_time(plan: Plan) -> list[Stock]:
    """The stock after each date on which something comes or leaves; the first entry is the plan's start.

    What comes or leaves after the plan's end counts only where jobs may run on (`after_end: finish`).
    A retirement takes the oldest deliveries of its site and system first, and at most what is there. A lot
    that is cancelled before it is in service never counts.
    """
    events: list[tuple[int, int, int, Delivery | Retirement]] = [
        *((max(0, plan.seconds(d.at)), 0, i, d) for i, d in enumerate(plan.deliveries) if not d.stopped),
        *((max(0, plan.seconds(r.at)), 1, i, r) for i, r in enumerate(plan.retirements)),
    ]
    if plan.after_end == "stop":
        events = [event for event in events if event[0] < plan.horizon_s]
    by_age = sorted(range(len(plan.deliveries)), key=lambda i: (plan.deliveries[i].at, i))
    gpus = [0] * len(plan.deliveries)
    stocks = [Stock(0, tuple(gpus))]
    for t_s, _, i, event in sorted(events, key=lambda event: event[:3]):
        if isinstance(event, Delivery):
            gpus[i] = event.gpus
        else:
            _retire(plan, event, by_age, gpus)
        if stocks[-1].from_s == t_s:
            stocks.pop()
        stocks.append(Stock(t_s, tuple(gpus)))
    return stocks


def _retire(plan: Plan, retirement: Retirement, by_age: list[int], gpus: list[int]) -> None:
    left = retirement.gpus
    for i in by_age:
        lot = plan.deliveries[i]
        like = lot.to == retirement.from_ and lot.system == retirement.system
        if like and retirement.tenant in (None, lot.tenant):
            taken = min(left, gpus[i])
            gpus[i] -= taken
            left -= taken


def site_need_w(plan: Plan, site: str, stock: Stock) -> float:
    """Grid power, W, for all that stands at a site: rated IT power times PUE.

    A rating that is not known is an error of the plan (P060), and 0 here.
    """
    return plan.sites[site].pue * sum(
        rated_w(plan, i, gpus) for i, gpus in enumerate(stock.gpus) if plan.deliveries[i].to == site
    )


def rated_w(plan: Plan, delivery: int, gpus: int) -> float:
    """Rated IT power, W, of so many GPUs of a delivery, in whole nodes."""
    system = plan.systems[plan.deliveries[delivery].system]
    return -(-gpus // system.gpus_per_node) * (system.rated_node_w or 0.0)


Cell = tuple[str, str, str | None, int]


def cells_over_time(plan: Plan, stocks: list[Stock]) -> Iterator[tuple[int, dict[Cell, int]]]:
    """GPUs per cell (site, product, owner, GPUs per node) through time: a job runs inside one."""
    for stock in stocks:
        cells: dict[Cell, int] = {}
        for delivery, gpus in zip(plan.deliveries, stock.gpus, strict=True):
            system = plan.systems[delivery.system]
            cell = (delivery.to, system.product, delivery.tenant, system.gpus_per_node)
            cells[cell] = cells.get(cell, 0) + gpus
        yield stock.from_s, cells


def units(plan: Plan, delivery: Delivery) -> str:
    """A delivery in the units in which it is bought, with what is left over.

    50,000 GPUs of GB200 NVL72 are "694 racks and 32 GPUs".
    """
    system = plan.systems[delivery.system]
    whole, rest = divmod(delivery.gpus, system.gpus_per_domain)
    if system.nodes_per_domain > 1:
        text = say("{n:,} rack", "{n:,} racks", n=whole)
    else:
        text = say("{n:,} node", "{n:,} nodes", n=whole)
    return say("{units} and {n:,} GPU", "{units} and {n:,} GPUs", units=text, n=rest) if rest else text
