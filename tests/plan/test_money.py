"""Money in a plan: what it means, and what is said of what cannot be meant."""

from __future__ import annotations

from fractions import Fraction

import pytest
from tests.plan.conftest import Load

from gpufleet.base.errors import GpufleetError
from gpufleet.base.money import Money
from gpufleet.plan.money_lots import catalogue_price, dues, selected


def refused(load: Load, text: str) -> list[str]:
    """The codes of what is wrong, and all that is said."""
    with pytest.raises(GpufleetError) as error:
        load(text)
    return [f"{found.code} {found.says}" for found in error.value.findings]


def test_a_plan_with_every_key(load: Load, money: str) -> None:
    plan = load(money)
    assert plan.money is not None
    servers = plan.money.costs["servers"]
    assert servers.paid_by == {"chips": Fraction(1, 2), "operator": Fraction(1, 2)}
    assert [lot.name for lot in selected(plan, servers)] == ["lot-1"]
    assert [(due.gpus, due.at_s) for due in dues(plan, servers, plan.deliveries[0])] == [(64, 31 * 86_400)]
    assert plan.money.payer_of("chips") == "state"
    assert servers.is_asset
    assert not plan.money.costs["care"].is_asset


def test_the_catalogue_knows_prices(load: Load, money: str) -> None:
    plan = load(money)
    step = catalogue_price(plan, plan.deliveries[0])
    assert step is not None
    assert step.price == Money(56_250_000_000, "USD", "GPU")  # 450,000 USD for a server of 8
    assert (step.low.micro, step.high.micro) == (43_750_000_000, 68_750_000_000)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("KRW/JPY: 9.1", "KRW/XYZ: 9.1", "P016", "no pair of two currencies"),
        ("KRW/JPY: 9.1", "USD/KRW: 0.001", "P020", "the other way round"),
        ("KRW/USD: [{from: 2025-01-01, value: 1400, source: a, trust: stated}], ", "", "P240", "USD is"),
        ("from: 2025-01-01, value: 1400", "from: 2026-05-01, value: 1400", "P240", "there is no rate"),
        ("{chips: 0.5, operator: 0.5}", "{chips: 0.5, operator: 0.4}", "P241", "sum to 0.9"),
        ("{chips: 0.5, operator: 0.5}", "{chipz: 0.5, operator: 0.5}", "P016", "no payer or funding line"),
        ("paid_by: operator}", "}", "P007", "no `paid_by`"),
        ("5 GKRW", "-5 GKRW", "P244", "below 0"),
        ("5 GKRW", "5 Gwon", "P247", "no currency that is known"),
        ("5 GKRW", "5000000", "P247", "has no currency"),
        ("5 GKRW", "5 GKRW/house", "P247", "is a price per house"),
        ("5 GKRW, at: 2026-01-10", "5 GKRW", "P007", "has no date"),
        ("months: 9-5", "months: 10-5", "P245", "of 576 hours have no price; the first: month 9"),
        ("months: 9-5", "months: 8-5", "P245", "have two prices; the first: month 8"),
        ("from: 2026-01-01, value: 90", "from: 2026-03-01, value: 90", "P245", "one is needed from"),
        ("hours: 9-23", "hours: 9-25", "P011", "no span from 0 to 23"),
        ("share: 0.1, of: servers", "share: 0.1", "P007", "only one of `share` and `of`"),
        ("of: servers, each: once", "of: care, each: once", "P250", "which is paid over time"),
        ("2026: 5 TKRW", "2026: 0.5 TKRW", "P243", "the parts of all have"),
        ("2026: 5 TKRW", "26: 5 TKRW", "P012", "is no year"),
        ("within: all", "within: chips", "P243", "within itself"),
        ("left: 0.05", "left: 0", "P252", "nothing left at the end"),
        ("currency: KRW", "currency: WON", "P016", "no currency that is known"),
        ("price: 150 KRW/kWh", "price: 0.1 USD/kWh", "P247", "the bands are in KRW, USD"),
        ("payer: state, ceilings: {2026: 5", "payer: stat, ceilings: {2026: 5", "P016", "no payer `stat`"),
        ("tariff: two", "tariff: three", "P016", "no tariff `three`"),
        ("hours: online", "hours: all", "P015", "is not one of"),
        ("until: 2027-01-01", "until: 2026-02-01", "P022", "is not after"),
        ("life: 5 y", "life: 500 y", "P011", "at most 100 years"),
        ("operator: {}", "operator: {}, chips: {}", "P020", "is a payer and a funding line"),
        ("load: 0.8", "load: 0.8, life: 3 y", "P024", "`life` has an effect with a cost that buys"),
        ("load: 0.8", "load: 0.8, lots: lot-1", "P024", "`lots` has an effect with a price for lots"),
        ("at: 2026-01-10", "at: 2026-01-10, due: ordered", "P024", "`due` has an effect with a price"),
        ("at: 2026-01-10", "at: 2026-01-10, load: 0.5", "P024", "`load` has an effect with a price for"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(load: Load, money: str, old: str, new: str, code: str, words: str) -> None:
    assert old in money
    if old == "left: 0.05":
        money = money.replace("      left: 0.1\n", "")
    said = refused(load, money.replace(old, new, 1))
    assert any(line.startswith(code) and words in line for line in said), said


def test_hardware_is_paid_once(load: Load, money: str) -> None:
    more = money.replace(
        "    hall: {kind", "    again: {kind: hardware, price: 1 GKRW/node, paid_by: state}\n    hall: {kind"
    )
    assert any("P242 1 lot is paid by servers and by again: lot-1" in line for line in refused(load, more))


def test_a_price_that_nobody_knows(load: Load, money: str) -> None:
    own = money.replace("system: DGX B200", "system: box").replace(
        "tenants:", "systems: {box: {product: chip, gpus_per_node: 8, node_power: 1 kW}}\ntenants:"
    )
    own = own.replace("systems: DGX B200", "systems: box").replace("products: B200", "products: chip")
    assert any("P246 the catalogue has no price of box" in line for line in refused(load, own))


def test_energy_needs_a_rating(load: Load, money: str) -> None:
    own = (
        money.replace("system: DGX B200", "system: box")
        .replace("power: 1 MW, pue: 1.2", "")
        .replace("tenants:", "systems: {box: {product: chip, gpus_per_node: 8}}\ntenants:")
    )
    own = own.replace("systems: DGX B200", "systems: box").replace("products: B200", "products: chip")
    own = own.replace("price: catalogue", "price: 1 GKRW/node")
    assert any("P251 no rated power of box is known" in line for line in refused(load, own))


def test_what_is_for_nothing_is_told(load: Load, money: str) -> None:
    plan = load(
        money.replace("      sites: hall\n", "").replace("for: research", "for: research, lots: lot-1")
    )
    assert "P248" in {found.code for found in plan.warnings}  # lot-1 is nobody's
    unused = load(money.replace("{chips: 0.5, operator: 0.5}", "{state: 0.5, operator: 0.5}"))
    assert any(found.code == "P249" and "chips" in found.says for found in unused.warnings)


def test_what_nothing_names_and_what_is_too_late_is_told(load: Load, money: str) -> None:
    plan = load(money.replace("operator: {}}", "operator: {}, nobody: {}}"))
    assert any(found.code == "P249" and "nothing names `nobody`" in found.says for found in plan.warnings)
    late = load(money.replace("at: 2026-01-10", "at: 2031-01-10"))
    assert any(found.code == "P248" and "plan's time" in found.says for found in late.warnings)
