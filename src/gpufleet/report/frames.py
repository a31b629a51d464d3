"""The run's timeline shaped for charts: time bins coarsened, tenants grouped. Small frames come out.

Nothing is simulated or estimated here: these are sums of what the run holds, and means over bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from gpufleet.report import measured

if TYPE_CHECKING:
    from gpufleet.results.run import Run

MAX_BINS: Final = 150
"""Bins that a chart of 1,000 px can show as steps."""

HOUR_S: Final = 3_600
_ROUND_S: Final = tuple(
    round(h * HOUR_S)
    for h in (1 / 60, 1 / 12, 1 / 6, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 8, 12, 24, 48, 168, 336, 720)
)


class Bins(NamedTuple):
    """Time bins of a chart: starts (s from the plan's start), their width, and where the last one ends."""

    starts_s: tuple[int, ...]
    width_s: int
    end_s: int

    def hours(self) -> pl.DataFrame:
        """Hours that each bin covers (the last one may be cut short): columns t_s, hours."""
        ends = [*self.starts_s[1:], self.end_s]
        hours = [(end - start) / HOUR_S for start, end in zip(self.starts_s, ends, strict=True)]
        return pl.DataFrame(
            {"t_s": self.starts_s, "hours": hours}, schema={"t_s": pl.Int64, "hours": pl.Float64}
        )


def chart_width_s(grid_s: int, span_s: int, most: int = MAX_BINS) -> int:
    """Width of a chart's bins: the smallest round multiple of the grid that needs at most `most` bins.

    Args:
        grid_s: width of a bin of the timeline, s.
        span_s: time that the chart covers, s.
        most: bins allowed.

    >>> chart_width_s(300, 14 * 86_400), chart_width_s(3600, 5 * 365 * 86_400), chart_width_s(7, 70)
    (10800, 1209600, 7)
    """
    if span_s <= grid_s * most:
        return grid_s
    fits = (w for w in _ROUND_S if w % grid_s == 0 and span_s <= w * most)
    return next(fits, grid_s * -(-span_s // (grid_s * most)))


def bins(run: Run, most: int = MAX_BINS) -> Bins:
    """At most `most` bins over the run's timeline; a run that stops at the plan's end stops there."""
    last = run.timeline.get_column("t_s").max()
    until = int(last) + run.grid_s if isinstance(last, int) else run.end_s
    if not run.measures_json["clock"]["finish"]:
        until = run.end_s
    width = chart_width_s(run.grid_s, until, most)
    return Bins(tuple(range(0, until, width)), width, until)


def binned(frame: pl.DataFrame, grid: Bins, *keys: str) -> pl.DataFrame:
    """GPU-seconds summed to the chart's bins and `keys`, as gpu_h, with the mean number of GPUs as gpus."""
    width = pl.lit(grid.width_s)
    summed = (
        frame.with_columns(t_s=pl.col("t_s") // width * width)
        .group_by("t_s", *keys)
        .agg(gpu_h=pl.col("gpu_s").sum() / HOUR_S)
        .join(grid.hours(), on="t_s", how="inner")
    )
    return summed.with_columns(gpus=pl.col("gpu_h") / pl.col("hours")).drop("hours").sort("t_s", *keys)


def _complete(frame: pl.DataFrame, grid: Bins, key: str, values: list[str]) -> pl.DataFrame:
    """Every bin of every value, zero where nothing was: a step chart must come down again."""
    everything = pl.DataFrame({"t_s": grid.starts_s}, schema={"t_s": pl.Int64}).join(
        pl.DataFrame({key: values}, schema={key: pl.String}), how="cross"
    )
    return everything.join(frame, on=["t_s", key], how="left").with_columns(
        pl.col("gpu_h").fill_null(0.0), pl.col("gpus").fill_null(0.0)
    )


def kind(run: Run, name: str) -> pl.DataFrame:
    """Rows of the timeline of one kind: online, busy or waiting."""
    return run.timeline.filter(pl.col("kind") == name)


def tenants(run: Run) -> list[str]:
    """Tenants that have jobs: most GPU-hours in use first, then most waiting, then by name."""
    busy, waits = (measured.by(run, name, "tenant") for name in ("busy_gpu_h", "waiting_gpu_h"))
    known = measured.by(run, "jobs", "tenant")
    return sorted(known, key=lambda name: (-busy.get(name, 0.0), -waits.get(name, 0.0), name))


def in_use(run: Run, grid: Bins, names: list[str]) -> pl.DataFrame:
    """Mean GPUs in use per bin and tenant: t_s, tenant, gpu_h, gpus."""
    return _complete(binned(kind(run, "busy"), grid, "tenant"), grid, "tenant", names)


def online(run: Run, grid: Bins) -> pl.DataFrame:
    """Mean GPUs online per bin: t_s, gpu_h, gpus."""
    return binned(kind(run, "online"), grid)


def waiting(run: Run, grid: Bins, causes: list[str]) -> pl.DataFrame:
    """Waiting GPU-hours per bin and root cause: t_s, cause, gpu_h, gpus (mean GPUs asked for)."""
    return _complete(binned(kind(run, "waiting"), grid, "cause"), grid, "cause", causes)


def waiting_by_cause(run: Run) -> dict[str, float]:
    """Waiting GPU-hours by root cause, most first; causes without any are left out."""
    found = {cause: hours for cause, hours in measured.by(run, "waiting_gpu_h", "cause").items() if hours > 0}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def grouped(frame: pl.DataFrame, key: str, named: list[str], rest: str) -> pl.DataFrame:
    """Values of `key` beyond `named` summed under the name `rest`.

    >>> f = {"t_s": [0, 0, 0], "who": ["a", "b", "c"], "gpu_h": [1.0, 2.0, 3.0], "gpus": [1.0] * 3}
    >>> grouped(pl.DataFrame(f), "who", ["a"], "2 others").rows()
    [(0, '2 others', 5.0, 2.0), (0, 'a', 1.0, 1.0)]
    """
    renamed = frame.with_columns(
        pl.when(pl.col(key).is_in(named)).then(pl.col(key)).otherwise(pl.lit(rest)).alias(key)
    )
    return renamed.group_by("t_s", key).agg(pl.col("gpu_h", "gpus").sum()).sort("t_s", key)
