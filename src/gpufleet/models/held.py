"""What one GPU holds of a model: parameters, layers, and bytes of memory by part."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.models.architecture import Architecture
from gpufleet.models.layout import Layouts

WEIGHT_BYTES: Final = 2.0
GRADIENT_BYTES: Final = 4.0
OPTIMIZER_BYTES: Final = 12.0
"""Of a parameter: BF16; FP32 sums over micro-batches; FP32 master copy and the two moments of Adam."""
OVERHEAD_BYTES: Final = 3e9
"""What a process has besides: context of the GPU, communication buffers, scratch space of libraries."""


class Held(NamedTuple):
    """Parameters and layers of the fullest stage, per GPU. Shape (n_layouts,)."""

    layers: Floats  # of the stage
    dense: Floats  # parameters of its layers that are not experts
    experts: Floats
    ends: Floats  # of embeddings and logits, the larger of the two ends

    @property
    def params(self) -> Floats:
        """All of them."""
        return self.dense + self.experts + self.ends


class Memory(NamedTuple):
    """Bytes per GPU at the peak of a step, by part, on the fullest stage. Shape (n_layouts,)."""

    weights: Floats
    gradients: Floats
    optimizer: Floats
    activations: Floats
    logits: Floats
    overhead: Floats

    @property
    def total(self) -> Floats:
        """All parts."""
        return np.asarray(np.sum(self, axis=0))


def held(model: Architecture, layouts: Layouts) -> Held:
    """Parameters that a GPU of the fullest stage works with, before FSDP divides them.

    >>> x = Architecture(name="x", layers=4, hidden=8, heads=1, ffn=8, vocab=10)
    >>> one, four = (held(x, Layouts.of(pp=pp)).params[0] for pp in (1, 4))
    >>> float(one) == x.params_total, bool(four < one / 2)
    (True, True)
    """
    layers = np.ceil(model.layers / layouts.pp)
    share = layers / model.layers
    split = sum(each.params for each in model.linears() if each.cut in ("column", "row"))
    whole = sum(each.params for each in model.linears() if each.cut == "whole") + model.params_small
    experts = sum(each.params for each in model.linears() if each.cut == "expert")
    alone = layouts.pp == 1
    table = model.hidden * model.vocab
    first = table + model.hidden * model.positions
    ends = np.where(alone, model.params_embedding, np.maximum(first, table)) / layouts.tp
    return Held(layers, share * (split / layouts.tp + whole), share * experts / layouts.ep, ends)


def memory(model: Architecture, layouts: Layouts) -> Memory:
    """Bytes at the peak of a step on a GPU of the first stage, which holds most micro-batches at a time.

    Weights, gradients and optimizer as `held`, divided by FSDP or ZeRO-1; activations per token and layer as
    counted by Korthikanti et al. (2022), of what the kernels of today keep.

    >>> x = Architecture(name="x", layers=4, hidden=64, heads=1, ffn=256, vocab=10)
    >>> m = memory(x, Layouts.of(dp=[1, 4], micro_batch=2, global_batch=8, seq_len=16))
    >>> (m.optimizer[0] / m.optimizer[1]).item(), (m.weights[0] / m.weights[1]).item()
    (4.0, 1.0)
    """
    has = held(model, layouts)
    shards = layouts.dp * layouts.cp
    expert_shards = np.maximum(layouts.tp * shards // layouts.ep, 1)
    fsdp, expert_fsdp = layouts.fsdp, np.where(layouts.zero == 2, np.minimum(expert_shards, layouts.fsdp), 1)
    kept = (has.dense + has.ends) / fsdp + has.experts / expert_fsdp
    optimizer = np.where(layouts.zero == 0, has.params,
                         (has.dense + has.ends) / np.where(layouts.zero == 1, shards, fsdp)
                         + has.experts / np.where(layouts.zero == 1, expert_shards, expert_fsdp))  # fmt: skip
    # FSDP has whole layers only while it computes them: the one in use and the next.
    gathered = np.where(layouts.zero == 2, 2 * (has.dense + has.experts) / has.layers, 0.0)
    return Memory(
        weights=WEIGHT_BYTES * (kept + gathered),
        gradients=GRADIENT_BYTES * kept,
        optimizer=OPTIMIZER_BYTES * optimizer,
        activations=_activations(model, layouts, has.layers),
        logits=_logits(model, layouts),
        overhead=np.full(len(layouts.tp), OVERHEAD_BYTES),
    )


def _activations(model: Architecture, layouts: Layouts, layers: Floats) -> Floats:
    """Of all layers of the first stage, for all micro-batches that it holds at once."""
    tokens = layouts.micro_batch * layouts.seq_len / layouts.cp
    per_token = kept_per_token(model, layouts)
    inputs = 2.0 * model.hidden / _sequence(layouts)
    full = np.where(layouts.recompute == 2, layouts.recompute_pct / 100, 0.0)
    in_flight = np.minimum(layouts.micro_batches, layouts.pp)
    # Interleaving holds (1 + (pp - 1) / (pp * vpp)) times as much (Korthikanti et al., section 4.2.3).
    more = np.where(layouts.vpp > 1, 1 + (layouts.pp - 1) / (layouts.pp * layouts.vpp), 1.0)
    held_layers = layers * np.maximum(in_flight, 1) * np.where(in_flight == layouts.pp, more, 1.0)
    again = np.where(full > 0, per_token, 0.0)  # the layer that is being computed again
    return tokens * (held_layers * (full * inputs + (1 - full) * per_token) + again)


def kept_per_token(model: Architecture, layouts: Layouts) -> Floats:
    """Bytes that a layer keeps per token for the backward pass, on the average layer, nothing computed again.

    >>> gpt = Architecture(name="g", layers=1, hidden=64, heads=4, ffn=256, vocab=9, gated=False)
    >>> old = Layouts.of(tp=[1, 8], seq_len=16, attention="unfused")  # 34 h + 5 a s, and (10 + 24 / t) h ...
    >>> (kept_per_token(gpt, old) / 64).tolist() == [34 + 5 * 4 * 16 / 64, (34 + 5 * 4 * 16 / 64) / 8]
    True
    """
    wide, narrow = _widths(model)
    inputs = np.where(layouts.dtype == 0, 2.0, 1.0)  # of linear layers, in their number type
    unfused = layouts.attention == 1
    masks = np.where(unfused, 2.0 * model.hidden, 0.0)
    by_sequence = 4.0 * model.hidden + inputs * 2 * model.hidden + masks
    scores = np.where(
        unfused & (layouts.recompute == 0), 5.0 * model.heads * layouts.seq_len, 8.0 * model.heads
    )
    by_tensor = 2.0 * wide + inputs * narrow + np.where(unfused & (layouts.recompute > 0), 0.0, scores)
    routed = _routed(model, inputs) / _sequence(layouts)
    return np.asarray(by_sequence / _sequence(layouts) + by_tensor / layouts.tp + routed)


def _widths(model: Architecture) -> tuple[float, float]:
    """Elements per token of the average layer: kept in BF16, and kept as inputs of linear layers."""
    attention = model.heads * model.query_dim + model.kv_heads * (model.query_dim + model.value_dim)
    ffn = (model.layers - model.moe_layers) * model.ffn
    ffn += model.moe_layers * model.shared_experts * model.shared_ffn
    up = (2 if model.gated else 1) * ffn / model.layers
    return attention + up, model.heads * model.value_dim + ffn / model.layers


def _routed(model: Architecture, inputs: Any) -> Any:
    """Bytes per token of what experts keep: their input, both widths, their output before it is weighted."""
    share = model.moe_layers / model.layers * model.top_k
    gate = 2 if model.gated else 1
    return share * (inputs * model.hidden + (2.0 * gate + inputs) * model.expert_ffn + 2.0 * model.hidden)


def _sequence(layouts: Layouts) -> Floats:
    """Over how many GPUs what TP leaves whole is divided."""
    return np.where(layouts.sequence_parallel == 1, layouts.tp, 1).astype(np.float64)


def _logits(model: Architecture, layouts: Layouts) -> Floats:
    """Logits of one micro-batch in BF16 and FP32, where the first stage is the last too."""
    tokens = layouts.micro_batch * layouts.seq_len / layouts.cp
    return np.where(layouts.pp == 1, 6.0 * tokens * model.vocab / layouts.tp, 0.0)
