"""Export verdicts against labelled cases: what makers, agencies and law firms said, or the rules give."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from gpufleet.catalog import countries, export_chips, export_rules
from gpufleet.exchange.shipments import agrees, read_shipments
from gpufleet.models.export import verdicts


def test_every_labelled_case_is_decided_as_labelled_and_cites_a_rule(data: Callable[..., Path]) -> None:
    shipments, _ = read_shipments(data("export") / "labelled_cases.csv")
    assert len(shipments) > 200
    found = {each.id: verdicts(each.inputs) for each in shipments}
    assert [each.id for each in shipments if not agrees(each, found[each.id])] == []
    for each in shipments:
        (asked,) = [v for v in found[each.id] if v.authority_group == each.asked]
        assert all(rule.citation for rule in asked.cited)
        assert asked.cited


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_evaluated_is_what_was_compiled(data: Callable[..., Path]) -> None:
    same = ("citation", "effective_from", "effective_to", "authority_group", "role", "modifies", "combine")
    expressions = (
        "destination_expr",
        "entity_hq_expr",
        "formula_a",
        "formula_b",
        "exclusion_expr",
        "policy_expr",
    )
    compiled = {row["rule_id"]: row for row in rows(data("export") / "rules.csv")}
    assert set(compiled) == set(export_rules())
    for rule in export_rules().values():
        for column in (*same, *expressions, "licence_required"):
            assert (getattr(rule, column) or "") == compiled[rule.id][column], (rule.id, column)


def test_chips_and_countries_are_those_that_were_compiled(data: Callable[..., Path]) -> None:
    columns = {
        "tpp": "tpp",
        "die_area_mm2": "applicable_die_area_mm2",
        "performance_density": "performance_density",
        "mem_bw_gbps": "mem_bw_gbps",
        "io_gbps": "io_aggregate_bidir_gbps",
        "dc_marketed": "dc_marketed",
        "declared_not_3a090": "declared_not_3a090",
    }
    for row in rows(data("export") / "chips.csv"):
        chip = export_chips()[row["chip"]]
        for ours, theirs in columns.items():
            assert getattr(chip, ours) == (float(row[theirs]) if row[theirs] else None), (chip.id, ours)
    groups = {"A5": "a5", "A6": "a6", "D1": "d1", "D4": "d4", "D5": "d5", "macau": "mo"}
    compiled = {row["iso2"]: row for row in rows(data("export") / "countries.csv")}
    assert set(compiled) == set(countries())
    for code, row in compiled.items():
        assert all(getattr(countries()[code], ours) == int(row[theirs]) for theirs, ours in groups.items()), (
            code
        )
