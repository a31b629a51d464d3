"""Distributions as a few knots of their quantile function, linear between them."""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats

MOST_KNOTS: Final = 64
AREA: Final = 0.002  # of the mean: how far the area under one stretch may be off
SHIFT: Final = 0.004  # of probability: how far a knot-less stretch may lie beside the data

_EPSILON: Final = 1e-300


class Curve(NamedTuple):
    """Knots of a function that ascends; both arrays have shape (n_knots,)."""

    p: Floats  # ascending strictly from 0 to 1
    value: Floats  # ascending


def quantiles(sample: Floats, most: int = MOST_KNOTS) -> Curve:
    """The quantile function of a sample, thinned to few knots with the same mean.

    Args:    sample: shape (n,), n >= 1, finite, >= 0, in any order.   most: knots to keep, >= 4.
    Returns: its mean, by the area under the knots, is the sample's mean but for rounding.

    >>> quantiles(np.array([4.0, 2.0])).value.tolist()
    [2.0, 2.0, 4.0, 4.0]
    """
    values, times = np.unique(sample.astype(np.float64), return_counts=True)
    share = times / times.sum()
    end = np.cumsum(share)
    beside = np.maximum(np.append(share[1:], 0.0), np.append(0.0, share[:-1]))
    # so many equal values, and not beside them, are a step; else a clock has rounded
    step = (share > 2 * SHIFT) & (share > 4 * beside)
    low, high = end - share + np.where(step, 0.5 / sample.size, share / 2), end - 0.5 / sample.size
    p = np.column_stack((low, high))[np.column_stack((np.full(step.size, True), step & (times > 1)))]
    knots = np.repeat(values, 1 + (step & (times > 1)))
    whole = Curve(np.concatenate(([0.0], p, [1.0])), np.concatenate((knots[:1], knots, knots[-1:])))
    return with_mean(thin(whole, most), float(sample.mean()))


def mean_of(curve: Curve) -> float:
    """The area under a curve: the mean of the distribution whose quantile function it is.

    >>> mean_of(Curve(np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0, 9.0])))
    4.0
    """
    return float(np.trapezoid(curve.value, curve.p))


def with_mean(curve: Curve, mean: float) -> Curve:
    """The curve, stretched a little so that it has this mean."""
    area = mean_of(curve)
    return Curve(curve.p, curve.value * (mean / area)) if area > 0 else curve


def thin(curve: Curve, most: int) -> Curve:
    """A curve with at most so many of its knots: always the first and last, then those that matter most.

    A stretch between two kept knots matters by the area and the probability by which the straight line beside
    it is off; stretches closer than `AREA` and `SHIFT` are left straight.
    """
    total = max(mean_of(curve), _EPSILON)
    kept, last = [0, curve.p.size - 1], curve.p.size - 1
    stretches = [_worst(curve, 0, last, total)]
    while len(kept) < most and stretches and stretches[0][0] < -1:
        _, middle, low, high = heapq.heappop(stretches)
        kept.append(middle)
        for a, b in ((low, middle), (middle, high)):
            if b - a > 1:
                heapq.heappush(stretches, _worst(curve, a, b, total))
    rows = np.array(sorted(kept))
    return Curve(curve.p[rows], curve.value[rows])


def _worst(curve: Curve, low: int, high: int, total: float) -> tuple[float, int, int, int]:
    """How wrong a straight line from knot low to knot high is (as a negative, 1 = as much as is allowed), and
    the knot at which it is most wrong."""
    p, value = curve.p[low : high + 1], curve.value[low : high + 1]
    across, up = p[-1] - p[0], value[-1] - value[0]
    off = np.abs(value - (value[0] + up * (p - p[0]) / across))
    area = float(np.trapezoid(off, p)) / total / AREA
    if up <= 0:
        return -area, low + off.size // 2, low, high
    beside = np.abs(p - (p[0] + across * (value - value[0]) / up)) / SHIFT
    by_value = area >= float(beside.max())
    worst = 1 + int(np.argmax((off if by_value else beside)[1:-1])) if off.size > 2 else 0
    return -max(area, float(beside.max())), low + worst, low, high
