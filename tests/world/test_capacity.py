from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError
from gpufleet.world.capacity import Fleet, capacity_of
from gpufleet.world.layout import DRAIN, KILL, UP
from gpufleet.world.names import Names

DAY = 86400
SYSTEMS = """
systems:
  box: {product: B200-SXM, gpus_per_node: 8, nodes_per_domain: 1, node_power: 10 kW}
  rack: {product: GB200, gpus_per_node: 4, nodes_per_domain: 2, node_power: 20 kW}
  dark: {product: H200-SXM-141GB, gpus_per_node: 8, nodes_per_domain: 1}
tenants: {a: {}, b: {}}
"""


def fleet_of(plan):
    return capacity_of(plan, Names.of(plan))


def events(fleet: Fleet) -> list[tuple[float, int, int, int, int]]:
    """(day, kind, first node, nodes, lot)"""
    return [
        (t / DAY, kind, first, n, lot)
        for t, kind, first, n, lot in zip(*(column.tolist() for column in fleet.capacity), strict=True)
    ]


def test_a_delivery_is_nodes_of_one_cell(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{lab: {{}}}}
deliveries: [{{name: x, to: lab, system: box, gpus: 24, at: 2026-01-03}}]
""")
    )
    assert fleet.nodes.size.tolist() == [8, 8, 8]
    assert fleet.nodes.domain.tolist() == [0, 1, 2]
    assert fleet.cells.n_nodes.tolist() == [3]
    assert fleet.cells.gpus_per_node.tolist() == [8]
    assert events(fleet) == [(2, UP, 0, 3, 0)]
    assert not fleet.findings


def test_a_part_of_a_node_and_of_a_rack_is_kept(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{lab: {{}}}}
deliveries:
  - {{name: boxes, to: lab, system: box, gpus: 12, at: 2026-01-01}}
  - {{name: racks, to: lab, system: GB200 NVL72, gpus: 50000, at: 2026-01-01}}
""")
    )
    boxes = fleet.nodes.cell == 0
    assert fleet.nodes.size[boxes].tolist() == [8, 4]
    assert int(fleet.nodes.size[~boxes].sum()) == 50000
    racks = np.bincount(fleet.nodes.domain[~boxes] - 2)
    assert racks.tolist() == [18] * 694 + [8]


def test_cells_are_sites_products_owners_and_node_sizes(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{north: {{}}, south: {{}}}}
deliveries:
  - {{name: n2, to: north, system: box, gpus: 8, at: 2026-01-09}}
  - {{name: s, to: south, system: box, gpus: 8, at: 2026-01-01}}
  - {{name: own, to: north, system: box, gpus: 8, at: 2026-01-01, for: b}}
  - {{name: n1, to: north, system: box, gpus: 16, at: 2026-01-05}}
  - {{name: r, to: north, system: rack, gpus: 12, at: 2026-01-05}}
""")
    )
    cells = list(zip(*(c.tolist() for c in fleet.cells[3:6]), strict=True))
    assert cells == [(0, 0, -1), (0, 0, 1), (1, 0, -1), (0, 1, -1)]  # product, site, owner
    assert fleet.cells.first_node.tolist() == [0, 3, 4, 7]
    # in the first cell the earlier delivery stands first, though the plan lists it later
    assert [e for e in events(fleet) if e[2] < 3] == [(4, UP, 0, 2, 3), (8, UP, 2, 1, 0)]
    assert fleet.nodes.domain.tolist() == [0, 1, 2, 3, 4, 4, 5, 6]


def test_power_brings_units_online_in_delivery_order(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites:
  lab:
    power: [{{from: 2026-01-01, value: 50 kW}}, {{from: 2026-01-11, value: 200 kW}}]
    pue: 1.25
deliveries:
  - {{name: first, to: lab, system: box, gpus: 24, at: 2026-01-02}}
  - {{name: racks, to: lab, system: rack, gpus: 16, at: 2026-01-03}}
  - {{name: late, to: lab, system: box, gpus: 8, at: 2026-01-04}}
""")
    )
    # 3 boxes draw 37.5 kW; a rack of two nodes needs 50 kW more; the last box would fit but waits its turn
    assert events(fleet) == [(1, UP, 0, 3, 0), (10, UP, 3, 1, 2), (10, UP, 4, 4, 1)]
    assert [(s.from_s // DAY, s.lot, s.gpus) for s in fleet.shortages] == [
        (2, 1, 16),
        (3, 2, 8),
        (10, 1, 0),
        (10, 2, 0),
    ]
    assert fleet.shortages[0].need_w == pytest.approx(137.5e3)
    assert fleet.shortages[0].short_w == pytest.approx(87.5e3)


def test_when_power_falls_the_last_ones_go_and_come_back(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites:
  lab:
    power:
      - {{from: 2026-01-01, value: 40 kW}}
      - {{from: 2026-01-05, value: 25 kW}}
      - {{from: 2026-01-09, value: 30 kW}}
    pue: 1.0
deliveries: [{{name: x, to: lab, system: box, gpus: 32, at: 2026-01-01}}]
""")
    )
    assert events(fleet) == [(0, UP, 0, 4, 0), (4, DRAIN, 2, 2, -1), (8, UP, 2, 1, 0)]


def test_before_the_first_step_of_power_there_is_none(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{lab: {{power: [{{from: 2026-01-05, value: 40 kW}}], pue: 1.0}}}}
deliveries: [{{name: x, to: lab, system: box, gpus: 8, at: 2026-01-01}}]
""")
    )
    assert events(fleet) == [(4, UP, 0, 1, 0)]


def test_a_retirement_takes_the_oldest_and_frees_power(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{lab: {{power: 20 kW, pue: 1.0}}}}
deliveries:
  - {{name: new, to: lab, system: box, gpus: 16, at: 2026-01-05}}
  - {{name: old, to: lab, system: box, gpus: 16, at: 2026-01-01}}
retirements: [{{from: lab, system: box, gpus: 8, at: 2026-01-10, mode: kill}}]
""")
    )
    # nodes 0 and 1 are `old`, 2 and 3 are `new`
    assert events(fleet) == [(0, UP, 0, 2, 1), (9, UP, 2, 1, 0), (9, KILL, 0, 1, 2)]
    assert not fleet.findings


def test_a_killing_retirement_reaches_nodes_that_lost_their_power(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{lab: {{power: [{{from: 2026-01-01, value: 20 kW}}, {{from: 2026-01-05, value: 5 kW}}], pue: 1.0}}}}
deliveries: [{{name: x, to: lab, system: box, gpus: 16, at: 2026-01-01}}]
retirements: [{{from: lab, system: box, gpus: 16, at: 2026-01-10, mode: kill}}]
""")
    )
    assert events(fleet) == [(0, UP, 0, 2, 0), (4, DRAIN, 0, 2, -1), (9, KILL, 0, 2, 1)]


def test_a_retirement_may_be_of_one_owner(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{lab: {{}}}}
deliveries:
  - {{name: shared, to: lab, system: box, gpus: 8, at: 2026-01-01}}
  - {{name: own, to: lab, system: box, gpus: 8, at: 2026-01-02, for: b}}
retirements: [{{from: lab, system: box, gpus: 8, at: 2026-01-10, mode: drain, for: b}}]
""")
    )
    assert events(fleet)[-1] == (9, DRAIN, 1, 1, 2)


@pytest.mark.parametrize(
    ("gpus", "code", "words"),
    [(64, "P061", "16 are there"), (12, "P062", "16 leave, in whole nodes of 8")],
)
def test_a_retirement_that_does_not_come_out_even_is_said(plan_of, gpus, code, words):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{lab: {{}}}}
deliveries: [{{name: x, to: lab, system: box, gpus: 16, at: 2026-01-01}}]
retirements: [{{from: lab, system: box, gpus: {gpus}, at: 2026-01-10, mode: drain}}]
""")
    )
    (found,) = fleet.findings
    assert (found.code, found.severity) == (code, "warning")
    assert words in found.says
    assert found.at is not None
    assert found.at.line > 0
    assert events(fleet)[-1] == (9, DRAIN, 0, 2, 1)


def test_where_power_has_no_limit_a_rating_is_not_needed(plan_of):
    text = """{systems}
sites: {{lab: {{{power}}}}}
deliveries: [{{name: x, to: lab, system: dark, gpus: 16, at: 2026-01-01}}]
"""
    assert events(fleet_of(plan_of(text.format(systems=SYSTEMS, power="")))) == [(0, UP, 0, 2, 0)]
    with pytest.raises(GpufleetError) as error:
        plan_of(text.format(systems=SYSTEMS, power="power: 1 kW, pue: 1.0"))
    assert [found.code for found in error.value.findings if found.severity == "error"] == ["P060"]


def test_what_came_before_the_start_is_in_service_at_second_0(plan_of):
    fleet = fleet_of(
        plan_of(f"""{SYSTEMS}
sites: {{lab: {{}}}}
deliveries: [{{name: x, to: lab, system: box, gpus: 8, at: 2024-06-01, status: online}}]
""")
    )
    assert events(fleet) == [(0, UP, 0, 1, 0)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 50), st.integers(0, 300)), min_size=1, max_size=4, unique_by=lambda s: s[0]
    ),
    lots=st.lists(
        st.tuples(st.sampled_from(["box", "rack"]), st.integers(1, 60), st.integers(0, 50)),
        min_size=1,
        max_size=5,
    ),
    gone=st.lists(
        st.tuples(st.sampled_from(["box", "rack"]), st.integers(1, 40), st.integers(0, 50), st.booleans()),
        max_size=3,
    ),
)
def test_laws_of_service(plan_of, steps, lots, gone):
    """Power is never exceeded, no GPU is lost, and each node goes on and off in turn."""

    def day(n: int) -> str:
        return (date(2026, 1, 1) + timedelta(days=n)).isoformat()

    power = ", ".join(f"{{from: {day(d)}, value: {kw} kW}}" for d, kw in sorted(steps))
    deliveries = "".join(
        f"  - {{name: l{i}, to: lab, system: {system}, gpus: {gpus}, at: {day(d)}}}\n"
        for i, (system, gpus, d) in enumerate(lots)
    )
    retirements = "".join(
        f"  - {{from: lab, system: {system}, gpus: {gpus}, at: {day(d)}, mode: {'kill' if k else 'drain'}}}\n"
        for system, gpus, d, k in gone
    )
    tail = f"retirements:\n{retirements}" if gone else ""
    systems = SYSTEMS.strip()
    plan = plan_of(
        f"{systems}\nsites: {{lab: {{power: [{power}], pue: 1.0}}}}\ndeliveries:\n{deliveries}{tail}"
    )
    fleet = fleet_of(plan)
    rows = events(fleet)
    assert rows == sorted(rows, key=lambda r: r[:3])
    assert int(fleet.nodes.size.sum()) == sum(gpus for _, gpus, _ in lots)
    per_node = np.where(fleet.cells.gpus_per_node[fleet.nodes.cell] == 8, 10, 20)
    on = np.zeros(fleet.nodes.size.size, bool)
    ever = on.copy()
    at_end: dict[float, np.ndarray] = {}
    for d, kind, first, n, _lot in rows:
        part = slice(first, first + n)
        if kind == UP:
            assert not on[part].any()
        elif kind == DRAIN:
            assert on[part].all()
        else:
            assert ever[part].all()
        on[part] = kind == UP
        ever |= on
        at_end[d] = on.copy()
    for d, state in at_end.items():
        have = max(((s, kw) for s, kw in steps if s <= d), default=(0, 0))[1]
        assert per_node[state].sum() <= have
