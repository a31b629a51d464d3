"""Power of sites, worked by hand; the engine gives the same."""

from __future__ import annotations

from collections.abc import Callable
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
    OVER_J,
    OVER_S,
    POWER_LEVELS,
    REFUSALS,
    SLOW_S,
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
        class_kept=ints(more.get("kept", [0] * len(more.get("of_class", [0])))),
        **levels(more.get("levels"), kinds),
        cell_speed=np.ones(1),
        over_cap=more.get("over_cap", 1),
    )


def levels(of: Callable[[int], int] | None, kinds: tuple[int, ...], low: int = 50) -> dict[str, Any]:
    """With ``of`` jobs at level L draw L % of what they can and run at ``of(L)`` millionths; L >= ``low``."""
    if of is None:
        none = np.zeros((0, 0, 0), np.int64)
        return {"site_low": ints([100]), "level_w": none, "level_speed": none}
    steps = [max(level, low) for level in range(101)]
    watts = [[[watts * level // 100] for watts in kinds] for level in steps]
    return {
        "site_low": ints([low]),
        "level_w": ints(watts),
        "level_speed": ints([[[of(level)]] * len(kinds) for level in steps]),
    }


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


def test_a_cap_does_not_stop_who_may_not_be_stopped() -> None:
    # From 20 to 30 only 100 W. The second job would stop, as it started last, but its class is kept: the
    # first one goes (96 W). Were both kept, 160 W would be drawn on: 60 W too much for 10 s.
    lanes = [[(0, 1.0)]] * 2
    caps = ((0, NO_CAP), (20, 100), (30, NO_CAP))
    some = jobs((0, 8, 50), (5, 8, 50), cls=[0, 1])
    world = make([[8, 8]], lanes=lanes)
    out = simulate(world._replace(power=power(*caps, of_class=[0, 0], kept=[0, 1])), some)
    assert out.outcomes.end_s.tolist() == [80, 55]
    assert out.outcomes.preemptions.tolist() == [1, 0]
    assert out.tallies.capped[0, OVER_S].sum() == 0
    out = simulate(world._replace(power=power(*caps, of_class=[0, 0], kept=[1, 1])), some)
    assert out.outcomes.end_s.tolist() == [50, 55]
    assert out.tallies.capped[0, OVER_S].sum() == 10
    assert out.tallies.capped[0, OVER_J].sum() == 600


def linear(level: int) -> int:
    """Half as fast at half the power, and so on."""
    return 10_000 * level


def test_a_cap_slows_who_runs() -> None:
    # Two jobs of 8 GPUs at 100 W each draw 1,600 W. From 20 on the cap is 1,200 W: level 75, speed 0.75;
    # from 60 on 1,600 W. Until 20: 20 s each done; until 60: 30 more; the last 50 s at full speed.
    world = make([[8, 8]], clock=(1000, 0, 10))._replace(
        power=power((0, 1600), (20, 1200), (60, 1600), kinds=(100,), levels=linear)
    )
    out = simulate(world, jobs((0, 8, 100), (0, 8, 100)))
    assert out.outcomes.end_s.tolist() == [110, 110]
    assert out.outcomes.slowed_s.tolist() == [10, 10]
    assert out.tallies.peak[0, :11].tolist() == [1600, 1600, *[1200] * 4, *[1600] * 5]
    assert out.tallies.energy[0, 1].sum() == 1600 * 20 + 1200 * 40 + 1600 * 50
    assert out.tallies.capped[0, SLOW_S].sum() == 40
    assert out.tallies.capped[0, OVER_S].sum() == 0
    assert out.tallies.p99[0, :7].tolist() == [1600, 1600, 1200, 1200, 1200, 1200, 1600]


def test_a_job_that_starts_slows_the_others() -> None:
    # The cap of 1,000 W holds one job at full speed (800 W + 16 W idle), two at level 62 (62 x 16 = 992 W).
    world = make([[8, 8]])._replace(power=power((0, 1000), kinds=(100,), levels=linear))
    out = simulate(world, jobs((0, 8, 100), (40, 8, 62)))
    # The first has 60 s left at 40, the second 62: slowed, the first ends after 97 s (60 / 0.62 = 96.8), when
    # the second has done 60.14 s, and runs its last 1.86 s at full speed.
    assert out.outcomes.start_s.tolist() == [0, 40]
    assert out.outcomes.end_s.tolist() == [137, 139]
    assert out.outcomes.slowed_s.tolist() == [37, 37]


def test_the_lowest_level_is_where_starts_are_held_back() -> None:
    # At level 50 two jobs draw 800 W: under a cap of 799 W the second waits, and the first runs at level 97
    # (776 W, and 16 W of the free GPUs).
    world = make([[8, 8]])._replace(power=power((0, 799), kinds=(100,), levels=linear))
    out = simulate(world, jobs((0, 8, 97), (0, 8, 97)))
    assert out.outcomes.start_s.tolist() == [0, 100]
    assert out.outcomes.wait_by_refusal_s[1, REFUSALS.index("power")] == 100


def test_a_limit_counts_real_time_where_a_cap_slows() -> None:
    world = make([[8, 8]])._replace(power=power((0, 416), kinds=(100,), levels=linear))
    out = simulate(world, jobs((0, 8, 100), limit_s=[120]))  # level 50 + 16 W idle: it would take 200 s
    assert (out.outcomes.end_s[0], out.outcomes.state[0]) == (120, 1)


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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 16), st.integers(1, 90)), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 300), st.integers(32, 1700)), min_size=1, max_size=5),
    st.integers(1, 99),
    st.sampled_from([(NO_BACKFILL, 1), (NO_BACKFILL, 0), (EASY, 1), (EASY, 0), (CONSERVATIVE, 0)]),
)
def test_slowed_jobs_do_their_work_under_every_cap(
    rows: list[tuple[int, int, int]], caps: list[tuple[int, int]], low: int, rules: tuple[int, int]
) -> None:
    """Whatever the caps: never above them, meter = parts, and nobody runs shorter than at full speed."""
    steps = sorted({0: 1700, **dict(caps)}.items())
    world = make([[8, 8]], clock=(1000, 1, 10), backfill=rules[0], strict=rules[1])
    slow = power(*steps, kinds=(100,))._replace(**levels(linear, (100,), max(low, 2)))
    some = jobs(*sorted(rows))
    out = run(world._replace(power=slow), some, debug=True)
    assert out.tallies.capped[0, OVER_J].sum() == 0
    cap_at = [max((t, w) for t, w in steps if t <= second)[1] for second in range(out.end_s)]
    for b, peak in enumerate(out.tallies.peak[0, : out.end_s // 10].tolist()):
        assert peak <= max(cap_at[b * 10 : b * 10 + 10])
    done = out.outcomes.state == 0
    once = done & (out.outcomes.preemptions == 0)
    assert (out.outcomes.run_s - out.outcomes.slowed_s == some.work_s)[once].all()
    again = run(world._replace(power=slow), some)
    assert all(np.array_equal(a, b) for a, b in zip(out.tallies, again.tallies, strict=True))
