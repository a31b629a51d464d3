"""When lots may be shipped: worked by hand from the rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.world.chain import with_law
from gpufleet.world.licences import Gate, gate_of, gates

PlanOf = Callable[..., Plan]

HEAD = """\
gpufleet: 1
name: test
start: 2025-01-01
end: 2026-06-01
time_zone: Asia/Shanghai
sites: {{cn: {{country: CN}}, kr: {{country: KR}}, sa: {{country: SA}}, open: {{}}}}
systems: {{box: {{product: H20, gpus_per_node: 8}}}}
tenants: {{a: {{}}, us: {{hq: US}}}}
deliveries:
  - {{name: lot, to: {to}, system: {system}, gpus: {gpus}, at: {at}{more}}}
"""


@pytest.fixture
def plan_of(tmp_path: Path) -> PlanOf:
    """Load a plan from its text."""

    def load(text: str) -> Plan:
        path = tmp_path / "plan.yaml"
        path.write_text(text)
        return load_plan(path)

    return load


def day(gate: Gate) -> str | None:
    """The day in Shanghai on which a lot may be shipped."""
    return f"{gate.at.astimezone(ZoneInfo('Asia/Shanghai')):%Y-%m-%d}" if gate.at else None


def gate(
    plan_of: PlanOf,
    at: str,
    rest: str = "",
    *,
    to: str = "cn",
    system: str = "box",
    gpus: int = 800,
    more: str = "",
) -> Gate:
    plan = plan_of(HEAD.format(to=to, system=system, gpus=gpus, at=at, more=more) + rest)
    lot = plan.deliveries[0]
    return gate_of(plan, lot, lot.at)


FIRST = "licences: {first: {to: CN, products: H20, from: 2025-08-08, status: granted, revenue_share: 0.15}}\n"


@pytest.mark.parametrize(
    ("ready", "ships"),
    [
        ("2025-04-08", "2025-04-08"),  # the last free day
        ("2025-04-09", "2025-08-08"),  # stopped by the letters, until the first licences
        ("2025-07-14", "2025-08-08"),  # the approval that is expected ships nothing
        ("2025-08-08", "2025-08-08"),
        ("2025-09-14", "2025-09-14"),  # under licence
        ("2025-09-15", None),  # the buyer's side stops it
    ],
)
def test_the_story_of_the_h20(plan_of: PlanOf, ready: str, ships: str | None) -> None:
    found = gate(plan_of, ready, FIRST)
    assert day(found) == ships


def test_waits_say_why_and_until_when(plan_of: PlanOf) -> None:
    waits = gate(plan_of, "2025-05-01", FIRST).waits
    assert [(wait.from_, wait.until) for wait in waits] == [
        (datetime(2025, 4, 30, 16, tzinfo=UTC), datetime(2025, 7, 13, 16, tzinfo=UTC)),
        (datetime(2025, 7, 13, 16, tzinfo=UTC), datetime(2025, 8, 7, 16, tzinfo=UTC)),
    ]
    assert waits[0].says == ("licence required, banned in practice; the licence first holds from 2025-08-08")
    assert waits[1].says == ("licence required, approval expected; the licence first holds from 2025-08-08")
    assert [str(wait.place) for wait in waits] == ["plan.yaml:11", "plan.yaml:11"]
    assert "company letters, 2025-04-15" in waits[0].citation


def test_practice_gives_licences_three_days_later_without_one_of_the_plan(plan_of: PlanOf) -> None:
    found = gate(plan_of, "2025-05-01")
    assert day(found) == "2025-08-11"
    assert found.shipments[0].revenue_share == 0.15


def test_only_sites_with_a_country_are_held(plan_of: PlanOf) -> None:
    assert day(gate(plan_of, "2025-05-01", to="open")) == "2025-05-01"
    assert day(gate(plan_of, "2025-05-01", to="cn", more=", status: delivered")) == "2025-05-01"
    assert day(gate(plan_of, "2025-05-01", to="kr", system="DGX B300")) == "2025-05-01"


def test_a_licence_for_fewer_gpus_ships_a_part(plan_of: PlanOf) -> None:
    two = (
        "licences:\n"
        "  one: {to: SA, from: 2025-06-01, gpus: 300}\n"
        "  two: {to: SA, from: 2025-07-01, until: 2025-08-01, gpus: 600}\n"
    )
    found = gate(plan_of, "2025-05-01", two, to="sa", system="DGX B300")
    assert [(f"{part.at:%m-%d}", part.gpus, part.licences) for part in found.shipments] == [
        ("05-31", 300, ("one",)),
        ("06-30", 500, ("two",)),
    ]
    assert found.at == found.shipments[-1].at
    assert [wait.says for wait in found.waits] == [
        "licence required, presumption of approval; the licence one holds from 2025-06-01",
        "licence required, presumption of approval; the 300 GPUs of the licence one are used up",
    ]


def test_lots_take_from_a_ceiling_in_the_order_of_the_plan(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD.format(to="sa", system="DGX B300", gpus=300, at="2025-06-01", more="")
        + "  - {name: second, to: sa, system: DGX B300, gpus: 300, at: 2025-05-01}\n"
        "licences: {all: {to: SA, from: 2025-04-01, gpus: 400}}\n"
    )
    found = gates(plan).planned
    assert [(part.gpus, part.licences) for part in found["second"].shipments] == [(300, ("all",))]
    assert [(part.gpus, part.licences) for part in found["lot"].shipments] == [(100, ("all",))]
    assert found["lot"].at is None


def test_an_exception_that_hangs_on_what_is_not_known_is_not_decided(plan_of: PlanOf) -> None:
    """TPP 5,000 to China: denial for a data-centre part, else an exception."""
    text = HEAD.format(to="cn", system="own", gpus=8, at="2024-06-01", more=", status: ordered")
    text = text.replace("start: 2025", "start: 2024").replace(
        "{box:", "{own: {product: our-chip, gpus_per_node: 8}, box:"
    )
    lot = "export: {tpp: 5000, mem_bw_gbps: 500, io_gbps: 64, performance_density: 1"
    closed = gates(plan_of(text.replace("ordered}", f"ordered, {lot}}}}}"))).planned["lot"]
    assert closed.at is None
    assert closed.waits[0].says == "not decided: dc_marketed not known"
    known = gates(plan_of(text.replace("ordered}", f"ordered, {lot}, dc_marketed: false}}}}"))).planned["lot"]
    assert day(known) == "2024-06-01"
    marketed = gates(plan_of(text.replace("ordered}", f"ordered, {lot}, dc_marketed: true}}}}"))).planned[
        "lot"
    ]
    assert marketed.at is None
    assert marketed.waits[0].says == "licence required, presumption of denial; the plan has no licence for it"
    chosen = text.replace("ordered}", f"ordered, {lot}}}}}") + "unknown_law: open\n"
    assert day(gates(plan_of(chosen)).planned["lot"]) == "2024-06-01"


def test_ranges_of_dates_have_ends(plan_of: PlanOf) -> None:
    """A licence late and short, a ban early and long: the worst; the other ends: the best."""
    text = HEAD.format(to="sa", system="DGX B300", gpus=8, at="2025-02-01", more="") + (
        "licences: {l: {to: SA, from: {value: 2025-05-01, range: [2025-04-01, 2025-06-01]}}}\n"
        "rules: {r: {to: KR, from: {value: 2025-05-01, range: [2025-04-01, 2025-06-01]},\n"
        "  until: {value: 2025-07-01, range: [2025-06-15, 2025-08-01]}},\n"
        "  gone: {repeals: US-2023-10-17, from: {value: 2025-05-10, range: [2025-05-01, 2025-05-20]}}}\n"
    )
    plan = plan_of(text)
    found = [
        (
            plan.licences["l"].at_end(end).from_,
            plan.rules["r"].at_end(end).from_,
            plan.rules["r"].at_end(end).until,
            plan.rules["gone"].at_end(end).from_,
        )
        for end in (0, 1)
    ]
    days = [[f"{plan.local(each):%m-%d}" for each in row if each] for row in found]
    assert days == [["06-01", "04-01", "08-01", "05-20"], ["04-01", "06-01", "06-15", "05-01"]]
    whole = gates(plan).planned["lot"].at
    ends = [
        gates(
            plan.model_copy(
                update={
                    "licences": {name: each.at_end(end) for name, each in plan.licences.items()},
                    "rules": {name: each.at_end(end) for name, each in plan.rules.items()},
                }
            )
        )
        .planned["lot"]
        .at
        for end in (0, 1)
    ]
    assert [f"{plan.local(each):%m-%d}" for each in (*ends, whole) if each] == ["05-20", "04-01", "05-01"]


def test_a_rule_that_is_repealed_for_a_time(plan_of: PlanOf) -> None:
    """The letters of April 2025 withdrawn in June: free then, and stopped again after."""
    gone = "rules: {gone: {repeals: US-2025-04-09, from: 2025-06-01, until: 2025-06-11}}\n"
    for ready, ships in (
        ("2025-05-01", "2025-06-01"),
        ("2025-06-10", "2025-06-10"),
        ("2025-06-11", "2025-08-11"),
        ("2025-04-08", "2025-04-08"),
    ):
        assert day(gate(plan_of, ready, gone)) == ships


def test_a_hypothetical_ban_holds_whatever_practice_there_is(plan_of: PlanOf) -> None:
    ban = "rules: {ban: {to: CN, products: H20, from: 2025-08-20, until: 2025-09-01}}\n"
    found = gate(plan_of, "2025-08-20", ban)
    assert day(found) == "2025-09-01"
    assert found.waits[0].citation == "rules.ban (plan.yaml:11, hypothetical)"
    assert found.waits[0].hypothetical
    assert str(found.waits[0].place) == "plan.yaml:11"


def test_no_border_no_export(plan_of: PlanOf) -> None:
    """A Chinese part to a Chinese site crosses no border; one from elsewhere does."""
    text = HEAD.format(to="cn", system="own", gpus=8, at="2025-05-01", more="{}").replace(
        "{box:", "{own: {product: Ascend-910B, gpus_per_node: 8}, box:"
    )
    assert day(gates(plan_of(text.replace("{}", ""))).planned["lot"]) == "2025-05-01"
    abroad = gates(plan_of(text.replace("at: 2025-05-01{}", "at: 2025-05-01, ships_from: MY"))).planned["lot"]
    assert abroad.at is None


def test_who_buys(plan_of: PlanOf) -> None:
    """Headquarters: of the buyer, else of the tenant, else of the country of the site."""
    chinese = "licence required, presumption of denial; the plan has no licence for it"
    for more, says in (
        ("", None),
        (", buyer: {hq: CN}", chinese),
        (", for: cn", chinese),
        (", for: cn, buyer: {hq: KR}", None),
    ):
        text = HEAD.format(to="kr", system="DGX B300", gpus=8, at="2025-05-01", more=more)
        found = gates(
            plan_of(text.replace("us: {{hq: US}}", "").replace("{a: {},", "{cn: {hq: CN},"))
        ).planned["lot"]
        assert [wait.says for wait in found.waits[:1]] == ([says] if says else [])


def test_a_named_buyer_up_to_its_quantity(plan_of: PlanOf) -> None:
    """Up to 35,000 GB300 equivalents, of TPP 60,000 each (B300: 54,000); lots before it count."""
    text = HEAD.format(to="sa", system="DGX B300", gpus=8000, at="2025-12-01", more=", buyer: {name: humain}")
    plan = plan_of(
        text
        + "  - {name: second, to: sa, system: DGX B300, gpus: 35000, at: 2026-01-01, buyer: {name: HUMAIN}}\n"
    )
    found = gates(plan)
    one, two = (found.law.inputs(lot)["quantity"] for lot in plan.deliveries)
    assert one == pytest.approx(8_000 * 54_000 / 60_000)
    assert isinstance(one, float)
    assert two == pytest.approx(one * 43_000 / 8_000)
    assert one < 35_000 < two
    assert day(found.planned["lot"]) == "2025-12-01"
    assert found.planned["second"].at is None


def test_an_ordered_lot_is_asked_about_when_it_is_to_come(plan_of: PlanOf) -> None:
    """Its order says nothing of when it is made: it is shipped for the day that the plan writes."""
    text = HEAD.format(to="cn", system="box", gpus=800, at="2025-05-01", more=", ordered: 2025-01-15")
    plan = with_law(plan_of(text + "licences: {first: {to: CN, from: 2025-08-08, status: granted}}\n"))
    lot = plan.deliveries[0]
    assert [f"{plan.local(moment):%Y-%m-%d}" for moment in (lot.at, lot.ordered) if moment] == [
        "2025-08-08",
        "2025-01-15",
    ]
