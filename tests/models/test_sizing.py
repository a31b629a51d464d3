"""How long, how big, on how many: laws, and numbers by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.models.architectures import architecture
from gpufleet.models.candidates import batches_near
from gpufleet.models.machine import machine
from gpufleet.models.sizing import (
    DAY_S,
    Course,
    Question,
    course,
    delivered_flops,
    enough_gpus,
    largest_model,
    optimal,
    rental,
    scaled,
)

B200, H100 = machine("B200"), machine("H100")


def question(
    model: str = "llama-3-8b", tokens: float | None = 1e12, days: float | None = None, **more
) -> Question:
    return Question(
        model=architecture(model),
        tokens=tokens,
        seq_len=8192,
        batches=batches_near(2**22, 8192),
        seconds=None if days is None else days * DAY_S,
        **more,
    )


def test_days_are_tokens_over_the_rate_and_failures_make_them_longer() -> None:
    made = course(question(), H100, 64)
    steps, row = made.options.steps, made.row
    alone_s = 1e12 / (float(steps.tokens_per_s_per_gpu[row]) * made.gpus)
    assert made.finish.ideal_s == pytest.approx(alone_s, rel=1e-4)
    assert made.finish.p50_s == pytest.approx(made.finish.ideal_s / made.finish.goodput)
    assert made.finish.p10_s < made.finish.p50_s < made.finish.p90_s
    assert made.steps == math.ceil(1e12 / float(made.options.layouts.tokens[row]))


def test_gpu_hours_energy_and_cost_follow_from_the_days() -> None:
    made = course(question(price_usd_h=2.0), H100, 64)
    hours = made.gpus * made.finish.p50_s / 3600
    assert made.gpu_hours == pytest.approx(hours)
    assert made.cost is not None
    assert (made.cost.usd, made.cost.price) == (pytest.approx(2 * hours), None)
    assert made.energy_mwh is not None
    assert 0.3e-3 * hours < made.energy_mwh < 1.4e-3 * hours  # between idle and the whole node's rating


def test_a_price_of_the_catalogue_brings_its_range_and_an_unknown_one_is_no_zero() -> None:
    made = course(question(), H100, 64)
    price = rental("H100-SXM5-80GB")
    assert price is not None
    assert made.cost is not None
    assert made.cost.price == price
    assert made.cost.low_usd is not None
    assert made.cost.low_usd < made.cost.usd
    assert course(question(), machine("GB200"), 72).cost is None


@pytest.mark.parametrize("days", [20.0, 60.0, 200.0])
def test_enough_gpus_are_enough_and_on_the_front_fewer_are_not(days: float) -> None:
    wish = question(days=days)
    found = enough_gpus(wish, B200)
    assert found.finish.p90_s <= days * DAY_S
    fewer = course(dataclasses.replace(wish), B200, found.gpus - 1)
    assert fewer.finish.p90_s > days * DAY_S
    assert found.options.search.gpus == found.gpus
    assert int(found.options.layouts.gpus.max()) <= found.gpus


def test_less_time_needs_no_fewer_gpus() -> None:
    counts = [enough_gpus(question(days=days), B200).gpus for days in (200, 100, 50, 25)]
    assert counts == sorted(counts)


def test_a_date_that_is_too_soon_names_the_soonest() -> None:
    with pytest.raises(GpufleetError, match=r"days \(P90\) at best") as caught:
        enough_gpus(question("llama-3-70b", 15e12, days=2), H100)
    assert caught.value.findings[0].code == "M013"


def test_the_largest_model_makes_it_and_half_as_much_more_would_not() -> None:
    wish = question("llama-3-70b", None, days=90)
    found = largest_model(wish, B200, 128)
    assert found.finish.p90_s <= 90 * DAY_S
    assert found.question.budget() == pytest.approx(20 * found.question.model.params_active)
    larger = dataclasses.replace(wish, model=scaled(found.question.model, 1.5))
    assert course(larger, B200, 128).finish.p90_s > 90 * DAY_S


def test_with_more_tokens_the_largest_model_is_no_larger() -> None:
    few, many = (
        largest_model(question("llama-3-8b", tokens, days=60), H100, 64).question.model.params_total
        for tokens in (1e12, 8e12)
    )
    assert many < few


def test_no_model_is_small_enough_for_a_day_on_a_gpu() -> None:
    with pytest.raises(GpufleetError, match="not even") as caught:
        largest_model(question("llama-3.1-405b", 15e12, days=1), H100, 1)
    assert caught.value.findings[0].code == "M014"


@pytest.mark.parametrize(
    "name", ["llama-3-70b", "qwen3-235b-a22b", "deepseek-v3", "gemma-3-27b", "gpt-3-175b"]
)
@pytest.mark.parametrize("factor", [0.1, 0.5, 2.0, 4.0])
def test_a_scaled_model_keeps_its_shape(name: str, factor: float) -> None:
    model = architecture(name)
    made = scaled(model, factor)
    assert made.params_linear == pytest.approx(factor * model.params_linear, rel=0.2)
    assert made.heads % made.kv_heads == 0
    assert (made.experts, made.top_k, made.vocab) == (model.experts, model.top_k, model.vocab)
    assert made.hidden / made.heads == pytest.approx(model.hidden / model.heads, rel=0.1)
    assert made.dense_layers < made.layers
    assert made.windowed_layers <= made.layers


def test_a_wish_for_cost_or_energy_within_a_deadline_keeps_the_deadline() -> None:
    fast = course(question("llama-3-70b", 1e12), H100, 512)
    for by in ("cost", "energy", "gpus"):
        made = course(question("llama-3-70b", 1e12, days=120, by=by), H100, 512)
        assert made.finish.ideal_s <= 120 * DAY_S
        assert made.gpus < fast.gpus
        assert made.gpu_hours <= fast.gpu_hours


def test_the_optimal_model_spends_all_of_the_compute() -> None:
    best = optimal(1e24)
    assert 6 * best.params * best.tokens == pytest.approx(1e24)
    assert best.tokens == pytest.approx(20 * best.params)


def test_delivered_compute_is_model_flops_times_tokens() -> None:
    made: Course = course(question(), H100, 64)
    model = made.question.model
    assert delivered_flops(made) == pytest.approx(model.flops_per_token(8192) * 1e12, rel=1e-3)
