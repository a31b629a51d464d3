"""A compliance officer asks what may be shipped where, when, and why."""

from __future__ import annotations

import csv
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "export-cases.csv"
H20 = ("export-check", "H20", "--to", "CN", "--on", "2025-05-01")
NO_ADVICE = "This is engineering data, no legal advice."


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cases made by hand, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(GOLDEN, tmp_path / "cases.csv")).relative_to(tmp_path)


def asked(cli: Any, *arguments: object, code: int = 0) -> dict[str, Any]:
    done = cli(*arguments, "--json")
    assert done.code == code, done
    found: dict[str, Any] = json.loads(done.out)
    assert found["schema"] == "gpufleet.export-check/1"
    assert found["not_legal_advice"] == NO_ADVICE
    assert found["rules_read_on"] == "2026-06-10"
    return found


def by_authority(found: dict[str, Any]) -> dict[str, Any]:
    return {each["authority_group"]: each for each in found["verdicts"]}


def test_h20_to_china_while_it_was_stopped(cli: Any) -> None:
    done = cli(*H20)
    assert done.code == 0
    assert not done.err
    assert re.search(r"^US export control: licence required, banned in practice$", done.out, re.M)
    assert "US-2025-04-09, company letters, 2025-04-15" in done.out
    assert "TPP were 2,400 or more (2,368 is 32 under)" in done.out
    assert "memory bandwidth were less than 672 GB/s (4,000 GB/s is 3,328 over)" in done.out
    assert "until 2025-04-08: not controlled by these rules" in done.out
    assert "from 2025-07-14 on: licence required, approval expected" in done.out
    assert "(not given, taken: --buyer-hq and --origin)" in " ".join(done.out.split())
    assert f"{NO_ADVICE} Rules as they were read on 2026-06-10." in done.out


def test_the_same_as_json(cli: Any) -> None:
    found = asked(cli, *H20)
    assert found["not_given"] == ["buyer_hq", "origin"]
    assert found["shipment"]["tpp"] == 2368.0
    us = by_authority(found)["us_export"]
    assert (us["licence_required"], us["policy"], us["outcome"]) == ("yes", "banned_in_practice", "banned")
    assert us["decided_by"] == ["US-2025-04-09"]
    assert us["citations"][0]["source"].startswith("https://")
    rules = {each["rule"]: each for each in us["rules"]}
    (tpp,) = [each for each in rules["US-2023-10-17"]["margins"] if each["input"] == "tpp"]
    assert (tpp["value"], tpp["low"], tpp["by"]) == (2368.0, 2400.0, 32.0)
    dates = [(c["first"] or c["last"], c["policy"]) for c in us["changes"] if c["input"] == "query_date"]
    assert dates == [("2025-04-08", "none"), ("2025-07-14", "approval_expected")]


@pytest.mark.parametrize(
    ("arguments", "policies"),
    [
        (("H200", "--to", "CN", "--on", "2026-02-01"), ["presumption_of_denial", "none", "buyer_side_block"]),
        (
            (
                "H200",
                "--to",
                "CN",
                "--on",
                "2026-02-01",
                "--input",
                "us_tested=1",
                "--input",
                "volume_share=0.3",
            ),
            ["case_by_case", "none", "buyer_side_block"],
        ),
        (("B200", "--to", "MY", "--on", "2026-06-01"), ["none", "none", "none"]),
        (
            ("B200", "--to", "MY", "--on", "2026-06-01", "--buyer-hq", "China"),
            ["presumption_of_denial", "none", "none"],
        ),
        (("RTX 4090", "--to", "vietnam", "--on", "2024-05-01"), ["aca", "none", "none"]),
        (("H200", "--to", "US", "--on", "2026-02-01", "--origin", "TW"), ["none", "duty_25_percent", "none"]),
        (("RTX Pro 6000D", "--to", "CN", "--on", "2025-09-15"), ["none", "none", "buyer_side_stop"]),
        (
            ("RTX Pro 6000D", "--to", "CN", "--on", "2025-09-15", "--input", "declared_not_3a090=0"),
            ["unknown", "none", "buyer_side_stop"],
        ),
        (
            ("H20", "--to", "CN", "--on", "2024-05-01", "--input", "tpp=2400"),
            ["nac_notification", "none", "none"],
        ),
    ],
)
def test_products_of_the_catalogue(cli: Any, arguments: tuple[str, ...], policies: list[str]) -> None:
    found = by_authority(asked(cli, "export-check", *arguments))
    assert [found[group]["policy"] for group in ("us_export", "us_import", "cn")] == policies


def test_what_is_not_known_is_named(cli: Any) -> None:
    done = cli(
        "export-check", "RTX Pro 6000D", "--to", "CN", "--on", "2025-06-01", "--input", "declared_not_3a090=0"
    )
    assert "US export control: not decided: an input is not known" in done.out
    assert "it depends on: TPP, performance density, made or marketed for data centres" in done.out


def test_the_help_names_every_input_that_may_be_given(cli: Any) -> None:
    from gpufleet.models.export_inputs import BY_COLUMN

    named = set(re.findall(r"\w+", cli("export-check", "--help").out))
    assert set(BY_COLUMN) - {"maker_hq"} <= named


def test_a_batch_has_a_verdict_per_row_and_authority(cli: Any, batch: Path) -> None:
    found = asked(cli, "export-check", "--batch", batch)
    rows = list(csv.DictReader(batch.open(encoding="utf-8")))
    assert len(found["verdicts"]) == 3 * len(rows)
    said = {(each["case_id"], each["authority_group"]): each for each in found["verdicts"]}
    for row in rows:
        one = said[row["case_id"], row["authority_group"]]
        assert one["licence_required"] == row["expected_licence_required"]
        assert one["policy"] == row["expected_policy"]
        assert one["citations"]


def test_a_batch_in_words(cli: Any, batch: Path) -> None:
    done = cli("export-check", "--batch", batch)
    assert done.code == 0
    assert re.search(
        r"^US-2022-08-26/02 +us_export +yes +presumption_of_denial +US-2022-08-26$", done.out, re.M
    )
    assert re.search(r"^(\d+) shipments; \1 of \1 as expected$", done.out, re.M)
    assert NO_ADVICE in done.out


def test_another_verdict_than_expected_exits_with_1(cli: Any, batch: Path) -> None:
    batch.write_text(
        batch.read_text().replace("yes,presumption_of_denial,first day\n", "no,none,first day\n", 1)
    )
    done = cli("export-check", "--batch", batch)
    assert done.code == 1
    assert re.search(r"^US-2022-08-26/02 .*differs, expected: no, none$", done.out, re.M)
    assert asked(cli, "export-check", "--batch", batch, code=1)


def test_a_batch_without_numbers_has_those_of_the_catalogue(cli: Any, batch: Path) -> None:
    batch.write_text(
        "case_id,query_date,chip,destination,buyer_hq,origin\na,2025-05-01,NVIDIA H20,China,CN,US\n"
    )
    found = asked(cli, "export-check", "--batch", batch)
    assert by_authority(found)["us_export"]["policy"] == "banned_in_practice"
    (warning,) = found["findings"]
    assert (warning["code"], warning["severity"]) == ("X041", "warning")
    assert "not there, taken as empty: `maker_hq`" not in warning["says"]
    assert "`state_funded`" in warning["says"]


def test_numbers_of_a_row_go_before_the_catalogue(cli: Any, batch: Path) -> None:
    numbers = "maker_hq,tpp,performance_density,mem_bw_gbps,io_gbps,dc_marketed"
    head = f"case_id,query_date,chip,{numbers},destination,buyer_hq,origin"
    batch.write_text(
        f"{head}\na,2024-05-01,H20,US,2400,2.9,4000,1028,1,CN,CN,US\nb,2024-05-01,H20,,,,,,,CN,CN,US\n"
        "c,2024-05-01,H20,US,,2.9,4000,1028,1,CN,CN,US\n"
    )
    found = asked(cli, "export-check", "--batch", batch)["verdicts"]
    policies = {each["case_id"]: each["policy"] for each in found if each["authority_group"] == "us_export"}
    assert policies == {"a": "nac_notification", "b": "none", "c": "unknown"}


def test_rules_of_ones_own(cli: Any, batch: Path) -> None:
    Path("mine.csv").write_text(
        "id,effective_from,effective_to,authority_group,role,licence_required,destination_expr,"
        "formula_a,policy_expr\nban-2026,2026-05-01,2026-05-31,us_export,imposes,yes,dest=='KR',"
        "item_kind=='ic',else => banned_in_practice\n"
    )
    ask = ("export-check", "B200", "--to", "KR", "--rules", "mine.csv", "--on")
    assert by_authority(asked(cli, *ask, "2026-05-31"))["us_export"]["decided_by"] == ["ban-2026"]
    assert by_authority(asked(cli, *ask, "2026-06-01"))["us_export"]["policy"] == "none"


@pytest.mark.parametrize("language", ["ko", "ja"])
def test_in_another_language(cli: Any, language: str) -> None:
    done = cli(*H20, "--lang", language)
    assert done.code == 0
    assert "US-2025-04-09" in done.out
    assert cli(*H20, "--lang", language, "--json").out == cli(*H20, "--json").out


def test_a_thousand_shipments_take_less_than_a_second(batch: Path) -> None:
    from gpufleet.exchange.shipments import read_shipments
    from gpufleet.models.export import verdicts

    head, *lines = batch.read_text().splitlines()
    many = [line.replace("/", f"-{n}/", 1) for n in range(5) for line in lines][:1000]
    batch.write_text("\n".join([head, *many]))
    began = time.process_time()
    found = [verdicts(each.inputs) for each in read_shipments(batch)[0]]
    assert len(found) == 1000
    assert time.process_time() - began < 1


def test_dates_that_the_rules_do_not_reach_are_told(cli: Any) -> None:
    early = ("export-check", "H20", "--to", "CN", "--on", "2022-08-25")
    done = cli(*early)
    assert done.code == 0
    assert "--on  warning C043" in done.err
    assert "2022-08-25 is before 2022-08-26, the first day of any rule" in done.err
    assert "no rule was in force; the first comes on 2022-08-26" in done.out
    assert cli(*early, "--strict").code == 2
    assert not cli("export-check", "H20", "--to", "CN", "--on", "2022-08-26").err
    done = cli("export-check", "H20", "--to", "CN", "--on", "2026-06-11")
    assert "2026-06-11 is after 2026-06-10, when the rules were read" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "missing: PRODUCT, --to, --on"),
        (("H20", "--to", "CN"), "missing: --on"),
        (("H20", "--batch", "cases.csv"), "--batch has its questions in the file"),
        (("--batch", "cases.csv", "--input", "tpp=3"), "--batch has its questions in the file"),
        (("H2O", "--to", "CN", "--on", "2025-05-01"), "did you mean H20?"),
        (("A100", "--to", "CN", "--on", "2025-05-01"), "it has 40 or 80 GB"),
        (("H20", "--to", "Chyna", "--on", "2025-05-01"), "did you mean CN (China)?"),
        (("H20", "--to", "UK", "--on", "2025-05-01"), "did you mean GB (United Kingdom)?"),
        (("H20", "--to", "CN", "--on", "1.5.2025"), "`1.5.2025` is no date"),
        (("H20", "--to", "CN", "--on", "2025-05-01", "--buyer-hq", "Q"), "--buyer-hq  error C040"),
        (("H20", "--to", "CN", "--on", "2025-05-01", "--input", "us_testd=1"), "did you mean `us_tested`?"),
        (("H20", "--to", "CN", "--on", "2025-05-01", "--input", "tpp"), "`tpp` sets no input"),
        (("H20", "--to", "CN", "--on", "2025-05-01", "--input", "tpp=2,400"), "`2,400` is no number"),
        (("H20", "--to", "CN", "--on", "2025-05-01", "--input", "dc_marketed=yes"), "neither 0 nor 1"),
    ],
)
def test_a_question_that_cannot_be_answered(
    cli: Any, batch: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = cli("export-check", *arguments)
    assert done.code == 2
    assert not done.out
    assert says in done.err


def test_all_faults_of_a_question_at_once(cli: Any) -> None:
    done = cli("export-check", "H2O", "--to", "Chyna", "--on", "soon", "--input", "us_tested=maybe")
    assert re.findall(r"^(\S+(?: \S+)?)  error ([A-Z]\d+)", done.err, re.M) == [
        ("PRODUCT", "C001"),
        ("--to", "C040"),
        ("--on", "X042"),
        ("--input us_tested", "X042"),
    ]


def test_a_rule_that_cannot_be_read_is_told_with_its_line(cli: Any, batch: Path) -> None:
    Path("mine.csv").write_text(
        "id,effective_from,authority_group,role,licence_required,destination_expr,formula_a,policy_expr\n"
        "one,2026-05-01,us_export,imposes,yes,dest=='KR',tpp>=1,else => case_by_case\n"
        "two,2026-05-01,us_export,imposes,yes,dest=='KR',tpp=>1,else => case_by_case\n"
        "three,2026-05-01,us_export,imposes,yes,dst=='KR',tpp>=1,else => case_by_case\n"
    )
    done = cli(*H20, "--rules", "mine.csv")
    assert done.code == 2
    assert re.findall(r"^(mine\.csv:\d)  error (C041)", done.err, re.M) == [
        ("mine.csv:3", "C041"),
        ("mine.csv:4", "C041"),
    ]
    assert "did you mean `dest`?" in done.err
