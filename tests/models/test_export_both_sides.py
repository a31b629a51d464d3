"""Shipments read by hand against the rules: both sides of days, thresholds, countries and conditions."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpufleet.exchange.shipments import Shipment, read_shipments
from gpufleet.models.export import verdict

SHIPMENTS = read_shipments(Path(__file__).parents[1] / "golden" / "export-both-sides.csv")[0]


@pytest.mark.parametrize("shipment", SHIPMENTS, ids=lambda each: each.id)
def test_a_shipment_read_by_hand(shipment: Shipment) -> None:
    found = verdict(shipment.inputs, shipment.asked)
    assert (found.licence_required, found.policy) == shipment.expected
    assert found.cited
