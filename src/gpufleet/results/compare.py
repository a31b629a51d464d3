"""What differs between two runs: the plan, the measures, the jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.units import format_duration
from gpufleet.results.facts import SIZES
from gpufleet.results.lock import SECTIONS

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SCHEMA: Final = "gpufleet.compare/1"
MOST_SHIFTS: Final = 5
MOST_ROWS: Final = 40

_KEY: Final = ["workload", "name", "nth"]
_COMPARED: Final = ("start_s", "end_s", "state")


class Change(NamedTuple):
    """One thing that differs: ``~`` changed, ``+`` only in the second run, ``-`` only in the first."""

    sign: Literal["~", "+", "-"]
    what: str
    before: Any
    after: Any
    unit: str = ""

    def __str__(self) -> str:
        before, after = _text(self.before), _text(self.after)
        if before == after:  # they differ in digits that are not shown
            before, after = f"{self.before:,}", f"{self.after:,}"
        shown = {"~": f"{before} -> {after}", "+": after, "-": before}[self.sign]
        unit = f" {self.unit}" if self.unit not in ("", "1") else ""
        return f"{self.sign} {self.what}: {shown}{unit}"


class Shift(NamedTuple):
    """A job that starts at another time."""

    workload: str
    name: str
    job_before: int
    job_after: int
    shift_s: int  # later (> 0) or earlier
    start_before: str  # local time
    start_after: str


class JobChanges(NamedTuple):
    """How the jobs differ. Jobs are matched by workload and name (like names: in their order)."""

    both: int  # jobs in both runs
    changed: int  # of these: start, end or state differ
    earlier: int  # starts
    later: int
    started: int  # only in the second run
    not_started: int  # only in the first
    added: int  # jobs only in the second run
    removed: int  # jobs only in the first
    states: tuple[tuple[str, str, int], ...]  # before, after, jobs
    shifts: tuple[Shift, ...]  # the largest

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.changed or self.added or self.removed)


@dataclass(frozen=True)
class Comparison:
    """What differs in run `b` against run `a`. `print` it, or take `to_json`."""

    a: str
    b: str
    counted: tuple[str, str]  # until when GPU-hours are counted, local times
    plan: tuple[Change, ...]
    measures: tuple[Change, ...]
    jobs: JobChanges

    @property
    def empty(self) -> bool:
        """Whether the runs are the same."""
        return not (self.plan or self.measures or self.jobs.any)

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values, schema ``gpufleet.compare/1``."""
        jobs = self.jobs._asdict() | {"shifts": [shift._asdict() for shift in self.jobs.shifts]}
        jobs["states"] = [{"before": b, "after": a, "jobs": n} for b, a, n in self.jobs.states]
        return {
            "schema": SCHEMA,
            "a": self.a,
            "b": self.b,
            "counted_until": list(self.counted),
            "same": self.empty,
            "plan": [change._asdict() for change in self.plan],
            "measures": [change._asdict() for change in self.measures],
            "jobs": jobs,
        }

    def text(self) -> str:
        """The comparison for people."""
        if self.empty:
            return f"{self.a} and {self.b} are the same"
        lines = [f"{self.a} -> {self.b}"]
        if self.counted[0] != self.counted[1]:
            lines.append(f"GPU-hours are counted until {self.counted[0]} -> {self.counted[1]}")
        for title, changes in (("plan", self.plan), ("measures", self.measures)):
            if changes:
                lines += ["", title, *(f"  {change}" for change in changes[:MOST_ROWS])]
                if len(changes) > MOST_ROWS:
                    lines.append(f"  and {len(changes) - MOST_ROWS:,} more (--json has all)")
        return "\n".join([*lines, *_jobs_text(self.jobs)])

    __str__ = text
    __repr__ = text


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _jobs_text(jobs: JobChanges) -> list[str]:
    if not jobs.both:
        lines = ["", "jobs: no job is in both runs"]
    elif not jobs.any:
        return ["", f"jobs: none of {jobs.both:,} starts, ends or finishes otherwise"]
    else:
        lines = ["", f"jobs: {jobs.changed:,} of {jobs.both:,} start, end or finish otherwise"]
    if jobs.earlier or jobs.later:
        lines.append(f"  {jobs.earlier:,} start earlier, {jobs.later:,} later")
    lines += [f"  {sign} {n:,} jobs" for sign, n in (("+", jobs.added), ("-", jobs.removed)) if n]
    lines += [f"  ~ {before} -> {after}: {n:,} jobs" for before, after, n in jobs.states]
    for s in jobs.shifts:
        word = "later" if s.shift_s > 0 else "earlier"
        moved = f"{format_duration(abs(s.shift_s))} {word}"
        lines.append(f"  ~ {s.workload}/{s.name}: starts {s.start_before} -> {s.start_after} ({moved})")
    return lines


def compare(a: Run, b: Run) -> Comparison:
    """What differs in run b against run a. Times count as moments: plans may start at other dates."""
    return Comparison(
        str(a.path),
        str(b.path),
        (_counted(a), _counted(b)),
        tuple(_differences(_leaves(_declared(a)), _leaves(_declared(b)))),
        tuple(_measure_changes(a, b)),
        _job_changes(a, b),
    )


def _counted(run: Run) -> str:
    """Until when GPU-hours online and busy are counted: the plan's end, or the run's."""
    return _local(run, run.counted_s)


def _local(run: Run, t_s: int) -> str:
    """A moment of a run in its plan's time zone."""
    return f"{(run.start + timedelta(seconds=t_s)).astimezone(ZoneInfo(run.time_zone)):%Y-%m-%d %H:%M}"


def _declared(run: Run) -> dict[str, Any]:
    """The plan alone: on which line it was written does not matter."""
    return {key: value for key, value in run.plan.items() if key in SECTIONS}


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Values by path; lists of plain values are one value.

    >>> _leaves({"sites": {"lab": {"pue": 1.3, "power_w": [[0, 5.0]]}}, "retirements": []})
    {'sites.lab.pue': 1.3, 'sites.lab.power_w': '[[0, 5.0]]'}
    """
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        items = {str(i): item for i, item in enumerate(value)}.items()
    else:
        return {path: str(value) if isinstance(value, list) else value}
    leaves: dict[str, Any] = {}
    for key, item in items:
        leaves |= _leaves(item, f"{path}.{key}" if path else str(key))
    return leaves


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    """Changes by path, those of the first run's order first."""
    for path in dict.fromkeys([*a, *b]):
        if path not in b:
            yield Change("-", path, a[path], None)
        elif path not in a:
            yield Change("+", path, None, b[path])
        elif a[path] != b[path]:
            yield Change("~", path, a[path], b[path])


def _measure_changes(a: Run, b: Run) -> Iterator[Change]:
    """Measures that differ, in the order of the measures, size classes by size."""
    rows = [row for run in (a, b) for row in run.measures_json["measures"]]
    units = {row["name"]: row["unit"] for row in rows}
    rank = _ranks(rows)
    before, after = _measures(a), _measures(b)
    for change in sorted(_differences(before, after), key=lambda change: rank[change.what]):
        yield change._replace(unit=units[change.what.partition("[")[0].rstrip()])


def _measures(run: Run) -> dict[str, Any]:
    """Values by their labels."""
    return {_label(row): row["value"] for row in run.measures_json["measures"]}


def _label(row: Mapping[str, Any]) -> str:
    """Name and dimensions: ``wait_p90_s [tenant=research]``."""
    by = ", ".join(f"{dim}={name}" for dim, name in sorted(row["by"].items()))
    return f"{row['name']} [{by}]" if by else str(row["name"])


def _ranks(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int, int]]:
    """Places of the labels: by measure, then by which dimensions, as first seen; then by size."""
    names: dict[str, int] = {}
    dims: dict[tuple[str, ...], int] = {}
    rank = {}
    for row in rows:
        by = row["by"]
        size = SIZES.index(by["size"]) if by.get("size") in SIZES else 0
        group = dims.setdefault((row["name"], *sorted(by)), len(dims))
        rank[_label(row)] = (names.setdefault(row["name"], len(names)), group, size)
    return rank


# --- jobs


def _job_changes(a: Run, b: Run) -> JobChanges:
    """Match the jobs and count what differs; the frames stay lazy, only counts and a few rows come out."""
    offset_s = int((b.start - a.start).total_seconds())
    joined = _jobs(a, 0).join(_jobs(b, offset_s), on=_KEY, how="full", suffix="_b", coalesce=True)
    frame = joined.collect(engine="streaming")
    both = frame.filter(pl.col("job").is_not_null() & pl.col("job_b").is_not_null())
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_b")) for name in _COMPARED)
    changed = both.filter(~same)
    shift = changed.with_columns(shift_s=pl.col("start_s_b") - pl.col("start_s"))
    moved = shift.filter(pl.col("shift_s").is_not_null() & (pl.col("shift_s") != 0))
    begun, begun_b = pl.col("start_s").is_not_null(), pl.col("start_s_b").is_not_null()
    return JobChanges(
        both=both.height,
        changed=changed.height,
        earlier=moved.filter(pl.col("shift_s") < 0).height,
        later=moved.filter(pl.col("shift_s") > 0).height,
        started=changed.filter(~begun & begun_b).height,
        not_started=changed.filter(begun & ~begun_b).height,
        added=frame.get_column("job").null_count(),
        removed=frame.get_column("job_b").null_count(),
        states=_states(changed),
        shifts=_shifts(a, moved),
    )


def _jobs(run: Run, offset_s: int) -> pl.LazyFrame:
    """Jobs with their key; times as seconds from the first run's start."""
    names = run.scan_jobs().sort("job").select("workload", "name", "job", *_COMPARED)
    times = [(pl.col(name) + offset_s).alias(name) for name in ("start_s", "end_s")]
    nth = pl.int_range(pl.len()).over("workload", "name").alias("nth")
    return names.with_columns(nth, *times)


def _states(changed: pl.DataFrame) -> tuple[tuple[str, str, int], ...]:
    """Jobs by the state before and after, where that differs; most first."""
    other = changed.filter(pl.col("state") != pl.col("state_b"))
    counted = other.group_by("state", "state_b").agg(pl.len())
    return tuple(counted.sort("len", "state", "state_b", descending=[True, False, False]).iter_rows())


def _shifts(a: Run, moved: pl.DataFrame) -> tuple[Shift, ...]:
    """The jobs whose start moves most."""
    by_size = moved.with_columns(size=pl.col("shift_s").abs()).sort("size", "job", descending=[True, False])
    columns = ("workload", "name", "job", "job_b", "shift_s", "start_s", "start_s_b")
    return tuple(
        Shift(workload, name, job, job_b, shift_s, _local(a, before), _local(a, after))
        for workload, name, job, job_b, shift_s, before, after in by_size.head(MOST_SHIFTS)
        .select(columns)
        .iter_rows()
    )
