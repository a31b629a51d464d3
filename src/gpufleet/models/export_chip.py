"""The numbers of a chip that export law reads, from the catalogue."""

from __future__ import annotations

from typing import Final

from gpufleet.catalog.load import gpus
from gpufleet.catalog.rows import ExportChip, Gpu
from gpufleet.models.export_inputs import Value

_BITS: Final = {
    "fp64_tflops": 64,
    "fp64_tensor_tflops": 64,
    "fp32_tflops": 32,
    "bf16_tflops": 16,
    "fp16_tflops": 16,
    "fp8_tflops": 8,
    "int8_tops": 8,
    "fp4_tflops": 4,
}
"""Rates that count, with the bits of their operands. TF32 is left out: its 19 bits give less than BF16."""


def processing_performance(gpu: Gpu) -> float | None:
    """Total processing performance (TPP) of a product; None if no rate of it is known.

    Returns: the highest over all bit lengths of dense rate (10^12 operations per second, a multiply-add
             counts as two) x bits of the operation.
    Error:   that of the rates: products of rounded datasheet values differ by up to 0.3 %.
    Source:  15 CFR 774 Supplement 1, 3A090 notes. Held against tests/models/test_export_chip.py.

    >>> processing_performance(gpus()["H20"]), processing_performance(gpus()["GB300"])
    (2368.0, 60000.0)
    >>> processing_performance(gpus()["MLU590"]) is None
    True
    """
    rates = ((getattr(gpu, column), bits) for column, bits in _BITS.items())
    return max((_round(rate * bits) for rate, bits in rates if rate is not None), default=None)


def performance_density(tpp: float | None, die_area_mm2: float | None) -> float | None:
    """TPP per mm2 of applicable die area (dies made on a node of 16/14 nm or smaller); None if not known.

    >>> performance_density(2368.0, 814.0), performance_density(2368.0, None)
    (2.909090909, None)
    """
    return _round(tpp / die_area_mm2) if tpp is not None and die_area_mm2 else None


def io_rate(gpu: Gpu) -> float | None:
    """Aggregate rate of all inputs and outputs but memory, both directions, GB/s; None if not known.

    It is the scale-up link and PCIe; a product without a scale-up link has PCIe alone.

    >>> io_rate(gpus()["H20"]), io_rate(gpus()["L4"]), io_rate(gpus()["TPU-v4"])
    (1028.0, 64.0, None)
    """
    link = gpu.scaleup_bw_gbs if gpu.scaleup_link or gpu.scaleup_bw_gbs else 0.0
    return None if link is None or gpu.pcie_gbs is None else _round(link + gpu.pcie_gbs)


def chip_inputs(row: ExportChip) -> dict[str, Value]:
    """What rules read of a chip, by the names of `INPUTS`; None for what is not known.

    What the row leaves open follows from the row of its product, if that has it. Estimated die areas are not
    used: a density from one could be on the wrong side of a threshold.

    >>> from gpufleet.catalog.load import resolve_chip
    >>> found = chip_inputs(resolve_chip("H20"))
    >>> found["chip"], found["tpp"], found["pd"], found["io_gbps"], found["dc"]
    ('H20', 2368.0, 2.909, 1028.0, 1.0)
    >>> chip_inputs(resolve_chip("H200-NVL-141GB"))["tpp"]
    13368.0
    """
    gpu = gpus().get(row.product or "")
    tpp, area, memory, io = row.tpp, row.die_area_mm2, row.mem_bw_gbps, row.io_gbps
    if gpu is not None:
        tpp = processing_performance(gpu) if tpp is None else tpp
        area = gpu.die_area_mm2 if area is None else area
        memory = gpu.memory_bw_gbs if memory is None else memory
        io = io_rate(gpu) if io is None else io
    density = row.performance_density
    return {
        "chip": row.id,
        "maker_hq": row.maker_hq,
        "tpp": tpp,
        "pd": performance_density(tpp, area) if density is None else density,
        "mem_bw_gbps": memory,
        "io_gbps": io,
        "dc": None if row.dc_marketed is None else float(row.dc_marketed),
        "declared_not_3a090": float(row.declared_not_3a090 or 0),
    }


def _round(value: float) -> float:
    """Without the noise of binary fractions."""
    return float(f"{value:.10g}")
