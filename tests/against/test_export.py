"""Export verdicts against labelled cases: what makers, agencies and law firms said, or the rules give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
