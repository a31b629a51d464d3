from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BY_HAND = Path(__file__).with_name("by_hand.json")

Edit = Callable[[str, str], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """The cases made by hand with one piece of their text replaced, at its first place."""

    def replace(old: str, new: str) -> Path:
        text = BY_HAND.read_text(encoding="utf-8")
        assert old in text, old
        path = tmp_path / "cases.json"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return replace


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A file of cases given as Python data."""

    def make(*cases: Any) -> Path:
        path = tmp_path / "cases.json"
        path.write_text(json.dumps({"format": "fleet-quota-cases/1", "cases": cases}), encoding="utf-8")
        return path

    return make
