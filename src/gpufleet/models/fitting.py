"""Curves of matrix products and collectives from measured times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.models.collectives import collective_s, moved
from gpufleet.models.gemm import BYTES, CAST, gemm_s
from gpufleet.models.layout import DTYPES

GEMM_PARAMETERS: Final = ("efficiency", "depth", "area", "launch_us", "memory_efficiency")
WAVE_PARAMETERS: Final = (*GEMM_PARAMETERS, "split_depth")
COLLECTIVE_PARAMETERS: Final = ("start_us", "hop_us", "efficiency", "copy", "ramp")
_GEMM_PRIOR: Final = np.log([0.7, 150.0, 2e5, 4e-6, 0.8])
_WAVE_PRIOR: Final = np.append(_GEMM_PRIOR, np.log(700.0))
_COLLECTIVE_PRIOR: Final = np.log([6e-6, 1e-6, 0.85, 0.2, 0.8])
_GEMM_PULL: Final = 0.3
_COLLECTIVE_PULL: Final = 0.2
_LARGE_GEMM: Final = 1024
_LARGE_BYTES: Final = 4e6
LEAST_SAMPLES: Final = 8
"""Times that a curve of five numbers is fitted to, at least."""


class Fitted(NamedTuple):
    """The numbers of a curve by name, and how far it is from what was measured."""

    values: dict[str, float]
    samples: int
    error_pct: float  # mean over all
    large_error_pct: float  # mean over the large sizes, which training uses


def least_squares(residuals: Callable[[Floats], Floats], start: Floats, rounds: int = 60) -> Floats:
    """Least squares by Levenberg and Marquardt, derivatives by differences.

    >>> x = np.array([0.0, 1.0, 2.0])
    >>> found = least_squares(lambda p: p[0] * x + p[1] - np.array([1.0, 3.0, 5.0]), np.zeros(2))
    >>> found.round(6).tolist()
    [2.0, 1.0]
    """
    found, damping = start.copy(), 1e-2
    at = residuals(found)
    for _ in range(rounds):
        slopes = np.stack(
            [(residuals(found + step) - at) / 1e-4 for step in 1e-4 * np.eye(found.size)], axis=1
        )
        normal = slopes.T @ slopes
        move = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -slopes.T @ at)
        tried = residuals(found + move)
        if tried @ tried < at @ at:
            found, at, damping = found + move, tried, max(damping / 3, 1e-9)
        else:
            damping *= 4
    return found


def fit_gemm(
    m: Floats,
    n: Floats,
    k: Floats,
    seconds: Floats,
    *,
    peak_flops: float,
    memory_bw: float,
    dtype: str,
    wave: float | None = None,
) -> Fitted:
    """The curve of matrix products of one product in one number type.

    Args: m, n, k: elements, seconds: measured, shape (n_samples,); peak_flops: FLOP/s; memory_bw: bytes/s;
          wave: elements, as in `gemm_s`.

    >>> sizes = np.array([512.0, 1024, 2048, 4096, 8192, 1024, 4096, 8192])
    >>> s = 2 * sizes**3 / 700e12 + 5e-6
    >>> fitted = fit_gemm(sizes, sizes, sizes, s, peak_flops=1e15, memory_bw=3e12, dtype="bf16")
    >>> 0.65 < fitted.values["efficiency"] < 0.85
    True
    """
    code = DTYPES.index(dtype)
    large = np.minimum(np.minimum(m, n), k) >= _LARGE_GEMM
    weight = np.where(large, 1.0, np.where(m >= 128, 0.3, 0.1))

    def time(p: Floats) -> Floats:
        efficiency, depth, area, launch, memory, *split = np.exp(p)
        return gemm_s(m, n, k, rate=peak_flops * efficiency, depth=depth, area=area, launch=launch,
                      bandwidth=memory_bw * memory, size=BYTES[code], cast=CAST[code],
                      wave=wave or 0.0, split=split[0] if split else 0.0)  # fmt: skip

    if wave is None:
        return _fitted(time, seconds, weight, large, _GEMM_PRIOR, _GEMM_PULL, GEMM_PARAMETERS)
    return _fitted(time, seconds, weight, large, _WAVE_PRIOR, _GEMM_PULL, WAVE_PARAMETERS)


def fit_collective(operation: str, gpus: Floats, size: Floats, seconds: Floats, *, link_bw: float) -> Fitted:
    """The curve of one collective inside a scale-up domain.

    Args: gpus: in the group; size: bytes as in `collectives.moved`; seconds: measured; link_bw: bytes/s of a
          GPU, one direction.

    >>> size, gpus = np.array([1e6, 4e6, 16e6, 64e6, 256e6] * 2), np.repeat([2.0, 8.0], 5)
    >>> s = 1e-5 + moved("all_gather", size, gpus) / 360e9
    >>> fitted = fit_collective("all_gather", gpus, size, s, link_bw=450e9)
    >>> fitted.large_error_pct < 15
    True
    """
    large = size >= _LARGE_BYTES
    weight = np.where(large, 1.0, 0.2)

    def time(p: Floats) -> Floats:
        start, hop, efficiency, copy, ramp = np.exp(p)
        return collective_s(moved(operation, size, gpus), gpus, start=start, hop=hop,
                            rate=link_bw * efficiency, copied=copy * size, ramp=ramp)  # fmt: skip

    return _fitted(time, seconds, weight, large, _COLLECTIVE_PRIOR, _COLLECTIVE_PULL, COLLECTIVE_PARAMETERS)


def _fitted(
    time: Callable[[Floats], Floats],
    seconds: Floats,
    weight: Floats,
    large: Any,
    prior: Floats,
    pull: float,
    names: tuple[str, ...],
) -> Fitted:
    """Least squares of the logarithm of time, each number drawn weakly to a common value."""

    def residuals(p: Floats) -> Floats:
        return np.append(weight * np.log(time(p) / seconds), pull * (p - prior))

    found = least_squares(residuals, prior)
    error = 100 * np.abs(time(found) / seconds - 1)
    values = {
        name: float(f"{value * (1e6 if name.endswith('_us') else 1):.4g}")
        for name, value in zip(names, np.exp(found), strict=True)
    }
    shown = error[large] if np.any(large) else error
    return Fitted(values, len(seconds), round(float(error.mean()), 1), round(float(shown.mean()), 1))
