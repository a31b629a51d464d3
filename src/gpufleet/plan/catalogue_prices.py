"""What the catalogue says that a system costs."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gpufleet.plan.supply import System


class PerGpu(NamedTuple):
    """The price of a GPU of a system with its part of the server or rack, and the ends of its range."""

    value: Fraction
    low: Fraction
    high: Fraction
    currency: str


def price_per_gpu(system: System) -> PerGpu | None:
    """What a GPU of a system costs by the catalogue: of its servers or racks, else of the GPU by itself.

    >>> from gpufleet.base.errors import Place
    >>> from gpufleet.plan.supply import System
    >>> price_per_gpu(System.of_catalogue("DGX-B200", Place("p", 1))).value     # 450,000 USD a server
    Fraction(56250, 1)
    """
    from gpufleet.catalog.load import prices

    per = {"server": system.gpus_per_node, "rack": system.gpus_per_domain, "GPU": 1}
    rows = [row for row in prices().values() if row.kind == "capex" and row.product == system.product]
    for own in (system.name, None):
        for row in rows:
            currency, _, unit = row.unit.partition("/")
            if row.system == own and unit in per and _is_whole(row.item, unit):
                ends = (row.value, row.low or row.value, row.high or row.value)
                value, low, high = (Fraction(str(end)) / per[unit] for end in ends)
                return PerGpu(value, low, high, currency)
    return None


def _is_whole(item: str, unit: str) -> bool:
    """Whether a price is of the whole thing, not of a part of it such as its cooling."""
    return unit == "GPU" or item.endswith(unit)
