from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.base.units import (
    UNITS,
    Dimension,
    UnitError,
    format_count,
    format_duration,
    format_power,
    format_quantity,
    parse_quantity,
)

DIMENSIONS = st.sampled_from(["power", "time"])


@given(st.floats(0, 1e15), DIMENSIONS)
def test_what_is_formatted_reads_back_as_the_same_number(value: float, dimension: Dimension) -> None:
    assert parse_quantity(format_quantity(value, dimension), dimension) == value


@given(st.integers(0, 10**9), DIMENSIONS, st.data())
def test_a_number_with_a_unit_is_that_many_of_it(
    number: int, dimension: Dimension, data: st.DataObject
) -> None:
    unit = data.draw(st.sampled_from(sorted(UNITS[dimension])))
    expected = number * UNITS[dimension][unit]
    assert parse_quantity(f"{number} {unit}", dimension) == expected
    assert parse_quantity(f" {number}{unit} ", dimension) == expected


@given(st.integers(0, 10**10))
def test_a_duration_for_people_is_within_its_second_unit(seconds: int) -> None:
    back = parse_quantity(format_duration(seconds).replace(",", ""), "time")
    largest = next((size for size in (86400, 3600, 60, 1) if seconds >= size), 1)
    assert 0 <= seconds - back < max(1, largest / 24)


@given(st.text(max_size=30), DIMENSIONS)
def test_any_text_is_a_finite_quantity_or_a_unit_error(text: str, dimension: Dimension) -> None:
    with suppress(UnitError):
        assert math.isfinite(parse_quantity(text, dimension))


@pytest.mark.parametrize(
    ("text", "dimension", "says"),
    [
        ("200", "power", "`200` has no unit; write e.g. `200 MW`"),
        ("90", "time", "`90` has no unit"),
        ("5 mw", "power", "did you mean `MW`"),
        ("5 MW", "time", "accepted: s, min, h, d, w"),
        ("3 days", "time", "`days` is not a unit of time"),
        ("MW", "power", "`MW` is not a power"),
        ("26만", "power", "`만` is not a unit"),
        ("1 MW 2 kW", "power", "holds 2 numbers"),
        ("1e999 s", "time", "too large"),
        ("", "time", "`` is not a time"),
    ],
)
def test_what_is_wrong_is_said(text: str, dimension: Dimension, says: str) -> None:
    with pytest.raises(UnitError) as error:
        parse_quantity(text, dimension)
    assert says in str(error.value)


def test_numbers_for_people() -> None:
    assert format_power(0) == "0 W"
    assert format_power(148_720) == "148.7 kW"
    assert format_duration(-90) == "-1 min 30 s"
    assert format_duration(86400 * 1200) == "1,200 d"
    assert format_count(10650) == "10,650"
