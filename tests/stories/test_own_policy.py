"""Somebody writes an order or a placement: it decides, is kept with the run, and its faults name its line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from gpufleet.plan.own_code import read_code
from gpufleet.world.save import load_world, save_world

OWN = """\
import math

LARGE = 8


def large_first(job):
    return -job.gpus


def best_fit(place):
    return place.free


def never_seen(job):
    if job.submit_s < 115_000:
        return 0
    return math.pi / (job.gpus - 4)


def untried(place):
    return 1 / (place.free - 8)


def as_a_number(job):
    return _half(LARGE)


def _half(x):
    return x.gpus / 2
"""


@pytest.fixture
def own(plan: Path) -> Path:
    path = plan.with_name("own.py")
    path.write_text(OWN)
    return path


def starts(folder: Path) -> dict[str, int]:
    jobs = pl.read_parquet(folder / "jobs.parquet").select("name", "start_s")
    return dict(jobs.iter_rows())


def test_an_own_order_changes_who_goes_first(plan: Path, own: Path, cli, edit) -> None:
    edit("order: fifo\n  backfill: easy", "order: {python: own.py:large_first}\n  backfill: none")
    assert cli("run", "plan.yaml", "--out", "mine", "-q").code == 0
    assert cli("run", "plan.yaml", "--set", "policy.order=fifo", "--out", "fifo", "-q").code == 0
    assert starts(Path("mine")) != starts(Path("fifo"))
    assert starts(Path("mine"))["c"] < starts(Path("fifo"))["c"]


def test_an_own_placement_that_imitates_is_the_same_run(plan: Path, own: Path, cli) -> None:
    assert cli("run", "plan.yaml", "--out", "built-in", "-q").code == 0
    given = "policy.placement={python: own.py:best_fit}"
    assert cli("run", "plan.yaml", "--set", given, "--out", "own", "-q").code == 0
    assert Path("own/jobs.parquet").read_bytes() == Path("built-in/jobs.parquet").read_bytes()


def test_a_run_keeps_the_function_and_repeats(plan: Path, own: Path, cli, edit) -> None:
    edit("order: fifo", "order: {python: own.py:large_first}")
    assert cli("run", "plan.yaml", "--out", "first", "-q").code == 0
    lock = Path("first/plan.lock.yaml").read_text()
    assert "def large_first(job):" in lock
    assert str(plan.parent) not in lock
    ledger = json.loads(Path("first/ledger.json").read_text())
    assert "own.py:large_first" in json.dumps(ledger)
    world, arrivals, names = load_world(Path("first/world.npz"))
    assert world.own is not None
    assert world.own.order is not None
    assert world.own.order.program == read_code(OWN, "large_first", "order", names.queues).program
    save_world(Path("again.npz"), world, arrivals, names)
    assert Path("again.npz").read_bytes() == Path("first/world.npz").read_bytes()
    assert cli("run", "plan.yaml", "--out", "second", "-q").code == 0
    for name in ("jobs.parquet", "world.npz", "plan.lock.yaml", "measures.json"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    own.write_text("# moved\n" + OWN.replace("-job.gpus", "job.gpus"))
    assert cli("run", "plan.yaml", "--out", "second", "-q").code == 0
    assert Path("first/world.npz").read_bytes() != Path("second/world.npz").read_bytes()


def test_a_saved_world_with_other_code_is_refused(plan: Path, own: Path, cli, edit) -> None:
    edit("order: fifo", "order: {python: own.py:large_first}")
    assert cli("run", "plan.yaml", "--out", "mine", "-q").code == 0
    world, arrivals, names = load_world(Path("mine/world.npz"))
    assert world.own is not None
    assert world.own.order is not None
    bad = world.own.order._replace(source="def large_first(job):\n    return open(1)\n")
    save_world(Path("bad.npz"), world._replace(own=world.own._replace(order=bad)), arrivals, names)
    with pytest.raises(Exception, match="R060") as error:
        load_world(Path("bad.npz"))
    assert "open" in str(error.value)


def test_a_job_that_the_trial_did_not_think_of_ends_the_run(plan: Path, own: Path, cli, edit) -> None:
    assert cli("run", "plan.yaml", "--out", "run", "-q").code == 0
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    edit("order: fifo", "order: {python: own.py:never_seen}")
    assert cli("check", "plan.yaml").code == 0
    done = cli("run", "plan.yaml", "--out", "run", "-q")
    assert done.code == 2
    assert done.err.startswith("own.py:17  error R030")
    assert "never_seen gives no number for job 4 (gpus 4, estimate_s 100,000" in done.err
    assert "queue vision" in done.err
    assert "it divides by zero" in done.err
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("key", "function", "code", "line"),
    [("placement", "untried", "P127", 21), ("order", "as_a_number", "P126", 29)],
)
def test_what_only_the_compiler_or_a_trial_shows(
    plan: Path, own: Path, cli, edit, key: str, function: str, code: str, line: int
) -> None:
    for command in (("check", "plan.yaml"), ("run", "plan.yaml", "--out", "run")):
        done = cli(*command, "--set", f"policy.{key}={{python: own.py:{function}}}")
        assert done.code == 2
        assert f"\nown.py:{line}  error {code}" in f"\n{done.err}"
    assert not Path("run").exists()


def test_admit_asks_the_function_too(plan: Path, own: Path, cli, edit) -> None:
    edit("order: fifo", "order: {python: own.py:large_first}")
    Path("job.yaml").write_text("queue: vision\ngpus: 4\n")
    assert cli("run", "plan.yaml", "--out", "mine", "-q").code == 0
    for place in ("plan.yaml", "mine"):
        done = cli("admit", "-f", "job.yaml", "--plan", place, "--at", "2026-01-06 08:00")
        assert (done.code, done.out.startswith("yes")) == (0, True), done


# --- in other processes

CHILD = """
import json, sys
from gpufleet.engine import jit
from gpufleet.engine.own_code import compiled
from gpufleet.plan.own_code import read_code
names = []
jit.on_compile(names.append)
made = compiled(read_code(sys.argv[1], "f", "order", []).program)
print(json.dumps({"compiled": names, "value": made.decide(2.0, *[0.0] * 7)}))
"""


def test_a_function_is_compiled_once_for_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def child(text: str) -> dict[str, object]:
        command = [sys.executable, "-c", CHILD, text]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    text = "def f(job):\n    return job.gpus * 3\n"
    first, second = child(text), child(text)
    assert (first["value"], second["value"]) == (6.0, 6.0)
    assert first["compiled"]
    assert second["compiled"] == []
    other = child(text.replace("3", "4"))
    assert (other["value"], bool(other["compiled"])) == (8.0, True)
