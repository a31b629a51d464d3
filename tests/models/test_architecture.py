"""Parameters and FLOPs against published counts, and against sums written out term by term."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.models.architecture import Architecture

LLAMA_405B = Architecture(
    name="Llama-3.1-405B", layers=126, hidden=16384, heads=128, kv_heads=8, ffn=53248, vocab=128256
)
LLAMA_8B = Architecture(
    name="Llama-3-8B", layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocab=128256
)
GPT3 = Architecture(
    name="GPT-3", layers=96, hidden=12288, heads=96, ffn=49152, vocab=50257, gated=False, tied=True,
    positions=2048, bias=True,
)  # fmt: skip
DEEPSEEK_V3 = Architecture(
    name="DeepSeek-V3", layers=61, hidden=7168, heads=128, ffn=18432, vocab=129280, experts=256, top_k=8,
    shared_experts=1, expert_ffn=2048, dense_layers=3, q_rank=1536, kv_rank=512, rope_dim=64, head_dim=128,
)  # fmt: skip
GPT_OSS = Architecture(
    name="gpt-oss-120b", layers=36, hidden=2880, heads=64, kv_heads=8, head_dim=64, vocab=201088, experts=128,
    top_k=4, expert_ffn=2880, window=128, windowed_layers=18,
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "total", "active"),
    [
        # Published: 405.85 B and 8.03 B (weights on the hub), 174.6 B (Brown et al., table 2.1),
        # 671 B of which 37 B (DeepSeek-V3 report), 116.8 B of which 5.1 B (gpt-oss card; there without
        # the table of tokens).
        (LLAMA_405B, 405.853e9, 405.853e9),
        (LLAMA_8B, 8.030e9, 8.030e9),
        (GPT3, 174.6e9, 174.6e9),
        (DEEPSEEK_V3, 671.03e9, 37.55e9),
        (GPT_OSS, 116.8e9, 5.1e9 + 201088 * 2880),
    ],
)
def test_parameters_are_those_that_were_published(model: Architecture, total: float, active: float) -> None:
    assert model.params_total == pytest.approx(total, rel=2e-3)
    assert model.params_active == pytest.approx(active, rel=2e-2)


def test_parameters_of_llama_term_by_term() -> None:
    h, kv, f, v, n = 16384, 8 * 128, 53248, 128256, 126
    attention = h * h + 2 * h * kv + h * h
    ffn = 3 * h * f
    assert LLAMA_405B.params_total == n * (attention + ffn + 2 * h) + h + 2 * v * h


def test_parameters_of_deepseek_term_by_term() -> None:
    h, heads = 7168, 128
    mla = h * 1536 + 1536 + 1536 * heads * 192 + h * (512 + 64) + 512 + 512 * heads * 256 + heads * 128 * h
    dense, expert = 3 * h * 18432, 3 * h * 2048
    layers = 61 * (mla + 2 * h) + 3 * dense + 58 * (257 * expert + h * 256)
    assert DEEPSEEK_V3.params_total == layers + h + 2 * 129280 * h


def flops(*products: tuple[float, ...]) -> float:
    """Twice the sum of products: a multiplication and an addition each; backward twice forward."""
    total = 0.0
    for product in products:
        value = 2.0
        for factor in product:
            value *= factor
        total += value
    return 3 * total


def test_flops_of_llama_by_hand() -> None:
    h, s, heads, d = 16384, 8192, 128, 128
    by_hand = flops(
        (126, h, h + 2 * 1024), (126, h, h), (126, 3, h, 53248), (h, 128256),
        (126, heads, d, (s + 1) / 2), (126, heads, d, (s + 1) / 2),
    )  # fmt: skip
    assert LLAMA_405B.flops_per_token(s) == pytest.approx(by_hand, rel=1e-12)


def test_flops_of_gpt_3_by_hand() -> None:
    h, s = 12288, 2048
    by_hand = flops((96, 12, h, h), (h, 50257), (96, 2, h, (s + 1) / 2))
    assert GPT3.flops_per_token(s) == pytest.approx(by_hand, rel=1e-12)


def test_flops_of_deepseek_by_hand() -> None:
    h, s, heads = 7168, 4096, 128
    by_hand = flops(
        (61, h, 1536), (61, 1536, heads * 192), (61, h, 576), (61, 512, heads * 256), (61, heads * 128, h),
        (3, 3, h, 18432), (58, 9, 3, h, 2048), (58, h, 256), (h, 129280),
        (61, heads, 192 + 128, (s + 1) / 2),
    )  # fmt: skip
    assert DEEPSEEK_V3.flops_per_token(s) == pytest.approx(by_hand, rel=1e-12)


def test_flops_with_windows_by_hand() -> None:
    h, s = 2880, 4096
    seen = (128 * 129 / 2 + (s - 128) * 128) / s
    by_hand = flops(
        (36, h, 64 * 64 + 2 * 8 * 64), (36, 64 * 64, h), (36, 4, 3, h, 2880), (36, h, 128), (h, 201088),
        (18, 64, 128, (s + 1) / 2), (18, 64, 128, seen),
    )  # fmt: skip
    assert GPT_OSS.flops_per_token(s) == pytest.approx(by_hand, rel=1e-12)


def test_flops_are_about_six_per_active_parameter() -> None:
    short = LLAMA_8B.flops_per_token(64) / (6 * (LLAMA_8B.params_active - 128256 * 4096))
    assert short == pytest.approx(1, rel=0.01)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_longer_sequences_have_more_pairs_per_token(one: int, other: int) -> None:
    short, long = sorted((one, other))
    per_token = [LLAMA_8B.attention_pairs(n) / n for n in (short, long)]
    assert per_token[0] <= per_token[1]
    windowed = [GPT_OSS.attention_pairs(n) for n in (short, long)]
    assert windowed[0] <= windowed[1]
    assert windowed[1] <= 36 * long * (long + 1) / 2
