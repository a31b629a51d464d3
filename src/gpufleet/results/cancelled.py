"""Lots that are cancelled: what of them is left over, and from when others stand in for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Ints
from gpufleet.plan.chain_walk import is_made
from gpufleet.world.supply import cancelled_by

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.supply import Delivery


def left_over(plan: Plan, lot: Delivery, ends_s: Ints) -> NDArray[np.bool_]:
    """Whether a lot is cancelled, made, and not written off, at some times, s from the plan's start."""
    none = np.zeros(ends_s.size, np.bool_)
    steps = plan.chains[lot.name][0] if lot.name in plan.chains else ()
    if lot.stopped is None or lot.cancelled is None or not is_made(steps):
        return none
    off = lot.cancelled.written_off
    written_off = none if off is None else plan.seconds(off) < ends_s
    return cancelled_by(plan, lot, ends_s) & ~written_off


def counting(plan: Plan, lot: Delivery, ends_s: Ints) -> NDArray[np.bool_]:
    """Whether a lot counts toward its promises, at some times: not when it is cancelled, nor, if it stands
    in for another, before that one is.
    """
    gone = cancelled_by(plan, lot, ends_s)
    if lot.replaces is None:
        return ~gone
    old = [each for each in plan.deliveries if each.stopped and _for(each, lot)]
    if not old:
        return ~gone
    begun: NDArray[np.bool_] = np.any([cancelled_by(plan, each, ends_s) for each in old], axis=0)
    return begun & ~gone


def uncovered(plan: Plan) -> dict[str, int]:
    """GPUs of each cancelled lot for which no other one stands in; all of one that nothing replaces."""
    there: dict[str, int] = {}
    for lot in plan.deliveries:
        if not lot.stopped:
            name = lot.whole or lot.name
            there[name] = there.get(name, 0) + lot.gpus
    found: dict[str, int] = {}
    for lot in plan.deliveries:
        if lot.stopped and lot.cancelled:
            by = lot.cancelled.replaced_by or ""
            covered = min(lot.gpus, there.get(by, 0))
            there[by] = there.get(by, 0) - covered
            found[lot.name] = lot.gpus - covered
    return found


def _for(old: Delivery, new: Delivery) -> bool:
    """Whether one lot is cancelled because another one stands in for it."""
    return old.cancelled is not None and old.cancelled.replaced_by in (new.name, new.whole)
