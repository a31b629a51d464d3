from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the tests of this room share `small`

from small import Small, small

from gpufleet.results.run import Run


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The small plan with its stories."""
    return small(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="session")
def run(told: Small, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run folder of the small plan."""
    return told.write(tmp_path_factory.mktemp("runs") / "small")
