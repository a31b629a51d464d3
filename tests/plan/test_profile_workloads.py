"""Workloads of kind profile: what can be written, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan, ProfileWorkload

Load = Callable[..., Plan]
Codes = Callable[..., list[str]]


def plan(rest: str, more: str = "") -> str:
    return f"""\
gpufleet: 1
name: p
start: 2026-01-01
end: 2026-03-01
{more}
sites: {{lab: {{}}}}
deliveries: [{{name: x, to: lab, system: DGX B200, gpus: 64, at: 2026-01-01, for: a}}]
tenants: {{a: {{quota: {{B200: 64}}}}, b: {{}}, none: {{quota: {{B200: 0}}}}}}
workloads:
  w: {{kind: profile, {rest}}}
"""


GOOD = "profile: philly, queue: a, load: 0.5"


def test_what_is_written_is_read(load: Load, full: str) -> None:
    loaded = load(full)
    workload = loaded.workloads["like-philly"]
    assert isinstance(workload, ProfileWorkload)
    assert workload.load == ((0, 0.5), (27 * 86400, 0.0))
    assert (workload.scale.gpus, workload.scale.run_time, workload.scale.most_gpus) == (2, 0.5, 16)
    assert workload.jobs_like.name == "philly"
    assert workload.key_of_demand == "load"
    assert loaded.seed == 7
    assert f"{loaded.local(loaded.jobs_end):%Y-%m-%d}" == "2026-02-20"
    other = loaded.workloads["by-hours"]
    assert isinstance(other, ProfileWorkload)
    assert (other.gpu_hours_per_month, other.key_of_demand) == (((0, 900.0),), "gpu_hours_per_month")


def test_without_more_keys_the_plan_decides(load: Load) -> None:
    loaded = load(plan(GOOD))
    assert (loaded.seed, loaded.jobs_end) == (1, loaded.end)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("profile: phily, queue: a, load: 1", "C010 plan.yaml:10"),
        ("profile: no/such.json, queue: a, load: 1", "P025 plan.yaml:10"),
        ("profile: philly, queue: c, load: 1", "P016 plan.yaml:10"),
        ("profile: philly, queue: a", "P023 plan.yaml:10"),
        (f"{GOOD}, gpu_hours_per_month: 5", "P023 plan.yaml:10"),
        ("profile: philly, queue: a, load: 0", "P070 plan.yaml:10"),
        ("profile: philly, queue: a, gpu_hours_per_month: 0", "P070 plan.yaml:10"),
        ("profile: philly, queue: a, load: [{from: 2026-01-01, value: 0}]", "P070 plan.yaml:10"),
        ("profile: philly, queue: a, load: []", "P070 plan.yaml:10"),
        ("profile: philly, queue: a, load: -1", "P011 plan.yaml:10"),
        (
            "profile: philly, queue: a, load: [{from: 2026-02-01, value: 1}, {from: 2026-01-01, value: 1}]",
            "P014 plan.yaml:10",
        ),
        ("profile: philly, queue: a, load: [{from: 2027-01-01, value: 1}]", "P013 plan.yaml:10"),
        (f"{GOOD}, from: 2026-02-01, to: 2026-02-01", "P022 plan.yaml:10"),
        (f"{GOOD}, scale: {{gpus: 0}}", "P011 plan.yaml:10"),
        (f"{GOOD}, scale: {{most_gpus: 0}}", "P010 plan.yaml:10"),
        (f"{GOOD}, scale: {{size: 2}}", "P006 plan.yaml:10"),
        ("profile: philly, queue: b, load: 1", "P071 plan.yaml:10"),
        ("profile: philly, queue: none, load: 1", "P071 plan.yaml:10"),
        (f"{GOOD}, products: {{H200: 1}}", "P071 plan.yaml:10"),
        ("profile: philly, queue: b, gpu_hours_per_month: 9", "P071 plan.yaml:10"),
    ],
)
def test_what_cannot_be_meant_is_told(codes: Codes, rest: str, expected: str) -> None:
    assert codes(plan(rest)) == [expected]


@pytest.mark.parametrize("until", ["2026-01-01", "2025-12-01", "2026-03-02"])
def test_jobs_end_within_the_plan(codes: Codes, until: str) -> None:
    assert codes(plan(GOOD, f"jobs_until: {until}")) == ["P013 plan.yaml:5"]


@pytest.mark.parametrize("seed", ["-1", "1.5", "x"])
def test_a_seed_is_a_whole_number(codes: Codes, seed: str) -> None:
    assert codes(plan(GOOD, f"seed: {seed}")) == ["P010 plan.yaml:5"]


def test_what_is_wrong_in_a_profile_is_told_with_its_line(codes: Codes, folder: Path) -> None:
    (folder / "bad.json").write_text('{"schema": "gpufleet.profile/1",\n "jobs": 0}')
    found = codes(plan("profile: bad.json, queue: a, load: 1"))
    assert f"C014 {folder / 'bad.json'}:2" in found


def test_a_profile_may_be_a_key_of_files(load: Load, folder: Path) -> None:
    from gpufleet.catalog.profiles import load_profile

    (folder / "own.json").write_text(load_profile("philly").text())
    loaded = load(plan("profile: own, queue: a, load: 1", "files: {own: own.json}"))
    assert loaded.warnings == ()
    workload = loaded.workloads["w"]
    assert isinstance(workload, ProfileWorkload)
    assert workload.profile == (folder / "own.json").resolve()


def test_priority_without_order_is_told(load: Load) -> None:
    loaded = load(plan(f"{GOOD}, priority: 5"))
    assert [found.code for found in loaded.warnings] == ["P035"]


def test_a_file_that_is_called_almost_like_a_shipped_profile(codes: Codes, load: Load) -> None:
    with pytest.raises(GpufleetError) as error:
        load(plan("profile: phily.json, queue: a, load: 1"))
    (found,) = error.value.findings
    assert (found.code, found.fix) == ("P025", "did you mean `philly`?")
