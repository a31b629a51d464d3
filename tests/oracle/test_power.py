"""Power of sites, worked by hand; the engine gives the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracle import oracle
from tests.oracle.by_hand import ints, jobs, make
from tests.oracle.compare import differences

from gpufleet.engine.run import Result
from gpufleet.engine.run import simulate as run
from gpufleet.world.layout import (
    CONSERVATIVE,
    EASY,
    NO_BACKFILL,
    NO_CAP,
    POWER_LEVELS,
    REFUSALS,
    Jobs,
    Power,
    World,
)


def power(*caps: tuple[int, int], idle: int = 2, kinds: tuple[int, ...] = (10,), **more: Any) -> Power:
    """One site with one cell of 16 GPUs: idle GPUs draw 2 W, busy ones 10 W; caps are (second, W)."""
    return Power(
        idle_w=ints([idle]),
        kind_w=ints([[watts] for watts in kinds]),
        class_kind=ints(more.get("of_class", [0])),
        cap_t_s=ints(t for t, _ in caps),
        cap_site=ints(0 for _ in caps),
        cap_w=ints(watts for _, watts in caps),
        most_w=ints([16 * max(kinds)]),
        over_cap=more.get("over_cap", 1),
    )


def simulate(world: World, some: Jobs) -> Result:
    """What the engine gives, with which the oracle agrees, laws included."""
    assert differences(world, some, debug=True) == []
    return run(world, some)


def test_the_energy_of_a_square_wave_is_exact() -> None:
    # 16 GPUs, 32 W idle. 8 of them busy over [10, 30) and [50, 70): 8 x 10 + 8 x 2 = 96 W then.
    # Bins of 20 s: busy for 10, 10, 10, 10 and 0 s; free GPUs draw 16 x 2 W, or 8 x 2 W.
    world = make([[8, 8]], clock=(100, 0, 20))._replace(power=power())
    out = simulate(world, jobs((10, 8, 20), (50, 8, 20)))
    free, busy = out.tallies.energy[0]
    assert busy.tolist() == [800, 800, 800, 800, 0]
    assert free.tolist() == [480, 480, 480, 480, 640]
    assert (free + busy).sum() == 100 * 32 + 2 * 20 * 64
    assert out.tallies.peak[0].tolist() == [96, 96, 96, 96, 32]
    level_s = out.tallies.level_s[0]
    assert level_s[-(-96 * POWER_LEVELS // 160)] == 40
    assert level_s[-(-32 * POWER_LEVELS // 160)] == 60


@pytest.mark.parametrize("backfill", [NO_BACKFILL, EASY, CONSERVATIVE])
def test_a_cap_holds_a_start_back(backfill: int) -> None:
    # One job lifts the draw to 96 W, two to 160 W. The cap is 159 W until 15, then 160 W.
    world = make([[8, 8]], backfill=backfill)._replace(power=power((0, 159), (15, 160)))
    out = simulate(world, jobs((0, 8, 100), (0, 8, 100)))
    assert out.outcomes.start_s.tolist() == [0, 15]
    assert out.outcomes.wait_by_refusal_s[1, REFUSALS.index("power")] == 15


def test_a_light_job_starts_where_a_heavy_one_is_refused() -> None:
    # Best effort: beside 96 W a heavy job would draw 160 W, a light one 112 W. The cap is 112 W.
    lanes = [[(0, 1.0)]] * 2
    world = make([[8, 8]], strict=0, lanes=lanes)._replace(
        power=power((0, 112), kinds=(10, 4), of_class=[0, 1])
    )
    out = simulate(world, jobs((0, 8, 50), (0, 8, 50), (0, 8, 50), cls=[0, 0, 1]))
    assert out.outcomes.start_s.tolist() == [0, 50, 0]


def test_a_falling_cap_stops_who_started_last() -> None:
    # From 20 to 30 only 100 W: the second of two equal jobs stops, and starts again at 30 from nothing.
    some = jobs((0, 8, 50), (5, 8, 50))
    caps = ((0, NO_CAP), (20, 100), (30, NO_CAP))
    out = simulate(make([[8, 8]])._replace(power=power(*caps)), some)
    assert out.outcomes.end_s.tolist() == [50, 80]
    assert out.outcomes.preemptions.tolist() == [0, 1]
    assert out.tallies.peak.max() == 160
    out = simulate(make([[8, 8]])._replace(power=power(*caps, over_cap=0)), some)
    assert out.outcomes.end_s.tolist() == [50, 55]


def test_a_job_above_every_cap_never_runs() -> None:
    world = make([[8, 8]])._replace(power=power((0, 60), (50, 79)))
    out = simulate(world, jobs((0, 8, 10), (0, 4, 10)))
    assert out.outcomes.state.tolist() == [2, 0]
    assert REFUSALS[out.outcomes.last_refusal[0]] == "power"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 16), st.integers(1, 90)), min_size=1, max_size=25),
    st.integers(32, 170),
    st.sampled_from([(NO_BACKFILL, 1), (NO_BACKFILL, 0), (EASY, 1), (EASY, 0), (CONSERVATIVE, 0)]),
)
def test_power_is_never_above_a_constant_cap(
    rows: list[tuple[int, int, int]], cap: int, rules: tuple[int, int]
) -> None:
    world = make([[8, 8]], clock=(1000, 0, 10), backfill=rules[0], strict=rules[1])
    world = world._replace(power=power((0, cap)))
    some = jobs(*sorted(rows))
    out = run(world, some, debug=True)
    assert out.tallies.peak.max() <= cap
    # the meter is the sum of its parts: GPU-seconds busy and free, times their watts
    busy = int(out.tallies.busy.sum())
    assert out.tallies.energy[0, 1].sum() == 10 * busy
    assert out.tallies.energy[0, 0].sum() == 2 * (16 * 1000 - busy)
    again = run(world, some)
    assert all(np.array_equal(a, b) for a, b in zip(out.tallies, again.tallies, strict=True))


def test_without_power_there_is_no_meter() -> None:
    out = oracle.simulate(make([[8]]), jobs((0, 8, 10)))
    assert out.tallies.energy.size == 0
