"""`gpufleet calibrate`: recorded times become a product that is used; without a GPU it says so."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from gpufleet import catalog
from gpufleet.calibrator import Measured, calibrate, keep
from gpufleet.catalog import curves, gpus, load, systems
from gpufleet.cli import main
from gpufleet.models.gemm import gemm_s
from gpufleet.models.machine import machine


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty folder for one's own rows; what is read once is read anew."""
    monkeypatch.setenv("GPUFLEET_CATALOG", str(tmp_path / "own"))
    forget()
    yield tmp_path / "own"
    monkeypatch.setenv("GPUFLEET_CATALOG", str(tmp_path / "nothing"))
    forget()


def forget() -> None:
    for read in (load.gpus, load.systems, load._meanings, curves.gemm_curves, curves.collective_curves):
        read.cache_clear()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def recorded(folder: Path, efficiency: float, product: str = "H100-SXM5-80GB") -> Path:
    """Times of an H100 that reaches so much of its rated rate."""
    folder.mkdir(exist_ok=True)
    sizes = [(float(m), float(n), float(n)) for m in (256, 1024, 4096, 8192) for n in (1024, 4096, 8192)]
    with (folder / "gemm_measured.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gpu", "gemm_dtype", "m", "n", "k", "latency_ms"])
        for m, n, k in sizes:
            s = gemm_s(
                m,
                n,
                k,
                rate=989e12 * efficiency,
                depth=100.0,
                area=1.4e5,
                launch=3e-6,
                bandwidth=2.8e12,
                size=2,
            )
            writer.writerow([product, "bfloat16", int(m), int(n), int(k), float(s) * 1e3])
    return folder


def test_recorded_times_become_a_product_that_train_uses(capsys, tmp_path: Path, own: Path) -> None:
    data = recorded(tmp_path / "slow", 0.5)
    code, out, _ = run(capsys, "calibrate", "--name", "our-h100", "--product", "H100", "--data", str(data))
    assert code == 0
    assert "BF16: 5" in out
    assert "kept as our-h100" in out
    forget()
    assert gpus()["our-h100"].own
    assert gpus()["our-h100"].bf16_tflops == gpus()["H100-SXM5-80GB"].bf16_tflops
    assert systems()["our-h100-node"].product == "our-h100"
    mine, rated = machine("our-h100"), machine("H100")
    assert mine.curve_of == "our-h100"
    assert (mine.domain, mine.fabric_bw) == (rated.domain, rated.fabric_bw)
    days = []
    for product in ("our-h100", "H100"):
        arguments = ("--gpus", "64", "--product", product, "--tokens", "1T", "--json")
        code, out, _ = run(capsys, "train", "llama-3-8b", *arguments)
        assert code == 0
        days.append(json.loads(out)["courses"][0]["days"]["p50"])
    assert days[0] > 1.2 * days[1]
    assert sorted(each.name for each in own.iterdir()) == ["gemm_curves.csv", "gpus.csv", "systems.csv"]


def test_a_name_is_taken_once_and_replaced_only_when_asked(capsys, tmp_path: Path) -> None:
    asked = (
        "calibrate",
        "--name",
        "our-h100",
        "--product",
        "H100",
        "--data",
        str(recorded(tmp_path / "a", 0.5)),
    )
    assert run(capsys, *asked)[0] == 0
    forget()
    code, _, err = run(capsys, *asked)
    assert (code, "U057" in err, "--replace" in err) == (2, True, True)
    recorded(tmp_path / "a", 0.7)
    assert run(capsys, *asked, "--replace")[0] == 0
    forget()
    assert curves.gemm_curves()["our-h100", "bf16"].efficiency == pytest.approx(0.7, rel=0.1)
    assert sum(row.product == "our-h100" for row in gpus().values()) == 1


@pytest.mark.parametrize("name", ["H200-SXM-141GB", "my product", "../up", ""])
def test_a_name_that_the_catalogue_has_or_that_is_none_is_refused(capsys, name: str, tmp_path: Path) -> None:
    data = recorded(tmp_path / "a", 0.5)
    code, _, err = run(capsys, "calibrate", "--name", name, "--product", "H100", "--data", str(data))
    assert (code, "U057" in err) == (2, True)


def test_without_a_gpu_it_says_so(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code, out, err = run(capsys, "calibrate", "--name", "ours")
    assert (code, out) == (2, "")
    assert "U055" in err
    assert "PyTorch is not installed here" in err
    assert "--data DIR" in err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("latency_ms", "seconds"), "no column latency_ms"),
        (
            lambda text: text.replace("bfloat16,256,1024,1024,", "bfloat16,256,1024,1024,-"),
            "latency_ms is '-",
        ),
        (lambda text: text.replace("bfloat16,256,1024,", "bfloat16,256,much,"), "n is 'much'"),
        (lambda text: text.replace("H100-SXM5-80GB", "H100"), "no times of H100-SXM5-80GB"),
        (lambda text: text.replace("bfloat16", "int3"), "no number type has 8 times"),
    ],
)
def test_damaged_times_are_refused_with_file_and_line(capsys, change, says: str, tmp_path: Path) -> None:
    file = recorded(tmp_path / "a", 0.5) / "gemm_measured.csv"
    file.write_text(change(file.read_text()))
    code, _, err = run(capsys, "calibrate", "--name", "ours", "--product", "H100", "--data", str(file.parent))
    assert code == 2
    assert "U056" in err
    assert says in err


def test_a_damaged_row_of_ones_own_stops_with_its_file(capsys, own: Path) -> None:
    own.mkdir()
    (own / "gpus.csv").write_text("id,product\nours,ours\n")
    forget()
    code, _, err = run(capsys, "train", "llama-3-8b", "--gpus", "8", "--product", "H100")
    assert code == 2
    assert "C004" in err
    assert str(own / "gpus.csv") in err


def test_a_curve_that_misses_is_told_and_left_out(own: Path) -> None:
    sizes = np.array([[2.0**p, 2.0**p, 2.0**p, 1e-3] for p in range(8, 16)])
    times = sizes.copy()
    times[:, 3] = np.where(np.arange(8) % 2, 1e-6, 1.0)
    good = sizes.copy()
    good[:, 3] = 2 * good[:, 0] ** 3 / 600e12 + 1e-5
    made = calibrate(Measured("test", "test", {"bf16": good, "fp8": times}, {}), "ours", "H100-SXM5-80GB")
    assert [each.dtype for each in made.gemm] == ["bf16"]
    assert any("FP8: the curve misses by" in note for note in made.notes)
    assert keep(made)[-1] == own / "gpus.csv"
    assert catalog.gpus is load.gpus


def test_a_machine_is_measured_where_pytorch_is(own: Path) -> None:
    """On the CPU, which is no GPU but goes the same way; collectives between two processes."""
    pytest.importorskip("torch")
    from gpufleet.stopwatch import measure

    told: list[str] = []
    measured = measure("cpu", told.append)
    assert measured.gemm["bf16"].shape[1] == 4
    assert (measured.gemm["bf16"][:, 3] > 0).all()
    assert set(measured.collectives) == {"all_gather", "reduce_scatter", "all_reduce", "all_to_all"}
    assert all((times > 0).all() for times in measured.collectives.values())
    assert measured.copy_bw is not None
    assert measured.copy_bw > 1e8
    assert any("matrix products" in text for text in told)
