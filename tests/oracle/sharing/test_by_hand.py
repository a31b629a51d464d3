"""Cases worked by hand, for what the tests of real schedulers at hand do not notice; each says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.oracle.sharing.cases import Case, answer, load, sorted_expect

CASES = load(Path(__file__).parents[2] / "golden" / "sharing-cases.json")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: Case) -> None:
    assert answer(case) == sorted_expect(case), case["why"]
