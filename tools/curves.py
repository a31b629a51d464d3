"""Fit the curves of matrix products and collectives that ship in the catalogue to measured ones.

    python -m tools.curves DATA       DATA has gemm_measured.csv and nccl_measured.csv

Writes src/gpufleet/catalog/gemm_curves.csv and collective_curves.csv. Least squares of the logarithm of time,
large sizes weighted up because training uses these, each parameter drawn weakly to a common value.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpufleet.base.arrays import Floats
from gpufleet.catalog.load import gpus
from gpufleet.catalog.rows import FOLDER
from gpufleet.models.collectives import collective_s, moved
from gpufleet.models.gemm import BYTES, CAST, gemm_s
from gpufleet.models.layout import DTYPES

_DTYPES = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "mxfp8", "nvfp4": "fp4"}
_OPERATIONS = {"all_gather": "all_gather", "reduce_scatter": "reduce_scatter", "all_reduce": "all_reduce",
               "alltoall": "all_to_all"}  # fmt: skip
_GEMM_PRIOR = np.log([0.7, 150.0, 2e5, 4e-6, 0.8])
_COLLECTIVE_PRIOR = np.log([6e-6, 1e-6, 0.85, 0.2, 0.8])
_WORST_PCT = 25.0
"""A curve that misses by more is not shipped: GPUs that reach each other over a shared bus of the host."""


def fit(residuals: Callable[[Floats], Floats], start: Floats, rounds: int = 60) -> Floats:
    """Least squares by Levenberg and Marquardt, derivatives by differences."""
    x, damping = start.copy(), 1e-2
    at = residuals(x)
    for _ in range(rounds):
        slopes = np.stack([(residuals(x + step) - at) / 1e-4 for step in 1e-4 * np.eye(x.size)], axis=1)
        normal = slopes.T @ slopes
        move = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -slopes.T @ at)
        tried = residuals(x + move)
        if tried @ tried < at @ at:
            x, at, damping = x + move, tried, max(damping / 3, 1e-9)
        else:
            damping *= 4
    return x


def gemm_rows(table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """A fitted row for each product and number type."""
    for (product, kind), part in sorted(table.group_by("gpu", "gemm_dtype"), key=lambda each: each[0]):
        dtype = _DTYPES[str(kind)]
        row = gpus()[str(product)]
        peak = getattr(row, {"bf16": "bf16_tflops", "fp4": "fp4_tflops"}.get(dtype, "fp8_tflops"))
        if peak is None:
            continue
        m, n, k = (part[c].to_numpy().astype(float) for c in "mnk")
        measured = part["latency_ms"].to_numpy() * 1e-3
        size, cast = BYTES[DTYPES.index(dtype)], CAST[DTYPES.index(dtype)]
        large = (np.minimum(np.minimum(m, n), k) >= 1024) & (m > 0)
        weight = np.where(large, 1.0, np.where(m >= 128, 0.3, 0.1))

        def time(
            p: Floats,
            peak: Any = peak,
            row: Any = row,
            size: Any = size,
            m: Any = m,
            n: Any = n,
            k: Any = k,
            cast: Any = cast,
        ) -> Floats:
            e, depth, area, launch, memory = np.exp(p)
            return gemm_s(m, n, k, rate=peak * 1e12 * e, depth=depth, area=area, launch=launch,
                          bandwidth=row.memory_bw_gbs * 1e9 * memory, size=size, cast=cast)  # fmt: skip

        found, all_error, large_error = _fitted(time, measured, weight, large, _GEMM_PRIOR, 0.3)
        yield {"id": f"{product}/{dtype}", "product": product, "dtype": dtype,
               **_rounded(found, ("efficiency", "depth", "area", "launch_us", "memory_efficiency")),
               "rows": len(part), "error_pct": all_error, "large_error_pct": large_error,
               "source": part["source"][0], "trust": "measured"}  # fmt: skip


def collective_rows(table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """A fitted row for each product and operation."""
    for (product, name), part in sorted(table.group_by("gpu", "op_name"), key=lambda each: each[0]):
        operation = _OPERATIONS[str(name)]
        n = part["num_gpus"].to_numpy().astype(float)
        size = part["message_elements"].to_numpy() * 2.0
        measured = part["latency_ms"].to_numpy() * 1e-3
        link = (gpus()[str(product)].scaleup_bw_gbs or gpus()[str(product)].pcie_gbs or 0) * 1e9 / 2
        if not link:
            continue
        large = size >= 4e6
        weight = np.where(large, 1.0, 0.2)

        def time(
            p: Floats, operation: Any = operation, n: Any = n, size: Any = size, link: Any = link
        ) -> Floats:
            start, hop, e, copy, ramp = np.exp(p)
            return collective_s(moved(operation, size, n), n, start=start, hop=hop, rate=link * e,
                                copied=copy * size, ramp=ramp)  # fmt: skip

        found, all_error, large_error = _fitted(time, measured, weight, large, _COLLECTIVE_PRIOR, 0.2)
        if large_error > _WORST_PCT:
            print(f"left out: {product}/{operation}, mean error {large_error} %: no such closed form")
            continue
        yield {"id": f"{product}/{operation}", "product": product, "operation": operation,
               **_rounded(found, ("start_us", "hop_us", "efficiency", "copy", "ramp")),
               "rows": len(part), "error_pct": all_error, "large_error_pct": large_error,
               "source": part["source"][0], "trust": "measured"}  # fmt: skip


def _fitted(time: Callable[[Floats], Floats], measured: Floats, weight: Floats, large: Any, prior: Floats,
            pull: float) -> tuple[Floats, float, float]:  # fmt: skip
    def residuals(p: Floats) -> Floats:
        return np.append(weight * np.log(time(p) / measured), pull * (p - prior))

    found = fit(residuals, prior)
    error = 100 * np.abs(time(found) / measured - 1)
    return np.exp(found), round(float(error.mean()), 1), round(float(error[large].mean()), 1)


def _rounded(values: Floats, names: tuple[str, ...]) -> dict[str, float]:
    return {name: float(f"{value * (1e6 if name.endswith('_us') else 1):.4g}")
            for name, value in zip(names, values, strict=True)}  # fmt: skip


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
