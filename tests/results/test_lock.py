"""plan.lock.yaml: the same bytes wherever the plan lies, with the line of each value."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from small import Small, small

from gpufleet.base.errors import Place
from gpufleet.plan.load import load_plan
from gpufleet.results.lock import SECTIONS, lock_of, place, read_lock, write_lock


def test_bytes_do_not_depend_on_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deep")
    write_lock(tmp_path / "a", load_plan(tmp_path / "here"))
    monkeypatch.chdir(tmp_path)
    write_lock(tmp_path / "b", load_plan(Path("there/deep/plan.yaml")))
    monkeypatch.chdir(tmp_path / "there" / "deep")
    write_lock(tmp_path / "c", load_plan(Path("plan.yaml")))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()
    assert str(tmp_path) not in (tmp_path / "a").read_text()


def test_it_reads_back(told: Small, tmp_path: Path) -> None:
    write_lock(tmp_path / "lock", told.plan)
    lock = read_lock(tmp_path / "lock")
    assert lock == lock_of(told.plan)
    assert list(lock) == [
        "schema",
        *SECTIONS,
        "profiles",
        "trainings",
        "campaigns",
        "asked",
        "lines",
        "origins",
    ]
    assert lock == yaml.safe_load((tmp_path / "lock").read_text())


def test_values_have_their_lines_and_origins(told: Small) -> None:
    lock = lock_of(told.plan)
    assert lock["deliveries"]["lot-2"]["gpus"] == 8
    assert lock["lines"]["deliveries.lot-2.gpus"] == "plan.yaml:16"
    assert lock["origins"]["deliveries.lot-2.gpus"] == {"trust": "estimate", "range": [8, 16]}
    assert lock["workloads"]["history"]["file"]["name"] == "jobs.csv"
    assert lock["start"] == "2026-01-04T15:00:00Z"


def test_overrides_stand_where_they_were_given(tmp_path: Path) -> None:
    told = small(tmp_path / "plan", sets=["policy.order=sjf"])
    lock = lock_of(told.plan)
    assert lock["policy"]["order"] == "sjf"
    assert lock["lines"]["policy.order"].startswith("--set policy.order")
    assert lock["asked"] == {"scenarios": {}, "overrides": ["policy.order=sjf"]}


def test_a_trace_elsewhere_is_named_and_known_by_its_content(tmp_path: Path) -> None:
    told = small(tmp_path / "plan")
    locks = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(tmp_path / "plan" / "jobs.csv", tmp_path / folder / "log.csv")
        plan = load_plan(tmp_path / "plan", sets=[f"files.trace={tmp_path / folder / 'log.csv'}"])
        locks.append(lock_of(plan))
    assert locks[0] == locks[1]
    assert locks[0]["workloads"]["history"]["file"]["name"] == "log.csv"
    inside = lock_of(told.plan)["workloads"]["history"]["file"]
    assert locks[0]["workloads"]["history"]["file"]["sha256"] == inside["sha256"]


def test_deliveries_without_a_name_are_called_by_number(tmp_path: Path) -> None:
    told = small(tmp_path / "plan")
    text = (tmp_path / "plan" / "plan.yaml").read_text().replace("name: lot-1, ", "")
    (tmp_path / "plan" / "plan.yaml").write_text(text)
    lock = lock_of(load_plan(tmp_path / "plan"))
    name = next(iter(lock["deliveries"]))
    assert lock["lines"][f"deliveries.{name}.gpus"] == lock["lines"][f"deliveries.{name}"] == "plan.yaml:12"
    assert told.plan.deliveries[0].name != name


def test_places_outside_the_plan_keep_their_name(tmp_path: Path) -> None:
    assert place(Place("/elsewhere/nodes.csv", 3), tmp_path) == "nodes.csv:3"
