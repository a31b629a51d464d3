"""Promises, the lots that count toward them, and what has arrived: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan

Load = Callable[..., Plan]
Codes = Callable[..., list[str]]

PLAN = """\
gpufleet: 1
name: two
start: 2026-01-01
end: 2027-01-01
time_zone: Asia/Seoul
as_of: 2026-03-15
sites: {lab: {}}
promises:
  fifty: {for: a, gpus: {value: 96, range: [90, 100]}, at: 2026-01-10, from: 2026-02-01, until: 2026-11-30}
  wish: {for: a, kind: target, gpus: 200, at: 2026-01-10, until: 2026-12-31}
  other: {for: b, gpus: 8, at: 2026-01-10, until: 2026-12-31}
deliveries:
  - {name: l1, to: lab, system: DGX B200, gpus: 48, at: 2026-02-03, status: delivered, for: a,
     counts_toward: fifty}
  - {to: lab, system: DGX B200, nodes: {value: 6, range: [5, 7]}, at: 2026-04-10,
     for: a, counts_toward: [fifty, wish]}
  - {name: l3, to: lab, system: DGX B200, gpus: 8, at: 2026-05-01}
actuals:
  - {lot: l1, at: 2026-02-10, gpus: 40}
  - {lot: l1, at: 2026-03-15 14:00, gpus: 8}
tenants: {a: {}, b: {}}
workloads:
  big: {kind: campaign, queue: a, gpus: 8, duration: 1 d, at: 2026-02-10}
"""


def changed(old: str, new: str) -> str:
    """The plan with one text replaced."""
    assert PLAN.count(old) == 1, old
    return PLAN.replace(old, new)


def test_promises_lots_and_actuals_are_read(load: Load) -> None:
    plan = load(PLAN)
    fifty = plan.promises["fifty"]
    assert (fifty.kind, fifty.tenant, fifty.gpus, fifty.gpus_range) == ("pledge", "a", 96, (90, 100))
    assert fifty.due_from == datetime(2026, 1, 31, 15, tzinfo=UTC)
    assert plan.promises["wish"].due_from == plan.promises["wish"].at
    assert [lot.counts_toward for lot in plan.deliveries] == [("fifty",), ("fifty", "wish"), ()]
    assert (plan.deliveries[1].gpus, plan.deliveries[1].gpus_range) == (48, (40, 56))
    assert [(a.lot, a.gpus) for a in plan.actuals] == [("l1", 40), ("l1", 8)]
    assert plan.warnings == ()


def test_a_part_without_lot_is_a_remark(load: Load) -> None:
    notes = load(PLAN).notes
    assert "152 of the 200 GPUs of the promise wish have no lot; they never come" in notes
    assert not any("fifty" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "today"),
    [
        (PLAN, datetime(2026, 3, 14, 15, tzinfo=UTC)),
        (changed("as_of: 2026-03-15\n", ""), datetime(2026, 3, 15, 5, tzinfo=UTC)),  # the last of actuals
        (
            changed("as_of: 2026-03-15\n", "").partition("actuals:")[0] + "tenants: {a: {}, b: {}}\n",
            datetime(2025, 12, 31, 15, tzinfo=UTC),  # the start
        ),
    ],
)
def test_today(load: Load, text: str, today: datetime) -> None:
    assert load(text).today == today


L3 = "gpus: 8, at: 2026-05-01"
BAD = {
    "lot of another tenant": (("for: a,\n", "for: b,\n"), "P081", 14),
    "lot without a tenant": (("     for: a, counts", "     counts"), "P082", 16),
    "more arrived than ordered": (("14:00, gpus: 8}", "14:00, gpus: 9}"), "P083", 20),
    "arrived tomorrow": (("2026-03-15 14:00", "2026-03-16"), "P084", 20),
    "ordered after delivery": ((L3, f"ordered: 2026-05-02, status: pledged, {L3}"), "P086", 17),
    "due before it is made": (("until: 2026-11-30", "until: 2026-01-09"), "P080", 9),
    "due before its window": (("2026-02-01, until: 2026-11-30", "2026-02-01, until: 2026-01-31"), "P080", 9),
    "unknown promise": (("[fifty, wish]", "[fifty, wisch]"), "P016", 16),
    "one promise twice": (("[fifty, wish]", "[fifty, fifty]"), "P020", 16),
    "no promise": (("[fifty, wish]", "[]"), "P008", 16),
    "a mapping for a promise": (("[fifty, wish]", "[{a: b}]"), "P008", 16),
    "unknown lot": (("lot: l1, at: 2026-02-10", "lot: l9, at: 2026-02-10"), "P016", 19),
    "unknown tenant of a promise": (("other: {for: b", "other: {for: c"), "P016", 11),
    "no tenant of a promise": (("other: {for: b, ", "other: {"), "P007", 11),
    "no GPUs promised": (("gpus: 8, at: 2026-01-10", "gpus: 0, at: 2026-01-10"), "P010", 11),
    "no GPUs arrived": (("14:00, gpus: 8}", "14:00, gpus: 0}"), "P010", 20),
    "neither pledge nor target": (("kind: target", "kind: wish"), "P015", 10),
    "unknown key": (("kind: target", "knd: target"), "P006", 10),
    "a promise that is a list": (("other: {for: b,", "other: [{for: b}]\n  rest: {for: b,"), "P008", 11),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_meant_is_refused(codes: Codes, name: str) -> None:
    (old, new), code, line = BAD[name]
    assert codes(changed(old, new)) == [f"{code} plan.yaml:{line}"]


@pytest.mark.parametrize(
    ("words", "system", "kind"),
    [
        ("Blackwell", "DGX B200", None),
        ("NVIDIA Blackwell GPUs", "DGX B300", None),  # Blackwell Ultra
        ("Blackwell", "DGX H200", "H200-SXM-141GB GPUs (Hopper)"),
        ("B300", "DGX B200", "B200-SXM GPUs (Blackwell)"),
        ("AI chips", "DGX H200", None),
    ],
)
def test_a_lot_of_another_product_is_told(load: Load, words: str, system: str, kind: str | None) -> None:
    text = changed("other: {for: b,", f"other: {{for: b, product: {words},")
    lot = f"  - {{name: l4, to: lab, system: {system}, gpus: 8, at: 2026-05-01, for: b,"
    lot += " counts_toward: other}\n"
    plan = load(text.replace("actuals:\n", f"{lot}actuals:\n"))
    found = [f.says for f in plan.warnings if f.code == "P097"]
    assert found == ([f"8 {kind} of l4 count toward other, a promise of {words}"] if kind else [])


def test_all_findings_come_at_once_with_numbers_and_fix(load: Load) -> None:
    text = changed("14:00, gpus: 8}", "14:00, gpus: 30}").replace(
        "at: 2026-02-10, gpus: 40", "at: 2026-04-01, gpus: 40"
    )
    with pytest.raises(GpufleetError) as error:
        load(text)
    assert [(f.code, f.says, f.fix) for f in error.value.findings] == [
        (
            "P084",
            "40 GPUs of l1 arrived on 2026-04-01; `as_of` is 2026-03-15",
            "correct the date, or move `as_of`",
        ),
        (
            "P083",
            "70 GPUs of l1 have arrived by then; it holds 48 (22 too many)",
            "correct the count, or make the lot larger (plan.yaml:13)",
        ),
    ]  # fmt: skip


WARNED = {
    "lots are more than the promise": (
        ("value: 96, range: [90, 100]", "value: 90, range: [90, 100]"),
        ("P085", 9, "lots with 96 GPUs count toward fifty, which is 90 (6 more)"),
    ),
    "delivered in the future": (
        (L3, f"status: delivered, {L3}"),
        ("P087", 17, "l3 is delivered as of 2026-03-15; its date is 2026-05-01"),
    ),
    "late": (
        (L3, "gpus: 8, at: 2026-03-01"),
        ("P087", 17, "l3 was due on 2026-03-01 and is only ordered as of 2026-03-15"),
    ),
    "arrived and only ordered": (
        ("status: delivered", "status: ordered"),
        ("P087", 13, "l1 is only ordered; `actuals` say that GPUs of it arrived"),
    ),
    "pledged and ordered": (
        (L3, f"status: pledged, ordered: 2026-03-01, {L3}"),
        ("P087", 17, "l3 is only pledged as of 2026-03-15; it was ordered on 2026-03-01"),
    ),
    "ordered tomorrow": (
        (L3, f"ordered: 2026-03-16, {L3}"),
        ("P087", 17, "l3 is ordered as of 2026-03-15; its order is of 2026-03-16"),
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_hurts_is_a_warning(load: Load, name: str) -> None:
    (old, new), (code, line, says) = WARNED[name]
    assert [(w.code, str(w.at), w.says, w.severity) for w in load(changed(old, new)).warnings] == [
        (code, f"plan.yaml:{line}", says, "warning")
    ]


def test_statuses_are_not_held_against_a_day_that_the_plan_does_not_name(load: Load) -> None:
    text = changed("as_of: 2026-03-15\n", "").partition("actuals:")[0] + "tenants: {a: {}, b: {}}\n"
    assert "P087" not in [w.code for w in load(text).warnings]


def test_a_scenario_adds_a_promise_and_moves_a_lot(load: Load) -> None:
    text = PLAN + (
        "scenarios:\n  slip: {set: {deliveries.l3.at: 2026-07-01, promises.fifty.gpus: 120, "
        "promises.new: {for: b, gpus: 8, at: 2026-01-01, until: 2026-02-01}}}\n"
    )
    plan = load(text, scenarios=["slip"])
    assert (plan.promises["fifty"].gpus, plan.promises["new"].gpus) == (120, 8)
    assert plan.local(plan.deliveries[2].at).month == 7


def test_promises_and_actuals_from_tables(tmp_path: Path) -> None:
    (tmp_path / "promises.csv").write_text("what,who,n\nfifty,a,96\nwish,a,200\nother,b,8\n")
    (tmp_path / "actuals.csv").write_text("lot,day,n\nl1,2026-02-10,40\n")
    (tmp_path / "lots.csv").write_text("lot,n,toward\nl1,48,fifty; wish\nl2,8,\n")
    each = "each: {at: 2026-01-10, until: 2026-12-31}"
    head, rest = PLAN.partition("promises:")[0], "tenants:" + PLAN.partition("tenants:")[2]
    tables = (
        f"promises: {{table: promises.csv, columns: {{name: what, for: who, gpus: n}}, {each}}}\n"
        "deliveries: {table: lots.csv, columns: {name: lot, gpus: n, counts_toward: toward}, "
        "each: {to: lab, system: DGX B200, at: 2026-02-03, status: delivered, for: a}}\n"
        "actuals: {table: actuals.csv, columns: {lot: lot, at: day, gpus: n}}\n"
    )
    (tmp_path / "plan.yaml").write_text(head + tables + rest)
    plan = load_plan(tmp_path / "plan.yaml")
    assert list(plan.promises) == ["fifty", "wish", "other"]
    assert [lot.counts_toward for lot in plan.deliveries] == [("fifty", "wish"), ()]
    assert [(a.lot, a.gpus) for a in plan.actuals] == [("l1", 40)]
    (tmp_path / "actuals.csv").write_text("lot,day,n\nl1,2026-02-10,49\nl7,2026-02-10,1\n")
    with pytest.raises(GpufleetError) as error:
        load_plan(tmp_path / "plan.yaml")
    assert [(f.code, f.at and (f.at.file, f.at.line)) for f in error.value.findings] == [
        ("P016", ("actuals.csv", 3))
    ]


def test_fewer_arrived_than_a_lot_that_is_there_holds(tmp_path: Path) -> None:
    text = """\
gpufleet: 1
name: short
start: 2026-01-01
end: 2026-07-01
as_of: 2026-03-01
sites: {hill: {}}
systems: {box: {product: old, gpus_per_node: 8}}
deliveries:
  - {name: here, to: hill, system: box, gpus: 128, at: 2026-01-20, status: delivered}
  - {name: whole, to: hill, system: box, gpus: 16, at: 2026-01-20, status: delivered}
  - {name: later, to: hill, system: box, gpus: 16, at: 2026-05-01, status: ordered}
actuals:
  - {lot: here, at: 2026-01-20, gpus: 100}
  - {lot: here, at: 2026-01-25, gpus: 20}
  - {lot: whole, at: 2026-01-25, gpus: 16}
tenants: {x: {}}
"""
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    found = [each for each in load_plan(path).warnings if each.code == "P088"]
    assert [(str(each.at), each.says, each.fix) for each in found] == [
        (
            "plan.yaml:14",
            "120 of the 128 GPUs of here have arrived by 2026-03-01; the run counts all of them",
            "add what has arrived, or put the 8 that have not in a lot of their own with a later date",
        )
    ]
