"""What the cells of a published run mean: architecture, layout, network, and seconds per step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gpufleet.base.say import say
from gpufleet.catalog.load import gpus, resolve_product
from gpufleet.models.architecture import Architecture
from gpufleet.models.run_cells import Cells

PRECISION: Final = {"BF16": "bf16", "FP16": "bf16", "FP8": "fp8", "MXFP8": "mxfp8", "NVFP4": "fp4"}
KNOWN: Final[Mapping[str, Mapping[str, int]]] = {
    "DeepSeek-V3": {"dense_layers": 3, "q_rank": 1536, "kv_rank": 512, "rope_dim": 64, "head_dim": 128,
                    "predicted_tokens": 1, "groups_taken": 4},
    "Kimi-K2": {"dense_layers": 1, "q_rank": 1536, "kv_rank": 512, "rope_dim": 64, "head_dim": 128},
    "GPT-OSS-120B": {"head_dim": 64, "window": 128, "windowed_layers": 18},
}  # fmt: skip
"""What tables of runs do not tell of some models; of their published config.json."""
GPT_VOCAB: Final = 51_200
"""Of models that do not state it: GPT-2's 50,257 as Megatron-LM pads it."""


def architecture(row: Cells) -> Architecture:
    """The model of a row; what a cell does not tell is usual, or known of models of that name."""
    heads, hidden = row.whole("heads"), row.whole("hidden")
    experts = row.whole("n_experts")
    stated = re.search(r"head_dim (\d+)", row["attention"])
    known = dict(KNOWN.get(row["model"], {}))
    if stated:
        known["head_dim"] = int(stated[1])
    old = row["precision"] == "FP16"
    return Architecture(
        name=row["model"],
        layers=row.whole("layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=row.whole("kv_heads", heads),
        ffn=row.whole("ffn", 0 if experts else 4 * hidden),
        vocab=row.whole("vocab", GPT_VOCAB),
        gated=bool(row.whole("gated_mlp", 0 if old else 1)),
        tied=not row.whole("gated_mlp", 0 if old else 1),
        positions=row.whole("seq") if old else 0,
        bias=old,
        experts=experts,
        top_k=row.whole("top_k"),
        shared_experts=row.whole("shared_experts"),
        expert_ffn=row.whole("expert_ffn"),
        **known,
    )


def layout(row: Cells, notes: list[str]) -> dict[str, Any]:
    """The layout; a run in FP16 is of the years before fused attention and gradients that travel early."""
    old = row["precision"] == "FP16"
    fsdp, tp = row.whole("fsdp"), row.whole("tp", 1)
    return {
        "tp": tp, "pp": row.whole("pp", 1), "vpp": row.whole("vpp", 1), "dp": row.whole("dp", 1),
        "cp": row.whole("cp", 1), "ep": row.whole("ep", 1), "micro_batch": row.whole("micro_batch"),
        "global_batch": row.whole("global_batch"), "seq_len": row.whole("seq"),
        "sequence_parallel": row.whole("seq_parallel", int(tp > 1 and not old)),
        "zero": "fsdp" if fsdp > 1 else "none" if old else "zero1", "shards": fsdp if fsdp > 1 else 0,
        "recompute": row["recompute"] if row["recompute"] in ("none", "selective", "full") else None,
        "dtype": _dtype(row, notes), "attention": _attention(row),
        "overlap": int(not old),
    }  # fmt: skip


def _attention(row: Cells) -> str:
    """Which kernel; with ALiBi it was the first fused one, as no other took a bias then."""
    if row["precision"] == "FP16":
        return "unfused"
    return "fused_2022" if "ALiBi" in row["attention"] else "fused"


def _dtype(row: Cells, notes: list[str]) -> str:
    """The number type; where a row's own MFU tells another one, that."""
    stated = PRECISION[row["precision"]]
    tflops, mfu = row.number("tflops_per_gpu"), row.number("mfu_pct")
    fp8 = gpus()[resolve_product(row["gpu"]).id].fp8_tflops
    if stated == "bf16" and tflops and mfu and fp8 and abs(tflops / mfu * 100 / fp8 - 1) < 0.02:
        notes.append(say("BF16 is read as FP8: the row's MFU is a share of the FP8 peak"))
        return "fp8"
    return stated


def step_s(row: Cells, model: Architecture, layout: Mapping[str, Any]) -> float | None:
    """Seconds per step, from whatever speed was published."""
    rate = row.number("norm_tokens_per_s_per_gpu")
    value = row.number("value") or 0.0
    if rate is None and row["quantity"] == "step_time" and row["unit"] == "s":
        return value
    if rate is None and row["quantity"] == "tokens_per_s_per_gpu":
        rate = value
    if rate is None and row["quantity"].endswith("tflops_per_gpu"):
        rate = value * 1e12 / _published_flops(model, layout, hardware=row["quantity"].startswith("hardware"))
    if rate is None:
        return None
    return float(layout["global_batch"] * layout["seq_len"] / rate / row.whole("n_gpus"))


def _published_flops(model: Architecture, layout: Mapping[str, Any], *, hardware: bool) -> float:
    """FLOPs per token as Narayanan et al. (2021) count: attention without the mask; a full recomputation."""
    h, s, n = model.hidden, layout["seq_len"], model.layers
    passes = 96 if hardware and layout["recompute"] == "full" else 72
    return float(passes * n * h**2 * (1 + s / (6 * h) + model.vocab / (16 * n * h)))


def network(text: str, domain: int) -> tuple[int, float]:
    """GPUs of a scale-up domain and Gb/s of the network per GPU, of a text such as "NVLink4 x8 + 3200Gb/s per
    node".

    >>> network("NVLink5 1.8TB/s x72 + 400Gb/s per GPU", 8)
    (72, 400.0)
    >>> network("NVLink3 x8 + 1600Gb/s RoCE per node", 8)
    (8, 200.0)
    """
    stated = re.search(r"\bx(\d+)\b", text)
    size = int(stated[1]) if stated else domain
    rate = re.search(r"(?:(\d+)x)?(\d+)\s?Gb/s", text)
    if not rate:
        return size, 200.0 if "HDR" in text else 0.0
    gbps = float(rate[1] or 1) * float(rate[2])
    return size, gbps / 8 if "per node" in text else gbps
