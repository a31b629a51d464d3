"""Memory by hand, and how it falls when a model is divided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.models.architecture import Architecture
from gpufleet.models.held import kept_per_token, memory
from gpufleet.models.layout import Layouts

LLAMA = Architecture(name="70b", layers=80, hidden=8192, heads=64, kv_heads=8, ffn=28672, vocab=128256)
MOE = Architecture(
    name="moe",
    layers=48,
    hidden=2048,
    heads=32,
    kv_heads=4,
    head_dim=128,
    vocab=151936,
    experts=128,
    top_k=8,
    expert_ffn=768,
)
GPT = Architecture(name="22b", layers=48, hidden=6144, heads=64, ffn=24576, vocab=51200, gated=False)


def test_states_of_a_model_on_one_gpu_are_eighteen_bytes_per_parameter() -> None:
    got = memory(LLAMA, Layouts.of(micro_batch=1, global_batch=1, seq_len=1024))
    states = got.weights + got.gradients + got.optimizer
    assert states[0] == pytest.approx(18 * LLAMA.params_total)


def test_activations_are_those_of_korthikanti() -> None:
    s, b, h, a, t = 2048, 4, 6144, 64, 8
    kept = {}
    for recompute in ("none", "selective"):
        layout = Layouts.of(
            tp=t, micro_batch=b, global_batch=b, seq_len=s, recompute=recompute, attention="unfused"
        )
        kept[recompute] = float(kept_per_token(GPT, layout)[0]) * s * b
    assert kept["none"] == pytest.approx(s * b * h * (34 / t + 5 * a * s / (h * t)), rel=1e-12)
    assert kept["selective"] == pytest.approx(s * b * h * 34 / t, rel=1e-12)
    layout = Layouts.of(
        tp=t,
        micro_batch=b,
        global_batch=b,
        seq_len=s,
        attention="unfused",
        sequence_parallel=0,
        recompute="selective",
    )
    assert kept_per_token(GPT, layout)[0] * s * b == pytest.approx(s * b * h * (10 + 24 / t), rel=1e-12)


def test_interleaving_and_pipeline_keep_what_is_in_flight() -> None:
    layouts = Layouts.of(pp=8, vpp=[1, 5], micro_batch=1, global_batch=64, seq_len=4096)
    plain, interleaved = memory(LLAMA, layouts).activations
    assert interleaved / plain == pytest.approx(1 + 7 / (8 * 5))
    few = memory(LLAMA, Layouts.of(pp=8, micro_batch=1, global_batch=2, seq_len=4096)).activations[0]
    assert few == pytest.approx(plain / 4)


def test_full_recomputation_keeps_inputs_of_layers_and_one_layer() -> None:
    full = memory(LLAMA, Layouts.of(micro_batch=1, global_batch=1, seq_len=4096, recompute="full"))
    one = float(kept_per_token(LLAMA, Layouts.of(seq_len=4096))[0])
    assert full.activations[0] == pytest.approx(4096 * (80 * 2 * 8192 + one))


@given(
    st.sampled_from([LLAMA, MOE]),
    st.sampled_from(["tp", "pp", "dp"]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from(["zero1", "fsdp"]),
)
def test_states_fall_when_a_model_is_divided_further(model: Architecture, by: str, n: int, zero: str) -> None:
    layouts = Layouts.of(
        **dict({"dp": 2}, **{by: [n, 2 * n]}), micro_batch=1, global_batch=64, seq_len=4096, zero=zero
    )
    got = memory(model, layouts)
    states = got.weights + got.gradients + got.optimizer
    assert states[1] < states[0] or (by == "tp" and model is MOE)
    assert got.optimizer[1] < got.optimizer[0] or (by == "tp" and model is MOE)


@given(st.sampled_from([LLAMA, MOE]), st.sampled_from(["tp", "cp"]), st.sampled_from([1, 2, 4]))
def test_activations_fall_with_tp_and_cp(model: Architecture, by: str, n: int) -> None:
    layouts = Layouts.of(
        **{by: [n, 2 * n]}, micro_batch=1, global_batch=64, seq_len=4096, sequence_parallel=1
    )
    kept = memory(model, layouts).activations
    assert kept[1] < kept[0]


def test_experts_are_divided_by_ep_alone() -> None:
    got = memory(MOE, Layouts.of(dp=8, ep=[1, 8], micro_batch=1, global_batch=8, seq_len=64, zero="zero1"))
    experts = sum(each.params for each in MOE.linears() if each.cut == "expert")
    assert got.weights[0] - got.weights[1] == pytest.approx(2 * experts * 7 / 8)
    # Either way all eight GPUs hold one optimizer of each expert together.
    assert got.optimizer[0] == pytest.approx(got.optimizer[1])


def test_parts_add_up() -> None:
    got = memory(LLAMA, Layouts.of(tp=[1, 8], dp=8, micro_batch=1, global_batch=64, seq_len=4096))
    np.testing.assert_allclose(got.total, sum(got))
