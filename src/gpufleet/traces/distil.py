"""`distil`: a trace as a profile, the few numbers that jobs like its own can be drawn from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from gpufleet.base.arrays import Floats, Ints
from gpufleet.base.errors import Finding, GpufleetError, Place, explain_code, finding
from gpufleet.base.say import say
from gpufleet.catalog.profile import Arrivals, Limits, Profile, Quantiles, Size, Users
from gpufleet.traces.curves import Curve, quantiles, thin
from gpufleet.traces.rhythm import HOURS_PER_WEEK, rhythm
from gpufleet.traces.trace import Trace

TOO_FEW: Final = explain_code(
    "T080",
    "too few jobs for a profile",
    "A profile is made of distributions, and these cannot be told from fewer than two jobs, or from jobs "
    "that were all submitted in the same second.",
    "gpufleet profile one-job.csv",
).code
NO_WEEK: Final = explain_code(
    "T081",
    "the trace does not show the pattern of a week",
    "A trace without a calendar, or of less than two whole weeks, does not tell which hours of a week are "
    "busy. The profile's jobs come evenly over the week; how far days and hours stray is kept where it "
    "can be told.",
    "A Standard Workload Format file without UnixStartTime has no calendar.",
).code

WEEK_S: Final = 604_800
_MONDAY: Final = 4 * 86_400  # 1970-01-05
_DIGITS: Final = 6  # significant ones that a profile keeps


@dataclass(frozen=True)
class About:
    """What a profile says about itself."""

    name: str
    title: str
    source: str
    license: str
    made_by: str


def distil(trace: Trace, about: About, time_zone: str | None = None) -> tuple[Profile, tuple[Finding, ...]]:
    """Distil a trace.

    Args:    trace: as `read_trace` gives it.   about: the profile's texts.
             time_zone: IANA name, in which the week's hours are counted; None: times as the trace writes
             them, read with `read_trace`'s own zone UTC.
    Returns: the profile, and what people should know about it (T081).
    Raises:  GpufleetError T080 if there is one job only, or no time between jobs.

    >>> import tempfile, pathlib
    >>> from gpufleet.traces.read import read_trace
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "jobs.csv"
    >>> _ = file.write_text("job,submit_s,gpus,duration_s\\na,0,8,60\\nb,30,4,60\\nc,60,8,180\\n")
    >>> profile, _ = distil(read_trace(file), About("x", "X", "a lab", "none", "by hand"))
    >>> [(size.gpus, round(size.share, 3), size.mean_run_s) for size in profile.sizes], profile.mean_gpu_s
    ([(4, 0.333, 60.0), (8, 0.667, 120.0)], 720.0)
    """
    jobs = trace.jobs.with_columns(pl.col("run_s").clip(lower_bound=1.0))
    span_s = int(jobs["submit_s"][-1]) - int(jobs["submit_s"][0])
    if jobs.height < 2 or not span_s:
        raise GpufleetError(_too_few(trace, jobs.height))
    arrivals, found = _arrivals(trace, time_zone)
    work = (jobs["gpus"].cast(pl.Float64) * jobs["run_s"]).mean()
    made = Profile(
        **vars(about),
        trust="stated",
        jobs=jobs.height,
        weeks=rounded(span_s / WEEK_S),
        time_zone=time_zone or "local",
        arrivals=arrivals,
        sizes=tuple(_sizes(jobs)),
        users=_users(jobs["user"]),
        queues=_shares(jobs["queue"]),
        end_states=_shares(_end_states(jobs["state"])),
        mean_gpus=rounded(jobs["gpus"].mean()),
        mean_run_s=rounded(jobs["run_s"].mean()),
        mean_gpu_s=rounded(work),
    )
    return made, found


def _too_few(trace: Trace, jobs: int) -> Finding:
    says = say("the trace has {n:,} job", "the trace's {n:,} jobs were submitted in one second", n=jobs)
    return finding(TOO_FEW, says, say("take a longer part of the log"), Place(str(trace.path), 0))


def _arrivals(trace: Trace, time_zone: str | None) -> tuple[Arrivals, tuple[Finding, ...]]:
    found = rhythm(_local_s(trace, time_zone))
    flat = not trace.dated or found.days < 14
    weights = np.ones(HOURS_PER_WEEK) if flat else found.hour_of_week
    made = Arrivals(numbers(weights), rounded(found.day_cv), rounded(found.hour_cv))
    if not flat:
        return made, ()
    days = say("it has {n} whole day", "it has {n} whole days", n=found.days)
    says = days if trace.dated else say("it has no calendar")
    fix = say("distil a trace of two weeks or more that has dates, if the hours matter")
    return made, (finding(NO_WEEK, says, fix, Place(str(trace.path), 0), severity="warning"),)


def _local_s(trace: Trace, time_zone: str | None) -> Ints:
    """Submit times on the local clock, seconds since a Monday 00:00."""
    times = pl.Series([trace.start]).dt.convert_time_zone("UTC").dt.epoch("s")[0] + trace.jobs["submit_s"]
    if time_zone is not None:
        utc = (times * 1_000_000).cast(pl.Datetime("us", "UTC"))
        times = utc.dt.convert_time_zone(time_zone).dt.replace_time_zone(None).dt.epoch("s")
    return np.sort(times.to_numpy() - _MONDAY)


def _sizes(jobs: pl.DataFrame) -> Iterator[Size]:
    for (gpus,), part in jobs.sort("gpus").group_by("gpus", maintain_order=True):
        run_s = part["run_s"].to_numpy()
        curve = quantiles(run_s)
        yield Size(
            gpus=int(gpus),
            share=rounded(part.height / jobs.height),
            run_s=Quantiles(chances(curve.p), numbers(curve.value)),
            mean_run_s=rounded(run_s.mean()),
            limit=_limits(part.filter(pl.col("limit_s") > 0), part.height),
        )


def _limits(limited: pl.DataFrame, jobs: int) -> Limits | None:
    """Limits of jobs of one size: which share has one, and how it compares with the run time."""
    if limited.is_empty():
        return None
    curve = quantiles((limited["limit_s"] / limited["run_s"]).to_numpy())
    return Limits(rounded(limited.height / jobs), chances(curve.p), numbers(curve.value))


def _users(users: pl.Series) -> Users | None:
    """How uneven users are; None where the trace names none."""
    jobs = users.drop_nulls().value_counts(sort=True)["count"].to_numpy().astype(np.float64)
    if not jobs.size:
        return None
    p = np.linspace(0, 1, jobs.size + 1)
    share = np.concatenate(([0.0], np.cumsum(jobs) / jobs.sum()))
    curve = thin(Curve(p, share), 32)
    return Users(jobs.size, chances(curve.p), numbers(curve.value))


def _shares(words: pl.Series) -> dict[str, float]:
    """Share of each word, most first; words that are not known do not count."""
    counts = words.drop_nulls().value_counts(name="n")
    column = counts.columns[0]
    rows = counts.sort(["n", column], descending=[True, False]).rows()
    total = sum(n for _, n in rows)
    return {str(word): rounded(n / total) for word, n in rows}


_STATES: Final = (
    ("done", r"^(completed?|done|pass(ed)?|succeeded|success|finished|1)$"),
    ("killed", r"^(cancell?ed.*|killed|timeout|preempted|deadline|revoked|5)$"),
    ("failed", r"^(fail(ed|ure)?|node_fail|boot_fail|out_of_memory|error|0)$"),
)


def _end_states(states: pl.Series) -> pl.Series:
    """How jobs ended, in three words; `other` for what is none of them (still running, say)."""
    known = {str(word): _end_state(str(word)) for word in states.drop_nulls().unique()}
    return states.replace_strict(known, return_dtype=pl.String)


def _end_state(state: str) -> str:
    """The word for a state of Slurm, the Standard Workload Format or the like.

    >>> [_end_state(word) for word in ("COMPLETED", "CANCELLED by 1001", "OUT_OF_MEMORY", "RUNNING")]
    ['done', 'killed', 'failed', 'other']
    """
    return next((word for word, form in _STATES if re.match(form, state.strip().lower())), "other")


def rounded(value: object) -> float:
    """A number with the digits that profiles keep.

    >>> rounded(1 / 3)
    0.333333
    """
    return float(f"{float(value):.{_DIGITS}g}")  # type: ignore[arg-type]


def numbers(values: Floats) -> tuple[float, ...]:
    """Numbers with the digits that profiles keep."""
    return tuple(rounded(value) for value in values)


def chances(values: Floats) -> tuple[float, ...]:
    """Probabilities; those close to 1 keep apart."""
    return tuple(round(float(value), 12) for value in values)
