"""`gpufleet train`: how long, how big, on how many; and what it refuses."""

from __future__ import annotations

import json
import struct
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gpufleet.cli import main

TPU = ("--product", "TPU-v5p", "--fabric", "400", "--tokens", "1T")
ON = ("--gpus", "64", "--product", "H100", "--tokens", "1T")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(("train", *arguments))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def courses(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["schema"] == "gpufleet.train/1"
    return list(found["courses"])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err


def test_the_answer_comes_first_then_layout_parts_memory_and_the_next_best(capsys) -> None:
    code, out, _ = run(capsys, "llama-3-8b", *ON)
    assert code == 0
    first, empty, *lines = out.splitlines()
    assert first.startswith("llama-3-8b on 64 H100-SXM5-80GB: 1T tokens in ")
    assert empty == ""
    labels = [line[:16].strip() for line in lines if line[:1] != " "]
    assert labels == [
        "best layout",
        "a step",
        "its parts",
        "memory",
        "goodput",
        "needs",
        "next best",
        "size",
        *["note"] * 2,
    ]
    assert all(len(line) <= 100 for line in out.splitlines())
    assert "MFU" in out
    assert "tokens per active parameter" in out


def test_json_has_each_number_and_the_parts_add_up(capsys) -> None:
    (made,) = courses(capsys, "llama-3-8b", *ON)
    best = made["best"]
    assert sum(best["parts_s"].values()) == pytest.approx(best["step_s"])
    layout = best["layout"]
    assert layout["tp"] * layout["pp"] * layout["cp"] * layout["dp"] == best["gpus"] == made["gpus"]
    assert made["days"]["p10"] < made["days"]["p50"] < made["days"]["p90"]
    assert made["why"]["slower"] >= 0
    assert made["runner_up"]["step_s"] > 0
    assert made["tokens"] == 1e12


def test_a_date_says_how_many_gpus(capsys) -> None:
    when = ("--by", "2027-06", "--start", "2027-03")
    (made,) = courses(capsys, "llama-3-70b", "--product", "B200", "--tokens", "2T", *when)
    assert made["days"]["p90"] <= (date(2027, 6, 1) - date(2027, 3, 1)).days
    (fewer,) = courses(
        capsys, "llama-3-70b", "--product", "B200", "--tokens", "2T", "--gpus", str(made["gpus"] - 1)
    )
    assert fewer["days"]["p90"] > 92
    code, out, _ = run(capsys, "llama-3-70b", "--product", "B200", "--tokens", "2T", *when)
    assert code == 0
    assert "done about 2027-0" in out


def test_gpus_and_a_date_say_how_large(capsys) -> None:
    (made,) = courses(
        capsys,
        "llama-3-70b",
        "--gpus",
        "256",
        "--product",
        "B200",
        "--by",
        "2027-06",
        "--start",
        "2027-01-01",
    )
    assert made["model"].startswith("llama-3-70b@")
    assert made["tokens"] == pytest.approx(20 * made["params_active"])
    assert made["days"]["p90"] <= 151


def test_the_front_shows_what_fewer_gpus_take(capsys) -> None:
    (made,) = courses(capsys, "llama-3-8b", *ON, "--front")
    gpus = [each["gpus"] for each in made["front"]]
    days = [each["days"]["p50"] for each in made["front"]]
    assert gpus == sorted(set(gpus))
    assert gpus[-1] == made["gpus"]
    assert days == sorted(days, reverse=True)
    assert days[-1] == made["days"]["p50"]
    code, out, _ = run(capsys, "llama-3-8b", *ON, "--front")
    assert code == 0
    table = out.split("\n\n")[-1].splitlines()
    assert table[0].split() == ["GPUs", "days", "P90", "GPU-hours", "MFU", "%"]
    assert table[-1].split()[0] == "64"
    assert made["front"] is not None
    assert courses(capsys, "llama-3-8b", *ON)[0]["front"] is None


def test_products_side_by_side_the_soonest_first(capsys) -> None:
    arguments = ("llama-3-70b", "--gpus", "512", "--compare", "H200,B200,GB200", "--tokens", "2T")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    products = [line.split()[0] for line in out.splitlines()[3:6]]
    made = {each["product"]: each["days"]["p50"] for each in courses(capsys, *arguments)}
    assert products == sorted(made, key=lambda name: made[name])
    assert set(made) == {"H200-SXM-141GB", "B200-SXM", "GB200"}
    assert all(len(line) <= 100 for line in out.splitlines())


def test_a_product_that_cannot_do_it_is_told_beside_those_that_can(capsys) -> None:
    arguments = ("llama-3.1-405b", "--gpus", "64", "--compare", "B300,H100", "--tokens", "1T")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    said = " ".join(out.split())
    assert "B300-SXM 64 GPUs" in said
    assert "H100-SXM5-80GB; 75.2 GB of 80 GB are usable" in said
    err = refused(capsys, "llama-3.1-405b", "--gpus", "8", "--compare", "A100-80GB,H100", "--tokens", "1T")
    assert err.count("error M010") == 2


def test_the_largest_model_of_each_product(capsys) -> None:
    when = ("--by", "2027-06", "--start", "2027-03")
    arguments = ("llama-3-70b", "--gpus", "128", "--compare", "H100,B200", *when)
    made = {each["product"]: each["params"] for each in courses(capsys, *arguments)}
    assert made["B200-SXM"] > made["H100-SXM5-80GB"]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert out.splitlines()[3].startswith("B200-SXM")


def test_a_fixed_layout_may_need_more_gpus_than_the_model_alone(capsys) -> None:
    when = ("--by", "2027-12", "--start", "2027-01")
    (made,) = courses(
        capsys, "llama-3-8b", "--product", "H100", "--tokens", "200B", *when, "--layout", "tp=8,pp=4"
    )
    assert made["gpus"] % 32 == 0
    assert made["days"]["p90"] < 335


def test_a_layout_that_is_fixed_is_no_faster_than_the_best(capsys) -> None:
    (best,) = courses(capsys, "llama-3-70b", *ON)
    (mine,) = courses(capsys, "llama-3-70b", *ON, "--layout", "tp=8,pp=2,mb=1")
    assert {mine["best"]["layout"][name] for name in ("tp",)} == {8}
    assert (mine["best"]["layout"]["pp"], mine["best"]["layout"]["micro_batch"]) == (2, 1)
    assert mine["days"]["p50"] >= best["days"]["p50"]


def test_lower_precision_is_faster_on_a_large_model(capsys) -> None:
    days = [
        courses(
            capsys, "llama-3-70b", "--gpus", "64", "--product", "B200", "--tokens", "1T", "--precision", each
        )[0]["days"]["p50"]
        for each in ("bf16", "fp8")
    ]
    assert days[1] < days[0]


def test_what_is_not_known_is_no_zero(capsys) -> None:
    code, out, _ = run(capsys, "llama-3-8b", "--gpus", "64", *TPU)
    assert code == 0
    said = " ".join(out.split())
    assert "the power of this product is not known" in said
    assert "no price of this product is known" in said
    (made,) = courses(capsys, "llama-3-8b", "--gpus", "64", *TPU)
    assert (made["energy_mwh"], made["best"]["energy_j"], made["cost_usd"]) == (None, None, None)


def test_the_published_budget_is_taken_and_said(capsys) -> None:
    code, out, _ = run(capsys, "llama-3-8b", "--gpus", "64", "--product", "H100")
    assert code == 0
    assert "15T tokens: as published of this model" in " ".join(out.split())
    assert "no tokens are given" in refused(capsys, "kanana-1.5-8b", "--gpus", "64", "--product", "H100")


def test_a_configuration_is_trained_like_the_row_that_it_is(capsys, tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(config))
    (mine,) = courses(capsys, "--config", str(path), *ON)
    (row,) = courses(capsys, "llama-3-8b", *ON)
    assert mine["model"] == "mine"
    assert mine["days"] == row["days"]
    path.write_text(json.dumps({**config, "model_type": "nemotron_h"}))
    assert "C021" in refused(capsys, "--config", str(path), *ON)
    assert "U003" in refused(capsys, "--config", str(tmp_path / "none.json"), *ON)


@pytest.mark.parametrize("name", ["picture.svg", "picture.png"])
def test_a_picture_stands_alone(capsys, name: str, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "llama-3-8b", *ON, "--out", str(tmp_path / name))
    assert code == 0
    assert f"wrote {tmp_path / name}" in out
    made = (tmp_path / name).read_bytes()
    if name.endswith("svg"):
        text = made.decode()
        assert "matrix products" in text
        assert "var(--" not in text
    else:
        width, height = struct.unpack(">II", made[16:24])
        assert width > 800
        assert height > 100
    assert "U021" in refused(capsys, "llama-3-8b", *ON, "--out", str(tmp_path / "picture.jpg"))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("lama-3-8b", *ON), "C001", "did you mean llama-3-8b"),
        (("llama", *ON), "C002", "several begin so"),
        (("llama-3-8b", "--gpus", "64", "--product", "H1000", "--tokens", "1T"), "C001", "did you mean"),
        (("llama-3-8b", "--gpus", "64", "--product", "H100", "--tokens", "15"), "U050", "write 15T"),
        (("llama-3-8b", "--gpus", "8", "--product", "H100", "--tokens", "15Q"), "U050", "no number of"),
        (("llama-3-8b", "--gpus", "64", "--product", "H100", "--tokens", "1M"), "U050", "a step alone takes"),
        (("llama-3-8b", "--gpus", "64", "--product", "H100", "--tokens", "9e9T"), "U050", "bounds"),
        (("llama-3-8b", *ON, "--batch", "4"), "U050", "no letter for its size"),
        (("llama-3-8b", "--product", "H100", "--by", "2020-01"), "U051", "not after the start"),
        (("llama-3-8b", "--product", "H100", "--by", "soon"), "U051", "no date"),
        (("llama-3-8b", "--product", "H100", "--by", "2027-13"), "U051", "no date"),
        (("--gpus", "64", "--product", "H100"), "U052", "one model is needed"),
        (("llama-3-8b", "--gpus", "64"), "U052", "one product is needed"),
        (("llama-3-8b", *ON, "--compare", "H200,B200"), "U052", "or several to compare"),
        (("llama-3-8b", "--product", "H100"), "U052", "neither GPUs nor a date"),
        (("llama-3-8b", "--product", "H100", "--gpus", "0"), "U052", "out of bounds"),
        (("llama-3-8b", *ON, "--best", "tim"), "U052", "did you mean `time`"),
        (("llama-3-8b", "--product", "H100", "--by", "2030", "--best", "cost"), "U052", "--best goes"),
        (("llama-3-8b", "--gpus", "8", "--compare", "H100,B200", "--front"), "U052", "--front is of one"),
        (("llama-3-8b", *ON, "--precision", "fp16"), "U052", "no number type"),
        (("llama-3-8b", *ON, "--seq", "1"), "U052", "out of bounds"),
        (("llama-3-8b", *ON, "--price", "-1"), "U052", "out of bounds"),
        (("llama-3-8b", *ON, "--layout", "tp=8,zp=2"), "U053", "no part of a layout"),
        (("llama-3-8b", *ON, "--layout", "tp=many"), "U053", "no whole number"),
        (("llama-3-8b", *ON, "--layout", "tp=3"), "M011", "tp divides heads"),
        (("llama-3-8b", *ON, "--precision", "fp4"), "M012", "does not compute in FP4"),
        (("llama-3.1-405b", "--gpus", "8", "--product", "H100", "--tokens", "1T"), "M010", "GB are missing"),
        (("llama-3-8b", "--gpus", "64", *TPU, "--best", "energy"), "M015", "the power of TPU-v5p"),
        (("llama-3-8b", "--gpus", "8", "--product", "L40S", "--tokens", "1T"), "M005", "known network"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_clear_finding(capsys, arguments, code: str, says: str) -> None:
    err = refused(capsys, *arguments)
    assert f" {code}  " in f" {err}"
    assert says in " ".join(err.split())


def test_all_conflicts_are_said_at_once(capsys) -> None:
    err = refused(capsys, "--best", "tim", "--gpus", "0", "--precision", "x")
    assert err.count("error U052") == 5
