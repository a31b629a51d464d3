"""The search of layouts: complete, lawful, and it says why the others lose."""

from __future__ import annotations

import dataclasses
import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.base.errors import Finding, GpufleetError
from gpufleet.models.architecture import Architecture
from gpufleet.models.architectures import architecture
from gpufleet.models.candidates import Search, batches_near, candidates
from gpufleet.models.layout import Layouts, violations
from gpufleet.models.layouts import PARTS, Options, fewest_gpus, layout_text, options, per_token
from gpufleet.models.machine import machine
from gpufleet.models.training import MEMORY_USABLE, memory, step

H100 = machine("H100")
TINY = Architecture(name="tiny", layers=6, hidden=1024, heads=8, kv_heads=4, ffn=4096, vocab=32000)
EXPERTS = dataclasses.replace(TINY, name="experts", experts=8, top_k=2, expert_ffn=1024, ffn=0)
LARGE = Architecture(name="large", layers=24, hidden=8192, heads=64, kv_heads=8, ffn=28672, vocab=64000)


def search(gpus: int, batches: tuple[int, ...] = (48,), seq_len: int = 4096, dtype: str = "bf16") -> Search:
    return Search(gpus=gpus, seq_len=seq_len, batches=batches, dtype=dtype)


def best_s_per_token(found: Options) -> float:
    return float(per_token(found.layouts, found.steps)[found.best()])


def refusal(*given: object, **more: object) -> Finding:
    with pytest.raises(GpufleetError) as caught:
        options(*given, **more)  # type: ignore[arg-type]
    return caught.value.findings[0]


def by_hand(model: Architecture, gpus: int, batch: int) -> set[tuple[int, ...]]:
    """(tp, pp, cp, dp, ep, micro-batch) of all layouts on at most so many H100s, by trying everything."""
    found = set()
    powers = (1, 2, 4, 8)
    for tp, pp, cp, ep, micro in itertools.product(powers, (1, 2, 3, 4, 6), (1, 2, 4), powers, powers):
        for dp in range(1, gpus + 1):
            even = batch % (dp * micro) == 0 and model.heads % tp == 0
            shared = model.kv_heads % tp == 0 or tp % model.kv_heads == 0
            experts = ep == 1 or (model.experts and model.experts % ep == 0 and tp * cp * dp % ep == 0)
            if tp * pp * cp * dp <= gpus and even and shared and experts:
                found.add((tp, pp, cp, dp, ep, micro))
    return found


@pytest.mark.parametrize("model", [TINY, EXPERTS], ids=lambda m: m.name)
@pytest.mark.parametrize("gpus", [1, 6, 12])
def test_all_layouts_that_divide_are_tried(model: Architecture, gpus: int) -> None:
    tried = candidates(model, H100, search(gpus))
    columns = (tried.tp, tried.pp, tried.cp, tried.dp, tried.ep, tried.micro_batch)
    assert set(zip(*(c.tolist() for c in columns), strict=True)) == by_hand(model, gpus, 48)


def test_no_layout_is_tried_twice_and_none_breaks_a_rule() -> None:
    for model in (TINY, EXPERTS):
        tried = candidates(model, H100, search(64, (48, 56)))
        rows = list(zip(*(column.tolist() for column in tried), strict=True))
        assert len(rows) == len(set(rows))
        rules = violations(tried, layers=6, heads=8, kv_heads=4, experts=model.experts)
        assert not any(mask.any() for mask in rules.values())
        assert tried.tp.max() <= H100.domain


def test_a_batch_that_nobody_asked_for_may_move_by_an_eighth() -> None:
    assert batches_near(2**24, 8192, exact=True) == (2048,)
    near = batches_near(2**24, 8192)
    assert near[0] == 2048
    assert all(abs(each / 2048 - 1) <= 0.125 for each in near)
    assert any(each % 3 == 0 for each in near)


@given(st.integers(1, 40), st.integers(1, 12))
@settings(max_examples=25)
def test_more_gpus_are_never_slower(gpus: int, more: int) -> None:
    few, many = (options(LARGE, machine("B200"), search(n + 15, (48, 56))) for n in (gpus, gpus + more))
    assert best_s_per_token(many) <= best_s_per_token(few)


@pytest.mark.parametrize("gpus", [24, 100, 256])
def test_what_is_left_out_as_too_few_gpus_would_not_have_been_fastest(gpus: int) -> None:
    some = options(LARGE, H100, search(gpus))
    every = options(LARGE, H100, search(gpus), everything=True)
    assert len(every.layouts.tp) >= len(some.layouts.tp)
    assert best_s_per_token(every) == best_s_per_token(some)


def test_the_best_is_the_best_of_what_one_by_one_computes() -> None:
    found = options(EXPERTS, H100, search(32, (64,)), everything=True)
    times = []
    for row in range(0, len(found.layouts.tp), 7):
        one = found.layouts.take([row])
        times.append(float(step(EXPERTS, one, H100).step_s[0] / one.tokens[0]))
        assert memory(EXPERTS, one).total[0] <= MEMORY_USABLE * H100.memory_bytes
    assert best_s_per_token(found) <= min(times)


def test_each_wish_has_its_best() -> None:
    found = options(architecture("llama-3-70b"), H100, search(512, (256,), 8192), everything=True)
    time, gpus = per_token(found.layouts, found.steps), found.layouts.gpus
    assert time[found.best("time")] == time.min()
    assert gpus[found.best("gpus")] == gpus.min()
    assert (time * gpus)[found.best("cost")] == (time * gpus).min()
    assert found.energy_per_token[found.best("energy")] == found.energy_per_token.min()
    fewest = found.only(gpus == gpus.min())
    assert time[found.best("gpus")] == per_token(fewest.layouts, fewest.steps).min()


def test_on_the_front_every_step_to_more_gpus_is_faster_and_nothing_beats_it() -> None:
    found = options(LARGE, H100, search(256, (96,)), everything=True)
    rows = found.front()
    gpus, time = found.layouts.gpus[rows], per_token(found.layouts, found.steps)
    assert (np.diff(gpus) > 0).all()
    assert (np.diff(time[rows]) < 0).all()
    assert rows[-1] == found.best() or time[rows[-1]] == time.min()
    for row in range(len(time)):
        ahead = rows[gpus <= found.layouts.gpus[row]]
        assert len(ahead) == 0 or time[ahead].min() <= time[row] + 1e-18
        assert len(ahead) > 0


def test_the_runner_up_is_another_kind_and_its_loss_adds_up() -> None:
    found = options(architecture("llama-3.1-405b"), H100, search(1024, (2048,), 8192))
    best = found.best()
    second = found.runner_up(best)
    assert second is not None
    kinds = [tuple(found.layout(row)[name] for name in ("tp", "pp", "cp", "ep")) for row in (best, second)]
    assert kinds[0] != kinds[1]
    loss = found.why(second, best)
    net = sum(by for _, by in loss.longer) - sum(by for _, by in loss.shorter)
    time = per_token(found.layouts, found.steps) * found.layouts.tokens[best]
    assert net == pytest.approx(float(time[second] - time[best]), rel=1e-6, abs=1e-9)
    assert loss.slower == pytest.approx(float(time[second] / time[best] - 1))
    assert {name for name, _ in (*loss.longer, *loss.shorter)} <= set(PARTS)
    assert sum(found.parts_s(best).values()) == pytest.approx(float(found.steps.step_s[best]))
    assert sum(found.memory_bytes(best).values()) == pytest.approx(float(found.steps.memory.total[best]))


def test_a_model_that_fits_nowhere_says_what_is_missing_and_what_is_enough() -> None:
    model = architecture("llama-3.1-405b")
    found = refusal(model, H100, search(8, (2048,), 8192))
    assert found.code == "M010"
    assert "GB are missing" in found.says
    assert "75.2 GB of 80 GB are usable" in found.says
    enough = fewest_gpus(model, H100, search(8, (2048,), 8192))
    assert enough is not None
    assert f"{enough:,} GPUs of this product are enough" in found.fix
    options(model, H100, search(enough, (2048,), 8192))
    assert refusal(model, H100, search(enough - 1, (2048,), 8192)).code == "M010"


def test_what_is_fixed_is_kept_or_refused_with_the_arithmetic() -> None:
    model = architecture("llama-3-8b")
    found = options(model, H100, search(64, (64,)), fixed={"tp": 4, "pp": 2})
    assert set(found.layouts.tp.tolist()) == {4}
    assert set(found.layouts.pp.tolist()) == {2}
    odd = refusal(model, H100, search(64, (64,)), fixed={"tp": 3})
    assert odd.code == "M011"
    assert "tp=3 breaks: tp divides heads" in odd.says
    assert "32 heads, 8 key and value heads" in odd.says
    large = refusal(model, H100, search(4, (64,)), fixed={"tp": 8})
    assert large.says == "tp=8 needs 8 GPUs; there are 4"


def test_a_number_type_that_the_product_has_not_is_refused_with_those_that_it_has() -> None:
    found = refusal(TINY, H100, search(8, dtype="fp4"))
    assert found.code == "M012"
    assert "choose BF16 or FP8" in found.fix


def test_a_layout_is_written_as_people_write_it() -> None:
    of = Layouts.of(
        tp=2, cp=2, ep=16, dp=64, zero="fsdp", shards=8, recompute="full", global_batch=64, seq_len=4096
    )
    assert layout_text(of, 0) == "TP 2, CP 2, EP 16, DP 64, FSDP 8, micro-batch 1, layers computed again"


def test_the_search_of_a_large_model_on_sixteen_thousand_gpus_is_fast() -> None:
    model = architecture("llama-3.1-405b")
    options(TINY, H100, search(8))  # what is loaded once
    begin = time.perf_counter()
    found = options(model, H100, search(16_384, batches_near(2**24, 8192), 8192))
    assert time.perf_counter() - begin < 10  # 0.6 s on an idle machine
    assert found.tried > 50_000
    assert 0.3 < found.steps.mfu[found.best()] < 0.6
