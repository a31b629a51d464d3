"""How close generated jobs come to their source: ``python tools/closeness.py [DATA]`` writes the tables of
docs/explanation/profiles.md anew. DATA = ../shared/data.
"""

from __future__ import annotations

import importlib.util
import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.catalog.profile import Profile
from gpufleet.catalog.profiles import load_profile
from gpufleet.distiller import Wish, distil_trace
from gpufleet.plan.load import load_plan
from gpufleet.world.build import build

PAGE: Final = Path(__file__).parents[1] / "docs/explanation/profiles.md"
PHILLY: Final = "traces/philly-2017/philly_jobs_2017-09_to_2017-10.csv.gz"
WHOLE_FROM, HELD_FROM, END = datetime(2017, 9, 25), datetime(2017, 10, 16), datetime(2017, 11, 1)
YEARS: Final = 2  # of generated jobs that are compared with a source
MANY: Final = 4_000_000  # jobs drawn from a fitted profile: a mean of few is off by chance
WEEK_S: Final = 604_800

_PLAN: Final = """\
gpufleet: 1
name: closeness
start: {start:%Y-%m-%d}
end: {end:%Y-%m-%d}
time_zone: UTC
sites: {{here: {{}}}}
systems: {{node: {{product: gpu, gpus_per_node: 8, nodes_per_domain: 1}}}}
deliveries: [{{name: all, to: here, system: node, gpus: 1000000, at: {start:%Y-%m-%d}, status: online}}]
tenants: {{all: {{}}}}
workloads: {{like: {{kind: profile, profile: {profile}, queue: all, gpu_hours_per_month: {gpu_hours}}}}}
"""


@dataclass(frozen=True)
class Sample:
    """Jobs, as far as they are compared. Arrays have shape (n_jobs,)."""

    submit_s: Ints  # since a Monday 00:00, ascending
    gpus: Ints
    run_s: Floats

    @property
    def gpu_h(self) -> Floats:
        """GPU-hours of each job."""
        found: Floats = self.gpus * self.run_s / 3600
        return found

    def share_of_gpu_hours(self) -> dict[int, float]:
        """Share of all GPU-hours by GPUs of a job."""
        sizes = np.unique(self.gpus)
        return {int(size): float(self.gpu_h[self.gpus == size].sum() / self.gpu_h.sum()) for size in sizes}

    def hour_of_week(self) -> Floats:
        """Jobs by hour of week, mean 1; shape (168,). Only whole weeks count."""
        weeks = int(self.submit_s[-1] + 3600) // WEEK_S
        hours = self.submit_s[self.submit_s < weeks * WEEK_S] // 3600 % 168
        counts = np.bincount(hours, minlength=168)
        found: Floats = counts / counts.mean()
        return found


@dataclass(frozen=True)
class Test:
    """Two samples of one quantity: the largest distance of their distribution functions, and how likely one
    that large is if both come from one distribution."""

    distance: float
    p: float


def two_sample(a: Floats, b: Floats) -> Test:
    """The Kolmogorov-Smirnov test, with the asymptotic p of its statistic.

    >>> two_sample(np.arange(50.0), np.arange(50.0) + 25).distance
    0.5
    """
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate((a, b))
    below = np.searchsorted(a, at, side="right") / a.size - np.searchsorted(b, at, side="right") / b.size
    distance = float(np.abs(below).max())
    size = math.sqrt(a.size * b.size / (a.size + b.size))
    x = (size + 0.12 + 0.11 / size) * distance
    tail = math.fsum(2 * (-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101))
    return Test(distance, min(max(tail, 0.0), 1.0) if x > 0.2 else 1.0)


def recorded(data: Path, since: datetime, until: datetime) -> Sample:
    """Jobs of the Philly log that were submitted in [since, until)."""
    from gpufleet.traces.read import read_trace

    since, until = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
    monday = since - timedelta(days=since.weekday())
    jobs = read_trace(data / PHILLY, start=monday, from_=since, to=until).jobs
    return Sample(jobs["submit_s"].to_numpy(), jobs["gpus"].to_numpy(), jobs["run_s"].to_numpy())


def generated(profile: Profile, days: int, times: float = 1.0) -> Sample:
    """Jobs drawn from a profile at some times the rate of its source, through a plan as any other."""
    start = datetime(2018, 1, 1)  # a Monday
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "profile.json").write_text(profile.text())
        month = times * profile.jobs / profile.weeks * profile.mean_gpu_s / 3600 * 730.5 / 168
        text = _PLAN.format(
            start=start, end=start + timedelta(days=days), profile="profile.json", gpu_hours=round(month)
        )
        plan = Path(folder) / "plan.yaml"
        plan.write_text(text)
        batches = [batch.jobs for batch in build(load_plan(plan)).demand.batches()]
    return Sample(
        np.concatenate([jobs.submit_s for jobs in batches]),
        np.concatenate([jobs.gpus for jobs in batches]),
        np.concatenate([jobs.work_s for jobs in batches]),
    )


@dataclass(frozen=True)
class Closeness:
    """Everything that the page shows and the test holds."""

    source: Sample  # Philly, the weeks that its profile is made of
    like: Sample  # generated from it
    weights: Floats  # of the profile, shape (168,)
    early: Sample  # the first three weeks
    held: Sample  # those after
    early_like: Sample  # generated from a profile of the first three weeks, as long as held
    fitted: Mapping[str, Sample]  # generated from profiles that were fitted to published sums


@cache
def closeness(data: Path) -> Closeness:
    """Draw and read all samples."""
    philly = load_profile("philly")
    early = distil_trace(Wish(data / PHILLY, from_=WHOLE_FROM, to=HELD_FROM)).profile
    return Closeness(
        source=recorded(data, WHOLE_FROM, END),
        like=generated(philly, 364 * YEARS),
        weights=np.array(philly.arrivals.hour_of_week),
        early=recorded(data, WHOLE_FROM, HELD_FROM),
        held=recorded(data, HELD_FROM, END),
        early_like=generated(early, (END - HELD_FROM).days),
        fitted={name: _many(load_profile(name)) for name in ("helios", "acme-seren", "acme-kalos")},
    )


def _many(profile: Profile) -> Sample:
    """A year of about `MANY` jobs."""
    return generated(profile, 364, MANY / (profile.jobs / profile.weeks * 52))


def held_out(found: Closeness) -> Iterator[tuple[str, Test, Test]]:
    """What is tested, generated against held-out jobs, and the first weeks themselves against those."""
    for name, values in _QUANTITIES.items():
        early, held, like = (values(sample) for sample in (found.early, found.held, found.early_like))
        yield name, two_sample(like, held), two_sample(early, held)


_QUANTITIES: Final[dict[str, Callable[[Sample], Floats]]] = {
    "run time, all jobs": lambda jobs: jobs.run_s,
    "run time, 1 GPU": lambda jobs: jobs.run_s[jobs.gpus == 1],
    "run time, 2 to 7 GPUs": lambda jobs: jobs.run_s[(jobs.gpus > 1) & (jobs.gpus < 8)],
    "run time, 8 GPUs or more": lambda jobs: jobs.run_s[jobs.gpus >= 8],
    "time between submissions": lambda jobs: np.diff(jobs.submit_s).astype(np.float64),
    "jobs in an hour": lambda jobs: np.bincount(jobs.submit_s // 3600 - jobs.submit_s[0] // 3600).astype(
        np.float64
    ),
}


def tables(data: Path) -> dict[str, str]:
    """The tables of the page by name, as Markdown."""
    found = closeness(data)
    return {
        "means": _means(found),
        "sizes": _sizes(found),
        "hours": _hours(found),
        "held-out": _held_out(found),
        "fitted": _fitted(data, found),
    }


def _table(*rows: tuple[str, ...]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    rule = "|" + "---|" * len(rows[0])
    return "\n".join([head, rule, *body])


def _row(name: str, source: float, like: float, digits: int = 3) -> tuple[str, ...]:
    return name, f"{source:,.{digits}f}", f"{like:,.{digits}f}", f"{100 * (like / source - 1):+.1f} %"


def _chance(values: Floats | Ints) -> str:
    """The standard error of a mean, as a share of it."""
    return f"{100 * values.std() / values.mean() / math.sqrt(values.size):.1f} %"


def _means(found: Closeness) -> str:
    source, like = found.source, found.like
    return _table(
        ("Philly", f"log ({source.gpus.size:,} jobs)", f"generated ({like.gpus.size:,} jobs)", "off by"),
        _row("mean GPUs", source.gpus.mean(), like.gpus.mean()),
        _row("mean run time, h", source.run_s.mean() / 3600, like.run_s.mean() / 3600),
        _row("median run time, h", np.median(source.run_s) / 3600, np.median(like.run_s) / 3600),
        _row("mean GPU-hours", source.gpu_h.mean(), like.gpu_h.mean()),
    )


def _sizes(found: Closeness) -> str:
    source, like = found.source.share_of_gpu_hours(), found.like.share_of_gpu_hours()
    rows = [
        (f"{size}", f"{100 * share:.2f} %", f"{100 * like.get(size, 0):.2f} %")
        for size, share in source.items()
    ]
    return _table(("GPUs of a job", "GPU-hours, log", "GPU-hours, generated"), *rows)


def _hours(found: Closeness) -> str:
    rows = [("hour of week", "correlation", "largest deviation")]
    pairs = {
        "generated against the profile": (found.like.hour_of_week(), found.weights),
        "generated against the log": (found.like.hour_of_week(), found.source.hour_of_week()),
        "first three weeks of the log against those after": (
            found.early.hour_of_week(),
            found.held.hour_of_week(),
        ),
    }
    for name, (a, b) in pairs.items():
        rows.append((name, f"{np.corrcoef(a, b)[0, 1]:.2f}", f"{np.abs(a - b).max():.2f}"))
    return _table(*rows)


def _held_out(found: Closeness) -> str:
    rows = [
        (name, f"{like.distance:.3f}", _p(like.p), f"{drift.distance:.3f}", _p(drift.p))
        for name, like, drift in held_out(found)
    ]
    return _table(("held-out weeks", "generated: D", "p", "log's first weeks: D", "p"), *rows)


def _p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _fitted(data: Path, found: Closeness) -> str:
    known = _profiles_tool().published_by_name(data)
    rows: list[tuple[str, ...]] = []
    for name, sample in found.fitted.items():
        said = known[name]
        rows += [
            (*_row(f"{name}: mean GPUs", said.mean_gpus, sample.gpus.mean()), _chance(sample.gpus)),
            (
                *_row(f"{name}: mean run time, s", said.mean_run_s, sample.run_s.mean(), 0),
                _chance(sample.run_s),
            ),
            (*_row(f"{name}: median run time, s", said.median_run_s, float(np.median(sample.run_s)), 0), ""),
            (
                *_row(f"{name}: mean GPU-hours", said.mean_gpu_s / 3600, sample.gpu_h.mean()),
                _chance(sample.gpu_h),
            ),
        ]
    return _table(("fitted profile", "published", "generated", "off by", "one standard error"), *rows)


def _profiles_tool() -> ModuleType:
    """The neighbouring script: tools are no package."""
    spec = importlib.util.spec_from_file_location("profiles_tool", Path(__file__).with_name("profiles.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def filled(page: str, made: Mapping[str, str]) -> str:
    """A page with the tables between its marks made anew.

    >>> filled("<!-- closeness: a -->x<!-- end -->", {"a": "| t |"})
    '<!-- closeness: a -->\\n\\n| t |\\n\\n<!-- end -->'
    """
    mark = r"(<!-- closeness: ([\w-]+) -->).*?(<!-- end -->)"
    return re.sub(mark, lambda m: f"{m[1]}\n\n{made[m[2]]}\n\n{m[3]}", page, flags=re.DOTALL)


def main() -> None:
    """Write the page anew."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared/data"
    made = tables(data.resolve())
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8", newline="\n")
    print("\n\n".join(made.values()))


if __name__ == "__main__":
    main()
