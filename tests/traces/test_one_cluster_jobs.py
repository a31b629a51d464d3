"""The jobs file that is shipped with the plan one-cluster."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gpufleet.traces.read import read_trace
from gpufleet.traces.summary import summarise

FOLDER = Path(__file__).resolve().parents[2] / "plans" / "one-cluster"


def test_it_is_what_its_script_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("make_jobs", FOLDER / "make_jobs.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "__file__", str(tmp_path / "make_jobs.py"))
    script.main()
    assert (tmp_path / "jobs.csv").read_bytes() == (FOLDER / "jobs.csv").read_bytes()


def test_it_fits_the_cluster_and_is_small() -> None:
    path = FOLDER / "jobs.csv"
    trace = read_trace(path, start=datetime(2026, 1, 4, 15, tzinfo=UTC), time_zone="Asia/Seoul")
    assert path.stat().st_size < 60_000
    assert trace.findings == ()
    assert trace.jobs.height == 400
    assert trace.jobs["submit_s"].is_between(0, 14 * 86_400 - 1).all()
    assert (trace.jobs["limit_s"] >= trace.jobs["run_s"]).all()
    found = summarise(trace)
    assert {q.name for q in found.queues} == {"llm", "vision", "robotics"}
    assert found.largest_gpus == 32
    assert 0.7 < found.gpu_hours / (64 * 14 * 24) < 0.8
