"""`read_trace`: a job log of any known format as one table of jobs on the plan's clock."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import say
from gpufleet.traces.cells import Clock
from gpufleet.traces.findings import counted, fault, listed
from gpufleet.traces.source import Source, open_trace
from gpufleet.traces.trace import JOBS, Trace, warnings_of

DUPLICATE: Final = "duplicate job id"
BEFORE: Final = "submitted before the plan's start"
AFTER: Final = "submitted at or after the plan's end"
OUTSIDE: Final = "submitted outside the workload's from and to"
_TIMES: Final = ("submit_s", "recorded_start_s", "recorded_end_s")


@dataclass(frozen=True)
class Window:
    """The times that are wanted, seconds from ``zero``; ends excluded."""

    zero: int  # unix time of the plan's start; 0 if it is not known
    start_s: int | None
    end_s: int | None
    from_s: int | None  # on the trace's own dates, before the shift
    to_s: int | None
    shift_s: int


class Rows(NamedTuple):
    """What the rows of a file came to."""

    jobs: pl.DataFrame  # in file order
    read: int
    dropped: Counter[str]
    notes: list[str]


def read_trace(
    path: Path | str,
    format: str = "auto",
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    time_zone: str = "UTC",
    from_: datetime | None = None,
    to: datetime | None = None,
    shift_s: int = 0,
    queue_column: str | None = None,
) -> Trace:
    """Read a job log, plain or .gz (own format: also Parquet).

    Args:
        path: the file.   format: philly, helios, swf, sacct, gpufleet, or auto (told from the first line).
        start: second 0 of the result, with a time zone. None: midnight (in time_zone) before the first job.
        end: jobs submitted then or later are dropped. None: no end.
        time_zone: IANA name; of times that are written without a zone.
        from_, to: only jobs submitted in [from_, to), on the trace's own dates.
        shift_s: seconds added to every time of the trace.
        queue_column: column of the file that names the queue, instead of the format's own.

    Returns: the jobs sorted by submit_s (ties: as the file has them), and an account of every dropped row.
    Raises:  GpufleetError T001 to T009, T012: nothing usable could be read.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "jobs.csv"
    >>> _ = file.write_text("job,submit_s,gpus,duration_s\\na,60,8,5400\\nb,0,zero,60\\n")
    >>> trace = read_trace(file, start=datetime(2026, 1, 5, tzinfo=UTC))
    >>> trace.jobs.select("name", "submit_s", "gpus", "run_s").rows(), trace.dropped
    ([('a', 60, 8, 5400.0)], {'gpus is not a number': 1})
    """
    file = Path(path)
    window = _window(start, end, from_, to, shift_s)
    source = open_trace(file, format, Clock(window.zero, 0, _known_zone(time_zone, file)), queue_column)
    return _trace(file, source, _read(file, source, window), start, time_zone)


def _window(
    start: datetime | None, end: datetime | None, from_: datetime | None, to: datetime | None, shift_s: int
) -> Window:
    zero = 0 if start is None else _unix(start)
    start_s, end_s, from_s, to_s = (None if t is None else _unix(t) - zero for t in (start, end, from_, to))
    return Window(zero, start_s, end_s, from_s, to_s, shift_s)


def _trace(path: Path, source: Source, rows: Rows, start: datetime | None, time_zone: str) -> Trace:
    """Put the jobs in order, on their start, and account for the rest."""
    jobs, notes, layout = rows.jobs, list(rows.notes), source.layout
    if start is None:
        start = _midnight(jobs, time_zone) if source.dated else datetime.fromtimestamp(0, UTC)
        jobs = jobs.with_columns(pl.col(_TIMES) - _unix(start))
    if not source.dated:
        at = say("{at:%Y-%m-%d %H:%M:%S %Z}", at=start)
        notes.append(say("the file has no calendar: its second 0 is {at}", at=at))
    late = _late(jobs) if layout.by_time else 0
    if not jobs["submit_s"].is_sorted():
        jobs = jobs.sort("submit_s", maintain_order=True)
    aside = Counter({r: n for r, n in rows.dropped.items() if r in (*layout.aside, BEFORE, AFTER, OUTSIDE)})
    if aside:
        notes.append(
            say(
                "{aside:,} of {rows:,} rows are no jobs of this run: {counted}",
                aside=aside.total(),
                rows=rows.read,
                counted=counted(aside),
            )
        )
    warnings = warnings_of(path, rows.dropped - aside, rows.read, late)
    account = dict(sorted(rows.dropped.items()))
    jobs = jobs.select(list(JOBS))
    return Trace(jobs, account, rows.read, layout.name, tuple(notes), path, start, source.dated, warnings)


def _read(path: Path, source: Source, window: Window) -> Rows:
    """The usable jobs of a file, and what became of the other rows."""
    parts, dropped, rows = [], Counter[str](), 0
    for raw, whole in source.batches:
        jobs, why = source.table.read(raw, whole, rows)
        rows += raw.height
        dropped.update(dict(why.drop_nulls().value_counts().iter_rows()))
        parts.append(jobs.filter(why.is_null()))
    if not sum(part.height for part in parts):
        raise _unusable(path, rows, dropped, source)
    joined = source.layout.finish(pl.concat(parts))
    dropped.update(joined.dropped)
    jobs, notes = _plausible_records(_distinct(joined.jobs, dropped), [*joined.notes])
    kept = _windowed(jobs, window, dropped)
    if not kept.height:
        raise _unusable(path, rows, dropped, source, _dates(jobs, window.zero) if source.dated else "")
    return Rows(kept, rows, dropped, notes)


def _distinct(jobs: pl.DataFrame, dropped: Counter[str]) -> pl.DataFrame:
    """The first row of every job id."""
    first = jobs["name"].is_first_distinct()
    return _keep(jobs, first, DUPLICATE, dropped)


def _windowed(jobs: pl.DataFrame, window: Window, dropped: Counter[str]) -> pl.DataFrame:
    """Jobs within the window, their times shifted."""
    if window.from_s is not None:
        jobs = _keep(jobs, jobs["submit_s"] >= window.from_s, OUTSIDE, dropped)
    if window.to_s is not None:
        jobs = _keep(jobs, jobs["submit_s"] < window.to_s, OUTSIDE, dropped)
    if window.shift_s:
        jobs = jobs.with_columns(pl.col(_TIMES) + window.shift_s)
    if window.start_s is not None:
        jobs = _keep(jobs, jobs["submit_s"] >= window.start_s, BEFORE, dropped)
    if window.end_s is not None:
        jobs = _keep(jobs, jobs["submit_s"] < window.end_s, AFTER, dropped)
    return jobs


def _keep(jobs: pl.DataFrame, kept: pl.Series, reason: str, dropped: Counter[str]) -> pl.DataFrame:
    if kept.all():
        return jobs
    dropped[reason] += int((~kept).sum())
    return jobs.filter(kept)


def _plausible_records(jobs: pl.DataFrame, notes: list[str]) -> tuple[pl.DataFrame, list[str]]:
    """Recorded starts before the submit time, and ends before the start, are set aside."""
    start, end = pl.col("recorded_start_s"), pl.col("recorded_end_s")
    early, wrong = jobs.select((start < pl.col("submit_s")).sum(), (end < start).sum()).row(0)
    if early or wrong:
        bad = (start < pl.col("submit_s")) | (end < start)
        jobs = jobs.with_columns(pl.when(~bad.fill_null(False)).then(column) for column in (start, end))
        notes.append(
            say(
                "recorded times set aside: {early:,} starts before submit, {wrong:,} ends before start",
                early=early,
                wrong=wrong,
            )
        )
    return jobs, notes


def _late(jobs: pl.DataFrame) -> int:
    """Rows that come after a row with a later submit time."""
    submit = jobs["submit_s"]
    return int((submit < submit.cum_max()).sum())


def _unix(time: datetime) -> int:
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone")
    return math.floor(time.timestamp())


def _midnight(jobs: pl.DataFrame, time_zone: str) -> datetime:
    first = jobs["submit_s"].min()
    local = datetime.fromtimestamp(first, ZoneInfo(time_zone))  # type: ignore[arg-type]
    return local.replace(hour=0, minute=0, second=0).astimezone(UTC)


def _dates(jobs: pl.DataFrame, zero: int) -> str:
    first, last = jobs.select(pl.col("submit_s").min().alias("a"), pl.col("submit_s").max().alias("b")).row(0)
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    days = [(begin + timedelta(seconds=zero + s)).date() for s in (first, last)]
    return say("\nits jobs were submitted from {first} to {last}", first=days[0], last=days[1])


def _known_zone(name: str, path: Path) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        says = say("time zone `{name}` is not known", name=name)
        raise fault("T012", path, says, say("give an IANA name such as Asia/Seoul, or UTC")) from None
    return name


def _unusable(path: Path, rows: int, dropped: Counter[str], source: Source, dates: str = "") -> Exception:
    why = (
        say("all dropped: {counted}", counted=counted(dropped))
        if rows
        else say("there is no row below the header")
    )
    says = say(
        "{rows:,} rows read as {name}; {why}{dates}\ncolumns found: {columns}",
        rows=rows,
        name=source.layout.name,
        why=why,
        dates=dates,
        columns=listed(source.table.found),
    )
    windows = dropped[BEFORE] + dropped[AFTER] + dropped[OUTSIDE]
    fix = (
        say("move the plan's start and end to these dates, or shift the trace")
        if windows
        else say("check the file's values")
    )
    return fault("T007", path, says, fix)
