"""The plan of a national programme adds up, opens to its sources, and says what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest
from tests.conftest import ROOT
from tests.stories.record import Record, planned, read, recorded

from gpufleet import load_plan, simulate
from gpufleet.plan.plan import Plan
from gpufleet.plan.sums import total_of
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import CampaignWorkload, ProfileWorkload
from gpufleet.results.lock import lock_of
from gpufleet.results.to_date import arrivals_of, due_of
from gpufleet.world.chain import with_law
from gpufleet.world.names import Names
from gpufleet.world.supply import Staircase, staircase

KOREA: Final = ROOT / "plans" / "korea-260k"
PLEDGES: Final = ("government", "samsung", "sk", "hyundai", "naver")
PLEDGED: Final = tuple(f"nvidia-{tenant}" for tenant in PLEDGES)
PATH: Final = {"path-purchases": 28_000, "path-supercomputer": 9_000, "path-centre": 15_000}

ROWS: Final = {
    "KR003": ("r1-naver", "r1-naver-own"),
    "KR004": ("r1-naver",),
    "KR005": ("r1-nhn-beta", "r1-nhn", "r1-nhn-own"),
    "KR006": ("r1-nhn-beta", "r1-nhn"),
    "KR007": ("r1-kakao", "r1-kakao-own"),
    "KR008": ("r1-kakao",),
    "KR009": ("r1-naver", "r1-nhn-beta", "r1-nhn", "r1-kakao"),
    "KR032": ("r2-b300", "r2-rubin"),
    "KR036": ("centre-1",),
    "KR037": ("centre-1", "centre-2"),
    "KR041": ("supercomputer-6",),
    "KR042": ("ulsan-1-aws", "ulsan-1-sk", "ulsan-2-aws", "ulsan-2-sk"),
    "KR044": ("samsung-1", "samsung-2", "samsung-3", "samsung-4"),
    "KR047": ("naver-1", "naver-2", "naver-3", "naver-4"),
    "KR051": ("saemangeum-1", "saemangeum-2"),
    "KR052": ("sk-manufacturing",),
}
"""Rows of the public record, and the lots that are what they say."""
ARRIVALS: Final = {"KR010": ("r1-naver",), "KR011": ("r1-kakao",), "KR030": ("r1-nhn-beta",),
                   "KR050": ("existing-base",)}  # fmt: skip
"""Rows that say of lots that they are there; an operator's own part is taken to come with the state's."""
TOGETHER: Final = {"r1-naver-own": "r1-naver", "r1-kakao-own": "r1-kakao"}


@pytest.fixture(scope="module")
def korea() -> Plan:
    return load_plan(KOREA)


@pytest.fixture(scope="module")
def stairs(korea: Plan) -> Staircase:
    return staircase(korea, Names.of(korea))


@pytest.fixture(scope="module")
def record(shared: Path) -> Record:
    """The public record, by the id of a row."""
    return read(shared, "programmes/korea.csv", "programmes/seed_claims.csv", "economics/assumptions.csv")


def gpus(plan: Plan, *names: str) -> int:
    """GPUs of lots, by name or by the beginning of their names."""
    lots = {lot.name: lot.gpus for lot in plan.deliveries}
    for name in names:
        assert any(lot.startswith(name) for lot in lots), name
    return sum(n for lot, n in lots.items() if lot.startswith(names))


def counting(plan: Plan, promise: str) -> dict[str, int]:
    """Lots that count toward a promise, and their GPUs."""
    return {lot.name: lot.gpus for lot in plan.deliveries if promise in lot.counts_toward}


# --- what adds up


def test_the_five_pledges_are_260_000(korea: Plan) -> None:
    pledges = {name: p for name, p in korea.promises.items() if p.kind == "pledge"}
    assert [p.tenant for p in pledges.values()] == list(PLEDGES)
    assert [p.gpus for p in pledges.values()] == [50_000, 50_000, 50_000, 50_000, 60_000]
    assert sum(p.gpus for p in pledges.values()) == 260_000
    assert {(korea.local(p.due_from).year, korea.local(p.until).year) for p in pledges.values()} == {
        (2026, 2030)
    }


def test_with_what_was_there_they_are_300_000(korea: Plan) -> None:
    base = next(lot for lot in korea.deliveries if lot.name == "existing-base")
    assert (base.gpus, base.gpus_range, base.counts_toward) == (40_000, (40_000, 65_000), ())
    assert base.gpus + sum(p.gpus for p in korea.promises.values() if p.kind == "pledge") == 300_000


def test_31_336_are_contracted_by_or_for_the_state(korea: Plan) -> None:
    assert gpus(korea, "r1-naver") == 3_056
    assert gpus(korea, "r1-nhn") == 7_656
    assert gpus(korea, "r1-kakao") == 2_424
    assert gpus(korea, "r1-") == 13_136
    assert gpus(korea, "r2-") == 9_704
    assert gpus(korea, "supercomputer-6") == 8_496
    assert gpus(korea, "r1-", "r2-", "supercomputer-6") == 31_336
    contracted = [lot for lot in korea.deliveries if lot.status != "pledged" and lot.name != "existing-base"]
    assert sum(lot.gpus for lot in contracted) == 31_336


def test_operators_keep_2_680_of_round_1_apart(korea: Plan) -> None:
    own = [lot for lot in korea.deliveries if lot.name.endswith("-own")]
    assert {lot.operator: lot.gpus for lot in own} == {"Naver Cloud": 760, "Kakao": 384, "NHN Cloud": 1_536}
    assert [lot.counts_toward for lot in own] == [(), (), ()]
    assert gpus(korea, "r1-") - sum(lot.gpus for lot in own) == 10_456


def test_the_path_of_52_000_has_a_gap(korea: Plan) -> None:
    assert {name: korea.promises[name].gpus for name in PATH} == PATH
    assert sum(PATH.values()) == korea.promises["path-52000"].gpus == 52_000
    gaps = {name: promised - sum(counting(korea, name).values()) for name, promised in PATH.items()}
    assert gaps == {"path-purchases": 7_840, "path-supercomputer": 504, "path-centre": 0}
    lots = counting(korea, "path-52000")
    assert lots == counting(korea, "path-purchases") | counting(korea, "path-supercomputer") | counting(
        korea, "path-centre"
    )
    assert 52_000 - sum(lots.values()) == 8_344 == sum(gaps.values())
    # with the operators' shares: against what is contracted, and the centre that is planned
    assert 52_000 - 31_336 - gpus(korea, "centre-1") == 5_664 == 8_344 - 2_680


def test_the_national_centre_stands_nowhere_twice(korea: Plan) -> None:
    assert counting(korea, "centre-2030") == {"centre-1": 15_000, "centre-2": 35_000}
    assert counting(korea, "nvidia-government") == counting(korea, "path-52000")
    assert "centre-2" not in counting(korea, "nvidia-government")
    assert sum(counting(korea, "nvidia-government").values()) == 43_656


def test_what_is_not_blackwell_is_told(korea: Plan) -> None:
    """10,792 Hopper GPUs and 3,384 Rubin count toward a pledge of Blackwell, which B300 and GB300 are."""
    found = [each.says for each in korea.warnings if each.code == "P097"]
    assert [int(says.split()[0].replace(",", "")) for says in found] == [2_296, 3_384, 8_496]
    assert 2_296 + 8_496 == 10_792
    assert all("count toward nvidia-government, a promise of Blackwell" in says for says in found)


def test_no_promise_is_passed_by_its_lots(korea: Plan) -> None:
    for name, promise in korea.promises.items():
        assert sum(counting(korea, name).values()) <= promise.gpus


def test_sums_are_declared_and_hold(korea: Plan) -> None:
    """What the tests above work out, the plan says itself, so that the report shows it."""
    assert not [found for found in korea.warnings if found.code == "P093"]
    totals = {name: total_of(korea, name) for name in korea.sums}
    assert {name: one.makes for name, one in korea.sums.items() if one.makes} == {
        name: totals[name] for name, one in korea.sums.items() if one.makes
    }
    assert totals["pledge"] == 260_000
    assert totals["with-base"] == 300_000
    assert (totals["round-1"], totals["round-1-operators"], totals["contracted"]) == (13_136, 2_680, 31_336)
    gaps = {
        name: korea.promises[one.against].gpus - totals[name]
        for name, one in korea.sums.items()
        if one.against
    }
    assert gaps == {
        "path-all": 5_664,
        "path-government": 8_344,
        "path-purchases": 5_160,
        "path-supercomputer": 504,
        "path-centre": 0,
    }


def test_a_sum_is_what_its_row_says(korea: Plan, record: Record) -> None:
    rows = {name: korea.origin(f"sums.{name}.makes") for name in korea.sums}
    for name, origin in rows.items():
        if name not in ("round-1", "round-1-operators") and origin and origin.source:
            assert korea.sums[name].makes == int(record[origin.source]["quantity"]), name
    assert "13,136" in record["KR003"]["note"]
    assert "2,680" in record["KR009"]["note"]


def test_every_lot_is_counted_once(korea: Plan) -> None:
    assert sum(lot.gpus for lot in korea.deliveries) == 343_336
    assert 40_000 + 31_336 + 50_000 + 62_000 + 50_000 + 50_000 + 60_000 == 343_336
    for lot in korea.deliveries:
        kinds = [korea.promises[name].kind for name in lot.counts_toward]
        assert kinds.count("pledge") <= 1


def test_round_2_gives_30_percent_more_computing_than_its_target(korea: Plan) -> None:
    """15,000 B200 in FP8; the split into two products is made by that."""
    assert gpus(korea, "r2-b300") * 4.5 + gpus(korea, "r2-rubin") * 17.5 == pytest.approx(
        1.3 * 15_000 * 4.5, rel=0.005
    )
    assert gpus(korea, "r2-rubin") % 72 == 0


def test_ulsan_is_shared_as_it_is_paid_and_comes_as_its_power(korea: Plan) -> None:
    assert gpus(korea, "ulsan-1-sk", "ulsan-2-sk") / 60_000 == pytest.approx(3.4 / 7.0, rel=0.001)
    assert gpus(korea, "ulsan-1") / 60_000 == pytest.approx(41 / 103, rel=0.001)


# --- what the run says of supply


@pytest.mark.parametrize(
    ("tenant", "lots", "online", "low", "high"),
    [
        ("government", 43_656, 43_656, 43_656, 43_656),
        ("samsung", 50_000, 50_000, 0, 50_000),
        # PUE 1.02 to 1.2: at 1.2 a rack draws 144 kW and 715 fit; 589 stand before SK's last lot
        ("sk", 31_160, 26_336, 2_000 + 11_592 + 125 * 72, 31_160),
        ("hyundai", 50_000, 50_000, 50_000, 50_000),
        ("naver", 60_000, 60_000, 0, 60_000),
    ],
)
def test_what_is_online_by_2030(
    korea: Plan, stairs: Staircase, tenant: str, lots: int, online: int, low: int, high: int
) -> None:
    month = stairs.months.index("2030-12")
    promise = f"nvidia-{tenant}"
    assert sum(counting(korea, promise).values()) == lots
    rows = [i for i, lot in enumerate(korea.deliveries) if promise in lot.counts_toward]
    found = [int(count.online[rows, month].sum()) for count in (stairs.value, stairs.low, stairs.high)]
    assert found == [online, low, high]
    assert stairs.due[list(korea.promises).index(promise), month] == korea.promises[promise].gpus


def test_67_racks_of_ulsan_stay_without_power(korea: Plan, stairs: Staircase) -> None:
    """By hand: a rack draws 120 kW x 1.12 = 134.4 kW; 41 MW are 305 racks of 332, 103 MW are 766 of 833."""
    rows = [i for i, lot in enumerate(korea.deliveries) if lot.to == "ulsan"]
    dark = stairs.value.delivered[rows] - stairs.value.powered[rows]
    first, last = stairs.months.index("2027-11"), stairs.months.index("2029-02")
    assert dark[:, first - 1].tolist() == [0, 0, 0, 0]
    assert dark[:, first].tolist() == [0, 27 * 72, 0, 0]  # AWS 171 racks, then 134 of SK's 161
    assert dark[:, last].tolist() == [0, 0, 0, 67 * 72]  # 171 + 161 + 257 + a third, then 177 of 244
    enough = load_plan(KOREA, sets=["sites.ulsan.pue=1"])
    assert (staircase(enough, Names.of(enough)).value.online[rows, -1].sum()) == 60_000


def test_what_has_come_is_less_than_what_is_ordered(korea: Plan, stairs: Staircase) -> None:
    today = stairs.months.index("2026-11")
    rows = [i for i, lot in enumerate(korea.deliveries) if "nvidia-government" in lot.counts_toward]
    assert stairs.value.ordered[rows, today].sum() == 28_656
    assert stairs.value.online[rows, today].sum() == 4_848
    came = sum(actual.gpus for actual in korea.actuals if actual.lot != "existing-base")
    assert came == 4_848 == 2_296 + 2_040 + 512


def test_4_848_of_the_47_664_that_are_due_have_come(korea: Plan) -> None:
    """The installed base, which no promise is about, is apart; arrivals that nobody states are marked."""
    lock = lock_of(korea)
    due, came = due_of(lock), arrivals_of(lock)
    assert sum(due[f"nvidia-{tenant}"] for tenant in PLEDGES) == 4 * 9_166 + 11_000 == 47_664
    counted = {lot: sum(came[lot].values()) for lot in counting(korea, "nvidia-government")}
    assert sum(counted.values()) == 4_848
    assert came["existing-base"] == {"stated": 40_000}
    assert came["r1-naver"] == {"estimate": 2_296}
    assert came["r1-naver-own"] == {"assumption": 760}  # by its status alone


def test_slip_moves_all_that_has_not_come(korea: Plan) -> None:
    late = load_plan(KOREA, scenarios=["slip"])
    for before, after in zip(korea.deliveries, late.deliveries, strict=True):
        moved = after.at - before.at
        if korea.known_by_today(before.at):
            assert moved == timedelta(0)
        else:
            assert timedelta(days=181) <= moved <= timedelta(days=184), before.name


def test_a_late_grid_keeps_ulsan_dark_for_a_year(korea: Plan, stairs: Staircase) -> None:
    late = load_plan(KOREA, scenarios=["ulsan-grid-late"])
    online = staircase(late, Names.of(late)).value.online
    rows = [i for i, lot in enumerate(korea.deliveries) if lot.to == "ulsan"]
    for month, day in enumerate(stairs.months):
        at_ulsan = online[rows, month].sum()
        if day < "2028-11":
            assert at_ulsan == 0
        elif "2029-02" <= day < "2030-02":
            assert at_ulsan == stairs.value.online[rows, stairs.months.index("2028-11")].sum() == 305 * 72
    assert (online[rows, -1] == stairs.value.online[rows, -1]).all()


def test_quotas_of_rubin_come_with_the_gpus_late_or_not() -> None:
    for scenarios in ([], ["slip"]):
        plan = load_plan(KOREA, scenarios=scenarios)
        sums: dict[int, int] = {}
        for queue in ("projects", "industry", "research"):
            for t_s, gpus in plan.queues[queue].own("Rubin-VR200"):
                sums[t_s] = sums.get(t_s, 0) + gpus
        lots = {lot.name: lot for lot in plan.deliveries}
        comes = [(plan.seconds(lots[name].at), lots[name].gpus) for name in ("r2-rubin", "centre-2")]
        assert sums == {comes[0][0]: comes[0][1], comes[1][0]: comes[0][1] + comes[1][1]}


def test_a_freeze_holds_what_is_due_in_2027_and_nothing_else(korea: Plan) -> None:
    frozen = with_law(load_plan(KOREA, scenarios=["freeze-2027"]))
    moved = {}
    for before, after in zip(korea.deliveries, frozen.deliveries, strict=True):
        if before.at != after.at:
            moved[before.name] = (korea.local(before.at).year, frozen.local(after.at).date())
    assert moved == dict.fromkeys(
        ("r2-b300", "r2-rubin", "ulsan-1-aws", "ulsan-1-sk", "samsung-1", "naver-1"), (2027, date(2028, 1, 1))
    )


def test_newer_products_come_at_the_rate_of_round_2(korea: Plan, record: Record) -> None:
    newer = load_plan(KOREA, scenarios=["newer-product"])
    rate = int(record["KR032"]["quantity"]) / int(record["KR031"]["quantity"])
    for before, after in zip(korea.deliveries, newer.deliveries, strict=True):
        if after.system == before.system:
            assert after.gpus == before.gpus
            continue
        assert before.status == "pledged"
        assert korea.local(before.at).date() >= date(2028, 7, 1)
        assert after.gpus == pytest.approx(rate * before.gpus, abs=36)
    assert gpus(korea, "") - gpus(newer, "") == 52_112
    for queue in ("projects", "industry", "research"):
        assert newer.queues[queue].quota["GB300"] == 0
    late = sum(newer.queues[queue].quota["Rubin-VR200"] for queue in ("projects", "industry", "research"))
    assert late == gpus(newer, "r2-rubin", "centre-")


@pytest.mark.parametrize("name", ["", "slip", "ulsan-grid-late", "freeze-2027", "newer-product"])
def test_the_readme_says_what_is_online_in_each_scenario(name: str) -> None:
    plan = with_law(load_plan(KOREA, scenarios=[name] if name else []))
    steps = staircase(plan, Names.of(plan))
    ends = [steps.months.index(f"{year}-12") for year in (2027, 2028, 2029, 2030)]
    pledged = [i for i, lot in enumerate(plan.deliveries) if any(p in PLEDGED for p in lot.counts_toward)]
    online = steps.value.online
    rows = {
        cells[0].strip("`"): numbers(cells[1:]) for cells in table_under("(`gpufleet run plans/korea-260k")
    }
    assert rows[name or "as planned"] == [
        *online[:, ends].sum(axis=0).tolist(), *online[pledged][:, ends].sum(axis=0).tolist()
    ]  # fmt: skip


def test_a_run_says_the_same(tmp_path: Path) -> None:
    """Without jobs, but for the first month's."""
    sets = ["jobs_until=2025-01-02"]
    run = simulate(load_plan(KOREA, sets=sets, scenarios=["slip"]), out=tmp_path / "run")
    rows = run.supply.filter((pl.col("step") == "online") & pl.col("lot").is_not_null()).unique(
        ["month", "lot"]
    )
    sums = dict(rows.group_by("month").agg(pl.col("gpus").sum()).iter_rows())
    assert (sums["2028-12"], sums["2030-12"]) == (122_800, 276_016)


def test_one_scenario_turns_lending_off(korea: Plan) -> None:
    alone = load_plan(KOREA, scenarios=["no-lending"])
    for name, queue in alone.queues.items():
        if queue.cohort is not None:
            assert queue.ceiling["B300-SXM"] == queue.quota.get("B300-SXM", 0)
            assert korea.queues[name].ceiling["B300-SXM"] > queue.ceiling["B300-SXM"]


def test_demand_is_doubled_for_every_workload(korea: Plan) -> None:
    double = load_plan(KOREA, scenarios=["demand-x2"])
    profiles = {n: w for n, w in korea.workloads.items() if isinstance(w, ProfileWorkload)}
    assert {w.queue for w in profiles.values()} == set(korea.queues) - {"national-models"}
    for name, workload in profiles.items():
        other = double.workloads[name]
        assert isinstance(other, ProfileWorkload)
        assert [value for _, value in other.load] == [2 * value for _, value in workload.load]


# --- where the numbers come from


def test_every_value_has_a_source_and_a_trust(korea: Plan) -> None:
    wanted = re.compile(
        r"(promises\.[^.]+\.(gpus|at|from|until)|deliveries\.[^.]+\.(gpus|at|ordered)|actuals\.\d+\.gpus"
        r"|sums\.[^.]+\.makes|sites\.[^.]+\.(power\.\d+\.value|pue)|workloads\.[^.]+\.(load|gpus|duration|tokens)"
        r"|tenants\.[^.]+\.queues\.[^.]+\.quota\.[^.]+)"
    )
    paths = [path for path in korea.origins if wanted.fullmatch(path)]
    assert len(paths) > 100
    for path in paths:
        origin = korea.origin(path)
        assert origin is not None
        assert origin.source in korea.sources, path
        assert origin.trust, path


@pytest.mark.parametrize("row", ROWS)
def test_a_lot_is_what_its_row_says(korea: Plan, record: Record, row: str) -> None:
    names = [lot.name for lot in korea.deliveries]
    assert set(ROWS[row]) <= set(names)
    total = sum(lot.gpus for lot in korea.deliveries if lot.name in ROWS[row])
    assert (total, "GPU") == (int(record[row]["quantity"]), record[row]["unit"])


def test_all_lots_are_held_against_a_row(korea: Plan) -> None:
    held = {name for names in ROWS.values() for name in names}
    assert {lot.name for lot in korea.deliveries} - held == {"existing-base"}


def test_every_lot_is_as_far_as_the_record_says(korea: Plan, record: Record) -> None:
    """On 30 June 2026."""
    day = date(2026, 6, 30)
    rows: dict[str, list[str]] = {}
    for row, names in (*ROWS.items(), *ARRIVALS.items()):
        for name in names:
            rows.setdefault(name, []).append(row)
    for lot in korea.deliveries:
        expected = recorded(record, rows[TOGETHER.get(lot.name, lot.name)], day)
        assert planned(korea, lot, day) == expected, lot.name


def test_a_promise_is_what_its_row_says(korea: Plan, record: Record) -> None:
    for name, promise in korea.promises.items():
        assert promise.source is not None
        assert promise.gpus == int(record[promise.source]["quantity"]), name


def test_other_numbers_are_what_their_rows_say(korea: Plan, record: Record) -> None:
    base = korea.deliveries[0]
    assert base.gpus == int(record["SC033"]["quantity"])
    assert base.gpus_range == (int(record["SC033"]["quantity"]), int(record["KR050"]["quantity"]))
    ulsan = korea.site("ulsan")
    powers = (float(record["KR043"]["quantity"]), float(record["KR042"]["power_mw"]))
    assert tuple(w / 1e6 for _, w in ulsan.power_w) == powers == (41.0, 103.0)
    assert ulsan.pue == float(record["EA039"]["value"])
    queues = korea.queues
    assert queues["projects-round-1"].quota["B200-SXM"] == int(record["KR012"]["quantity"])
    offered = {"H200-SXM-141GB": "KR010", "B200-SXM": "KR011"}
    for product, row in offered.items():
        shared = queues["industry-round-1"].quota[product] + queues["research-round-1"].quota[product]
        assert shared == int(record[row]["quantity"])
    teams = ("sovereign-model-lg", "sovereign-model-upstage", "sovereign-model-added", "special-model-1")
    for team, row in zip(teams, ("KR057", "KR058", "KR059", "KR061"), strict=True):
        sizes = [int(part) for part in record[row]["quantity"].split(" + ")]
        trainings = [korea.workloads[name] for name in (team, f"{team}-h100") if name in korea.workloads]
        assert [training.gpus for training in trainings if isinstance(training, TrainingWorkload)] == sizes
        products = [product for training in trainings for product, _ in training.products]
        assert products == ["B200-SXM", "H100-SXM5-80GB"][: len(sizes)]
    assert "beta pool 512" in record["KR030"]["note"]


def test_loads_are_what_their_rows_say(korea: Plan, record: Record) -> None:
    def load(name: str) -> float:
        workload = korea.workloads[name]
        assert isinstance(workload, ProfileWorkload)
        ((_, value),) = workload.load
        return value

    assert load("supercomputer-6") == int(record["KR063"]["quantity"]) / 100
    together = 0.7
    classes = {"projects": "KR018", "industry": "KR019", "research": "KR020"}
    lots = ("r2-b300", "r2-rubin", "centre-1", "centre-2")
    coming = [lot for lot in korea.deliveries if lot.name in lots]
    for product in ("B300-SXM", "GB300", "Rubin-VR200"):
        ever = sum(lot.gpus for lot in coming if korea.systems[lot.system].product == product)
        quotas = {name: korea.queues[name].quota[product] for name in classes}
        assert sum(quotas.values()) == ever
        for name, row in classes.items():  # so that the load of the quota is that of the whole
            share = int(record[row]["quantity"]) / 100
            assert quotas[name] == pytest.approx(share * ever, abs=1)
            assert load(name) * quotas[name] == pytest.approx(together * share * ever, abs=1)
    for name in ("samsung-factory", "sk-cloud", "hyundai-driving", "naver-cloud", "everybody-else"):
        assert load(name) == float(record["EA056"]["value"])


def test_sources_are_the_rows(korea: Plan, record: Record) -> None:
    for name, source in korea.sources.items():
        if name in record:
            row = record[name]
            assert source.url == (row.get("source_url") or None), name
            assert source.date == row.get("date", row.get("statement_date")), name
        else:
            assert name in {"EPOCH-ULSAN", "HW-EX254N", "no-source"}


def test_every_source_is_used(korea: Plan) -> None:
    used = {origin.source for origin in korea.origins.values()}
    assert set(korea.sources) <= used


# --- what people read


def numbers(cells: Iterable[str]) -> list[int]:
    """The whole numbers of cells such as `50,000, all assumed`; of an empty one 0."""
    found = [re.match(r"[*]*([\d,]+)", cell.strip()) for cell in cells]
    return [int(match[1].rstrip(",").replace(",", "")) if match else 0 for match in found]


def table_under(line: str) -> list[list[str]]:
    """The rows of the table of the README that follows a line."""
    lines = (KOREA / "README.md").read_text(encoding="utf-8").splitlines()
    start = next(i for i, text in enumerate(lines) if text.startswith(line)) + 4
    rows = []
    for text in lines[start:]:
        if not text.startswith("|"):
            break
        rows.append([cell.strip() for cell in text.strip("|").split("|")])
    return rows


def test_the_readme_says_the_same_of_the_path(korea: Plan) -> None:
    *parts, total = table_under("The path against")
    for cells, name in zip(parts, PATH, strict=True):
        promised, everything, own, planned, gap_all, gap = numbers(cells[1:])
        assert promised == PATH[name]
        counted = counting(korea, name)
        assert own + planned == sum(counted.values())
        assert (gap, gap_all) == (promised - own - planned, promised - everything - planned)
    assert numbers(total[1:]) == [
        sum(column) for column in zip(*(numbers(p[1:]) for p in parts), strict=True)
    ]


def test_the_readme_says_the_same_of_the_pledge(korea: Plan, stairs: Staircase) -> None:
    *parts, total = table_under("The pledge, lot by lot")
    month = stairs.months.index("2030-12")
    for cells, tenant in zip(parts, PLEDGES, strict=True):
        promised, lots, online, low, missing, dark = numbers(cells[1:])
        rows = [i for i, lot in enumerate(korea.deliveries) if f"nvidia-{tenant}" in lot.counts_toward]
        assert promised == korea.promises[f"nvidia-{tenant}"].gpus == lots + missing
        assert lots == sum(korea.deliveries[i].gpus for i in rows) == online + dark
        assert online == stairs.value.online[rows, month].sum()
        assert low == stairs.low.online[rows, month].sum()
    assert numbers(total[1:]) == [
        sum(column) for column in zip(*(numbers(p[1:]) for p in parts), strict=True)
    ]


def test_the_readme_says_how_many_jobs_there_are(cli: Callable[..., Any]) -> None:
    demand = json.loads(cli("check", KOREA, "--json").out)["demand"]["by_workload"].values()
    jobs, hours = (sum(each[key] for each in demand) for key in ("jobs", "gpu_hours"))
    assert 10e6 <= jobs <= 20e6
    each_h = f"{hours / jobs:.0f} GPU-hours on average ({hours / 1e9:.1f} billion GPU-hours)"
    assert f"{jobs / 1e6:.1f} million of {each_h}" in (KOREA / "README.md").read_text(encoding="utf-8")


def test_campaigns_fit_where_they_are_meant_to_run(korea: Plan) -> None:
    assert {found.code for found in korea.warnings} == {"P017", "P097"}
    assert sum(isinstance(w, CampaignWorkload) for w in korea.workloads.values()) == 6
    assert sum(isinstance(w, TrainingWorkload) for w in korea.workloads.values()) == 7
