"""Cells as values: numbers, times, spans, and why one is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from gpufleet.traces.cells import (
    Cells,
    Clock,
    date_time,
    gpu_count,
    missing,
    plan_second,
    rounded_seconds,
    span_seconds,
)

CLOCK = Clock(int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()), 0, "UTC")


def read_one(reader: object, cell: str | None, clock: Clock = CLOCK) -> tuple[object, str | None]:
    found: Cells = reader([pl.Series("x", [cell], pl.String)], clock)  # type: ignore[operator]
    return found.value[0], None if found.reason is None else found.reason[0]


@pytest.mark.parametrize(
    ("cell", "value", "reason"),
    [
        ("8", 8.0, None),
        ("8.0", 8.0, None),
        (" 8 ", 8.0, None),
        (None, None, None),
        ("0", None, "x is zero"),
        ("-1", None, "x is negative"),
        ("0.5", None, "x is not whole"),
        ("eight", None, "x is not a number"),
        ("1_0", None, "x is not a number"),
        ("NaN", None, "x is NaN or infinite"),
        ("inf", None, "x is NaN or infinite"),
        ("1e400", None, "x is NaN or infinite"),
        ("99999999999999999999", None, "x is too large"),
    ],
)
def test_gpu_counts(cell: str | None, value: float | None, reason: str | None) -> None:
    assert read_one(gpu_count, cell) == (value, reason)


@pytest.mark.parametrize(("cell", "value"), [("2.5", 2.0), ("3.5", 4.0), ("0.49", 0.0), ("1e3", 1000.0)])
def test_seconds_are_rounded_half_to_even(cell: str, value: float) -> None:
    assert read_one(rounded_seconds, cell) == (value, None)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2026-01-05 00:01:00", 60),
        ("2026-01-05T00:01:00", 60),
        ("2026-01-05 00:01:00.6", 61),
        ("2026-01-05T00:01", 60),
        ("2026-01-06", 86_400),
        ("2026-01-05T00:01:00Z", 60),
        ("2026-01-05T09:01:00+09:00", 60),
        ("2026-01-05 09:01:00+0900", 60),
        ("2026-01-04T19:31:00-04:30", 60),
        (" 2026-01-05 00:01:00 ", 60),
        ("2025-12-31 23:59:59", -4 * 86_400 - 1),
        (None, None),
    ],
)
def test_times_in_utc(cell: str | None, value: int | None) -> None:
    assert read_one(date_time, cell) == (value, None)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("soon", "x is not a time"),
        ("2026-13-05 00:00:00", "x is not a time"),
        ("2026-01-05 25:00:00", "x is not a time"),
        ("1767571200", "x is not a time"),
        ("9999-01-01 00:00:00", "x is too far from the plan's start"),
    ],
)
def test_what_is_no_time(cell: str, reason: str) -> None:
    assert read_one(date_time, cell) == (None, reason)


def test_times_without_a_zone_are_local() -> None:
    seoul = Clock(CLOCK.epoch_s, 0, "Asia/Seoul")
    assert read_one(date_time, "2026-01-05 09:00:00", seoul) == (0, None)
    assert read_one(date_time, "2026-01-05 09:00:00Z", seoul) == (9 * 3600, None)


def test_clock_changes() -> None:
    """2026-03-29: 02:00 to 03:00 does not exist in Berlin; 2026-10-25: 02:00 to 03:00 comes twice."""
    berlin = Clock(int(datetime(2026, 3, 29, tzinfo=UTC).timestamp()), 0, "Europe/Berlin")
    assert read_one(date_time, "2026-03-29 01:59:59", berlin) == (3599, None)
    assert read_one(date_time, "2026-03-29 02:30:00", berlin) == (None, "x is not a time")
    assert read_one(date_time, "2026-03-29 03:00:00", berlin) == (3600, None)
    autumn = Clock(int(datetime(2026, 10, 25, tzinfo=UTC).timestamp()), 0, "Europe/Berlin")
    assert read_one(date_time, "2026-10-25 02:30:00", autumn) == (1800, None)


def test_a_column_may_mix_shapes_and_zones() -> None:
    cells = ["2026-01-05 00:00:01", "2026-01-05T00:00:02Z", "2026-01-05T09:00:03+09:00", "x", None]
    found = date_time([pl.Series("x", cells)], CLOCK)
    assert found.value.to_list() == [1, 2, 3, None, None]
    assert found.reason is not None
    assert found.reason.to_list() == [None, None, None, "x is not a time", None]


def test_a_row_takes_the_first_column_that_has_a_value() -> None:
    found = gpu_count([pl.Series("a", ["1", None, "x"]), pl.Series("b", ["2", "3", "4"])], CLOCK)
    assert found.value.to_list() == [1.0, 3.0, None]


def test_relative_seconds_start_at_the_files_zero() -> None:
    later = Clock(CLOCK.epoch_s, 1000, "UTC")
    assert read_one(plan_second, "60", later) == (1060, None)
    assert read_one(plan_second, "-1", later) == (None, "x is negative")


def test_missing_keeps_other_reasons() -> None:
    found = missing(gpu_count([pl.Series("x", ["1", None, "0"])], CLOCK), "x")
    assert found.reason is not None
    assert found.reason.to_list() == [None, "x is missing", "x is zero"]


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        ("00:00:01", 1),
        ("1-00:00:00", 86_400),
        ("2-03:04:05", 183_845),
        ("100:00:00", 360_000),
        ("05:07", 307),
        ("05:07.250", 307),
        ("UNLIMITED", None),
        ("7", None),
        ("", None),
    ],
)
def test_slurm_spans(cell: str, seconds: float | None) -> None:
    assert span_seconds(pl.Series([cell])).to_list() == [seconds]
