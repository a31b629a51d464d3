"""What nodes draw by what runs on them, as a share of their rated power."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import ClassVar, Final

from gpufleet.catalog.rows import Row, read

IDLE: Final = "idle"


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerShare(Row):
    """A kind of work: the share of a node's rated power that it draws while it holds all of the node."""

    file: ClassVar[str] = "catalog/power.csv"
    kind: str
    share: float
    low: float
    high: float
    date: str
    source: str
    trust: str
    note: str


@cache
def power_shares() -> Mapping[str, PowerShare]:
    """Kinds of work by name, and `idle`.

    >>> power_shares()["training"].share
    0.76
    """
    return MappingProxyType({row.kind: row for row in read(PowerShare)})
