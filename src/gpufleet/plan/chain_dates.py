"""A plan with the dates that the chains of its lots give to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from gpufleet.plan.chain import EVERY
from gpufleet.plan.chain_times import End, Times, drawn
from gpufleet.plan.chain_walk import Gate, Reached, reached_at, stopped_at, walk_all
from gpufleet.plan.slot_turns import Sharing

if TYPE_CHECKING:
    from gpufleet.plan.chain import LeadTimes
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.purses import Purse
    from gpufleet.plan.supply import Delivery

ENDS: Final[tuple[End, ...]] = (None, 0, 1)
"""As planned, late, early: the order of `Plan.chains`."""


def has_chain(lot: Delivery, plan_lead: Mapping[str, LeadTimes], sharing: Sharing) -> bool:
    """Whether the plan says more of a lot than when it comes."""
    of_system = lot.system in plan_lead or EVERY in plan_lead
    own = lot.steps or lot.lead_times or lot.needs or lot.cancelled or not lot.at_stated
    return bool(own or of_system or sharing.hold(lot))


def dated(plan: Plan, gates: Sequence[Gate] = ()) -> Plan:
    """The plan with the dates that its chains give to lots, and with the chains.

    Always made from the lots as they are declared, so that a second time changes nothing.

    Args: gates: of export law, as planned, late and early; none: it holds nobody. A plan whose lots have no
          chain, and no law to wait for, stays as it is.
    """
    declared = {lot.name: lot for lot in plan.declared_lots}
    asked = [declared.get(lot.name, lot) for lot in plan.deliveries]
    sharing = sharing_of(plan)
    has = {lot.name for lot in asked if has_chain(lot, plan.lead_times, sharing)}
    chosen = [lot for lot in asked if gates or lot.name in has]
    milestones = drawn(plan.milestones, plan.seed)
    ends = [
        walk_all(chosen, Times(milestones, plan.lead_times, end), gates[i] if gates else None, sharing)
        for i, end in enumerate(ENDS)
    ]
    lots, chains = [], dict(plan.chains)
    for lot in plan.deliveries:
        steps = tuple(end[lot.name] for end in ends if lot.name in end)
        held = any(each.cause == "law" for end in steps for each in end)
        if steps and (held or lot.name in has):
            chains[lot.name] = steps
            lots.append(lot.model_copy(update=_dates(*steps)))
        else:
            lots.append(lot)
    changed = {"deliveries": tuple(lots), "declared_lots": tuple(asked), "chains": chains}
    return plan.model_copy(update=changed | {"milestones": milestones})


def sharing_of(plan: Plan) -> Sharing:
    """The slots of a plan, as its lots share them."""
    products = {name: system.product for name, system in plan.systems.items()} if plan.slots else {}
    slots, zone = tuple(plan.slots.values()), ZoneInfo(plan.time_zone)
    return Sharing(slots, products, plan.start, zone, _purses(plan))


def _purses(plan: Plan) -> tuple[Purse, ...]:
    """The budgets that lots wait for."""
    if plan.money is None or all(line.when_short != "wait" for line in plan.money.funding.values()):
        return ()
    from gpufleet.plan.purses import purses_of

    return purses_of(plan)


def _dates(
    value: tuple[Reached, ...], late: tuple[Reached, ...], early: tuple[Reached, ...]
) -> dict[str, object]:
    """The fields of a lot that its chain sets."""
    found: dict[str, object] = {"stopped": stopped_at(value)}
    for field, step in (("ordered", "ordered"), ("at", "delivered"), ("ready", "accepted")):
        here, last, first = (reached_at(steps, step) for steps in (value, late, early))
        if here is None or last is None or first is None:
            continue
        found[field] = here
        found[f"{field}_range"] = None if first == last == here else (min(first, here), max(last, here))
    return found
