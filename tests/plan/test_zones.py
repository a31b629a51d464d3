"""Bare dates of a site are local to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan

Load = Callable[..., Plan]

WEST = """\
gpufleet: 1
name: west
start: 2026-01-05
end: 2026-03-01
sites:
  coast:
    time_zone: America/Los_Angeles
    power: [{from: 2026-01-01, value: 100 kW}, {from: 2026-02-01, value: 300 kW}]
    pue: 1.3
  hub: {}
deliveries:
  - {name: west, to: coast, system: DGX B200, gpus: 32,
     at: {value: 2026-01-10, range: [2026-01-08, 2026-01-12]}}
  - {name: offset, to: coast, system: DGX B200, gpus: 8, at: 2026-01-11 00:00:00+00:00}
  - {name: plain, to: hub, system: DGX B200, gpus: 8, at: 2026-01-10}
retirements:
  - {from: coast, system: DGX B200, gpus: 8, at: 2026-02-10}
tenants: {research: {}}
workloads:
  big: {kind: campaign, queue: research, gpus: 8, duration: 1 d, at: 2026-01-12}
"""


def utc(month: int, day: int, hour: int) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def test_dates_of_a_site_are_local_to_it(load: Load) -> None:
    plan = load(WEST)
    west, offset, plain = plan.deliveries
    assert west.at == utc(1, 10, 8)
    assert west.at_range == (utc(1, 8, 8), utc(1, 12, 8))
    assert (offset.at, plain.at) == (utc(1, 11, 0), utc(1, 10, 0))
    assert plan.retirements[0].at == utc(2, 10, 8)
    assert [from_s for from_s, _ in plan.sites["coast"].power_w] == [
        plan.seconds(utc(1, 1, 8)),
        plan.seconds(utc(2, 1, 8)),
    ]
    assert plan.workloads["big"].at == utc(1, 12, 0)


def test_a_site_without_a_zone_has_the_plans(load: Load) -> None:
    plan = load(WEST.replace("end: 2026-03-01\n", "end: 2026-03-01\ntime_zone: Asia/Seoul\n"))
    assert plan.sites["hub"].time_zone == "Asia/Seoul"
    assert [d.at for d in plan.deliveries[::2]] == [utc(1, 10, 8), utc(1, 9, 15)]


def test_findings_show_the_dates_of_the_site(load: Load) -> None:
    plan = load(WEST, ["deliveries.west.gpus=64"])
    (found,) = [found for found in plan.warnings if found.says.startswith("64 ")]
    assert "on 2026-01-10" in found.says
    assert "move the delivery to 2026-02-01" in found.fix


def test_a_zone_that_does_not_exist_is_reported_once(load: Load) -> None:
    with pytest.raises(GpufleetError) as error:
        load(WEST.replace("America/Los_Angeles", "America/Los_Angels"))
    assert [found.code for found in error.value.findings] == ["P016"]
