"""Make the profiles that ship with gpufleet: ``python tools/profiles.py [DATA]``, DATA = ../shared/data.

Philly is distilled from its job log. Of Helios and Acme only sums and means are here; their profiles are
fitted to these. docs/explanation/profiles.md says how and how close they come.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.catalog.profile import Arrivals, Profile, Quantiles, Size
from gpufleet.distiller import Wish, distil_trace
from gpufleet.traces.curves import Curve, mean_of, thin, with_mean
from gpufleet.traces.distil import chances, numbers, rounded

SHIPPED: Final = Path(__file__).parents[1] / "src/gpufleet/catalog/profiles"
HELIOS: Final = "traces/helios-2020-aggregates/helios_cluster_summary.csv"
ACME: Final = "traces/acme-2023/cluster_summary.csv"
PHILLY: Final = "traces/philly-2017/philly_jobs_2017-09_to_2017-10.csv.gz"

SOME_KNOTS: Final = 40
GRID: Final = 4001
"""Points of a run time's distribution at which it is worked out; more of them in the upper tail."""


@dataclass(frozen=True)
class Published:
    """What is published about the GPU jobs of a cluster."""

    jobs: int
    mean_gpus: float
    most_gpus: int
    mean_run_s: float
    median_run_s: float
    most_run_s: float
    mean_gpu_s: float  # GPU time of all jobs / jobs
    end_states: Mapping[str, float]


@dataclass(frozen=True)
class Fit:
    """Sizes are powers of two; run times of a size are lognormal, cut at 1 s and at the longest run."""

    gpus: Floats  # shape (n_sizes,)
    share: Floats
    log_median: float  # of one GPU's jobs
    per_doubling: float  # added to the log of the median at each doubling of the GPUs
    spread: float  # standard deviation of the log
    most_run_s: float

    def runs(self) -> list[Curve]:
        """The quantile function of each size."""
        p = _grid()
        normal = _normal_quantiles(p)
        centre = self.log_median + self.per_doubling * np.log2(self.gpus)
        return [Curve(p, np.exp(c + self.spread * normal).clip(1.0, self.most_run_s)) for c in centre]

    def means_s(self) -> Floats:
        """Mean run time of each size."""
        return np.array([mean_of(curve) for curve in self.runs()])

    def median_s(self) -> float:
        """Median run time of all jobs."""

        def over_half(log_s: float) -> float:
            centre = self.log_median + self.per_doubling * np.log2(self.gpus)
            below = [_normal((log_s - c) / self.spread) for c in centre]
            return float(self.share @ np.array(below)) - 0.5

        return math.exp(_root(over_half, -20, 40))


def fitted(known: Published) -> Fit:
    """The fit whose mean GPUs, mean and median run time and mean GPU time are the published ones.

    Raises: ValueError if there is none.
    """
    gpus: Floats = np.exp2(np.arange(int(math.log2(known.most_gpus)) + 1)).astype(np.float64)
    share = _size_shares(gpus, known.mean_gpus)

    def by_median(per_doubling: float, spread: float) -> Fit:
        plain = Fit(gpus, share, 0.0, per_doubling, spread, known.most_run_s)
        return Fit(gpus, share, math.log(known.median_run_s / plain.median_s()), *_rest(plain))

    def by_mean(per_doubling: float) -> Fit:
        def off(spread: float) -> float:
            return float(share @ by_median(per_doubling, spread).means_s()) - known.mean_run_s

        return by_median(per_doubling, _root(off, 0.05, 6))

    def off(per_doubling: float) -> float:
        return float((share * gpus) @ by_mean(per_doubling).means_s()) - known.mean_gpu_s

    found = by_mean(_root(off, -0.5, 1.5))
    mean_s, work = float(share @ found.means_s()), float((share * gpus) @ found.means_s())
    if not (
        math.isclose(mean_s, known.mean_run_s, rel_tol=1e-3)
        and math.isclose(work, known.mean_gpu_s, rel_tol=1e-3)
    ):
        raise ValueError(f"mean run time {mean_s:g} s, GPU time {work:g} GPU-s is the nearest to {known}")
    return found


def _rest(fit: Fit) -> tuple[float, float, float]:
    return fit.per_doubling, fit.spread, fit.most_run_s


def _size_shares(gpus: Floats, mean: float) -> Floats:
    """Shares that fall by one factor from size to size; where the median job would have more than one GPU,
    half of the jobs have one and the factor holds from two GPUs on."""
    steps = np.arange(gpus.size)

    def plain(factor: float) -> Floats:
        shares: Floats = factor**steps / (factor**steps).sum()
        return shares

    def half(factor: float) -> Floats:
        rest = factor ** steps[1:]
        return np.concatenate(([0.5], rest / rest.sum() / 2))

    found = plain(_root(lambda factor: float(plain(factor) @ gpus) - mean, 0.01, 2))
    return (
        found if found[0] >= 0.5 else half(_root(lambda factor: float(half(factor) @ gpus) - mean, 0.01, 2))
    )


def _root(off: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is zero, by halving; the nearer end where it is nowhere zero."""
    for _ in range(34):
        middle = (low + high) / 2
        low, high = (low, middle) if off(middle) > 0 else (middle, high)
    return (low + high) / 2


def _grid() -> Floats:
    body = (np.arange(GRID) + 0.5) / GRID
    tail = 1 - np.geomspace(1e-7, 1 / GRID, 200)
    return np.unique(np.concatenate(([0.0], body, tail, [1.0])))


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


_Z: Final = np.linspace(-6, 6, 24_001)
_P: Final = np.array([_normal(z) for z in _Z])


def _normal_quantiles(p: Floats) -> Floats:
    found: Floats = np.interp(p, _P, _Z)
    return found


def calibrated(name: str, known: Published, texts: Mapping[str, str], weeks: float, like: Profile) -> Profile:
    """A profile that has the published means, with the rhythm of another profile."""
    fit = fitted(known)
    sizes = []
    for gpus, share, run in zip(fit.gpus, fit.share, fit.runs(), strict=True):
        few = with_mean(thin(run, SOME_KNOTS), mean_of(run))
        quantiles = Quantiles(chances(few.p), numbers(few.value))
        sizes.append(Size(int(gpus), rounded(share), quantiles, rounded(mean_of(run)), None))
    made_by = (
        f"fitted to published sums: jobs, mean GPUs ({known.mean_gpus:g}), mean and median run time "
        f"({known.mean_run_s:g} s, {known.median_run_s:g} s), GPU time per job ({known.mean_gpu_s:.6g} "
        f"GPU-s), longest run and largest job, end states. Assumed: sizes are powers of two whose shares "
        f"fall by one factor; run times of a size are lognormal with spread {fit.spread:.3f} (of the natural "
        f"log), medians times {math.exp(fit.per_doubling):.3f} per doubling of the GPUs; arrivals as in "
        f"{like.name}"
    )
    return Profile(
        name=name,
        title=texts["title"],
        source=texts["source"],
        license="CC BY 4.0",
        made_by=made_by,
        trust="estimate",
        jobs=known.jobs,
        weeks=weeks,
        time_zone="local",
        arrivals=Arrivals(like.arrivals.hour_of_week, like.arrivals.day_cv, like.arrivals.hour_cv),
        sizes=tuple(sizes),
        users=None,
        queues={},
        end_states=known.end_states,
        mean_gpus=rounded(fit.share @ fit.gpus),
        mean_run_s=rounded(fit.share @ fit.means_s()),
        mean_gpu_s=rounded((fit.share * fit.gpus) @ fit.means_s()),
    )


def published(row: Mapping[str, str], most: Mapping[str, str]) -> Published:
    """A row of either table. most: the row that has the largest values."""
    words = {"done": "complete", "killed": "cancel", "failed": "fail"}
    shares = {word: float(row[f"{theirs}_rate_gpu"]) for word, theirs in words.items()}
    total = math.fsum(shares.values())
    work = math.fsum(float(row[f"{theirs}_gpu_time"]) for theirs in words.values())
    count = int(row["gpu_job_num"])
    return Published(
        jobs=count,
        mean_gpus=float(row["avg_gpu_num"]),
        most_gpus=int(float(most["max_gpu"])),
        mean_run_s=float(row["avg_run_time_gpu"]),
        median_run_s=float(row["med_run_time_gpu"]),
        most_run_s=float(most["max_run_time_gpu"]),
        mean_gpu_s=work / count,
        end_states={word: rounded(share / total) for word, share in shares.items()},
    )


def rows(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a table by id."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def philly(data: Path) -> Profile:
    """Philly, from the day on which its log is whole. Before, it has only jobs that still ran then."""
    wish = Wish(
        trace=data / PHILLY,
        format="philly",
        name="philly",
        title="Deep learning training at Microsoft (Philly), autumn 2017",
        source="https://github.com/msr-fiddle/philly-traces (Jeon et al., USENIX ATC 2019), as one row per "
        "job in petuum/adaptdl, branch osdi21-artifact",
        license="CC BY 4.0",
        from_=datetime(2017, 9, 25),
    )
    return distil_trace(wish).profile


TEXTS: Final = {
    "helios": {
        "title": "GPU jobs of SenseTime's four Helios clusters, April to September 2020",
        "source": "https://github.com/S-Lab-System-Group/HeliosArtifact, summary (Hu et al., SC 2021)",
    },
    **{
        f"acme-{cluster.lower()}": {
            "title": f"GPU jobs of Shanghai AI Lab's {cluster} cluster (Acme), 2023",
            "source": "https://github.com/InternLM/AcmeTrace, cluster summary (Hu et al., NSDI 2024)",
        }
        for cluster in ("Seren", "Kalos")
    },
}
HALF_A_YEAR: Final = 26.0
"""Weeks that both summaries cover."""


def published_by_name(data: Path) -> dict[str, Published]:
    """What the fitted profiles are fitted to, by name."""
    helios, acme = rows(data / HELIOS), rows(data / ACME)
    return {
        "helios": published(helios["total"], acme["Helios"]),
        "acme-seren": published(acme["Seren"], acme["Seren"]),
        "acme-kalos": published(acme["Kalos"], acme["Kalos"]),
    }


def all_profiles(data: Path) -> dict[str, Profile]:
    """Every profile that ships, by name."""
    like = philly(data)
    known = published_by_name(data)
    return {"philly": like} | {
        name: calibrated(name, known[name], texts, HALF_A_YEAR, like) for name, texts in TEXTS.items()
    }


def main() -> None:
    """Write the files."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared/data"
    for name, made in all_profiles(data).items():
        (SHIPPED / f"{name}.json").write_text(made.text(), encoding="utf-8", newline="\n")
        print(name, made.jobs, made.mean_gpus, made.mean_run_s, made.mean_gpu_s, made.sizes[0].share)


if __name__ == "__main__":
    main()
