"""How long GPUs talk to each other, before anything hides it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.models.architecture import Architecture
from gpufleet.models.held import GRADIENT_BYTES, WEIGHT_BYTES, Held
from gpufleet.models.layout import Layouts
from gpufleet.models.machine import Machine


class Talk(NamedTuple):
    """Seconds of communication, each alone. Shape (n_layouts,).

    Of the average layer and one micro-batch: ``tp``, ``cp``, ``ep`` forward and ``_back`` backward. Of a
    stage and one micro-batch: ``pp`` (one message). Of a step: ``reduce`` and ``gather``; with FSDP of a
    micro-batch. Of a step with hybrid FSDP: ``replicas``.
    """

    tp: Floats
    tp_back: Floats
    cp: Floats
    cp_back: Floats
    ep: Floats
    ep_back: Floats
    pp: Floats
    reduce: Floats
    gather: Floats
    replicas: Floats


def talk(model: Architecture, layouts: Layouts, has: Held, at: Machine) -> Talk:
    """All communication of a layout. GPUs are numbered with TP innermost, then CP, DP, and PP outermost."""
    tp, tp_back = _tensor(model, layouts, at)
    cp, cp_back = _context(model, layouts, at)
    ep = _expert(model, layouts, at)
    reduce, gather = _data(layouts, has, at)
    pp, replicas = _pipeline(model, layouts, at), _replicas(layouts, has, at)
    return Talk(tp, tp_back, cp, cp_back, ep, ep, pp, reduce, gather, replicas)


def _tensor(model: Architecture, layouts: Layouts, at: Machine) -> tuple[Floats, Floats]:
    """An all-reduce after attention and one after the FFN; with sequence parallelism gather and scatter.

    With it the backward pass gathers the inputs once more, for the gradients of weights.
    """
    size = 2.0 * layouts.micro_batch * layouts.seq_len / layouts.cp * model.hidden
    routed_only = model.moe_layers if not model.shared_experts else 0
    blocks = 2.0 - routed_only / model.layers
    gather = at.collective("all_gather", size, layouts.tp, 1)
    scatter = at.collective("reduce_scatter", size, layouts.tp, 1)
    both = at.collective("all_reduce", size, layouts.tp, 1)
    parallel = layouts.sequence_parallel == 1
    return (blocks * np.where(parallel, gather + scatter, both),
            blocks * np.where(parallel, 2 * gather + scatter, both))  # fmt: skip


def _context(model: Architecture, layouts: Layouts, at: Machine) -> tuple[Floats, Floats]:
    """Keys and values of the whole sequence go around; backward their gradients too."""
    width = model.kv_heads * (model.query_dim + model.value_dim) / layouts.tp
    size = 2.0 * layouts.micro_batch * layouts.seq_len * width
    gather = at.collective("all_gather", size, layouts.cp, layouts.tp)
    scatter = at.collective("reduce_scatter", size, layouts.cp, layouts.tp)
    return gather, gather + scatter


def _expert(model: Architecture, layouts: Layouts, at: Machine) -> Floats:
    """Tokens to their experts and back, in BF16; to each further domain a token goes once."""
    if not model.moe_layers:
        return np.zeros(len(layouts.tp))
    tokens = layouts.micro_batch * layouts.seq_len / (layouts.cp * layouts.tp)
    size = 2.0 * tokens * model.top_k * model.hidden
    domains = np.ceil(layouts.ep / np.minimum(at.domain, layouts.ep))
    distinct = domains * (1 - (1 - 1 / domains) ** model.top_k)
    if model.groups_taken:  # routing that keeps a token to a few groups, one to a domain
        distinct = np.minimum(distinct, model.groups_taken)
    once = at.collective("all_to_all", size, layouts.ep, 1, far_share=distinct / model.top_k)
    return 2.0 * once * model.moe_layers / model.layers


def _pipeline(model: Architecture, layouts: Layouts, at: Machine) -> Floats:
    """One message to the next stage; the members of TP send a part each."""
    size = 2.0 * layouts.micro_batch * layouts.seq_len / layouts.cp * model.hidden / layouts.tp
    return np.where(layouts.pp > 1, at.send_s(size, layouts.tp * layouts.cp * layouts.dp), 0.0)


def _data(layouts: Layouts, has: Held, at: Machine) -> tuple[Floats, Floats]:
    """Gradients to where they are summed, new weights from there; by layer, then embeddings and logits."""
    group, stride = layouts.dp * layouts.cp, layouts.tp
    experts = np.maximum(layouts.tp * group // layouts.ep, 1)
    fsdp = layouts.zero == 2
    shards = np.where(fsdp, layouts.fsdp, group)
    expert_shards = np.where(fsdp, np.minimum(layouts.fsdp, experts), experts)
    plain = layouts.zero == 0

    def all_of(operation: str, size: Any) -> Floats:
        each = at.collective(operation, size * has.dense / has.layers, shards, stride)
        routed = at.collective(operation, size * has.experts / has.layers, expert_shards, layouts.ep)
        return np.asarray(
            has.layers * (each + routed) + at.collective(operation, size * has.ends, shards, stride)
        )

    # In the years of FP16 gradients travelled in FP16, today in FP32.
    gradient = np.where(layouts.attention == 1, GRADIENT_BYTES / 2, GRADIENT_BYTES)
    reduce = np.where(plain, all_of("all_reduce", gradient), all_of("reduce_scatter", gradient))
    return reduce, np.where(plain, 0.0, all_of("all_gather", WEIGHT_BYTES))


def _replicas(layouts: Layouts, has: Held, at: Machine) -> Floats:
    """With hybrid FSDP the groups that hold a whole model sum their gradients once a step."""
    copies = np.maximum(layouts.dp * layouts.cp // layouts.fsdp, 1)
    each = GRADIENT_BYTES * has.params / layouts.fsdp
    summed = at.collective("all_reduce", each, copies, layouts.tp * layouts.fsdp)
    return np.where(layouts.zero == 2, summed, 0.0)
