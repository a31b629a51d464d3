"""supply.parquet and shortage.parquet, their measures, and what the answer says of promises."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "world"))

from staircases import B_HIGH, B_LOW, BY_HAND, STEPS, plans

from gpufleet.plan.load import load_plan
from gpufleet.results.answer_supply import supply_answer
from gpufleet.results.columns import SHORTAGE, SUPPLY
from gpufleet.results.lock import lock_of
from gpufleet.results.run import Run
from gpufleet.results.supply import write_supply
from gpufleet.study import simulate
from gpufleet.world.names import Names

MONTHS = ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"]


@pytest.fixture(scope="module")
def stairs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the plan whose staircase is worked out by hand."""
    folder = tmp_path_factory.mktemp("stairs")
    (folder / "plan.yaml").write_text(BY_HAND)
    return simulate(load_plan(folder / "plan.yaml"), out=folder / "run")


def line_of(text: str) -> str:
    """Where a text stands in the plan."""
    lines = [i for i, line in enumerate(BY_HAND.splitlines(), 1) if text in line]
    assert len(lines) == 1, text
    return f"plan.yaml:{lines[0]}"


def test_supply_by_hand(stairs: Run) -> None:
    assert stairs.supply.columns == [c.name for c in SUPPLY]
    for lot, steps in STEPS.items():
        for step, gpus in steps.items():
            rows = stairs.supply.filter(pl.col("lot") == lot, pl.col("step") == step, pl.col("first"))
            assert rows["month"].to_list() == MONTHS
            assert rows["gpus"].to_list() == gpus, (lot, step)
    for step in B_LOW:
        rows = stairs.supply.filter(pl.col("lot") == "b", pl.col("step") == step, pl.col("first"))
        assert rows["gpus_low"].to_list() == B_LOW[step]
        assert rows["gpus_high"].to_list() == B_HIGH[step]


def test_a_lot_of_two_promises_has_two_rows_and_is_counted_once(stairs: Run) -> None:
    last = stairs.supply.filter(
        pl.col("month") == "2026-06", pl.col("step") == "delivered", pl.col("lot") == "b"
    )
    assert last.select("promise", "gpus", "first").rows() == [("big", 20, True), ("small", 20, False)]
    assert stairs.measure("supply_gpus", step="delivered") == 32 + 20 + 12
    assert stairs.measure("supply_gpus", step="delivered", promise="big") == 52
    assert stairs.measure("supply_gpus", step="delivered", promise="small") == 20


def test_pledges_have_no_lot_and_no_sum(stairs: Run) -> None:
    rows = stairs.supply.filter(pl.col("step") == "pledged", pl.col("month") == "2026-03")
    columns = ["promise", "tenant", "gpus", "gpus_low", "gpus_high", "lot", "site", "first"]
    assert rows.select(columns).rows() == [
        ("big", "x", 100, 90, 110, None, None, False),
        ("small", "x", 10, 10, 10, None, None, False),
    ]
    assert stairs.measure("supply_gpus", step="pledged") is None
    assert stairs.measure("supply_gpus", step="pledged", promise="big") == 100


def test_power_in_whole_nodes_and_rates_that_are_not_known(stairs: Run) -> None:
    rows = stairs.supply.filter(pl.col("month") == "2026-05", pl.col("step") == "online", pl.col("first"))
    assert rows.select("lot", "gpus", "mw", "tflops_bf16", "trust").rows() == [
        ("a", 32, 0.04, None, "stated"),
        ("b", 12, 0.015, None, "assumption"),
        ("#3", 12, 0.02, None, None),
    ]
    assert stairs.measure("supply_tflops_bf16", step="online") is None
    assert stairs.measure("supply_mw", step="online") == pytest.approx(0.02 + 0.025 + 0.02)


SHORT = [  # month, promise, lot, step, gpus, overdue, due, place
    ("2026-01", "big", "b", "not_ordered", 20, 0, 0, "  - name: b"),
    ("2026-01", "big", None, "not_ordered", 48, 0, 0, "  big:"),
    ("2026-02", "big", "b", "not_delivered", 20, 0, 25, "    at:"),
    ("2026-02", "big", None, "not_ordered", 48, 0, 25, "  big:"),
    ("2026-03", "big", "b", "not_powered", 20, 18, 50, "    power:"),
    ("2026-03", "big", None, "not_ordered", 48, 0, 50, "  big:"),
    ("2026-03", "small", "b", "not_powered", 20, 5, 5, "    power:"),
    ("2026-04", "big", "b", "not_powered", 8, 8, 75, "    power:"),
    ("2026-04", "big", None, "not_ordered", 48, 23, 75, "  big:"),
    ("2026-04", "small", "b", "not_powered", 8, 0, 10, "    power:"),
    ("2026-05", "big", "b", "not_powered", 8, 8, 100, "    power:"),
    ("2026-05", "big", None, "not_ordered", 48, 48, 100, "  big:"),
    ("2026-05", "small", "b", "not_powered", 8, 0, 10, "    power:"),
    ("2026-06", "big", "a", "not_online", 16, 16, 100, "from: hill, system: box"),
    ("2026-06", "big", None, "not_ordered", 48, 48, 100, "  big:"),
]


def test_shortage_by_hand(stairs: Run) -> None:
    assert stairs.shortage.columns == [c.name for c in SHORTAGE]
    columns = ["month", "promise", "lot", "step", "gpus", "overdue", "due", "place"]
    found = sorted(stairs.shortage.select(columns).rows(), key=str)
    assert found == sorted([(*row[:-1], line_of(row[-1])) for row in SHORT], key=str)
    assert stairs.measure("shortage_gpus", promise="big") == 64
    assert stairs.measure("shortage_gpus", promise="big", step="not_online") == 16
    assert stairs.measure("overdue_gpus", promise="big", step="not_ordered") == 48
    assert stairs.measure("shortage_gpus", promise="small") is None


def test_what_is_contracted_planned_and_arrived(stairs: Run) -> None:
    values: dict[tuple[str, ...], Any] = {
        ("promised_gpus", "promise", "big"): 100,
        ("contracted_gpus",): 52,  # the third lot is only pledged
        ("contracted_gpus", "tenant", "x"): 52,
        ("contracted_gpus", "site", "sea"): None,
        ("contracted_gpus", "promise", "small"): 20,
        ("planned_gpus",): 32,
        ("planned_gpus", "lot", "a"): 32,
        ("actual_gpus",): 24,
        ("actual_gpus", "promise", "big"): 24,
        ("actual_gpus", "lot", "b"): None,
    }
    found = {key: stairs.measure(key[0], **dict([key[1:]] if key[1:] else [])) for key in values}
    assert found == values


def test_a_lot_that_is_there_by_its_status_has_arrived(tmp_path: Path) -> None:
    text = BY_HAND.replace("lot: a, at: 2026-01-25, gpus: 24", "lot: b, at: 2026-02-15, gpus: 4")
    (tmp_path / "plan.yaml").write_text(text)
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    assert (run.measure("actual_gpus", lot="a"), run.measure("actual_gpus", lot="b")) == (32, 4)
    assert (run.measure("planned_gpus", lot="b"), run.measure("actual_gpus")) == (0, 36)


def test_the_answer_starts_with_supply(stairs: Run) -> None:
    assert stairs.answer.startswith(
        "44 of 100 promised GPUs are online on 2026-05-31; largest shortage: "
        f"48 have no order (x, {line_of('  big:')}). "
    )


def test_the_answer_has_bounds_and_stays_inside_the_plan(tmp_path: Path) -> None:
    text = BY_HAND.replace("until: 2026-05-31", "until: 2027-05-31").replace(
        "gpus: {value: 100, range: [90, 110]}", "gpus: 50"
    )
    (tmp_path / "plan.yaml").write_text(text)
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    assert str(supply_answer(run)) == (
        "36 of 50 promised GPUs are online on 2026-06-30 (low 28, high 44), the plan's last day "
        "(due by 2027-05-31, after the plan's end); largest shortage: "
        f"16 are out of service at hill (x, {line_of('from: hill, system: box')})"
    )


def test_a_plan_without_promises_says_nothing_of_them(run: Run) -> None:
    assert supply_answer(run) is None
    assert "promised" not in run.answer
    assert run.shortage.is_empty()
    assert run.measure("supply_gpus", step="online") == 24


def test_the_ledger_leads_from_a_promise_to_its_line(stairs: Run) -> None:
    entries = {(e["name"], *sorted(e["by"].items())): e for e in stairs.ledger["entries"]}
    promised = entries["promised_gpus", ("promise", "big")]
    assert promised["plan_line"] == line_of("  big:")
    short = entries["shortage_gpus", ("promise", "big")]
    assert (short["plan_line"], short["trust"]) == (line_of("  big:"), None)  # of the power it is not said
    assert short["assumed"]
    arrived = entries["planned_gpus", ("lot", "a")]
    assert (arrived["plan_line"], arrived["trust"]) == (line_of("- {name: a,"), "stated")
    assert entries["promises.big.gpus",]["value"] == 100
    assert entries["actuals.0.gpus",]["plan_line"] == line_of("lot: a, at:")


def test_operators_stand_apart(tmp_path: Path) -> None:
    text = BY_HAND.replace("system: box, gpus: 32,", "system: box, operator: AWS, gpus: 32,")
    (tmp_path / "plan.yaml").write_text(text)
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    theirs = run.supply.filter(pl.col("operator") == "AWS")
    assert set(theirs["lot"]) == {"a"}
    assert run.measure("supply_gpus", step="delivered", operator="AWS") == 32
    assert run.measure("contracted_gpus", operator="AWS") == 32
    assert set(run.shortage.filter(pl.col("lot") == "a")["operator"]) == {"AWS"}
    assert run.shortage.filter(pl.col("lot").is_null())["operator"].null_count() > 0


def test_the_ledger_narrows_by_product(stairs: Run) -> None:
    """The count of `new` rests on lot b alone, not on what is stated of lot a."""
    entries = {(e["name"], *sorted(e["by"].items())): e for e in stairs.ledger["entries"]}
    old, new = (entries["contracted_gpus", ("product", product)] for product in ("old", "new"))
    assert old["plan_line"] == line_of("- {name: a,")
    assert (new["trust"], new["plan_line"]) == ("assumption", line_of("    gpus: {value: 20"))
    assert old["trust"] is None  # of the third lot it is not said


def test_the_lock_holds_today_promises_and_actuals(stairs: Run) -> None:
    assert stairs.plan["as_of"] == "2026-02-14T15:00:00Z"
    assert stairs.plan["promises"]["big"]["gpus_range"] == [90, 110]
    assert stairs.plan["promises"]["small"]["kind"] == "target"
    assert stairs.plan["actuals"] == [{"lot": "a", "at": "2026-01-24T15:00:00Z", "gpus": 24}]
    assert stairs.plan["deliveries"]["b"]["counts_toward"] == ["big", "small"]
    assert stairs.plan["lines"]["promises.big"] == line_of("  big:")


def test_power_that_is_missing_is_a_shortage_without_a_promise_too(tmp_path: Path) -> None:
    text = BY_HAND.replace("    counts_toward: [big, small]\n", "")
    (tmp_path / "plan.yaml").write_text(text)
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    rows = run.shortage.filter(pl.col("promise").is_null())
    assert rows.select("month", "lot", "step", "gpus", "overdue", "due").rows() == [
        ("2026-03", "b", "not_powered", 20, 0, None),
        ("2026-04", "b", "not_powered", 8, 0, None),
        ("2026-05", "b", "not_powered", 8, 0, None),
    ]


def test_supply_covers_the_horizon_when_the_plan_has_no_lots(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        "gpufleet: 1\nname: n\nstart: 2026-01-01\nend: 2026-03-01\n"
        "sites: {lab: {}}\ndeliveries: []\ntenants: {a: {}}\n"
        "promises: {p: {for: a, gpus: 5, at: 2026-01-01, until: 2026-02-10}}\n"
    )
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    assert run.supply.select("month", "step", "gpus").rows() == [
        ("2026-01", "pledged", 5),
        ("2026-02", "pledged", 5),
    ]
    assert run.shortage.select("month", "step", "gpus", "overdue").rows() == [
        ("2026-01", "not_ordered", 5, 2),
        ("2026-02", "not_ordered", 5, 5),
    ]
    assert run.answer.startswith(
        "0 of 5 promised GPUs are online on 2026-02-28; largest shortage: 5 have no order (a, plan.yaml:8)"
    )


@given(text=plans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shortages_and_what_is_online_make_the_promise(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    plan = load_plan(tmp_path / "plan.yaml")
    files = tmp_path / "supply.parquet", tmp_path / "shortage.parquet"
    write_supply(*files, plan, Names.of(plan), lock_of(plan))
    supply, shortage = (pl.read_parquet(file) for file in files)
    for name, promise in plan.promises.items():
        mine = supply.filter(pl.col("promise") == name)
        online = dict(
            mine.filter(pl.col("step") == "online").group_by("month").agg(pl.col("gpus").sum()).iter_rows()
        )
        pledged = mine.filter(pl.col("step") == "pledged").select("month", "gpus").rows()
        lots = sum(lot.gpus for lot in plan.deliveries if name in lot.counts_toward)
        for month, gpus in pledged:
            rows = shortage.filter(pl.col("promise") == name, pl.col("month") == month)
            whole = max(promise.gpus, lots) if gpus else 0
            assert rows["gpus"].sum() == (whole - online.get(month, 0) if gpus else 0)
            due = rows["due"].max() if rows.height else None
            if due is not None:
                assert rows["overdue"].sum() == max(0, due - online.get(month, 0))
    assert (shortage["gpus"] >= shortage["overdue"]).all()
    assert (shortage["gpus"] > 0).all()
    assert shortage["place"].str.starts_with("plan.yaml:").all()


def test_the_same_plan_gives_the_same_bytes(stairs: Run, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(BY_HAND)
    again = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    for name in ("supply.parquet", "shortage.parquet", "measures.json", "ledger.json", "plan.lock.yaml"):
        assert (again.path / name).read_bytes() == (stairs.path / name).read_bytes(), name


def test_a_run_from_before_there_was_supply_has_empty_tables(tmp_path: Path) -> None:
    old = Run(tmp_path)
    assert dict(old.supply.schema)["first"] == pl.Boolean
    assert (old.supply.height, old.shortage.height) == (0, 0)
    assert old.shortage.columns == [c.name for c in SHORTAGE]


def test_the_answer_calls_a_tenant_by_its_title(tmp_path: Path) -> None:
    assert BY_HAND.count("x: {}") == 1
    (tmp_path / "plan.yaml").write_text(BY_HAND.replace("x: {}", "x: {title: Ministry of X}"))
    answer = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run").answer
    assert "have no order (Ministry of X, plan.yaml:" in answer
