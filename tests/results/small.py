"""A small plan, and engine output made by hand: intervals of waiting and running, summed second by second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.results.folder import JOBS, new_run
from gpufleet.results.jobs import JobsWriter
from gpufleet.results.run import Run
from gpufleet.results.write import write_environment, write_results
from gpufleet.world.build import Built, build
from gpufleet.world.layout import (
    BETWEEN_PASSES,
    DONE,
    N_REFUSALS,
    NO_FREE,
    NOT_ONLINE,
    ORDER,
    OWN_QUOTA,
    REFUSED,
    WAITING,
    Outcomes,
    Tallies,
)
from gpufleet.world.save import save_world

PLAN = """\
gpufleet: 1
name: small
start: 2026-01-05
end: 2026-01-06
time_zone: Asia/Seoul
files: {trace: jobs.csv}
sites:
  lab: {time_zone: Asia/Seoul}
systems:
  box: {product: P100-like, gpus_per_node: 8}
deliveries:
  - {name: lot-1, to: lab, system: box, gpus: 16, at: 2026-01-05, source: paper, trust: stated}
  - name: lot-2
    to: lab
    system: box
    gpus: {value: 8, range: [8, 16], trust: estimate}
    at: 2026-01-05 12:00
tenants:
  research:
    quota: {P100-like: 8}
  vision: {queues: {train: {}, debug: {quota: {P100-like: 4}}}}
workloads:
  history: {kind: trace, file: trace, queue: {default: research}}
  big: {kind: campaign, queue: train, gpus: 8, duration: 1 h, at: 2026-01-05 02:00}
policy: {order: fifo, interval: 10 s}
sources:
  paper: {title: a paper}
"""

CSV = """\
job,submit_s,gpus,duration_s,queue,user,start_s,end_s
a,0,8,3600,research,ann,0,3600
b,60,8,3600,research,ann,600,4200
3,100,4,1800,debug,bob,,
d,200,4,100,train,bob,200,300
big,300,64,100,train,,,
wide,400,8,100,debug,,,
"""


class Story(NamedTuple):
    """What happens to one job."""

    waits: Sequence[tuple[int, int, int]] = ()  # state, root, seconds; from its submission on
    run_s: int = 0
    state: int = DONE
    behind: int = -1
    refusal: int = 0  # of a job that is refused for ever


STORIES = (
    Story(run_s=3600),
    Story([(BETWEEN_PASSES, BETWEEN_PASSES, 5), (OWN_QUOTA, OWN_QUOTA, 3535)], 3600),
    Story([(NO_FREE, NO_FREE, 700)], 1800),
    Story([(ORDER, NO_FREE, 600)], 100, behind=2),
    Story(state=REFUSED, refusal=NOT_ONLINE),
    Story(state=REFUSED, refusal=OWN_QUOTA),
    Story([(NO_FREE, NO_FREE, 86400 - 7200)], state=WAITING),
)


@dataclass(frozen=True)
class Small:
    """A plan with what an engine could have made of it."""

    plan: Plan
    built: Built
    outcomes: Outcomes
    tallies: Tallies

    def write(self, out: Path, batches: Iterable[slice] = (slice(None),)) -> Run:
        """Write the run folder as the study does."""
        built = self.built
        with new_run(out) as path:
            with JobsWriter(path / JOBS, built.world, built.names) as writer:
                for batch in built.demand.batches():
                    writer.add(batch)
                for rows in batches:
                    writer.write(Outcomes._make(column[rows] for column in self.outcomes))
            save_world(path / "world.npz", built.world, built.demand.arrivals, built.names)
            write_results(path, self.plan, built, self.tallies, 86400, self.plan.warnings)
            write_environment(path, started=datetime.now(UTC), seconds={"engine": 0.5})
        return Run.load(out)


def small(
    folder: Path, stories: Sequence[Story] = STORIES, sets: Sequence[str] = (), *, drop_campaign: bool = False
) -> Small:
    """Write the plan to a folder, build it, and tell the stories of its jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = PLAN.splitlines(keepends=True)
    text = "".join(line for line in lines if not (drop_campaign and "campaign" in line))
    (folder / "plan.yaml").write_text(text)
    (folder / "jobs.csv").write_text(CSV)
    plan = load_plan(folder / "plan.yaml", sets=sets)
    built = build(plan)
    return Small(plan, built, *_told(built, stories))


def _told(built: Built, stories: Sequence[Story]) -> tuple[Outcomes, Tallies]:
    world, jobs = built.world, built.demand.jobs()
    n, grid = len(stories), world.clock.grid_s
    assert n == len(jobs.gpus)
    waits = [np.zeros((n, N_REFUSALS), np.int64) for _ in range(2)]
    out = Outcomes(*(np.zeros(n, np.int64) for _ in range(len(Outcomes._fields) - 2)), *waits)
    lengths = [story.run_s + sum(seconds for *_, seconds in story.waits) for story in stories]
    n_bins = -(-(86400 + max(lengths)) // grid)
    n_queues, n_products = len(world.queues.tenant), world.queues.quota.shape[1]
    busy = np.zeros((n_queues, n_products, n_bins * grid), np.int64)
    waiting = np.zeros((n_queues, N_REFUSALS, n_bins * grid), np.int64)
    for i, story in enumerate(stories):
        queue, now = world.classes.queue[jobs.cls[i]], int(jobs.submit_s[i])
        for state, root, seconds in story.waits:
            out.wait_by_refusal_s[i, state] += seconds
            out.wait_by_root_s[i, root] += seconds
            waiting[queue, root, now : now + seconds] += jobs.gpus[i]
            now += seconds
        started = story.state not in (REFUSED, WAITING)
        if started:
            busy[queue, 0, now : now + story.run_s] += jobs.gpus[i]
        times = (now, now + story.run_s) if started else (-1, -1)
        waited = sum(seconds for *_, seconds in story.waits)
        cell = 0 if started else -1
        last = story.refusal or (story.waits[-1][0] if story.waits else 0)
        row = (i, *times, waited, story.run_s, cell, story.state, last, int(started), 0, story.behind)
        for column, value in zip(out, row, strict=False):
            column[i] = value
    by_bin = [table.reshape(*table.shape[:2], n_bins, grid).sum(-1) for table in (busy, waiting)]
    return out, Tallies(*by_bin, np.zeros((0, 1, n_bins), np.int64))
