"""The plan of Japan's own computing adds up to the public record, and says what hangs on what."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Final

import pytest
from tests.conftest import ROOT
from tests.stories.record import Record, planned, read, recorded

from gpufleet import load_plan
from gpufleet.plan.plan import Plan
from gpufleet.plan.sums import total_of
from gpufleet.plan.training import TrainingWorkload
from gpufleet.world.names import Names
from gpufleet.world.supply import Staircase, staircase

JAPAN: Final = ROOT / "plans" / "japan-sovereign"
DAY: Final = date(2026, 6, 30)

ROWS: Final = {
    "JP001": ("softbank-b200",),
    "JP002": ("softbank-ampere", "softbank-hopper", "softbank-b200"),
    "JP004": ("softbank-hopper",),
    "JP005": ("softbank-gb200",),
    "JP016": ("abci-3",),
    "JP024": ("sakura-b200",),
    "JP025": ("kddi-gb200",),
}
"""Rows of the public record, and the lots that are what they say."""
WITHOUT_A_COUNT: Final = {
    "JP017": ("fugakunext",),
    "JP021": ("rapidus-first",),
    "JP022": ("sakai-1", "sakai-2"),
    "JP023": ("tomakomai",),
}
METI: Final = {"JP006": 50.1, "JP007": 10.24, "JP008": 2.56, "JP009": 1.93, "JP010": 7.7}
SOFTBANK: Final = {"JP012": 5.3, "JP013": 42.1}


@pytest.fixture(scope="module")
def japan() -> Plan:
    return load_plan(JAPAN)


@pytest.fixture(scope="module")
def stairs(japan: Plan) -> Staircase:
    return staircase(japan, Names.of(japan))


@pytest.fixture(scope="module")
def readme() -> str:
    return (JAPAN / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def record(shared: Path) -> Record:
    files = (
        "programmes/japan.csv",
        "programmes/seed_claims.csv",
        "economics/assumptions.csv",
        "ran/ran_facts.csv",
    )
    return read(shared, *files)


def gpus(plan: Plan, *names: str) -> int:
    return sum(lot.gpus for lot in plan.deliveries if lot.name in names)


def online(plan: Plan, lot: str, month: str) -> int:
    steps = staircase(plan, Names.of(plan))
    row = next(i for i, each in enumerate(plan.deliveries) if each.name == lot)
    return int(steps.value.online[row, steps.months.index(month)])


# --- what adds up


def test_sums_hold(japan: Plan) -> None:
    totals = {name: total_of(japan, name) for name in japan.sums}
    assert totals == {
        "softbank-platform": 10_000, "softbank-with-gb200": 11_224, "sakai": 100_000, "stands": 18_144,
        "named": 7_224,
    }  # fmt: skip
    assert not [found for found in japan.warnings if found.code == "P093"]
    without = gpus(japan, *(name for names in WITHOUT_A_COUNT.values() for name in names))
    assert without == 133_016
    assert sum(lot.gpus for lot in japan.deliveries) == 18_144 + 1 + 7_224 + without == 158_385


def test_nothing_warns(japan: Plan) -> None:
    assert not japan.warnings


@pytest.mark.parametrize("row", ROWS)
def test_a_lot_is_what_its_row_says(japan: Plan, record: Record, row: str) -> None:
    assert (gpus(japan, *ROWS[row]), "GPU") == (int(record[row]["quantity"]), record[row]["unit"])


def test_all_lots_are_held_against_a_row(japan: Plan) -> None:
    held = {name for names in (*ROWS.values(), *WITHOUT_A_COUNT.values()) for name in names}
    assert {lot.name for lot in japan.deliveries} - held == {"ran-trial", "sakura-h100"}


def test_numbers_that_stand_in_notes(japan: Plan, record: Record) -> None:
    assert "phase 1: 2,016 H100 (2024-07)" in record["JP024"]["note"]
    assert gpus(japan, "sakura-h100") == 2_016
    assert "about 100,000 GPUs" in record["JP022"]["note"]
    assert japan.promises["sakai-100000"].gpus == 100_000
    assert "Total about 6,000 then; target 10,000 in FY2025 H1" in record["JP004"]["note"]
    assert gpus(japan, "softbank-ampere") == 6_000 - 4_000
    assert japan.promises["softbank-10000"].gpus == 10_000
    radio_units, cells = (int(record[row]["value"]) for row in ("RAN032", "RAN001"))
    assert gpus(japan, "ran-trial") == radio_units // cells == 1


def test_power_is_what_its_rows_say(japan: Plan, record: Record) -> None:
    sites = {"sakai": "JP022", "tomakomai": "JP023", "kobe": "JP017"}
    first = {site: japan.site(site).power_w[0][1] / 1e6 for site in sites}
    assert first == {site: float(record[row]["power_mw"]) for site, row in sites.items()}
    assert "above 250 MW by 2028" in record["JP022"]["note"]
    assert japan.site("sakai").power_w[-1][1] == 250e6
    assert japan.site("sakai").pue == float(record["EA039"]["value"])


def test_fugakunext_is_600_eflops_on_40_mw(japan: Plan, record: Record) -> None:
    assert (record["JP017"]["quantity"], record["JP017"]["unit"]) == ("600", "EFLOPS")
    lot = next(each for each in japan.deliveries if each.name == "fugakunext")
    assert lot.gpus * 50e15 == 600e18
    node_w = japan.systems["fugakunext-node"].node_power_w
    assert node_w is not None
    assert lot.gpus / 4 * node_w * 1.1 <= 40e6


def test_every_lot_is_as_far_as_the_record_says(japan: Plan, record: Record) -> None:
    """On 30 June 2026. Sakura's first phase and the trial stand in notes only."""
    rows: dict[str, list[str]] = {}
    for row, names in (*ROWS.items(), *WITHOUT_A_COUNT.items()):
        for name in names:
            rows.setdefault(name, []).append(row)
    for lot in japan.deliveries:
        expected = recorded(record, rows[lot.name], DAY) if lot.name in rows else "arrived"
        assert planned(japan, lot, DAY) == expected, lot.name


# --- money, as far as the plan has it


def test_support_by_company_is_what_the_record_says(record: Record) -> None:
    for row, bn in (METI | SOFTBANK).items():
        assert float(record[row]["quantity"]) == pytest.approx(bn * 1e9), row
    assert sum(METI.values()) == pytest.approx(float(record["JP011"]["quantity"]) / 1e9, abs=0.05)


def test_the_readme_says_the_same_of_the_money(readme: str) -> None:
    text = readme.partition("## METI's support, by company")[2].partition("## What it costs")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    found = [float(re.sub(r"[*| ]", "", line.split("|")[2])) for line in lines]
    assert found == [50.1, 10.24, 7.7, 2.56, 1.93, 72.5, 5.3, 42.1, 119.9]
    assert sum(found[:5]) == pytest.approx(found[5], abs=0.05)
    assert found[5] + found[6] + found[7] == pytest.approx(found[8])
    for row in (*METI, *SOFTBANK, "JP011", "JP014", "JP015", "JP018", "JP019", "JP026", "SC019"):
        assert row in text, row


def test_milestones_name_the_money(japan: Plan) -> None:
    titles = {name: str(milestone.title) for name, milestone in japan.milestones.items()}
    lines = {"meti-sakura": 50.1, "meti-kddi": 10.24, "meti-softbank-1": 5.3, "meti-softbank-2": 42.1}
    for name, bn in lines.items():
        assert f"{bn} bn JPY" in titles[name]


def test_budgets_are_the_money_of_the_record(japan: Plan, record: Record) -> None:
    assert japan.money is not None
    whole = {
        name: sum(money.value for money in line.ceilings.values())
        for name, line in japan.money.funding.items()
    }
    assert whole["ten-trillion"] == float(record["SC019"]["quantity"]) == 10**13
    rows = {
        "meti-sakura": "JP006", "meti-kddi": "JP007", "meti-rutilea": "JP008", "meti-gmo": "JP009",
        "meti-highreso": "JP010", "meti-softbank-1": "JP012", "meti-softbank-2": "JP013",
        "physical-ai": "JP014",
    }  # fmt: skip
    for name, row in rows.items():
        assert whole[name] == float(record[row]["quantity"]), name


# --- what hangs on what


@pytest.mark.parametrize(
    ("scenario", "lot", "before", "after"),
    [
        ("rapidus-late", "rapidus-first", date(2028, 6, 16), date(2030, 6, 16)),
        ("meti-late", "sakura-b200", date(2027, 12, 31), date(2028, 7, 12)),
    ],
)
def test_a_late_milestone_moves_a_lot(
    japan: Plan, scenario: str, lot: str, before: date, after: date
) -> None:
    for plan, day in ((japan, before), (load_plan(JAPAN, scenarios=[scenario]), after)):
        one = next(each for each in plan.deliveries if each.name == lot)
        assert plan.local(one.ready or one.at).date() == day


def test_without_money_nothing_is_ordered() -> None:
    plan = load_plan(JAPAN, scenarios=["meti-not-paid"])
    for lot in plan.deliveries:
        if lot.name in ("sakura-b200", "kddi-gb200"):
            assert lot.at > plan.end
    assert online(plan, "softbank-gb200", "2031-12") == 1_224


def test_a_late_grid_keeps_tomakomai_dark_for_a_year(japan: Plan) -> None:
    late = load_plan(JAPAN, scenarios=["tomakomai-grid-late"])
    assert (online(japan, "tomakomai", "2027-06"), online(late, "tomakomai", "2027-06")) == (20_016, 0)
    assert (online(late, "tomakomai", "2028-05"), online(late, "tomakomai", "2028-06")) == (0, 20_016)


def test_what_is_online_by_2030(japan: Plan, stairs: Staircase) -> None:
    month = stairs.months.index("2030-12")
    aimed = ("softbank-10000", "sakai-100000", "sakura-phase-2", "kddi-2026")
    rows = [i for i, lot in enumerate(japan.deliveries) if set(lot.counts_toward) & set(aimed)]
    found = [int(count.online[rows, month].sum()) for count in (stairs.value, stairs.low)]
    assert found == [116_000, 16_000] == [116_000, 116_000 - 100_000]
    assert online(load_plan(JAPAN, scenarios=["sakai-half"]), "sakai-2", "2030-12") == 0


def test_models_train_on_softbanks_machines(japan: Plan) -> None:
    trainings = {n: w for n, w in japan.workloads.items() if isinstance(w, TrainingWorkload)}
    assert {w.queue for w in trainings.values()} == {"softbank-models"}
    places = {"sovereign-model-2025": "softbank-b200", "sovereign-model-2027": "tomakomai"}
    for name, lot in places.items():
        assert trainings[name].gpus <= gpus(japan, lot)
        ((product, _),) = trainings[name].products
        assert product in {
            japan.systems[each.system].product for each in japan.deliveries if each.name == lot
        }


# --- where the numbers come from


def test_every_value_has_a_source_and_a_trust(japan: Plan) -> None:
    wanted = re.compile(
        r"(promises\.[^.]+\.(gpus|at|from|until)|deliveries\.[^.]+\.(gpus|at|ordered)|actuals\.\d+\.gpus"
        r"|sums\.[^.]+\.makes|sites\.[^.]+\.(power|power\.\d+\.value|pue)|workloads\.[^.]+\.(load|gpus|tokens)"
        r"|milestones\.[^.]+\.at)"
    )
    paths = [path for path in japan.origins if wanted.fullmatch(path)]
    assert len(paths) > 60
    for path in paths:
        origin = japan.origin(path)
        assert origin is not None
        assert origin.source in japan.sources, path
        assert origin.trust, path


def test_sources_are_the_rows(japan: Plan, record: Record) -> None:
    for name, source in japan.sources.items():
        if name == "no-source":
            continue
        row = record[name]
        assert source.url == (row.get("source_url") or None), name
        if row.get("date") or row.get("statement_date"):
            assert source.date == row.get("date", row.get("statement_date")), name
    used = {origin.source for origin in japan.origins.values()}
    assert set(japan.sources) <= used
