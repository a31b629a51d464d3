"""Writes power.parquet: what each site draws from the grid, by bin, and how the meter comes about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.results.columns import POWER
from gpufleet.results.parquet import TableWriter, words
from gpufleet.results.timeline import bin_edges
from gpufleet.world.layout import (
    FULL_LEVEL,
    LEVEL_S,
    OVER_J,
    OVER_S,
    POWER_LEVELS,
    SLOW_S,
    Tallies,
    World,
)
from gpufleet.world.power import grid_caps

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.sites import Site

KWH_J: Final = 3_600_000


class Drawn(NamedTuple):
    """What the power of a site was like over a whole run, W from the grid."""

    site: str
    p99_w: float
    peak_w: float
    jobs_j: tuple[tuple[str, int], ...]  # IT energy by kind of work


def write_power(path: Path, plan: Plan, world: World, tallies: Tallies, end_s: int) -> int:
    """Write power.parquet, one site after the other.

    Args:    tallies: of the engine; end_s: when the run ended.
    Returns: rows written.
    """
    edges = bin_edges(world, end_s)
    starts, widths = edges[:-1], np.diff(edges)
    n = starts.size
    assert world.power is not None
    slows = world.power.site_low < FULL_LEVEL
    with TableWriter(path, POWER) as writer:
        for code, site in enumerate(plan.sites.values()):
            idle_j = tallies.energy[code, 0, :n]
            jobs_j = tallies.energy[code, 1:, :n].sum(axis=0)
            overhead_j = overhead_of(site, idle_j + jobs_j, widths)
            meter_j = idle_j + jobs_j + overhead_j
            cap_w = lowest(grid_caps(plan, site), edges)
            intensity = mean_over(site.carbon_g_per_kwh, edges)
            writer.write({
                "t_s": starts,
                "site": words(np.full(n, code, np.int64), tuple(plan.sites)),
                "idle_j": idle_j,
                "jobs_j": jobs_j,
                "overhead_j": overhead_j,
                "meter_j": meter_j,
                "mean_w": meter_j / np.maximum(widths, 1),
                "peak_w": _from_grid(site, tallies.peak[code, :n]),
                "p99_w": _from_grid(site, np.minimum(tallies.p99, tallies.peak)[code, :n]),
                "cap_w": _known(cap_w),
                **_capped(site, tallies.capped[code, :, :n], widths, slows=bool(slows[code])),
                "carbon_kg": _known(meter_j / KWH_J * intensity / 1000.0),
            })  # fmt: skip
        return writer.rows


def _from_grid(site: Site, it_w: Ints) -> Floats:
    """Power from the grid for an IT power, W."""
    return np.asarray(it_w * site.pue + site.overhead_w, np.float64)


def _capped(site: Site, capped: Ints, widths: Ints, *, slows: bool) -> dict[str, object]:
    """What the cap did in each bin."""
    level = capped[LEVEL_S] / (FULL_LEVEL * np.maximum(widths, 1)) if slows else np.ones(widths.size)
    return {
        "over_cap_s": capped[OVER_S],
        "over_cap_j": np.rint(capped[OVER_J] * site.pue).astype(np.int64),
        "slowed_s": capped[SLOW_S] if slows else np.zeros(widths.size, np.int64),
        "level": level,
    }


def _known(values: Floats) -> list[float | None]:
    """Values as a column in which what is not finite is null."""
    return [float(value) if np.isfinite(value) else None for value in values]


def overhead_of(site: Site, it_j: Ints, seconds: Ints) -> Ints:
    """Energy of all but IT, whole J: a part of the IT energy, and what is drawn whatever runs.

    >>> from gpufleet.base.errors import Place
    >>> from gpufleet.plan.sites import Site
    >>> lab = Site(name="lab", pue=1.25, overhead_w=100.0, line=Place("p", 1))
    >>> overhead_of(lab, np.array([4000]), np.array([60])).tolist()
    [7000]
    """
    return np.rint(it_j * (site.pue - 1.0) + site.overhead_w * seconds).astype(np.int64)


def lowest(steps: list[tuple[int, float]], edges: Ints) -> Floats:
    """The lowest value that steps ((second, value), ...), from 0 on, have in each bin.

    >>> lowest([(0, 5.0), (15, 2.0), (20, 9.0)], np.array([0, 10, 20, 30])).tolist()
    [5.0, 2.0, 9.0]
    """
    t = np.array([at for at, _ in steps])
    value = np.array([value for _, value in steps], np.float64)
    first = np.searchsorted(t, edges[:-1], side="right") - 1
    last = np.searchsorted(t, edges[1:], side="left")
    return np.array([value[a : max(b, a + 1)].min() for a, b in zip(first, last, strict=True)], np.float64)


def mean_over(steps: tuple[tuple[int, float], ...], edges: Ints) -> Floats:
    """The mean of steps ((second, value), ...) over each bin; NaN where a part of it is before the first.

    >>> mean_over(((0, 400.0), (5, 200.0)), np.array([0, 10, 20])).tolist()
    [300.0, 200.0]
    """
    widths = np.maximum(np.diff(edges), 1)
    sums = np.full(widths.size, np.nan)
    if not steps:
        return sums
    sums[edges[:-1] >= steps[0][0]] = 0.0
    ends = [*(t for t, _ in steps[1:]), edges[-1] + 1]
    for (begin, value), end in zip(steps, ends, strict=True):
        inside = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0, None)
        sums += value * inside
    return sums / widths


def drawn_of(plan: Plan, world: World, kinds: list[str], tallies: Tallies) -> tuple[Drawn, ...]:
    """What the power of each site was like over the run: its P99 by time, its peak, its work by kind."""
    found = []
    for code, (name, site) in enumerate(plan.sites.items()):
        level_s = np.cumsum(tallies.level_s[code])
        if not level_s[-1] or world.power is None:
            continue
        level = int(np.searchsorted(level_s, 0.99 * level_s[-1]))
        peak = int(tallies.peak[code].max(initial=0))
        p99 = min(level * int(world.power.most_w[code]) / POWER_LEVELS, peak)
        jobs_j = tuple((kind, int(tallies.energy[code, 1 + at].sum())) for at, kind in enumerate(kinds))
        found.append(Drawn(name, p99 * site.pue + site.overhead_w, peak * site.pue + site.overhead_w, jobs_j))
    return tuple(found)
