"""Where the rooms meet: a plan in, a run folder out."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.base.errors import Finding, explain_code, finding, raise_errors
from gpufleet.base.say import say

if TYPE_CHECKING:
    from gpufleet.engine.run import Summary
    from gpufleet.plan import Plan
    from gpufleet.results.checkpoint import Checkpoint
    from gpufleet.results.preemptions import Preempted
    from gpufleet.results.run import Run
    from gpufleet.world.asked import Implied
    from gpufleet.world.build import Built

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
    fresh: bool = False,
    notice: Say | None = None,
) -> Run:
    """Simulate a plan, job by job, and write a run folder.

    A long run that is killed is kept beside its folder, up to its last checkpoint; with the same plan,
    version and folder it goes on from there, and ends with the bytes of a run that was not killed.

    Args:
        plan: from `gpufleet.plan.load.load_plan`.
        out: the run folder; an earlier run there is replaced when the new one is whole. None: a temporary
            folder that lives as long as the returned run.
        progress: called with a line about what is being done.
        finish: called with the run before its folder is closed: to write a report into it, say.
        fresh: start anew, whatever a killed run has left.
        notice: called with what is to be known at once (kernels are compiled, a killed run goes on); default:
            it is printed on stderr.

    Returns: the run; warnings are in `Run.findings`.
    Raises:  GpufleetError T0xx if a trace cannot be used, R0xx if the folder cannot be written, P126, P127 or
             R030 if an own policy cannot be used.

    >>> from gpufleet import load_plan, simulate                    # doctest: +SKIP
    >>> simulate(load_plan("plans/one-cluster")).answer             # doctest: +SKIP
    '64 GPUs at lab were 71.3 % busy ...'
    """
    from gpufleet.results.folder import new_run
    from gpufleet.results.run import Run

    keep = None if out is not None else tempfile.TemporaryDirectory(prefix="gpufleet-")
    folder = Path(out) if out is not None else Path(keep.name if keep else "") / plan.name
    with new_run(folder, resume=not fresh) as part:
        _fill(part, plan, _Voices(progress, notice or _tell), finish, None if keep else folder)
    run = Run.load(folder)
    return run if keep is None else Run(run.path, keep=keep)


def _fill(
    part: Path, plan: Plan, voices: _Voices, finish: Callable[[Run], object] | None, out: Path | None
) -> None:
    """Write everything that a run folder holds; ``out``: its place, if it is to stay."""
    from gpufleet.results.write import write_environment, write_results
    from gpufleet.world.build import build

    _try_own(plan)
    started, watch = datetime.now(UTC), _Watch(voices.progress)
    watch("reading the plan's traces")
    built = build(plan)
    plan = built.plan
    findings = [*plan.warnings, *built.findings, *never_fits(plan, built)]
    watch("simulating")
    summary = _run_engine(part, plan, built, voices, out)
    watch("writing results")
    run = write_results(
        part, plan, built, summary.tallies, summary.end_s, findings, _preempted(built, summary)
    )
    if finish:
        watch("writing the report")
        finish(run)
    watch("")
    write_environment(part, started=started, seconds=watch.seconds)


_DOING: Final = {
    "reading the plan's traces": say("reading the plan's traces ..."),
    "simulating": say("simulating ..."),
    "writing results": say("writing results ..."),
    "writing the report": say("writing the report ..."),
}


class _Voices(NamedTuple):
    """Who hears what is being done, and what is to be known at once."""

    progress: Say
    notice: Say


class _Watch:
    """Says what is being done, and remembers how long each step took."""

    def __init__(self, progress: Say) -> None:
        self.seconds: dict[str, float] = {}
        self._say = progress
        self._step, self._since = "", time.perf_counter()

    def __call__(self, step: str) -> None:
        """Begin a step; an empty one ends the last."""
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = round(now - self._since, 3)
        self._step, self._since = step, now
        self._say(_DOING.get(step, say("{step} ...", step=step)) if step else "")


def _run_engine(part: Path, plan: Plan, built: Built, voices: _Voices, out: Path | None) -> Summary:
    """Save the world and run it; outcomes go to the jobs table as they come."""
    from gpufleet.engine.jit import on_compile
    from gpufleet.results.folder import JOBS, WORLD, take_over
    from gpufleet.stream import Watcher, fingerprint, simulate_jobs
    from gpufleet.trial import faults_told
    from gpufleet.world.save import save_world

    _Compiling.notice = voices.notice
    on_compile(_tell_of_compiling)
    save_world(part / WORLD, built.world, built.demand.arrivals, built.names)
    mark = ""
    if out is not None:
        mark = fingerprint(part / WORLD, plan)
        take_over(part, out, mark)
    watcher = Watcher(
        lambda rows: voices.progress(say("simulating ... {n:,} job", "simulating ... {n:,} jobs", n=rows)),
        lambda checkpoint: voices.notice(_resumed(plan, checkpoint)),
        lambda warning: voices.notice(warning.text()),
    )
    with faults_told(built.names.queues, plan):
        return simulate_jobs(part / JOBS, built, mark, watcher=watcher)


def _try_own(plan: Plan) -> None:
    """Try the functions of the user; a plan without any need not load the compiler."""
    if plan.policy.own_order or plan.policy.own_placement:
        from gpufleet.trial import try_own

        try_own(plan)


def _preempted(built: Built, summary: Summary) -> Preempted | None:
    """The preemptions of a run with shared quotas, with the engine's codes in Kueue's words."""
    from gpufleet.engine.sharing.state import REASONS
    from gpufleet.results.preemptions import Preempted

    if built.world.shared is None:
        return None
    t_s, victim, by, rule, gpus, lost_gpu_s, start_s, cell = summary.preemptions.T
    product = built.world.cells.product[cell]
    return Preempted(t_s, victim, by, rule, gpus, lost_gpu_s, start_s, product, REASONS)


def _resumed(plan: Plan, checkpoint: Checkpoint) -> str:
    """Where a run goes on, in the plan's time."""
    day = (plan.start + timedelta(seconds=checkpoint.now_s)).astimezone(ZoneInfo(plan.time_zone)).date()
    return say(
        "resuming at {day}, {n:,} job is done (--fresh starts anew)",
        "resuming at {day}, {n:,} jobs are done (--fresh starts anew)",
        day=day,
        n=checkpoint.rows,
    )


def _tell(text: str) -> None:
    """Say something at once, though the line of progress may stand there."""
    print(("\r\x1b[K" if sys.stderr.isatty() else "") + text, file=sys.stderr, flush=True)


class _Compiling:
    """To whom it is said that kernels are compiled, and whether it was."""

    notice: ClassVar[Say] = staticmethod(_tell)
    told: ClassVar[bool] = False


def _tell_of_compiling(_kernel: str) -> None:
    """Say once in a process why nothing seems to happen."""
    if not _Compiling.told:
        _Compiling.notice(say("compiling kernels, once (later runs take them from the cache) ..."))
    _Compiling.told = True


class Checked(NamedTuple):
    """What only the world of a plan shows."""

    findings: list[Finding]  # warnings
    notes: list[str]  # for people
    implied: Implied | None = None  # jobs that will be generated; None: none will


def check_world(plan: Plan, *, traces: bool = False) -> Checked:
    """Look at a plan's fleet, at what its workloads by profile come to and, with ``traces``, at its jobs.

    No job is generated, and the engine is not needed.

    Raises: GpufleetError T0xx if a trace cannot be used, P074 if more jobs are asked for than can be made,
            P126 or P127 if an own policy cannot be used.
    """
    _try_own(plan)
    law, about = _law(plan)
    computes = any(hasattr(each, "profile") or hasattr(each, "model") for each in plan.workloads.values())
    if not (traces or computes or plan.retirements or plan.partitions or plan.reservations):
        return Checked(law, about)  # without NumPy, which takes longer than all else
    from gpufleet.world.asked import demand_findings, implied
    from gpufleet.world.capacity import capacity_of
    from gpufleet.world.chain import with_law
    from gpufleet.world.names import Names
    from gpufleet.world.set_finder import sets_of
    from gpufleet.world.training_checks import training_findings

    if traces:
        from gpufleet.world.build import build

        built = build(plan)
        findings, notes = [*built.findings, *never_fits(plan, built)], list(built.notes)
        return Checked(findings, notes, implied(plan, built.demand.streams))
    plan = with_law(plan)
    names = Names.of(plan)
    fleet = capacity_of(plan, names)
    sets = sets_of(plan, names, fleet)
    raise_errors(sets.findings)
    fleet = replace(fleet, queue_nodes=sets.queue_nodes)
    asks, found = demand_findings(plan, names, fleet)
    findings = [*law, *fleet.findings, *sets.findings, *found, *training_findings(plan)]
    return Checked(findings, about, implied(plan, [ask.stream for ask in asks]))


def _law(plan: Plan) -> tuple[list[Finding], list[str]]:
    """What export law says of a plan. Raises: GpufleetError P222 for a rule that cannot be read."""
    if not (plan.licences or plan.rules or any(site.country for site in plan.sites.values())):
        return [], []
    from gpufleet.world.law_checks import law_findings

    findings, notes = law_findings(plan)
    raise_errors(findings)
    return findings, notes


def never_fits(plan: Plan, built: Built) -> Iterator[Finding]:
    """A warning for each trace with jobs that can never run, however long they wait.

    Each job is held against its queue's quota and the most GPUs that any cell it may use ever has in service.
    Jobs that come too late for a fleet that shrinks are found by the simulation only.
    """
    import polars as pl

    from gpufleet.plan.training import TrainingWorkload
    from gpufleet.plan.workloads import CampaignWorkload
    from gpufleet.world.reach import most_for_class

    frame = built.demand.frame
    most = most_for_class(built.world)[frame["cls"].to_numpy()]
    large = frame.select("workload", "gpus", most=pl.Series(most)).filter(pl.col("gpus") > pl.col("most"))
    sums = large.group_by("workload").agg(pl.len(), pl.col("gpus").max(), pl.col("most").max())
    for code, jobs, gpus, reach in sums.sort("workload").iter_rows():
        workload = plan.workloads[built.names.workloads[code]]
        if isinstance(workload, CampaignWorkload | TrainingWorkload):
            continue  # the plan's own check has said so
        says = say(
            "{n:,} job asks for up to {gpus:,} GPUs; at most {reach:,} can ever be had at once",
            "{n:,} jobs ask for up to {gpus:,} GPUs; at most {reach:,} can ever be had at once",
            n=jobs,
            gpus=gpus,
            reach=reach,
        )
        fix = say("raise quotas, let the jobs use more products, or deliver more GPUs to one site")
        yield finding(NEVER_FITS, says, fix, workload.line, severity="warning")
