"""A run ends before its time: what was there before stays whole, and nothing half-written is a result."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpufleet import GpufleetError, Run


@pytest.fixture
def earlier(cli, plan):
    """An earlier run in `run`."""
    assert cli("run", plan.name, "--out", "run").code == 0
    return contents(Path("run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def parts() -> list[Path]:
    return [p for p in Path().iterdir() if p.name.startswith(".run.")]


def wait_for_part(process: subprocess.Popen[str]) -> None:
    """Until the process has begun to write."""
    for _ in range(6000):
        if parts() or process.poll() is not None:
            return
        time.sleep(0.005)


@pytest.mark.parametrize("delay_s", [0.0, 0.3, 1.5])
def test_a_killed_run_leaves_the_earlier_one_whole(process, plan, earlier, delay_s):
    running = process("run", plan.name, "--out", "run", "--set", "policy.order=sjf")
    wait_for_part(running)
    time.sleep(delay_s)
    running.kill()
    running.communicate()
    now = contents(Path("run"))
    now_is_new = b"sjf" in now["plan.lock.yaml"]  # it may have been quicker than the kill
    assert now_is_new or now == earlier
    assert Run.load("run").jobs.height == 5


def test_a_killed_first_run_is_no_result(process, plan):
    running = process("run", plan.name, "--out", "run")
    wait_for_part(running)
    running.kill()
    running.communicate()
    with pytest.raises(GpufleetError) as caught:
        Run.load("run")
    assert caught.value.findings[0].code == "R004"


def test_the_next_run_removes_what_a_killed_one_left(cli, process, plan, earlier):
    running = process("run", plan.name, "--out", "run")
    wait_for_part(running)
    running.kill()
    running.communicate()
    assert cli("run", plan.name, "--out", "run").code == 0
    assert not parts()


INTERRUPT = Path(__file__).with_name("interrupt.py")


def interrupted(moment: int) -> subprocess.CompletedProcess[str]:
    """A run that gets a Ctrl-C at a moment of its life."""
    command = [sys.executable, str(INTERRUPT), str(moment), "run", "plan.yaml", "--out", "run"]
    return subprocess.run(
        [*command, "--set", "policy.order=sjf"], capture_output=True, text=True, check=False
    )


@pytest.fixture
def moments(plan, earlier):
    """How many moments there are in the life of a run like the earlier one, about."""
    command = [sys.executable, str(INTERRUPT), "-1", "run", "plan.yaml", "--out", "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-2])


def test_ctrl_c_at_any_moment(moments, earlier):
    earlier = contents(Path("run"))
    loading, running = [], []
    for place in (0, 0.02, 0.1, 0.4, 0.6, 0.8):
        done = interrupted(int(place * moments))
        assert done.returncode == 130, (place, done)
        assert "Traceback" not in done.stderr
        assert not done.stdout
        assert contents(Path("run")) == earlier
        assert not parts()
        (running if "interrupted" in done.stderr else loading).append(place)
    assert len(loading) < 3 < len(running)  # while modules load there is nobody yet who could say it


def test_ctrl_c_when_all_is_done(plan, earlier):
    done = interrupted(-2)
    assert done.returncode == 0
    assert "results: run/" in done.stdout
    assert contents(Path("run")) != earlier


def test_a_full_disk(process, plan, earlier):
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    running = process("run", plan.name, "--out", "run", preexec_fn=small_files)
    out, err = running.communicate()
    assert running.returncode == 2, err
    assert not out
    assert "error R003" in err
    assert "Traceback" not in err
    assert contents(Path("run")) == earlier
    assert not parts()


def test_output_to_a_full_disk(process, plan):
    with open("/dev/full", "w") as full:
        running = process("catalog", "gpus", stdout=full)
        _, err = running.communicate()
    assert running.returncode == 2
    assert "error U003" in err
    assert "Traceback" not in err


def test_a_reader_that_goes_away(process, plan):
    read, write = os.pipe()
    os.close(read)
    running = process("catalog", "gpus", "--json", stdout=write)
    os.close(write)
    _, err = running.communicate()
    assert running.returncode == 141
    assert not err
