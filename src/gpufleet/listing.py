"""Tables of the catalogue for people and programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from gpufleet.base.errors import GpufleetError, did_you_mean, explain_code, finding
from gpufleet.base.say import say
from gpufleet.base.wide import columns
from gpufleet.base.wide import left as to_the_left
from gpufleet.base.wide import right as to_the_right
from gpufleet.catalog import load
from gpufleet.catalog.profiles import profiles
from gpufleet.catalog.rows import Row

NO_TABLE: Final = explain_code(
    "U005",
    "no such table of the catalogue",
    "The catalogue has six tables: gpus, systems, models, prices, grids, profiles.",
    "gpufleet catalog systems",
).code

_SHOWN: Final[dict[str, tuple[Callable[[], Mapping[str, Row]], tuple[str, ...]]]] = {
    "gpus": (
        load.gpus,
        (
            "id",
            "vendor",
            "launch_year",
            "bf16_tflops",
            "fp8_tflops",
            "memory_gb",
            "memory_bw_gbs",
            "tdp_w",
            "trust",
        ),
    ),
    "systems": (
        load.systems,
        ("id", "product", "gpus_per_node", "nodes_per_domain", "node_power_max_w", "rack_power_kw", "trust"),
    ),
    "models": (
        load.models,
        (
            *("id", "maker", "country", "layers", "hidden", "experts", "top_k"),
            *("params_b", "active_params_b", "context", "trained_tokens_b", "trust"),
        ),
    ),
    "prices": (load.prices, ("kind", "item", "value", "low", "high", "unit", "date", "trust")),
    "grids": (load.grids, ("country", "kind", "item", "value", "low", "high", "unit", "date", "trust")),
    "profiles": (
        profiles,
        ("id", "jobs", "weeks", "mean_gpus", "mean_run_s", "mean_gpu_s", "trust", "title"),
    ),
}
"""Tables and the columns of each that fit on a terminal."""


def rows_of(table: str) -> list[dict[str, Any]]:
    """All rows of a table with every column.

    Raises: GpufleetError U005.

    >>> len(rows_of("gpus")[0]) > 20
    True
    """
    return [asdict(row) for row in _rows(table)]


def table_text(table: str) -> str:
    """A table for people: its main columns, numbers to the right, `-` where nothing is known.

    Raises: GpufleetError U005.

    >>> table_text("systems").splitlines()[0].split()[:3]
    ['id', 'product', 'gpus_per_node']
    """
    rows = _rows(table)
    names = _SHOWN[table][1]
    cells = [list(names), *([_cell(getattr(row, name)) for name in names] for row in rows)]
    right = [all(isinstance(getattr(row, name), int | float | None) for row in rows) for name in names]
    lines = aligned(cells, right)
    known = "- = not published or not known; --json prints every column with its source"
    return "\n".join([*lines, "", f"{len(rows)} rows; {known}"])


def _rows(table: str) -> list[Row]:
    if table not in _SHOWN:
        fix = did_you_mean(table, _SHOWN)
        raise GpufleetError(
            finding(NO_TABLE, say("`{table}` is no table of the catalogue", table=table), fix)
        )
    return list(_SHOWN[table][0]().values())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return str(value)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Rows as lines with their columns below each other.

    >>> aligned([["a", "n"], ["bb", "10"]], [False, True])
    ['a    n', 'bb  10']
    """
    widths = [max(columns(row[i]) for row in rows) for i in range(len(right))]
    return [
        "  ".join(
            to_the_right(cell, width) if at_right else to_the_left(cell, width)
            for cell, width, at_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
