"""Laws of money: payers sum to items, months to the whole, budgets balance, prices scale what they price."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpufleet.plan.load import load_plan
from gpufleet.results.money.flows import DUE, WRITTEN_OFF, Books, Flow
from gpufleet.results.money.funding import budgets
from gpufleet.results.money.ledger import flows_of
from gpufleet.results.run import Run
from gpufleet.study import simulate
from gpufleet.world.capacity import capacity_of
from gpufleet.world.names import Names

BASE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "golden" / "money" / "plan.yaml").read_text(encoding="utf-8")
)


def books_of(folder: Path, **money: Any) -> Books:
    """The books of the golden plan with other money."""
    plan = {**BASE, "money": {**BASE["money"], **money}}
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    loaded = load_plan(path)
    return Books(loaded, capacity_of(loaded, Names.of(loaded)))


def total(flows: list[Flow], **where: object) -> int:
    """The sum of flows with these fields."""
    return sum(f.home for f in flows if all(getattr(f, key) == value for key, value in where.items()))


UNITS = ["GPU", "node", "GPU-year", "node-year", "month", "year", "GPU-h", "kWh"]
shares = st.lists(st.integers(1, 50), min_size=1, max_size=3)
prices = st.integers(1, 10**9)
FAST = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FAST
@given(
    shares, prices, st.sampled_from(["GPU", "node", "GPU-year", "node-year", "month", "year", "GPU-h", "kWh"])
)
def test_payers_sum_to_the_item(tmp_path: Path, weights: list[int], price: int, per: str) -> None:
    names = ["state", "operator", "user"][: len(weights)]
    whole = sum(weights)
    parts = [round(weight / whole, 6) for weight in weights[:-1]]
    paid_by = dict(zip(names, [*parts, round(1 - sum(parts), 6)], strict=True))
    kind = "hardware" if per in ("GPU", "node") else "other"
    item = {"kind": kind, "price": f"{price} KRW/{per}"}
    books = books_of(tmp_path, costs={"x": {**item, "paid_by": paid_by}}, income={}, funding={})
    alone = books_of(tmp_path, costs={"x": {**item, "paid_by": "state"}}, income={}, funding={})
    divided, one = list(flows_of(books)), list(flows_of(alone))
    assert total(divided, flow=DUE) == total(one, flow=DUE)
    assert sum(total(divided, flow=DUE, payer=name) for name in names) == total(divided, flow=DUE)
    for month in range(24):
        assert total(divided, flow=DUE, month=month) == total(one, flow=DUE, month=month)


@FAST
@given(prices, st.integers(1, 100), st.floats(0, 1))
def test_what_is_written_off_ends_at_what_is_left(tmp_path: Path, price: int, days: int, left: float) -> None:
    item = {
        "kind": "hardware",
        "price": f"{price} KRW/GPU",
        "life": f"{days} d",
        "left": left,
        "paid_by": "state",
    }
    flows = list(flows_of(books_of(tmp_path, costs={"x": item}, income={}, funding={})))
    paid = total(flows, flow=DUE)
    off = [f.home for f in flows if f.flow == WRITTEN_OFF]
    assert all(each >= 0 for each in off)
    assert abs(sum(off) - paid * (1 - left)) <= 2  # two lots, each rounded once


@FAST
@given(
    st.lists(st.tuples(st.integers(2025, 2029), st.integers(0, 3000)), min_size=1, max_size=5), st.booleans()
)
def test_budgets_balance(tmp_path: Path, years: list[tuple[int, int]], carry: bool) -> None:
    ceilings = {year: f"{amount} MKRW" for year, amount in years}
    line = {"payer": "state", "ceilings": ceilings, "carry_over": carry}
    books = books_of(tmp_path, funding={"chips": line})
    flows = list(flows_of(books))
    rows = budgets(books, flows)
    assert sum(row.asked for row in rows) == sum(f.home for f in flows if f.line and f.flow == DUE)
    for before, row in zip([None, *rows], rows, strict=False):
        assert row.ceiling + row.brought == row.paid + row.left
        assert row.owed_before + row.asked == row.paid + row.owed
        assert min(row.paid, row.owed, row.left) >= 0
        assert row.owed == 0 or row.left == 0
        if before is not None:
            assert row.owed_before == before.owed
            assert row.brought == (before.left if carry else 0)


@FAST
@given(st.integers(1, 10**6), st.integers(2, 9))
def test_what_costs_twice_as_much_costs_twice_as_much(tmp_path: Path, price: int, factor: int) -> None:
    def of(amount: int) -> int:
        item = {"kind": "power", "price": f"{amount} KRW/kWh", "paid_by": "state"}
        return total(list(flows_of(books_of(tmp_path, costs={"x": item}, income={}, funding={}))), flow=DUE)

    assert of(price * factor) == of(price) * factor  # 306,600 and 438,000 kWh: whole won every month


def test_a_meter_goes_before_rated_power(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "golden" / "money" / "square-wave.yaml").read_text(encoding="utf-8")
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    metered = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "metered")
    (tmp_path / "plan.yaml").write_text(text.replace("power: {default", "# power: {default").replace(
        ", overhead: 1 kW", ""), encoding="utf-8")  # fmt: skip
    rated = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "rated")
    assert metered.money["home"].sum() == 54_000
    assert (
        rated.money["home"].sum() == 2 * 12 * 15 * 300
    )  # 15 kW all the time, half of it at 200, half at 100


def test_a_run_without_money_has_none(tmp_path: Path) -> None:
    plan = {key: value for key, value in BASE.items() if key != "money"}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    assert run.money.is_empty()
    assert not (run.path / "money.parquet").exists()
    assert run.measure("money_paid") is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The golden plan with jobs, a used income, a discount and ranges."""
    folder = tmp_path_factory.mktemp("whole")
    costs = {**BASE["money"]["costs"]}
    costs["servers"] = {
        "kind": "hardware", "paid_by": "chips",
        "price": {"value": "400 kUSD/node", "range": ["300 kUSD/node", "500 kUSD/node"]},
    }  # fmt: skip
    income = {"rent": {"price": "2 USD/GPU-h", "to": "operator", "for": "research"}}
    plan = {
        **BASE,
        "workloads": {"work": {"kind": "campaign", "queue": "research", "gpus": 16, "duration": "100 h",
                               "at": "2026-02-01"}},
        "money": {**BASE["money"], "costs": costs, "income": income, "discount": 0.1},
    }  # fmt: skip
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return simulate(load_plan(folder / "plan.yaml"), out=folder / "run")


def test_payers_sum_to_items_and_years(whole: Run) -> None:
    rows = [row for row in whole.measures_json["measures"] if row["name"] == "money_due"]
    paid = whole.measure("money_due")
    for dims in ({"payer"}, {"item"}, {"kind"}, {"year"}, {"year", "payer"}):
        parts = [row["value"] for row in rows if set(row["by"]) == dims]
        assert sum(parts) == pytest.approx(paid, rel=1e-12), dims
    assert rows[0]["unit"] == "KRW"


def test_used_hours_are_paid(whole: Run) -> None:
    received = whole.money.filter(pl.col("flow") == "received").select("month", "amount", "currency")
    assert received.rows() == [("2026-02", 16 * 100 * 200, "USD")]  # cents


def test_ranges_of_prices_are_kept(whole: Run) -> None:
    rows = whole.money.filter(pl.col("item") == "network", pl.col("flow") == "due")
    sums = rows.select(pl.col("home", "home_low", "home_high").sum()).row(0)
    assert sums == (176_000_000, 132_000_000, 220_000_000)


def test_costs_of_jobs_stand_on_those_of_hours(whole: Run) -> None:
    per_hour = whole.measure("cost_per_used_gpu_h", product="chip")
    assert per_hour is not None
    assert whole.measure("cost_per_job", tenant="research") == pytest.approx(per_hour * 1600)
    in_service = whole.measure("cost_per_gpu_h", product="chip")
    assert in_service is not None
    assert in_service < per_hour  # the hours that nobody uses are paid too


def test_the_present_value_is_less_than_what_is_paid(whole: Run) -> None:
    value, paid, got = (whole.measure(f"money_{name}") for name in ("present_value", "due", "received"))
    assert value is not None
    assert paid is not None
    assert got is not None
    assert -paid < value < got - paid * 0.8


def test_a_gap_is_told_with_its_line(whole: Run) -> None:
    assert whole.measure("funding_gap", line="chips", year="2026") == 436_000_000
    place = whole.funding["place"][0]
    assert place.startswith("plan.yaml:")


def test_what_is_sold_is_received_when_it_comes(tmp_path: Path) -> None:
    sale = {"price": "10 kUSD/GPU", "to": "state", "lots": "b"}
    flows = list(flows_of(books_of(tmp_path, costs={}, income={"sale": sale}, funding={})))
    assert [(f.month, f.flow, f.amount, f.home) for f in flows] == [(7, "received", 16_000_000, 192_000_000)]


def one_cost(tmp_path: Path, **item: Any) -> list[Flow]:
    """The flows of the golden plan with one cost."""
    cost = {"kind": "other", "paid_by": "state", **item}
    return list(flows_of(books_of(tmp_path, costs={"x": cost}, income={}, funding={})))


@pytest.mark.parametrize("price", ["1 MKRW/month", "1 MKRW/year", "100 KRW/GPU-year", "2 KRW/GPU-h"])
@pytest.mark.parametrize("when", [{"from": "2028-05-01"}, {"until": "2025-06-01"}])
def test_what_lies_outside_of_the_plan_costs_nothing(
    tmp_path: Path, price: str, when: dict[str, str]
) -> None:
    assert one_cost(tmp_path, price=price, **when) == []


def test_a_month_that_the_plan_cuts_off_is_paid_by_its_days(tmp_path: Path) -> None:
    plan = {**BASE, "start": "2026-01-15", "end": "2026-02-08"}
    plan["deliveries"] = [{"name": "a", "to": "lab", "system": "box", "gpus": 16, "at": "2026-01-15"}]
    costs = {"x": {"kind": "staff", "price": "3100 KRW/month", "paid_by": "state"}}
    plan["money"] = {"currency": "KRW", "payers": {"state": {}}, "costs": costs}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    loaded = load_plan(tmp_path / "plan.yaml")
    flows = flows_of(Books(loaded, capacity_of(loaded, Names.of(loaded))))
    assert [f.home for f in flows] == [1700, 775]  # 17 of 31 days, 7 of 28


def test_a_charge_moves_no_money(tmp_path: Path) -> None:
    flows = one_cost(tmp_path, price="5 GKRW", at="2026-04-30", cash=False)
    assert [(f.flow, f.month, f.home) for f in flows] == [("written off", 3, 5 * 10**9)]


@pytest.mark.parametrize(
    ("due", "paid"), [("ordered", ["late", "stock"]), ("delivered", ["stock"]), ("accepted", [])]
)
def test_what_is_paid_of_lots_that_are_cancelled(tmp_path: Path, due: str, paid: list[str]) -> None:
    lot = {"to": "lab", "system": "box", "gpus": 8, "ordered": "2026-02-01"}
    cancelled = {"at": "2026-04-20", "written_off": "2027-03-05"}
    times = {"default": {"made": "30 d", "shipped": "5 d", "delivered": "5 d", "installed": "40 d"}}
    lots = [
        {**lot, "name": "stock", "cancelled": cancelled},
        {**lot, "name": "late", "cancelled": cancelled, "lead_times": {"made": "300 d"}},
    ]
    cost = {"kind": "hardware", "price": "1 MKRW/GPU", "due": due, "paid_by": "state"}
    plan = {**BASE, "deliveries": lots, "lead_times": times}
    plan["money"] = {"currency": "KRW", "payers": {"state": {}}, "costs": {"x": cost}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    loaded = load_plan(tmp_path / "plan.yaml")
    flows = list(flows_of(Books(loaded, capacity_of(loaded, Names.of(loaded)))))
    assert sorted(f.lot or "" for f in flows if f.flow == DUE) == paid
    off = [(f.lot, f.month, f.home) for f in flows if f.flow == WRITTEN_OFF]
    assert sorted(off) == [(name, 14, 8_000_000) for name in paid]


def test_cash_is_what_falls_due_less_what_budgets_put_off(whole: Run) -> None:
    due = {y: whole.measure("money_due", year=y, payer="state") for y in ("2026", "2027")}
    paid = {y: whole.measure("money_paid", year=y, payer="state") for y in ("2026", "2027")}
    assert due["2026"] is not None
    assert paid["2026"] == due["2026"] - 436_000_000
    assert paid["2027"] == (due["2027"] or 0) + 436_000_000


def test_amounts_of_two_currencies_have_no_difference(whole: Run, tmp_path: Path) -> None:
    text = (whole.path.parent / "plan.yaml").read_text(encoding="utf-8")
    other = yaml.safe_load(text)
    other["money"]["currency"] = "USD"
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(other), encoding="utf-8")
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    changes = [each for each in whole.compare(run).measures if each.what == "money_due"]
    assert [(each.sign, each.unit) for each in changes] == [("-", "KRW"), ("+", "USD")]
