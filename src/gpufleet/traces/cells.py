"""Cells of a text column as typed values, each with the reason when it is not one.

A reader takes the columns of one chunk that a format names for one of ours, and gives values and reasons.
Where several columns are given, a row takes the first that has a value. Clean columns take a fast path:
reasons are worked out only where something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, NamedTuple, TypeAlias

import polars as pl

MAX_S: Final = 100 * 366 * 86_400
"""Times beyond 100 years are called too large: milliseconds taken for seconds, counters that overflowed."""

MAX_GPUS: Final = 10_000_000
MAX_PRIORITY: Final = 2**31 - 1

_ZONE: Final = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"
_SHAPES: Final = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_SPAN: Final = r"^(?:(\d{1,5})-)?(?:(\d{1,7}):)?(\d{1,7}):(\d{1,2})(?:\.\d+)?$"


@dataclass(frozen=True)
class Clock:
    """Where a file's times lie on the plan's clock."""

    epoch_s: int  # unix time that becomes second 0
    zero_s: int  # second of the plan at which a file without a calendar has its second 0
    time_zone: str  # IANA name; of times that are written without a zone


class Cells(NamedTuple):
    """Values of one column of ours; null where there is none or ``reason`` says why it is unusable."""

    value: pl.Series
    reason: pl.Series | None = None  # String, null where the value stands; None = nowhere


Reader: TypeAlias = Callable[[Sequence[pl.Series], Clock], Cells]


def text(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """Any text, trimmed."""
    return Cells(_first(columns).str.strip_chars())


def label(prefix: str) -> Reader:
    """Numbers as names: 3 becomes "q3" with the prefix "q"."""
    return lambda columns, clock: Cells(prefix + _first(columns))


def whole(low: int, high: int) -> Reader:
    """Whole numbers (``8`` or ``8.0``) from low to high."""

    def read(columns: Sequence[pl.Series], clock: Clock) -> Cells:
        return number(_first(columns), low, high, whole=True)

    return read


gpu_count: Final = whole(1, MAX_GPUS)


def seconds(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """A length of time in seconds, fractions kept."""
    return number(_first(columns), 0, MAX_S)


def rounded_seconds(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """A length of time in seconds, rounded to whole ones, half to even."""
    value, reason = number(_first(columns), 0, MAX_S)
    return Cells(value.round(0, mode="half_to_even"), reason)


def plan_second(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """A time as seconds from the file's own second 0, rounded half to even."""
    value, reason = rounded_seconds(columns, clock)
    return Cells(value.cast(pl.Int64) + clock.zero_s, reason)


def date_time(columns: Sequence[pl.Series], clock: Clock) -> Cells:
    """A date and time, ``2026-01-05 09:00:00`` or with ``T``; a zone may follow (``Z``, ``+09:00``).

    Fractions of a second are rounded. The hour that a clock change repeats is read as its first pass; one
    that it skips is no time.
    """
    cells = _first(columns)
    unix_s = _unix_seconds(cells, clock.time_zone)
    value = (unix_s.round(0).cast(pl.Int64) - clock.epoch_s).rename(cells.name)
    usable = value.is_between(-MAX_S, MAX_S).fill_null(False) | cells.is_null()
    if usable.all():
        return Cells(value)
    reason = (
        pl.when(value.is_null())
        .then(pl.lit(f"{cells.name} is not a time"))
        .otherwise(pl.lit(f"{cells.name} is too far from the plan's start"))
    )
    return _fail(value, usable, reason)


def number(cells: pl.Series, low: float, high: float, *, whole: bool = False) -> Cells:
    """Numbers from low to high (Float64); null stays null.

    >>> cells = number(pl.Series("gpus", ["8", "-1", "x", "nan", None]), 1, 100)
    >>> cells.value.to_list()
    [8.0, None, None, None, None]
    >>> cells.reason.to_list()
    [None, 'gpus is negative', 'gpus is not a number', 'gpus is NaN or infinite', None]
    """
    value = cells.cast(pl.Float64, strict=False)
    if value.null_count() > cells.null_count():
        value = cells.str.strip_chars().cast(pl.Float64, strict=False)
    usable = value.is_between(low, high)
    if whole:
        usable = usable & (value == value.floor())
    usable = usable.fill_null(False) | cells.is_null()
    if usable.all():
        return Cells(value)
    name = cells.name
    reason = (
        pl.when(value.is_null())
        .then(pl.lit(f"{name} is not a number"))
        .when(~value.is_finite())
        .then(pl.lit(f"{name} is NaN or infinite"))
        .when((value < 0) & (low >= 0))
        .then(pl.lit(f"{name} is negative"))
        .when((value == 0) & (low > 0))
        .then(pl.lit(f"{name} is zero"))
        .when((value != value.floor()) & whole)
        .then(pl.lit(f"{name} is not whole"))
        .otherwise(pl.lit(f"{name} is too large"))
    )
    return _fail(value, usable, reason)


def missing(cells: Cells, name: str) -> Cells:
    """The same cells, where none may be without a value."""
    absent = cells.value.is_null() if cells.reason is None else cells.value.is_null() & cells.reason.is_null()
    if not absent.any():
        return cells
    known = pl.lit(None, pl.String) if cells.reason is None else cells.reason
    reason = pl.select(pl.when(absent).then(pl.lit(f"{name} is missing")).otherwise(known)).to_series()
    return Cells(cells.value, reason)


def span_seconds(cells: pl.Series) -> pl.Series:
    """Slurm's ``[days-]hours:minutes:seconds`` as seconds (Float64); null where it is something else.

    >>> span_seconds(pl.Series(["1-02:00:00", "00:10:30", "05:07.250", "x"])).to_list()
    [93600.0, 630.0, 307.0, None]
    """
    parts = cells.str.extract_groups(_SPAN).struct.unnest()
    days, hours, minutes, rest = (part.cast(pl.Float64).fill_null(0) for part in parts.get_columns())
    total = days * 86_400 + hours * 3600 + minutes * 60 + rest
    return pl.select(pl.when(parts.to_series(3).is_not_null()).then(total)).to_series().rename(cells.name)


def _first(columns: Sequence[pl.Series]) -> pl.Series:
    """Per row, the first of the columns that has a value; named as the first column."""
    return reduce(
        lambda have, more: have if not have.null_count() else have.zip_with(have.is_not_null(), more), columns
    )


def _fail(value: pl.Series, usable: pl.Series, reason: pl.Expr) -> Cells:
    kept = pl.when(usable).then(value).alias(value.name)
    why = pl.when(~usable).then(reason).alias("reason")
    return Cells(*pl.select(kept, why).get_columns())


def _unix_seconds(cells: pl.Series, time_zone: str) -> pl.Series:
    """Seconds since 1970 (UTC), Float64; null where the text is no time."""
    for shape in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"):
        local = cells.str.to_datetime(shape, strict=False, time_unit="us")
        if local.null_count() == cells.null_count():
            return _to_unix(local, time_zone)
    plain = cells.str.strip_chars().str.replace(" ", "T", literal=True)
    zone = plain.str.extract(f"({_ZONE})")
    bare = plain.str.replace(_ZONE, "")
    local = reduce(
        lambda have, more: have.zip_with(have.is_not_null(), more),
        (bare.str.to_datetime(shape, strict=False, time_unit="us") for shape in _SHAPES),
    )
    written = _to_unix(local, "UTC") - _offset_s(zone)
    return _to_unix(local, time_zone).zip_with(zone.is_null(), written)


def _to_unix(local: pl.Series, time_zone: str) -> pl.Series:
    if time_zone != "UTC":
        local = local.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    return local.dt.epoch("us").cast(pl.Float64) / 1e6


def _offset_s(zone: pl.Series) -> pl.Series:
    """``+09:00`` as 32400; ``Z`` and null as 0."""
    digits = zone.str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    size = digits.str.slice(0, 2).cast(pl.Int64) * 3600 + digits.str.slice(2, 2).cast(pl.Int64) * 60
    sign = 1 - 2 * zone.str.starts_with("-").cast(pl.Int64)
    return (size * sign).fill_null(0)
