"""A long run is killed and started again: it goes on, says so, and ends with the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gpufleet import load_plan, simulate, stream
from gpufleet.engine import run as engine
from gpufleet.engine.room import new_state

PLAN = Path(__file__).parents[2] / "plans" / "one-cluster"
PART_ROWS = 100


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A checkpoint for each 100 of the plan's 400 jobs."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PLAN, tmp_path / "plan")
    monkeypatch.setattr(engine, "new_state", partial(new_state, n_out=20))
    monkeypatch.setattr(stream, "simulate_jobs", partial(stream.simulate_jobs, part_rows=PART_ROWS))
    monkeypatch.setattr(engine._Outbox, "ROWS", 20)


def contents(folder: Path) -> dict[str, bytes]:
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in files.items() if name != "environment.json"}


def ctrl_c(*, at: int) -> Callable[[str], None]:
    """A line of progress at which somebody presses Ctrl-C."""

    def hear(line: str) -> None:
        if "simulating" in line and any(word.isdecimal() and int(word) >= at for word in line.split()):
            raise KeyboardInterrupt

    return hear


def broken_off(*sets: str, at: int = 260) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate(load_plan("plan", sets=sets), out="run", progress=ctrl_c(at=at))
    assert left()


def left() -> list[Path]:
    return list(Path().glob(".run.*"))


def test_it_goes_on_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    simulate(load_plan("plan"), out="unbroken")
    broken_off()
    capfd.readouterr()
    run = simulate(load_plan("plan"), out="run")
    assert "resuming at 2026-01-" in (said := capfd.readouterr().err)
    assert "200 jobs are done (--fresh starts anew)" in said
    assert contents(Path("run")) == contents(Path("unbroken"))
    assert sorted(p.name for p in Path("run/jobs.parquet").iterdir()) == [
        f"part-0000{i}.parquet" for i in range(len(run.jobs) // PART_ROWS + bool(len(run.jobs) % PART_ROWS))
    ]
    assert not left()


def test_with_another_plan_it_starts_anew(capfd: pytest.CaptureFixture[str]) -> None:
    simulate(load_plan("plan", sets=["policy.order=sjf"]), out="unbroken")
    broken_off()
    simulate(load_plan("plan", sets=["policy.order=sjf"]), out="run")
    assert "resuming" not in capfd.readouterr().err
    assert contents(Path("run")) == contents(Path("unbroken"))
    assert not left()


def test_fresh_starts_anew(capfd: pytest.CaptureFixture[str]) -> None:
    broken_off()
    simulate(load_plan("plan"), out="run", fresh=True)
    assert "resuming" not in capfd.readouterr().err
    assert not left()


def test_a_plan_that_cannot_run_leaves_the_checkpoint(capfd: pytest.CaptureFixture[str]) -> None:
    """The trace is away for a moment, on a disk that is not mounted, say."""
    broken_off()
    plan = load_plan("plan")
    trace = next(Path("plan").glob("*.csv*"))
    trace.rename("away")
    with pytest.raises(Exception, match=trace.name):
        simulate(plan, out="run")
    Path("away").rename(trace)
    capfd.readouterr()
    simulate(load_plan("plan"), out="run")
    assert "resuming" in capfd.readouterr().err
    assert not left()


def test_the_earlier_run_stays_until_the_new_one_is_whole() -> None:
    simulate(load_plan("plan", sets=["policy.order=sjf"]), out="run")
    earlier = contents(Path("run"))
    broken_off()
    assert contents(Path("run")) == earlier
