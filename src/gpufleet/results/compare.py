"""What differs between two runs: the plan, the measures, the jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_duration
from gpufleet.results.explain import STATE_WORDS
from gpufleet.results.facts import SIZES
from gpufleet.results.lock import SECTIONS
from gpufleet.results.match import COMPARED, matched

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SCHEMA: Final = "gpufleet.compare/1"
MOST_SHIFTS: Final = 5
MOST_ROWS: Final = 40


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
    """How the jobs differ; `gpufleet.results.match` says which job is which in the other run."""

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
            return say("{a} and {b} are the same", a=self.a, b=self.b)
        lines = [f"{self.a} -> {self.b}"]
        if self.counted[0] != self.counted[1]:
            before, after = self.counted
            lines.append(say("GPU-hours are counted until {before} -> {after}", before=before, after=after))
        for title, changes in ((say("plan"), self.plan), (say("measures"), self.measures)):
            if changes:
                lines += ["", title, *(f"  {change}" for change in changes[:MOST_ROWS])]
                if len(changes) > MOST_ROWS:
                    more = say("and {more:,} more (--json has all)", more=len(changes) - MOST_ROWS)
                    lines.append(f"  {more}")
        return "\n".join([*lines, *_jobs_text(self.jobs)])

    __str__ = text
    __repr__ = text


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: say("nothing")}[value]
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _jobs_text(jobs: JobChanges) -> list[str]:
    if not jobs.both:
        lines: list[str] = ["", say("jobs: no job is in both runs")]
    elif not jobs.any:
        return ["", say("jobs: none of {both:,} starts, ends or finishes otherwise", both=jobs.both)]
    else:
        counts = {"changed": jobs.changed, "both": jobs.both}
        lines = ["", say("jobs: {changed:,} of {both:,} start, end or finish otherwise", **counts)]
    if jobs.earlier or jobs.later:
        moved = say("{earlier:,} start earlier, {later:,} later", earlier=jobs.earlier, later=jobs.later)
        lines.append(f"  {moved}")
    for sign, n in (("+", jobs.added), ("-", jobs.removed)):
        if n:
            lines.append(f"  {sign} {say('{jobs:,} jobs', jobs=n)}")
    for before, after, n in jobs.states:
        states = (tell(STATE_WORDS.get(state, state)) for state in (before, after))
        lines.append(f"  ~ {' -> '.join(states)}: {say('{jobs:,} jobs', jobs=n)}")
    return [*lines, *(f"  ~ {_shift_text(shift)}" for shift in jobs.shifts)]


def _shift_text(shift: Shift) -> Said:
    """A job that starts at another time."""
    by = format_duration(abs(shift.shift_s))
    return say(
        "{job}: starts {before} -> {after} ({moved})",
        job=f"{shift.workload}/{shift.name}",
        before=shift.start_before,
        after=shift.start_after,
        moved=say("{time} later", time=by) if shift.shift_s > 0 else say("{time} earlier", time=by),
    )


def compare(a: Run, b: Run) -> Comparison:
    """What differs in run b against run a. Times count as moments: plans may start at other dates."""
    plan, measures = differences(a, b)
    return Comparison(
        str(a.path), str(b.path), (_counted(a), _counted(b)), plan, measures, _job_changes(a, b)
    )


def differences(a: Run, b: Run) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """What differs in the plan and in the measures of run b against run a; no job is read."""
    plan = _differences(_leaves(_declared(a)), _leaves(_declared(b)))
    return tuple(plan), tuple(_measure_changes(a, b))


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
    """Match the jobs and count what differs: of each workload only counts and a few rows are kept."""
    counts: Counter[str] = Counter()
    states: Counter[tuple[str, str]] = Counter()
    shifts: list[Shift] = []
    for workload, frame in matched(a, b):
        both = frame.filter(pl.col("job").is_not_null() & pl.col("job_b").is_not_null())
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_b")) for name in COMPARED)
        changed = both.filter(~same)
        counts["both"] += both.height
        counts["added"] += frame.get_column("job").null_count()
        counts["removed"] += frame.get_column("job_b").null_count()
        counts.update(_counts(changed))
        states.update(_states(changed))
        shifts += _shifts(a, workload, changed)
    shifts.sort(key=lambda shift: (-abs(shift.shift_s), shift.job_before))
    names = ("both", "changed", "earlier", "later", "started", "not_started", "added", "removed")
    return JobChanges(
        **{name: counts[name] for name in names},
        states=tuple((*pair, n) for pair, n in sorted(states.items(), key=lambda item: (-item[1], item[0]))),
        shifts=tuple(shifts[:MOST_SHIFTS]),
    )


def _counts(changed: pl.DataFrame) -> dict[str, int]:
    """Jobs that start at another time, or only in one of the runs."""
    start, start_b = pl.col("start_s"), pl.col("start_s_b")
    of = {
        "earlier": start_b < start,
        "later": start_b > start,
        "started": start.is_null() & start_b.is_not_null(),
        "not_started": start.is_not_null() & start_b.is_null(),
    }
    sums = changed.select(expression.sum().alias(name) for name, expression in of.items())
    return {"changed": changed.height, **sums.row(0, named=True)}


def _states(changed: pl.DataFrame) -> dict[tuple[str, str], int]:
    """Jobs by the state before and after, where that differs."""
    other = changed.filter(pl.col("state") != pl.col("state_b"))
    counted = other.group_by("state", "state_b").agg(pl.len())
    return {(before, after): jobs for before, after, jobs in counted.iter_rows()}


def _shifts(a: Run, workload: str, changed: pl.DataFrame) -> list[Shift]:
    """The jobs of a workload whose start moves most."""
    moved = changed.with_columns(shift_s=pl.col("start_s_b") - pl.col("start_s")).filter(
        pl.col("shift_s") != 0
    )
    by_size = moved.with_columns(size=pl.col("shift_s").abs()).sort("size", "job", descending=[True, False])
    columns = ("name", "job", "job_b", "shift_s", "start_s", "start_s_b")
    return [
        Shift(workload, name or f"#{job}", job, job_b, shift_s, _local(a, before), _local(a, after))
        for name, job, job_b, shift_s, before, after in by_size.head(MOST_SHIFTS).select(columns).iter_rows()
    ]
