"""Which layouts of a model are best on some GPUs, and why the next one is not.

All layouts that divide (`candidates`) and fit in memory are computed at once; what is best depends on what is
asked for: time, cost, energy or GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.base.errors import GpufleetError, explain_codes, finding
from gpufleet.base.say import say
from gpufleet.catalog.load import gpus as products
from gpufleet.models.architecture import Architecture
from gpufleet.models.candidates import Search, candidates, with_recompute
from gpufleet.models.layout import DTYPES, Layouts, violations
from gpufleet.models.machine import Machine
from gpufleet.models.training import MEMORY_USABLE, Memory, Step, memory, step

__all__ = ["By", "Loss", "Options", "Search", "options", "per_token"]

explain_codes(
    """
M010 no layout of the model fits in memory
Weights, gradients, optimizer and activations must fit on each GPU. The layout that needs least is named, with
what it is short of, and the fewest GPUs on which one fits.
    gpufleet train llama-3.1-405b --gpus 8 --product H100 --tokens 1T      # short of hundreds of GB per GPU

M011 a layout that cannot be
Tensor parallelism divides the heads, a pipeline has at most as many stages as layers, expert parallelism
divides the experts, and copies times micro-batch divide the batch.
    gpufleet train llama-3-8b --gpus 64 --product H100 --layout tp=3      # 32 heads / 3

M012 the product does not compute in that number type
A100 has no FP8, H100 no FP4.
    gpufleet train llama-3-8b --gpus 64 --product A100-80GB --precision fp8
"""
)

By = Literal["time", "cost", "energy", "gpus"]
PARTS: Final = (*("gemm", "attention", "other", "tp", "cp", "ep", "pp", "dp", "bubble", "optimizer"),)
"""Parts of a step; `Step` has each in seconds, and their sum."""
_CHUNK: Final = 16_384
"""Layouts that are computed at a time: what fits in the processor's cache is fastest."""
_KIND: Final = ("tp", "pp", "cp", "ep")
"""What makes two layouts different in kind; micro-batches, interleaving and what ZeRO divides do not."""
_MOST_GPUS: Final = 2**20


class Loss(NamedTuple):
    """Why one layout is slower than another, in seconds of a step of the same tokens."""

    slower: float  # share of the other's time
    longer: tuple[tuple[str, float], ...]  # parts that take longer and by how much, the largest first
    shorter: tuple[tuple[str, float], ...]  # parts that take less, and by how much


@dataclass(frozen=True)
class Options:
    """The layouts that fit, computed. Rows of ``layouts`` and ``steps`` are the same."""

    model: Architecture
    at: Machine
    search: Search
    layouts: Layouts
    steps: Step
    tried: int  # that divide, whether they fit or not

    def rank(self, by: By = "time") -> Ints:
        """Rows, the best first. Ties go to fewer GPUs, then to less memory, then to the simpler layout."""
        gpus, time = self.layouts.gpus.astype(np.float64), per_token(self.layouts, self.steps)
        value = {"time": time, "cost": time * gpus, "energy": self.energy_per_token, "gpus": gpus}[by]
        simple = self.layouts.pp * self.layouts.vpp + self.layouts.cp + self.layouts.tp
        keys = (simple, np.round(self.steps.memory.total / 1e9), gpus, np.round(time / time.min(), 9))
        return np.lexsort((*keys, value / value.min()))

    @property
    def energy_per_token(self) -> Floats:
        """J per token."""
        return self.steps.energy_j / self.layouts.tokens

    def best(self, by: By = "time") -> int:
        """Row of the best."""
        return int(self.rank(by)[0])

    def runner_up(self, best: int, by: By = "time") -> int | None:
        """Row of the best that is different in kind from a row; None if there is none."""
        columns = [getattr(self.layouts, name) for name in _KIND]
        other = np.any([column != column[best] for column in columns], axis=0)
        return next((int(row) for row in self.rank(by) if other[row]), None)

    def why(self, loser: int, winner: int) -> Loss:
        """What makes one row slower than another.

        >>> from gpufleet.models.architectures import architecture
        >>> from gpufleet.models.machine import machine
        >>> search = Search(gpus=64, seq_len=8192, batches=(128,))
        >>> found = options(architecture("llama-3-8b"), machine("H100"), search)
        >>> loss = found.why(found.runner_up(found.best()), found.best())
        >>> loss.slower > 0, loss.longer[0][1] > 0
        (True, True)
        """
        time = per_token(self.layouts, self.steps)
        tokens = float(self.layouts.tokens[winner])
        parts = {name: getattr(self.steps, f"{name}_s") / self.layouts.tokens for name in PARTS}
        more = {name: float(each[loser] - each[winner]) * tokens for name, each in parts.items()}
        order = sorted(more.items(), key=lambda part: -abs(part[1]))
        return Loss(
            float(time[loser] / time[winner] - 1),
            tuple((name, by) for name, by in order if by > 0),
            tuple((name, -by) for name, by in order if by < 0),
        )

    def front(self) -> Ints:
        """Rows of the fastest for each number of GPUs that is faster than all smaller ones, ascending."""
        time, gpus = per_token(self.layouts, self.steps), self.layouts.gpus
        order = np.lexsort((time, gpus))
        first = np.unique(gpus[order], return_index=True)[1]
        rows = order[first]
        before = np.concatenate([[np.inf], np.minimum.accumulate(time[rows])[:-1]])
        return np.asarray(rows[time[rows] < before])

    def only(self, mask: Any) -> Options:
        """The same with some of the rows."""
        rows = np.flatnonzero(mask)
        return Options(
            self.model, self.at, self.search, self.layouts.take(rows), _take(self.steps, rows), self.tried
        )

    def layout(self, row: int) -> dict[str, Any]:
        """One layout, words in place of codes."""
        return next(self.layouts.take([row]).each())

    def parts_s(self, row: int) -> dict[str, float]:
        """Seconds of a step by part."""
        return {name: float(getattr(self.steps, f"{name}_s")[row]) for name in PARTS}

    def memory_bytes(self, row: int) -> dict[str, float]:
        """Bytes per GPU by part."""
        return {name: float(getattr(self.steps.memory, name)[row]) for name in Memory._fields}


def per_token(layouts: Layouts, steps: Step) -> Floats:
    """Seconds of training per token."""
    return np.asarray(steps.step_s / layouts.tokens)


def options(
    model: Architecture,
    at: Machine,
    search: Search,
    *,
    fixed: Mapping[str, int] | None = None,
    everything: bool = False,
) -> Options:
    """All layouts on at most so many GPUs that fit, computed.

    Args:   fixed: parts that a layout must have, as tp=8; everything: those on few GPUs too, which cannot be
            fastest. The fastest is among the rows in any case.
    Raises: GpufleetError M010 if none fits, M011 if none divides with what is fixed, M012 for the number
            type.

    >>> from gpufleet.models.architectures import architecture
    >>> from gpufleet.models.machine import machine
    >>> search = Search(gpus=8, seq_len=8192, batches=(64,))
    >>> found = options(architecture("llama-3-8b"), machine("H100"), search)
    >>> int(found.layouts.gpus[found.best()])
    8
    """
    if not at.supports(search.dtype):
        _refuse_dtype(at, search.dtype)
    wished = _with(candidates(model, at, search), fixed)
    if not len(wished.tp):
        _refuse_fixed(model, search, fixed or {})
    fitting = _fitting(model, at, wished)
    if not len(fitting.tp):
        _refuse_memory(model, at, search, wished)
    most = int(fitting.gpus.max())
    large = fitting.gpus * 2 > most
    found = Options(model, at, search, *_computed(model, at, fitting.take(large)), len(wished.tp))
    least = 0 if everything else _may_be_fastest(found)
    rest = fitting.take(~large & (fitting.gpus >= least))
    if not len(rest.tp):
        return found
    layouts, steps = _computed(model, at, rest)
    return Options(
        model, at, search, _joined([found.layouts, layouts]), _joined([found.steps, steps]), found.tried
    )


def _may_be_fastest(found: Options) -> float:
    """GPUs below which no layout can be faster than the best so far, not even at the peak rate."""
    best = found.best()
    return float(found.layouts.gpus[best] * found.steps.mfu[best])


def _fitting(model: Architecture, at: Machine, layouts: Layouts) -> Layouts:
    """Those that fit; where one does not, the same with every layer computed again, if that does."""
    usable = MEMORY_USABLE * at.memory_bytes
    fits = memory(model, layouts).total <= usable
    again = with_recompute(layouts.take(~fits))
    found: Layouts = _joined([layouts.take(fits), again.take(memory(model, again).total <= usable)])
    return found


def _computed(model: Architecture, at: Machine, layouts: Layouts) -> tuple[Layouts, Step]:
    starts = range(0, len(layouts.tp), _CHUNK)
    parts = [step(model, layouts.take(slice(start, start + _CHUNK)), at) for start in starts]
    return layouts, _joined(parts)


def _joined(parts: list[Any]) -> Any:
    """Tuples of arrays, and of such tuples, end to end."""
    first = parts[0]
    if isinstance(first, tuple):
        return type(first)(*(_joined(list(column)) for column in zip(*parts, strict=True)))
    return np.concatenate(parts)


def _take(part: Any, rows: Ints) -> Any:
    if isinstance(part, tuple):
        return type(part)(*(_take(each, rows) for each in part))
    return part[rows]


def _with(layouts: Layouts, fixed: Mapping[str, int] | None) -> Layouts:
    masks = [getattr(layouts, name) == value for name, value in (fixed or {}).items()]
    return layouts.take(np.all(masks, axis=0)) if masks else layouts


def _refuse_dtype(at: Machine, dtype: str) -> None:
    has = [each for each in DTYPES if at.supports(each)]
    says = say("{product} does not compute in {dtype}", product=at.product, dtype=dtype.upper())
    fix = say("choose {known: or }", known=[each.upper() for each in has])
    rate = {"fp8": "fp8_tflops", "mxfp8": "fp8_tflops", "fp4": "fp4_tflops"}.get(dtype, "bf16_tflops")
    others = [row.id for row in products().values() if getattr(row, rate) and row.vendor == "NVIDIA"][-4:]
    if others:
        fix = say("{fix}, or another product: {others:, }", fix=fix, others=others)
    raise GpufleetError(finding("M012", says, fix))


def _refuse_fixed(model: Architecture, search: Search, fixed: Mapping[str, int]) -> None:
    """Says which rule what is fixed breaks, with the numbers."""
    given = {name: fixed.get(name, 1) for name in ("tp", "pp", "vpp", "dp", "cp", "ep", "micro_batch")}
    one = Layouts.of(**given, global_batch=search.batches[0], seq_len=search.seq_len)
    broken = violations(
        one, layers=model.layers, heads=model.heads, kv_heads=model.kv_heads, experts=model.experts
    )
    rules = [rule for rule, mask in broken.items() if mask[0]]
    has = say(
        "{heads} heads, {kv} key and value heads, {layers} layers, {experts} experts, {batch:,} sequences "
        "per step",
        heads=model.heads,
        kv=model.kv_heads,
        layers=model.layers,
        experts=model.experts,
        batch=search.batches[0],
    )
    wished = [f"{name}={value}" for name, value in fixed.items()]
    needs = int(one.gpus[0])
    if rules:
        says = say("{wished:, } breaks: {rules:; } ({has})", wished=wished, rules=rules, has=has)
    elif needs > search.gpus:
        says = say(
            "{wished:, } needs {n:,} GPUs; there are {gpus:,}", wished=wished, n=needs, gpus=search.gpus
        )
    else:
        says = say("{wished:, } is no layout that is searched ({has})", wished=wished, has=has)
    raise GpufleetError(finding("M011", says, say("leave a part out, then the best value is found")))


def _refuse_memory(model: Architecture, at: Machine, search: Search, wished: Layouts) -> None:
    """Says what the layout that needs least is short of, and what would do."""
    all_ways = _joined([wished, with_recompute(wished)])
    needs = memory(model, all_ways).total
    row = int(np.argmin(needs))
    usable, short = MEMORY_USABLE * at.memory_bytes, float(needs[row]) - MEMORY_USABLE * at.memory_bytes
    says = say(
        "{model} needs {needs:short} GB per GPU in the layout that needs least ({layout}) of those on at "
        "most {gpus:,} {product}; {usable:short} GB of {memory:short} GB are usable, so {short:short} GB are "
        "missing",
        model=model.name,
        needs=float(needs[row]) / 1e9,
        layout=layout_text(all_ways, row),
        gpus=search.gpus,
        product=at.product,
        usable=usable / 1e9,
        memory=at.memory_bytes / 1e9,
        short=short / 1e9,
    )
    enough = fewest_gpus(model, at, search)
    if enough is None:
        fix = say("no number of these GPUs does; shorten the sequences or take a product with more memory")
    else:
        fix = say("{n:,} GPUs of this product are enough", n=enough)
    raise GpufleetError(finding("M010", says, fix))


def fewest_gpus(model: Architecture, at: Machine, search: Search) -> int | None:
    """The fewest GPUs of a kind on which a layout fits in memory; None if no number does.

    >>> from gpufleet.models.architectures import architecture
    >>> from gpufleet.models.machine import machine
    >>> search = Search(gpus=1, seq_len=8192, batches=(64,))
    >>> fewest_gpus(architecture("llama-3-8b"), machine("H100"), search)
    3
    """
    for gpus in _doublings(search.gpus):
        wider = Search(gpus=gpus, seq_len=search.seq_len, batches=search.batches[:1], dtype=search.dtype)
        fitting = _fitting(model, at, candidates(model, at, wider))
        if len(fitting.tp):
            return int(fitting.gpus.min())
    return None


def _doublings(gpus: int) -> Iterator[int]:
    while gpus <= _MOST_GPUS:
        yield gpus
        gpus *= 2


def layout_text(layouts: Layouts, row: int) -> str:
    """A layout in a line, as people write it.

    >>> layout_text(Layouts.of(tp=8, pp=16, vpp=4, dp=128, global_batch=2048, micro_batch=1, seq_len=8192), 0)
    'TP 8, PP 16 (4 runs each), DP 128, micro-batch 1'
    """
    one = next(layouts.take([row]).each())
    runs = say("{n} run each", "{n} runs each", n=one["vpp"])
    parts: list[str] = []
    for name in ("tp", "pp", "cp", "ep", "dp"):
        if one[name] > 1:
            text = f"{name.upper()} {one[name]}"
            interleaved = name == "pp" and one["vpp"] > 1
            parts.append(say("{text} ({runs})", text=text, runs=runs) if interleaved else text)
    if one["zero"] == "fsdp":
        parts.append(f"FSDP {one['shards']}" if one["shards"] else "FSDP")
    parts.append(say("micro-batch {n}", n=one["micro_batch"]))
    if one["recompute"] != "none":
        parts.append(say("layers computed again"))
    return say("{parts:, }", parts=parts)
