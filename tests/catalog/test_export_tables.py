"""Tables of export law: countries, chips, rules; and what names mean there."""

from __future__ import annotations

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.catalog import (
    countries,
    export_chips,
    export_rules,
    find_chip,
    gpus,
    resolve_chip,
    resolve_country,
)

GROUPS = ("a5", "a6", "d1", "d4", "d5", "mo")


def groups_of(code: str) -> list[str]:
    return [name for name in GROUPS if getattr(countries()[code], name)]


def test_groups_of_countries_that_are_known() -> None:
    assert groups_of("CN") == groups_of("HK") == ["d1", "d4", "d5"]
    assert groups_of("MO") == ["d1", "d4", "mo"]
    assert groups_of("VN") == ["d1"]
    assert groups_of("SA") == groups_of("AE") == ["d4"]
    assert groups_of("IL") == ["a6", "d4"]
    assert groups_of("CY") == ["a6", "d5"]
    assert groups_of("KR") == groups_of("JP") == ["a5"]
    assert groups_of("TW") == groups_of("SG") == ["a6"]
    assert groups_of("US") == groups_of("MY") == []


def test_flags_are_flags_and_codes_are_codes() -> None:
    for row in countries().values():
        assert {getattr(row, name) for name in GROUPS} <= {0, 1}, row.id
        assert len(row.id) == 2
        assert row.id.isupper()
        assert row.name
    for chip in export_chips().values():
        assert {chip.dc_marketed, chip.declared_not_3a090} <= {None, 0, 1}, chip.id
        assert chip.maker_hq in countries()


def test_a_chip_is_one_product_and_a_product_one_chip() -> None:
    products = [row.product for row in export_chips().values() if row.product]
    assert len(products) == len(set(products))
    assert set(products) == set(gpus())


def test_rules_name_their_source_and_when_they_were_read() -> None:
    for rule in export_rules().values():
        assert rule.source
        assert rule.source.startswith("http")
        assert rule.read_on == "2026-06-10"
        assert rule.published <= rule.read_on


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("H20", "H20"),
        ("NVIDIA H100", "H100 SXM5"),
        ("H200-SXM-141GB", "H200 SXM"),
        ("h200 sxm", "H200 SXM"),
        ("GB300", "GB300 (per GPU)"),
        ("MI308X", "MI308"),
        ("RTX-5090D V2", "RTX 5090D V2"),
        ("Trillium", "TPU-v6e"),
        ("L40", "L40"),
    ],
)
def test_names_of_chips(name: str, chip: str) -> None:
    assert resolve_chip(name).id == chip
    found = find_chip(name)
    assert found
    assert found.id == chip


@pytest.mark.parametrize(
    ("name", "code", "fix"),
    [
        ("H2O", "C001", "H20"),
        ("A100", "C002", "A100-SXM4-40GB"),
        ("Hopper", "C002", "H20"),
        ("", "C001", "lists all"),
    ],
)
def test_names_that_mean_no_chip(name: str, code: str, fix: str) -> None:
    with pytest.raises(GpufleetError) as caught:
        resolve_chip(name)
    (found,) = caught.value.findings
    assert found.code == code
    assert fix in found.fix
    assert find_chip(name) is None


@pytest.mark.parametrize(
    ("name", "code"),
    [("CN", "CN"), ("cn", "CN"), (" China ", "CN"), ("korea, south", "KR"), ("Vietnam", "VN")],
)
def test_names_of_countries(name: str, code: str) -> None:
    assert resolve_country(name) == code


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("UK", "did you mean GB (United Kingdom)?"),
        ("UAE", "did you mean AE (United Arab Emirates)?"),
        ("Chna", "did you mean CN (China)?"),
        ("XX", "`gpufleet catalog countries` lists all"),
        ("", "`gpufleet catalog countries` lists all"),
    ],
)
def test_names_that_are_no_country(name: str, fix: str) -> None:
    with pytest.raises(GpufleetError) as caught:
        resolve_country(name)
    (found,) = caught.value.findings
    assert found.code == "C040"
    assert fix in found.fix
