"""A plan whose staircase is worked out by hand, and plans made at random."""

from __future__ import annotations

from hypothesis import strategies as st

BY_HAND = """\
gpufleet: 1
name: stairs
start: 2026-01-01
end: 2026-07-01
time_zone: Asia/Seoul
as_of: 2026-02-15
sites:
  hill:
    power: [{from: 2026-01-01, value: 40 kW}, {from: 2026-04-15, value: 60 kW}]
    pue: 1.0
  sea: {}
systems:
  box: {product: old, gpus_per_node: 8, node_power: 10 kW}
  rack: {product: new, gpus_per_node: 4, nodes_per_domain: 3, node_power: 5 kW}
promises:
  big: {for: x, gpus: {value: 100, range: [90, 110]}, at: 2026-01-10, from: 2026-02-01,
     until: 2026-05-31}
  small: {for: x, kind: target, gpus: 10, at: 2026-03-31, until: 2026-04-01}
deliveries:
  - {name: a, to: hill, system: box, gpus: 32, at: 2026-01-20, status: delivered, for: x,
     ordered: 2025-12-01, counts_toward: big, trust: stated}
  - name: b
    to: hill
    system: rack
    gpus: {value: 20, range: [12, 28], trust: estimate}
    at: {value: 2026-03-10, range: [2026-02-10, 2026-05-10], trust: assumption}
    for: x
    counts_toward: [big, small]
  - {to: sea, system: box, gpus: 12, at: 2026-05-31 23:00, status: pledged, for: y}
retirements:
  - {from: hill, system: box, gpus: 16, at: 2026-06-10}
actuals:
  - {lot: a, at: 2026-01-25, gpus: 24}
tenants: {x: {}, y: {}}
workloads:
  one: {kind: campaign, queue: x, gpus: 8, duration: 1 d, at: 2026-02-10}
"""
"""Power at hill: four boxes of lot a take its 40 kW. From 15 April there are 20 kW more: of lot b one rack
(12 GPUs, 15 kW) fits, its part of a second one (8 GPUs, 10 kW) not. On 10 June two boxes leave.
"""

STEPS = {
    "a": {"ordered": [32] * 6, "delivered": [32] * 6, "powered": [32] * 6, "online": [32] * 5 + [16]},
    "b": {
        "ordered": [0, 20, 20, 20, 20, 20],
        "delivered": [0, 0, 20, 20, 20, 20],
        "powered": [0, 0, 0, 12, 12, 20],
        "online": [0, 0, 0, 12, 12, 20],
    },
    "#3": {step: [0, 0, 0, 0, 12, 12] for step in ("ordered", "delivered", "powered", "online")},
}
B_LOW = {
    "ordered": [0, 12, 12, 12, 12, 12],
    "delivered": [0, 0, 0, 0, 12, 12],
    "powered": [0, 0, 0, 0, 12, 12],
    "online": [0, 0, 0, 0, 12, 12],
}
B_HIGH = {
    "ordered": [0, 28, 28, 28, 28, 28],
    "delivered": [0, 28, 28, 28, 28, 28],
    "powered": [0, 0, 0, 12, 12, 28],
    "online": [0, 0, 0, 12, 12, 28],
}

_MONTHS = st.integers(1, 12)


@st.composite
def _lots(draw: st.DrawFn) -> str:
    """One lot as a line of YAML: count and date with ranges, an order, a promise or two."""
    gpus = sorted(draw(st.lists(st.integers(1, 70), min_size=3, max_size=3)))
    months = sorted(draw(st.lists(_MONTHS, min_size=3, max_size=3)))
    days = [f"2026-{month:02}-{draw(st.integers(1, 28)):02}" for month in months]
    first, at, last = sorted(days)
    ordered = f", ordered: {draw(st.sampled_from(['2025-11-01', first]))}" if draw(st.booleans()) else ""
    towards = draw(st.sampled_from(["", "", ", for: x, counts_toward: p", ", for: x, counts_toward: [p, q]"]))
    site, system = draw(st.sampled_from(["hill", "sea"])), draw(st.sampled_from(["box", "rack"]))
    return (
        f"  - {{to: {site}, system: {system}, "
        f"gpus: {{value: {gpus[1]}, range: [{gpus[0]}, {gpus[2]}]}}, "
        f"at: {{value: {at}, range: [{first}, {last}]}}, "
        f"status: {draw(st.sampled_from(['pledged', 'ordered']))}{ordered}{towards}}}\n"
    )


@st.composite
def plans(draw: st.DrawFn) -> str:
    """A plan of a year with two sites, power that comes and goes, lots, retirements and two promises."""
    powers = [draw(st.integers(0, 120)) for _ in range(3)]
    retired = draw(
        st.lists(st.tuples(st.sampled_from(["box", "rack"]), _MONTHS, st.integers(1, 40)), max_size=2)
    )
    leaves = "".join(
        f"  - {{from: hill, system: {system}, gpus: {gpus}, at: 2026-{month:02}-17}}\n"
        for system, month, gpus in retired
    )
    p, q, until = (draw(st.integers(*most)) for most in ((1, 200), (1, 200), (4, 12)))
    lots = "".join(draw(st.lists(_lots(), min_size=1, max_size=5)))
    return f"""\
gpufleet: 1
name: random
start: 2026-01-01
end: 2027-01-01
as_of: 2026-01-01
sites:
  hill:
    power: [{{from: 2026-01-01, value: {powers[0]} kW}}, {{from: 2026-05-09, value: {powers[1]} kW}},
            {{from: 2026-09-21, value: {powers[2]} kW}}]
    pue: 1.25
  sea: {{}}
systems:
  box: {{product: old, gpus_per_node: 8, node_power: 10 kW}}
  rack: {{product: new, gpus_per_node: 4, nodes_per_domain: 3, node_power: 5 kW}}
promises:
  p: {{for: x, gpus: {p}, at: 2026-03-05, until: 2026-{until:02}-20}}
  q: {{for: x, gpus: {q}, at: 2025-03-05, until: 2028-01-01}}
deliveries:
{lots}retirements:
{leaves or "  []"}
tenants: {{x: {{}}}}
"""
