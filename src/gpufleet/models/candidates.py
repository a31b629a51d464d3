"""Every layout of a model on at most so many GPUs, as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gpufleet.base.arrays import Ints
from gpufleet.models.architecture import Architecture
from gpufleet.models.layout import RECOMPUTE, ZERO, Layouts, violations
from gpufleet.models.machine import Machine

MICRO_BATCHES: Final = (1, 2, 4, 8)
"""Sequences at a time that are tried; more only takes memory."""
LEAST_CHUNK: Final = 1024
"""Tokens that context parallelism leaves on a GPU at least; below, attention hides nothing."""
MOST_TP: Final = 64
MOST_PP: Final = 128
MOST_RUNS: Final = 16
BATCH_SLACK: Final = 0.125
"""A batch that nobody asked for may be larger or smaller by this share, so that it divides over more GPUs."""

Table = dict[str, Ints]


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What is looked for.

    ``batches`` are sequences per step, the wished one first; ``gpus`` is the most that may be used.
    """

    gpus: int
    seq_len: int
    batches: tuple[int, ...]
    dtype: str = "bf16"


def batches_near(tokens: float, seq_len: int, *, exact: bool = False) -> tuple[int, ...]:
    """Sequences per step for a batch of so many tokens; unless exact also some near that have other divisors.

    >>> batches_near(16 * 2**20, 8192), batches_near(16 * 2**20, 8192, exact=True)
    ((2048, 1792, 1920, 2304), (2048,))
    """
    wished = max(round(tokens / seq_len), 1)
    low, high = wished * (1 - BATCH_SLACK), wished * (1 + BATCH_SLACK)
    power = 2 ** max(wished.bit_length() - 5, 0)
    near = (odd * power for odd in range(1, 40))
    others = sorted(each for each in near if low <= each <= high and each != wished and _few_factors(each))
    return (wished, *([] if exact else others))


def _few_factors(number: int) -> bool:
    """Whether a number has no prime factor above 7."""
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number == 1


def candidates(model: Architecture, at: Machine, search: Search) -> Layouts:
    """All layouts that divide as they must, whether memory suffices or not.

    Tensor parallelism stays inside a scale-up domain. Where FSDP does not divide the weights, ZeRO-1 divides
    the optimizer. Nothing is computed again; `with_recompute` does that.

    >>> from gpufleet.models.machine import machine
    >>> tiny = Architecture(name="t", layers=4, hidden=512, heads=4, ffn=2048, vocab=1000)
    >>> found = candidates(tiny, machine("DGX-H100"), Search(gpus=8, seq_len=2048, batches=(8,)))
    >>> int(found.gpus.max()), sorted(set(found.tp.tolist()))
    (8, [1, 2, 4])
    """
    table = _spread(model, at, search)
    table = _cross(table, "micro_batch", MICRO_BATCHES)
    table = _keep(table, table["global_batch"] % (table["dp"] * table["micro_batch"]) == 0)
    table = _interleave(table, model.layers)
    per_copy = table["global_batch"] // (table["dp"] * table["micro_batch"])
    interleaved = (
        (table["pp"] > 1) & (table["vpp"] * table["pp"] <= model.layers) & (per_copy % table["pp"] == 0)
    )
    table = _keep(table, (table["vpp"] == 1) | interleaved)
    table = _shard(table, at)
    table = _cross(table, "ep", _divisors(model.experts) if model.experts else (1,))
    group = table["tp"] * table["cp"] * table["dp"]
    table = _keep(table, (table["ep"] <= group) & (group % table["ep"] == 0))
    found = Layouts.of(**table, seq_len=search.seq_len, dtype=search.dtype)
    broken = violations(
        found, layers=model.layers, heads=model.heads, kv_heads=model.kv_heads, experts=model.experts
    )
    return found.take(~np.any(list(broken.values()), axis=0))


def with_recompute(layouts: Layouts) -> Layouts:
    """The same layouts, every layer computed again in the backward pass."""
    return layouts._replace(recompute=np.full_like(layouts.recompute, RECOMPUTE.index("full")))


def _spread(model: Architecture, at: Machine, search: Search) -> Table:
    """TP, PP, CP, DP and batch, with at most the GPUs that there are."""
    tp = [t for t in _divisors(model.heads) if t <= min(at.domain, MOST_TP)]
    table: Table = {"tp": np.array(tp, dtype=np.int64)}
    table = _cross(table, "pp", _stages(model.layers))
    table = _cross(table, "cp", _contexts(search.seq_len))
    table = _keep(table, table["tp"] * table["pp"] * table["cp"] <= search.gpus)
    copies = [_divisors(each) for each in search.batches]
    pairs = [
        (dp, batch)
        for batch, all_dp in zip(search.batches, copies, strict=True)
        for dp in all_dp
        if batch == search.batches[0] or search.batches[0] % dp
    ]
    dp, batch = np.array(pairs, dtype=np.int64).T
    table = _cross(table, "row", range(len(pairs)))
    rows = table.pop("row")
    table |= {"dp": dp[rows], "global_batch": batch[rows]}
    return _keep(table, table["tp"] * table["pp"] * table["cp"] * table["dp"] <= search.gpus)


def _stages(layers: int) -> list[int]:
    """Numbers of stages: powers of two, and for each number of layers of a stage the fewest that reach it."""
    fewest = {-(-layers // each): each for each in range(min(layers, MOST_PP), 0, -1)}
    powers = {2**e for e in range(8) if 2**e <= min(layers, MOST_PP)}
    return sorted({*fewest.values(), *powers})


def _contexts(seq_len: int) -> list[int]:
    most = max(seq_len // LEAST_CHUNK, 1)
    return [2**e for e in range(10) if 2**e <= most and (e == 0 or seq_len % 2 ** (e + 1) == 0)]


def _interleave(table: Table, layers: int) -> Table:
    """Runs of layers per stage: one, two, four, and as many as there are layers for, up to `MOST_RUNS`."""
    most = np.minimum(layers // table["pp"], MOST_RUNS)
    table = _cross(table | {"most": most}, "vpp", (1, 2, 4, 0))
    most, code = table.pop("most"), table["vpp"]
    table |= {"vpp": np.where(code == 0, most, code)}
    return _keep(table, (code > 0) | (most == 3) | (most > 4))


def _shard(table: Table, at: Machine) -> Table:
    """ZeRO-1; FSDP over all copies; FSDP over a domain only, between which gradients are summed (hybrid)."""
    table = _cross(table, "way", (0, 1, 2))
    group, way = table["dp"] * table["cp"], table.pop("way")
    inside = at.domain // table["tp"]
    hybrid = (
        (way == 2)
        & (group > inside)
        & (inside > 1)
        & (group % np.maximum(inside, 1) == 0)
        & (table["pp"] == 1)
    )
    whole = (way == 1) & (group > 1) & (table["vpp"] == 1)
    table |= {
        "zero": np.where(way == 0, ZERO.index("zero1"), ZERO.index("fsdp")),
        "shards": np.where(hybrid, inside, 0),
    }
    return _keep(table, (way == 0) | whole | hybrid)


def _divisors(number: int) -> list[int]:
    small = [each for each in range(1, math.isqrt(number) + 1) if number % each == 0]
    return sorted({*small, *(number // each for each in small)})


def _cross(table: Table, name: str, values: Iterable[int]) -> Table:
    """Each row with each value."""
    column = np.array(list(values), dtype=np.int64)
    rows = len(next(iter(table.values())))
    return {key: np.repeat(each, column.size) for key, each in table.items()} | {name: np.tile(column, rows)}


def _keep(table: Table, mask: npt.NDArray[np.bool_]) -> Table:
    return {key: each[mask] for key, each in table.items()}
