"""Facts as data, each row with unit, source, date and trust; and the names that people write for them."""

from gpufleet.catalog.load import (
    Resolved,
    gpus,
    grids,
    models,
    prices,
    resolve_model,
    resolve_product,
    resolve_system,
    systems,
)
from gpufleet.catalog.rows import Gpu, Grid, ModelRow, Price, SystemRow

__all__ = [
    "Gpu",
    "Grid",
    "ModelRow",
    "Price",
    "Resolved",
    "SystemRow",
    "gpus",
    "grids",
    "models",
    "prices",
    "resolve_model",
    "resolve_product",
    "resolve_system",
    "systems",
]
