"""Fit and placement in one cell.

A *view* says how many GPUs each in-service node of the cell would give: node index -> free GPUs. It may be
the present, a cell thought to be empty, or a moment to come; the rules do not care.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gpufleet.world.layout import BEST_FIT, CONSOLIDATE, DOMAIN_FIRST, SPREAD

from .model import Cell

View = dict[int, int]


class OwnRule(Protocol):
    """A placement that a function of the user decides."""

    def place(self, view: View, cell: Cell, gpus: int) -> dict[int, int]:
        """The nodes that it picks, with the GPUs on each."""
        ...


Rule = int | OwnRule


def free_now(cell: Cell) -> View:
    return {node.index: node.size - node.used for node in cell.nodes if node.in_service}


def empty_now(cell: Cell) -> View:
    return {node.index: node.size for node in cell.nodes if node.in_service}


def fits(view: View, cell: Cell, gpus: int) -> bool:
    """k idle nodes and, for a remainder r, one more node with at least r free."""
    whole, rest = divmod(gpus, cell.gpus_per_node)
    idle = [n for n in view if view[n] == cell.gpus_per_node]
    if len(idle) < whole:
        return False
    others = set(view) - set(idle[:whole])
    return rest == 0 or any(view[n] >= rest for n in others)


def place(view: View, cell: Cell, gpus: int, rule: Rule) -> dict[int, int]:
    """The nodes that the placement rule picks, with the GPUs on each. The job must fit."""
    if not isinstance(rule, int):
        return rule.place(view, cell, gpus)
    if gpus <= cell.gpus_per_node:
        pick = _most_free if rule == SPREAD else _fewest_free
        return {pick(view, view, gpus): gpus}
    whole, rest = divmod(gpus, cell.gpus_per_node)
    taken = _idle_nodes(view, cell, whole, rule)
    held = dict.fromkeys(taken, cell.gpus_per_node)
    if rest:
        others = [n for n in view if n not in held]
        held[_remainder(view, cell, others, taken[-1], rest, rule)] = rest
    return held


def _fewest_free(view: View, nodes: Iterable[int], gpus: int) -> int:
    return min((view[n], n) for n in nodes if view[n] >= gpus)[1]


def _most_free(view: View, nodes: Iterable[int], gpus: int) -> int:
    return min((-view[n], n) for n in nodes if view[n] >= gpus)[1]


def _remainder(view: View, cell: Cell, others: list[int], last: int, rest: int, rule: int) -> int:
    if rule in (CONSOLIDATE, SPREAD):
        return _most_free(view, others, rest)
    if rule == DOMAIN_FIRST:
        domain_of = {node.index: node.domain for node in cell.nodes}
        near = [n for n in others if domain_of[n] == domain_of[last] and view[n] >= rest]
        others = near or others
    return _fewest_free(view, others, rest)


def _idle_nodes(view: View, cell: Cell, count: int, rule: int) -> list[int]:
    """The nodes that are taken whole, in the order in which they are taken."""
    idle = sorted(n for n in view if view[n] == cell.gpus_per_node)
    if rule in (CONSOLIDATE, BEST_FIT):
        return idle[:count]
    domain_of = {node.index: node.domain for node in cell.nodes}
    taken: list[int] = []
    while len(taken) < count:
        by_domain: dict[int, list[int]] = {}
        for n in idle:
            if n not in taken:
                by_domain.setdefault(domain_of[n], []).append(n)
        if rule == SPREAD:
            _, domain = min((-len(nodes), d) for d, nodes in by_domain.items())
            taken.append(by_domain[domain][0])
        else:
            taken += _from_one_domain(by_domain, count - len(taken))
    return taken


def _from_one_domain(by_domain: dict[int, list[int]], wanted: int) -> list[int]:
    """DOMAIN_FIRST: the tightest domain that has all that is wanted, else all of the largest one."""
    enough = [(len(nodes), d) for d, nodes in by_domain.items() if len(nodes) >= wanted]
    if enough:
        return by_domain[min(enough)[1]][:wanted]
    return by_domain[min((-len(nodes), d) for d, nodes in by_domain.items())[1]]
