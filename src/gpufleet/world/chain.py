"""The chain of lots with export law in it: when each may be shipped, and so when it comes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gpufleet.plan.chain_dates import NEVER, dated
from gpufleet.world.licences import Gates, gates

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.supply import Delivery


def with_law(plan: Plan) -> Plan:
    """The plan with its lots at the dates at which law, and the steps after it, let them come.

    A lot that licences let go in parts comes in parts (`Delivery.parts`). A plan of which law says nothing
    stays as it is.
    """
    if not (plan.licences or plan.rules or any(site.country for site in plan.sites.values())):
        return plan
    law = gates(plan)

    to_ship: dict[str, datetime] = {}

    def gate(lot: Delivery, ready: datetime) -> tuple[datetime | None, str]:
        found = law.gate(lot, ready)
        to_ship.setdefault(lot.name, ready)  # the first question is about the plan as it is
        return found.at, f"deliveries.{lot.name}"

    after = dated(plan, gate)
    lots = [
        new if new is old else _in_parts(law, old, new.model_copy(update={"to_ship": to_ship.get(old.name)}))
        for old, new in zip(plan.deliveries, after.deliveries, strict=True)
    ]
    return after.model_copy(update={"deliveries": tuple(lots)})


def _in_parts(law: Gates, old: Delivery, new: Delivery) -> Delivery:
    """A lot whose shipments go at several times: each part is ready as long after it as the last one."""
    gate = law.gate(old, new.to_ship or old.at)
    if len(gate.shipments) < 2 and gate.at is not None:
        return new
    ready = new.ready or new.at
    after = ready - gate.shipments[-1].at if ready < NEVER and gate.shipments else timedelta()
    parts = [(each.gpus, each.at + after) for each in gate.shipments]
    left = new.gpus - sum(gpus for gpus, _ in parts)
    return new.model_copy(update={"parts": (*parts, *(((left, NEVER),) if left > 0 else ()))})
