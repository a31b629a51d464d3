"""Where the rooms meet: a plan in, a run folder out."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpufleet.base.errors import Finding, explain_code, finding

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.results.run import Run
    from gpufleet.world.build import Built
    from gpufleet.world.layout import Jobs, Outcomes, Tallies

Say = Callable[[str], None]

NEVER_FITS: Final = explain_code(
    "T061",
    "jobs are larger than the fleet will ever be",
    "A job asks for more GPUs than its queue's quota, or than the cells that it may use will ever have in "
    "service at one time. It is refused for ever when it is submitted, and blocks nothing.",
    "tenants: {research: {quota: {B200: 32}}}      # a job of 64 GPUs in its queue never starts",
).code


def _silent(_: str) -> None:
    """Say nothing."""


def simulate(
    plan: Plan,
    *,
    out: Path | str | None = None,
    progress: Say = _silent,
    finish: Callable[[Run], object] | None = None,
) -> Run:
    """Simulate a plan, job by job, and write a run folder.

    Args:
        plan: from `gpufleet.plan.load.load_plan`.
        out: the run folder; an earlier run there is replaced when the new one is whole. None: a temporary
            folder that lives as long as the returned run.
        progress: called with a line about what is being done.
        finish: called with the run before its folder is closed: to write a report into it, say.

    Returns: the run; warnings are in `Run.findings`.
    Raises:  GpufleetError T0xx if a trace cannot be used, R0xx if the folder cannot be written.

    >>> from gpufleet import load_plan, simulate                    # doctest: +SKIP
    >>> simulate(load_plan("plans/one-cluster")).answer             # doctest: +SKIP
    '64 GPUs at lab were 71.3 % busy ...'
    """
    from gpufleet.results.folder import new_run
    from gpufleet.results.run import Run

    keep = None if out is not None else tempfile.TemporaryDirectory(prefix="gpufleet-")
    folder = Path(out) if out is not None else Path(keep.name if keep else "") / plan.name
    with new_run(folder) as part:
        _fill(part, plan, progress, finish)
    run = Run.load(folder)
    return run if keep is None else Run(run.path, keep=keep)


def load_run(path: Path | str) -> Run:
    """Open a run folder.

    Raises: GpufleetError R004 if it is not a whole run.
    """
    from gpufleet.results.run import Run

    return Run.load(path)


def _fill(part: Path, plan: Plan, progress: Say, finish: Callable[[Run], object] | None) -> None:
    """Write everything that a run folder holds."""
    from gpufleet.results.write import write_environment, write_results
    from gpufleet.world.build import build

    started, watch = datetime.now(UTC), _Watch(progress)
    watch("reading the plan's traces")
    built = build(plan)
    jobs = built.demand.jobs()
    findings = [*plan.warnings, *built.findings, *never_fits(plan, built)]
    watch("simulating")
    tallies, end_s = _run_engine(part, built, jobs, progress)
    watch("writing results")
    run = write_results(part, plan, built, tallies, end_s, findings)
    if finish:
        watch("writing the report")
        finish(run)
    watch("")
    write_environment(part, started=started, seconds=watch.seconds)


class _Watch:
    """Says what is being done, and remembers how long each step took."""

    def __init__(self, say: Say) -> None:
        self.seconds: dict[str, float] = {}
        self._say = say
        self._step, self._since = "", time.perf_counter()

    def __call__(self, step: str) -> None:
        """Begin a step; an empty one ends the last."""
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = round(now - self._since, 3)
        self._step, self._since = step, now
        self._say(f"{step} ..." if step else "")


def _run_engine(part: Path, built: Built, jobs: Jobs, progress: Say) -> tuple[Tallies, int]:
    """Save the world and run it; outcomes go to jobs.parquet as they come."""
    from gpufleet.engine import run as engine
    from gpufleet.engine.jit import on_compile
    from gpufleet.results.folder import JOBS, WORLD
    from gpufleet.results.jobs import JobsWriter
    from gpufleet.world.save import save_world

    on_compile(_tell_of_compiling)
    save_world(part / WORLD, built.world, jobs, built.names)
    table, total = built.demand.table, len(jobs.gpus)
    with JobsWriter(part / JOBS, built.world, built.names) as writer:

        def sink(outcomes: Outcomes) -> None:
            writer.write(outcomes, jobs, table)
            progress(f"simulating ... {writer.rows:,} of {total:,} jobs")

        summary = engine.run(built.world, [jobs], sink)
    return summary.tallies, summary.end_s


_told: set[str] = set()


def _tell_of_compiling(kernel: str) -> None:
    """Say once in a process why nothing seems to happen."""
    if not _told:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # the line of progress
        text = "compiling kernels, once (later runs take them from the cache) ..."
        print(clear + text, file=sys.stderr, flush=True)
    _told.add(kernel)


def check_world(plan: Plan, *, traces: bool = False) -> tuple[list[Finding], list[str]]:
    """What only the world of a plan shows: its fleet and, with ``traces``, its jobs.

    Returns: warnings, and notes for people.
    Raises:  GpufleetError T0xx if a trace cannot be used.
    """
    if not traces and not plan.retirements:
        return [], []  # without NumPy, which takes longer than all else
    if not traces:
        from gpufleet.world.capacity import capacity_of
        from gpufleet.world.names import Names

        return list(capacity_of(plan, Names.of(plan)).findings), []
    from gpufleet.world.build import build

    built = build(plan)
    return [*built.findings, *never_fits(plan, built)], list(built.notes)


def never_fits(plan: Plan, built: Built) -> Iterator[Finding]:
    """A warning for each trace with jobs that can never run, however long they wait.

    Each job is held against its queue's quota and the most GPUs that any cell it may use ever has in service.
    Jobs that come too late for a fleet that shrinks are found by the simulation only.
    """
    import polars as pl

    from gpufleet.plan.workloads import CampaignWorkload
    from gpufleet.world.reach import most_for_class

    frame = built.demand.frame
    most = most_for_class(built.world)[frame["cls"].to_numpy()]
    large = frame.select("workload", "gpus", most=pl.Series(most)).filter(pl.col("gpus") > pl.col("most"))
    sums = large.group_by("workload").agg(pl.len(), pl.col("gpus").max(), pl.col("most").max())
    for code, jobs, gpus, reach in sums.sort("workload").iter_rows():
        workload = plan.workloads[built.names.workloads[code]]
        if isinstance(workload, CampaignWorkload):
            continue  # the plan's own check has said so
        word = "jobs ask" if jobs > 1 else "job asks"
        says = f"{jobs:,} {word} for up to {gpus:,} GPUs; at most {reach:,} can ever be had at once"
        fix = "raise quotas, let the jobs use more products, or deliver more GPUs to one site"
        yield finding(NEVER_FITS, says, fix, workload.line, severity="warning")
