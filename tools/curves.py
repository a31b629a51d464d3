"""Fit the curves of matrix products and collectives that ship in the catalogue to measured ones.

    python -m tools.curves DATA       DATA has gemm_measured.csv and nccl_measured.csv

Writes src/gpufleet/catalog/gemm_curves.csv and collective_curves.csv. Least squares of the logarithm of time,
large sizes weighted up because training uses these, each parameter drawn weakly to a common value.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gpufleet.catalog.curves import GemmCurve
from gpufleet.catalog.load import gpus
from gpufleet.catalog.rows import FOLDER, column_names
from gpufleet.models.fitting import Fitted, fit_collective, fit_gemm

_DTYPES = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "mxfp8", "nvfp4": "fp4"}
_OPERATIONS = {"all_gather": "all_gather", "reduce_scatter": "reduce_scatter", "all_reduce": "all_reduce",
               "alltoall": "all_to_all"}  # fmt: skip
_WAVES = {"A100-SXM4-80GB": 108 * 256.0 * 128.0}
"""Elements of a result that are computed at a time, where measured times go up in steps of it: one tile of
256 x 128 (NVIDIA, Matrix Multiplication Background, 2023) on each of 108 multiprocessors (NVIDIA, A100 Tensor
Core GPU Architecture, 2020). Kernels for Hopper and later share out the work evenly: no steps are seen."""
_WORST_PCT = 25.0
"""A curve that misses by more is not shipped: GPUs that reach each other over a shared bus of the host."""


def gemm_rows(table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """A fitted row for each product and number type."""
    for (product, kind), part in sorted(table.group_by("gpu", "gemm_dtype"), key=lambda each: each[0]):
        dtype = _DTYPES[str(kind)]
        row = gpus()[str(product)]
        peak = getattr(row, {"bf16": "bf16_tflops", "fp4": "fp4_tflops"}.get(dtype, "fp8_tflops"))
        if peak is None:
            continue
        m, n, k = (part[column].to_numpy().astype(float) for column in "mnk")
        seconds = part["latency_ms"].to_numpy() * 1e-3
        bandwidth = row.need("memory_bw_gbs") * 1e9
        wave = _WAVES.get(str(product))
        found = fit_gemm(
            m, n, k, seconds, peak_flops=peak * 1e12, memory_bw=bandwidth, dtype=dtype, wave=wave
        )
        about = {"id": f"{product}/{dtype}", "product": product, "dtype": dtype}
        row = _row(about, found, part)
        yield {name: row.get(name) for name in column_names(GemmCurve)} | {"wave": wave}


def collective_rows(table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """A fitted row for each product and operation."""
    for (product, name), part in sorted(table.group_by("gpu", "op_name"), key=lambda each: each[0]):
        operation, row = _OPERATIONS[str(name)], gpus()[str(product)]
        link = (row.scaleup_bw_gbs or row.pcie_gbs or 0) * 1e9 / 2
        if not link:
            continue
        size, n = part["message_elements"].to_numpy() * 2.0, part["num_gpus"].to_numpy().astype(float)
        seconds = part["latency_ms"].to_numpy() * 1e-3
        found = fit_collective(operation, n, size, seconds, link_bw=link)
        if found.large_error_pct > _WORST_PCT:
            missed = found.large_error_pct
            print(f"left out: {product}/{operation}, mean error {missed} %: no such closed form")
            continue
        about = {"id": f"{product}/{operation}", "product": product, "operation": operation}
        yield _row(about, found, part)


def _row(about: dict[str, Any], found: Fitted, part: pl.DataFrame) -> dict[str, Any]:
    errors = {"rows": found.samples, "error_pct": found.error_pct, "large_error_pct": found.large_error_pct}
    return {**about, **found.values, **errors, "source": part["source"][0], "trust": "measured"}


def _write(name: str, rows: list[dict[str, Any]]) -> None:
    with (FOLDER / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Fit both tables."""
    data = Path(sys.argv[1])
    gemm = pl.read_csv(data / "gemm_measured.csv").filter(pl.col("gemm_dtype").is_in(list(_DTYPES)))
    _write("gemm_curves.csv", list(gemm_rows(gemm)))
    _write("collective_curves.csv", list(collective_rows(pl.read_csv(data / "nccl_measured.csv"))))


if __name__ == "__main__":
    main()
