"""More GPUs may delay a job: one small world for each policy in which one more node does.

The law that holds is in test_more_gpus.py. These are no faults: a job that starts earlier can be in the way
of another. docs/explanation/engine.md lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.oracle import oracle
from tests.oracle.by_hand import Lane, ints, jobs, make
from tests.properties.test_sharing_laws import shared_of

from gpufleet.engine.run import simulate
from gpufleet.world.layout import CONSERVATIVE, EASY, PRIORITY, SJF, SPREAD, SRTF, Jobs, World
from gpufleet.world.quotas import Cohort, Limits, Queue, Sharing, arrays_of

ROOT: Final = Path(__file__).resolve().parents[2]
ONE: Final[Sequence[Lane]] = (((0, 1.0),),)
Row = tuple[int, int, int]  # submit_s, gpus, work_s


@dataclass(frozen=True)
class Anomaly:
    """A world of 8-GPU nodes, its jobs, and their starts without and with one more node in the first cell."""

    policy: str
    nodes: tuple[int, ...]  # of each cell
    rows: tuple[Row, ...]
    before: list[int]
    after: list[int]
    lanes: Sequence[Lane] = ONE
    cls: tuple[int, ...] = ()
    priority: tuple[int, ...] = ()
    quota: tuple[int, ...] = ()
    rules: dict[str, Any] = field(default_factory=dict)

    def world(self, more: int) -> World:
        cells = [[8] * (n + (more if at == 0 else 0)) for at, n in enumerate(self.nodes)]
        return make(cells, lanes=self.lanes, quota=self.quota, **self.rules)

    def jobs(self) -> Jobs:
        priority = {"priority": self.priority} if self.priority else {}
        return jobs(*self.rows, cls=self.cls, **priority)


SLOW_THEN_FAST: Final[Lane] = ((0, 0.5), (1, 1.0))

ANOMALIES: Final = (
    # the first job fits its first choice now, which is slow, and the last waits for both
    Anomaly("strict FIFO, two products", (1, 2), ((0, 16, 1), (0, 16, 2), (0, 1, 1)), [0, 1, 1], [0, 0, 2],
            lanes=(SLOW_THEN_FAST,)),
    # the job of 3 nodes starts at once, and leaves no idle node for the last, which had overtaken it
    Anomaly("best effort", (3,), ((0, 1, 1), (0, 24, 1), (0, 8, 1)), [0, 1, 0], [0, 0, 1],
            rules={"strict": 0}),
    # the second job fits the slow product now, which was free for the last
    Anomaly("best effort, two products", (1, 2), ((0, 16, 1), (0, 16, 1), (0, 1, 1)), [0, 1, 0], [0, 0, 1],
            lanes=(SLOW_THEN_FAST, ((1, 1.0),)), cls=(1, 0, 0), rules={"strict": 0}),
    # both large jobs run when the urgent one comes; before, a node was idle beside the first
    Anomaly("priority", (3,), ((0, 16, 2), (0, 16, 2), (1, 1, 1)), [0, 2, 1], [0, 0, 2],
            priority=(0, 0, 1), rules={"order": PRIORITY}),
    # the long large job starts before the short one is there
    Anomaly("shortest first", (3,), ((0, 1, 2), (0, 24, 2), (1, 8, 1)), [0, 2, 1], [0, 0, 2],
            rules={"order": SJF}),
    # what was backfilled beside a reservation waits for the job that needs none any more
    Anomaly("priority with EASY", (3,), ((0, 8, 1), (0, 24, 1), (0, 1, 1)), [0, 1, 0], [0, 0, 1],
            rules={"order": PRIORITY, "backfill": EASY}),
    Anomaly("conservative", (2,), ((0, 1, 1), (0, 16, 1), (0, 8, 1)), [0, 1, 0], [0, 0, 1],
            rules={"backfill": CONSERVATIVE}),
    # the shorter large job fits together with the shortest, and goes before the longer small one
    Anomaly("shortest remaining time", (3,), ((1, 8, 2), (1, 1, 1), (1, 24, 1)), [1, 1, 3], [2, 1, 1],
            rules={"order": SRTF, "strict": 0}),
    # small jobs are spread over more nodes: at 3 s only one is idle where there were two
    Anomaly("strict FIFO, fragments", (3,),
            ((0, 1, 1), (0, 1, 4), (0, 2, 3), (0, 8, 2), (0, 1, 4), (2, 1, 2), (2, 8, 1), (2, 8, 1)),
            [0, 0, 0, 1, 1, 2, 3, 3], [0, 0, 0, 0, 0, 2, 3, 4], rules={"placement": SPREAD}),
    # the other queue's large job fits beside the first, and leaves no node for the last, which has quota
    Anomaly("hard quotas, two queues", (2,), ((1, 1, 1), (1, 16, 1), (1, 8, 1)), [1, 2, 1], [1, 1, 2],
            lanes=ONE * 2, cls=(0, 1, 0), quota=(16, -1)),
)  # fmt: skip


@pytest.mark.parametrize("case", ANOMALIES, ids=lambda case: case.policy)
def test_one_more_node_delays_a_start(case: Anomaly) -> None:
    for more, starts in ((0, case.before), (1, case.after)):
        result = simulate(case.world(more), case.jobs(), debug=True)
        assert result.outcomes.start_s.tolist() == starts
        assert oracle.simulate(case.world(more), case.jobs()).outcomes.start_s.tolist() == starts
    assert any(late > early for early, late in zip(case.before, case.after, strict=True))


SHARING: Final = "sharing with preemption"


def owner_and_borrower(nodes: int) -> World:
    """Nodes of one GPU; one queue owns 3 and takes them back, the other owns none."""
    queues = tuple(
        Queue(f"q{i}", "all", ((("0", {"gpu": Limits(own)}),),), reclaim="Any")
        for i, own in enumerate((3, 0))
    )
    tree = arrays_of(Sharing((Cohort("all"),), queues), []).tree._replace(placed=1)
    world = make([[1] * nodes], lanes=ONE * 2)
    cells = world.cells._replace(gpus_per_node=ints([1]))
    return world._replace(cells=cells, shared=shared_of(tree, 2, [0] * nodes))


def test_one_more_node_spares_a_victim_and_delays_who_would_follow_it() -> None:
    """The owner's job pushes out one of 2 GPUs; the GPU that this leaves over starts the next. With one more
    node nobody is pushed out, and the next waits."""
    load = jobs((0, 2, 2), (1, 1, 1), (1, 1, 1), cls=(1, 0, 1))
    small, large = (simulate(owner_and_borrower(nodes), load, debug=True) for nodes in (2, 3))
    assert (len(small.preemptions), len(large.preemptions)) == (1, 0)
    assert small.outcomes.start_s.tolist() == [0, 1, 1]
    assert large.outcomes.start_s.tolist() == [0, 1, 2]


def test_the_docs_list_them() -> None:
    page = (ROOT / "docs" / "explanation" / "engine.md").read_text(encoding="utf-8")
    listed = page.split("## More GPUs may delay a job")[1]
    for policy in (*(case.policy for case in ANOMALIES), SHARING):
        assert f"| {policy} |" in listed
