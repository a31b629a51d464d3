"""How long a training campaign takes with failures, checkpoints, restarts and stragglers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.catalog.curves import failures

STATE_BYTES: Final = 14.0
"""Of a parameter in a checkpoint: BF16 weight, FP32 master copy and two moments."""
_Z90: Final = 1.2815515655446004
"""Standard deviations from the middle of a normal distribution to its 90th percentile."""
_LLAMA_3: Final = "unexpected interruptions"


def published_rate() -> float:
    """Failures per GPU-hour of the Llama 3 405B run: 419 in 54 days on 16,384 GPUs (catalog/failures.csv).

    >>> round(1 / published_rate())
    50676
    """
    return next(1.0 / row.gpu_hours_between for row in failures().values() if row.event == _LLAMA_3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What costs a campaign time besides its steps; each default with where it comes from."""

    failures_per_gpu_h: float | None = None  # None: `published_rate`
    failures_spread: float = 0.5  # of its logarithm: published rates reach from 20,000 to 82,000 GPU-hours
    checkpoint_s: float | None = None  # that a checkpoint stops training; None: by size and write rate
    write_gbs_per_gpu: float = 0.12  # Llama 3: a store of 2 TB/s sustained for 16,384 GPUs
    interval_s: float | None = None  # between checkpoints; None: the optimum
    restart_s: float = (
        600.0  # found, replaced, loaded; MegaScale (Jiang et al. 2024): recovery within 10 minutes
    )
    straggler_share: float = 0.01  # by which the slowest GPU makes steps longer; an assumption
    model_spread: float = 0.12  # of the logarithm of predicted step time: `gpufleet validate`, dense, by rule


class Campaign(NamedTuple):
    """A campaign per layout. Every array has shape (n_layouts,)."""

    steps: Floats
    ideal_days: Floats  # steps alone
    goodput: Floats  # share of time in which steps advance that are not lost again; expected
    interval_s: Floats  # between checkpoints
    checkpoint_s: Floats
    failures: Floats  # expected
    days_p10: Floats
    days_p50: Floats
    days_p90: Floats


def campaign(
    step_s: Floats, tokens_per_step: Floats, gpus: Floats, tokens: float, params: float, trouble: Trouble
) -> Campaign:
    """How long it takes to train on a number of tokens.

    A failure stops all GPUs: what was done since the last checkpoint is lost, half an interval on average,
    and a restart takes its time; failures may come during restarts too. Checkpoints are written at the
    interval of Daly (2006), which is best for their cost and the time between failures. The spread of the
    days joins what is not known of step time and of the rate of failures with the luck of one campaign, as if
    they were independent.

    Args:
        step_s, tokens_per_step, gpus: of each layout, shape (n_layouts,).
        tokens: to train on; params: of the model, for the size of a checkpoint.
    Source: Young (1974); Daly, A higher order estimate of the optimum checkpoint interval (2006).

    >>> one = campaign(np.array([10.0]), np.array([16e6]), np.array([16384]), 15e12, 405e9, Trouble())
    >>> bool(0.90 < one.goodput[0] < 0.93), bool(one.days_p10[0] < one.days_p50[0] < one.days_p90[0])
    (True, True)
    """
    steps = np.ceil(tokens / tokens_per_step)
    useful_s = steps * step_s
    rate = trouble.failures_per_gpu_h
    rate = published_rate() if rate is None else rate
    writes = trouble.write_gbs_per_gpu * 1e9 * gpus
    cost = (
        STATE_BYTES * params / writes if trouble.checkpoint_s is None else trouble.checkpoint_s + 0.0 * gpus
    )
    between_s = 3600.0 / np.maximum(rate * gpus, 1e-30)
    interval = (
        daly_interval_s(cost, between_s) if trouble.interval_s is None else trouble.interval_s + 0.0 * gpus
    )
    slow = 1.0 + trouble.straggler_share

    expected = goodput(cost, interval, between_s, trouble.restart_s) / slow
    sooner_s = between_s * np.exp(-trouble.failures_spread)
    worse = goodput(cost, interval, sooner_s, trouble.restart_s) / slow
    days = useful_s / expected / 86_400
    count = days * 86_400 / between_s
    luck = _luck(count, interval, trouble.restart_s) / np.maximum(days * 86_400, 1e-30)
    spread = np.sqrt(trouble.model_spread**2 + np.log(expected / worse) ** 2 + luck**2)
    return Campaign(
        steps=steps,
        ideal_days=useful_s / 86_400,
        goodput=expected,
        interval_s=interval,
        checkpoint_s=cost,
        failures=count,
        days_p10=days * np.exp(-_Z90 * spread),
        days_p50=days,
        days_p90=days * np.exp(_Z90 * spread),
    )


def _luck(count: Floats, interval_s: Floats, restart_s: float) -> Floats:
    """Standard deviation of the seconds that a number of failures costs.

    They come by chance (Poisson), and each loses between nothing and an interval, and a restart.
    """
    return np.asarray(np.sqrt(count * (interval_s**2 / 3 + interval_s * restart_s + restart_s**2)))


def daly_interval_s(cost_s: Floats, between_s: Floats) -> Floats:
    """The best time between checkpoints that stop training for `cost_s`, with failures `between_s` apart.

    >>> round(float(daly_interval_s(np.array(60.0), np.array(86400.0))))
    3180
    """
    x = cost_s / (2.0 * between_s)
    best = np.sqrt(2.0 * cost_s * between_s) * (1.0 + np.sqrt(x) / 3.0 + x / 9.0) - cost_s
    return np.where(x < 1.0, np.maximum(best, 1e-9), between_s)


def goodput(cost_s: Floats, interval_s: Floats, between_s: Floats, restart_s: float) -> Floats:
    """Expected share of time that ends in kept work, for failures that come by chance at a constant rate.

    To work an interval and write its checkpoint without a failure takes M e^(R/M) (e^((T + C)/M) - 1) on
    average, with failures M apart and restarts of R (Daly 2006, equation 20).

    >>> round(float(goodput(np.array(60.0), np.array(3180.0), np.array(86400.0), 0.0)), 3)
    0.963
    """
    takes = between_s * np.exp(restart_s / between_s) * np.expm1((interval_s + cost_s) / between_s)
    return np.asarray(interval_s / takes)
