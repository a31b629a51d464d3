"""What the law gives for Korea and Japan: both are in Country Group A:5 and in no D group."""

from __future__ import annotations

import pytest

from gpufleet.catalog.load import gpus, resolve_chip
from gpufleet.models.export import verdicts
from gpufleet.models.export_chip import chip_inputs
from gpufleet.models.export_inputs import complete

RISKS = {"Ascend-910B", "Ascend-910C", "Ascend-950PR", "Ascend-950DT"}
"""Chinese parts with TPP of 4,800 or more: use anywhere risks General Prohibition 10 (2025-05-13)."""
NOT_KNOWN = {"MLU370-X8", "MLU590"}
"""Chinese parts whose density, or TPP, is not published."""


@pytest.mark.parametrize("country", ["KR", "JP"])
@pytest.mark.parametrize("day", ["2022-09-01", "2023-11-17", "2025-05-12", "2025-05-13", "2026-06-10"])
def test_nothing_but_chinese_parts_is_controlled(country: str, day: str) -> None:
    for product in gpus():
        chip = chip_inputs(resolve_chip(product))
        given = {**chip, "dest": country, "hq": country, "origin": chip["maker_hq"], "date": day}
        us, duty, china = verdicts(complete(given))
        late = day >= "2025-05-13"
        wanted = "enforcement_risk" if product in RISKS and late else "none"
        wanted = "unknown" if product in NOT_KNOWN and late else wanted
        assert (product, us.policy) == (product, wanted)
        assert (duty.policy, china.policy) == ("none", "none")


@pytest.mark.parametrize("country", ["KR", "JP"])
def test_a_buyer_with_its_headquarters_in_china_needs_a_licence_there_too(country: str) -> None:
    given = {**chip_inputs(resolve_chip("B300")), "dest": country, "hq": "CN", "origin": "US"}
    us = verdicts(complete({**given, "date": "2026-06-10"}))[0]
    assert (us.licence_required, us.policy) == ("yes", "presumption_of_denial")
