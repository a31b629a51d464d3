"""Quantities with units, as people write them: ``120 MW``, ``1.5 h``, ``2 d 6 h``.

The table is small on purpose: a unit library costs more to import than checking a whole plan.
"""

from __future__ import annotations

import math
import re
from typing import Final, Literal

from gpufleet.base.say import say

Dimension = Literal["power", "time"]

UNITS: Final[dict[Dimension, dict[str, float]]] = {
    "power": {"W": 1.0, "kW": 1e3, "MW": 1e6, "GW": 1e9},
    "time": {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0},
}
"""Accepted units per dimension and their size in the base unit (W, s)."""

YEAR_S: Final = 31_557_600
"""A year of 365.25 days, s."""

_DIMENSIONS: Final[dict[Dimension, str]] = {"power": say("power"), "time": say("time")}
EXAMPLES: Final[dict[Dimension, str]] = {"power": "120 kW", "time": "90 min"}

NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PART: Final = re.compile(rf"({NUMBER})\s*([^\s\d.+-]\S*)")
_PLAIN: Final = re.compile(NUMBER)


class UnitError(ValueError):
    """A text is not a quantity of the wanted dimension; the message says what would be."""


def accepted(dimension: Dimension) -> str:
    """The accepted units as a list for messages.

    >>> accepted("power")
    'W, kW, MW, GW'
    """
    return ", ".join(UNITS[dimension])


def parse_quantity(text: str, dimension: Dimension) -> float:
    """Read a quantity.

    Args:    text: a number and a unit; for time also a sum such as "2 d 6 h".
    Returns: W for power, s for time.
    Raises:  UnitError when the number or the unit is missing or unknown, or the value is not finite.

    >>> parse_quantity("1.5 h", "time"), parse_quantity("200kW", "power"), parse_quantity("1 d 1 h", "time")
    (5400.0, 200000.0, 90000.0)
    """
    stripped = text.strip()
    if _PLAIN.fullmatch(stripped):
        unit = _first_unit(dimension)
        raise UnitError(say("`{text}` has no unit; write e.g. `{text} {unit}`", text=stripped, unit=unit))
    parts, short = _PART.findall(stripped), _short(stripped)
    if not parts or _PART.sub("", stripped).strip():
        kind, example = _DIMENSIONS[dimension], EXAMPLES[dimension]
        raise UnitError(
            say("`{text}` is not a {kind}; write e.g. `{example}`", text=short, kind=kind, example=example)
        )
    if len(parts) > 1 and dimension != "time":
        raise UnitError(
            say("`{text}` holds {numbers} numbers; write one, with one unit", text=short, numbers=len(parts))
        )
    total = sum(float(number) * _factor(unit, dimension) for number, unit in parts)
    if not math.isfinite(total):
        raise UnitError(say("`{text}` is too large", text=short))
    return total


def _first_unit(dimension: Dimension) -> str:
    return "MW" if dimension == "power" else "s"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _factor(unit: str, dimension: Dimension) -> float:
    factor = UNITS[dimension].get(unit)
    if factor is not None:
        return factor
    for known in UNITS[dimension]:
        if known.lower() == unit.lower():
            raise UnitError(
                say(
                    "unit `{unit}`: did you mean `{known}`? accepted: {accepted}",
                    unit=_short(unit),
                    known=known,
                    accepted=accepted(dimension),
                )
            )
    raise UnitError(
        say(
            "`{unit}` is not a unit of {kind}; accepted: {accepted}",
            unit=_short(unit),
            kind=_DIMENSIONS[dimension],
            accepted=accepted(dimension),
        )
    )


def format_quantity(value: float, dimension: Dimension) -> str:
    """A quantity in its largest fitting unit, with every digit: reads back as the same number.

    >>> format_quantity(5400.0, "time"), format_quantity(200e3, "power"), format_quantity(0.0, "time")
    ('1.5 h', '200 kW', '0 s')
    """
    sizes = UNITS[dimension]
    for unit, size in reversed(sizes.items()):
        text = f"{value / size:.6g}"
        if abs(value) >= size and float(text) * size == value:
            return f"{text} {unit}"
    base = next(iter(sizes))
    return f"{int(value) if value == int(value) and abs(value) < 1e15 else repr(value)} {base}"


def format_power(watts: float) -> str:
    """Power for people, one digit after the point.

    >>> format_power(24.7e6), format_power(850.0), format_power(12_300e6)
    ('24.7 MW', '850 W', '12.3 GW')
    """
    size = abs(watts)
    for unit, factor in (("GW", 1e9), ("MW", 1e6), ("kW", 1e3)):
        if size >= factor:
            return f"{watts / factor:,.1f} {unit}"
    return f"{watts:,.0f} W"


def format_duration(seconds: float) -> str:
    """A length of time for people: the two largest units that are not zero.

    >>> format_duration(93600), format_duration(5430), format_duration(0.4), format_duration(0)
    ('1 d 2 h', '1 h 30 min', '0.4 s', '0 s')
    """
    if seconds < 0:
        return say("-{time}", time=format_duration(-seconds))
    if seconds < 1:
        return say("{s:.2g} s", s=seconds)
    d, rest = divmod(round(seconds), 86400)
    h, rest = divmod(rest, 3600)
    m, s = divmod(rest, 60)
    if d:
        return say("{d:,} d {h} h", d=d, h=h) if h else say("{d:,} d", d=d)
    if h:
        return say("{h} h {m} min", h=h, m=m) if m else say("{h} h", h=h)
    if m:
        return say("{m} min {s} s", m=m, s=s) if s else say("{m} min", m=m)
    return say("{s} s", s=s)


def format_count(number: float) -> str:
    """A count with thousands separators.

    >>> format_count(260000), format_count(12.5)
    ('260,000', '12.5')
    """
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"
