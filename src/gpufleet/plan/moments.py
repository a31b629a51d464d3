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
from gpufleet.base.say import say
from gpufleet.plan.kinds import Quantity, Schema, Value
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.tree import Leaf

MAX_SECONDS: Final = 100 * 366 * 86400


class Duration(Value[int]):
    """A length of time in whole seconds."""

    ranged = True
    wants = say("a time such as `90 min`")

    def __init__(self, *, least: int = 0) -> None:
        self.least = least

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> int:
        seconds = Quantity("time").parse(leaf, reader)
        if not self.least <= seconds <= MAX_SECONDS:
            says = say(
                "`{text}` is out of bounds: {least} s to 100 years", text=leaf.text[:60], least=self.least
            )
            raise reader.refuse("P011", leaf.at, says, say("write {wants}", wants=self.wants))
        if abs(seconds - round(seconds)) > 1e-6:
            fix = say("write `{ceil} s`", ceil=math.ceil(seconds))
            raise reader.refuse(
                "P011", leaf.at, say("`{text}` is not a whole number of seconds", text=leaf.text[:60]), fix
            )
        return round(seconds)

    @override
    def short_schema(self) -> Schema:
        return Quantity("time").short_schema()


class Zone(Value[str]):
    """A time zone by its IANA name."""

    wants = say("a time zone such as Asia/Seoul")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        try:
            return ZoneInfo(leaf.text).key
        except (OSError, ValueError, KeyError):
            from zoneinfo import available_timezones

            near = nearest(leaf.text[:60], available_timezones())
        fix = say("did you mean `{near}`?", near=near) if near else say("write {wants}", wants=self.wants)
        raise reader.refuse("P016", leaf.at, say("there is no time zone `{text}`", text=leaf.text[:60]), fix)

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
    wants = say("a date such as 2026-01-05")

    def __init__(self, *, inside: bool = False, after_start: bool = False) -> None:
        self.inside, self.after_start = inside, after_start

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
            raise reader.refuse(
                "P012",
                leaf.at,
                say("`{text}`: {error}", text=text, error=error),
                say("write {wants}", wants=self.wants),
            ) from error
        if not 1950 <= year <= 2200:
            raise reader.refuse(
                "P012",
                leaf.at,
                say("the year {year} is out of bounds", year=year),
                say("years 1950 to 2200 are possible"),
            )
        return _utc(local, match.group(7), reader.zone)

    def _vague(self, text: str, leaf: Leaf, reader: Reader) -> UnreadableError:
        match = _VAGUE.fullmatch(text)
        if match is None or not 1950 <= int(match.group(1)) <= 2200:
            in_sheet = say("format the cell as a date, or write the date as 2026-01-05")
            fix = in_sheet if leaf.at.sheet else say("write {wants}", wants=self.wants)
            return reader.refuse("P012", leaf.at, say("`{text}` is not a date", text=text[:60]), fix)
        first, last = _span(int(match.group(1)), (match.group(2) or "y").lower(), int(match.group(3) or 1))
        middle = first + (last - first) // 2
        fix = say(
            "write {{value: {middle}, range: [{first}, {last}]}}, with the day that you mean",
            middle=middle,
            first=first,
            last=last,
        )
        return reader.refuse(
            "P012",
            leaf.at,
            say("`{text}` is a span of {days} days, not a date", text=text, days=(last - first).days + 1),
            fix,
        )

    @override
    def accept(self, value: datetime, leaf: Leaf, reader: Reader) -> datetime:
        if self.inside or self.after_start:
            reader.within(value, leaf.at, later=self.after_start)
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
