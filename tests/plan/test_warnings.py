"""What can be meant but hurts, and what is only said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpufleet.plan import Plan
from gpufleet.plan.check import checks

Load = Callable[..., Plan]


def warned(plan: Plan) -> list[str]:
    return [f"{found.code} {found.at}" for found in plan.warnings]


def test_a_sound_plan_has_no_warnings(load: Load, small: str) -> None:
    assert warned(load(small)) == []


def test_power_that_comes_too_late_is_said_with_the_numbers(load: Load, small: str) -> None:
    plan = load(
        small, ["deliveries.lot-1.gpus=12960", "deliveries.lot-1.system=GB200 NVL72", "sites.lab.power=10 MW"]
    )
    found = next(w for w in plan.warnings if w.code == "P017")
    # 180 racks of 120 kW, PUE 1.3
    assert found.text().splitlines() == [
        "plan.yaml:8  warning P017  delivery lands before its site has power",
        "  12,960 GB200-NVL72 GPUs (180 racks) need 28.1 MW; lab has 10.0 MW on 2026-01-05 (18.1 MW short)",
        "  fix: move the delivery, or raise sites.lab.power before 2026-01-05"
        "        more: gpufleet explain P017",
    ]


def test_power_counts_what_came_before_and_says_when_there_is_enough(load: Load, small: str) -> None:
    second = "\n  - {name: lot-2, to: lab, system: DGX B200, gpus: 64, at: 2026-01-06}\ntenants:"
    steps = "sites.lab.power=[{from: 2026-01-01, value: 200 kW}, {from: 2026-01-12, value: 300 kW}]"
    plan = load(small.replace("\ntenants:", second), [steps])
    assert warned(plan) == ["P017 plan.yaml:9"]
    assert plan.warnings[0].says == (
        "64 DGX-B200 GPUs (8 nodes) need 297.4 kW (with 148.7 kW of what stands there); "
        "lab has 200.0 kW on 2026-01-06 (97.4 kW short)"
    )
    assert plan.warnings[0].fix.startswith("move the delivery to 2026-01-12")


def test_power_that_is_exactly_enough_is_enough(load: Load, small: str) -> None:
    assert warned(load(small, ["sites.lab.power=148.72 kW"])) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["tenants.research.quota.B200=65"], ["P018 plan.yaml:10"]),
        (["tenants.research.quota={H100: 8}"], ["P018 plan.yaml:10"]),
        (["workloads.big.gpus=33"], ["P019 plan.yaml:13"]),
        (["workloads.big.gpus=128", "workloads.big.queue=vision"], ["P019 plan.yaml:13"]),
        (["workloads.big.products={H100: 1}"], ["P019 plan.yaml:13"]),
        (["deliveries.lot-1.for=vision"], ["P018 plan.yaml:10", "P019 plan.yaml:13"]),
        (["workloads.big.priority=3"], ["P035 --set workloads.big.priority"]),
        (["workloads.big.limit=1 d"], ["P038 --set workloads.big.limit"]),
        (["workloads.big.limit=1 d", "workloads.big.products={B200: 3}"], []),
        (["workloads.big.limit=1 d", "policy.over_limit=run-on"], []),
        (["systems.own={product: x, gpus_per_node: 8}"], ["P036 --set systems.own"]),
        (["files.trace=jobs.csv"], ["P036 --set files.trace"]),
        (["deliveries=[]"], ["P018 plan.yaml:10", "P019 plan.yaml:13", "P037 --set deliveries"]),
        (["workloads={}"], ["P037 plan.yaml:2"]),
        (["sites.lab.power=[{from: 2026-01-01, value: 200 kW}, {from: 2026-01-09, value: 9 kW}]"],
         ["P039 --set sites.lab.power"]),
    ],
)  # fmt: skip
def test_what_hurts_is_a_warning(load: Load, small: str, options: list[str], expected: list[str]) -> None:
    assert warned(load(small, options)) == expected


def test_a_campaign_may_wait_for_gpus_but_not_for_those_that_left(load: Load, small: str) -> None:
    late = small + "retirements: [{from: lab, system: DGX B200, gpus: 48, at: 2026-01-07}]\n"
    assert "P019 plan.yaml:13" in warned(load(late))
    assert "P019 plan.yaml:13" not in warned(load(late, ["workloads.big.at=2026-01-06"]))


def test_part_of_a_rack_is_kept_and_said(load: Load, small: str) -> None:
    racks = [
        "deliveries.lot-1.gpus=50000",
        "deliveries.lot-1.system=GB200 NVL72",
        "sites.lab={}",
        "tenants.research={}",
    ]
    plan = load(small, racks)
    assert plan.deliveries[0].gpus == 50_000
    assert "lot-1: 50,000 GB200-NVL72 GPUs are 694 racks and 32 GPUs" in plan.notes


def test_pledges_and_short_names_are_said(load: Load, small: str) -> None:
    plan = load(small, ["deliveries.lot-1.status=pledged"])
    assert "64 GPUs are only pledged (lot-1); they are counted from their dates" in plan.notes
    assert any(note.startswith("B200 is read as B200-SXM") for note in plan.notes)


def test_every_check_explains_itself_with_an_example() -> None:
    from gpufleet.base.errors import explanations

    for code in checks:
        assert len(explanations[code].why) > 40, code
        assert explanations[code].example, code
