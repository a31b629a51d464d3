"""How long a GPU computes: matrix products, attention, and everything between, per layer and micro-batch."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.models.architecture import Architecture, Linear
from gpufleet.models.layout import Layouts
from gpufleet.models.machine import Machine

KERNELS: Final = 12
MOE_KERNELS: Final = 30
"""Kernels of one layer's forward pass, dense and with experts; the backward pass has twice as many."""
_HOST_BACK: Final = 1.7
HOST_AGAIN: Final = 1.3
"""Time in which the host launches a backward pass, and a forward pass that is computed again, over a forward
one; measured like `host_us`."""
_CALL: Final = 0.05
"""Time in which the host starts a collective, over `host_us`: about 30 us of a process group of PyTorch; an
assumption."""
_HOST_SHARP: Final = 4.0
_BACKWARD_FLOPS: Final = 2.5  # of fused attention, over those forward: it computes the scores again
_FUSED_RATE: Final = {"Ampere": (0.62, 0.57), "": (0.64, 0.50)}
"""FLOP/s of fused attention forward and backward over the BF16 peak: long sequences, heads of 128, causal.
Sources: FlashAttention-2 (Dao 2023) on A100; FlashAttention-3 (Shah et al. 2024) and cuDNN on H100; later
ones alike."""
_FUSED_2022: Final = {"Ampere": 0.58, "": 0.58 * 0.34 / 0.57}
"""Rate of FlashAttention's first kernel over those: 110 of 189 TFLOP/s on A100; and without Hopper's
instructions FlashAttention-2 reaches 335 of 989 TFLOP/s on H100 (Dao 2023, figures 4 to 7)."""
_SHORT: Final = 512.0  # tokens; fused attention reaches half of its rate there
_NARROW: Final = 32.0  # of a head; likewise
_SCORE_BYTES: Final = (
    9.0,
    11.0,
)  # of unfused attention, moved per score: softmax, mask, dropout; and backward

_LOSS_BYTES: Final = ((38.0, 14.0), (14.0, 14.0))
"""Moved per score of the vocabulary, forward and backward; first with the software of unfused attention, its
loss in FP32 kernel by kernel: 6 to convert, 4 for the largest, 8 each to subtract it, for exponentials and to
divide, 4 for their sum; backward 8 to scale, 6 to convert."""
_TABLE_BYTES: Final = 8.0
"""Moved per element of the table of embeddings, to zero its gradient and add it to sums in FP32."""


class Work(NamedTuple):
    """Seconds of computing, forward and backward. Shape (n_layouts,)."""

    gemm: Floats
    attention: Floats
    other: Floats
    gemm_back: Floats
    attention_back: Floats
    other_back: Floats
    waits_again: Floats  # for the host, beyond `forward`, where the forward pass is computed again

    @property
    def forward(self) -> Floats:
        """All parts, forward."""
        return self.gemm + self.attention + self.other

    @property
    def backward(self) -> Floats:
        """All parts, backward."""
        return self.gemm_back + self.attention_back + self.other_back


def layer_work(model: Architecture, layouts: Layouts, at: Machine) -> Work:
    """Of the average layer, for one micro-batch, on one of the GPUs that share it."""
    tokens = layouts.micro_batch * layouts.seq_len / layouts.cp
    gemm, gemm_back = _linears(model, layouts, at, tokens)
    attention, attention_back = _attention(model, layouts, at)
    other, other_back = _between(model, layouts, at, tokens)
    n = model.layers
    moe = model.moe_layers / n
    kernels = KERNELS * (1 - moe) + MOE_KERNELS * moe
    idle = kernels * at.constants.kernel_us * 1e-6
    collectives = np.where(layouts.tp > 1, 2.0 * (1 + layouts.sequence_parallel), 0.0)
    launching = at.host_s * (kernels / KERNELS + _CALL * collectives)
    forward = (gemm + attention) / n + other + idle
    backward = (gemm_back + attention_back) / n + other_back + 2 * idle
    return Work(
        gemm / n,
        attention / n,
        other + idle + _waits(launching, forward),
        gemm_back / n,
        attention_back / n,
        other_back + 2 * idle + _waits(_HOST_BACK * launching, backward),
        _waits(HOST_AGAIN * launching, forward) - _waits(launching, forward),
    )


def _waits(launching: Any, computing: Floats) -> Floats:
    """Seconds of a pass in which the GPU waits for the host.

    The host is ahead at large kernels and behind at small ones, and a layer has both: the whole takes a
    little longer than the longer of the two. What a GPU sends is not in it: at a collective its members
    wait for the slowest of their hosts.
    """
    longer = np.maximum(launching, computing)
    other = np.minimum(launching, computing) / longer
    return np.asarray(longer * (1.0 + other**_HOST_SHARP) ** (1.0 / _HOST_SHARP) - computing)


def ends_work(model: Architecture, layouts: Layouts, at: Machine) -> Work:
    """Of the logits, the loss and the embeddings, for one micro-batch; always BF16."""
    tokens = layouts.micro_batch * layouts.seq_len / layouts.cp
    half = np.zeros_like(layouts.dtype)
    columns = model.vocab / layouts.tp
    copies = 1 + model.predicted_tokens
    gemm = copies * at.linear_s(tokens, columns, model.hidden, half, cast=False)
    gemm_back = copies * (at.linear_s(tokens, model.hidden, columns, half, cast=False)
                          + _to_weights(tokens, columns, model.hidden, 1.0, half, at))  # fmt: skip
    scores = copies * tokens * columns / at.memory_bw * at.constants.elementwise
    loss, loss_back = (np.where(layouts.attention == 1, *each) * scores for each in _LOSS_BYTES)
    # In a pipeline the first stage has the table, which is not the one that the others wait for.
    table = np.where(layouts.pp == 1, _TABLE_BYTES * columns * model.hidden / at.memory_bw, 0.0)
    zero = np.zeros_like(gemm)
    return Work(gemm, zero, loss, gemm_back, zero, loss_back + table, zero)


def _linears(model: Architecture, layouts: Layouts, at: Machine, tokens: Floats) -> tuple[Floats, Floats]:
    """Of all linear layers of the model: forward, and backward to inputs and to weights."""
    forward = np.zeros(len(layouts.tp))
    backward = np.zeros(len(layouts.tp))
    for each in model.linears():
        m, n, k, copies = _shape(each, layouts, tokens)
        slower = 1 / at.constants.grouped if each.cut == "expert" else 1.0
        # Routers decide in full precision and are small.
        dtype: Ints = np.zeros_like(layouts.dtype) if each.part == "router" else layouts.dtype
        forward += slower * each.layers * at.linear_s(m, n, k, dtype, cast=True, copies=copies)
        backward += slower * each.layers * (at.linear_s(m, k, n, dtype, cast=True, copies=copies)
                                   + _to_weights(m, n, k, copies, dtype, at))  # fmt: skip
    return forward, backward


def _to_weights(m: Any, n: Any, k: Any, copies: Any, dtype: Ints, at: Machine) -> Floats:
    """Gradients of weights: a product of n x m and m x k per copy, added to sums in FP32."""
    product = at.linear_s(n * copies, k, m / copies, dtype, cast=False, copies=copies)
    return np.asarray(product + 6.0 * n * k * copies / at.memory_bw)


def _shape(each: Linear, layouts: Layouts, tokens: Floats) -> tuple[Any, Any, Any, Any]:
    """Rows, columns, depth and groups of a linear layer's product on one GPU."""
    if each.cut == "expert":
        # With experts on their own GPUs the tokens of TP's members are routed apart.
        return tokens / layouts.tp * each.taken, each.outputs, each.inputs, each.copies / layouts.ep
    columns = each.outputs / (layouts.tp if each.cut == "column" else 1)
    depth = each.inputs / (layouts.tp if each.cut == "row" else 1)
    return tokens, columns, depth, 1.0


def _attention(model: Architecture, layouts: Layouts, at: Machine) -> tuple[Floats, Floats]:
    """Of all layers: forward, and backward with what it computes again by itself."""
    fused, fused_back = _fused(model, layouts, at)
    unfused, unfused_back = _unfused(model, layouts, at)
    is_fused = layouts.attention != 1
    return np.where(is_fused, fused, unfused), np.where(is_fused, fused_back, unfused_back)


def _fused(model: Architecture, layouts: Layouts, at: Machine) -> tuple[Floats, Floats]:
    lengths = np.unique(layouts.seq_len)
    pairs = np.array([model.attention_pairs(float(each)) for each in lengths])
    pairs = pairs[np.searchsorted(lengths, layouts.seq_len)]
    width = model.query_dim + model.value_dim
    flops = 2.0 * pairs * layouts.micro_batch * model.heads * width / (layouts.tp * layouts.cp)
    size = layouts.seq_len / layouts.cp / (layouts.seq_len / layouts.cp + _SHORT)
    narrow = width / 2 / (width / 2 + _NARROW) * (128 + _NARROW) / 128
    rate, rate_back = _FUSED_RATE.get(at.generation, _FUSED_RATE[""])
    first = np.where(layouts.attention == 2, _FUSED_2022.get(at.generation, _FUSED_2022[""]), 1.0)
    seconds = flops / (at.peak_flops[0] * at.constants.attention_rate * first * size * narrow)
    return seconds / rate, seconds * _BACKWARD_FLOPS / rate_back


def _unfused(model: Architecture, layouts: Layouts, at: Machine) -> tuple[Floats, Floats]:
    """All scores are computed, masked ones too, and go through memory."""
    half = np.zeros_like(layouts.dtype)
    rows = layouts.micro_batch * (model.heads / layouts.tp) * layouts.seq_len / layouts.cp
    products = at.linear_s(rows, layouts.seq_len, model.query_dim, half, cast=False)
    products = products + at.linear_s(rows, model.value_dim, layouts.seq_len, half, cast=False)
    through = rows * layouts.seq_len / at.memory_bw
    n = model.layers + model.predicted_tokens
    return n * (products + _SCORE_BYTES[0] * through), n * (2 * products + _SCORE_BYTES[1] * through)


def _between(model: Architecture, layouts: Layouts, at: Machine, tokens: Floats) -> tuple[Floats, Floats]:
    """Norms, residuals, positions, activation functions and routing of the average layer."""
    sequence = np.where(layouts.sequence_parallel == 1, layouts.tp, 1)
    moe = model.moe_layers / model.layers
    ffn = model.ffn * (1 - moe) + moe * model.shared_experts * model.shared_ffn
    heads = (model.heads + 2 * model.kv_heads) * model.head_dim
    gate = 3 if model.gated else 2
    by_tensor = (gate * ffn + 2 * heads) / layouts.tp
    routed = moe * model.top_k * (gate * model.expert_ffn + 6 * model.hidden) / layouts.tp
    elements = 10 * model.hidden / sequence + by_tensor + routed
    forward = 2.0 * tokens * elements / at.memory_bw * at.constants.elementwise
    return forward, 2 * forward
