"""What all tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes is no property of the code: other work may have the machine.
settings.register_profile("gpufleet", deadline=None)
settings.load_profile("gpufleet")

ROOT = Path(__file__).resolve().parent.parent
os.environ["GPUFLEET_CATALOG"] = str(ROOT / "no-rows-of-the-developer's-own")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of third-party raw data, which is not part of the repository."""
    folder = Path(os.environ.get("GPUFLEET_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs third-party data: {folder}/data is not there (set GPUFLEET_SHARED)")
    return folder
