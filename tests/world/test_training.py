"""Trainings as phases of jobs: how long, on how many GPUs, at what speed, and what cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError
from gpufleet.models.architectures import architecture
from gpufleet.models.campaign import published_rate
from gpufleet.models.candidates import Search, batches_near
from gpufleet.models.layouts import options, per_token
from gpufleet.models.machine import machine
from gpufleet.plan import Plan, TrainingWorkload
from gpufleet.world.build import build
from gpufleet.world.forecasts import Asked, batch_for, forecast
from gpufleet.world.training import Planned, planned
from gpufleet.world.training_checks import training_findings

PlanOf = Callable[..., Plan]
TEXT = """\
sites: {{lab: {{}}}}
deliveries:
  - {{to: lab, system: DGX B200, gpus: 512, at: 2026-01-01}}
  - {{to: lab, system: DGX H100, gpus: 512, at: 2026-01-01}}
tenants: {{team: {{}}}}
workloads:
  w: {{kind: training, queue: team, at: 2026-01-02, {rest}}}
{more}
"""
GOOD = "model: llama-3-8b, tokens: 2T, products: [B200, H100], gpus: 64"
PHASES = "phases: {ablations: {share: 0.2, jobs: 10, gpus: 16}, evaluation: {share: 0.05, gpus: 8}}"


def of(plan_of: PlanOf, rest: str = GOOD, more: str = "") -> tuple[Plan, Planned]:
    plan = plan_of(TEXT.format(rest=rest, more=more))
    workload = plan.workloads["w"]
    assert isinstance(workload, TrainingWorkload)
    return plan, planned(plan, workload)


def test_pre_training_takes_what_its_steps_take(plan_of: PlanOf) -> None:
    """By hand: tokens over the best layout's rate, 1 % for the slowest GPU, and the checkpoints."""
    _, made = of(plan_of)
    (phase,) = made.phases
    first = made.forecasts["B200-SXM"]
    steps_s = 2e12 / first.tokens_per_s
    assert phase.work_s * made.steps_share == pytest.approx(steps_s, rel=1e-4)
    assert 1.01 < phase.work_s / steps_s < 1.03
    assert phase.end_s - phase.start_s > phase.work_s  # failures
    assert made.workload.products == (("B200-SXM", 1.0), ("H100-SXM5-80GB", pytest.approx(0.44, abs=0.1)))
    assert made.goodput == pytest.approx(steps_s / (phase.end_s - phase.start_s), rel=1e-3)


def test_speeds_are_those_of_the_best_layouts(plan_of: PlanOf) -> None:
    _, made = of(plan_of)
    rates = {}
    for product in ("DGX-B200", "DGX-H100"):
        search = Search(gpus=64, seq_len=8192, batches=(2048,))
        found = options(architecture("llama-3-8b"), machine(product), search)
        rates[product] = 1 / per_token(found.layouts, found.steps)[found.best()]
    speed = dict(made.workload.products)["H100-SXM5-80GB"]
    assert speed == pytest.approx(rates["DGX-H100"] / rates["DGX-B200"], rel=1e-3)


def test_phases_have_their_shares_and_follow_each_other(plan_of: PlanOf) -> None:
    plan, made = of(plan_of, f"{GOOD}, {PHASES}")
    assert [phase.name for phase in made.phases] == ["ablations", "pre-training", "evaluation"]
    hours = [phase.jobs * phase.gpus * phase.work_s for phase in made.phases]
    assert [part / sum(hours) for part in hours] == pytest.approx([0.2, 0.75, 0.05], rel=1e-3)
    assert made.phases[0].start_s == plan.seconds(made.workload.at)
    for before, after in zip(made.phases, made.phases[1:], strict=False):
        assert after.start_s == before.end_s
    ablations = made.phases[0]  # 64 GPUs hold 4 of 16 at once: 10 jobs are 3 rounds
    assert ablations.end_s - ablations.start_s == pytest.approx(3 * ablations.work_s, rel=0.01)


def test_jobs_are_those_of_the_phases(plan_of: PlanOf) -> None:
    plan, made = of(plan_of, f"{GOOD}, {PHASES}")
    table = build(plan).demand.frame
    assert table["name"].to_list() == [name for phase in made.phases for name in phase.names]
    assert table["name"].to_list()[-2:] == ["pre-training", "evaluation"]
    at_s = plan.seconds(made.workload.at)
    expected = [(at_s, p.gpus, float(p.work_s)) for p in made.phases for _ in p.names]
    assert table.select("submit_s", "gpus", "work_s").rows() == expected


def test_the_plans_failures_count(plan_of: PlanOf) -> None:
    shared = "policy: {sharing: {}}\n"
    rare, often = (
        of(plan_of, more=f"{shared}failures: {{gpu_hours_between: {hours}, repair: 1 h}}")[1]
        for hours in (1e6, 1e3)
    )
    assert rare.phases[0].failures * 500 < often.phases[0].failures
    assert rare.workload.checkpoint_s is not None
    assert often.workload.checkpoint_s is not None
    assert rare.workload.checkpoint_s > 10 * often.workload.checkpoint_s
    assert rare.goodput > often.goodput
    _, published = of(plan_of)
    (phase,) = published.phases
    hours = (phase.end_s - phase.start_s) * phase.gpus / 3600
    assert phase.failures == pytest.approx(hours * published_rate(), rel=1e-3)


def test_rules_that_are_written_are_kept(plan_of: PlanOf) -> None:
    rest = f"{GOOD}, checkpoint: 2 h, restart: 20 min"
    for policy in ("", "policy: {sharing: {}}"):
        plan, made = of(plan_of, rest, policy)
        assert made.workload.restart_s == 1200
        assert made.workload.checkpoint_s is not None
        assert 7200 < made.workload.checkpoint_s < 7400  # with the writing of one
        restarts = build(plan).world.restarts
        assert restarts is not None
        assert restarts.restart_s.tolist() == [1200]
        assert restarts.checkpoint_s.tolist() == [made.workload.checkpoint_s]


def test_a_date_gives_the_fewest_gpus(plan_of: PlanOf) -> None:
    rest = "model: llama-3-8b, tokens: 2T, products: [B200], by: 2026-02-15"
    plan, made = of(plan_of, rest)
    assert made.workload.by is not None
    limit_s = plan.seconds(made.workload.by)
    assert made.phases[-1].end_s <= limit_s
    fewer = made.gpus * 15 // 16 - 8
    _, late = of(plan_of, rest.replace("by: 2026-02-15", f"gpus: {fewer}"))
    assert late.phases[-1].end_s > limit_s
    _, more = of(plan_of, f"{rest}, phases: {{ablations: {{share: 0.5}}}}")
    assert more.gpus > 1.5 * made.gpus


@pytest.mark.parametrize(
    ("rest", "more", "code", "says"),
    [
        (GOOD.replace("64", "509"), "", "P173", "509 GPUs; the fastest layout uses"),
        ("model: llama-3-70b, tokens: 2T, products: [B200, H100], gpus: 8", "", "P174", "GB are missing"),
        (GOOD.replace("[B200", "[A100-80GB, B200") + ", precision: fp8", "", "P174", "FP8"),
        (GOOD.replace("2T", "20T"), "", "P175", "the plan ends on 2026-03-01"),
        (GOOD.replace("gpus: 64", "by: 2026-01-04"), "", "P019", "the most in one place is 512"),
    ],
)
def test_what_hurts_is_told(plan_of: PlanOf, rest: str, more: str, code: str, says: str) -> None:
    plan = plan_of(TEXT.format(rest=rest, more=more))
    found = [each for each in training_findings(plan) if each.code == code]
    assert found, training_findings(plan)
    assert says in str(found[0].says)
    assert (found[0].severity, found[0].at is not None) == ("warning", True)


def test_what_comes_after_others_is_predicted_to_begin_then(plan_of: PlanOf) -> None:
    text = TEXT.format(rest=f"{GOOD}, after: [other, sweep]", more="")
    other = "  other: {kind: training, queue: team, at: 2026-01-02, model: llama-3-8b, tokens: 500B, "
    sweep = (
        "  sweep: {kind: campaign, queue: team, gpus: 8, duration: 1 d, at: 2026-01-02, tasks: 5, at_once: 2}"
    )
    plan = plan_of(text + other + "products: B200, gpus: 8}\n" + sweep)
    made, before = (planned(plan, plan.workloads[name]) for name in ("w", "other"))  # type: ignore[arg-type]
    day = 86_400
    assert made.phases[0].start_s == max(before.phases[-1].end_s, (1 + 3) * day)
    gates = build(plan).world.gates
    assert gates is not None
    assert gates.gate.tolist() == [0, 0]  # one that waits, for two
    assert sorted(gates.after.tolist()) == [0, 1]


def test_phases_wait_for_each_other(plan_of: PlanOf) -> None:
    """Ablations may end in any way; what trains on needs the model. Each phase is a class of its own."""
    plan, _ = of(plan_of, f"{GOOD}, {PHASES}")
    gates = build(plan).world.gates
    assert gates is not None
    rows = zip(gates.gate.tolist(), gates.after.tolist(), gates.any_end.tolist(), strict=True)
    assert list(rows) == [(0, 0, 1), (1, 1, 0)]
    assert list(zip(gates.of_class.tolist(), gates.source.tolist(), strict=True)) == [
        (-1, 0),
        (0, 1),
        (1, -1),
    ]


@pytest.mark.parametrize("size", ["gpus: 60", "by: 2026-02-28"])
def test_slices_divide_the_jobs_of_all_phases(plan_of: PlanOf, size: str) -> None:
    rest = "model: llama-3-8b, tokens: 1T, products: [B200], topology: {required: site, slice: {gpus: 8, "
    rest += f"level: domain}}}}, {size}"
    with pytest.raises(GpufleetError) as refused:
        training_findings(plan_of(TEXT.format(rest=rest, more="policy: {sharing: {}}")))
    assert "P055" in {each.code for each in refused.value.findings}


def test_a_training_larger_than_its_project_is_refused(plan_of: PlanOf) -> None:
    text = TEXT.format(rest=f"{GOOD}, project: vision, {PHASES}", more="")
    with pytest.raises(GpufleetError) as refused:
        plan_of(text.replace("team: {}", "team: {limits: {per_project: {gpus: 32}}}"))
    (found,) = [each for each in refused.value.findings if each.code == "P134"]
    assert "w wants 64 GPUs; project vision may hold 32 at most" in str(found.says)


@given(
    shares=st.lists(st.floats(0.001, 0.2), min_size=4, max_size=4),
    jobs=st.integers(1, 50),
    size=st.sampled_from([8, 16, 64]),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_shares_are_of_the_whole_whatever_they_are(
    plan_of: PlanOf, shares: list[float], jobs: int, size: int
) -> None:
    keys = ("ablations", "continued", "post_training", "evaluation")
    written = [
        f"{key}: {{share: {share:.4f}, jobs: {jobs}, gpus: {size}}}"
        for key, share in zip(keys, shares, strict=True)
    ]
    _, made = of(plan_of, f"{GOOD}, phases: {{{', '.join(written)}}}")
    assert [phase.name for phase in made.phases] == list(made.workload.phase_names)
    hours = {phase.name: phase.jobs * phase.gpus * phase.work_s for phase in made.phases}
    for key, share in zip(keys, shares, strict=True):
        assert hours[key.replace("_", "-")] / sum(hours.values()) == pytest.approx(
            round(share, 4), rel=0.01, abs=1e-4
        )
    for before, after in zip(made.phases, made.phases[1:], strict=False):
        assert before.start_s < before.end_s == after.start_s


def test_a_limit_that_kills_is_told(plan_of: PlanOf) -> None:
    text = TEXT.format(rest=GOOD, more="policy: {over_limit: kill}")
    plan = plan_of(text.replace("team: {}", "team: {max_run_time: 1 d}"))
    assert [each.code for each in training_findings(plan)] == ["P176"]


@pytest.mark.parametrize(
    ("rest", "code", "says"),
    [
        ("model: llama-3.1-405b, tokens: 2T, products: [B200], gpus: 16", "M010", "GB are missing"),
        (
            "model: llama-3.1-405b, tokens: 2T, products: [B200], gpus: 128, "
            "phases: {post_training: {gpus: 16}}",
            "M010",
            "GB are missing",
        ),
        ("model: llama-3.1-405b, tokens: 15T, products: [B200], by: 2026-01-20", "P172", "at best on"),
        (GOOD.replace("[B200, H100]", "[H100]") + ", precision: fp4", "M012", "FP4"),
    ],
)
def test_what_cannot_be_is_refused_with_the_numbers(plan_of: PlanOf, rest: str, code: str, says: str) -> None:
    plan = plan_of(TEXT.format(rest=rest, more=""))
    with pytest.raises(GpufleetError) as refused:
        training_findings(plan)
    (found,) = refused.value.findings
    assert found.code == code
    assert says in str(found.says)
    assert found.at is not None
    assert found.at.line == 11
    if code == "M010":
        assert "GPUs of this product are enough" in str(found.fix)


def test_products_without_a_layout_are_no_option(plan_of: PlanOf) -> None:
    rest = "model: llama-3-70b, tokens: 2T, products: [H100, B200], gpus: 8"
    plan, made = of(plan_of, rest)
    assert made.workload.products == (("B200-SXM", 1.0),)  # and the first that is, is of speed 1
    built = build(plan)
    cells = built.demand.options.cell
    assert [built.names.products[built.world.cells.product[cell]] for cell in cells] == ["B200-SXM"]


def test_a_configuration_is_read(plan_of: PlanOf, tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
    }
    (tmp_path / "mine.json").write_text(json.dumps(config))
    _, ours = of(plan_of, GOOD.replace("llama-3-8b", "mine.json"))
    _, known = of(plan_of)
    assert ours.phases == known.phases
    (tmp_path / "mine.json").write_text(json.dumps({**config, "hidden_sizes": 1}))
    with pytest.raises(GpufleetError) as refused:
        of(plan_of, GOOD.replace("llama-3-8b", "mine.json"))
    assert refused.value.findings[0].code == "C022"


@given(gpus=st.integers(1, 4096), tokens=st.floats(1e5, 1e8))
def test_a_batch_is_near_the_wished_one(gpus: int, tokens: float) -> None:
    batch = batch_for(tokens, 8192, gpus)
    near = batches_near(tokens, 8192)
    assert batch in near
    assert np.gcd(batch, gpus) == max(np.gcd(each, gpus) for each in near)


def test_a_forecast_is_near_that_of_the_whole_search() -> None:
    """The search of a plan is narrow: one batch, whole sequences."""
    for model, product, gpus in (("exaone-4.0-32b", "DGX-H100", 512), ("solar-open-100b", "DGX-B200", 256)):
        batch = batch_for(2**24, 8192, gpus)
        one = forecast(Asked(architecture(model), product, 8192, batch, "bf16"), gpus)
        search = Search(gpus=gpus, seq_len=8192, batches=batches_near(2**24, 8192))
        whole = options(architecture(model), machine(product), search)
        best = 1 / per_token(whole.layouts, whole.steps)[whole.best()]
        assert 0.95 * best < one.tokens_per_s <= best * (1 + 1e-9)
