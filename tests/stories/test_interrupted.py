"""A run ends before its time: what was there before stays whole, and nothing half-written is a result."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
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


def test_ctrl_c(process, plan, earlier):
    running = process("run", plan.name, "--out", "run", "--set", "policy.order=sjf")
    wait_for_part(running)
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert running.returncode == 130
    assert not out
    assert "interrupted" in err
    assert "Traceback" not in err
    assert contents(Path("run")) == earlier
    assert not parts()


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
