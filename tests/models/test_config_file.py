"""Architectures from `config.json`: as the catalogue has them, or a clear refusal."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.base.errors import Finding, GpufleetError
from gpufleet.models.architecture import Architecture
from gpufleet.models.architectures import architecture
from gpufleet.models.config_file import read_config

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "torch_dtype": "bfloat16",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {"factor": 8.0},
    "tie_word_embeddings": False,
    "attention_dropout": 0.0,
    "use_cache": True,
}
LATENT = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "intermediate_size": 18432,
    "vocab_size": 129280,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "first_k_dense_replace": 3,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "num_nextn_predict_layers": 1,
    "tie_word_embeddings": False,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "topk_group": 4,
    "n_group": 8,
    "ep_size": 1,
}
SAME: dict[str, Mapping[str, Any]] = {
    "llama-3.1-70b": LLAMA,
    "deepseek-v3": LATENT,
    "qwen3-30b-a3b": {
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "num_hidden_layers": 48,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "vocab_size": 151936,
        "decoder_sparse_step": 1,
        "use_sliding_window": False,
        "sliding_window": None,
        "max_window_layers": 48,
        "mlp_only_layers": [],
    },
    "llama-4-maverick": {
        "model_type": "llama4",
        "boi_token_index": 200080,
        "vision_config": {"hidden_size": 1408},
        "text_config": {
            "model_type": "llama4_text",
            "hidden_size": 5120,
            "intermediate_size": 8192,
            "head_dim": 128,
            "intermediate_size_mlp": 16384,
            "num_hidden_layers": 48,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "num_local_experts": 128,
            "num_experts_per_tok": 1,
            "interleave_moe_layer_step": 2,
            "vocab_size": 202048,
            "attention_chunk_size": 8192,
        },
    },
    "gpt-oss-120b": {
        "model_type": "gpt_oss",
        "num_hidden_layers": 36,
        "num_local_experts": 128,
        "vocab_size": 201088,
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "head_dim": 64,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "sliding_window": 128,
        "num_experts_per_tok": 4,
        "experts_per_token": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 18,
    },
    "exaone-4.0-32b": {
        "model_type": "exaone4",
        "hidden_size": 5120,
        "intermediate_size": 27392,
        "num_hidden_layers": 64,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 102400,
        "sliding_window": 4096,
        "sliding_window_pattern": "LLLG",
        "tie_word_embeddings": False,
    },
    "exaone-3.5-32b": {
        "model_type": "exaone",
        "activation_function": "silu",
        "hidden_size": 5120,
        "num_layers": 64,
        "intermediate_size": 27392,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "vocab_size": 102400,
        "embed_dropout": 0.0,
        "head_dim": 128,
        "layer_norm_epsilon": 1e-05,
    },
    "mixtral-8x7b": {
        "model_type": "mixtral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "vocab_size": 32000,
        "num_experts_per_tok": 2,
        "sliding_window": None,
        "router_aux_loss_coef": 0.02,
    },
    "gemma-3-27b": {
        "model_type": "gemma3",
        "mm_tokens_per_image": 256,
        "tie_word_embeddings": True,
        "text_config": {
            "model_type": "gemma3_text",
            "hidden_size": 5376,
            "intermediate_size": 21504,
            "head_dim": 128,
            "num_hidden_layers": 62,
            "num_attention_heads": 32,
            "num_key_value_heads": 16,
            "vocab_size": 262144,
            "sliding_window": 1024,
            "query_pre_attn_scalar": 168,
        },
    },
    "falcon-180b": {
        "model_type": "falcon",
        "hidden_size": 14848,
        "num_hidden_layers": 80,
        "num_attention_heads": 232,
        "num_kv_heads": 8,
        "new_decoder_architecture": True,
        "vocab_size": 65024,
        "parallel_attn": True,
    },
    "glm-4.5": {
        "model_type": "glm4_moe",
        "num_hidden_layers": 92,
        "hidden_size": 5120,
        "num_attention_heads": 96,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 12288,
        "vocab_size": 151552,
        "n_routed_experts": 160,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "first_k_dense_replace": 3,
        "moe_intermediate_size": 1536,
        "routed_scaling_factor": 2.5,
        "num_nextn_predict_layers": 1,
    },
}


def write(folder: Path, config: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    return path


def sizes(made: Architecture) -> tuple[float, ...]:
    return (made.params_total, made.params_active, made.attention_pairs(8192), made.flops_per_token(8192))


def found(folder: Path, config: Any) -> list[Finding]:
    with pytest.raises(GpufleetError) as caught:
        read_config(write(folder, config))
    return list(caught.value.findings)


@pytest.mark.parametrize("name", SAME)
def test_a_configuration_is_what_the_catalogue_has(name: str, tmp_path: Path) -> None:
    read, row = read_config(write(tmp_path, SAME[name])), architecture(name)
    if name == "falcon-180b":  # rows count no biases, the family's norms have none to count
        assert read.params_total == row.params_total
    assert sizes(read) == pytest.approx(sizes(row), rel=1e-9)


def test_routing_to_a_few_groups_is_kept_only_where_it_keeps_tokens_to_them(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, LATENT)).groups_taken == architecture("deepseek-v3").groups_taken == 4
    assert read_config(write(tmp_path, {**LATENT, "n_group": 1, "topk_group": 1})).groups_taken == 0


def test_the_oldest_form_leaves_the_inner_width_out(tmp_path: Path) -> None:
    gpt2 = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257}
    made = read_config(write(tmp_path, {**gpt2, "n_positions": 1024, "n_ctx": 1024, "n_inner": None}))
    assert made.params_total == 124_439_808  # as published with the weights


@pytest.mark.parametrize(
    ("family", "why"),
    [("nemotron_h", "carry a state"), ("qwen3_next", "carry a state"), ("deepseek_v32", "chooses which"),
     ("bert", "no decoder"), ("lama", "did you mean `llama`")],
)  # fmt: skip
def test_a_family_that_is_not_counted_is_refused_with_the_reason(
    family: str, why: str, tmp_path: Path
) -> None:
    (refusal,) = found(tmp_path, {**LLAMA, "model_type": family})
    assert refusal.code == "C021"
    assert why in refusal.says + refusal.fix
    assert str(refusal.at).endswith("config.json:5")


def test_all_faults_are_said_at_once_each_with_its_line(tmp_path: Path) -> None:
    wrong = {**LLAMA, "num_key_value_heads": -8, "hidden_sizes": 4096, "vocab_size": "many"}
    del wrong["hidden_size"]
    faults = found(tmp_path, wrong)
    assert sorted(each.code for each in faults) == ["C022", "C023", "C024", "C024"]
    assert all(each.at and each.at.line for each in faults)
    assert any("did you mean `hidden_size`?" in each.fix for each in faults)


def test_a_field_without_effect_is_left_alone_and_one_that_is_off_too(tmp_path: Path) -> None:
    made = read_config(
        write(tmp_path, {**LLAMA, "rope_interleaved": 4, "depth_routing": False, "my_map": {}})
    )
    assert made.params_total == architecture("llama-3.1-70b").params_total
    (unknown,) = found(tmp_path, {**LLAMA, "depth_routing": 4})
    assert (unknown.code, "depth_routing" in unknown.says) == ("C022", True)


@pytest.mark.parametrize(
    ("change", "arithmetic"),
    [
        ({"num_key_value_heads": 12}, "64 heads cannot share 12"),
        ({"num_attention_heads": 72, "num_key_value_heads": 72}, "8192 is no multiple of 72 heads"),
        ({"num_hidden_layers": 10**9}, "1000000000"),
        ({"num_hidden_layers": True}, "true"),
    ],
)
def test_widths_that_cannot_be_are_refused_with_the_arithmetic(
    change: dict[str, Any], arithmetic: str, tmp_path: Path
) -> None:
    (refusal,) = found(tmp_path, {**LLAMA, **change})
    assert refusal.code == "C024"
    assert arithmetic in refusal.says


def test_no_token_takes_more_experts_than_there_are(tmp_path: Path) -> None:
    (refusal,) = found(tmp_path, {**LATENT, "num_experts_per_tok": 300})
    assert refusal.says == "a token takes 300 of 256 experts"
    (refusal,) = found(tmp_path, {**LATENT, "first_k_dense_replace": 61})
    assert refusal.says == "all 61 layers are dense, none has experts"


def test_fields_of_another_family_are_not_left_out_unseen(tmp_path: Path) -> None:
    (unknown,) = found(tmp_path, {**LLAMA, "num_local_experts": 8})
    assert (unknown.code, "num_local_experts" in unknown.says) == ("C022", True)
    for key in ("kv_lora_rank", "sliding_window"):
        (unknown,) = found(tmp_path, {**LLAMA, key: 512})
        assert unknown.code == "C022"


def test_windows_are_as_the_family_has_them(tmp_path: Path) -> None:
    """Mistral's on all layers; Qwen's only if they are turned on, and then on those after the first ones."""
    qwen = {**LLAMA, "model_type": "qwen2", "sliding_window": 4096, "max_window_layers": 70}
    windowed = []
    for config in (
        {**LLAMA, "model_type": "mistral", "sliding_window": 4096},
        {**LLAMA, "model_type": "mistral", "sliding_window": None},
        qwen,
        {**qwen, "use_sliding_window": True},
    ):
        windowed.append(read_config(write(tmp_path, config)).windowed_layers)
    assert windowed == [80, 0, 0, 10]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10**8),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(0, 3), st.just("sliding_attention"), st.none()), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(st.sampled_from(sorted(SAME)), st.data())
@settings(max_examples=150)
def test_whatever_stands_in_a_field_ends_in_an_architecture_or_in_findings(
    name: str, data: st.DataObject
) -> None:
    config = json.loads(json.dumps(SAME[name]))
    inner = config.get("text_config", config)
    for key in data.draw(
        st.lists(st.sampled_from([*inner, "mlp_only_layers", "layer_types"]), min_size=1, max_size=3)
    ):
        inner[key] = data.draw(JUNK)
    made, codes = None, []
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = read_config(write(Path(folder), config))
        except GpufleetError as refusal:
            codes = [each.code for each in refusal.findings]
    assert (made is None) == bool(codes)
    assert all(code.startswith("C02") for code in codes)
    assert made is None or (made.params_total > 0 and made.flops_per_token(4096) > 0)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"hidden_size": 4}', '{"model_type": 3}'])
def test_what_is_no_configuration_says_so(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GpufleetError) as caught:
        read_config(path)
    assert caught.value.findings[0].code == "C020"
