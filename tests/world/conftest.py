from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # plans and their numbers that tests share

from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan

HEAD = """\
gpufleet: 1
name: test
start: 2026-01-01
end: 2026-03-01
"""

PlanOf = Callable[..., Plan]


@pytest.fixture
def plan_of(tmp_path: Path) -> PlanOf:
    """Load a plan from its text; other files that it needs are given by name."""

    def load(text: str, **files: str) -> Plan:
        for name, content in files.items():
            (tmp_path / f"{name}.csv").write_text(dedent(content))
        path = tmp_path / "plan.yaml"
        path.write_text(HEAD + dedent(text))
        return load_plan(path)

    return load
