"""Levels inside a site: how many GPUs one node, domain, block or site has at most, as bought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpufleet.base.say import say

if TYPE_CHECKING:
    from gpufleet.plan.job_rules import Slice
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.supply import Delivery
    from gpufleet.plan.tenants import Queue

Speeds = Sequence[tuple[str, float]]


def _usable(plan: Plan, queue: Queue, products: Speeds) -> Iterator[Delivery]:
    """Lots that jobs of a queue may use; without products, of every one."""
    accepted = dict(products)
    for delivery in plan.deliveries:
        right = not accepted or plan.systems[delivery.system].product in accepted
        if right and delivery.tenant in (None, queue.tenant):
            yield delivery


def has_level(plan: Plan, queue: Queue, products: Speeds, level: str) -> bool:
    """Whether some site has such a level: domains of several nodes, blocks of a number of domains.

    Nothing that could be used at all is no matter of levels.
    """
    lots = list(_usable(plan, queue, products))
    if level == "domain":
        return not lots or any(plan.systems[lot.system].nodes_per_domain > 1 for lot in lots)
    if level == "block":
        return not lots or any(plan.sites[lot.to].domains_per_block is not None for lot in lots)
    return True


def most_at_level(
    plan: Plan, queue: Queue, products: Speeds, level: str, part: Slice | None = None
) -> tuple[int, str]:
    """GPUs of the largest node, domain, block or site that jobs of a queue may use, and where that is.

    Args:   part: slices of a job; only whole ones count, each inside of its own level.
    """
    most, where = 0, say("none")
    for lot in _usable(plan, queue, products):
        gpus = _size(plan, lot, level) if part is None else _in_slices(plan, lot, level, part)
        if gpus > most:
            most, where = gpus, say("{system} at {site}", system=lot.system, site=lot.to)
    return most, where


def _in_slices(plan: Plan, lot: Delivery, level: str, part: Slice) -> int:
    """GPUs in slices that a part of the level holds; 0 where a slice is no whole number of nodes."""
    if part.gpus % plan.systems[lot.system].gpus_per_node:
        return 0
    inner, whole = _size(plan, lot, part.level), _size(plan, lot, level)
    if inner == 0 or whole < inner:
        return whole // part.gpus * part.gpus
    slices = whole // inner * (inner // part.gpus) + whole % inner // part.gpus
    return slices * part.gpus


def _size(plan: Plan, lot: Delivery, level: str) -> int:
    system, blocks = plan.systems[lot.system], plan.sites[lot.to].domains_per_block
    whole = sum(each.gpus for each in plan.deliveries if _in_one_cell(plan, each, lot))
    if level == "node":
        return min(lot.gpus, system.gpus_per_node)
    if level == "domain":
        return min(lot.gpus, system.gpus_per_domain)
    if level == "block" and blocks is not None:
        return min(whole, blocks * system.gpus_per_domain)
    return whole


def _in_one_cell(plan: Plan, a: Delivery, b: Delivery) -> bool:
    one, two = plan.systems[a.system], plan.systems[b.system]
    alike = (one.product, one.gpus_per_node) == (two.product, two.gpus_per_node)
    return alike and (a.to, a.tenant) == (b.to, b.tenant)
