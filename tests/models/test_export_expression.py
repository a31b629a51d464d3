"""The language of export rules: what it means, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from gpufleet.models.export_expression import ExpressionError, group, read_expression
from gpufleet.models.export_inputs import INPUTS

TRUE, FALSE, UNKNOWN = "tpp>=1", "tpp<1", "pd>=1"
BASE: dict[str, Any] = {**dict.fromkeys(INPUTS), "tpp": 1.0, "dest": "CN", "hq": "KR", "date": "2025-04-09"}


def truth(text: str, **inputs: Any) -> bool | None:
    return read_expression(text).truth({**BASE, **inputs})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{TRUE} and {TRUE}", True),
        (f"{TRUE} and {FALSE}", False),
        (f"{TRUE} and {UNKNOWN}", None),
        (f"{UNKNOWN} and {FALSE}", False),
        (f"{FALSE} or {FALSE}", False),
        (f"{FALSE} or {TRUE}", True),
        (f"{FALSE} or {UNKNOWN}", None),
        (f"{UNKNOWN} or {TRUE}", True),
        (f"not ({TRUE})", False),
        (f"not {UNKNOWN}", None),
        (f"{TRUE} or {TRUE} and {FALSE}", True),  # and before or
        (f"({TRUE} or {TRUE}) and {FALSE}", False),
        (f"not {FALSE} and {FALSE}", False),  # not before and
        ("True", True),
        ("False", False),
    ],
)
def test_three_values(text: str, expected: bool | None) -> None:
    assert truth(text) is expected


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("2400<=tpp<4800", {"tpp": 2400.0}, True),
        ("2400<=tpp<4800", {"tpp": 4800.0}, False),
        ("2400<=tpp<4800", {"tpp": None}, None),
        ("mem_bw_gbps+io_gbps>=1700", {"mem_bw_gbps": 1000.0, "io_gbps": 700.0}, True),
        ("mem_bw_gbps+io_gbps>=1700", {"mem_bw_gbps": 5000.0, "io_gbps": None}, None),
        ("mem_bw_gbps + 100 >= io_gbps + 50", {"mem_bw_gbps": 1.0, "io_gbps": 51.0}, True),
        ("dest in MO_D5", {"dest": "MO"}, True),
        ("dest not in MO_D5", {"dest": "KR"}, True),
        ("dest in {'CN','HK'}", {"dest": "HK"}, True),
        ("dest not in {'CN','HK'}", {"dest": "HK"}, False),
        ("hq!='US'", {"hq": "US"}, False),
        ("date<='2022-10-20'", {"date": "2022-10-20"}, True),
        ("date<='2022-10-20'", {"date": "2022-10-21"}, False),
        ("chip=='H200 SXM'", {"chip": "H200 SXM"}, True),
        ("dc==1", {"dc": None}, None),
        ("tpp>=1.5", {"tpp": 1.5}, True),
    ],
)
def test_tests(text: str, inputs: dict[str, Any], expected: bool | None) -> None:
    assert truth(text, **inputs) is expected


@pytest.mark.parametrize(
    ("text", "says", "fix"),
    [
        ("", "there is no expression", "True"),
        ("tpp=>4800", "at character", "write it like"),
        ("tpp>=4800 and", "at character", "write it like"),
        ("(tpp>=4800", "at character", "write it like"),
        ("tpp>=4800 & pd>1", "`4800 & pd` is nothing", "write it like"),
        ("tqp>=4800", "`tqp` is nothing that a rule may read", "did you mean `tpp`?"),
        ("dest in D6", "`D6` is no group of countries", "D5"),
        ("dest in CN", "`CN` is no group", ""),
        ("dest in {'CX'}", "`CX` is no country", "catalog countries"),
        ("dest in {CN}", "`CN` is nothing that a rule may read", ""),
        ("dest in ('CN','HK')", "neither a group nor a set", "{'CN','HK'}"),
        ("tpp in MO_D5", "number is compared with a group of countries", "quotes"),
        ("tpp>='4800'", "number is compared with text", "quotes"),
        ("dest==1", "country is compared with number", "quotes"),
        ("dest<'KR'", "only numbers and dates", "=="),
        ("date>='2025-4-9'", "`2025-4-9` is no date", "2025-04-09"),
        ("end_use=='us_datacentre'", "`end_use` is never `us_datacentre`", "did you mean `us_datacenter`?"),
        ("dest==date", "country is compared with date", ""),
        ("dc", "`dc` alone is neither true nor false", "dc==1"),
        ("1", "`1` alone", ""),
        ("tpp is 3", "is nothing that an expression may hold", ""),
        ("tpp*2>3", "`tpp*2` is nothing", ""),
        ("-tpp<3", "`-tpp` is nothing", ""),
        ("dest+hq=='CN'", "country is compared with number", ""),
        ("__import__('os')", "is nothing", ""),
        ("tpp.__class__==1", "is nothing", ""),
        ("[1 for tpp in {1}]==1", "is nothing", ""),
        ("(lambda: 1)()==1", "is nothing", ""),
        ("tpp>=None", "is nothing", ""),
        ("tpp>=1j", "is nothing", ""),
        ("tpp>=True", "is nothing", ""),
        ("tpp>=1 if True else False", "is nothing", ""),
        ("tpp>=1\x00", "", ""),
        ("(" * 1000 + "tpp>=1" + ")" * 1000, "", ""),
        ("not " * 999 + "tpp>=1", "", ""),
        ("tpp>=1 or " * 500 + "tpp>=2", "characters, more than 4,000", "several rules"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, says: str, fix: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        read_expression(text)
    assert says in caught.value.says
    assert caught.value.fix
    assert fix in caught.value.fix


def test_what_leaves_it_open_is_named() -> None:
    e = read_expression("(tpp>=4800 or pd>=1.6) and (io_gbps>=3 or dc==1)")
    assert e.undecided({**BASE, "tpp": 5000.0, "dc": 1.0}) == frozenset()
    assert e.undecided({**BASE, "tpp": 2000.0, "dc": 1.0}) == {"pd"}
    assert e.undecided({**BASE, "tpp": 2000.0}) == {"pd", "io_gbps", "dc"}
    assert e.undecided({**BASE, "tpp": 2000.0, "pd": 1.0}) == frozenset()


def test_where_numbers_turn() -> None:
    e = read_expression("2400<=tpp<4800 and 10+mem_bw_gbps>=50")
    assert [(t.names, t.sign, t.limit) for t in e.thresholds] == [
        (("tpp",), ">=", 2400.0),
        (("tpp",), "<", 4800.0),
        (("mem_bw_gbps",), ">=", 40.0),
    ]


def test_groups() -> None:
    assert group("MO") == {"MO"}
    assert {"CN", "HK", "RU", "CY"} <= group("D5")  # type: ignore[operator]
    assert group("A5_A6") == group("A5") | group("A6")  # type: ignore[operator]
    assert group("MO_D1_D4_D5") >= group("MO_D5")  # type: ignore[operator]
    assert group("A5_") is None
