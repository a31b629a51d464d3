"""Kinds of values that are times: lengths of time, time zones, dates."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from typing_extensions import override

from gpufleet.base.errors import nearest
from gpufleet.plan.kinds import Quantity, Schema, Value
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.tree import Leaf

MAX_SECONDS: Final = 100 * 366 * 86400


class Duration(Value[int]):
    """A length of time in whole seconds."""

    ranged = True
    wants = "a time such as `90 min`"

    def __init__(self, *, least: int = 0) -> None:
        self.least = least

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> int:
        seconds = Quantity("time").parse(leaf, reader)
        if not self.least <= seconds <= MAX_SECONDS:
            says = f"`{leaf.text[:60]}` is out of bounds: {self.least} s to 100 years"
            raise reader.refuse("P011", leaf.at, says, f"write {self.wants}")
        if abs(seconds - round(seconds)) > 1e-6:
            fix = f"write `{math.ceil(seconds)} s`"
            raise reader.refuse("P011", leaf.at, f"`{leaf.text[:60]}` is not a whole number of seconds", fix)
        return round(seconds)

    @override
    def short_schema(self) -> Schema:
        return Quantity("time").short_schema()


class Zone(Value[str]):
    """A time zone by its IANA name."""

    wants = "a time zone such as Asia/Seoul"

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        try:
            return ZoneInfo(leaf.text).key
        except (OSError, ValueError, KeyError):
            from zoneinfo import available_timezones

            near = nearest(leaf.text[:60], available_timezones())
        fix = f"did you mean `{near}`?" if near else f"write {self.wants}"
        raise reader.refuse("P016", leaf.at, f"there is no time zone `{leaf.text[:60]}`", fix)

    @override
    def short_schema(self) -> Schema:
        return {"type": "string", "examples": ["Asia/Seoul", "UTC"]}


_DATE: Final = re.compile(
    r"(\d{4})-(\d{1,2})(?:-(\d{1,2})(?:[Tt ]\s*(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(Z|[-+]\d{2}:?\d{2})?)?)?"
)
_VAGUE: Final = re.compile(r"(\d{4})(?:[- ]?([QqHh])([1-4]))?")


class Moment(Value[datetime]):
    """A date or a date with time; in UTC. Without an offset it is in the plan's time zone."""

    ranged = True
    wants = "a date such as 2026-01-05"

    def __init__(self, *, inside: bool = False) -> None:
        self.inside = inside

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> datetime:
        text = leaf.text.strip()
        match = _DATE.fullmatch(text)
        if match is None:
            raise self._vague(text, leaf, reader)
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        try:
            local = datetime(year, month, day or 1, hour, minute, second)
        except ValueError as error:
            raise reader.refuse("P012", leaf.at, f"`{text}`: {error}", f"write {self.wants}") from error
        if not 1950 <= year <= 2200:
            raise reader.refuse(
                "P012", leaf.at, f"the year {year} is out of bounds", "years 1950 to 2200 are possible"
            )
        return _utc(local, match.group(7), reader.zone)

    def _vague(self, text: str, leaf: Leaf, reader: Reader) -> UnreadableError:
        match = _VAGUE.fullmatch(text)
        if match is None or not 1950 <= int(match.group(1)) <= 2200:
            return reader.refuse("P012", leaf.at, f"`{text[:60]}` is not a date", f"write {self.wants}")
        first, last = _span(int(match.group(1)), (match.group(2) or "y").lower(), int(match.group(3) or 1))
        middle = first + (last - first) // 2
        fix = f"write {{value: {middle}, range: [{first}, {last}]}}, with the day that you mean"
        return reader.refuse(
            "P012", leaf.at, f"`{text}` is a span of {(last - first).days + 1} days, not a date", fix
        )

    @override
    def accept(self, value: datetime, leaf: Leaf, reader: Reader) -> datetime:
        if self.inside:
            reader.within(value, leaf.at)
        return value

    @override
    def short_schema(self) -> Schema:
        pattern = r"^\d{4}-\d{1,2}(-\d{1,2}([Tt ]\s*\d{1,2}:\d{2}(:\d{2})?\s*(Z|[-+]\d{2}:?\d{2})?)?)?$"
        return {
            "type": "string",
            "pattern": pattern,
            "examples": ["2026-01-05", "2026-01-05 14:00", "2026-03"],
        }


def _utc(local: datetime, offset: str | None, zone: ZoneInfo) -> datetime:
    if offset is None:
        return local.replace(tzinfo=zone).astimezone(UTC)
    if offset == "Z":
        return local.replace(tzinfo=UTC)
    sign = -1 if offset[0] == "-" else 1
    ahead = sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    return (local - ahead).replace(tzinfo=UTC)


def _span(year: int, letter: str, number: int) -> tuple[date, date]:
    """First and last day of a year (y), half (h) or quarter (q)."""
    months = {"y": 12, "h": 6, "q": 3}[letter]
    last_month = min(12, months * number)
    first = date(year, last_month - months + 1, 1)
    return first, date(year, last_month, monthrange(year, last_month)[1])
