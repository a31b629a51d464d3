"""The examples in the docstrings of this room."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import gpufleet.traces


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(gpufleet.traces.__path__)])
def test_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"gpufleet.traces.{name}")).failed == 0
