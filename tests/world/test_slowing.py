"""Speed and power of jobs under caps of GPUs and sites, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.plan.slowing import capped_share
from gpufleet.world.build import build
from gpufleet.world.layout import FULL_LEVEL, FULL_SPEED, NO_CAP, Power
from gpufleet.world.slowing import speed_at

PLAN = """\
sites:
  lab: {power: 40 kW, pue: 1.25, overhead: 1 kW%s}
  hill: {}
deliveries:
- {to: lab, system: DGX H100, gpus: 16, at: 2026-01-01}
- {to: hill, system: DGX H100, gpus: 16, at: 2026-01-01}
tenants: {a: {}}
power: {counts: measured, curve: [[0.505, 0.62], [0.7, 0.83], [1.0, 1.0]], steady: [inference]}
workloads:
  train: {kind: campaign, queue: a, gpus: 8, duration: 1 h, at: 2026-01-01, preemptible: false}
  serve: {kind: campaign, queue: a, gpus: 8, duration: 1 h, at: 2026-01-01, power: inference}
"""


def built(plan_of: Any, lab: str = "") -> tuple[Power, Any]:
    world = build(plan_of(PLAN % lab)).world
    assert world.power is not None
    return world.power, world


def test_without_caps_nothing_is_slow(plan_of: Any) -> None:
    power, world = built(plan_of)
    assert power.kind_w.tolist() == [[969, 969], [637, 637]]  # 0.76 and 0.5 of 10,200 / 8 W
    assert power.site_low.tolist() == [FULL_LEVEL, FULL_LEVEL]
    assert power.level_w.size == power.level_speed.size == 0
    assert power.class_kept.tolist() == [1, 0]
    assert world.options.speed.tolist() == [1.0] * 4


def test_a_cap_of_gpus_slows_by_the_curve(plan_of: Any) -> None:
    # 200 W less of 1,275 W: 84.31 % of full power; between 0.7 and 1.0 that is 0.83 + 0.4771 x 0.17.
    power, world = built(plan_of, ", gpu_caps: {H100: 500 W}")
    share = 1 - 200 / 1275
    assert capped_share(500, 700, 1275) == share
    assert power.kind_w.tolist() == [[int(969 * share), 969], [int(637.5 * share), 637]]
    speed = 0.83 + (share - 0.7) / 0.3 * 0.17
    assert power.cell_speed.tolist() == [pytest.approx(speed), 1.0]
    assert world.options.speed.tolist() == [pytest.approx(speed), 1.0, pytest.approx(speed), 1.0]


def test_levels_of_a_site_that_slows(plan_of: Any) -> None:
    # The first whole percent that the curve reaches is 51: below it nothing changes. Inference is steady.
    power, _ = built(plan_of, ", on_cap: slow")
    assert power.site_low.tolist() == [51, FULL_LEVEL]
    assert power.level_w.shape == power.level_speed.shape == (FULL_LEVEL + 1, 2, 2)
    assert (power.level_w[FULL_LEVEL] == power.kind_w).all()
    assert (power.level_speed[FULL_LEVEL] == FULL_SPEED).all()
    assert power.level_w[70, :, 0].tolist() == [int(969 * 0.7), 637]
    assert power.level_speed[70, :, 0].tolist() == [830_000, FULL_SPEED]
    assert (power.level_w[:52] == power.level_w[51]).all()
    assert (power.level_w[:, :, 1] == power.kind_w[:, 1]).all()


def test_a_cap_of_gpus_counts_within_the_levels(plan_of: Any) -> None:
    power, _ = built(plan_of, ", on_cap: slow, gpu_caps: {H100: 500 W}")
    share = 1 - 200 / 1275
    assert power.level_w[84, 0, 0] == int(969 * 0.84)
    assert power.level_w[85:, 0, 0].tolist() == [int(969 * share)] * 16
    assert power.level_speed[85:, 0, 0].tolist() == [FULL_SPEED] * 16
    assert 0 < power.level_speed[51, 0, 0] < power.level_speed[84, 0, 0] < FULL_SPEED


def test_caps_stand_where_queues_lend_too(plan_of: Any) -> None:
    text = PLAN.replace("tenants: {a: {}}", "cohorts: {c: {}}\ntenants: {a: {cohort: c, quota: {H100: 8}}}")
    power = build(plan_of(text % "")).world.power
    assert power is not None
    assert power.cap_w.tolist() == [31_200, NO_CAP]  # (40 - 1) / 1.25 kW


@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)), min_size=1, max_size=5),
    st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6),
)
def test_more_power_is_never_slower(points: list[tuple[float, float]], shares: list[float]) -> None:
    powers, speeds = (sorted({point[i] for point in points}) for i in (0, 1))
    curve = (*zip(powers, speeds, strict=False), (1.0, 1.0))
    got = [speed_at(curve, share) for share in sorted(shares)]
    assert got == sorted(got)
    assert all(0 < speed <= 1.0 for speed in got)
