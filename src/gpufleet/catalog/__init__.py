"""Facts as data, each row with unit, source, date and trust; and the names that people write for them."""

from gpufleet.catalog.load import (
    Resolved,
    countries,
    export_chips,
    export_rules,
    find_chip,
    gpus,
    grids,
    prices,
    resolve_chip,
    resolve_country,
    resolve_product,
    resolve_system,
    systems,
)
from gpufleet.catalog.rows import Country, ExportChip, ExportRule, Gpu, Grid, Price, SystemRow

__all__ = [
    "Country",
    "ExportChip",
    "ExportRule",
    "Gpu",
    "Grid",
    "Price",
    "Resolved",
    "SystemRow",
    "countries",
    "export_chips",
    "export_rules",
    "find_chip",
    "gpus",
    "grids",
    "prices",
    "resolve_chip",
    "resolve_country",
    "resolve_product",
    "resolve_system",
    "systems",
]
