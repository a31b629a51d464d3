"""The tables themselves: every row can be read, and no value is absurd."""

from __future__ import annotations

import csv
import dataclasses

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.catalog import gpus, grids, prices, systems
from gpufleet.catalog.curves import CollectiveCurve, Constant, Failure, GemmCurve, LeftOut
from gpufleet.catalog.rows import (
    FOLDER,
    Country,
    ExportChip,
    ExportRule,
    Gpu,
    Grid,
    ModelRow,
    Price,
    Row,
    SystemRow,
    read,
)

TRAINING: tuple[type[Row], ...] = (GemmCurve, CollectiveCurve, Constant, Failure)
KINDS: tuple[type[Row], ...] = (
    *(Gpu, SystemRow, ModelRow, Price, Grid, Country, ExportChip, ExportRule),
    *TRAINING,
)
TRUST = {
    GemmCurve: {"measured"},
    CollectiveCurve: {"measured"},
    Constant: {"fitted"},
    Failure: {"published"},
    Gpu: {"confirmed", "partly", "memory"},
    SystemRow: {"confirmed", "partly", "memory"},
    ModelRow: {"confirmed", "partly"},
    Price: {"high", "medium", "low"},
    Grid: {"high", "medium", "low"},
    Country: {"high", "medium"},
    ExportChip: {"high", "medium", "low"},
    ExportRule: {"high", "medium", "low"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_has_a_unique_id_and_a_known_trust(kind: type[Row]) -> None:
    rows = list(read(kind))
    assert rows
    assert len({row.id for row in rows}) == len(rows)
    assert {row.trust for row in rows} <= TRUST[kind]  # type: ignore[attr-defined]
    assert [row.line for row in rows] == list(range(2, len(rows) + 2))


@pytest.mark.parametrize("kind", [*KINDS, LeftOut])
def test_columns_of_file_class_and_description_are_the_same(kind: type[Row]) -> None:
    name = kind.file.removeprefix("catalog/")
    with (FOLDER / name).open(encoding="utf-8") as file:
        in_file = next(csv.reader(file))
    with (FOLDER / "columns.csv").open(encoding="utf-8") as file:
        described = [row["column"] for row in csv.DictReader(file) if f"{row['table']}.csv" == name]
    assert in_file == described
    assert set(in_file) == {f.name for f in dataclasses.fields(kind)} - {"line", "own"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_is_missing_only_where_trust_is_lowest(kind: type[Row]) -> None:
    unsourced = [row for row in read(kind) if row.source is None]  # type: ignore[attr-defined]
    assert {row.trust for row in unsourced} <= {"memory", "low"}  # type: ignore[attr-defined]


def test_numbers_of_gpus_are_in_their_units() -> None:
    limits = {
        "launch_year": (2015, 2030),
        "bf16_tflops": (30, 20_000),
        "memory_gb": (8, 1_000),
        "memory_bw_gbs": (100, 50_000),
        "scaleup_bw_gbs": (50, 10_000),
        "tdp_w": (50, 3_000),
        "die_area_mm2": (100, 2_000),
    }
    for gpu in gpus().values():
        for column, (low, high) in limits.items():
            value = getattr(gpu, column)
            assert value is None or low <= value <= high, (gpu.id, column)


def test_fp8_and_int8_are_twice_bf16_on_hopper() -> None:
    hopper = [gpu for gpu in gpus().values() if gpu.architecture == "Hopper"]
    assert len(hopper) == 9
    for gpu in hopper:
        assert gpu.need("fp8_tflops") == pytest.approx(2 * gpu.need("bf16_tflops"), rel=0.001)
        assert gpu.int8_tops == gpu.fp8_tflops


def test_lower_precision_is_not_slower() -> None:
    for gpu in gpus().values():
        ladder = [
            r for r in (gpu.tf32_tflops, gpu.bf16_tflops, gpu.fp8_tflops, gpu.fp4_tflops) if r is not None
        ]
        assert ladder == sorted(ladder), gpu.id


def test_systems_hold_products_of_the_catalogue_and_their_sizes_agree() -> None:
    for row in systems().values():
        if row.product is None or row.gpus_per_node is None or row.nodes_per_domain is None:
            continue
        gpu = gpus()[row.product]
        if row.nodes_per_domain > 1:
            assert row.gpus_per_node * row.nodes_per_domain == row.scaleup_domain_gpus, row.id
        if row.node_power_max_w and gpu.tdp_w:
            assert gpu.tdp_w * row.gpus_per_node * 0.9 < row.node_power_max_w < 4_000 * row.gpus_per_node, (
                row.id
            )


def test_fifty_thousand_gb200_are_694_racks_and_32_gpus() -> None:
    rack = systems()["GB200-NVL72"]
    assert divmod(50_000, int(rack.need("gpus_per_node") * rack.need("nodes_per_domain"))) == (694, 32)


@pytest.mark.parametrize("row", [*prices().values(), *grids().values()], ids=lambda row: row.id)
def test_ranges_hold_their_value(row: Price | Grid) -> None:
    assert row.value > 0
    assert row.low is None or row.low <= row.value
    assert row.high is None or row.value <= row.high
    assert row.unit in {
        *("USD/GPU", "USD/server", "USD/rack", "USD/GPU-h", "USD/kWh"),
        *("KRW/GPU", "KRW/MW", "KRW/kWh", "JPY/kWh", "kgCO2e/kWh", "kgCO2/kWh", "ratio"),
    }


def test_prices_are_about_rows_of_the_catalogue() -> None:
    for price in prices().values():
        assert price.kind in {"capex", "rental"}
        assert price.product is None or price.product in gpus()
        assert price.system is None or systems()[price.system].product == price.product


def test_grids_are_tariffs_carbon_and_pue() -> None:
    assert {(g.kind, g.country) for g in grids().values()} == {
        *(("tariff", "KR"), ("tariff", "JP"), ("tariff", "APAC"), ("tariff", "world")),
        *(("carbon", "KR"), ("carbon", "JP"), ("pue", "world")),
    }
    assert all(1 <= g.value < 2 for g in grids().values() if g.kind == "pue")


def test_an_unknown_cell_is_an_error_with_its_place_and_never_a_zero() -> None:
    gpu = gpus()["TPU-v5p"]
    assert gpu.tdp_w is None
    with pytest.raises(GpufleetError) as caught:
        gpu.need("tdp_w")
    found = caught.value.findings[0]
    assert (found.code, str(found.at)) == ("C003", f"catalog/gpus.csv:{gpu.line}")
    assert "TPU-v5p has no tdp_w" in found.says
    with pytest.raises(GpufleetError, match="node_power_idle_w"):
        systems()["DGX-B200"].need("node_power_idle_w")


def test_need_is_for_numbers_of_columns_that_exist() -> None:
    with pytest.raises(TypeError, match="vendor"):
        gpus()["T4"].need("vendor")
    with pytest.raises(AttributeError):
        gpus()["T4"].need("tdp_mw")


def test_a_damaged_table_is_named_with_its_line(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (FOLDER / "grids.csv").read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].replace("22,", "much,", 1)
    (tmp_path / "grids.csv").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr("gpufleet.catalog.rows.FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"catalog/grids.csv:4: .*much"):
        list(read(Grid))


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        gpus()["mine"] = gpus()["T4"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        gpus()["T4"].tdp_w = 1.0  # type: ignore[misc]
