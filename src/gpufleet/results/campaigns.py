"""Campaigns and trainings of a run: when they were planned to run, and when they did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from gpufleet.results.run import Run

_COLUMNS: Final = (
    "workload",
    "name",
    "gpus",
    "start_s",
    "end_s",
    "wait_s",
    "state",
    "product",
    "failures",
    "lost_s",
)


class Campaign(NamedTuple):
    """One campaign, or one phase of a training. Times are seconds from the plan's start.

    Planned is what the plan says of a campaign, and what the model predicts of a training, failures included.
    """

    name: str  # of the workload; of a phase, workload/phase
    workload: str
    jobs: int
    gpus: int  # of each; of a whole training, of the largest
    planned_start_s: int
    planned_end_s: int
    planned_failures: float  # 0 of a campaign: nothing is predicted of it
    start_s: int | None  # of the first job; None: none has started
    end_s: int | None  # of the last job; None: some have not ended
    done: int  # jobs
    products: tuple[str, ...]  # of last attempts
    failures: int
    lost_gpu_s: int  # done again after failures and preemptions

    @property
    def late_s(self) -> int | None:
        """How much later than planned it was done; None: it is not done."""
        return None if self.end_s is None or self.done < self.jobs else self.end_s - self.planned_end_s


def campaigns_of(run: Run) -> tuple[Campaign, ...]:
    """The campaigns and phases of a run, in the plan's order."""
    planned = list(_planned(run))
    if not planned:
        return ()
    mine = run.scan_jobs().filter(pl.col("workload").is_in(list({each.workload for each in planned})))
    rows = mine.select(_COLUMNS).collect(engine="streaming").to_dicts()
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(_called(run, row), []).append(row)
    return tuple(_with_jobs(each, by_name.get(each.name, [])) for each in planned)


def whole(rows: Sequence[Campaign]) -> tuple[Campaign, ...]:
    """The same with the phases of each training as one."""
    by: dict[str, list[Campaign]] = {}
    for row in rows:
        by.setdefault(row.workload, []).append(row)
    return tuple(_together(name, parts) for name, parts in by.items())


def _together(name: str, parts: Sequence[Campaign]) -> Campaign:
    starts = [part.start_s for part in parts if part.start_s is not None]
    ends = [part.end_s for part in parts if part.end_s is not None]
    return Campaign(
        name=name,
        workload=name,
        jobs=sum(part.jobs for part in parts),
        gpus=max(part.gpus for part in parts),
        planned_start_s=min(part.planned_start_s for part in parts),
        planned_end_s=max(part.planned_end_s for part in parts),
        planned_failures=sum(part.planned_failures for part in parts),
        start_s=min(starts, default=None),
        end_s=max(ends) if len(ends) == len(parts) else None,
        done=sum(part.done for part in parts),
        products=tuple(dict.fromkeys(product for part in parts for product in part.products)),
        failures=sum(part.failures for part in parts),
        lost_gpu_s=sum(part.lost_gpu_s for part in parts),
    )


def _called(run: Run, row: Mapping[str, Any]) -> str:
    """Of which campaign or phase a job is."""
    if row["workload"] not in run.plan.get("trainings", {}):
        return str(row["workload"])
    return f"{row['workload']}/{phase_of(row['name'])}"


def phase_of(name: str) -> str:
    """The phase that a job's name says.

    >>> phase_of("ablations-12"), phase_of("pre-training")
    ('ablations', 'pre-training')
    """
    phase, _, number = name.rpartition("-")
    return phase if number.isdecimal() else name


def _planned(run: Run) -> Iterator[Campaign]:
    """What is planned; nothing of it has run yet."""
    trainings = run.plan.get("trainings")
    if trainings is None:
        return  # a run of an earlier version
    for name, workload in run.plan["workloads"].items():
        if workload["kind"] == "campaign":
            at = run.plan["campaigns"][name]
            jobs, gpus = workload["tasks"], workload["gpus"]
            yield _untouched(name, name, jobs, gpus, at["start_s"], at["end_s"], 0.0)
        for phase in trainings[name]["phases"] if name in trainings else ():
            numbers = (phase[key] for key in ("jobs", "gpus", "start_s", "end_s", "failures"))
            yield _untouched(f"{name}/{phase['name']}", name, *numbers)


def _untouched(
    name: str, workload: str, jobs: int, gpus: int, start_s: int, end_s: int, failures: float
) -> Campaign:
    return Campaign(name, workload, jobs, gpus, start_s, end_s, failures, None, None, 0, (), 0, 0)


def _with_jobs(planned: Campaign, rows: list[dict[str, Any]]) -> Campaign:
    """The same with what became of its jobs."""
    starts = [row["start_s"] for row in rows if row["start_s"] is not None]
    ends = [row["end_s"] for row in rows if row["end_s"] is not None]
    products = dict.fromkeys(row["product"] for row in rows if row["product"] is not None)
    return planned._replace(
        start_s=min(starts, default=None),
        end_s=max(ends) if len(ends) == planned.jobs else None,
        done=sum(row["state"] == "done" for row in rows),
        products=tuple(products),
        failures=sum(row["failures"] for row in rows),
        lost_gpu_s=sum(row["lost_s"] * row["gpus"] for row in rows),
    )
