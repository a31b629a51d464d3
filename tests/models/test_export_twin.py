"""Verdicts are those of the slow twin, for any shipment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.export_twin import twin

from gpufleet.catalog import countries
from gpufleet.models.export import position, shipped, verdict
from gpufleet.models.export_inputs import END_USES, complete
from gpufleet.models.export_policies import AUTHORITIES

RULES = shipped().rules
EXPRESSIONS = [each for rule in RULES for each in rule.expressions]
LIMITS = sorted({t.limit for each in EXPRESSIONS for t in each.thresholds})
DATES = sorted(
    {day for r in RULES for day in (r.row.effective_from, r.row.effective_to) if day and len(day) == 10}
    | {day for each in EXPRESSIONS for day in each.dates}
    | {"2022-01-01", "2022-10-21", "2023-11-18", "2025-08-20", "2026-06-10"}
)
near = st.sampled_from(LIMITS).flatmap(lambda limit: st.sampled_from([limit, limit - 0.01, limit + 0.01]))
number = st.one_of(st.none(), near, near)
some_flag = st.sampled_from([None, 0.0, 1.0, 1.0])
flag = st.sampled_from([0.0, 1.0])
country = st.one_of(
    st.sampled_from(["CN", "US", "VN", "KR", "RU", "MO", "HK", "CY", "IL", "AE"]),
    st.sampled_from(sorted(countries())),
)


@st.composite
def shipments(draw: Any) -> dict[str, Any]:
    return complete(
        {
            "chip": draw(
                st.sampled_from(["H20", "MI308", "H200 SXM", "RTX Pro 6000D", "RTX 5090D V2", "other"])
            ),
            "maker_hq": draw(st.sampled_from(["US", "CN"])),
            "date": draw(st.sampled_from(DATES)),
            "dest": draw(country),
            "hq": draw(country),
            "origin": draw(st.sampled_from(["US", "TW", "CN"])),
            "item_kind": draw(st.sampled_from(["ic", "ic", "ic", "hbm_stack"])),
            **{name: draw(number) for name in ("tpp", "pd", "mem_bw_gbps", "io_gbps", "hbm_density")},
            "dc": draw(some_flag),
            "declared_not_3a090": draw(st.sampled_from([0.0, 0.0, 1.0])),
            "direct_from_us": draw(some_flag),
            "us_tested": draw(flag),
            "volume_share": draw(st.sampled_from([0.3, 0.5, 0.51, 1.0])),
            "state_funded": draw(flag),
            "buyer": draw(st.sampled_from(["", "G42", "Humain"])),
            "quantity": draw(st.sampled_from([0.0, 35000.0, 35001.0])),
            "end_use": draw(st.sampled_from(["", *END_USES])),
        }
    )


@settings(max_examples=1500)
@given(shipment=shipments(), group=st.sampled_from(sorted(AUTHORITIES)))
def test_a_verdict_is_that_of_the_twin(shipment: dict[str, Any], group: str) -> None:
    found = verdict(shipment, group)
    assert (found.licence_required, found.policy) == twin(shipment, group)
    assert position(shipment, group) == (found.licence_required, found.policy)
    assert bool(found.undecided) == (found.policy == "unknown" or bool(found.may_be))
    assert found.policy not in found.may_be
    assert all(shipment[name] is None for name in found.undecided)
    assert found.cited


@settings(max_examples=300)
@given(shipment=shipments(), group=st.sampled_from(sorted(AUTHORITIES)), data=st.data())
def test_knowing_more_never_turns_a_licence_round(
    shipment: dict[str, Any], group: str, data: st.DataObject
) -> None:
    """What is decided although an input is not known stays so, whatever the input is."""
    unknown = [name for name, value in shipment.items() if value is None]
    known = dict(shipment)
    for name in unknown:
        known[name] = data.draw(flag if name == "dc" else near, label=name)
    before, after = position(shipment, group)[0], position(known, group)[0]
    assert before in ("unknown", after) or (before, after) == ("risk", "yes")


@pytest.mark.parametrize("group", sorted(AUTHORITIES))
def test_the_twin_has_the_order_of_the_policies(group: str) -> None:
    from tests.models.export_twin import STRICTEST

    order = [p for p in AUTHORITIES[group].strictest_first if p not in ("none", "duty_0")]
    assert order == STRICTEST[group]
