"""How a model is spread over GPUs, many layouts at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints

RECOMPUTE: Final = ("none", "selective", "full")
"""What is computed again in the backward pass: nothing, the core of attention, every layer."""
DTYPES: Final = ("bf16", "fp8", "mxfp8", "fp4")
"""Number types of the linear layers. `fp8` scales whole tensors, `mxfp8` blocks; the rest is always BF16."""
ZERO: Final = ("none", "zero1", "fsdp")
"""What the data-parallel group divides: nothing, the optimizer, or weights and gradients too."""
ATTENTION: Final = ("fused", "unfused", "fused_2022")
"""Attention in one kernel of today, with all scores in memory as before 2023, or in FlashAttention's first
kernel."""
_CODES: Final = {"recompute": RECOMPUTE, "dtype": DTYPES, "zero": ZERO, "attention": ATTENTION}


class Layouts(NamedTuple):
    """Layouts of one model, one row each. Every array has shape (n_layouts,).

    >>> two = Layouts.of(tp=[1, 8], dp=4, micro_batch=1, global_batch=8, seq_len=4096, zero="fsdp")
    >>> two.gpus.tolist(), two.micro_batches.tolist(), ZERO[two.zero[0]]
    ([4, 32], [2, 2], 'fsdp')
    """

    tp: Ints  # GPUs that share each linear layer
    pp: Ints  # stages of the pipeline
    vpp: Ints  # runs of layers per stage, interleaved; 1: not interleaved
    dp: Ints  # copies of the model, each with its own sequences
    cp: Ints  # GPUs that share each sequence
    ep: Ints  # GPUs that share the experts; divides tp * cp * dp
    micro_batch: Ints  # sequences at a time, per copy
    global_batch: Ints  # sequences per step
    seq_len: Ints  # tokens
    sequence_parallel: Ints  # 1: norms and residuals are divided by TP too
    zero: Ints  # row of ZERO
    shards: Ints  # GPUs that FSDP divides over (hybrid below dp * cp); 0: all dp * cp
    recompute: Ints  # row of RECOMPUTE
    dtype: Ints  # row of DTYPES
    attention: Ints  # row of ATTENTION
    overlap: Ints  # 1: gradients and parts of what TP sends travel while other work computes
    recompute_pct: Ints  # of the layers that full recomputation is applied to

    @classmethod
    def of(cls, **given: Any) -> Layouts:
        """Layouts from numbers, names or lists of them; what is not given is 1, or nothing.

        By default with TP sequences are parallel, ZeRO-1, nothing computed again, BF16, fused attention,
        overlap.

        Raises: TypeError for a name that no layout has, ValueError for a word that is no choice.
        """
        if unknown := set(given) - set(cls._fields):
            raise TypeError(f"no part of a layout: {', '.join(sorted(unknown))}")
        columns = {name: _numbers(name, given.get(name, _DEFAULTS.get(name, 1))) for name in cls._fields}
        if "sequence_parallel" not in given:
            columns["sequence_parallel"] = (columns["tp"] > 1).astype(np.int64)
        return cls(*(column.copy() for column in np.broadcast_arrays(*columns.values())))

    @property
    def gpus(self) -> Ints:
        """GPUs of each layout."""
        return self.tp * self.pp * self.dp * self.cp

    @property
    def micro_batches(self) -> Ints:
        """Micro-batches that each copy takes per step, rounded down."""
        return self.global_batch // (self.dp * self.micro_batch)

    @property
    def tokens(self) -> Floats:
        """Tokens per step."""
        return np.asarray(self.global_batch * self.seq_len, dtype=np.float64)

    @property
    def fsdp(self) -> Ints:
        """GPUs that weights are divided over; 1 without FSDP."""
        shards = np.where(self.shards > 0, self.shards, self.dp * self.cp)
        return np.asarray(np.where(self.zero == 2, shards, 1), dtype=np.int64)

    def take(self, rows: Any) -> Layouts:
        """Some of the layouts, by mask or row numbers."""
        return Layouts(*(column[rows] for column in self))

    def each(self) -> Iterator[dict[str, Any]]:
        """The layouts as dictionaries, words in place of codes."""
        for row in zip(*self, strict=True):
            yield {
                name: _CODES[name][value] if name in _CODES else int(value)
                for name, value in zip(self._fields, row, strict=True)
            }


_DEFAULTS: Final[dict[str, Any]] = {
    "zero": "zero1",
    "recompute": "none",
    "dtype": "bf16",
    "attention": "fused",
    "sequence_parallel": 0,
    "shards": 0,
    "recompute_pct": 100,
}


def _numbers(name: str, value: Any) -> Ints:
    values = np.atleast_1d(np.asarray(value))
    if values.dtype.kind not in "US":
        return values.astype(np.int64)
    words = _CODES.get(name, ())
    if unknown := {str(each) for each in values} - set(words):
        raise ValueError(
            f"{name} is one of {', '.join(words) or 'numbers'}, not {', '.join(sorted(unknown))}"
        )
    return np.array([words.index(str(each)) for each in values], dtype=np.int64)


def violations(layouts: Layouts, *, layers: int, heads: int, kv_heads: int, experts: int) -> dict[str, Any]:
    """Which layouts cannot be, by rule; a layout may break several.

    Returns: for each rule a mask of shape (n_layouts,), True where it is broken.

    >>> odd = Layouts.of(tp=[1, 3], dp=2, micro_batch=1, global_batch=8, seq_len=4096)
    >>> {rule: broken.tolist() for rule, broken in violations(
    ...     odd, layers=4, heads=8, kv_heads=8, experts=0).items() if broken.any()}
    {'tp divides heads': [False, True], 'tp and kv_heads divide': [False, True]}
    """
    group = layouts.dp * layouts.cp
    return {
        "tp divides heads": heads % layouts.tp != 0,
        "tp and kv_heads divide": (kv_heads % layouts.tp != 0) & (layouts.tp % kv_heads != 0),
        "pp * vpp is at most the layers": layouts.pp * layouts.vpp > layers,
        "vpp needs pp": (layouts.vpp > 1) & (layouts.pp == 1),
        "dp * micro_batch divides global_batch": layouts.global_batch % (layouts.dp * layouts.micro_batch)
        != 0,
        "vpp needs micro-batches in multiples of pp": (layouts.vpp > 1)
        & (layouts.micro_batches % layouts.pp != 0),
        "2 * cp divides seq_len": (layouts.cp > 1) & (layouts.seq_len % (2 * layouts.cp) != 0),
        "ep divides experts": (layouts.ep > 1) & (experts % layouts.ep != 0 if experts else layouts.ep > 1),
        "ep divides tp * cp * dp": layouts.tp * group % layouts.ep != 0,
        "shards divide dp * cp": (layouts.shards > 0) & (group % np.maximum(layouts.shards, 1) != 0),
    }
