"""An operator keeps half of a cluster for a course, and asks what that costs and who waits for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PLAN = """\
gpufleet: 1
name: course
start: 2026-01-05
end: 2026-01-19
sites:
  lab: {}
systems:
  box: {product: chip, gpus_per_node: 8}
deliveries:
  - {to: lab, system: box, gpus: 64, at: 2026-01-05}
partitions:
  debug: {site: lab, nodes: [1, 2], max_run_time: 1 h}
reservations:
  exam: {site: lab, gpus: 32, from: 2026-01-12, to: 2026-01-14, for: courses}
tenants:
  research: {}
  courses: {queues: {courses: {}, quick: {partitions: debug}}}
workloads:
  early: {kind: campaign, queue: research, gpus: 16, duration: 20 h, at: 2026-01-11}
  large: {kind: campaign, queue: research, gpus: 48, duration: 2 d, limit: 3 d, at: 2026-01-11 12:00}
  exam: {kind: campaign, queue: courses, gpus: 32, duration: 1 d, at: 2026-01-12}
  try: {kind: campaign, queue: quick, gpus: 8, duration: 30 min, at: 2026-01-12}
policy: {strict: false}
"""


@pytest.fixture
def run(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The run of the plan, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text(PLAN)
    done = cli("run", "plan.yaml", "--out", "run")
    assert done.code == 0, done
    return done


def test_the_summary_says_what_was_used(run: Any) -> None:
    assert "Reservations kept 1,540 GPU-hours; those for whom they were used 50 % of them" in run.out
    assert ["exam", "32", "1,540", "768", "0", "768", "768"] in [
        line.split() for line in run.out.splitlines()
    ]
    assert "first cause: reservation (reservation at plan.yaml:14)" in " ".join(run.out.split())


def test_measures_are_exact(run: Any) -> None:
    rows = json.loads(Path("run/measures.json").read_text())["measures"]
    of = {row["name"]: row["value"] for row in rows if row["by"] == {"reservation": "exam"}}
    assert of == {
        "reserved_gpus": 32,
        "reserved_of_gpus": 64,
        "reserved_gpu_h": 32 * 48,
        "reserved_used_gpu_h": 32 * 24,
        "reserved_others_gpu_h": 0,
        "reserved_idle_gpu_h": 32 * 24,
        "reserved_idle_before_gpu_h": 32 * 24,
    }


def test_why_names_the_reservation_and_its_numbers(cli: Any, run: Any) -> None:
    told = cli("why", "run", "large").out
    assert (
        "32 of 64 GPUs at lab are kept for exam (courses) from 2026-01-12 00:00 to 2026-01-14 00:00; this "
        "job's limit of 3 d must not run into it (reservations.exam at plan.yaml:14)"
    ) in told
    found = json.loads(cli("why", "run", "large", "--json").out)
    assert found["kept_off"] == [
        {
            "reservation": "exam", "gpus": 32, "of_gpus": 64, "site": "lab", "for": ["courses"],
            "from": "2026-01-12 00:00", "to": "2026-01-14 00:00", "at": "plan.yaml:14",
        }
    ]  # fmt: skip
    (cause,) = [each for each in found["causes"] if each["cause"] == "reservation"]
    assert cause["lines"] == [{"path": "reservations.exam", "at": "plan.yaml:14"}]
    assert "kept for" not in cli("why", "run", "exam").out, "it is for that one"


def test_the_report_lists_reservations(run: Any) -> None:
    page = Path("run/report.html").read_text()
    assert "Reservations, and who used them" in page
    assert "plan.yaml:14" in page


def test_a_plan_that_reserves_nothing_says_nothing_of_it(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start, end = PLAN.index("reservations:"), PLAN.index("tenants:")
    Path("plan.yaml").write_text(PLAN[:start] + PLAN[end:])
    done = cli("run", "plan.yaml", "--out", "run")
    assert "eserv" not in done.out
    assert "reservations" not in Path("run/measures.json").read_text()
