"""Workloads of kind training: what can be written, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan, TrainingWorkload
from gpufleet.plan.training import DEFAULT_SHARES

Load = Callable[..., Plan]
GOOD = "model: llama-3-8b, tokens: 1T, products: [B200], gpus: 64, at: 2026-01-05"


def plan(rest: str) -> str:
    return f"""\
gpufleet: 1
name: p
start: 2026-01-01
end: 2026-12-01
sites: {{lab: {{}}}}
deliveries:
  - {{to: lab, system: DGX B200, gpus: 64, at: 2026-01-01}}
  - {{to: lab, system: DGX H100, gpus: 64, at: 2026-01-01}}
tenants: {{a: {{}}}}
workloads:
  w: {{kind: training, queue: a, {rest}}}
"""


def test_what_is_written_is_read(load: Load, full: str) -> None:
    workload = load(full).workloads["model"]
    assert isinstance(workload, TrainingWorkload)
    assert (workload.model, workload.tokens, workload.batch) == ("llama-3-8b", 1e12, 4e6)
    assert (workload.products, workload.gpus, workload.by) == ((("B200-SXM", 1.0),), 32, None)
    phases = {key: (phase.jobs, phase.gpus, share) for key, phase, share in workload.phases.each()}
    assert phases == {
        "ablations": (4, 8, 0.1),
        "continued": (1, None, 0.05),
        "post_training": (1, None, DEFAULT_SHARES["post_training"]),
        "evaluation": (1, 8, 0.01),
    }
    other = load(full).workloads["by-date"]
    assert isinstance(other, TrainingWorkload)
    assert other.gpus == 0
    assert other.by is not None
    assert not list(other.phases.each())


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [("15T", 15e12), ("500 B", 500e9), ("2.5t", 2.5e12), ("900M", 9e8)],
)
def test_tokens_are_a_number_and_a_letter(load: Load, tokens: str, wanted: float) -> None:
    workload = load(plan(GOOD.replace("1T", tokens))).workloads["w"]
    assert isinstance(workload, TrainingWorkload)
    assert workload.tokens == wanted


def test_products_are_one_or_a_list(load: Load) -> None:
    for written in ("[B200, H100]", "B200;H100"):
        workload = load(plan(GOOD.replace("[B200]", written))).workloads["w"]
        assert [product for product, _ in workload.products] == ["B200-SXM", "H100-SXM5-80GB"]


@pytest.mark.parametrize(
    ("rest", "code", "says"),
    [
        (GOOD.replace("llama-3-8b", "llama-3-8bb"), "C001", "llama-3-8b"),
        (GOOD.replace("llama-3-8b", "config.json"), "P025", "config.json"),
        (GOOD.replace("1T", "1000000000000"), "P009", "no letter"),
        (GOOD.replace("1T", "1Q"), "P009", "1Q"),
        (GOOD.replace("1T", "1K"), "P011", "out of bounds"),
        (GOOD.replace("1T", "900000T"), "P011", "out of bounds"),
        (GOOD.replace("1T", "1B") + ", batch: 2B", "P011", "a step alone"),
        (GOOD.replace("[B200]", "{B200: 1}"), "P008", "speeds follow"),
        (GOOD.replace("[B200]", "[]"), "P008", "list of products"),
        (GOOD.replace("[B200]", "[B200, B200]"), "P020", "named already"),
        (GOOD.replace("[B200]", "[B2000]"), "C001", "B2000"),
        (GOOD + ", by: 2026-06", "P023", "both `gpus` and `by`"),
        (GOOD.replace(", gpus: 64", ""), "P023", "neither"),
        (GOOD.replace("gpus: 64", "by: 2026-01-02"), "P022", "is not after `at`"),
        (GOOD + ", checkpoint: none", "P011", "never end"),
        (GOOD + ", checkpoint: 0 s", "P011", "never end"),
        (GOOD + ", phases: {ablation: {}}", "P006", "ablation"),
        (GOOD + ", phases: {ablations: {share: 2}}", "P011", "2"),
        (GOOD + ", phases: {ablations: {share: 0.7}, evaluation: {share: 0.3}}", "P170", "100%"),
        (GOOD + ", precision: fp16", "P015", "fp16"),
        (GOOD.replace("B200", "MI300X"), "P071", "none ever comes"),
        (GOOD.replace("gpus: 64", "gpus: 0"), "P010", "GPUs"),
    ],
)
def test_what_cannot_be_meant_is_refused(load: Load, rest: str, code: str, says: str) -> None:
    with pytest.raises(GpufleetError) as refused:
        load(plan(rest))
    found = [each for each in refused.value.findings if each.code == code]
    assert found, refused.value
    assert any(says in f"{each.says} {each.fix}" for each in found), refused.value
    assert found[0].at is not None
    assert (found[0].at.file, found[0].at.line) == ("plan.yaml", 11)


def test_all_faults_are_told_at_once(load: Load) -> None:
    rest = "model: nothing, tokens: 5, products: {}, gpus: -1, at: 2026-Q1, phases: {x: {}}"
    with pytest.raises(GpufleetError) as refused:
        load(plan(rest))
    assert {each.code for each in refused.value.findings} >= {"C001", "P009", "P008", "P010", "P012", "P006"}


def test_more_gpus_than_there_will_ever_be_are_a_warning(load: Load) -> None:
    assert [found.code for found in load(plan(GOOD.replace("64", "128"))).warnings] == ["P019"]
    phase = GOOD + ", phases: {ablations: {gpus: 72}}"
    assert [found.code for found in load(plan(phase)).warnings] == ["P019"]
    assert load(plan(GOOD)).warnings == ()
