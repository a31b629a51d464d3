"""Decision cases as plain data (format fleet-quota-cases/1): read into the model, and the twin's answer.

Beyond the shared format, all optional: `evicted` of an admitted work; `min_count` and `group` of a pod set,
and `counts` in the answer where fewer pods are admitted than asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from .cycle import Cycle, cycles, run_cycle
from .flavors import Assignment
from .model import (
    FR,
    NEVER,
    STRATEGIES,
    Admission,
    Amount,
    Amounts,
    ClusterQueue,
    Cohort,
    Fungibility,
    Group,
    PodSet,
    Policy,
    Quota,
    Rules,
    Work,
)
from .tree import Node, plant, snapshot
from .victims import find
from .world import Line, World, release_evicted

Case = dict[str, Any]
SUITES = ("kueue-preemption", "kueue-cycle")


def load(path: Path) -> list[Case]:
    """The cases of both suites."""
    cases: list[Case] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return [case for case in cases if case["suite"] in SUITES]


def answer(case: Case) -> dict[str, Any]:
    """An object of the form of the case's `expect`; lists are sorted."""
    return _preemption(case) if case["suite"] == "kueue-preemption" else _cycle(case)


def sorted_expect(case: Case) -> dict[str, Any]:
    """The case's `expect` with its lists sorted as in `answer`."""
    expect: dict[str, Any] = dict(case["expect"])
    expect["preempted"] = sorted(expect["preempted"], key=lambda v: str(v["workload"]))
    for line in ("left_in_queue", "left_inadmissible"):
        if line in expect:
            expect[line] = {queue: sorted(keys) for queue, keys in expect[line].items()}
    return expect


def world_of(case: Case) -> World:
    """The fleet of a case, with its admitted and pending works."""
    leaves = leaves_of(case)
    lines = {leaf.name: Line(leaf.queue.strategy) for leaf in leaves.values() if leaf.queue is not None}
    world = World(leaves, _rules(case), lines)
    for work in map(work_of, case["admitted"]):
        world.admitted[work.key] = work
    for work in map(work_of, case.get("pending", [])):
        world.lines[work.queue].enter(work)
    return world


def work_of(raw: Case) -> Work:
    held = raw.get("admitted_to")
    space = raw.get("namespace")
    return Work(
        key=f"{space}/{raw['name']}" if space else raw["name"],
        queue=held["cluster_queue"] if held else raw["cluster_queue"],
        priority=raw["priority"],
        queued_s=amount_of(raw["created_s"]),
        uid=raw.get("uid") or raw["name"],
        pod_sets=tuple(map(_pod_set, raw["pod_sets"])),
        admission=_admission(held) if held else None,
        evicted=raw.get("evicted", False),
    )


def amount_of(number: float) -> Amount:
    return number if isinstance(number, int) else Fraction(str(number))


def leaves_of(case: Case) -> dict[str, Node]:
    """The nodes of a case's queues by name."""
    return plant(list(map(_cohort, case["cohorts"])), map(_queue, case["cluster_queues"]))


def _rules(case: Case) -> Rules:
    return Rules(case["fair_sharing"], tuple(case.get("fair_sharing_strategies") or STRATEGIES))


def _cohort(raw: Case) -> Cohort:
    quotas = _quotas(raw["resource_groups"])
    return Cohort(raw["name"], raw["parent"], quotas, amount_of(raw.get("fair_weight", 1)))


def _queue(raw: Case) -> ClusterQueue:
    policy, borrow = raw["preemption"], raw["preemption"].get("borrowWithinCohort") or {}
    choice = raw["flavor_fungibility"]
    return ClusterQueue(
        name=raw["name"],
        cohort=raw["cohort"],
        groups=tuple(map(_group, raw["resource_groups"])),
        quotas=_quotas(raw["resource_groups"]),
        policy=Policy(
            policy["withinClusterQueue"],
            policy["reclaimWithinCohort"],
            borrow.get("policy", NEVER),
            borrow.get("maxPriorityThreshold"),
        ),
        fungibility=Fungibility(
            choice["whenCanBorrow"],
            choice["whenCanPreempt"],
            choice.get("preference", Fungibility.preference),
        ),
        weight=amount_of(raw.get("fair_weight", 1)),
        strategy=raw["queueing_strategy"],
    )


def _group(raw: list[Case]) -> Group:
    return Group(tuple(f["flavor"] for f in raw), frozenset(r for f in raw for r in f["resources"]))


def _quotas(groups: Iterable[list[Case]]) -> dict[FR, Quota]:
    return {
        (flavor["flavor"], resource): Quota(
            amount_of(quota["nominal"]),
            _limit(quota.get("borrowing_limit")),
            _limit(quota.get("lending_limit")),
        )
        for group in groups
        for flavor in group
        for resource, quota in flavor["resources"].items()
    }


def _limit(number: float | None) -> Amount | None:
    return None if number is None else amount_of(number)


def _pod_set(raw: Case) -> PodSet:
    requests = {resource: amount_of(n) for resource, n in raw["requests"].items()}
    return PodSet(raw["name"], raw["count"], requests, raw.get("min_count"), raw.get("group"))


def _admission(held: Case) -> Admission:
    usage: Amounts = {}
    for pods in held["usage"]:
        for resource, got in pods["resources"].items():
            fr = (got["flavor"], resource)
            usage[fr] = usage.get(fr, 0) + amount_of(got["amount"])
    counts = {pods["pod_set"]: pods["count"] for pods in held["usage"]}
    flavors = {p["pod_set"]: {r: got["flavor"] for r, got in p["resources"].items()} for p in held["usage"]}
    return Admission(amount_of(held["reserved_s"]), counts, flavors, usage)


def _preemption(case: Case) -> dict[str, Any]:
    raw, leaves = case["incoming"], leaves_of(case)
    work = work_of(raw)
    request: Amounts = {}
    for resource, chosen in raw["assignment"].items():
        asked = sum(p.count * p.requests.get(resource, 0) for p in work.pod_sets)
        request[chosen["flavor"], resource] = asked
    need = frozenset((c["flavor"], r) for r, c in raw["assignment"].items() if c["mode"] == "preempt")
    now = snapshot(leaves, map(work_of, case["admitted"]))
    victims = find(now, work, need, request, _rules(case))
    return {"preempted": sorted(({"workload": v.work.key, "reason": v.reason} for v in victims), key=_name)}


def _cycle(case: Case) -> dict[str, Any]:
    world = world_of(case)
    return cycle_answer(world, run_cycle(world))


def answers(case: Case, releases: int = 1) -> list[dict[str, Any]]:
    """The answer of every cycle until nothing changes.

    The cycles are at second 0; then the evicted are released and cycles follow at second 1; and so on.
    """
    world = world_of(case)
    told: list[dict[str, Any]] = []
    for at_s in range(1 + releases):
        if at_s > 0:
            release_evicted(world)
        told += [cycle_answer(world, done) for done in cycles(world, at_s)]
    return told


def cycle_answer(world: World, done: Cycle) -> dict[str, Any]:
    """What the cycle did and which works wait now."""
    victims = ({"workload": v.work.key, "reason": v.reason} for v in done.preempted)
    return {
        "newly_admitted": {key: _admitted(world, key, made) for key, made in sorted(done.admitted.items())},
        "preempted": sorted(victims, key=_name),
        "left_in_queue": {n: sorted(line.active) for n, line in world.lines.items() if line.active},
        "left_inadmissible": {n: sorted(line.parked) for n, line in world.lines.items() if line.parked},
    }


def _admitted(world: World, key: str, made: Assignment) -> dict[str, Any]:
    work = world.admitted[key]
    told: dict[str, Any] = {"cluster_queue": work.queue, "flavors": made.flavors}
    if any(made.counts[p.name] < p.count for p in work.pod_sets):
        told["counts"] = made.counts
    return told


def _name(victim: dict[str, str]) -> str:
    return victim["workload"]
