"""What would change a verdict is true: moved there, the position is the one that is told."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.test_export_twin import shipments

from gpufleet.models.export import position, shipped, verdict
from gpufleet.models.export_changes import Change, Span, changes, explain, margins, spans
from gpufleet.models.export_inputs import INPUTS, complete
from gpufleet.models.export_policies import AUTHORITIES

H20 = complete(
    {
        "chip": "H20",
        "maker_hq": "US",
        "origin": "US",
        "dest": "CN",
        "hq": "CN",
        "date": "2025-05-01",
        "tpp": 2368.0,
        "pd": 2.909,
        "mem_bw_gbps": 4000.0,
        "io_gbps": 1028.0,
        "dc": 1.0,
    }
)


def samples(change: Change) -> list[Any]:
    """Values that a change speaks of."""
    if change.values:
        return [float(v) if INPUTS[change.name].kind == "flag" else v for v in change.values]
    if change.first or change.last:
        return [change.first or change.last]
    span = change.span
    assert span
    high = span.low + 2 if span.high is None else span.high
    return [
        *([span.low] if span.low_in else []),
        *([high] if span.high_in else []),
        *([(span.low + high) / 2] if high > span.low else []),
    ]


@settings(max_examples=150)
@given(shipment=shipments(), group=st.sampled_from(sorted(AUTHORITIES)))
def test_each_change_leads_where_it_says(shipment: dict[str, Any], group: str) -> None:
    now = position(shipment, group)
    for change in changes(shipment, group):
        found = (change.licence_required, change.policy)
        assert found != now
        for value in samples(change):
            assert position({**shipment, change.name: value}, group) == found, (change, value)


@settings(max_examples=150)
@given(shipment=shipments(), group=st.sampled_from(sorted(AUTHORITIES)), data=st.data())
def test_a_number_changes_nothing_where_no_change_is_told(
    shipment: dict[str, Any], group: str, data: st.DataObject
) -> None:
    """Between the number and the nearest change on either side, all stays as it is."""
    now = position(shipment, group)
    name = data.draw(st.sampled_from(["tpp", "pd", "mem_bw_gbps", "io_gbps"]))
    value = shipment[name]
    told = [c.span for c in changes(shipment, group) if c.name == name and c.span]
    if value is None:
        return
    low = max((s.high for s in told if s.high is not None and s.high <= value), default=0.0)
    high = min((s.low for s in told if s.low >= value), default=value + 30_000)
    for part in (0.01, 0.5, 0.99):
        inside = low + (high - low) * part
        if not any(span.holds(inside) for span in told):
            assert position({**shipment, name: inside}, group) == now


@settings(max_examples=100)
@given(shipment=shipments(), group=st.sampled_from(sorted(AUTHORITIES)))
def test_margins_turn_what_a_rule_covers(shipment: dict[str, Any], group: str) -> None:
    for reading in verdict(shipment, group).readings:
        now = reading.rule.covers(shipment)
        for margin in margins(reading.rule, shipment):
            span = margin.span
            inside = span.low if span.low_in else (span.low + (span.high or span.low + 2)) / 2
            assert reading.rule.covers({**shipment, margin.name: inside}) is not now


def test_h20_is_32_under_the_rule_of_2023() -> None:
    rule = next(each for each in shipped().rules if each.id == "US-2023-10-17")
    (tpp, density) = margins(rule, H20)
    assert (tpp.name, tpp.value, tpp.by, tpp.under) == ("tpp", 2368.0, 32.0, True)
    assert tpp.span == Span(2400.0, True, None, False)
    assert (density.name, density.by) == ("pd", 0.291)


def test_no_margin_is_told_of_a_rule_that_is_not_known_to_apply() -> None:
    rule = next(each for each in shipped().rules if each.id == "US-2025-04-09")
    assert margins(rule, H20)
    assert margins(rule, {**H20, "mem_bw_gbps": None}) == []


def test_the_story_of_h20_by_dates() -> None:
    days, inputs = ["2025-04-08"], {**H20, "date": "2025-04-08"}
    told = [position(inputs, "us_export")[1]]
    while later := [c for c in changes(inputs, "us_export") if c.name == "date" and c.first]:
        inputs = {**inputs, "date": later[0].first}
        days.append(str(later[0].first))
        told.append(position(inputs, "us_export")[1])
    assert days == ["2025-04-08", "2025-04-09", "2025-07-14", "2025-08-11"]
    assert told == ["none", "banned_in_practice", "approval_expected", "licence_with_15pct_revenue_share"]


def test_a_number_that_is_not_known_tells_where_it_leads() -> None:
    inputs = complete({**H20, "date": "2024-02-01", "tpp": 2000.0, "pd": None})
    found = [(c.span, c.policy, c.by) for c in changes(inputs, "us_export") if c.name == "pd"]
    assert found == [
        (Span(0.0, True, 3.2, False), "none", None),
        (Span(3.2, True, 5.92, False), "nac_notification", None),
        (Span(5.92, True, None, False), "presumption_of_denial", None),
    ]


def test_sums_turn_with_the_other_number() -> None:
    inputs = complete({**H20, "mem_bw_gbps": 1000.0, "io_gbps": 600.0})
    found = {c.name: (c.span, c.by) for c in changes(inputs, "us_export") if c.name.endswith("gbps")}
    assert found == {
        "mem_bw_gbps": (Span(1100.0, True, None, False), 100.0),
        "io_gbps": (Span(700.0, True, None, False), 100.0),
    }


def test_spans_cover_all_numbers_once() -> None:
    found = spans(
        "tpp", {"tpp": 0.0}, [1600.0, 2400.0, 4800.0], lambda i: 1600 < float(i["tpp"] or 0) <= 2400
    )
    assert [span for span, _ in found] == [
        Span(0.0, True, 1600.0, True),
        Span(1600.0, False, 2400.0, True),
        Span(2400.0, False, None, False),
    ]


def test_on_paper_only() -> None:
    h100 = complete({**H20, "dest": "IN", "hq": "IN", "tpp": 15832.0, "pd": 19.45, "date": "2025-06-01"})
    found = {each.verdict.authority_group: each for each in explain(h100)}
    assert found["us_export"].verdict.policy == "none"
    assert [rule.id for rule in found["us_export"].on_paper] == ["US-2025-01-15-AIDR"]
    assert not found["cn"].on_paper
