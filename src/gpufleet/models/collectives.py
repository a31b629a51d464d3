"""How long collectives take: inside a scale-up domain as measured, across domains over the fabric."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from gpufleet.base.arrays import Floats

OPERATIONS: Final = ("all_gather", "reduce_scatter", "all_reduce", "all_to_all")


def moved(operation: str, size: Any, n: Any) -> Floats:
    """Bytes that each of n GPUs sends.

    Args: size: bytes of the whole result (all_gather), the whole input (reduce_scatter, all_reduce), or what
          one GPU has for all, itself too (all_to_all). n: GPUs.

    >>> [float(moved(each, 800, 8)) for each in OPERATIONS]
    [700.0, 700.0, 1400.0, 700.0]
    """
    return np.asarray((2.0 if operation == "all_reduce" else 1.0) * size * (n - 1.0) / n)


def collective_s(sent: Any, n: Any, *, start: Any, hop: Any, rate: Any, copied: Any, ramp: Any) -> Floats:
    """Seconds for a collective of n GPUs over links of one kind; none for n = 1.

    A start, a hop per further GPU, the bytes at the full rate, and a ramp between: small messages reach less.

    Args: sent: bytes that each GPU sends; copied: bytes that it moves in its own memory besides; start, hop:
          s;
          rate: bytes/s; ramp: share of the geometric mean of the two.
    Source: fitted to measured collectives (`tools/curves.py`).

    >>> float(collective_s(7e9, 8, start=0, hop=0, rate=7e9, copied=0, ramp=0))
    1.0
    """
    waiting = start + hop * (n - 1.0)
    moving = (sent + copied) / rate
    return np.where(np.asarray(n) > 1, waiting + moving + ramp * np.sqrt(waiting * moving), 0.0)
