"""Curves from measured times: those behind the shipped tables give them again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gpufleet.calibrator import DTYPE_NAMES, OPERATION_NAMES, read_measured
from gpufleet.catalog import gpus
from gpufleet.catalog.curves import collective_curves, gemm_curves
from gpufleet.models.collectives import collective_s, moved
from gpufleet.models.fitting import fit_collective, fit_gemm
from gpufleet.models.gemm import gemm_s


def test_the_curve_of_exact_times_is_found_again() -> None:
    m, n, k = (each.ravel() for each in np.meshgrid(*(2.0 ** np.arange(7, 14, 2),) * 3))
    true = {"efficiency": 0.75, "depth": 120.0, "area": 1.5e5, "launch_us": 4.0, "memory_efficiency": 0.85}
    seconds = gemm_s(
        m, n, k, rate=1e15 * 0.75, depth=120.0, area=1.5e5, launch=4e-6, bandwidth=3e12 * 0.85, size=2.0
    )
    fitted = fit_gemm(m, n, k, seconds, peak_flops=1e15, memory_bw=3e12, dtype="bf16")
    assert fitted.error_pct < 1.5
    assert fitted.values["efficiency"] == pytest.approx(true["efficiency"], rel=0.02)
    noisy = seconds * np.exp(np.random.default_rng(1).normal(0, 0.05, seconds.size))
    again = fit_gemm(m, n, k, noisy, peak_flops=1e15, memory_bw=3e12, dtype="bf16")
    assert again.values["efficiency"] == pytest.approx(true["efficiency"], rel=0.06)


def test_the_curve_of_exact_collectives_is_found_again() -> None:
    gpu, size = (each.ravel() for each in np.meshgrid([2.0, 4.0, 8.0], 2.0 ** np.arange(16, 31, 2)))
    seconds = collective_s(
        moved("all_reduce", size, gpu),
        gpu,
        start=8e-6,
        hop=1e-6,
        rate=450e9 * 0.9,
        copied=0.2 * size,
        ramp=0.8,
    )
    fitted = fit_collective("all_reduce", gpu, size, seconds, link_bw=450e9)
    assert fitted.large_error_pct < 2
    assert fitted.values["efficiency"] == pytest.approx(0.9, rel=0.1)


def test_a_part_of_a_wave_takes_as_long_as_a_whole_one() -> None:
    def seconds(rows: float, depth: float, **more: float) -> float:
        about = {"rate": 1e12, "depth": 0.0, "area": 0.0, "launch": 0.0, "bandwidth": 1e30, "size": 2.0}
        return float(gemm_s(rows, 1000.0, depth, **about, wave=1e6, **more))

    unsplit = {"split": 1e9}
    assert seconds(1001, 64, **unsplit) == seconds(2000, 64, **unsplit) == 2 * seconds(1000, 64, **unsplit)
    assert seconds(500, 64) == pytest.approx(seconds(1000, 64) / 2)  # smaller tiles
    # A sum of many terms is worth splitting, so that the last wave is a half or a quarter.
    assert seconds(1001, 64, split=60) == seconds(1001, 64, **unsplit)
    assert seconds(1001, 8192, split=60) == pytest.approx(1.25 / 2 * seconds(2000, 8192, **unsplit), rel=0.02)


@pytest.mark.parametrize("product", ["A100-SXM4-80GB", "H100-SXM5-80GB", "B200-SXM"])
def test_recorded_products_give_the_shipped_curves(product: str, shared: Path) -> None:
    measured, row = read_measured(shared / "data" / "perf", product), gpus()[product]
    peaks = {"bf16": row.bf16_tflops, "fp8": row.fp8_tflops, "mxfp8": row.fp8_tflops, "fp4": row.fp4_tflops}
    assert set(measured.gemm) == {dtype for name, dtype in gemm_curves() if name == product}
    for dtype, times in measured.gemm.items():
        shipped = gemm_curves()[product, dtype]
        rates = {"peak_flops": peaks[dtype] * 1e12, "memory_bw": row.need("memory_bw_gbs") * 1e9}
        fitted = fit_gemm(*times.T, **rates, dtype=dtype, wave=shipped.wave)
        assert fitted.samples == shipped.rows
        assert fitted.large_error_pct == pytest.approx(shipped.large_error_pct, abs=0.2)
        for name, value in fitted.values.items():
            assert value == pytest.approx(getattr(shipped, name), rel=1e-2), (dtype, name)


def test_recorded_collectives_give_the_shipped_curves(shared: Path) -> None:
    measured = read_measured(shared / "data" / "perf", "H100-SXM5-80GB")
    assert set(measured.collectives) == {"all_gather", "reduce_scatter", "all_reduce", "all_to_all"}
    for operation, times in measured.collectives.items():
        shipped = collective_curves()["H100-SXM5-80GB", operation]
        fitted = fit_collective(
            operation, *times.T, link_bw=gpus()["H100-SXM5-80GB"].need("scaleup_bw_gbs") * 5e8
        )
        assert fitted.large_error_pct == pytest.approx(shipped.large_error_pct, abs=0.2)
        assert fitted.values["efficiency"] == pytest.approx(shipped.efficiency, rel=1e-2)


def test_the_reader_takes_all_rows_of_a_product_that_have_a_curve(shared: Path) -> None:
    folder = shared / "data" / "perf"
    measured = read_measured(folder, "A100-SXM4-80GB")
    table = pl.read_csv(folder / "gemm_measured.csv").filter(pl.col("gpu") == "A100-SXM4-80GB")
    known = table.filter(pl.col("gemm_dtype").is_in(list(DTYPE_NAMES)))
    assert sum(len(times) for times in measured.gemm.values()) == known.height
    nccl = pl.read_csv(folder / "nccl_measured.csv").filter(pl.col("gpu") == "A100-SXM4-80GB")
    taken = nccl.filter(pl.col("op_name").is_in(list(OPERATION_NAMES)))
    assert sum(len(times) for times in measured.collectives.values()) == taken.height
