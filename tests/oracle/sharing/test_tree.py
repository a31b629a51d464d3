"""Quotas in small trees, worked by hand."""

from __future__ import annotations

from tests.oracle.sharing.model import FR, Amounts, ClusterQueue, Cohort, Quota
from tests.oracle.sharing.tree import Snapshot, plant, snapshot

F: FR = ("f", "gpu")


def moment(cohorts: list[Cohort], queues: list[ClusterQueue], **used: int) -> Snapshot:
    now = snapshot(plant(cohorts, queues), [])
    for queue, amount in used.items():
        now.add(queue, {F: amount})
    return now


def queue(name: str, cohort: str | None, *quota: int | None, weight: int = 1) -> ClusterQueue:
    return ClusterQueue(name, cohort, quotas={F: Quota(*quota)} if quota else {}, weight=weight)  # type: ignore[arg-type]


def test_what_is_not_lent_does_not_bubble() -> None:
    # a keeps 3 of its 4: of the 5 it uses, 2 count in r, whose own are 1 of a and 2 of b.
    now = moment([], [queue("a", "r", 4, None, 1), queue("b", "r", 2)], a=5)
    a, b = now.leaves["a"], now.leaves["b"]
    root = a.root()
    assert (a.local(F), root.subtree(F), now.usage(root, F)) == (3, 3, 2)
    assert (now.available(a, F), now.available(b, F)) == (1, 1)
    assert (a.potential(F), b.potential(F)) == (6, 3)


def test_available_may_be_negative() -> None:
    now = moment([], [queue("a", "r", 2), queue("b", "r", 0)], a=2, b=1)
    assert now.available(now.leaves["a"], F) == -1
    assert not now.fits(now.leaves["a"], {F: 1})
    assert now.fits(now.leaves["a"], {F: 0})


def test_level_is_the_height_of_what_holds_it() -> None:
    # x keeps its 2: of a's 3, 1 is left for m, whose own 1 holds it. 4 need the root, 9 are nowhere.
    cohorts = [
        Cohort("r", None, {F: Quota(5)}),
        Cohort("m", "r", {F: Quota(1)}),
        Cohort("x", "m", {F: Quota(2, None, 0)}),
    ]
    now = moment(cohorts, [queue("a", "x", 0)])
    a = now.leaves["a"]
    assert [now.level(a, F, n) for n in (0, 2, 3, 4, 9)] == [
        (0, True),
        (1, True),
        (2, True),
        (3, False),
        (3, False),
    ]


def test_level_without_a_cohort() -> None:
    now = moment([], [queue("a", None, 2)])
    assert now.level(now.leaves["a"], F, 5) == (0, False)


def test_height_of_a_cohort_without_children_is_zero() -> None:
    now = moment([Cohort("r"), Cohort("empty", "r")], [queue("a", "r")])
    root = now.leaves["a"].root()
    assert [child.height() for child in root.cohorts] == [0]
    assert root.height() == 1


def test_share_counts_all_flavors_of_a_resource_and_takes_the_worst_resource() -> None:
    quotas = {("f", "gpu"): Quota(6), ("g", "gpu"): Quota(4), ("f", "cpu"): Quota(100)}
    now = moment([Cohort("r", None, quotas)], [queue("a", "r", weight=2), queue("b", "r", weight=0)])
    a, b = now.leaves["a"], now.leaves["b"]
    assert now.share(a) == now.share(b) == (False, 0)
    used: Amounts = {("f", "gpu"): 2, ("g", "gpu"): 3, ("f", "cpu"): 30}
    now.add("a", used)
    now.add("b", used)
    assert now.share(a) == (False, 250)
    assert now.share(b) == (True, 500)
    assert now.share(a) < now.share(b)
