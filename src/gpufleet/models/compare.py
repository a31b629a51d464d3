"""How far predictions are from what was measured, by group."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.models.runs import Run


class Errors(NamedTuple):
    """Errors of a group of runs; a configuration that a source repeats counts once, with its mean error."""

    rows: int
    configurations: int
    mape_pct: float
    median_pct: float  # of the absolute errors
    bias_pct: float  # mean with sign; above 0: predicted too slow
    worst_pct: float  # with sign
    worst_id: str


def errors_pct(predicted: Floats, measured: Floats) -> Floats:
    """Percent by which predictions are above what was measured.

    >>> errors_pct(np.array([1.1, 0.5]), np.array([1.0, 1.0])).round().tolist()
    [10.0, -50.0]
    """
    return 100.0 * (predicted / measured - 1.0)


def summed(runs: Sequence[Run], errors: Floats, rows: Sequence[int]) -> Errors:
    """Errors of some rows."""
    by: dict[str, list[int]] = {}
    for row in rows:
        by.setdefault(runs[row].configuration, []).append(row)
    means = np.array([float(np.mean(errors[members])) for members in by.values()])
    worst = int(np.argmax(np.abs(means)))
    first = next(members for number, members in enumerate(by.values()) if number == worst)
    size = np.abs(means)
    return Errors(
        rows=len(rows),
        configurations=len(by),
        mape_pct=float(size.mean()),
        median_pct=float(np.median(size)),
        bias_pct=float(means.mean()),
        worst_pct=float(means[worst]),
        worst_id=runs[first[0]].id,
    )


def by_group(
    runs: Sequence[Run], errors: Floats, key: Callable[[Run], Hashable | None]
) -> dict[Hashable, Errors]:
    """Errors by whatever a run is grouped by; runs whose key is None are left out."""
    rows: dict[Hashable, list[int]] = {}
    for number, run in enumerate(runs):
        name = key(run)
        if name is not None:
            rows.setdefault(name, []).append(number)
    return {name: summed(runs, errors, members) for name, members in sorted(rows.items(), key=str)}
