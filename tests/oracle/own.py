"""Own policies in the oracle: the user's function itself is asked, in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from tests.oracle import own_functions

from gpufleet.plan.own_code import OwnKind, read_code
from gpufleet.world.layout import OWN, TAKE_NODE, UNKNOWN_S, OwnCode, OwnPolicies, Policy, World
from gpufleet.world.own import LOOKS

from .model import Cell, Job, estimate_at_speed_one

Function = Callable[[Any], float]
QUEUES: Final = tuple(f"q{i}" for i in range(8))
TEXT: Final = Path(own_functions.__file__).read_text()
ORDERS: Final = ("fifo", "priority", "sjf", "small_first", "come_back", "by_queue")
PLACEMENTS: Final = ("consolidate", "best_fit", "spread", "domain_first", "middle", "away")


def with_own(world: World, order: str | None, placement: str | None, take: int = 0) -> World:
    """A world in which functions of `own_functions` decide."""
    codes = {"order": code_of(order, "order"), "placement": code_of(placement, "placement")}
    looks = placement is not None and bool(read_code(TEXT, placement, "placement", QUEUES).reads & LOOKS)
    policy = world.policy._replace(
        order=OWN if order else world.policy.order,
        placement=OWN if placement else world.policy.placement,
    )
    return world._replace(policy=policy, own=OwnPolicies(**codes, take=take, by_domain=int(looks)))


def code_of(function: str | None, kind: OwnKind) -> OwnCode | None:
    """What the engine gets: the same text, compiled."""
    if function is None:
        return None
    code = read_code(TEXT, function, kind, QUEUES)
    return OwnCode(function, "own_functions.py", code.line, code.source, code.program)


def own_order(world: World) -> Function | None:
    if world.own is None or world.own.order is None:
        return None
    found: Function = getattr(own_functions, world.own.order.function)
    return found


def own_key(order: Function, job: Job, policy: Policy) -> float:
    seconds = estimate_at_speed_one(job, policy)
    return float(
        order(
            SimpleNamespace(
                gpus=float(job.gpus),
                estimate_s=float("inf") if seconds >= UNKNOWN_S else float(seconds),
                limit_s=float(job.limit),
                submit_s=float(job.submit),
                priority=float(job.priority),
                queue=QUEUES[job.queue.index],
                attempts=float(job.attempts),
                preemptions=float(job.preemptions),
            )
        )
    )


def own_rule(world: World) -> OwnPlacement | None:
    if world.own is None or world.own.placement is None:
        return None
    return OwnPlacement(getattr(own_functions, world.own.placement.function), world.own.take == TAKE_NODE)


class OwnPlacement:
    """Asks about every node, and every domain."""

    def __init__(self, function: Function, one_by_one: bool) -> None:
        self.function, self.one_by_one = function, one_by_one

    def place(self, view: dict[int, int], cell: Cell, gpus: int) -> dict[int, int]:
        whole, rest = divmod(gpus, cell.gpus_per_node)
        if gpus <= cell.gpus_per_node:
            whole, rest = 0, gpus
        domain_of = {node.index: node.domain for node in cell.nodes}
        taken = self._whole(view, cell, gpus, whole)
        held = dict.fromkeys(taken, cell.gpus_per_node)
        if rest:
            last = domain_of[taken[-1]] if taken else None
            scores = [
                (self._ask(cell, gpus, need=rest, free=view[n], near=domain_of[n] == last), n)
                for n in view
                if n not in held and view[n] >= rest
            ]
            held[min(scores)[1]] = rest
        return held

    def _whole(self, view: dict[int, int], cell: Cell, gpus: int, count: int) -> list[int]:
        domain_of = {node.index: node.domain for node in cell.nodes}
        taken: list[int] = []
        while len(taken) < count:
            idle: dict[int, list[int]] = {}
            for n in sorted(view):
                if view[n] == cell.gpus_per_node and n not in taken:
                    idle.setdefault(domain_of[n], []).append(n)
            left = count - len(taken)
            scores = [(self._ask(cell, gpus, left=left, idle=len(idle[d])), d) for d in idle]
            taken += idle[min(scores)[1]][: 1 if self.one_by_one else left]
        return taken

    def _ask(self, cell: Cell, gpus: int, **said: float) -> float:
        sizes: dict[int, int] = {}
        for node in cell.nodes:
            if node.size == cell.gpus_per_node:
                sizes[node.domain] = sizes.get(node.domain, 0) + 1
        known = {
            "gpus": gpus,
            "node_gpus": cell.gpus_per_node,
            "domain_nodes": max(sizes.values(), default=0),
        }
        known |= {name: said.get(name, 0) for name in ("need", "free", "near", "left", "idle")}
        return float(self.function(SimpleNamespace(**{name: float(value) for name, value in known.items()})))
