"""How long, how big, on how many: a model and a token budget on GPUs, answered with the best layout."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gpufleet.base.errors import GpufleetError, explain_codes, finding
from gpufleet.base.say import say, significant
from gpufleet.catalog import Price, prices
from gpufleet.models.architecture import Architecture
from gpufleet.models.candidates import Search
from gpufleet.models.finish import Finish, finish
from gpufleet.models.layouts import By, Loss, Options, fewest_gpus, options, per_token
from gpufleet.models.machine import Machine

explain_codes(
    """
M013 the training cannot be done by that date
More GPUs do not help for ever: a batch has only so many sequences, and what is exchanged grows. The soonest
end and its GPUs are named.
    gpufleet train llama-3.1-405b --by 2027-01-15 --start 2027-01-01 --product H100 --tokens 15T

M014 not even a small model of this shape can be trained by that date
The smallest model of the shape that was tried takes longer on these GPUs than there is time.
    gpufleet train llama-3.1-405b --gpus 8 --by 2027-01-02 --start 2027-01-01 --product H100 --tokens 15T

M015 the power of a product is not known
Without the power of its GPUs no layout can be chosen by energy.
    gpufleet train llama-3-8b --gpus 64 --product TPU-v5p --fabric 400 --best energy
"""
)

DAY_S: Final = 86_400.0
OPTIMAL_TOKENS: Final = 20.0
"""Tokens per parameter at which a budget of compute gives the lowest loss (Hoffmann et al., 2022)."""
MOST_GPUS: Final = 2**17
_FINEST: Final = 24
"""Sizes of a shape that are tried for each doubling."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is trained, and what is wanted of it."""

    model: Architecture
    tokens: float | None  # None: as many as are optimal for the model's size
    seq_len: int
    batches: tuple[int, ...]  # sequences per step, the wished one first
    dtype: str = "bf16"
    by: By = "time"
    seconds: float | None = None  # until the deadline
    fixed: Mapping[str, int] = dataclasses.field(default_factory=dict)
    price_usd_h: float | None = None  # of a GPU; None: what the catalogue has, if it has any
    front: bool = False  # fewer GPUs are looked at too

    def search(self, gpus: int) -> Search:
        """The search on at most so many GPUs."""
        return Search(gpus=gpus, seq_len=self.seq_len, batches=self.batches, dtype=self.dtype)

    def budget(self) -> float:
        """Tokens: as given, or the optimal ones."""
        return OPTIMAL_TOKENS * self.model.params_active if self.tokens is None else self.tokens


class Cost(NamedTuple):
    """What GPU-hours cost, and where the price comes from."""

    usd: float
    low_usd: float | None
    high_usd: float | None
    usd_per_gpu_h: float
    price: Price | None  # None: given by the user


@dataclass(frozen=True)
class Course:
    """One training on one kind of GPU: the layout, how long it takes, what it needs."""

    question: Question
    options: Options
    row: int
    runner_up: int | None
    loss: Loss | None  # of the runner-up
    finish: Finish

    @property
    def gpus(self) -> int:
        """GPUs of the layout; at most those that there are."""
        return int(self.options.layouts.gpus[self.row])

    @property
    def steps(self) -> int:
        """Steps until all tokens are seen."""
        return math.ceil(self.question.budget() / float(self.options.layouts.tokens[self.row]))

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of the P50 of its days."""
        return self.gpus * self.finish.p50_s / 3600

    @property
    def energy_mwh(self) -> float | None:
        """Energy of GPUs and hosts, MWh, until then; without cooling and conversion. None: not known.

        What failures and checkpoints take is counted like steps: the GPUs stay on.
        """
        if not self.options.at.gpu_power_w > 0:  # nan too
            return None
        step_mwh = float(self.options.steps.energy_j[self.row]) / 3.6e9
        return step_mwh * self.finish.p50_s / float(self.options.steps.step_s[self.row])

    @property
    def cost(self) -> Cost | None:
        """Cost of the GPU-hours; None if no price is known."""
        hours, given = self.gpu_hours, self.question.price_usd_h
        if given is not None:
            return Cost(hours * given, None, None, given, None)
        price = rental(self.options.at.product)
        if price is None:
            return None
        low, high = (None if each is None else each * hours for each in (price.low, price.high))
        return Cost(hours * price.value, low, high, price.value, price)


def rental(product: str) -> Price | None:
    """The newest price for an hour of a product in the catalogue.

    >>> rental("H200-SXM-141GB").unit, rental("GB200")
    ('USD/GPU-h', None)
    """
    known = [p for p in prices().values() if (p.kind, p.product, p.unit) == ("rental", product, "USD/GPU-h")]
    return max(known, key=lambda price: price.date, default=None)


def course(question: Question, at: Machine, gpus: int) -> Course:
    """The best layout on at most so many GPUs, and when it is done.

    Raises: GpufleetError M010 to M012, if there is no layout; M015 for energy without a known power.
    """
    if question.by == "energy" and not at.gpu_power_w > 0:  # nan too
        says = say("the power of {product} is not published", product=at.product)
        raise GpufleetError(finding("M015", says, say("choose by time, cost or GPUs")))
    everything = question.front or question.by != "time"
    found = options(question.model, at, question.search(gpus), fixed=question.fixed, everything=everything)
    if question.seconds is not None and question.by != "time":
        found = _in_time(question, found)
    return _course(question, found, found.best(question.by))


def _course(question: Question, found: Options, row: int) -> Course:
    second = found.runner_up(row, question.by)
    loss = None if second is None else found.why(second, row)
    return Course(question, found, row, second, loss, finish(found, row, question.budget()))


def front(of: Course) -> list[Course]:
    """The fastest training on each number of GPUs that is faster than on all fewer, ascending.

    Only with `Question.front`; without, few GPUs were not looked at.
    """
    return [_course(of.question, of.options, int(row)) for row in of.options.front()]


def _in_time(question: Question, found: Options) -> Options:
    """Those that would be done by the deadline if nothing failed; all, if none is."""
    soon = per_token(found.layouts, found.steps) * question.budget() <= (question.seconds or math.inf)
    return found.only(soon) if soon.any() else found


def enough_gpus(question: Question, at: Machine) -> Course:
    """The training on the fewest GPUs whose P90 of days, failures included, ends in time.

    Raises: GpufleetError M013 if no number of GPUs does, M010 to M012 if there is no layout.
    """
    deadline = question.seconds or math.inf
    soonest: Course | None = None
    gpus = max(fewest_gpus(question.model, at, question.search(1)) or MOST_GPUS, _fixed_gpus(question))
    while gpus <= MOST_GPUS:
        try:
            found = options(question.model, at, question.search(gpus), fixed=question.fixed, everything=True)
        except GpufleetError as refusal:  # what is fixed may need more GPUs to fit
            if refusal.findings[0].code != "M010" or 2 * gpus > MOST_GPUS:
                raise
            gpus *= 2
            continue
        if course := _first_in_time(question, found, deadline):
            return course
        best = _course(question, found, found.best())
        if soonest and best.finish.p90_s >= soonest.finish.p90_s and gpus > 4 * soonest.gpus:
            break
        soonest = best if soonest is None or best.finish.p90_s < soonest.finish.p90_s else soonest
        gpus *= 2
    raise _too_late(question, at, soonest)


def _fixed_gpus(question: Question) -> int:
    """GPUs that a layout with what is fixed has at least."""
    return math.prod(question.fixed.get(name, 1) for name in ("tp", "pp", "cp", "dp"))


def _first_in_time(question: Question, found: Options, deadline: float) -> Course | None:
    """The fewest GPUs of the front that are done in time."""
    rows = found.front()
    time = per_token(found.layouts, found.steps)[rows] * question.budget()
    for row in rows[time <= deadline]:
        if finish(found, int(row), question.budget()).p90_s <= deadline:
            return _course(question, *_on_at_most(found, int(found.layouts.gpus[row])))
    return None


def _on_at_most(found: Options, gpus: int) -> tuple[Options, int]:
    """The layouts on at most so many GPUs, as if no more had been looked at; and the row of the fastest."""
    some = found.only(found.layouts.gpus <= gpus)
    some = dataclasses.replace(some, search=dataclasses.replace(found.search, gpus=gpus))
    return some, some.best()


def _too_late(question: Question, at: Machine, soonest: Course | None) -> GpufleetError:
    days = (question.seconds or 0.0) / DAY_S
    if soonest is None:
        says = say("{model} fits on no number of {product}", model=question.model.name, product=at.product)
        return GpufleetError(finding("M013", says, say("take a product with more memory")))
    says = say(
        "{model} takes {least:short} days (P90) at best, on {gpus:,} {product}; there are "
        "{days:short} days, and more GPUs are not faster",
        model=question.model.name,
        least=soonest.finish.p90_s / DAY_S,
        gpus=soonest.gpus,
        product=at.product,
        days=days,
    )
    return GpufleetError(finding("M013", says, say("take a later date, fewer tokens, or a larger batch")))


def scaled(model: Architecture, factor: float) -> Architecture:
    """A model of the same shape with about so many times the parameters of its layers.

    Width and depth grow alike; heads stay a multiple of eight, experts as many as they are.

    >>> from gpufleet.models.architectures import architecture
    >>> half = scaled(architecture("llama-3-70b"), 0.5)
    >>> half.layers, half.hidden, half.heads, round(half.params_total / 1e9)
    (72, 6144, 48, 36)
    """
    grow = factor ** (1 / 3)
    heads = max(8 * round(model.heads * grow / 8), 8)
    wide = heads / model.heads
    deep = model.layers * factor / wide**2
    multiple = 8 if deep >= 48 else 4 if deep >= 12 else 1  # so that pipelines divide it
    layers = max(multiple * round(deep / multiple), 1)

    def width(value: int, multiple: int) -> int:
        return max(multiple * round(value * wide / multiple), multiple) if value else 0

    made = dataclasses.replace(
        model,
        layers=layers,
        hidden=width(model.hidden, 64),
        heads=heads,
        kv_heads=heads if model.kv_heads == model.heads else math.gcd(model.kv_heads, heads),
        ffn=width(model.ffn, 256),
        expert_ffn=width(model.expert_ffn, 128),
        shared_ffn=width(model.shared_ffn, 128),
        dense_layers=min(round(model.dense_layers * layers / model.layers), layers - 1)
        if model.experts
        else 0,
        windowed_layers=round(model.windowed_layers * layers / model.layers),
    )
    return dataclasses.replace(made, name=f"{model.name}@{significant(made.params_total / 1e9)}B")


def largest_model(question: Question, at: Machine, gpus: int) -> Course:
    """The largest model of the question's shape that is trained in time, on at most so many GPUs.

    Tokens as asked; else the optimal ones of each size.

    Raises: GpufleetError M014 if the smallest is not.
    """
    sizes = [2 ** (step / _FINEST) for step in range(-8 * _FINEST, 4 * _FINEST + 1)]
    one_batch = dataclasses.replace(question, batches=question.batches[:1])
    low, high = 0, len(sizes) - 1
    while low <= high:
        middle = (low + high) // 2
        if _in_time_with(one_batch, sizes[middle], at, gpus):
            low = middle + 1
        else:
            high = middle - 1
    # A size may divide badly and a larger one well, and other batches may do better.
    near = [sizes[each] for each in (low + 2, low + 1, low, low - 1) if 0 <= each < len(sizes)]
    found = next(filter(None, (_in_time_with(question, each, at, gpus) for each in near)), None)
    if found is None:
        says = say(
            "not even {params:short}B parameters are trained in {days:short} days on {gpus:,} {product}",
            params=scaled(question.model, sizes[0]).params_total / 1e9,
            days=(question.seconds or 0.0) / DAY_S,
            gpus=gpus,
            product=at.product,
        )
        raise GpufleetError(finding("M014", says, say("take a later date, more GPUs or fewer tokens")))
    return found


def _in_time_with(question: Question, factor: float, at: Machine, gpus: int) -> Course | None:
    """The training of a model so many times as large; None where it fits in no layout or ends too late."""
    larger = dataclasses.replace(question, model=scaled(question.model, factor))
    try:
        tried = course(larger, at, gpus)
    except GpufleetError as refusal:
        if refusal.findings[0].code == "M010":
            return None
        raise
    return tried if tried.finish.p90_s <= (question.seconds or math.inf) else None


class Optimal(NamedTuple):
    """How a budget of compute is spent best, by the loss after training."""

    flops: float
    params: float
    tokens: float


def optimal(flops: float) -> Optimal:
    """The compute-optimal dense model for a number of FLOPs: 20 tokens per parameter, 6 FLOPs per both.

    Source: Hoffmann et al., Training Compute-Optimal Large Language Models (2022).

    >>> found = optimal(5.76e23)  # of Chinchilla itself: 70 billion parameters, 1.4 trillion tokens
    >>> round(found.params / 1e9), round(found.tokens / 1e12, 1)
    (69, 1.4)
    """
    params = math.sqrt(flops / (6 * OPTIMAL_TOKENS))
    return Optimal(flops, params, OPTIMAL_TOKENS * params)


def delivered_flops(of: Course) -> float:
    """Model FLOPs that the GPUs of a course deliver until its deadline, failures taken off."""
    seconds = of.question.seconds or of.finish.p50_s
    rate = float(of.options.steps.tflops[of.row]) * 1e12 * of.gpus
    return rate * seconds * of.finish.goodput
