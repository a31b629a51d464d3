"""Small random cases of the suite kueue-cycle, in which little is free and much is borrowed.

A case is drawn as one seed, with the number of pending works on its own, so that failures shrink; the first n
works of a seed are the same whatever n is. Times differ from each other, because what decides between equal
times in different queues is not defined. Works that are admitted fit the quota.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st

from .cases import Case, amount_of, leaves_of, work_of
from .model import STRATEGIES
from .tree import snapshot

MAX_PENDING, MAX_ADMITTED, MAX_DEPTH = 10, 12, 3
Groups = list[tuple[list[str], list[str]]]
"""Per resource group its flavors and its resources."""


def cases(*, extended: bool = True) -> st.SearchStrategy[Case]:
    """Random cases; `extended`: with what goes beyond the shared format (evicted works, fewer pods)."""
    seeds, counts = st.integers(0, 2**32 - 1), st.integers(0, MAX_PENDING)
    return st.builds(lambda seed, n: case_of(seed, n, extended=extended), seeds, counts)


def random_case(seed: int, *, extended: bool = True) -> Case:
    """The case of a seed with all its pending works."""
    return case_of(seed, MAX_PENDING, extended=extended)


def case_of(seed: int, n_pending: int, *, extended: bool = True) -> Case:
    """The case of a seed with the first so many of its pending works."""
    random = Random(seed)
    groups = _groups(random)
    cohorts = _cohorts(random, groups)
    fair = random.random() < 0.5
    case: Case = {
        "id": f"random-{seed}",
        "suite": "kueue-cycle",
        "fair_sharing": fair,
        "fair_sharing_strategies": list(random.choice((STRATEGIES, STRATEGIES[:1], STRATEGIES[1:]))),
        "cohorts": cohorts,
        "cluster_queues": [_queue(random, i, cohorts, groups) for i in range(random.randint(1, 6))],
        "admitted": [],
        "pending": [],
    }
    names = iter(random.sample(range(100, 1000), MAX_ADMITTED + MAX_PENDING))
    times = iter(random.sample(range(-1000, 0), MAX_ADMITTED + MAX_PENDING))
    case["admitted"] = _admitted(random, case, groups, names, times, extended)
    for _ in range(n_pending):
        case["pending"].append(_pending(random, case, groups, f"p{next(names)}", next(times), extended))
    return case


def _groups(random: Random) -> Groups:
    flavors = ["f1", "f2", "f3"][: random.choice((1, 2, 2, 3))]
    shape = random.random()
    if shape < 0.5:
        return [(flavors, ["gpu"])]
    if shape < 0.85:
        return [(flavors, ["gpu", "cpu"])]
    return [(flavors, ["gpu"]), (["c1", "c2"][: random.randint(1, 2)], ["cpu"])]


def _cohorts(random: Random, groups: Groups) -> list[Case]:
    made: list[Case] = []
    depth: dict[str, int] = {}
    for name in ["r", "s", "t", "u", "v"][: random.choice((0, 1, 2, 3, 4, 5))]:
        above = [c for c in depth if depth[c] < MAX_DEPTH]
        parent = random.choice(above) if above and random.random() < 0.85 else None
        depth[name] = 1 + (depth[parent] if parent else 0)
        own = random.random() < 0.4
        quotas = _resource_groups(random, groups, parent is not None, most=4) if own else []
        made.append(
            {
                "name": name,
                "parent": parent,
                "resource_groups": quotas,
                "fair_weight": random.choice((0, 1, 1, 1, 2)),
            }
        )
    return made


def _resource_groups(random: Random, groups: Groups, limits: bool, most: int) -> list[list[Case]]:
    return [
        [{"flavor": f, "resources": {r: _quota(random, limits, most) for r in resources}} for f in flavors]
        for flavors, resources in groups
    ]


def _quota(random: Random, limits: bool, most: int) -> Case:
    quota: Case = {"nominal": random.choice((0, *range(most + 1)))}
    if limits and random.random() < 0.25:
        quota["borrowing_limit"] = random.randint(0, 4)
    if limits and random.random() < 0.2:
        quota["lending_limit"] = random.randint(0, quota["nominal"])
    return quota


def _queue(random: Random, i: int, cohorts: list[Case], groups: Groups) -> Case:
    cohort = random.choice([c["name"] for c in cohorts] or ["implied"]) if random.random() < 0.9 else None
    return {
        "name": f"q{i}",
        "cohort": cohort,
        "resource_groups": _resource_groups(random, groups, cohort is not None, most=6),
        "preemption": _preemption(random),
        "fair_weight": random.choice((0, 1, 1, 1, 2, 0.5)),
        "queueing_strategy": random.choice(("StrictFIFO", "BestEffortFIFO", "BestEffortFIFO")),
        "flavor_fungibility": {
            "whenCanBorrow": random.choice(("MayStopSearch", "TryNextFlavor")),
            "whenCanPreempt": random.choice(("MayStopSearch", "TryNextFlavor")),
            "preference": random.choice(("BorrowingOverPreemption", "PreemptionOverBorrowing")),
        },
    }


def _preemption(random: Random) -> Case:
    reclaim = random.choice(("Never", "LowerPriority", "Any", "Any"))
    borrow: Case = {"policy": "Never"}
    if reclaim != "Never" and random.random() < 0.4:
        borrow["policy"] = "LowerPriority"
        if random.random() < 0.5:
            borrow["maxPriorityThreshold"] = random.randint(-2, 2)
    return {
        "withinClusterQueue": random.choice(("Never", "LowerPriority", "LowerOrNewerEqualPriority")),
        "reclaimWithinCohort": reclaim,
        "borrowWithinCohort": borrow,
    }


def _admitted(
    random: Random, case: Case, groups: Groups, names: Any, times: Any, extended: bool
) -> list[Case]:
    now = snapshot(leaves_of(case), [])
    made: list[Case] = []
    for _ in range(random.randint(0, MAX_ADMITTED)):
        queue = random.choice(case["cluster_queues"])["name"]
        requests = _requests(random, groups)
        flavor = {r: f for flavors, rs in groups for f in [random.choice(flavors)] for r in rs}
        usage = {r: {"flavor": flavor[r], "amount": n} for r, n in requests.items()}
        time = next(times)
        raw: Case = {
            "name": f"a{next(names)}",
            "priority": random.randint(-2, 2),
            "created_s": time,
            "cluster_queue": queue,
            "admitted_to": {
                "cluster_queue": queue,
                "reserved_s": time + random.choice((0, 1000)),
                "usage": [{"pod_set": "main", "count": 1, "resources": usage}],
            },
            "pod_sets": [{"name": "main", "count": 1, "requests": requests}],
        }
        if extended and random.random() < 0.08:
            raw["evicted"] = True
        if now.fits(now.leaves[queue], {(flavor[r], r): amount_of(n) for r, n in requests.items()}):
            now.put(work_of(raw))
            made.append(raw)
    return made


def _requests(random: Random, groups: Groups) -> dict[str, int]:
    resources = [r for _, rs in groups for r in rs]
    asked = [r for r in resources if random.random() < 0.8] or resources[:1]
    return {r: random.choice((1, 1, 2, 2, 3, 4)) for r in asked}


def _pending(random: Random, case: Case, groups: Groups, name: str, time: int, extended: bool) -> Case:
    sets: list[Case] = []
    for pod_set in ["main", "more"][: random.choice((1, 1, 1, 1, 2))]:
        pods: Case = {
            "name": pod_set,
            "count": random.choice((1, 1, 1, 2, 3)),
            "requests": _requests(random, groups),
        }
        if random.random() < 0.02:
            pods["requests"]["disk"] = random.randint(0, 1)
        if extended and pods["count"] > 1 and random.random() < 0.3:
            pods["min_count"] = random.randint(1, pods["count"])
        sets.append(pods)
    return {
        "name": name,
        "priority": random.randint(-2, 3),
        "created_s": time,
        "cluster_queue": random.choice(case["cluster_queues"])["name"],
        "admitted_to": None,
        "pod_sets": sets,
    }
