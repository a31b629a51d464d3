"""How long a matrix product takes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from gpufleet.base.arrays import Floats

BYTES: Final = np.array([2.0, 1.0, 1.0 + 1 / 32, 0.5 + 1 / 16])
"""Bytes of one input element, by row of `layout.DTYPES`; blocks of 32 or 16 share a scale of one byte."""
CAST: Final = np.array([0.0, 5.0, 3.0, 3.0])
"""Bytes moved to cast one element of an input from BF16; `fp8` first reads the whole tensor for its scale."""
_SHARP: Final = 4.0


def gemm_s(
    m: Any,
    n: Any,
    k: Any,
    *,
    rate: Any,
    depth: Any,
    area: Any,
    launch: Any,
    bandwidth: Any,
    size: Any,
    cast: Any = 0.0,
    copies: Any = 1.0,
    wave: Any = 0.0,
    split: Any = 0.0,
) -> Floats:
    """Seconds for the product of an m x k and a k x n matrix.

    What computing takes, as if the result had ``area`` more elements (the first wave of tiles fills the GPU)
    and the sum ``depth`` more terms (filling and draining each tile); or what reading and writing takes;
    whichever is longer, rounded at the corner. Before that the m x k matrix is cast to the number type.
    Where kernels compute in waves, a part of a wave takes as long as a whole one.

    Args:
        m, n, k: elements; of a grouped product m is the sum over its groups.
        rate: FLOP/s that large products reach; bandwidth: bytes/s; launch: s; size: bytes of an input
        element.
        cast: bytes moved to cast an element of the m x k matrix.
        copies: groups, each with its own k x n matrix.
        wave: elements of the result that the GPU computes at a time; 0: its kernels share out the work
        evenly. split: as ``depth``, of two parts of each sum.
    Source: fitted to measured products (`tools/curves.py`), mean error per row in catalog/gemm_curves.csv.

    >>> s = gemm_s(4096, 4096, 4096, rate=1e12, depth=0, area=0, launch=0, bandwidth=1e30, size=2)
    >>> round(float(s), 6)
    0.137439
    """
    computing = 2.0 * _terms(m, n, k, depth=depth, area=area, wave=wave, split=split) / rate
    moving = (size * (m * k + copies * k * n) + 2.0 * m * n) / bandwidth
    slower = np.maximum(computing, moving)
    other = np.minimum(computing, moving) / slower
    casting = cast * m * k / bandwidth
    return np.asarray(launch + casting + slower * (1.0 + other**_SHARP) ** (1.0 / _SHARP))


def _terms(m: Any, n: Any, k: Any, *, depth: Any, area: Any, wave: Any, split: Any) -> Any:
    """Products that are added up in the time that a product takes, those that only fill it too.

    Below one wave the library takes smaller tiles. Above it can split the sums in two or four, so that the
    last wave is shorter, and add the parts up at the end.
    """
    even = (m * n + area) * (k + depth)
    if not np.any(wave):
        return even
    waves = m * n / np.where(wave > 0, wave, np.inf)
    whole = np.where(waves > 1, np.ceil(waves) * wave, np.minimum(m * n + area, wave)) * (k + depth)
    halves = np.ceil(2 * waves) / 2 * wave * (k + split)
    quarters = np.ceil(4 * waves) / 4 * wave * (k + 2 * split)
    in_waves = np.where(waves > 1, np.minimum(whole, np.minimum(halves, quarters)), whole)
    return np.where(wave > 0, in_waves, even)
