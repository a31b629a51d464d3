"""How long a step of training takes, what it needs and what of it is waiting; for many layouts at once.

The formulas and conventions are told in docs/explanation/training.md, and how far off they are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.models.architecture import Architecture
from gpufleet.models.exchange import Talk, talk
from gpufleet.models.held import Held, Memory, held, memory
from gpufleet.models.layout import Layouts
from gpufleet.models.machine import Constants, Machine, machine
from gpufleet.models.work import Work, ends_work, layer_work

__all__ = ["Architecture", "Constants", "Layouts", "Machine", "Memory", "Step", "machine", "memory", "step"]

OPTIMIZER_MOVES: Final = 50.0
"""Bytes that a step moves once per parameter: norm and clipping of gradients 12, Adam on FP32 copies 28, new
BF16 weights 6, zeroed gradients 4."""
IDLE_POWER: Final = 0.25
"""Share of its rated power that a GPU draws while it waits for others; an assumption."""
MEMORY_USABLE: Final = 0.94
"""Share of a GPU's memory that tensors can take; the rest is lost to gaps. An assumption."""


class Step(NamedTuple):
    """One step of training per layout. Every array has shape (n_layouts,); seconds add up to ``step_s``."""

    step_s: Floats
    gemm_s: Floats  # matrix products, those computed again too
    attention_s: Floats
    other_s: Floats  # norms, activation functions, loss, gaps between kernels
    tp_s: Floats  # communication that nothing hides, from here
    cp_s: Floats
    ep_s: Floats
    pp_s: Floats
    dp_s: Floats  # to here
    bubble_s: Floats  # stages that wait for work
    optimizer_s: Floats  # and what a step does once besides
    recompute_s: Floats  # of gemm, attention, other, tp, cp, ep: what is computed again; not one more part
    memory: Memory  # bytes per GPU
    fits: Floats  # 1.0 where memory suffices
    tokens_per_s_per_gpu: Floats
    tflops: Floats  # model FLOPs (Architecture.flops_per_token) per second and GPU, 10^12
    mfu: Floats  # of the dense peak of the linear layers' number type
    energy_j: Floats  # of all GPUs and their hosts

    @property
    def exposed_s(self) -> Floats:
        """Communication that nothing hides."""
        return self.tp_s + self.cp_s + self.ep_s + self.pp_s + self.dp_s


class _Stage(NamedTuple):
    """Seconds of one micro-batch on a full stage, forward, backward, and computed again."""

    forward: Floats
    backward: Floats
    again: Floats
    parts: dict[str, Floats]


def step(model: Architecture, layouts: Layouts, at: Machine) -> Step:
    """One step of training.

    Args:    model: what is trained; layouts: n of them, as `layout.problems` accepts; at: on which GPUs.
    Returns: arrays of shape (n_layouts,); nan where the product does not compute in the number type.
    Error:   docs/explanation/training.md; `gpufleet validate` prints it.

    >>> llama = Architecture(name="8b", layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocab=128256)
    >>> wish = Layouts.of(
    ...     dp=8, micro_batch=1, global_batch=128, seq_len=8192, zero="fsdp", dtype=["bf16", "fp8"]
    ... )
    >>> got = step(llama, wish, machine("DGX-H100"))
    >>> bool(got.step_s[1] < got.step_s[0]), bool(0.3 < got.mfu[0] < 0.7)
    (True, True)
    """
    has = held(model, layouts)
    said = talk(model, layouts, has, at)
    stage, ends = _stage(model, layouts, has, said, at), ends_work(model, layouts, at)
    m = layouts.micro_batches.astype(np.float64)
    slowest = m * _longest(model, layouts, has, stage, ends)
    per_micro_batch = stage.forward + stage.backward + stage.again
    bubble = (layouts.pp - 1) / layouts.vpp * per_micro_batch
    # The end of the last stage is the only one that the others wait for, where stages are even.
    parts = {name: m * value for name, value in stage.parts.items()}
    waits = slowest - m * per_micro_batch
    on_ends = m * (ends.forward + ends.backward)
    bubble = bubble + np.where(layouts.pp > 1, waits, 0.0)
    parts["other"] = parts["other"] + np.where(
        layouts.pp > 1, 0.0, on_ends - m * (ends.gemm + ends.gemm_back)
    )
    parts["gemm"] = parts["gemm"] + np.where(layouts.pp > 1, 0.0, m * (ends.gemm + ends.gemm_back))
    pp = at.constants.pp_exposed * 2 * layouts.vpp * (m + layouts.pp - 1) * said.pp
    dp = _data_exposed(layouts, stage, said, m, at)
    optimizer = _optimizer(layouts, has, at)
    total = sum(parts.values()) + pp + dp + bubble + optimizer
    return _finished(
        model, layouts, at, np.asarray(total), parts, (pp, dp, bubble, optimizer), m * stage.again
    )


def _stage(model: Architecture, layouts: Layouts, has: Held, said: Talk, at: Machine) -> _Stage:
    """One micro-batch on a full stage, its parts already with what cannot be hidden of communication."""
    work, c = layer_work(model, layouts, at), at.constants
    alone = np.where(layouts.overlap == 1, c.tp_exposed, 1.0)
    tp, cp, ep = alone * said.tp, c.cp_exposed * said.cp, c.ep_exposed * said.ep
    back = (alone * said.tp_back, c.cp_exposed * said.cp_back, c.ep_exposed * said.ep_back)
    full = np.where(layouts.recompute == 2, layouts.recompute_pct / 100, 0.0)
    # Fused attention keeps no scores: to compute them again is what its backward pass does anyway.
    core = np.where((layouts.recompute == 1) & (layouts.attention == 1), work.attention, 0.0)
    n = has.layers
    parts = {
        "gemm": n * (work.gemm * (1 + full) + work.gemm_back),
        "attention": n * (work.attention * (1 + full) + work.attention_back + core),
        "other": n * (work.other + full * (work.other + work.waits_again) + work.other_back),
        "tp": n * (tp * (1 + full) + back[0]),
        "cp": n * (cp * (1 + full) + back[1]),
        "ep": n * (ep * (1 + full) + back[2]),
    }
    forward = n * (work.forward + tp + cp + ep)
    again = full * (forward + n * work.waits_again) + n * core
    return _Stage(forward, n * (work.backward + sum(back)), again, parts)


def _longest(model: Architecture, layouts: Layouts, has: Held, stage: _Stage, ends: Work) -> Floats:
    """Seconds per micro-batch of the stage that the others wait for.

    The last stage has the logits besides its layers. Where layers do not divide evenly it has a layer fewer.
    """
    layers = stage.forward + stage.backward + stage.again
    logits = ends.forward + ends.backward
    uneven = model.layers % layouts.pp != 0
    last = logits + np.where(uneven, layers * (has.layers - 1) / has.layers, layers)
    return np.maximum(layers, last)


def _data_exposed(layouts: Layouts, stage: _Stage, said: Talk, m: Floats, at: Machine) -> Floats:
    """Seconds of a step in which weights or gradients travel and nothing computes.

    Otherwise gradients travel behind the last backward pass, new weights behind the first forward pass. With
    FSDP weights come twice and gradients go once per micro-batch, behind what it computes.
    """
    c = at.constants
    share = c.dp_hidden * layouts.overlap

    def exposed(travels: Floats, behind: Floats) -> Floats:
        hidden = np.minimum(travels, share * behind)
        return travels - (1 - c.contention) * hidden

    computing = stage.forward + stage.backward + stage.again
    fsdp = m * exposed(2 * said.gather + said.reduce, computing) + said.replicas
    once = exposed(said.reduce, stage.backward) + exposed(said.gather, stage.forward)
    return np.where(layouts.zero == 2, fsdp, once)


def _optimizer(layouts: Layouts, has: Held, at: Machine) -> Floats:
    """Seconds of the optimizer, and what a step does once besides."""
    group = layouts.dp * layouts.cp
    shards = np.where(layouts.zero == 0, 1, np.where(layouts.zero == 1, group, layouts.fsdp))
    experts = np.maximum(layouts.tp * group // layouts.ep, 1)
    params = (has.dense + has.ends) / shards + has.experts / np.where(layouts.zero == 0, 1, experts)
    return np.asarray(OPTIMIZER_MOVES * params / at.memory_bw + at.constants.step_ms * 1e-3)


def _finished(
    model: Architecture,
    layouts: Layouts,
    at: Machine,
    total: Floats,
    parts: dict[str, Floats],
    once: tuple[Floats, Floats, Floats, Floats],
    again: Floats,
) -> Step:
    needs = memory(model, layouts)
    per_gpu = layouts.tokens / layouts.gpus / total
    lengths, row = np.unique(layouts.seq_len, return_inverse=True)
    flops = np.array([model.flops_per_token(int(each)) for each in lengths])[row]
    tflops = per_gpu * flops / 1e12
    busy = (parts["gemm"] + parts["attention"] + parts["other"]) / total
    watts = at.gpu_power_w * (IDLE_POWER + (1 - IDLE_POWER) * busy) + at.host_power_w
    pp, dp, bubble, optimizer = once
    return Step(
        step_s=total,
        gemm_s=parts["gemm"],
        attention_s=parts["attention"],
        other_s=parts["other"],
        tp_s=parts["tp"],
        cp_s=parts["cp"],
        ep_s=parts["ep"],
        pp_s=pp,
        dp_s=dp,
        bubble_s=bubble,
        optimizer_s=optimizer,
        recompute_s=again,
        memory=needs,
        fits=(needs.total <= MEMORY_USABLE * at.memory_bytes).astype(np.float64),
        tokens_per_s_per_gpu=per_gpu,
        tflops=tflops,
        mfu=tflops * 1e12 / at.peak_flops[layouts.dtype],
        energy_j=layouts.gpus * total * watts,
    )
