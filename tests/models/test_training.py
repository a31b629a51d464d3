"""Steps: parts, units and laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError
from gpufleet.catalog import gpus, systems
from gpufleet.models.architecture import Architecture
from gpufleet.models.layout import DTYPES, Layouts, violations
from gpufleet.models.machine import Constants, Machine, machine
from gpufleet.models.training import Step, step

LLAMA = Architecture(name="8b", layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocab=128256)
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
DGX = machine("DGX-H100")
NVL72 = machine("GB200-NVL72")
SECONDS = (
    "gemm_s",
    "attention_s",
    "other_s",
    "tp_s",
    "cp_s",
    "ep_s",
    "pp_s",
    "dp_s",
    "bubble_s",
    "optimizer_s",
)


@st.composite
def layouts(draw: st.DrawFn, experts: bool = False) -> Layouts:
    """A layout that divides both models."""
    tp, pp = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2, 4]))
    dp, cp = draw(st.sampled_from([1, 4, 32])), draw(st.sampled_from([1, 2]))
    return Layouts.of(
        tp=tp,
        pp=pp,
        dp=dp,
        cp=cp,
        vpp=draw(st.sampled_from([1, 2])) if pp > 1 else 1,
        ep=draw(st.sampled_from([1, dp])) if experts else 1,
        micro_batch=draw(st.sampled_from([1, 2])),
        global_batch=256,
        seq_len=draw(st.sampled_from([2048, 8192])),
        zero=draw(st.sampled_from(["none", "zero1", "fsdp"])),
        recompute=draw(st.sampled_from(["none", "selective", "full"])),
        dtype=draw(st.sampled_from(["bf16", "fp8", "mxfp8"])),
        attention=draw(st.sampled_from(["fused", "unfused"])),
        overlap=draw(st.sampled_from([0, 1])),
    )


models = st.sampled_from([LLAMA, MOE])


def total(model: Architecture, wish: Layouts, at: Machine) -> float:
    return float(step(model, wish, at).step_s[0])


@given(models, layouts(experts=True))
def test_parts_add_up_and_none_is_negative(model: Architecture, wish: Layouts) -> None:
    if model is LLAMA:
        wish = wish._replace(ep=np.ones_like(wish.ep))
    got = step(model, wish, DGX)
    parts = [getattr(got, name)[0] for name in SECONDS]
    assert all(part >= 0 for part in parts)
    assert got.step_s[0] == pytest.approx(sum(parts))
    assert 0 <= got.recompute_s[0] < got.step_s[0]
    assert 0 < got.mfu[0] < 1


@given(
    models,
    layouts(),
    st.sampled_from(["memory_bw", "scaleup_bw", "fabric_bw", "peak_flops"]),
    st.floats(1, 8),
)
def test_time_never_rises_with_a_rate(model: Architecture, wish: Layouts, rate: str, more: float) -> None:
    faster = replace(DGX, **{rate: getattr(DGX, rate) * more})
    assert total(model, wish, faster) <= total(model, wish, DGX) * (1 + 1e-9)


@given(models, layouts())
def test_recomputation_takes_longer_and_holds_less(model: Architecture, wish: Layouts) -> None:
    some = [step(model, wish._replace(recompute=np.array([level])), DGX) for level in (0, 1, 2)]
    assert some[0].step_s[0] <= some[1].step_s[0] < some[2].step_s[0]
    assert some[2].memory.activations[0] <= some[1].memory.activations[0] <= some[0].memory.activations[0]


@given(models, layouts())
def test_more_sequences_take_longer(model: Architecture, wish: Layouts) -> None:
    twice = wish._replace(global_batch=2 * wish.global_batch)
    assert total(model, twice, DGX) > total(model, wish, DGX)


@given(layouts())
@settings(max_examples=20)
def test_narrower_numbers_are_faster_where_products_are_large(wish: Layouts) -> None:
    big = replace(LLAMA, hidden=8192, heads=64, head_dim=128, ffn=28672)
    took = [
        total(big, wish._replace(dtype=np.array([DTYPES.index(each)])), NVL72)
        for each in ("bf16", "fp8", "fp4")
    ]
    assert took[0] > took[1] > took[2]


def test_many_layouts_at_once_are_as_one_by_one() -> None:
    wish = Layouts.of(
        tp=[1, 2, 8, 1],
        pp=[1, 2, 4, 1],
        dp=[8, 4, 2, 8],
        micro_batch=1,
        global_batch=64,
        seq_len=[4096, 8192, 4096, 4096],
        dtype=["bf16", "fp8", "mxfp8", "bf16"],
        zero=["fsdp", "zero1", "none", "zero1"],
    )
    together = step(LLAMA, wish, DGX)
    for row in range(4):
        alone = step(LLAMA, wish.take([row]), DGX)
        for name in (*SECONDS, "step_s", "tflops", "energy_j"):
            assert getattr(alone, name)[0] == pytest.approx(getattr(together, name)[row]), name


def test_rates_and_energy_follow_from_step_time() -> None:
    wish = Layouts.of(dp=8, micro_batch=1, global_batch=128, seq_len=8192, zero="fsdp")
    got = step(LLAMA, wish, DGX)
    seconds = float(got.step_s[0])
    assert got.tokens_per_s_per_gpu[0] == pytest.approx(128 * 8192 / seconds / 8)
    assert got.tflops[0] == pytest.approx(got.tokens_per_s_per_gpu[0] * LLAMA.flops_per_token(8192) / 1e12)
    assert got.mfu[0] == pytest.approx(got.tflops[0] / 989.5, rel=0.01)
    # Eight GPUs of 700 W in a node of 10.2 kW: between a quarter and all of their power, and the host's.
    assert 8 * seconds * (175 + 575) < got.energy_j[0] < 8 * seconds * 1275


def test_a_pipeline_waits_at_its_ends_as_the_schedule_says() -> None:
    shape: dict[str, Any] = {"pp": 4, "micro_batch": 1, "seq_len": 4096, "dp": 1}
    no_ends = replace(LLAMA, vocab=1)

    def bubble(**more: Any) -> float:
        got: Step = step(no_ends, Layouts.of(**shape, **more), DGX)
        return float(got.bubble_s[0] / (got.gemm_s + got.attention_s + got.other_s)[0])

    assert bubble(global_batch=16) == pytest.approx(3 / 16, rel=0.01)
    assert bubble(global_batch=16, vpp=4) == pytest.approx(3 / 64, rel=0.02)


def test_a_number_type_that_the_product_has_not_gives_no_time() -> None:
    wish = Layouts.of(micro_batch=1, global_batch=1, seq_len=4096, dtype="fp4")
    assert np.isnan(step(LLAMA, wish, DGX).step_s[0])
    assert np.isfinite(step(LLAMA, wish, NVL72).step_s[0])


def test_products_without_measurements_take_a_stated_curve() -> None:
    assert machine("B200").curve_of == "B200-SXM"
    assert machine("H800", fabric_gbps=400.0).curve_of == "H100-SXM5-80GB"
    assert machine("MI300X").curve_of == "H100-SXM5-80GB"
    share = machine("MI300X").gemm[0, 0] / DGX.gemm[0, 0]
    assert share == pytest.approx(0.65)


def test_layouts_that_cannot_be_are_named() -> None:
    wish = Layouts.of(
        tp=[8, 3, 1, 1],
        pp=[1, 1, 64, 1],
        dp=[1, 1, 1, 3],
        ep=[1, 1, 1, 4],
        micro_batch=1,
        global_batch=8,
        seq_len=4096,
    )
    broken = violations(wish, layers=48, heads=32, kv_heads=4, experts=128)
    by_row = [[rule for rule, where in broken.items() if where[row]] for row in range(4)]
    assert by_row[0] == []
    assert "tp divides heads" in by_row[1]
    assert by_row[2] == ["pp * vpp is at most the layers"]
    assert by_row[3] == ["dp * micro_batch divides global_batch", "ep divides tp * cp * dp"]


def test_words_and_parts_that_a_layout_has_not_are_refused() -> None:
    with pytest.raises(TypeError, match="no part of a layout: tensor"):
        Layouts.of(tensor=2)
    with pytest.raises(ValueError, match="everything"):
        Layouts.of(recompute="everything")


def test_constants_come_from_the_catalogue() -> None:
    shipped, priors = Constants.shipped(), Constants.priors()
    for name, value in shipped._asdict().items():
        assert 0.3 < value / getattr(priors, name) < 3, name
    assert Constants.without("vtrain-single") != shipped


@pytest.mark.parametrize("name", [*gpus(), *systems()])
def test_every_product_and_system_is_a_machine_or_a_finding(name: str) -> None:
    known = systems().get(name)
    held = {s.product for s in systems().values() if s.nic_gbps_per_gpu}
    row = gpus().get(known.product or "") if known else gpus()[name]
    network = known.nic_gbps_per_gpu if known else name in held
    if row is None or None in (row.memory_gb, row.memory_bw_gbs) or not network:
        with pytest.raises(GpufleetError, match=r"C003|M005"):
            machine(name)
        return
    at = machine(name)
    wish = Layouts.of(dp=8, micro_batch=1, global_batch=8, seq_len=2048, zero="fsdp")
    got = step(LLAMA, wish, at)
    assert np.isnan(got.step_s[0]) or (0 < got.mfu[0] < 1)
    assert np.isnan(got.energy_j[0]) or got.energy_j[0] > 0


def test_a_product_without_a_system_needs_a_network() -> None:
    alone = next(
        row.id
        for row in gpus().values()
        if all(s.product != row.id for s in systems().values()) and row.memory_gb and row.memory_bw_gbs
    )
    with pytest.raises(GpufleetError, match="M005"):
        machine(alone)
    assert machine(alone, fabric_gbps=200.0).fabric_bw == 25e9


def test_hybrid_fsdp_gathers_inside_a_node_and_holds_more() -> None:
    wish = Layouts.of(dp=64, shards=[0, 8], micro_batch=1, global_batch=64, seq_len=2048, zero="fsdp")
    got = step(LLAMA, wish, DGX)
    assert got.memory.weights[1] > got.memory.weights[0]
    assert got.memory.optimizer[1] == pytest.approx(8 * got.memory.optimizer[0])
    # Many micro-batches gather often and sum over the replicas once: then nodes of their own are faster.
    often = step(LLAMA, wish._replace(global_batch=np.array([1024, 1024])), DGX)
    assert often.dp_s[1] < often.dp_s[0]


def test_uneven_stages_wait_for_the_fullest() -> None:
    wish = Layouts.of(pp=4, micro_batch=1, global_batch=64, seq_len=4096)
    even, uneven = (step(replace(LLAMA, layers=n, vocab=1000), wish, DGX) for n in (32, 30))
    assert uneven.gemm_s[0] == pytest.approx(even.gemm_s[0], rel=0.01)
    assert uneven.tflops[0] < 0.97 * even.tflops[0]


def test_logits_make_the_last_stage_the_one_that_others_wait_for() -> None:
    wish = Layouts.of(pp=4, micro_batch=1, global_batch=64, seq_len=4096)
    small, large = (step(replace(LLAMA, vocab=vocab), wish, DGX) for vocab in (1_000, 256_000))
    assert large.bubble_s[0] > 1.5 * small.bubble_s[0]
    assert large.gemm_s[0] == pytest.approx(small.gemm_s[0])


def test_routing_that_is_limited_to_groups_crosses_domains_less() -> None:
    wish = Layouts.of(dp=64, ep=64, micro_batch=1, global_batch=64, seq_len=4096)
    free, limited = (step(replace(MOE, groups_taken=groups), wish, DGX).ep_s[0] for groups in (0, 4))
    assert limited < 0.85 * free
    inside = [step(replace(MOE, groups_taken=groups), wish, NVL72).ep_s[0] for groups in (0, 4)]
    assert inside[0] == inside[1]
