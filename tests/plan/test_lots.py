"""Lots in parts, cancelled lots, lots that stand in for others: what each comes to, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.load import load_plan

HEAD = """\
gpufleet: 1
name: test
start: 2027-01-01
end: 2028-06-01
sites: {hall: {}}
systems:
  npu: {product: my-npu, gpus_per_node: 4, node_power: 2 kW}
tenants: {lab: {}}
deliveries:
"""

OLD = "  - {name: old, to: hall, system: DGX B200, gpus: 64, ordered: 2027-02-01%s}\n"


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[..., Plan]:
    def load(text: str, scenario: str = "") -> Plan:
        path = tmp_path / "plan.yaml"
        path.write_text(HEAD + text)
        return load_plan(path, scenarios=[scenario] if scenario else [])

    return load


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def gpus(plan: Plan) -> dict[str, int]:
    return {lot.name: lot.gpus for lot in plan.deliveries}


def steps(plan: Plan, lot: str) -> list[str]:
    return [
        f"{each.step} {each.at:%Y-%m-%d} {each.cause} {each.name}".strip() for each in plan.chains[lot][0]
    ]


# --- parts


def test_parts_are_lots_of_their_own_and_the_rest_stays(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of("""\
  - name: first
    to: hall
    system: DGX B200
    gpus: 64
    at: 2027-03-01
    steps: {installed: 2027-03-10, accepted: 2027-03-12}
    parts:
      - {gpus: 16, at: 2027-02-01, status: delivered}
      - {gpus: 24, at: {value: 2027-05-01, range: [2027-04-01, 2027-07-01]}, steps: {installed: 2027-06-01}}
  - {to: hall, system: DGX B200, gpus: 8, at: 2027-04-01}
""")
    assert gpus(plan) == {"first/1": 16, "first/2": 24, "first": 24, "#2": 8}
    assert steps(plan, "first/1") == [
        "delivered 2027-02-01 date", "installed 2027-03-10 date", "accepted 2027-03-12 date",
    ]  # fmt: skip
    assert steps(plan, "first/2") == [
        "delivered 2027-05-01 date", "installed 2027-06-01 date", "accepted 2027-06-01 before",
    ]  # fmt: skip
    part = plan.deliveries[1]
    assert (part.whole, part.nodes, part.at_range) == ("first", 3, (at("2027-04-01"), at("2027-07-01")))
    assert str(plan.line("deliveries.first/2.at")) == "plan.yaml:18"
    assert str(plan.line("deliveries.first/2.system")) == "plan.yaml:12"
    assert str(plan.line("deliveries.#2.gpus")) == "plan.yaml:19"


def test_parts_that_are_all_of_a_lot(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of("""\
  - {name: first, to: hall, system: DGX B200, gpus: 64, at: 2027-03-01, for: lab,
     parts: [{gpus: 40}, {gpus: {value: 24, range: [16, 24]}, at: 2027-04-01}]}
sums: {all: {lots: first, makes: 64}}
as_of: 2027-03-02
actuals: [{lot: first/1, at: 2027-03-01, gpus: 40}]
""")
    assert gpus(plan) == {"first/1": 40, "first/2": 24}
    assert plan.deliveries[1].gpus_range == (16, 24)
    assert plan.sums["all"].lots == ("first/1", "first/2")


# --- cancellation


def test_a_cancelled_lot_keeps_the_steps_that_it_has_taken(plan_of: Callable[..., Plan]) -> None:
    """Ordered on 1 February; made 70 days later, on 12 April; shipped on 19 April: too late."""
    plan = plan_of(OLD % ", cancelled: {at: 2027-04-15, because: no money, written_off: 2027-09-01}")
    assert steps(plan, "old") == [
        "ordered 2027-02-01 date",
        "made 2027-04-12 lead",
        "cancelled 2027-04-15 cancelled no money",
        "written_off 2027-09-01 date",
    ]
    lot = plan.deliveries[0]
    assert (lot.at, lot.ready, lot.stopped) == (NEVER, NEVER, at("2027-04-15"))
    instead = plan.chains["old"][0][2].instead
    assert instead is not None
    assert (instead.step, instead.cause, instead.at) == ("shipped", "lead", at("2027-04-19"))
    assert not [each for each in plan.warnings if each.code in ("P089", "P205")]


def test_some_gpus_are_cancelled(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(OLD % ", cancelled: {at: 2027-04-15, gpus: 24}")
    assert gpus(plan) == {"old/cancelled": 24, "old": 40}
    assert [lot.stopped for lot in plan.deliveries] == [at("2027-04-15"), None]


def test_a_scenario_cancels(plan_of: Callable[..., Plan]) -> None:
    text = f"{OLD % ''}scenarios: {{cut: {{set: {{deliveries.old.cancelled: 2027-03-01}}}}}}\n"
    assert plan_of(text).deliveries[0].stopped is None
    assert plan_of(text, "cut").deliveries[0].stopped == at("2027-03-01")


def test_what_is_in_service_is_not_cancelled(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(
        "  - {name: a, to: hall, system: DGX B200, gpus: 8, at: 2027-03-01, cancelled: 2027-04-01}"
    )
    assert plan.deliveries[0].stopped is None
    assert [(str(each.at), each.code) for each in plan.warnings if each.code == "P205"] == [
        ("plan.yaml:10", "P205")
    ]
    early = plan_of(OLD % ", cancelled: {at: 2027-02-02, written_off: 2027-03-01}")
    assert "not made by 2027-02-02" in next(str(each.says) for each in early.warnings if each.code == "P205")


# --- substitution


def test_a_newer_product_for_the_same_compute(plan_of: Callable[..., Plan]) -> None:
    """A B200 does 2,250 TFLOPS dense BF16, an H100 989.4: 64 of these are 28.1 B200, 24 in whole nodes."""
    text = OLD.replace("DGX B200", "DGX H100") % ""
    plan = plan_of(text + "  - {name: new, to: hall, system: DGX B200, ordered: 2027-03-01,"
                   " replaces: {lot: old, by: compute}}\n")  # fmt: skip
    assert gpus(plan) == {"old": 64, "new": 24}
    assert plan.deliveries[0].stopped == at("2027-03-01")
    assert steps(plan, "old")[-1] == "cancelled 2027-03-01 replaced new"
    assert plan.chains["old"][0][-1].path == "deliveries.new.replaces"
    assert any("new has 24 GPUs" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("new", "count"),
    [
        # a DGX B200 costs 450,000 USD, 56,250 a GPU; 64 GPUs are 3.6 MUSD: 240 of 15,000 USD
        ("system: npu, unit_price: 15 kUSD/GPU, replaces: {lot: old, by: money}", 240),
        ("system: npu, unit_price: 70 kUSD/node, replaces: {lot: old, by: money}", 204),  # 205.7
        ("system: npu, replaces: {lot: old, by: compute, ratio: 1.7}", 108),  # 108.8
        ("system: npu, replaces: {lot: old, gpus: 32, by: gpus}", 32),
        ("system: npu, replaces: old", 64),
        ("system: npu, gpus: 12, replaces: {lot: old, gpus: 8}", 12),
        ("system: GB200-NVL72, replaces: {lot: old, by: money}", 84),  # 3.6 M / (3 M / 72) = 86.4
    ],
)
def test_a_domestic_product_for_the_same_money(plan_of: Callable[..., Plan], new: str, count: int) -> None:
    plan = plan_of(f"{OLD % ''}  - {{name: new, to: hall, at: 2027-06-01, {new}}}\n")
    assert gpus(plan)["new"] == count
    assert {lot.stopped for lot in plan.deliveries if lot.cancelled} == {at("2027-01-01")}  # `as_of`


def test_one_stands_in_for_another_that_stood_in_for_a_third(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of("""\
  - {name: c, to: hall, system: npu, at: 2027-09-01, replaces: {lot: b, at: 2027-03-01, ratio: 0.5}}
  - {name: b, to: hall, system: npu, at: 2027-08-01, replaces: {lot: a, at: 2027-02-01, gpus: 16, ratio: 3}}
  - {name: a, to: hall, system: npu, gpus: 40, at: 2027-07-01}
""")
    assert gpus(plan) == {"c": 24, "b": 48, "a/cancelled": 16, "a": 24}


# --- what cannot be meant


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("gpus: 8, at: 2027-03-01, parts: [{gpus: 6}, {gpus: 4}]", "P203", "10 GPUs; the lot has 8 (2 too"),
        ("gpus: {value: 8, range: [4, 9]}, at: 2027-03-01, parts: [{gpus: 6}]", "P203", "4 to 9 GPUs; 6 of"),
        ("gpus: 8, at: 2027-03-01, parts: [{gpus: 6, att: 1}]", "P006", "att"),
        ("gpus: 8, ordered: 2027-03-01, parts: [{gpus: 6, status: online}]", "P007", "no `at`"),
        ("gpus: 8, at: 2027-03-01, parts: [{gpus: 6, at: 2026-01-01}]", "P013", "before the plan's start"),
        ("gpus: 8, at: 2027-03-01, cancelled: {at: 2027-02-01, gpus: 9}", "P204", "9 GPUs of lot are"),
        ("gpus: 8, at: 2027-03-01, cancelled: {at: 2027-02-01, written_off: 2027-01-31}", "P204", "01-31"),
        ("gpus: 8, at: 2027-03-01, cancelled: {gpus: 4}", "P007", "no `at`"),
        ("gpus: 8, at: 2027-03-01, replaces: {lot: old, by: gpus}", "P206", "says how many GPUs"),
        ("at: 2027-03-01, replaces: {lot: old, by: compute}", "P206", "how fast my-npu is"),
        ("at: 2027-03-01, replaces: {lot: old, by: money}", "P206", "no price of npu"),
        ("at: 2027-03-01, unit_price: 9 kKRW/GPU, replaces: {lot: old, by: money}", "P206", "in USD"),
        ("at: 2027-03-01, unit_price: 9 k/GPU, replaces: {lot: old, by: money}", "P009", "no currency"),
        ("at: 2027-03-01, replaces: {lot: old, ratio: 0.01}", "P206", "less than one node"),
        ("at: 2027-03-01, replaces: {lot: olt}", "P016", "olt"),
        ("at: 2027-03-01, replaces: lot", "P206", "stand in for each other"),
        ("gpus: 8, at: 2027-03-01, replaces: {lot: old, gpus: 72}", "P204", "72 GPUs of old"),
        ("at: 2027-03-01", "P023", "neither"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(plan_of: Callable[..., Plan], text: str, code: str, says: str) -> None:
    with pytest.raises(GpufleetError) as error:
        plan_of(f"{OLD % ''}  - {{name: lot, to: hall, system: npu, {text}}}\n")
    assert any(code == each.code and says in str(each.says) for each in error.value.findings), error.value
    assert all(each.at and each.at.line for each in error.value.findings)


def test_several_faults_are_told_at_once(plan_of: Callable[..., Plan]) -> None:
    with pytest.raises(GpufleetError) as error:
        plan_of("""\
  - {name: a, to: hall, system: npu, gpus: 8, at: 2027-03-01, parts: [{gpus: 12}]}
  - {name: b, to: hall, system: npu, gpus: 8, at: 2027-03-01, cancelled: {at: 2027-02-01, gpus: 12}}
  - {name: c, to: hall, system: npu, gpus: 8, at: 2027-03-01, parts: [{gpus: 8}]}
  - {name: d, to: hall, system: npu, at: 2027-03-01, replaces: b}
actuals: [{lot: c, at: 2027-01-01, gpus: 8}]
""")
    found = [(each.code, each.at.line if each.at else 0) for each in error.value.findings]
    assert found == [("P203", 10), ("P204", 11), ("P203", 14)]


def test_a_table_cancels_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "lots.csv").write_text(
        "name,to,system,gpus,at,ordered,cancelled,replaces\n"
        ",hall,DGX B200,64,2027-03-01,,2027-02-01,\n"
        "a,hall,DGX B200,64,2027-03-01,,,\n"
        "b,hall,DGX B200,,2027-06-01,2027-02-03,,a\n"
    )
    (tmp_path / "plan.yaml").write_text(HEAD.replace("deliveries:\n", "deliveries: lots.csv\n"))
    plan = load_plan(tmp_path / "plan.yaml")
    assert gpus(plan) == {"#1": 64, "a": 64, "b": 64}
    assert [lot.stopped for lot in plan.deliveries] == [at("2027-02-01"), at("2027-02-03"), None]
    assert "64 GPUs at" in str(plan)


def test_a_part_is_no_whole_lot_and_counts_once(plan_of: Callable[..., Plan]) -> None:
    text = "  - {name: a, to: hall, system: npu, gpus: 8, at: 2027-03-01, parts: [{gpus: 4}]}\n"
    with pytest.raises(GpufleetError) as error:
        plan_of(f"{text}  - {{name: b, to: hall, system: npu, at: 2027-03-01, replaces: a/1}}\n")
    assert [(each.code, "a/1 is a part" in str(each.says)) for each in error.value.findings] == [
        ("P206", True)
    ]
    with pytest.raises(GpufleetError) as error:
        plan_of(f"{text}sums: {{all: {{lots: [a, a/1]}}}}\n")
    assert "P092" in [each.code for each in error.value.findings]
