from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from gpufleet.cli import main

PLAN = """\
gpufleet: 1
name: tiny
start: 2026-01-05
end: 2026-01-12
after_end: finish
files: {trace: jobs.csv}
sites:
  lab: {power: 60 kW, pue: 1.25}
systems:
  box: {product: B200-SXM, gpus_per_node: 8, nodes_per_domain: 1, node_power: 15 kW}
deliveries:
  - {name: lot-1, to: lab, system: box, gpus: 16, at: 2026-01-05, status: delivered}
tenants:
  research: {quota: {B200: 8}}
  vision: {}
workloads:
  history: {kind: trace, file: trace}
policy:
  order: fifo
  backfill: easy
scenarios:
  free: {title: no quota, set: {tenants.research.quota.B200: 16}}
"""
JOBS = """\
job,submit,gpus,duration_s,queue,user
a,2026-01-05T08:00:00,8,3600,research,ann
b,2026-01-05T08:10:00,8,3600,research,ann
c,2026-01-05T08:20:00,16,7200,vision,bob
d,2026-01-05T08:30:00,1,600,vision,eve
e,2026-01-06T09:00:00,4,100000,vision,eve
"""


class Done(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small plan with a trace; the test runs in its folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.csv").write_text(JOBS)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def edit(plan: Path) -> Callable[[str, str], Path]:
    """Replace a piece of the plan's text."""

    def replace(old: str, new: str) -> Path:
        text = plan.read_text()
        assert text.count(old) == 1, old
        plan.write_text(text.replace(old, new))
        return plan

    return replace


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        code = left.value.code
        assert isinstance(code, int)
        return Done(code, out, err)

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a command as a process of its own."""

    def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
        command: Sequence[str] = [sys.executable, "-m", "gpufleet", *(str(a) for a in arguments)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
        return subprocess.Popen(command, env=os.environ.copy(), **{**streams, **options})  # type: ignore[call-overload]

    return start
