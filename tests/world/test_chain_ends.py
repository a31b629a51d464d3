"""Lots that law lets go in parts do so at the ends of their ranges too, and licences have their own ends."""

from __future__ import annotations

from pathlib import Path

from gpufleet.plan.load import load_plan
from gpufleet.world.chain import with_law
from gpufleet.world.names import Names
from gpufleet.world.supply import staircase

PLAN = """\
gpufleet: 1
name: ends
start: 2026-01-01
end: 2027-01-01
sites: {hall: {country: SA}}
licences:
  a: {to: SA, from: %s, gpus: 304, status: granted, authority: us_export}
  b: {to: SA, from: 2026-06-10, gpus: 496, status: granted, authority: us_export}
deliveries:
  - {name: lot, to: hall, system: DGX B300, gpus: %s, at: 2026-02-01}
tenants: {lab: {}}
"""


def online(folder: Path, first: str, gpus: str) -> tuple[list[int], list[int], list[int]]:
    """GPUs online at the end of March, May, July and December: as planned, low, high."""
    (folder / "plan.yaml").write_text(PLAN % (first, gpus))
    plan = with_law(load_plan(folder / "plan.yaml"))
    stairs = staircase(plan, Names.of(plan))
    months = [stairs.months.index(f"2026-{month}") for month in ("03", "05", "07", "12")]
    value, low, high = (
        counts.online[0][months].tolist() for counts in (stairs.value, stairs.low, stairs.high)
    )
    return value, low, high


def test_parts_stand_at_both_ends_of_the_count(tmp_path: Path) -> None:
    """304 in March by the first licence; 96, 496 and 496 of the rest in June; 200 of the 1,000 never."""
    value, low, high = online(tmp_path, "2026-03-10", "{value: 800, range: [400, 1000]}")
    assert value == [304, 304, 800, 800]
    assert low == [304, 304, 400, 400]
    assert high == [304, 304, 800, 800]


def test_a_licence_comes_at_its_ends(tmp_path: Path) -> None:
    """The first one between 10 February and 10 May."""
    first = "{value: 2026-03-10, range: [2026-02-10, 2026-05-10]}"
    value, low, high = online(tmp_path, first, "800")
    assert value == [304, 304, 800, 800]
    assert low == [0, 304, 800, 800]
    assert high == [304, 304, 800, 800]
