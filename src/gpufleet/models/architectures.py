"""Architectures by name: the rows of the catalogue as what the closed forms take."""

from __future__ import annotations

import dataclasses
from typing import Final

from gpufleet.catalog import ModelRow, models, resolve_model
from gpufleet.models.architecture import Architecture

_SHARED: Final = {f.name for f in dataclasses.fields(Architecture)} & {
    f.name for f in dataclasses.fields(ModelRow)
}
"""Columns that are fields of an architecture; an empty cell is the field's default."""


def architecture(name: str) -> Architecture:
    """The architecture of a model of the catalogue.

    Raises: GpufleetError C001 if there is no such model, C002 if the name may mean several.

    >>> architecture("Llama 3.1 405B").params_total
    405853388800
    """
    return architecture_of(models()[resolve_model(name).id])


def architecture_of(row: ModelRow) -> Architecture:
    """The architecture that a row describes.

    >>> architecture_of(models()["kimi-k2"]).moe_layers
    60
    """
    given = {name: getattr(row, name) for name in _SHARED}
    return Architecture(name=row.id, **{name: value for name, value in given.items() if value is not None})
