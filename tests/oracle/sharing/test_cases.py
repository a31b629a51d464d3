"""The twin gives the answers that the tests of a real scheduler give."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.oracle.sharing.cases import SUITES, answer, load, sorted_expect


@pytest.mark.parametrize(("suite", "count"), list(zip(SUITES, (28, 12), strict=True)))
def test_every_shared_case(shared: Path, suite: str, count: int) -> None:
    path = shared / "data" / "kueue" / "cases.json"
    if not path.is_file():
        pytest.skip(f"needs third-party data: {path} is not there")
    cases = [case for case in load(path) if case["suite"] == suite]
    assert len(cases) == count
    for case in cases:
        assert answer(case) == sorted_expect(case), case["id"]
