"""The chain of lots with export law in it: when each may be shipped, and so when it comes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from gpufleet.plan.chain_dates import ENDS, dated, sharing_of
from gpufleet.plan.chain_times import NEVER, End, Times
from gpufleet.plan.chain_walk import reached_at, walk
from gpufleet.world.licences import Gates, gates

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.chain_walk import Gate
    from gpufleet.plan.supply import Delivery

Parts: TypeAlias = tuple[tuple[int, datetime], ...]
"""GPUs of a lot that are ready at a time."""


def with_law(plan: Plan) -> Plan:
    """The plan with its lots at the dates at which law, and the steps after it, let them come.

    A lot that licences let go in parts comes in parts (`Delivery.parts`). A plan of which law says nothing
    stays as it is.
    """
    if not (plan.licences or plan.rules or any(site.country for site in plan.sites.values())):
        return plan
    ends = [gates(plan), *(gates(at_end(plan, end)) for end in (0, 1))]
    to_ship: dict[str, datetime] = {}
    after = dated(plan, [_gate(law, to_ship) for law in ends])
    lots = [
        new if new is old else _in_parts(ends, old, new.model_copy(update={"to_ship": to_ship.get(old.name)}))
        for old, new in zip(plan.deliveries, after.deliveries, strict=True)
    ]
    return after.model_copy(update={"deliveries": tuple(lots)})


def _gate(law: Gates, to_ship: dict[str, datetime]) -> Gate:
    """When law lets lots go; it notes when each asked first, which is about the plan as it is."""

    def gate(lot: Delivery, ready: datetime) -> tuple[datetime | None, str]:
        to_ship.setdefault(lot.name, ready)
        return law.gate(lot, ready).at, f"deliveries.{lot.name}"

    return gate


def at_end(plan: Plan, end: Literal[0, 1]) -> Plan:
    """The plan with its law and the counts of its lots at one end of their ranges: 0 = few and late.

    Without such ranges it is the plan itself.
    """
    if not (
        any(lot.gpus_range for lot in plan.deliveries)
        or any(each.from_range or each.until_range for each in plan.licences.values())
        or any(each.from_range or each.until_range for each in plan.rules.values())
    ):
        return plan
    lots = (
        lot.model_copy(update={"gpus": lot.gpus_range[end]}) if lot.gpus_range else lot
        for lot in plan.deliveries
    )
    return plan.model_copy(
        update={
            "deliveries": tuple(lots),
            "licences": {name: each.at_end(end) for name, each in plan.licences.items()},
            "rules": {name: each.at_end(end) for name, each in plan.rules.items()},
        }
    )


def _in_parts(ends: list[Gates], old: Delivery, new: Delivery) -> Delivery:
    """A lot whose shipments go at several times, also at the ends of its ranges."""
    value, late, early = (_parts(law, old, new, end) for law, end in zip(ends, ENDS, strict=True))
    if value == late == early == ():
        return new
    return new.model_copy(update={"parts": value, "parts_late": late or None, "parts_early": early or None})


def _parts(law: Gates, old: Delivery, new: Delivery, end: End) -> Parts:
    """The parts of a lot at one end: each takes the steps after its own shipment.

    Where the lot had to wait for a slot, all of it is through only with its last part.
    """
    gpus = new.gpus_range[end] if new.gpus_range and end is not None else new.gpus
    gate = law.gate(old.model_copy(update={"gpus": gpus}), new.to_ship or old.at)
    if len(gate.shipments) < 2 and gate.at is not None:
        return ()
    plan = law.law.plan
    lot = next((lot for lot in plan.declared_lots if lot.name == new.name), new)
    times = Times(plan.milestones, plan.lead_times, end)
    shared = sharing_of(plan).hold(lot)
    last = new.ready_range[1 - end] if new.ready_range and end is not None else new.ready
    parts = [(each.gpus, last if shared and last else _ready(lot, times, each.at)) for each in gate.shipments]
    left = gpus - sum(gpus for gpus, _ in parts)
    return (*parts, *(((left, NEVER),) if left > 0 else ()))


def _ready(lot: Delivery, times: Times, shipped: datetime) -> datetime:
    """When a part of a lot is ready that may go at a moment."""
    steps = walk(lot, times, lambda lot, _: (shipped, f"deliveries.{lot.name}"))
    return reached_at(steps, "accepted") or reached_at(steps, "delivered") or shipped
