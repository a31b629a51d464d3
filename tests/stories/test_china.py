"""The H20 in China: free, stopped on 9 April 2025, licensed from 8 August, not taken from 15 September on."""

from __future__ import annotations

import csv
import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from tests.conftest import ROOT

from gpufleet import load_plan
from gpufleet.plan.plan import Plan
from gpufleet.plan.sums import total_of
from gpufleet.plan.supply import Delivery
from gpufleet.plan.workloads import ProfileWorkload
from gpufleet.world.law_checks import law_findings
from gpufleet.world.licences import Gates, gates

CHINA: Final = ROOT / "plans" / "china-h20"
STOP, LICENCES, REFUSED = date(2025, 4, 9), date(2025, 8, 8), date(2025, 9, 15)
USD: Final = 12_000
NEVER: Final = {"h20-stopped": 204_168, "h20-summer-1": 222_224, "h20-summer-2": 222_224,
                "h20-summer-3": 222_224, "h20-rest": 74_992}  # fmt: skip


@pytest.fixture(scope="module")
def china() -> Plan:
    return load_plan(CHINA)


@pytest.fixture(scope="module")
def readme() -> str:
    return " ".join((CHINA / "README.md").read_text(encoding="utf-8").split())


def lot(plan: Plan, name: str) -> Delivery:
    return next(each for each in plan.deliveries if each.name == name)


def shipped(plan: Plan) -> dict[str, list[tuple[date, int]]]:
    """H20 that may go, by lot: days at the site, and GPUs."""
    found = gates(plan)
    return {
        each.name: [
            (plan.local(part.at, each.to).date(), part.gpus)
            for part in found.gate(each, each.at).shipments
            if part.at is not None
        ]
        for each in plan.deliveries
        if plan.systems[each.system].product == "H20"
    }


def total(ships: dict[str, list[tuple[date, int]]], first: date, until: date) -> int:
    return sum(gpus for parts in ships.values() for day, gpus in parts if first <= day < until)


# --- the story


def test_nothing_ships_between_the_stop_and_the_first_licences(china: Plan) -> None:
    ships = shipped(china)
    assert total(ships, date(2025, 1, 27), STOP) == 383_336
    assert total(ships, STOP, LICENCES) == 0
    assert ships["h20-licensed"] == [(LICENCES, 4_168)]
    assert total(ships, LICENCES, REFUSED) == 4_168
    assert total(ships, REFUSED, date(2100, 1, 1)) == 0


def test_no_day_of_the_gap_lets_an_h20_go(china: Plan) -> None:
    """Whatever day it is made on: day by day, by the law alone."""
    found = Gates(gates(china).law)
    one = lot(china, "h20-licensed")
    day = datetime(2025, 4, 1, tzinfo=china.local(china.start).tzinfo)
    while day.date() < date(2025, 10, 1):
        at = found.gate(one, day).at
        gone = None if at is None else china.local(at).date()
        if day.date() < STOP:
            assert gone == day.date()
        elif day.date() < LICENCES:
            assert gone == LICENCES
        else:
            assert gone == (day.date() if day.date() < REFUSED else None)
        day += timedelta(days=1)


def test_what_never_ships_is_945_832(china: Plan) -> None:
    findings, _ = law_findings(china)
    says = [each.says for each in findings if each.code == "P224"]
    told = {re.split(r"[: ]", each)[0]: int(each.split()[1].replace(",", "")) for each in says}
    assert told == NEVER
    assert sum(told.values()) == 945_832 == 1_333_336 - 383_336 - 4_168
    assert {each.code for each in findings} == {"P223", "P224"}
    assert not [each for each in china.warnings if each.code != "P223"]


def test_licences_are_for_15_percent(china: Plan) -> None:
    (part,) = gates(china).planned["h20-licensed"].shipments
    assert part.licences == ("first", "bought")
    assert part.revenue_share == 0.15


# --- what adds up


def test_orders_add_up_in_dollars_and_gpus(china: Plan) -> None:
    totals = {name: total_of(china, name) for name in china.sums}
    billions = {"all-orders": 16, "shipped": 4.6, "stopped": 2.5, "summer": 8.0}
    for name, bn in billions.items():
        assert 0 <= totals[name] - bn * 1e9 / USD < 8  # whole servers
        assert totals[name] % 8 == 0
    assert totals["all-orders"] == china.promises["orders"].gpus == 1_333_336
    assert totals["shipped"] + totals["stopped"] + totals["summer"] + lot(china, "h20-rest").gpus == 1_333_336
    assert totals["domestic-2025"] == 600_000
    assert {n: s.makes for n, s in china.sums.items() if s.makes} == {
        n: totals[n] for n, s in china.sums.items() if s.makes
    }


def test_lots_stand_for_a_price_of_10_000_to_14_000(china: Plan) -> None:
    for each in china.deliveries:
        if each.gpus_range and each.name.startswith("h20-"):
            low, high = (n / each.gpus for n in each.gpus_range)
            assert (low, high) == (pytest.approx(12 / 14, rel=0.002), pytest.approx(1.2, rel=0.001))


def test_the_gap_is_59_6_million_gpu_days(china: Plan, readme: str) -> None:
    names = ("h20-licensed", *list(NEVER)[:4])
    days = {name: (LICENCES - china.local(lot(china, name).at).date()).days for name in names}
    assert list(days.values()) == [121, 112, 85, 54, 24]
    lost = sum(lot(china, name).gpus * n for name, n in days.items())
    assert round(lost / 1e6, 1) == 59.6
    assert round(lost * 24 / 1e9, 2) == 1.43
    assert "59.6 million GPU-days, 1.43 bn GPU-hours" in readme


def test_what_domestic_chips_are_worth(china: Plan, readme: str) -> None:
    made = {"2025": {}, "2026": {}}  # type: dict[str, dict[str, int]]
    for each in china.deliveries:
        product, year = china.systems[each.system].product, str(china.local(each.at).year)
        if product != "H20":
            made[year][product] = made[year].get(product, 0) + each.gpus
    assert made == {
        "2025": {"Ascend-910B": 300_000, "Ascend-910C": 300_000},
        "2026": {"Ascend-910C": 600_000},
    }
    worth = {}
    for name in ("inference", "training"):
        workload = china.workloads[name]
        assert isinstance(workload, ProfileWorkload)
        speeds = dict(workload.products)
        for year, products in made.items():
            worth[name, year] = round(sum(speeds[p] * n for p, n in products.items()) / speeds["H20"])
    assert worth == {
        ("inference", "2025"): 360_000, ("inference", "2026"): 480_000,
        ("training", "2025"): 2_286_000, ("training", "2026"): 3_048_000,
    }  # fmt: skip
    for value in (*worth.values(), 360_000 + 480_000):
        assert f"{value:,}" in readme


# --- scenarios


@pytest.mark.parametrize(
    ("scenario", "gap", "licensed", "after"),
    [
        ("no-stop", 875_008, 0, 74_992),
        ("law-alone", 0, 875_008, 0),
        ("july-ships", 875_008, 0, 0),
        ("fewer-domestic", 0, 4_168, 0),
    ],
)
def test_scenarios(scenario: str, gap: int, licensed: int, after: int) -> None:
    ships = shipped(load_plan(CHINA, scenarios=[scenario]))
    assert total(ships, STOP, LICENCES) == gap
    assert total(ships, LICENCES, REFUSED) == licensed
    assert total(ships, REFUSED, date(2100, 1, 1)) == after


def test_july_is_25_days_before_the_licences() -> None:
    ships = shipped(load_plan(CHINA, scenarios=["july-ships"]))
    assert total(ships, STOP, date(2025, 7, 14)) == 0
    assert (LICENCES - date(2025, 7, 14)).days == 25


def test_fewer_domestic_chips() -> None:
    few = load_plan(CHINA, scenarios=["fewer-domestic"])
    sums = {year: sum(each.gpus for each in few.deliveries if each.name.startswith(f"ascend-910c-{year}"))
            for year in (2025, 2026)}  # fmt: skip
    assert sums == {2025: 100_000, 2026: 300_000}


# --- where the numbers come from


def test_every_unknown_is_marked(china: Plan) -> None:
    wanted = re.compile(
        r"(promises\.[^.]+\.gpus|deliveries\.[^.]+\.(gpus|at|ordered|steps\.made)|actuals\.\d+\.gpus"
        r"|sums\.[^.]+\.makes|workloads\.[^.]+\.gpu_hours_per_month(\.\d+\.value)?|licences\.[^.]+\.gpus)"
    )
    paths = [path for path in china.origins if wanted.fullmatch(path)]
    assert len(paths) > 50
    for path in paths:
        origin = china.origin(path)
        assert origin is not None
        assert origin.source in china.sources, path
        assert origin.trust in ("estimate", "assumption") or path.endswith(("ordered", "at")), path


def test_sources_are_the_rows(china: Plan, shared: Path) -> None:
    rows = {}
    for file in ("programmes/seed_claims.csv", "economics/assumptions.csv"):
        with (shared / "data" / file).open(encoding="utf-8", newline="") as text:
            rows |= {row["id"]: row for row in csv.DictReader(text)}
    known = {"SC049", "SC053", "SC060", "EA067"}
    assert known == {name for name in china.sources if name in rows}
    assert china.sources["EA067"].url == rows["EA067"]["source_url"]
    assert china.licences["first"].revenue_share == float(rows["EA067"]["value"])
    assert float(rows["SC053"]["quantity"]) == 5.5e9
    assert "realised charge reported later as $4.5bn" in rows["SC053"]["note"]
    assert "First licences reported issued 2025-08-08" in rows["SC049"]["note"]


def test_the_readme_has_both_figures_of_the_write_off(china: Plan, readme: str) -> None:
    assert "| up to 5.5 |" in readme
    assert "| 4.5 |" in readme
    for name in china.sources:
        assert name in readme or name in {o.source for o in china.origins.values()}, name
    for number in (16, 4.6, 2.5, 8.0):
        assert f"| {number} |" in readme
    for gpus in (1_333_336, 383_336, 208_336, 666_672, 74_992, 4_168, 945_832, 875_008):
        assert f"{gpus:,}" in readme
