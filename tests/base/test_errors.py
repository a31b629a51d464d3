from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpufleet.base.errors import (
    Finding,
    GpufleetError,
    Place,
    complete,
    did_you_mean,
    explain_code,
    explanations,
    finding,
)


@pytest.fixture(autouse=True)
def _same_codes_afterwards() -> Iterator[None]:
    before = dict(explanations)
    yield
    explanations.clear()
    explanations.update(before)


def test_a_finding_says_place_numbers_and_fix() -> None:
    found = Finding("P017", "too early", "warning", "24.7 MW\n10.0 MW", "move it", Place("supply.yaml", 41))
    assert found.text().splitlines() == [
        "supply.yaml:41  warning P017  too early",
        "  24.7 MW",
        "  10.0 MW",
        "  fix: move it        more: gpufleet explain P017",
    ]


def test_a_finding_without_place_or_fix() -> None:
    lines = Finding("U001", "no", says="x").text().splitlines()
    assert lines == ["error U001  no", "  x", "  more: gpufleet explain U001"]


def test_an_error_carries_all_findings_and_shows_them() -> None:
    error = GpufleetError(Finding("P001", "a"), Finding("P002", "b"))
    assert [found.code for found in error.findings] == ["P001", "P002"]
    assert "P001" in str(error)
    assert "P002" in str(error)


def test_a_code_has_one_title() -> None:
    explain_code("X900", "one", "why", "example")
    explain_code("X900", "one", "why, said better", "example")
    with pytest.raises(ValueError, match="X900 is taken by 'one'"):
        explain_code("X900", "two", "why", "example")


def test_the_title_of_a_finding_is_that_of_its_code() -> None:
    explain_code("X901", "a title", "why", "example")
    assert finding("X901", "says", "fix").title == "a title"
    assert complete(Finding(says="x"), "X901", "warning").text().startswith("warning X901  a title")


def test_suggestions() -> None:
    assert did_you_mean("Backfil", ["backfill", "order"]) == "did you mean `backfill`?"
    assert did_you_mean("x", []) == "none is declared"
    assert did_you_mean("zzzz", [f"name{i}" for i in range(20)]).endswith("(8 more)")
