"""Export verdicts, worked out by hand from the text of each rule: both sides of every threshold and date."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

import pytest

from gpufleet.exchange.shipments import Shipment, read_shipments
from gpufleet.models.export import shipped, verdicts

CASES = Path(__file__).with_name("export-cases.csv")
SHIPMENTS = read_shipments(CASES)[0]
with CASES.open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))


@pytest.mark.parametrize("shipment", SHIPMENTS, ids=lambda each: each.id)
def test_a_case_that_was_worked_by_hand(shipment: Shipment) -> None:
    found = {each.authority_group: each for each in verdicts(shipment.inputs)}[shipment.asked]
    assert (found.licence_required, found.policy) == shipment.expected
    assert found.cited


def test_each_rule_has_cases_on_both_sides_of_its_days_and_thresholds() -> None:
    by_rule = defaultdict(list)
    for row, shipment in zip(ROWS, SHIPMENTS, strict=True):
        by_rule[row["rule_id"]].append(shipment)
    rules = [rule for rule in shipped().rules if rule.row.role != "info"]
    assert set(by_rule) == {rule.id for rule in rules}
    for rule in rules:
        days = {str(each.inputs["date"]) for each in by_rule[rule.id]}
        assert any(day < str(rule.row.effective_from) for day in days), rule.id
        assert rule.row.effective_from in days, rule.id
        if last := rule.row.effective_to:
            assert {last, (date.fromisoformat(last) + timedelta(days=1)).isoformat()} <= days, rule.id
        for threshold in (t for part in rule.expressions for t in part.thresholds):
            values = [threshold.value(each.inputs) for each in by_rule[rule.id]]
            near = [
                v for v in values if v is not None and abs(v - threshold.limit) <= 0.002 * threshold.limit + 1
            ]
            assert len(set(near)) > 1, (rule.id, threshold)
