"""Power in plans: what cannot be meant, and what has no effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpufleet.base.errors import Finding, GpufleetError, explanations
from gpufleet.plan import Plan

Load = Callable[..., Plan]

PLAN = """\
gpufleet: 1
name: small
start: 2026-01-05
end: 2026-01-19
sites:
  lab:
    power: 100 kW
    pue: 1.25
    overhead: 1 kW
    carbon_g_per_kwh: [{from: 2026-01-05, value: 417.3}, {from: 2026-01-12, value: 400}]
    curtailments:
    - {from: 2026-01-06, until: 2026-01-07, power: 60 kW}
    - {from: 2026-01-08, until: 2026-01-09, power: 60 kW}
deliveries: [{to: lab, system: DGX H100, gpus: 64, at: 2026-01-05}]
tenants: {lab: {}}
power: {counts: measured, kinds: {light: 0.4}, default: light}
workloads:
  sum: {kind: campaign, queue: lab, gpus: 8, duration: 1 h, at: 2026-01-06, power: training}
"""

CURVE = "curve: [[0.5, 0.62], [0.7, 0.83], [1.0, 1.0]]"

CASES = [
    ("power: {counts: measured, kinds: {light: 0.4}, default: light}\n", "", "P260 plan.yaml:9", "overhead"),
    ("from: 2026-01-08,", "from: 2026-01-06T12:00,", "P261 plan.yaml:13", "overlap"),
    ("until: 2026-01-07", "until: 2026-01-06", "P022 plan.yaml:12", "is not after"),
    ("from: 2026-01-06,", "from: 2025-01-06,", "P013 plan.yaml:12", "before the plan's start"),
    ("power: 60 kW}\n    - {from: 2026-01-08", "power: -6 kW}\n    - {from: 2026-01-08", "P011 plan.yaml:12",
     "must be 0 or more"),
    ("power: training", "power: trainig", "P262 plan.yaml:18", "`trainig` is no kind of work"),
    ("default: light", "default: heavy", "P262 plan.yaml:16", "`heavy`"),
    ("light: 0.4", "light: 0.1", "P263 plan.yaml:16", "free GPUs draw 23.3%"),
    ("light: 0.4", "light: 1.4", "P011 plan.yaml:16", "at most 1"),
    ("{counts: measured", "{counts: measurd", "P015 plan.yaml:16", "measurd"),
    ("{counts: measured", "{on_cap: slow, counts: measured", "P006 plan.yaml:16", "on_cap"),
    ("    pue: 1.25", "    pue: 1.25\n    on_cap: slow", "P270 plan.yaml:9", "no `curve` says by how much"),
    ("    pue: 1.25", "    pue: 1.25\n    gpu_caps: {H100: 500 W}", "P270 plan.yaml:9", "`gpu_caps` of lab"),
    ("    pue: 1.25", "    pue: 1.25\n    on_cap: slowly", "P015 plan.yaml:9", "slowly"),
    ("    pue: 1.25", f"    pue: 1.25\n    on_cap: slow\n    {CURVE}", "P271 plan.yaml:9",
     "the kind light slowed to 50% of its power draws 20.0% of rated power, free GPUs draw 23.3%"),
    ("    pue: 1.25", "    pue: 1.25\n    curve: 0.5", "P269 plan.yaml:9", "a list of points"),
    ("    pue: 1.25", "    pue: 1.25\n    curve: [[0.5], [1, 1]]", "P269 plan.yaml:9", "two numbers"),
    ("    pue: 1.25", "    pue: 1.25\n    curve: [[0.5, 0.6], [0.9, 1.0]]", "P269 plan.yaml:9",
     "does not end"),
    ("    pue: 1.25", "    pue: 1.25\n    curve: [[0.5, 0.6], [0.4, 0.7], [1, 1]]", "P269 plan.yaml:9",
     "does not lie above"),
    ("    pue: 1.25", "    pue: 1.25\n    curve: [[0.5, 1.6], [1, 1]]", "P011 plan.yaml:9", "at most 1"),
    ("    pue: 1.25", f"    pue: 1.25\n    {CURVE}\n    gpu_caps: {{H100: 900 W}}", "P272 plan.yaml:10",
     "900 W: H100-SXM5-80GB draws 700 W at most"),
    ("    pue: 1.25", f"    pue: 1.25\n    {CURVE}\n    gpu_caps: {{B200: 900 W}}", "P272 plan.yaml:10",
     "lab gets no B200"),
    ("    pue: 1.25", "    pue: 1.25\n    curve: [[0.9, 0.95], [1, 1]]\n    gpu_caps: {H100: 500 W}",
     "P272 plan.yaml:10", "leaves 84% of full power"),
    ("    pue: 1.25", f"    pue: 1.25\n    {CURVE}\n    gpu_caps: {{H100: 500}}", "P009 plan.yaml:10",
     "no unit"),
    ("    pue: 1.25", f"    pue: 1.25\n    {CURVE}\n    gpu_caps: {{H1000: 500 W}}", "C001 plan.yaml:10",
     "H1000"),
    ("    pue: 1.25", f"    pue: 1.25\n    {CURVE}\n    gpu_caps: {{H100: 500 W, H100-SXM5-80GB: 400 W}}",
     "P020 plan.yaml:10", "`H100-SXM5-80GB` is named twice"),
    ("default: light", "steady: [infer], default: light", "P262 plan.yaml:16", "`infer` is no kind of work"),
    ("overhead: 1 kW", "overhead: 1 MW", "P266 plan.yaml:9", "1.000 MW; its power is 0.100 MW"),
    ("until: 2026-01-07, power: 60 kW", "until: 2026-01-07, power: 20 kW", "P267 plan.yaml:12",
     "0.020 MW from 2026-01-06 on; what is delivered by then draws 0.025 MW"),
    ("until: 2026-01-07, power: 60 kW", "until: 2026-01-07, power: 200 kW", "P268 plan.yaml:12",
     "its power is 0.100 MW then"),
    ("carbon_g_per_kwh: [{from: 2026-01-05, value: 417.3}, {from: 2026-01-12, value: 400}]",
     "carbon_g_per_kwh: -3", "P011 plan.yaml:10", "out of bounds"),
]  # fmt: skip


def found(load: Load, text: str) -> list[Finding]:
    try:
        return list(load(text).warnings)
    except GpufleetError as error:
        return list(error.findings)


def test_the_plan_itself_is_well(load: Load) -> None:
    assert [finding for finding in found(load, PLAN) if finding.code.startswith("P2")] == []


@pytest.mark.parametrize(("old", "new", "place", "words"), CASES)
def test_what_is_found(load: Load, old: str, new: str, place: str, words: str) -> None:
    assert old in PLAN
    findings = found(load, PLAN.replace(old, new, 1))
    code, at = place.split()
    assert any(f.code == code and at in str(f.at) and words in f.says for f in findings), findings


def test_every_code_is_explained() -> None:
    assert {f"P{n}" for n in range(260, 273) if n != 265} <= set(explanations)


def test_caps_and_curtailments_may_stand_where_queues_lend(load: Load) -> None:
    shared = "cohorts: {all: {}}\ntenants: {lab: {cohort: all, quota: {H100: 32}}, " + (
        "other: {cohort: all, quota: {H100: 32}}}"
    )
    assert found(load, PLAN.replace("tenants: {lab: {}}", shared)) == []


def test_what_a_curve_says_is_kept(load: Load) -> None:
    plan = load(PLAN.replace("    pue: 1.25", f"    pue: 1.25\n    {CURVE}\n    gpu_caps: {{H100: 500 W}}"))
    assert plan.sites["lab"].curve == ((0.5, 0.62), (0.7, 0.83), (1.0, 1.0))
    assert plan.sites["lab"].gpu_caps == {"H100-SXM5-80GB": 500.0}


def test_jobs_that_no_cap_stops(load: Load) -> None:
    kept = PLAN.replace("power: training}", "power: training, checkpoint: 1 h}")
    assert found(load, kept) == []
    kept = PLAN.replace("power: training}", "power: training, preemptible: false}")
    assert found(load, kept) == []
    ignored = found(load, kept.replace("{counts: measured", "{over_cap: run-on, counts: measured"))
    assert [(f.code, "preemptible" in f.says) for f in ignored] == [("P024", True)]


def test_carbon_that_is_not_known_from_the_start_is_told(load: Load) -> None:
    plan = load(PLAN.replace("[{from: 2026-01-05, value: 417.3}", "[{from: 2026-01-06, value: 417.3}"))
    assert any(found.code == "P274" and "2026-01-06 on only" in found.says for found in plan.warnings)
