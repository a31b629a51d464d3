"""When a training is done: its campaign with failures, checkpoints and restarts, for one layout."""

from __future__ import annotations

from typing import NamedTuple

from gpufleet.models.campaign import Trouble, campaign
from gpufleet.models.layouts import Options

_DAY_S = 86_400.0


class Finish(NamedTuple):
    """How long a training takes, s, and what takes time besides its steps."""

    p10_s: float
    p50_s: float
    p90_s: float
    ideal_s: float  # steps alone
    goodput: float  # share of the time that is kept work
    failures: float  # expected
    interval_s: float  # between checkpoints
    checkpoint_s: float


def finish(found: Options, row: int, tokens: float, trouble: Trouble | None = None) -> Finish:
    """When a training on one of the layouts is done.

    Args: tokens: to train on; trouble: what goes wrong how often, else what was published of large runs.

    >>> from gpufleet.models.architectures import architecture
    >>> from gpufleet.models.layouts import Search, options
    >>> from gpufleet.models.machine import machine
    >>> search = Search(gpus=64, seq_len=8192, batches=(64,))
    >>> found = options(architecture("llama-3-8b"), machine("H100"), search)
    >>> done = finish(found, found.best(), 1e12)
    >>> done.ideal_s < done.p50_s < done.p90_s, round(done.ideal_s / done.p50_s - done.goodput, 6)
    (True, 0.0)
    """
    one = found.layouts.take([row])
    of = campaign(
        found.steps.step_s[[row]],
        one.tokens,
        one.gpus.astype(float),
        tokens,
        found.model.params_total,
        trouble or Trouble(),
    )
    return Finish(
        p10_s=float(of.days_p10[0]) * _DAY_S,
        p50_s=float(of.days_p50[0]) * _DAY_S,
        p90_s=float(of.days_p90[0]) * _DAY_S,
        ideal_s=float(of.ideal_days[0]) * _DAY_S,
        goodput=float(of.goodput[0]),
        failures=float(of.failures[0]),
        interval_s=float(of.interval_s[0]),
        checkpoint_s=float(of.checkpoint_s[0]),
    )
