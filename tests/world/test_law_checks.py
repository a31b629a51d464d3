"""What is said of export law in a plan before it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan.load import load_plan
from gpufleet.world.law_checks import law_findings

PLAN = """\
gpufleet: 1
name: law
start: 2025-01-01
end: 2026-06-01
time_zone: Asia/Shanghai
sites: {cn: {country: CN}, sa: {country: SA}, vn: {country: VN}, kr: {country: KR}, open: {}}
systems:
  box: {product: H20, gpus_per_node: 8}
  own: {product: our-chip, gpus_per_node: 8}
tenants: {a: {}}
deliveries:
"""
H20 = "  - {name: lot, to: cn, system: box, gpus: 800, at: 2025-05-01}\n"
B300 = "  - {name: lot, to: sa, system: DGX B300, gpus: 800, at: 2025-07-01}\n"

Found = Callable[[str], list[str]]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Findings of a plan: code, place, text, fix."""

    def of(text: str) -> list[str]:
        path = tmp_path / "plan.yaml"
        path.write_text(PLAN + text)
        findings, _ = law_findings(load_plan(path))
        return [f"{each.code} {each.at}: {each.says} -> {each.fix}" for each in findings]

    return of


def test_a_lot_that_waits(found: Found) -> None:
    licence = "licences: {first: {to: CN, from: 2025-08-08, status: granted}}\n"
    assert found(H20 + licence) == [
        "P223 plan.yaml:12: lot (800 GPUs) waits from 2025-05-01 to 2025-08-08: licence required, banned in "
        "practice; the licence first holds from 2025-08-08 (company letters, 2025-04-15) -> add the licence "
        "that it ships under, or plan it for 2025-08-08"
    ]


def test_a_lot_that_law_holds_is_late_for_that_reason(found: Found) -> None:
    today = "as_of: 2026-03-01\n"
    assert [each[:4] for each in found(H20 + today)] == ["P223"]
    free = found(H20.replace("2025-05-01", "2025-03-01") + today)
    assert free == [
        "P087 plan.yaml:12: lot was due on 2025-03-01 and is only ordered as of 2026-03-01 -> correct the "
        "status, the date or `as_of`"
    ]


def test_a_lot_that_never_ships(found: Found) -> None:
    assert found(B300) == [
        "P224 plan.yaml:12: lot: 800 GPUs never ship, from 2025-07-01 on: licence required, presumption of "
        "approval; the plan has no licence for it (88 FR 73458) -> add a licence for it, or another "
        "destination, product or date"
    ]


def test_an_expected_licence_ships_nothing(found: Found) -> None:
    (one,) = found(B300 + "licences: {hope: {to: SA, from: 2025-06-01, status: expected}}\n")
    assert one.startswith("P224 plan.yaml:12: lot: 800 GPUs never ship, from 2025-07-01 on: ")
    assert "the licence hope is only expected and ships nothing" in one
    assert found(B300 + "licences: {hope: {to: SA, from: 2025-06-01, status: assumed}}\n") == []


@pytest.mark.parametrize(
    ("chosen", "codes"), [("", ["P224", "P225"]), ("closed", ["P224", "P225"]), ("open", ["P225"])]
)
def test_the_plan_chooses_where_the_law_is_not_decided(found: Found, chosen: str, codes: list[str]) -> None:
    lot = "  - {name: lot, to: vn, system: own, gpus: 8, at: 2025-07-01}\n"
    said = found(lot + (f"unknown_law: {chosen}\n" if chosen else ""))
    assert [each[:4] for each in said] == codes
    assert "tpp" in said[-1]
    known = lot.replace("}", ", export: {tpp: 1200}}")
    assert found(known) == []


def test_a_licence_that_no_lot_can_use(found: Found) -> None:
    lot = B300.replace("sa", "kr")
    says = "no lot to a site with a country can use the licence"
    for licence in ("to: CN", "products: H20", "systems: box", "buyer: G42"):
        (one,) = found(lot + f"licences: {{ours: {{{licence}, from: 2025-01-01}}}}\n")
        assert one.startswith(f"P226 plan.yaml:13: {says} ours ->")


def test_a_rule_that_changes_nothing(found: Found) -> None:
    lot = B300.replace("sa", "kr")
    early = "rules: {feared: {to: KR, from: 2024-01-01, until: 2025-01-01}}\n"
    assert found(lot + early)[0].startswith(
        "P227 plan.yaml:13: the rule feared is never in force between 2025-01-01 and 2026-06-01 ->"
    )
    elsewhere = "rules: {feared: {to: CN, from: 2025-02-01}}\n"
    assert found(lot + elsewhere)[0].startswith("P227 plan.yaml:13: the rule feared is about no lot of the")


def test_a_rule_that_cannot_be_read(found: Found) -> None:
    (one,) = found(H20 + "rules:\n  feared:\n    to: CN\n    from: 2025-02-01\n    when: tpp=>4800\n")
    assert one.startswith("P222 plan.yaml:17: `when`: at character 4: ")
    (one,) = found(H20 + "rules: {feared: {to: CN, from: 2025-02-01, when: tpq >= 1}}\n")
    assert one == "P222 plan.yaml:13: `when`: `tpq` is nothing that a rule may read -> did you mean `tpp`?"


def test_what_nobody_asks(found: Found) -> None:
    lot = "  - {name: lot, to: open, system: box, gpus: 8, at: 2025-07-01, buyer: {name: X}}\n"
    assert found(lot) == [
        "P228 plan.yaml:12: lot has buyer; its site open has no country -> add `country` to sites.open, or "
        "leave it out"
    ]


def test_a_product_of_which_only_the_name_is_known(found: Found) -> None:
    lot = "  - {name: lot, to: vn, system: own, gpus: 8, at: 2025-07-01, unknown_law: open}\n"
    said = found(lot + "licences: {ours: {products: our-chip, from: 2025-01-01}}\n")
    assert [each[:16] for each in said] == ["P225 plan.yaml:1", "P229 plan.yaml:1"]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("licences: {x: {to: CN, from: 2025-03-01, until: 2025-02-01}}", "P220"),
        ("licences: {x: {to: CN, applied: 2025-03-01, takes: 60 d, until: 2025-04-01}}", "P220"),
        ("licences: {x: {to: CN}}", "P007"),
        ("licences: {x: {to: CN, from: 2025-03-01, takes: 60 d}}", "P023"),
        ("licences: {x: {to: Chna, from: 2025-03-01}}", "C040"),
        ("licences: {x: {products: H2O, from: 2025-03-01}}", "C001"),
        ("licences: {x: {status: hoped, from: 2025-03-01}}", "P015"),
        ("licences: {x: {gpus: 0, from: 2025-03-01}}", "P010"),
        ("licences: {x: {revenue_share: 15, from: 2025-03-01}}", "P011"),
        ("rules: {x: {from: 2025-03-01, until: 2025-03-01}}", "P220"),
        ("rules: {x: {from: 2025-03-01, policy: buyer_side_ban}}", "P221"),
        ("rules: {x: {from: 2025-03-01, repeals: US-2025-04-10}}", "P016"),
        ("rules: {x: {from: 2025-03-01, to: UK}}", "C040"),
        ("unknown_law: maybe", "P015"),
    ],
)
def test_what_cannot_be_meant(found: Found, text: str, finding: str) -> None:
    with pytest.raises(GpufleetError) as error:
        found(H20 + text + "\n")
    (only,) = error.value.findings
    assert only.code == finding
    assert str(only.at) == "plan.yaml:13"
    assert only.fix


def test_every_code_is_explained() -> None:
    from gpufleet.codes import all_codes

    assert {f"P22{n}" for n in range(10)} <= set(all_codes())
