"""Published transformers: their widths give the sizes that their makers print, and names find them."""

from __future__ import annotations

import dataclasses
import math

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.catalog import ModelRow, models, resolve_model
from gpufleet.models.architecture import Architecture
from gpufleet.models.architectures import architecture, architecture_of

ROWS = list(models().values())


def published(row: ModelRow) -> Architecture:
    """As makers count: without layers that predict further tokens."""
    return dataclasses.replace(architecture_of(row), predicted_tokens=0)


@pytest.mark.parametrize("row", [r for r in ROWS if r.params_b], ids=lambda row: row.id)
def test_the_widths_give_the_published_parameters_within_one_percent(row: ModelRow) -> None:
    assert row.params_b
    assert published(row).params_total / 1e9 == pytest.approx(row.params_b, rel=0.01)


@pytest.mark.parametrize("row", [r for r in ROWS if r.active_params_b], ids=lambda row: row.id)
def test_active_parameters_are_as_published_by_one_way_to_count_embeddings(row: ModelRow) -> None:
    """Makers count both tables of embeddings, only that of the logits, or none; they round, or cut digits."""
    assert row.active_params_b
    made = published(row)
    table = made.hidden * made.vocab
    digit = 1.0 if row.active_params_b == int(row.active_params_b) else 0.1
    beyond = [(made.params_active - n * table) / 1e9 - row.active_params_b for n in (0, 1, 2)]
    assert any(-digit / 2 <= each < digit for each in beyond), beyond


def test_only_models_without_an_exact_published_total_have_none() -> None:
    unpublished = {row.id for row in ROWS if row.params_b is None}
    assert unpublished == {"llama-4-scout", "sarashina2.2-3b", "sarashina2-8x70b"}
    assert all(models()[name].note for name in unpublished)


def test_the_list_covers_dense_and_experts_korea_and_japan() -> None:
    assert len(ROWS) >= 30
    assert {row.family for row in ROWS} == {"dense", "moe"}
    of_country = {c: [r for r in ROWS if r.country == c] for c in ("KR", "JP")}
    assert min(map(len, of_country.values())) >= 7
    assert any(row.kv_rank for row in ROWS)
    assert any(row.window for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_holds_together(row: ModelRow) -> None:
    assert row.heads % row.kv_heads == 0
    assert row.layers > 0
    assert row.hidden > 0
    assert row.family == ("moe" if row.experts else "dense")
    assert row.ffn is not None or (row.experts and not row.dense_layers)
    if row.experts:
        assert row.top_k is not None
        assert row.expert_ffn
        assert row.top_k <= row.experts
        assert (row.dense_layers or 0) < row.layers
    else:
        assert (row.top_k, row.expert_ffn, row.shared_experts) == (None, None, None)
    if row.kv_rank:
        assert row.rope_dim
        assert row.value_dim
    assert (row.window is None) == (row.windowed_layers is None)
    assert (row.windowed_layers or 0) <= row.layers


def test_exact_published_counts_of_a_national_model_are_met_to_the_last_parameter() -> None:
    made = architecture("llm-jp-3-172b")
    assert made.params_embedding == 2_444_992_512
    assert made.params_linear + made.params_small == 169_947_181_056


@pytest.mark.parametrize(
    ("name", "row_id"),
    [
        ("Llama 3.1 405B", "llama-3.1-405b"),
        ("meta-llama/Llama-3.1-405B", "llama-3.1-405b"),
        ("LLAMA_3.1_405b", "llama-3.1-405b"),
        ("K-EXAONE", "k-exaone-236b-a23b"),
        ("Mi:dm 2.0", "midm-2.0-base-11.5b"),
        ("A.X K1", "ax-k1-519b"),
        ("DeepSeek-R1", "deepseek-v3"),
        ("upstage/Solar-Open-100B", "solar-open-100b"),
    ],
)
def test_models_by_the_names_that_people_write(name: str, row_id: str) -> None:
    assert resolve_model(name).id == row_id


def test_a_slip_is_answered_with_what_was_meant_and_half_a_name_with_all_that_begin_so() -> None:
    with pytest.raises(GpufleetError, match=r"did you mean llama-3\.1-405b"):
        resolve_model("lama-3.1-405b")
    with pytest.raises(
        GpufleetError, match=r"write llama-3\.1-8b, llama-3\.1-70b or llama-3\.1-405b"
    ) as caught:
        resolve_model("Llama 3.1")
    assert caught.value.findings[0].code == "C002"
    with pytest.raises(GpufleetError, match="gpufleet catalog models"):
        resolve_model("H100")


def test_tokens_of_training_are_more_than_nothing_and_no_guess() -> None:
    known = [row.trained_tokens_b for row in ROWS if row.trained_tokens_b is not None]
    assert len(known) >= 30
    assert all(100 <= tokens <= 50_000 and not math.isnan(tokens) for tokens in known)
