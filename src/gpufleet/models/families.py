"""How configurations of Hugging Face name things, by `model_type`; families that are no plain transformer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from gpufleet.base.say import Said, say


class Family(NamedTuple):
    """What a `model_type` means where its file is silent."""

    gated: bool = True
    tied: bool = False
    experts: bool = False  # the file must say how many
    expert_ffn: str = "moe_intermediate_size"  # the key with the inner width of one expert
    shared: int = 0  # experts that every token takes, where no key says so
    latent: bool = False  # multi-head latent attention
    every: int = 0  # of so many layers one sees all tokens, the others a window; 1: none sees all
    window: int = 0  # that the windowed layers have where the file is silent
    switch: bool = False  # windows are off unless `use_sliding_window` turns them on
    one_kv_head: bool = False  # multi-query attention where the file does not say otherwise
    positions: bool = False  # a learned table of positions
    bias: bool = False


_DENSE: Final = Family()
_SWITCH: Final = Family(switch=True)
_PATTERN_4: Final = Family(every=4)
_GPT: Final = Family(gated=False, tied=True, positions=True, bias=True)
_EXPERTS: Final = Family(experts=True)
_SWITCH_EXPERTS: Final = Family(experts=True, switch=True)
_LATENT: Final = Family(experts=True, latent=True)

FAMILIES: Final[Mapping[str, Family]] = {
    **dict.fromkeys(
        (
            *("llama", "olmo", "olmo2", "exaone", "hyperclovax", "internlm2", "seed_oss"),
            *("granite", "smollm3", "stablelm", "glm", "glm4", "solar", "apertus", "plamo"),
        ),
        _DENSE,
    ),
    "qwen2": _SWITCH,
    "qwen3": _SWITCH,
    "mistral": Family(every=1),
    "phi3": Family(every=1),
    "olmo3": _PATTERN_4,
    "exaone4": _PATTERN_4,
    "cohere2": Family(tied=True, every=4),
    "cohere": Family(tied=True),
    "gemma": Family(tied=True),
    "gemma2": Family(tied=True, every=2, window=4096),
    "gemma3_text": Family(tied=True, every=6, window=4096),
    "nemotron": Family(gated=False),
    "gpt2": _GPT,
    "opt": _GPT,
    "bloom": Family(gated=False, tied=True, bias=True),
    "gpt_neox": Family(gated=False, bias=True),
    "falcon": Family(gated=False, tied=True, one_kv_head=True),
    "mixtral": Family(experts=True, expert_ffn="intermediate_size", every=1),
    "phimoe": Family(experts=True, expert_ffn="intermediate_size", every=1),
    "gpt_oss": Family(experts=True, expert_ffn="intermediate_size", every=2, window=128),
    "olmoe": Family(experts=True, expert_ffn="intermediate_size"),
    "minimax_m2": Family(experts=True, expert_ffn="intermediate_size"),
    "llama4_text": Family(experts=True, expert_ffn="intermediate_size", shared=1, every=4),
    "qwen2_moe": _SWITCH_EXPERTS,
    "qwen3_moe": _SWITCH_EXPERTS,
    **dict.fromkeys(("glm4_moe", "ernie4_5_moe", "solar_open", "dots1"), _EXPERTS),
    "exaone_moe": Family(experts=True, every=4),
    **dict.fromkeys(("deepseek_v2", "deepseek_v3", "kimi_k2", "axk1", "axk2", "glm4_moe_lite"), _LATENT),
}
"""Every `model_type` that is read."""

_STATE: Final = say("some of its layers carry a state from token to token (Mamba or linear attention)")
_CHOOSES: Final = say("its attention chooses which tokens to look at")
_ENCODER: Final = say("it is no decoder that predicts the next token")

REFUSED: Final[Mapping[str, Said]] = {
    **dict.fromkeys(
        (
            *(
                "mamba",
                "mamba2",
                "falcon_mamba",
                "falcon_h1",
                "jamba",
                "bamba",
                "zamba",
                "zamba2",
                "nemotron_h",
            ),
            *("granitemoehybrid", "qwen3_next", "qwen3_5", "qwen3_5_moe", "qwen3_5_text", "qwen3_5_moe_text"),
            *("kimi_linear", "minimax", "minimax_text_01", "lfm2", "lfm2_moe", "rwkv", "recurrent_gemma"),
            *("plamo2", "olmo_hybrid", "bailing_hybrid", "xlstm"),
        ),
        _STATE,
    ),
    **dict.fromkeys(("deepseek_v32", "deepseek_v4", "glm_moe_dsa", "glm5_next", "minimax_m3"), _CHOOSES),
    **dict.fromkeys(
        ("bert", "roberta", "t5", "mt5", "bart", "whisper", "vit", "clip", "modernbert"), _ENCODER
    ),
}
"""Every `model_type` that is refused with a reason of its own."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "layers": ("num_hidden_layers", "num_layers", "n_layer"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads"),
    "head_dim": ("head_dim",),
    "ffn": ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim"),
    "vocab": ("vocab_size",),
    "positions": ("n_positions", "max_position_embeddings"),
    "experts": ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts"),
    "top_k": ("num_experts_per_tok", "num_experts_per_token", "moe_k"),
    "shared_experts": ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
    "shared_ffn": ("shared_expert_intermediate_size",),
    "groups": ("n_group", "num_expert_group"),
    "groups_taken": ("topk_group",),
    "q_rank": ("q_lora_rank",),
    "kv_rank": ("kv_lora_rank",),
    "rope_dim": ("qk_rope_head_dim",),
    "latent_dim": ("qk_nope_head_dim",),
    "value_dim": ("v_head_dim",),
    "window": ("sliding_window", "attention_chunk_size"),
    "predicted_tokens": ("num_nextn_predict_layers", "num_mtp_layers"),
}
"""Our words, and the keys that say them, the first that is there."""

_OF_EXPERTS: Final = frozenset(
    """
    moe_intermediate_size intermediate_size_mlp first_k_dense_replace moe_layer_start_index
    moe_layer_end_index moe_layer_freq moe_layer_interval decoder_sparse_step interleave_moe_layer_step
    mlp_only_layers moe_layers
    mlp_layer_types is_moe_layer
    """.split()  # noqa: SIM905
)
_OF_ALL: Final = frozenset(
    """
    model_type text_config tie_word_embeddings multi_query new_decoder_architecture layer_types
    """.split()  # noqa: SIM905
)
_OF_WINDOWS: Final = frozenset(
    """
    sliding_window_pattern use_sliding_window max_window_layers no_rope_layers no_rope_layer_interval
    """.split()  # noqa: SIM905
)
_EXPERT_WORDS: Final = ("experts", "top_k", "shared_experts", "shared_ffn", "groups", "groups_taken")
_LATENT_WORDS: Final = ("q_rank", "kv_rank", "rope_dim", "latent_dim", "value_dim")


def known_fields(family: Family) -> frozenset[str]:
    """Keys of a configuration that are looked at in a family; elsewhere they would be left out unseen.

    >>> ["n_routed_experts" in known_fields(FAMILIES[each]) for each in ("deepseek_v3", "llama")]
    [True, False]
    """
    left_out = {
        *(() if family.experts else _EXPERT_WORDS),
        *(() if family.latent else _LATENT_WORDS),
    }
    windows = family.every or family.switch
    if not windows:
        left_out.add("window")
    named = frozenset(key for word, keys in NAMES.items() if word not in left_out for key in keys)
    experts = _OF_EXPERTS if family.experts else frozenset()
    return named | _OF_ALL | experts | (_OF_WINDOWS if windows else frozenset())


WITHOUT_EFFECT: Final = re.compile(
    r"""
    _.* | architectures | auto_map | .*dtype | transformers_version | use_cache | use_mambapy |
    .*_token_(id|ids|index) | .*_tokens?_idx | .*dropout.* | .*pdrop | rope_.* | rotary_.* |
    partial_rotary_factor | initializer_range | .*_init.* | init_.* | .*_std | .*_eps | .*epsilon |
    .*norm.* | .*bias | .*aux_loss.* | .*router.* | .*_loss_.* | scoring_func | topk_method |
    routed_scaling_factor | .*scaling.* | .*multiplier.* | .*softcap.* | .*_scalar |
    query_pre_attn_scalar | pretraining_tp | ep_size | quantization_config | compression_config |
    task_specific_params | .*attn_implementation | name_or_path | vision_config | audio_config |
    model_max_length | max_sequence_length | max_.*position.* | n_ctx | seq_length | seq_aux | .*label.*
    | problem_type | tokenizer_class | return_.* | output_.* | gradient_checkpointing |
    (mlp_)?hidden_act(ivation)? | activation_function | cache_implementation | summary_.* |
    attn_temperature_tuning | attn_scale | floor_scale | swiglu_.* | use_flash_attention.* | use_qk_norm
    | qk_layernorm | is_(encoder_)?decoder | initial_context_length | bos_.* | eos_.* | pad_.* | sep_.*
    | unk_.* | .*rms.* | alibi | parallel_attn | use_parallel_residual |
    original_max_position_embeddings | clip_qkv | for_llm_class | embd_layer | experts_per_token |
    reorder_and_upcast_attn | attn_type_list | moe_renormalize | .*capacity.* | moe_gate_act |
    moe_use_.* | use_moe | license | description
    """,
    re.VERBOSE,
)
"""Keys that change neither a width nor a count of layers: they are not needed and not complained about."""
