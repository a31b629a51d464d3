"""How the free GPUs lie together at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .model import Cell, Node


def free_together(cells: list[Cell], block_of: Callable[[Node], int], n_products: int) -> list[list[int]]:
    """Per product: free; of these on idle nodes, in idle domains, blocks; most of a node, domain, block."""
    return [_of_product([c for c in cells if c.product == p], block_of) for p in range(n_products)]


def _of_product(cells: list[Cell], block_of: Callable[[Node], int]) -> list[int]:
    free = [node.size - node.used for cell in cells for node in cell.nodes if node.in_service]
    nodes = [part for cell in cells for part in _parts(cell, lambda node: node.index)]
    domains = [part for cell in cells for part in _parts(cell, lambda node: node.domain)]
    blocks = [part for cell in cells for part in _parts(cell, block_of)]
    whole = [sum(_whole(part) for part in parts) for parts in (nodes, domains, blocks)]
    most = [max((_idle(part) for part in parts), default=0) for parts in (domains, blocks)]
    return [sum(free), *whole, max(free, default=0), *most]


def _parts(cell: Cell, key: Callable[[Node], int]) -> Iterable[list[Node]]:
    """Nodes of full size by what they share; others are never idle."""
    found: dict[int, list[Node]] = {}
    for node in cell.nodes:
        if node.size == cell.gpus_per_node:
            found.setdefault(key(node), []).append(node)
    return found.values()


def _idle(nodes: list[Node]) -> int:
    return sum(node.size for node in nodes if node.in_service and not node.used)


def _whole(nodes: list[Node]) -> int:
    """GPUs of a part all of whose nodes are idle, else none."""
    return _idle(nodes) if all(node.in_service and not node.used for node in nodes) else 0
