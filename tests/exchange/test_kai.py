"""Rules of KAI, each reckoned by hand on a few GPUs."""

from __future__ import annotations

from fractions import Fraction

from gpufleet.exchange.kai.cluster import Cluster, Job, Status, Task
from gpufleet.exchange.kai.rounds import Round
from gpufleet.exchange.kai.shares import KaiQueue, Shares


def queue(name: str, quota: int | None, *, weight: int = 0, **more: object) -> KaiQueue:
    values = {"parent": "org", "limit": None, "priority": 100, "born": 0} | more
    amount = None if quota is None else Fraction(quota)
    return KaiQueue(name, quota=amount, weight=Fraction(weight), **values)  # type: ignore[arg-type]


ORG = {"parent": None}


def job(name: str, of: str, gpus: str, *on: str | None, priority: int = 50, born: int = 0) -> Job:
    """A job with one task per node; None waits."""
    made = Job(name, of, priority, Fraction(gpus), Fraction(born))
    for at, node in enumerate(on):
        status: Status = "pending" if node is None else "running"
        part = f"{name}-{at}" if node and made.gpus < 1 else None
        made.tasks.append(Task(made, status, node, part))
    return made


def fair(cluster: Cluster, *queues: KaiQueue) -> dict[str, Fraction]:
    Shares(cluster, queues)
    return {each.name: each.fair for each in queues if each.parent is not None}


def test_quota_first_then_the_rest_by_weight_in_whole_gpus() -> None:
    jobs = [job(f"j{name}", name, "8", None) for name in "ab"]
    shares = fair(
        Cluster({"n": 8}, jobs), queue("org", None, **ORG), queue("a", 1, weight=2), queue("b", 2, weight=1)
    )
    # 5 to share: 3.33 and 1.67 are 3 and 1; the last one to b, which lacks 0.67 and a 0.33
    assert shares == {"a": 1 + 3, "b": 2 + 1 + 1}


def test_the_last_gpu_goes_to_the_largest_remainder() -> None:
    jobs = [job(f"j{name}", name, "8", None) for name in "ab"]
    shares = fair(
        Cluster({"n": 5}, jobs), queue("org", None, **ORG), queue("a", 0, weight=2), queue("b", 0, weight=1)
    )
    assert shares == {"a": 3, "b": 2}  # 3.33 and 1.67


def test_who_asks_for_less_leaves_the_rest_to_others() -> None:
    jobs = [job("x", "a", "1", None), job("y", "b", "8", None)]
    shares = fair(
        Cluster({"n": 8}, jobs), queue("org", None, **ORG), queue("a", 0, weight=1), queue("b", 0, weight=1)
    )
    assert shares == {"a": 1, "b": 7}


def test_a_higher_priority_of_a_queue_is_served_first() -> None:
    jobs = [job("x", "a", "3", None), job("y", "b", "8", None)]
    queues = (queue("a", 0, weight=1), queue("b", 0, weight=1, priority=200))
    assert fair(Cluster({"n": 4}, jobs), queue("org", None, **ORG), *queues) == {"a": 0, "b": 4}


def run(
    nodes: dict[str, int], jobs: list[Job], *queues: KaiQueue, rounds: int = 2
) -> dict[str, list[str | None]]:
    cluster = Cluster(nodes, jobs)
    for _ in range(rounds):
        Round(cluster, [queue("org", None, **ORG), *queues]).run()
    return {each.name: [task.node for task in each.tasks] for each in jobs}


def test_a_job_that_is_not_preemptible_stays_within_quota() -> None:
    jobs = [job("firm", "a", "2", None, priority=100), job("soft", "a", "2", None)]
    assert run({"n": 4}, jobs, queue("a", 1)) == {"firm": [None], "soft": ["n"]}


def test_a_limit_holds_for_all() -> None:
    jobs = [job("x", "a", "2", None), job("y", "a", "2", None, born=1)]
    assert run({"n": 4}, jobs, queue("a", 0, limit=Fraction(3))) == {"x": ["n"], "y": [None]}


def test_parts_of_a_gpu_share_one() -> None:
    jobs = [
        job("half", "a", "1/2", "n"),
        job("other", "a", "1/2", None),
        job("whole", "a", "1", None, born=1),
    ]
    assert run({"n": 2}, jobs, queue("a", 2)) == {"half": ["n"], "other": ["n"], "whole": ["n"]}


def test_jobs_move_together_for_a_larger_one() -> None:
    jobs = [job("x", "a", "1", "n"), job("y", "a", "1", "m"), job("z", "a", "2", None)]
    places = run({"m": 2, "n": 2}, jobs, queue("a", 4))
    assert places["x"] == places["y"] != places["z"]
    assert None not in (*places["x"], *places["z"])


def test_preemption_within_a_queue_takes_the_younger_of_lower_priority() -> None:
    jobs = [job("old", "a", "2", "n", born=-2), job("new", "a", "2", "n", born=-1)]
    jobs.append(job("firm", "a", "2", None, priority=100))
    assert run({"n": 4}, jobs, queue("a", 2)) == {"old": ["n"], "new": [None], "firm": ["n"]}


def test_nobody_yields_to_a_queue_beyond_its_fair_share() -> None:
    jobs = [job("x", "a", "2", "n"), job("y", "b", "2", "n"), job("more", "b", "1", None)]
    places = run({"n": 4}, jobs, queue("a", 2), queue("b", 2, born=1))
    assert places == {"x": ["n"], "y": ["n"], "more": [None]}


def test_who_is_evicted_leaves_its_gpus_at_the_end_of_the_round() -> None:
    jobs = [job("x", "a", "4", "n"), job("y", "b", "4", None)]
    queues = (queue("a", 0), queue("b", 4, born=1))
    assert run({"n": 4}, jobs, *queues, rounds=1) == {"x": [None], "y": [None]}
    assert run({"n": 4}, jobs, *queues, rounds=1) == {"x": [None], "y": ["n"]}


def test_two_rounds_of_reclaim_in_one_round_take_different_victims() -> None:
    jobs = [job("x", "a", "2", "n", born=-2), job("y", "a", "2", "n", born=-1)]
    jobs += [job("one", "b", "2", None), job("two", "b", "2", None, born=1)]
    places = run({"n": 4}, jobs, queue("a", 0), queue("b", 4, born=1))
    assert places == {"x": [None], "y": [None], "one": ["n"], "two": ["n"]}


def test_a_queue_with_others_below_it_takes_no_jobs() -> None:
    assert run({"n": 4}, [job("x", "org", "1", None)], queue("a", 4)) == {"x": [None]}


def test_no_node_is_ever_overfull() -> None:
    shapes = ("1/2", "1", "2", "3")
    for seed in range(40):
        jobs = []
        for i in range(6):
            waits = [None] * (1 + (seed + i) % 2)
            gpus, priority = shapes[(seed * 7 + i * 3) % 4], (50, 75, 100)[(seed + i) % 3]
            jobs.append(job(f"j{i}", "ab"[(seed >> i) % 2], gpus, *waits, priority=priority, born=i))
        cluster = Cluster({"m": 3, "n": 4}, jobs)
        for _ in range(4):
            Round(
                cluster, [queue("org", None, **ORG), queue("a", 3, weight=1), queue("b", 2, weight=2, born=1)]
            ).run()
            assert all(cluster.idle(node) >= 0 for node in cluster.nodes), seed
            for each in jobs:
                running = sum(task.status == "running" for task in each.tasks)
                assert running in (0, len(each.tasks)), seed
