"""Rules are data: what is wrong with a row is told with its line, and a new one needs no code."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gpufleet.base.errors import GpufleetError, Place
from gpufleet.catalog import ExportRule, export_chips, export_rules
from gpufleet.models.export import RuleSet, position, shipped
from gpufleet.models.export_inputs import complete
from gpufleet.models.export_policies import AUTHORITIES, POLICIES
from gpufleet.models.export_rules import compile_rules, shipped_rules

H20: dict[str, Any] = {
    "chip": "H20",
    "maker_hq": "US",
    "origin": "US",
    "dest": "KR",
    "hq": "KR",
    "date": "2026-06-01",
    "tpp": 2368.0,
    "pd": 2.909,
    "mem_bw_gbps": 4000.0,
    "io_gbps": 1028.0,
    "dc": 1.0,
}


def changed(rule: str, **columns: str | None) -> ExportRule:
    return dataclasses.replace(export_rules()[rule], **columns)  # type: ignore[arg-type]


def refused(*rows: ExportRule) -> list[str]:
    with pytest.raises(GpufleetError) as caught:
        compile_rules([(row, Place("mine.csv", at)) for at, row in enumerate(rows, 2)])
    return [each.text() for each in caught.value.findings]


def test_all_rules_of_the_catalogue_are_read() -> None:
    assert len(shipped_rules()) == len(export_rules()) == 26
    assert sum(rule.row.role != "info" for rule in shipped_rules()) == 17
    assert {rule.row.authority_group for rule in shipped_rules()} == set(AUTHORITIES)


def test_chips_that_rules_name_are_rows() -> None:
    named = {w for rule in shipped_rules() for each in rule.expressions for w in each.words.get("chip", ())}
    assert named
    assert named <= set(export_chips())


def test_each_policy_of_an_authority_is_explained() -> None:
    for authority in AUTHORITIES.values():
        assert {*authority.strictest_first, *authority.by_setting_only} <= set(POLICIES)


@pytest.mark.parametrize(
    "column", ["destination_expr", "entity_hq_expr", "formula_a", "formula_b", "exclusion_expr"]
)
def test_an_expression_that_cannot_be_read_is_told_with_its_line(column: str) -> None:
    (text,) = refused(changed("US-2023-10-17", **{column: "tpp=>4800"}))
    assert text.startswith("mine.csv:2  error C041  an expression of an export rule that cannot be read")
    assert f"{column}: at character " in text


def test_every_fault_of_every_rule_at_once() -> None:
    found = refused(
        changed(
            "US-2023-10-17", formula_a="tpq>=1", policy_expr="hq in D9 => presumption_of_denial; else => no"
        ),
        changed("US-2025-04-09", role="impose", effective_from="9.4.2025"),
    )
    assert len(found) == 5
    assert [each.split("  ")[0] for each in found] == ["mine.csv:2"] * 3 + ["mine.csv:3"] * 2


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"role": "impose"}, "did you mean `imposes`?"),
        ({"combine": "XOR"}, "combine is `XOR`"),
        ({"authority_group": "eu"}, "authority_group is `eu`"),
        ({"effective_from": "2025-4-9"}, "effective_from is `2025-4-9`"),
        ({"effective_to": "soon"}, "effective_to is `soon`"),
        ({"effective_to": "2020-01-01"}, "it ends on 2020-01-01, before it begins on 2023-11-17"),
        ({"formula_a": None, "formula_b": None}, "formula_a and formula_b are empty"),
        ({"licence_required": "maybe"}, "a rule of us_export has yes or risk"),
        ({"policy_expr": "else => presumption_of_denail"}, "did you mean `presumption_of_denial`?"),
        ({"policy_expr": "else => buyer_side_ban"}, "`buyer_side_ban` is no policy of us_export"),
        ({"policy_expr": "else => aca"}, "`aca` is no policy of us_export"),
        ({"policy_expr": None}, "policy_expr is empty"),
        ({"policy_expr": "dc==1 => case_by_case"}, "with `else` at the end"),
        ({"policy_expr": "else => none; dc==1 => none"}, "with `else` at the end"),
        ({"policy_expr": "else presumption_of_denial"}, "with `else` at the end"),
    ],
)
def test_what_makes_a_rule_unusable(columns: dict[str, Any], says: str) -> None:
    assert any(says in text for text in refused(changed("US-2023-10-17", **columns)))


def test_a_rule_that_replaces_a_policy_names_one_that_is_there() -> None:
    assert "modifies is empty" in refused(changed("US-2024-04-04", modifies=None))[0]
    (text,) = refused(changed("US-2024-04-04", modifies="US-2023-10-71"), changed("US-2023-10-17"))
    assert "there is no rule `US-2023-10-71`" in text
    assert "did you mean `US-2023-10-17`?" in text


def test_an_id_that_is_taken() -> None:
    (text,) = refused(changed("CN-2026-01-13"), changed("CN-2026-01-13"))
    assert text.startswith("mine.csv:3  error C042")
    assert "is there already (mine.csv:2)" in text


def test_a_new_rule_is_a_row() -> None:
    """A ban of all that has fast memory to Korea, for a month: no code knows it."""
    ban = changed(
        "US-2025-04-09",
        id="mine",
        effective_from="2026-05-15",
        effective_to="2026-06-15",
        destination_expr="dest=='KR'",
        entity_hq_expr="False",
        formula_a="mem_bw_gbps>=3999.5",
    )
    rules = RuleSet(compile_rules([(ban, Place("mine.csv", 2))], beside=shipped_rules()))
    assert position(complete(H20), "us_export") == ("no", "none")
    assert position(complete(H20), "us_export", rules) == ("yes", "banned_in_practice")
    for other in ({"date": "2026-05-14"}, {"date": "2026-06-16"}, {"dest": "JP"}, {"mem_bw_gbps": 3999.0}):
        assert position(complete({**H20, **other}), "us_export", rules) == ("no", "none"), other


def test_of_several_new_policies_the_latest_holds() -> None:
    soft = changed(
        "US-2025-08-11", id="mine", effective_from="2026-05-01", policy_expr="else => approval_expected"
    )
    rules = RuleSet(compile_rules([(soft, Place("mine.csv", 2))], beside=shipped_rules()))
    to_china = complete({**H20, "dest": "CN", "hq": "CN"})
    assert position(to_china, "us_export")[1] == "licence_with_15pct_revenue_share"
    assert position(to_china, "us_export", rules)[1] == "approval_expected"


def test_days_that_the_rules_reach() -> None:
    assert (shipped().first_day, shipped().read_on) == ("2022-08-26", "2026-06-10")
