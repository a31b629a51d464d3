"""Tables of published runs: how rows are read, and what is said of those that cannot be."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.models.compare import by_group, errors_pct, summed
from gpufleet.models.machine import Constants
from gpufleet.models.predict import predict
from gpufleet.models.runs import Run, read_folder, shipped

ROW = {
    "row_id": "mine-1", "source_id": "mine", "model": "Llama-3-8B", "layers": 32, "hidden": 4096, "heads": 32,
    "kv_heads": 8, "ffn": 14336, "vocab": 128256, "seq": 8192, "n_gpus": 8, "gpu": "H100", "tp": 1, "pp": 1,
    "dp": 8, "micro_batch": 1, "global_batch": 128, "recompute": "none", "precision": "FP8",
    "quantity": "tokens_per_s_per_gpu", "value": 14000, "unit": "tok/s/GPU", "fsdp": 8,
}  # fmt: skip


def table(folder: Path, *rows: dict[str, Any], name: str = "runs.csv", without: str = "") -> Path:
    columns = [each for each in ROW if each != without]
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def faults(folder: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(GpufleetError) as caught:
        read_folder(folder)
    return [(f.code, f.at.line if f.at else 0, str(f.says)) for f in caught.value.findings]


def test_a_row_becomes_a_run(tmp_path: Path) -> None:
    (run,) = read_folder(table(tmp_path, ROW)).runs
    assert (run.product, run.domain, run.layout["zero"], run.layout["dtype"]) == (
        "H100-SXM5-80GB",
        8,
        "fsdp",
        "fp8",
    )
    assert run.step_s == pytest.approx(128 * 8192 / 14000 / 8)
    assert run.model.params_total == pytest.approx(8.03e9, rel=1e-3)
    step = predict([run], Constants.without).step_s[0]
    assert step == pytest.approx(run.step_s, rel=0.25)


def test_published_tflops_become_step_time(tmp_path: Path) -> None:
    # Narayanan et al. (2021): 96 B s l h^2 (1 + s / 6 h + V / 16 l h) FLOPs a step.
    old = {
        **ROW,
        "model": "GPT-3-175B",
        "layers": 96,
        "hidden": 12288,
        "heads": 96,
        "kv_heads": "",
        "ffn": "",
        "vocab": 51200,
        "seq": 2048,
        "n_gpus": 384,
        "gpu": "A100-80",
        "tp": 8,
        "pp": 12,
        "dp": 4,
        "global_batch": 1536,
        "recompute": "full",
        "precision": "FP16",
        "fsdp": "",
        "quantity": "hardware_tflops_per_gpu",
        "value": 153,
        "unit": "TFLOP/s/GPU",
    }
    (run,) = read_folder(table(tmp_path, old)).runs
    flops = 96 * 1536 * 2048 * 96 * 12288**2 * (1 + 2048 / (6 * 12288) + 51200 / (16 * 96 * 12288))
    assert run.step_s == pytest.approx(flops / 384 / 153e12)
    assert run.layout["attention"] == "unfused"
    assert run.layout["overlap"] == 0


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (
            {"hidden": 40960000},
            "M002",
            "hidden = 40960000 cannot be; it is more than 0 and at most 1,000,000",
        ),
        ({"layers": -4}, "M002", "layers = -4 cannot be; it is more than 0 and at most 10,000"),
        ({"tp": "two"}, "M002", "tp = 'two' is not a number"),
        (
            {"global_batch": "nan"},
            "M002",
            "global_batch = nan cannot be; it is more than 0 and at most 100,000,000",
        ),
        ({"gpu": "H1000"}, "C001", "'H1000' is no product of the catalogue"),
        ({"row_id": ""}, "M002", "the row has no row_id"),
        ({"n_gpus": 9}, "M002", "9 GPUs are not tp 1 x pp 1 x dp 8 x cp 1 = 8"),
        ({"layers": ""}, "M002", "layers is empty"),
    ],
)
def test_a_cell_that_cannot_be_is_said_with_its_line(
    tmp_path: Path, change: dict[str, Any], code: str, says: str
) -> None:
    assert faults(table(tmp_path, ROW, {**ROW, **change})) == [(code, 3, says)]


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    found = faults(table(tmp_path, {**ROW, "hidden": 0, "gpu": "H1000"}, ROW, {**ROW, "seq": "long"}))
    assert [(code, line) for code, line, _ in found] == [("M002", 2), ("C001", 2), ("M002", 4)]


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    assert faults(table(tmp_path, ROW, without="global_batch")) == [("M001", 1, "it has no global_batch")]


def test_a_folder_without_tables_says_what_it_should_hold(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    ((code, _, says),) = faults(tmp_path)
    assert code == "M003"
    assert str(tmp_path) in says


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert faults(tmp_path / "nowhere")[0][0] == "M003"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gpu": "TPU v5p"}, "accelerators without measured matrix products"),
        ({"micro_batch": ""}, "the layout is not known: tp, pp, dp, micro-batch or batch"),
        ({"precision": ""}, "the number type is not known"),
        ({"quantity": "time_to_train", "unit": "min"}, "time to a quality, or GPU-hours, not a speed"),
        ({"gpu": "A100-80"}, "the product does not compute in that number type"),
    ],
)
def test_rows_that_say_too_little_are_counted(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    got = read_folder(table(tmp_path, ROW, {**ROW, **change}))
    assert len(got.runs) == 1
    assert dict(got.left_out) == {reason: 1}


def test_every_shipped_row_is_a_run_or_counted() -> None:
    got = shipped()
    assert len(got.runs) + sum(got.left_out.values()) == 771
    assert len({run.id for run in got.runs}) == len(got.runs)


def test_shipped_rows_are_those_of_the_source(shared: Path) -> None:
    raw = read_folder(shared / "data/perf")
    assert [(run.id, run.step_s, run.memory_gib) for run in raw.runs] == [
        (run.id, run.step_s, run.memory_gib) for run in shipped().runs
    ]
    assert raw.left_out == shipped().left_out


def runs_of(*configurations: str) -> list[Run]:
    (run,) = [run for run in shipped().runs if run.id == "korthikanti-2022-001"]
    import dataclasses

    return [dataclasses.replace(run, id=str(n), configuration=c) for n, c in enumerate(configurations)]


def test_a_configuration_counts_once_however_often_it_was_measured() -> None:
    runs = runs_of("a", "a", "a", "b")
    errors = errors_pct(np.array([1.3, 1.2, 1.1, 0.9]), np.ones(4))
    got = summed(runs, errors, range(4))
    assert (got.rows, got.configurations) == (4, 2)
    assert got.mape_pct == pytest.approx(15)
    assert got.bias_pct == pytest.approx(5)
    assert (got.worst_pct, got.worst_id) == (pytest.approx(20), "0")
    assert by_group(runs, errors, lambda run: None) == {}
