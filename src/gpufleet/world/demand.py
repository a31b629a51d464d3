"""The workloads of a plan as jobs: traces are read, queues are matched, everything is merged by time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from gpufleet.base.arrays import Ints
from gpufleet.base.errors import Finding, GpufleetError, explain_code, finding
from gpufleet.base.say import say
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import ProfileWorkload, TraceWorkload
from gpufleet.traces.read import read_trace
from gpufleet.world.accounts import Owner, owners_of
from gpufleet.world.arrivals import BATCH, Arrivals
from gpufleet.world.classes import ClassBook, class_tables
from gpufleet.world.generate import Stream
from gpufleet.world.layout import Accounts, Cells, Classes, Gates, Jobs, Options, empty_jobs
from gpufleet.world.merge import Rows
from gpufleet.world.names import Names
from gpufleet.world.node_sets import Holds
from gpufleet.world.recorded import limited, over_level, over_limit
from gpufleet.world.shared import RuleRow
from gpufleet.world.training import planned

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.workloads import CampaignWorkload, Workload
    from gpufleet.world.streams import Ask
    from gpufleet.world.training import Planned

UNKNOWN_QUEUE: Final = explain_code(
    "T060",
    "trace names queues that the plan does not have",
    "Each job of a trace waits in a queue of the plan. The name in the trace is looked up in the workload's "
    "`queue: {map: ...}`, then among the plan's queues, and then the workload's default is taken. Jobs that "
    "still have no queue are left out and counted.",
    "workloads:\n  history: {kind: trace, file: jobs.csv, queue: {map: {ml-old: research}, default: other}}",
).code
NO_QUEUE: Final = "queue is not in the plan"

_COLUMNS: Final = {
    "workload": pl.Int32,
    "name": pl.String,
    "queue": pl.Int32,
    "user": pl.String,
    "submit_s": pl.Int64,
    "gpus": pl.Int32,
    "work_s": pl.Float64,
    "limit_s": pl.Int64,
    "priority": pl.Int32,
    "cls": pl.Int32,
    "recorded_start_s": pl.Int64,
    "recorded_end_s": pl.Int64,
}

_BESIDE: Final = ("name", "user", "recorded_start_s", "recorded_end_s")
_RARE: Final = ("name", "recorded_start_s", "recorded_end_s")
"""What generated jobs do not have."""


@dataclass(frozen=True)
class Intake:
    """What became of the rows of one trace."""

    workload: str
    rows_read: int
    dropped: Mapping[str, int]  # reason -> rows
    format: str
    notes: tuple[str, ...]


class Batch(NamedTuple):
    """Neighbouring jobs in the order of their ids, with what the engine does not need beside them."""

    jobs: Jobs
    table: pl.DataFrame  # workload (code), name, user, recorded_start_s, recorded_end_s; row i about job i


@dataclass(frozen=True)
class Demand:
    """All jobs of a plan: recorded jobs and campaigns as rows, generated jobs as the numbers that make them.

    ``frame`` has one row per recorded job or campaign, in the order of time: the columns of `Jobs`, and name,
    user, the codes of workload and queue (`Names.workloads`, `Names.queues`), and the recorded times of a
    trace (seconds from the plan's start). The id of a job is its number over all `batches`.
    """

    frame: pl.DataFrame
    names: Names
    classes: Classes
    options: Options
    intakes: tuple[Intake, ...]
    findings: tuple[Finding, ...]
    streams: tuple[Stream, ...] = ()
    rules: tuple[RuleRow, ...] = ()  # of the classes
    holds: tuple[Holds, ...] = ()  # of the classes: the reservations that are for them
    power: tuple[int, ...] = ()  # of the classes: the kind of their work
    accounts: Accounts | None = None
    gates: Gates | None = None

    @property
    def arrivals(self) -> Arrivals:
        """The same without names and recorded times: what a saved world holds."""
        recorded = Jobs(**{name: self.frame[name].to_numpy(writable=True) for name in Jobs._fields})
        return Arrivals(recorded, self.frame["workload"].to_numpy(writable=True), self.streams)

    def batches(self, rows: int = BATCH) -> Iterator[Batch]:
        """All jobs in the order of their ids, ``rows`` at a time; the last batch may be smaller.

        Memory is bounded by the recorded jobs and a few batches, however many jobs are generated.
        """
        for part in self.arrivals.rows(rows):
            yield Batch(Jobs._make(part[: len(Jobs._fields)]), self._table_of(part))

    def _table_of(self, rows: Rows) -> pl.DataFrame:
        """What stands beside jobs. Generated jobs have no name and no recorded times."""
        workload = pl.Series("workload", rows.workload)
        if rows.recorded.size and (rows.recorded >= 0).all():
            part = self.frame.slice(int(rows.recorded[0]), len(rows.recorded))
            return part.select(workload, *_BESIDE)
        users, first = self._users
        code = np.where(rows.recorded >= 0, rows.recorded, first[rows.workload] + rows.user)
        code[(rows.recorded < 0) & (rows.user < 0)] = len(users) - 1  # nobody
        beside = {"workload": workload, "user": users.gather(code)}
        if (rows.recorded < 0).all():
            empty = {
                name: pl.Series(name, [None], _COLUMNS[name]).new_from_index(0, code.size) for name in _RARE
            }
            return pl.DataFrame({**beside, **empty}).select("workload", *_BESIDE)
        row = pl.Series(rows.recorded)
        row = row.set(row < 0, None)
        rare = {name: self.frame[name].gather(row) for name in _RARE}
        return pl.DataFrame({**beside, **rare}).select("workload", *_BESIDE)

    @cached_property
    def _users(self) -> tuple[pl.Series, Ints]:
        """Users of recorded jobs by row, of the streams, then nobody; and where those of a workload begin."""
        first = np.zeros(len(self.names.workloads), np.int64)
        parts, n = [self.frame["user"]], self.frame.height
        for stream in self.streams:
            first[stream.workload] = n
            name = self.names.workloads[stream.workload]
            parts.append(pl.Series("user", [f"{name}-{i + 1}" for i in range(stream.users)], pl.String))
            n += stream.users
        nobody = pl.Series("user", [None], pl.String)
        return pl.concat([*parts, nobody]), first

    def jobs(self) -> Jobs:
        """All jobs in memory, for small plans; large ones go by `batches`.

        >>> names = Names((), (), (), (), (), ())
        >>> no_jobs = Demand(pl.DataFrame(schema=_COLUMNS), names, *class_tables([]), (), ())
        >>> no_jobs.jobs().submit_s.shape
        (0,)
        """
        parts = list(self.arrivals.batches()) or [empty_jobs()]
        return Jobs._make(np.concatenate(column) for column in zip(*parts, strict=True))

    @property
    def table(self) -> pl.DataFrame:
        """Names beside the ids of all jobs, for small plans:
        ``id, workload, name, queue, user, recorded_start_s, recorded_end_s``.
        """
        tables = [batch.table for batch in self.batches()]
        queue = pl.Series("queue", self.classes.queue[self.jobs().cls], pl.Int32)
        empty = pl.DataFrame(schema={name: _COLUMNS[name] for name in ("workload", *_BESIDE)})
        return (
            pl.concat([empty, *tables])
            .with_columns(queue)
            .with_row_index("id")
            .select(
                pl.col("id").cast(pl.Int64),
                _named("workload", self.names.workloads),
                "name",
                _named("queue", self.names.queues),
                "user",
                "recorded_start_s",
                "recorded_end_s",
            )
        )


def _named(column: str, names: Sequence[str]) -> pl.Expr:
    """Replace the codes in a column by their names."""
    codes = list(range(len(names)))
    return pl.col(column).replace_strict(codes, list(names), return_dtype=pl.String).cast(pl.String)


def demand_of(plan: Plan, names: Names, cells: Cells, asks: Sequence[Ask] = ()) -> Demand:
    """Jobs of all workloads, merged stably by time: at one second in the order of workloads, then rows.

    Raises: GpufleetError T0xx when a trace cannot be used, T060 when none of its jobs has a queue.
    """
    book = ClassBook(plan, names, cells)
    streams = []
    stream_of = {ask.workload.name: ask.stream for ask in asks}
    last_s: dict[str, int] = {}
    frames, intakes, findings = [pl.DataFrame(schema=_COLUMNS)], [], []
    for code, workload in enumerate(plan.workloads.values()):
        if isinstance(workload, TraceWorkload):
            frame, intake, found = _trace_jobs(plan, names, workload)
            intakes.append(intake)
            findings += found
        elif isinstance(workload, ProfileWorkload):
            if workload.name in stream_of:
                streams.append(_with_classes(plan, book, workload, stream_of[workload.name]))
            continue
        elif isinstance(workload, TrainingWorkload):
            last_s[workload.name] = max(0, plan.seconds(workload.at))
            frames += _training_jobs(plan, names, planned(plan, workload), code, book)
            continue
        else:
            frame = _campaign_jobs(plan, names, workload)
        last_s[workload.name] = int(frame["submit_s"].max() or 0)  # type: ignore[arg-type]
        frames.append(_with_codes(frame, code, workload, book))
    merged = pl.concat(frames)
    order = np.argsort(merged["submit_s"].to_numpy(), kind="stable")
    keys = list(book.found)
    return Demand(
        merged[order],
        book.accounts.named(),
        *class_tables((key.queue, key.options) for key in keys),
        tuple(intakes),
        tuple(findings),
        tuple(streams),
        rules=tuple(key.rules for key in keys),
        holds=tuple(key.holds for key in keys),
        power=tuple(key.power for key in keys),
        accounts=book.accounts.table([key.accounts for key in keys]),
        gates=book.gates.table([key.place for key in keys], last_s),
    )


def _with_classes(plan: Plan, book: ClassBook, workload: ProfileWorkload, stream: Stream) -> Stream:
    """The stream with the classes of its jobs, by generation of projects and owner where limits ask."""
    queue = book.names.queues.index(workload.queue)
    owners = owners_of(plan, book.accounts, workload, stream)
    classes = [[book.class_of(queue, workload, owner) for owner in row] for row in owners.table]
    asked = len(owners.table) > 1 or len(owners.table[0]) > 1
    return stream._replace(
        cls=classes[0][0],
        owner_cls=np.array(classes if asked else [[]], np.int64),
        begin_s=owners.begin_s,
        life_s=owners.life_s,
    )


def _with_codes(
    frame: pl.DataFrame, code: int, workload: Workload, book: ClassBook, phase: str = ""
) -> pl.DataFrame:
    """Add workload and class, and bring the columns in order.

    Args: phase: of a training, that of all its jobs here.
    """
    names, queues = book.names.queues, frame["queue"]
    by_user = any(book.accounts.limits_on(names[queue], "per_user") for queue in queues.unique().to_list())
    users = frame["user"].to_list() if by_user else [None] * frame.height
    pairs = list(zip(queues.to_list(), users, strict=True))
    owners = sorted(set(pairs), key=lambda pair: (pair[0], pair[1] or ""))
    project = workload.project
    classes = {pair: book.class_of(pair[0], workload, Owner(pair[1], project), phase) for pair in owners}
    frame = frame.with_columns(cls=pl.Series([classes[pair] for pair in pairs], dtype=pl.Int32))
    return frame.with_columns(workload=pl.lit(code)).select(
        pl.col(name).cast(kind) for name, kind in _COLUMNS.items()
    )


def _campaign_jobs(plan: Plan, names: Names, workload: CampaignWorkload) -> pl.DataFrame:
    """The one job of a campaign, or those of its array."""
    at_s, limit_s = max(0, plan.seconds(workload.at)), plan.queues[workload.queue].limit_s(workload.limit_s)
    array = [f"{workload.name}-{i + 1}" for i in range(workload.tasks)]
    job = (at_s, workload.gpus, float(workload.duration_s), limit_s)
    named = array if workload.tasks > 1 else [workload.name]
    return _own_jobs(plan, names, workload, [(name, *job) for name in named])


def _training_jobs(
    plan: Plan, names: Names, training: Planned, code: int, book: ClassBook
) -> Iterator[pl.DataFrame]:
    """The jobs of a training by phase. All come at its start; gates hold those of later phases."""
    workload = training.workload  # with the speeds that were predicted
    at_s, limit_s = max(0, plan.seconds(workload.at)), plan.queues[workload.queue].limit_s(0)
    for phase in training.phases:
        jobs = [(name, at_s, phase.gpus, float(phase.work_s), limit_s) for name in phase.names]
        yield _with_codes(_own_jobs(plan, names, workload, jobs), code, workload, book, phase.name)


def _own_jobs(
    plan: Plan,
    names: Names,
    workload: CampaignWorkload | TrainingWorkload,
    jobs: Sequence[tuple[str, int, int, float, int]],
) -> pl.DataFrame:
    """Jobs that the plan itself declares: (name, submit_s, gpus, work_s, limit_s)."""
    frame = pl.DataFrame(
        jobs,
        schema={
            "name": pl.String,
            "submit_s": pl.Int64,
            "gpus": pl.Int64,
            "work_s": pl.Float64,
            "limit_s": pl.Int64,
        },
        orient="row",
    ).with_columns(
        queue=pl.lit(names.queues.index(workload.queue)),
        user=pl.lit(None, pl.String),
        priority=pl.lit(workload.priority),
        recorded_start_s=pl.lit(None, pl.Int64),
        recorded_end_s=pl.lit(None, pl.Int64),
    )
    return frame.filter(pl.col("submit_s") < plan.jobs_end_s)


def _trace_jobs(
    plan: Plan, names: Names, workload: TraceWorkload
) -> tuple[pl.DataFrame, Intake, list[Finding]]:
    """The jobs of a trace with codes of queues, and what was left out."""
    trace = read_trace(
        workload.file,
        workload.format,
        start=plan.start,
        end=plan.jobs_end,
        time_zone=workload.time_zone,
        from_=workload.from_,
        to=workload.to,
        shift_s=workload.shift_s,
    )
    jobs, unknown = _queued(trace.jobs, workload, names)
    jobs = limited(plan, jobs)
    lost = trace.jobs.height - jobs.height
    dropped = {**trace.dropped, **({NO_QUEUE: lost} if lost else {})}
    findings = list(trace.findings)
    if unknown:
        findings.append(_unknown_queues(workload, unknown, lost, jobs.height))
    findings += over_limit(plan, workload, jobs)
    findings += over_level(plan, workload, jobs)
    return jobs, Intake(workload.name, trace.rows_read, dropped, trace.format, trace.notes), findings


def _queued(jobs: pl.DataFrame, workload: TraceWorkload, names: Names) -> tuple[pl.DataFrame, list[str]]:
    """Jobs with the code of their queue, without those that have none; and the names that are not known."""
    named = pl.col(workload.queue_column) if workload.queue_column else pl.lit(None, pl.String)
    jobs = jobs.rename({"run_s": "work_s"}).with_columns(queue=named)
    codes = _queue_codes(jobs["queue"].unique().to_list(), workload, names)
    unknown = sorted("(none)" if queue is None else queue for queue, code in codes.items() if code is None)
    queue = pl.col("queue").replace_strict(list(codes), list(codes.values()), return_dtype=pl.Int32)
    return jobs.with_columns(queue).drop_nulls("queue"), unknown


def _queue_codes(
    queues: Iterable[str | None], workload: TraceWorkload, names: Names
) -> dict[str | None, int | None]:
    """The code of each queue name in a trace; None: no queue of the plan."""
    codes: dict[str | None, int | None] = {}
    for queue in queues:
        name = workload.queue_map.get(queue, queue) if queue is not None else None
        if name not in names.queues:
            name = workload.default_queue
        codes[queue] = names.queues.index(name) if name is not None else None
    return codes


def _unknown_queues(workload: TraceWorkload, unknown: Sequence[str], lost: int, left: int) -> Finding:
    """A warning about jobs that have no queue.

    Raises: GpufleetError if no job has one.
    """
    shown = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8:,} more" if len(unknown) > 8 else "")
    says = say(
        "{lost:,} jobs of {name} are left out; the plan has no queue for: {shown}",
        lost=lost,
        name=workload.file.name,
        shown=shown,
    )
    fix = say("add the queues, or map them: `queue: {map: {old: new}, default: ...}`")
    if not left:
        raise GpufleetError(
            finding(UNKNOWN_QUEUE, say("no job is left: {says}", says=says), fix, workload.line)
        )
    return finding(UNKNOWN_QUEUE, says, fix, workload.line, severity="warning")
