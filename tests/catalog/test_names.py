"""Names as people write them: what each means, and which are refused."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from gpufleet.base.errors import Finding, GpufleetError
from gpufleet.catalog import gpus, models, resolve_product, resolve_system, systems
from gpufleet.catalog.load import _key
from gpufleet.catalog.rows import FOLDER


def aliases() -> list[dict[str, str]]:
    with (FOLDER / "aliases.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refusal(name: str, resolve=resolve_product) -> Finding:
    with pytest.raises(GpufleetError) as caught:
        resolve(name)
    (found,) = caught.value.findings
    return found


@pytest.mark.parametrize("kind", ["product", "system"])
def test_no_name_means_two_things(kind: str) -> None:
    rows = gpus() if kind == "product" else systems()
    written = [(row.id, row.id) for row in rows.values()]
    written += [(row.product if kind == "product" else row.system, row.id) for row in rows.values()]  # type: ignore[union-attr]
    by_key: dict[str, set[str]] = {}
    for name, row_id in written:
        by_key.setdefault(_key(str(name)), set()).add(row_id)
    assert all(len(ids) == 1 for ids in by_key.values())
    keys = [_key(a["name"]) for a in aliases() if a["kind"] == kind]
    assert len(keys) == len(set(keys))
    for alias in aliases():
        if alias["kind"] == kind and _key(alias["name"]) in by_key:
            assert by_key[_key(alias["name"])] == {alias["id"]}, alias
            assert alias["note"], f"{alias['name']} says no more than the row itself"


def test_every_alias_leads_to_rows_and_is_either_clear_or_refused() -> None:
    for alias in aliases():
        rows = {"product": gpus, "system": systems, "model": models}[alias["kind"]]()
        assert bool(alias["id"]) != bool(alias["candidates"]), alias
        assert set((alias["id"] or alias["candidates"]).split("|")) <= set(rows), alias
        assert alias["id"] or alias["note"], f"{alias['name']} is refused without a reason"


def test_every_row_answers_to_its_id_and_its_raw_name() -> None:
    for gpu in gpus().values():
        assert {resolve_product(gpu.id).id, resolve_product(gpu.product).id} == {gpu.id}
    for row in systems().values():
        assert {resolve_system(row.id).id, resolve_system(row.system).id} == {row.id}


@pytest.mark.parametrize(
    ("name", "row_id"),
    [
        *(
            (name, "H100-SXM5-80GB")
            for name in ("H100", "h100 sxm5", "H100-SXM5-80GB", "NVIDIA H100 SXM5 80GB")
        ),
        *((name, "GB200") for name in ("GB200", "GB200 (per GPU)", "NVIDIA GB200")),
        ("B200", "B200-SXM"),
        ("A100-80", "A100-SXM4-80GB"),
        ("NVIDIA A100 SXM4 40 GB", "A100-SXM4-40GB"),
        ("NVIDIA Tesla V100 SXM2", "V100-SXM2-32GB"),
        ("AMD Radeon Instinct MI250X", "MI250X"),
        ("RTX PRO 6000 SE", "RTX-PRO-6000-Blackwell-SE"),
        ("Gaudi 3", "Gaudi3-HL-325L"),
        ("Vera Rubin", "Rubin-VR200"),
        ("TPU v6e", "TPU-v6e"),
    ],
)
def test_products_by_the_names_that_data_use(name: str, row_id: str) -> None:
    assert resolve_product(name).id == row_id


def test_a_short_name_says_what_it_is_taken_for_and_a_full_one_does_not() -> None:
    assert resolve_product("H100").note == (
        "H100 is read as H100-SXM5-80GB: the SXM form; the cards are H100-PCIe-80GB and H100-NVL-94GB"
    )
    assert "per GPU" in str(resolve_product("GB200").note)
    assert resolve_product("GB200 (per GPU)").note is None
    assert resolve_product("H100 SXM5").note is None
    assert resolve_system("DGX H100").note is None


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("A100", ["A100-SXM4-40GB", "A100-SXM4-80GB", "A100-PCIe-40GB", "A100-PCIe-80GB"]),
        ("GH200", ["GH200-96GB", "GH200-144GB"]),
        ("B200+H100", ["B200-SXM", "H100-SXM5-80GB"]),
        ("H100/H200", ["H100-SXM5-80GB", "H200-SXM-141GB"]),
        ("Hopper", ["H100-SXM5-80GB", "GH200-144GB"]),
        ("RTX PRO 6000 Blackwell", ["RTX-PRO-6000-Blackwell-SE"]),
        ("GB200 NVL72", ["GB200"]),
    ],
)
def test_an_unclear_product_is_refused_with_candidates(name: str, candidates: list[str]) -> None:
    found = refusal(name)
    assert found.code == "C002"
    assert all(candidate in found.fix for candidate in candidates)


def test_unclear_systems_are_refused_with_candidates() -> None:
    assert "DGX-A100-320GB or DGX-A100-640GB" in refusal("DGX A100", resolve_system).fix
    assert "GB300-NVL72" in refusal("NVL72", resolve_system).fix
    assert "DGX-B200 or HGX-B200" in refusal("B200", resolve_system).fix


def test_an_earlier_name_of_a_rack_is_the_same_rack() -> None:
    resolved = resolve_system("Vera Rubin NVL144")
    assert resolved.id == "Vera-Rubin-NVL72"
    assert "144 dies" in str(resolved.note)


def test_an_unknown_name_gets_a_suggestion_when_one_is_near() -> None:
    assert "did you mean H200-NVL-141GB" in refusal("H200-NVL-144GB").fix
    assert "DGX-B200" in refusal("DGX B20", resolve_system).fix
    assert "did you mean" not in refusal("abacus").fix
    assert {refusal(name).code for name in ("RTX 4090D", "MI250", "", "   ", "🙂" * 1000)} == {"C001"}


NAMES_IN_DATA = {
    "export/chips.csv": "chip",
    "hardware/gpus.csv": "product",
    "perf/a100_single_node_layouts.csv": "gpu",
    "perf/gemm_measured.csv": "gpu",
    "perf/inference_measured.csv": "gpu",
    "perf/nccl_measured.csv": "gpu",
    "perf/reliability_measured.csv": "gpu",
    "perf/training_measured.csv": "gpu",
    "programmes/epoch_clusters_kr_jp.csv": "chip_type_primary",
    "programmes/japan.csv": "product",
    "programmes/korea.csv": "product",
    "traces/alibaba-openb-2023/openb_node_list_gpu_node.csv.gz": "model",
    "traces/alibaba-spot-2026/node_info_df.csv.gz": "gpu_model",
}
WITHOUT_A_ROW = {
    # products that the hardware table does not have
    *("L40", "RTX 4090D", "RTX 4080", "RTX 6000 Ada", "RTX 5090D", "RTX 5090D V2", "RTX Pro 6000D"),
    *("MI100", "MI250", "Gaudi 3 HL-328 (China)", "P100", "PEZY-SC2", "NVIDIA Tesla P100 SXM2"),
    "NVIDIA Tesla K20X",
    # made anonymous, or no name of a product
    *("G2", "G3", "GPU-series-1", "GPU-series-2", "mixed", "any", "AI chips", "AI chips (GPU etc.)"),
    *("GPU", "CPU", "2 nm", "B200-class"),
}
UNCLEAR = {
    *("A100", "GH200", "NVIDIA A100", "NVIDIA GH200", "V100M16", "RTX PRO 6000 Blackwell", "Blackwell"),
    *("Ampere+Hopper+Blackwell", "B200+H100", "H100/H200", "B300 + Vera Rubin"),
}


def names_in(file: Path, column: str) -> set[str]:
    raw = file.read_bytes()
    text = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode()
    return {name for row in csv.DictReader(text.splitlines()) if (name := row[column].strip())}


@pytest.mark.parametrize(("path", "column"), NAMES_IN_DATA.items())
def test_each_name_in_the_raw_data_has_a_row_or_is_refused(shared: Path, path: str, column: str) -> None:
    for name in names_in(shared / "data" / path, column):
        if name in WITHOUT_A_ROW:
            assert refusal(name).code == "C001", name
        elif name in UNCLEAR:
            assert refusal(name).code == "C002", name
        else:
            assert resolve_product(name).id in gpus(), name


def test_each_system_in_the_raw_data_has_a_row(shared: Path) -> None:
    for name in names_in(shared / "data/hardware/systems.csv", "system"):
        assert resolve_system(name).id in systems()


def test_the_catalogue_still_says_what_the_raw_table_says(shared: Path) -> None:
    with (shared / "data/hardware/gpus.csv").open(encoding="utf-8") as file:
        for raw in csv.DictReader(file):
            gpu = gpus()[resolve_product(raw["product"]).id]
            for column, cell in raw.items():
                value = getattr(gpu, column)
                assert value == (type(value)(cell) if cell else None), (gpu.id, column)
