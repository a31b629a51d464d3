"""Numbers of chips: what follows from the catalogue is what was published of each chip."""

from __future__ import annotations

import pytest

from gpufleet.catalog import export_chips, gpus, resolve_chip
from gpufleet.models.export_chip import chip_inputs, io_rate, performance_density, processing_performance

JOINED = [row for row in export_chips().values() if row.product]


@pytest.mark.parametrize("row", [row for row in JOINED if row.tpp is not None], ids=lambda row: row.id)
def test_tpp_follows_from_the_rates_of_the_product(row) -> None:  # type: ignore[no-untyped-def]
    assert processing_performance(gpus()[row.product]) == pytest.approx(row.tpp, rel=0.003)


@pytest.mark.parametrize(
    "row", [r for r in export_chips().values() if r.performance_density is not None], ids=lambda row: row.id
)
def test_density_is_tpp_over_die_area(row) -> None:  # type: ignore[no-untyped-def]
    assert row.performance_density == pytest.approx(performance_density(row.tpp, row.die_area_mm2), rel=0.001)


@pytest.mark.parametrize("row", JOINED, ids=lambda row: row.id)
def test_memory_bandwidth_is_that_of_the_product(row) -> None:  # type: ignore[no-untyped-def]
    ours = gpus()[row.product].memory_bw_gbs
    assert row.mem_bw_gbps in (None, ours)


@pytest.mark.parametrize(
    ("product", "rate"),
    [
        ("H100-SXM5-80GB", 1028),
        ("A800-SXM4-80GB", 464),
        ("B200-SXM", 1928),
        ("GB300", 2056),
        ("MI355X", 1203),
    ],
)
def test_io_is_the_link_and_pcie(product: str, rate: float) -> None:
    assert io_rate(gpus()[product]) == rate


def test_every_product_of_the_catalogue_has_a_row() -> None:
    assert {row.product for row in JOINED} == set(gpus())


def test_h20_is_worked_out_by_hand() -> None:
    """296 TFLOP/s in FP8 x 8 bits = 2,368; over 814 mm2 = 2.909."""
    found = chip_inputs(resolve_chip("H20"))
    assert (found["tpp"], found["pd"]) == (296 * 8, 2.909)


def test_what_is_not_public_stays_unknown() -> None:
    found = chip_inputs(resolve_chip("RTX Pro 6000D"))
    assert (found["tpp"], found["pd"], found["dc"]) == (None, None, None)
    assert found["declared_not_3a090"] == 1.0
    assert chip_inputs(resolve_chip("MI308"))["tpp"] is None


def test_an_estimated_die_area_makes_no_density() -> None:
    assert gpus()["B100"].die_area_est_mm2
    found = chip_inputs(resolve_chip("B100"))
    assert (found["tpp"], found["pd"]) == (28000.0, None)
