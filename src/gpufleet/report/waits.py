"""Waits shaped for charts: percentiles by tenant and by job size; simulated beside recorded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.report import measured
from gpufleet.results.facts import FIRST_STARTS

if TYPE_CHECKING:
    from gpufleet.results.run import Run

PERCENTILES: Final = (50, 90, 99)
RANKS: Final = ("p50", "p90", "p99", "mean")
SHARES: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
CURVE_POINTS: Final = 200


class Spread(NamedTuple):
    """Waits of one group of jobs, seconds."""

    name: str
    p50_s: float
    p90_s: float
    p99_s: float
    mean_s: float

    def ranks(self) -> tuple[tuple[int, float], ...]:
        """Percentiles with their waits."""
        return ((50, self.p50_s), (90, self.p90_s), (99, self.p99_s))


class Compared(NamedTuple):
    """Simulated and recorded waits until the first start, of the jobs that have both."""

    jobs: int
    left_out: int  # jobs without a recorded or a simulated start
    simulated: Spread
    recorded: Spread
    curves: (
        pl.DataFrame
    )  # which (simulated|recorded), wait_s, share of the jobs that waited at most that long
    gap: float  # largest distance between the two curves, 0..1
    ranks: tuple[
        tuple[float, float, float], ...
    ]  # share of the jobs, and the wait that so many do not exceed, s


def by_tenant(run: Run, order: list[str]) -> list[Spread]:
    """Waits by tenant, in the given order of tenants; a tenant of which no job counts is left out."""
    found = _spreads(run, "tenant")
    return [found[name] for name in order if name in found]


def by_size(run: Run) -> list[Spread]:
    """Waits by size class, smallest first."""
    found = _spreads(run, "size")
    return [found[size]._replace(name=size_name(size)) for size in sorted(found, key=_least)]


def _spreads(run: Run, dim: str) -> dict[str, Spread]:
    columns = [measured.by(run, f"wait_{rank}_s", dim) for rank in RANKS]
    return {name: Spread(name, *(column[name] for column in columns)) for name in columns[0]}


def _least(size: str) -> int:
    """Fewest GPUs of a size class."""
    return int(size[1:]) + 1 if size.startswith(">") else int(size.partition("-")[0])


def size_name(size: str) -> Said:
    """A size class as a reader wants it.

    >>> size_name("1"), size_name("9-64"), size_name(">512")
    ('1 GPU', '9–64 GPUs', 'over 512 GPUs')
    """
    if size == "1":
        return say("{n:,} GPU", "{n:,} GPUs", n=1)
    if size.startswith(">"):
        return say("over {gpus} GPUs", gpus=size[1:])
    return say("{gpus} GPUs", gpus=size.replace("-", "–"))


def compared(run: Run) -> Compared | None:
    """Simulated against recorded waits, or None when no job has both."""
    if measured.total(run, "first_wait_simulated_p50_s") is None:
        return None
    both = run.scan_jobs().drop_nulls(["start_s", "recorded_start_s"])
    simulated, recorded = _counted(both, "start_s"), _counted(both, "recorded_start_s")
    jobs = int(simulated.get_column("n").sum())
    return Compared(
        jobs=jobs,
        left_out=int(measured.total(run, "jobs") or 0) - jobs,
        simulated=_first_waits(run, "simulated"),
        recorded=_first_waits(run, "recorded"),
        curves=pl.concat([_curve(simulated, "simulated"), _curve(recorded, "recorded")]),
        gap=_gap(simulated, recorded),
        ranks=tuple((q, _at_share(simulated, q), _at_share(recorded, q)) for q in SHARES),
    )


def _first_waits(run: Run, which: str) -> Spread:
    ranks = (measured.total(run, f"first_wait_{which}_{rank}_s") or 0.0 for rank in RANKS)
    return Spread(which, *ranks)


def _counted(both: pl.LazyFrame, start: str) -> pl.DataFrame:
    """How many jobs waited how long: wait_s ascending, n, and the share of jobs up to that wait."""
    waits = both.select(wait_s=pl.col(start) - pl.col(FIRST_STARTS[start]))
    counted = waits.group_by("wait_s").agg(pl.len().cast(pl.Int64).alias("n")).sort("wait_s")
    return counted.with_columns(share=pl.col("n").cum_sum() / pl.col("n").sum()).collect()


def _at_share(counted: pl.DataFrame, share: float) -> float:
    """The wait that this share of the jobs does not exceed: that of a job, not between two."""
    reached = counted.filter(pl.col("share") >= share - 1e-12)
    return float(reached.item(0, "wait_s"))


def _curve(counted: pl.DataFrame, which: str) -> pl.DataFrame:
    """Points of the distribution, exact where they stand, thinned to about even steps of the share."""
    points = counted.select(pl.lit(which).alias("which"), "wait_s", "share")
    if points.height <= CURVE_POINTS:
        return points
    step = (pl.col("share") * CURVE_POINTS).floor()
    return points.filter((step != step.shift(1)).fill_null(True) | (pl.col("share") == 1.0))


def _gap(a: pl.DataFrame, b: pl.DataFrame) -> float:
    """Largest distance between two distributions (the two-sample Kolmogorov-Smirnov statistic).

    >>> _gap(*(pl.DataFrame({"wait_s": w, "share": [0.5, 1.0]}) for w in ([0, 10], [0, 20])))
    0.5
    """
    left, right = (
        frame.select("wait_s", pl.col("share").alias(name)) for name, frame in (("a", a), ("b", b))
    )
    merged = left.join(right, on="wait_s", how="full", coalesce=True).sort("wait_s")
    filled = merged.with_columns(pl.col("a", "b").forward_fill().fill_null(0.0))
    return float(filled.select((pl.col("a") - pl.col("b")).abs().max()).item())
