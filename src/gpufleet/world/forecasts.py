"""How fast a model trains on some GPUs of a product: the best layout of a narrow search, kept in memory."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from gpufleet.base.errors import GpufleetError
from gpufleet.models.architecture import Architecture
from gpufleet.models.campaign import Trouble
from gpufleet.models.candidates import Search, batches_near
from gpufleet.models.finish import Finish, finish
from gpufleet.models.layouts import Options, layout_text, options, per_token
from gpufleet.models.machine import machine

WHOLE_SEQUENCES: Final = 8192
"""Up to so many tokens a sequence stays on one GPU. It is cut where nothing fits otherwise; of eight
published models on 256 to 8,192 GPUs a cut was faster for three, by 1.3 % at most."""


class Asked(NamedTuple):
    """A model, and how it is trained."""

    model: Architecture
    machine: str  # a system or product of the catalogue
    seq_len: int
    batch: int  # sequences of a step
    dtype: str


class Forecast(NamedTuple):
    """The fastest layout on at most so many GPUs."""

    gpus: int  # that it uses
    tokens_per_s: float
    step_s: float
    mfu: float
    layout: str
    system: str


def batch_for(tokens: float, seq_len: int, gpus: int) -> int:
    """Sequences of a step: near the wished ones, with the largest part in common with a number of GPUs.

    >>> batch_for(2**24, 8192, 512), batch_for(2**24, 8192, 768), batch_for(16e6, 8192, 512)
    (2048, 2304, 2048)
    """
    near = batches_near(tokens, seq_len)
    return near[int(np.argmax(np.gcd(np.array(near), gpus)))]


@lru_cache(maxsize=512)
def found(asked: Asked, gpus: int) -> Options:
    """The layouts on at most so many GPUs.

    Raises: GpufleetError M010 if none fits in memory, M012 for the number type; C001 to C003 for the machine.
    """
    at = machine(asked.machine)
    search = Search(gpus=gpus, seq_len=asked.seq_len, batches=(asked.batch,), dtype=asked.dtype)
    if asked.seq_len <= WHOLE_SEQUENCES:
        with suppress(GpufleetError):  # the whole search says what is wrong
            return options(asked.model, at, search, fixed={"cp": 1})
    return options(asked.model, at, search)


def forecast(asked: Asked, gpus: int) -> Forecast:
    """The fastest layout on at most so many GPUs.

    Raises: as `found`.

    >>> from gpufleet.models.architectures import architecture
    >>> one = forecast(Asked(architecture("llama-3-8b"), "DGX-B200", 8192, 2048, "bf16"), 64)
    >>> one.gpus, one.layout, 0.3 < one.mfu < 0.7
    (64, 'DP 64, micro-batch 2', True)
    """
    of = found(asked, gpus)
    row = of.best()
    return Forecast(
        gpus=int(of.layouts.gpus[row]),
        tokens_per_s=float(1.0 / per_token(of.layouts, of.steps)[row]),
        step_s=float(of.steps.step_s[row]),
        mfu=float(of.steps.mfu[row]),
        layout=layout_text(of.layouts, row),
        system=of.at.name,
    )


def finished(asked: Asked, gpus: int, tokens: float, trouble: Trouble) -> Finish:
    """When the fastest layout is through with some tokens."""
    of = found(asked, gpus)
    return finish(of, of.best(), tokens, trouble)
