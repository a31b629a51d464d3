"""Laws of the gate, for any bans and licences."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.world.licences import Gate, gate_of

HEAD = """\
gpufleet: 1
name: laws
start: 2024-06-01
end: 2028-01-01
sites: {{cn: {{country: CN, time_zone: Asia/Shanghai}}, sa: {{country: SA}}, kr: {{country: KR}}}}
systems: {{box: {{product: H20, gpus_per_node: 8}}}}
tenants: {{a: {{}}}}
deliveries:
  - {{name: lot, to: {to}, system: {system}, gpus: 800, at: {at}}}
"""
FIRST = date(2025, 1, 1)
days = st.integers(0, 900).map(lambda n: FIRST + timedelta(days=n))
lots = st.sampled_from([("cn", "box"), ("sa", "DGX B300"), ("kr", "DGX B300"), ("cn", "DGX H200")])
lengths = st.integers(1, 400).map(lambda n: timedelta(days=n))


@st.composite
def licences(draw: Any) -> str:
    first, length = draw(days), draw(st.none() | lengths)
    until = f", until: {first + length}" if length else ""
    gpus = draw(st.sampled_from(["", ", gpus: 300", ", gpus: 500", ", gpus: 800"]))
    status = draw(st.sampled_from(["granted", "assumed", "expected"]))
    authority = draw(st.sampled_from(["us_export", "us_export", "cn"]))
    return f"{{from: {first}{until}{gpus}, status: {status}, authority: {authority}}}"


def ban(first: date, length: timedelta, authority: str) -> str:
    return f"{{from: {first}, until: {first + length}, authority: {authority}}}"


def plan_of(lot: tuple[str, str], at: date, held: list[str], bans: list[str]) -> Plan:
    text = HEAD.format(to=lot[0], system=lot[1], at=at)
    if held:
        text += "licences:\n" + "".join(f"  l{n}: {each}\n" for n, each in enumerate(held))
    if bans:
        text += "rules:\n" + "".join(f"  r{n}: {each}\n" for n, each in enumerate(bans))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plan.yaml"
        path.write_text(text)
        return load_plan(path)


def gate(lot: tuple[str, str], at: date, held: list[str], bans: list[str]) -> Gate:
    plan = plan_of(lot, at, held, bans)
    return gate_of(plan, plan.deliveries[0], plan.deliveries[0].at)


def no_earlier(later: datetime | None, earlier: datetime | None) -> bool:
    return later is None or (earlier is not None and earlier <= later)


authorities = st.sampled_from(["us_export", "cn"])


@settings(max_examples=80, deadline=None)
@given(
    lot=lots,
    at=days,
    held=st.lists(licences(), max_size=3),
    first=days,
    length=lengths,
    more=lengths,
    by=authorities,
)
def test_a_longer_ban_never_makes_a_lot_ship_earlier(
    lot: tuple[str, str], at: date, held: list[str], first: date, length: timedelta, more: timedelta, by: str
) -> None:
    short = gate(lot, at, held, [ban(first, length, by)])
    long = gate(lot, at, held, [ban(first, length + more, by)])
    assert no_earlier(long.at, short.at)
    assert no_earlier(short.at, gate(lot, at, held, []).at)


@settings(max_examples=80, deadline=None)
@given(lot=lots, at=days, held=st.lists(licences(), max_size=3), one=licences(), first=days, length=lengths)
def test_a_licence_more_never_makes_a_lot_ship_later(
    lot: tuple[str, str], at: date, held: list[str], one: str, first: date, length: timedelta
) -> None:
    bans = [ban(first, length, "us_export")]
    assert no_earlier(gate(lot, at, held, bans).at, gate(lot, at, [*held, one], bans).at)


@settings(max_examples=80, deadline=None)
@given(lot=lots, at=days, held=st.lists(licences(), max_size=3), first=days, length=lengths)
def test_waits_and_shipments_fill_the_time_and_the_lot(
    lot: tuple[str, str], at: date, held: list[str], first: date, length: timedelta
) -> None:
    plan = plan_of(lot, at, held, [ban(first, length, "us_export")])
    ready = plan.deliveries[0].at
    found = gate_of(plan, plan.deliveries[0], ready)
    shipped = sum(part.gpus for part in found.shipments)
    assert (shipped == 800) == (found.at is not None)
    assert found.at is None or (found.at >= ready and found.at == found.shipments[-1].at)
    moments = [ready]
    for wait in found.waits:
        assert wait.from_ == moments[-1]
        assert wait.says
        assert wait.citation
        moments += [wait.until] if wait.until else []
    if found.at is not None:
        assert moments[-1] == found.at
    else:
        assert found.waits[-1].until is None
    assert all(part.at in moments for part in found.shipments)


@settings(max_examples=60, deadline=None)
@given(lot=lots, at=days, later=lengths, held=st.lists(licences(), max_size=2))
def test_who_is_ready_later_never_ships_earlier(
    lot: tuple[str, str], at: date, later: timedelta, held: list[str]
) -> None:
    plan = plan_of(lot, at, held, [])
    ready = plan.deliveries[0].at
    early, late = (gate_of(plan, plan.deliveries[0], moment) for moment in (ready, ready + later))
    assert no_earlier(late.at, early.at)
