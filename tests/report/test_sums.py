"""What adds up to what, on the page: parts, total, what was published, the gap, and where all is from."""

from __future__ import annotations

from typing import Any

import pytest

from gpufleet.report.inputs import leaves


@pytest.fixture
def nation(report_of: Any) -> Any:
    """A plan with three sums."""
    return report_of("nation")


def _bare(row: tuple[Any, ...]) -> list[Any]:
    return [getattr(value, "value", value) for value in row]


def test_sums_stand_beside_what_was_published(nation: Any) -> None:
    rows = {row[0]: row[1:] for row in map(_bare, nation.page.sums.rows)}
    assert rows == {
        "The pledge": [
            "Pledge to the government + Pledge to Naver + Pledge to SK", 16_000, 16_000, 0, None, None,
            "promised GPUs", "Announcement of 31 October 2025", "stated",
        ],
        "With the fleet": [
            "The pledge + old-fleet", 20_000, 20_500, -500, None, None,
            "promised GPUs, and GPUs of H100-SXM5-80GB", "Announcement of 31 October 2025", "estimate",
        ],
        "government-lots": [
            "round-1 + round-2 + centre", 3_528, None, None, "The government's own path", 1_672,
            "GPUs (B200-SXM)", "", "",
        ],
    }  # fmt: skip
    assert nation.run.measure("sum_gpus", sum="With the fleet") == 20_000


def test_a_wrong_sum_is_found(nation: Any) -> None:
    says = [found["says"] for found in nation.run.findings if found["code"] == "P093"]
    assert says == ["With the fleet comes to 20,000 GPUs, not 20,500 (500 fewer)"]


def test_each_number_of_a_sum_opens_its_parts_and_sources(nation: Any) -> None:
    entries = {entry.id: entry for entry in nation.page.ledger}
    row = nation.page.sums.rows[1]
    entry = entries[row[2].to]
    assert entry.name == "sums.With the fleet"
    facts = {fact.term: fact for fact in entry.facts}
    assert facts["published"].says == "20,500 GPUs; the parts come to 20,000"
    assert [link.to for link in facts["source"].links] == ["source-1"]
    parts = [_bare(part) for part in entry.parts.rows]
    assert [part[:3] for part in parts] == [["The pledge", "sum", 16_000], ["old-fleet", "lot", 4_000]]
    assert all(part[4].startswith("nation.yaml:") for part in parts)
    assert {part[5] for part in parts} == {"Announcement of 31 October 2025"}
    assert entry.parts.rows[0][0].to in entries  # the sum inside opens its own parts
    assert row[8].to == "source-1"


def test_what_was_published_is_an_input(nation: Any) -> None:
    found = {leaf.path: leaf for leaf in leaves(nation.run)}
    leaf = found["sums.The pledge.makes"]
    assert (leaf.value, leaf.unit, leaf.trust, leaf.source) == (16_000, "GPU", "stated", "press")


def test_a_plan_without_sums_has_none(report_of: Any) -> None:
    assert report_of("three tenants").page.sums is None
