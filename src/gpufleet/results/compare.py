"""What differs between two runs: the plan, the measures, the jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.results.facts import SIZES
from gpufleet.results.lock import SECTIONS
from gpufleet.results.match import COMPARED, matched

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SCHEMA: Final = "gpufleet.compare/1"
MOST_SHIFTS: Final = 5
STAIRS: Final = ("ordered", "delivered", "powered", "online")
"""Steps of lots, each no earlier than the one before it."""


class Change(NamedTuple):
    """One thing that differs: ``~`` changed, ``+`` only in the second run, ``-`` only in the first."""

    sign: Literal["~", "+", "-"]
    what: str
    before: Any
    after: Any
    unit: str = ""
    by: tuple[tuple[str, str], ...] = ()  # of a measure: dimensions and names

    @property
    def name(self) -> str:
        """The path, or the measure without its dimensions."""
        return self.what.partition(" [")[0]

    def to_json(self) -> dict[str, Any]:
        """The change as JSON values."""
        return self._asdict() | {"by": dict(self.by)}


class SupplyChange(NamedTuple):
    """Months in which the GPUs that have taken a step differ; only months that both runs have."""

    step: str
    first: str  # the first such month
    before: int
    after: int
    most: str  # the first month of the largest difference
    most_before: int
    most_after: int


class Clock(NamedTuple):
    """When a run starts, and the zone that its days are counted in."""

    start: datetime
    zone: str

    def local(self, t_s: float) -> datetime:
        """A moment of the run in its plan's time zone."""
        return (self.start + timedelta(seconds=t_s)).astimezone(ZoneInfo(self.zone))


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
    clocks: tuple[Clock, Clock]
    plans: tuple[str, str]  # names; two plans have no scenario of each other
    plan: tuple[Change, ...]
    supply: tuple[SupplyChange, ...]
    measures: tuple[Change, ...]
    jobs: JobChanges

    @property
    def empty(self) -> bool:
        """Whether the runs are the same."""
        return not (self.plan or self.supply or self.measures or self.jobs.any)

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values, schema ``gpufleet.compare/1``."""
        jobs = self.jobs._asdict() | {"shifts": [shift._asdict() for shift in self.jobs.shifts]}
        jobs["states"] = [{"before": b, "after": a, "jobs": n} for b, a, n in self.jobs.states]
        return {
            "schema": SCHEMA,
            "a": self.a,
            "b": self.b,
            "counted_until": list(self.counted),
            "plans": list(self.plans),
            "same": self.empty,
            "plan": [change.to_json() for change in self.plan],
            "supply": [change._asdict() for change in self.supply],
            "measures": [change.to_json() for change in self.measures],
            "jobs": jobs,
        }

    def text(self) -> str:
        """The comparison for people: what it comes to, the plan, supply, measures, jobs."""
        from gpufleet.results.compared import text_of

        return text_of(self)

    __str__ = text
    __repr__ = text


def compare(a: Run, b: Run) -> Comparison:
    """What differs in run b against run a. Times count as moments: plans may start at other dates."""
    plan, measures = differences(a, b)
    return Comparison(
        a=str(a.path),
        b=str(b.path),
        counted=(_counted(a), _counted(b)),
        clocks=(clock_of(a), clock_of(b)),
        plans=(a.plan["name"], b.plan["name"]),
        plan=plan,
        supply=supply_changes(a, b),
        measures=measures,
        jobs=_job_changes(a, b),
    )


def clock_of(run: Run) -> Clock:
    """The clock of a run."""
    return Clock(run.start, run.time_zone)


def differences(a: Run, b: Run) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """What differs in the plan and in the measures of run b against run a; no job is read."""
    plan = _differences(_leaves(_declared(a)), _leaves(_declared(b)))
    return tuple(plan), tuple(_measure_changes(a, b))


def _counted(run: Run) -> str:
    """Until when GPU-hours online and busy are counted: the plan's end, or the run's."""
    return _local(run, run.counted_s)


def _local(run: Run, t_s: int) -> str:
    """A moment of a run in its plan's time zone."""
    return f"{clock_of(run).local(t_s):%Y-%m-%d %H:%M}"


def _declared(run: Run) -> dict[str, Any]:
    """The plan alone: on which line it was written does not matter."""
    return {key: value for key, value in run.plan.items() if key in SECTIONS}


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Values by path; lists of plain values are one value.

    >>> _leaves({"sites": {"lab": {"pue": 1.3, "power_w": [[0, 5.0]]}}, "retirements": []})
    {'sites.lab.pue': 1.3, 'sites.lab.power_w': [[0, 5.0]]}
    """
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        items = {str(i): item for i, item in enumerate(value)}.items()
    else:
        return {path: value}
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
    known = {_label(row): row for row in rows}
    rank = _ranks(rows)
    before, after = _measures(a), _measures(b)
    units = {_label(row): row["unit"] for row in a.measures_json["measures"]}
    for change in sorted(_differences(before, after), key=lambda change: rank[change.what]):
        row = known[change.what]
        told = change._replace(unit=row["unit"], by=tuple(sorted(row["by"].items())))
        first = units.get(change.what, row["unit"])
        if change.sign == "~" and first != row["unit"]:  # amounts of two currencies have no difference
            yield told._replace(sign="-", after=None, unit=first)
            yield told._replace(sign="+", before=None)
        else:
            yield told


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


# --- supply


def supply_changes(a: Run, b: Run) -> tuple[SupplyChange, ...]:
    """Steps that other GPUs have taken at the end of some month in run b; each lot counts once."""
    before, after = _levels(a), _levels(b)
    months = sorted({month for month, _ in before} & {month for month, _ in after})
    found = []
    for step in STAIRS:
        pairs = [(before.get((month, step), 0), after.get((month, step), 0)) for month in months]
        differ = [i for i, (old, new) in enumerate(pairs) if old != new]
        if differ:
            most = max(differ, key=lambda i: abs(pairs[i][1] - pairs[i][0]))
            found.append(SupplyChange(step, months[differ[0]], *pairs[differ[0]], months[most], *pairs[most]))
    return tuple(found)


def _levels(run: Run) -> dict[tuple[str, str], int]:
    """GPUs of all lots by month and step."""
    lots = run.supply.filter(pl.col("lot").is_not_null() & pl.col("first"))
    sums = lots.group_by("month", "step").agg(pl.col("gpus").sum())
    return {(month, step): gpus for month, step, gpus in sums.iter_rows()}


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
