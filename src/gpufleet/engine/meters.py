"""The memory of what sites draw, and of how fast their jobs run."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpufleet.world.layout import FULL_LEVEL, N_CAPPED, NO_CAP, POWER_LEVELS, World


def power_fields(world: World) -> dict[str, Any]:
    """Meters and caps; empty without power."""
    power = world.power
    n_sites, n_kinds = (len(power.most_w), len(power.kind_w)) if power else (0, 0)
    n_bins = int(min(world.clock.end_s // world.clock.grid_s + 2, 1 << 20))
    return {
        "cap": np.full(n_sites, NO_CAP, np.int64),
        "draw": np.zeros(n_sites, np.int64),
        "least": np.zeros(n_sites, np.int64),
        "metered": np.zeros(n_sites, np.int64),
        "drawn": np.zeros((n_sites, n_kinds), np.int64),
        "energy": np.zeros((n_sites, 1 + n_kinds, n_bins + 1), np.int64),
        "peak": np.zeros((n_sites, n_bins + 1), np.int64),
        "p99": np.zeros((n_sites, n_bins + 1), np.int64),
        "level_s": np.zeros((n_sites, POWER_LEVELS + 1), np.int64),
        "bin_now": np.tile(np.array([-1, 0, -1], np.int64), (n_sites, 1)),
        "bin_level_s": np.zeros((n_sites, POWER_LEVELS + 1), np.int64),
        "capped": np.zeros((n_sites, N_CAPPED, n_bins + 1), np.int64),
    }


def pace_fields(world: World, n_slots: int) -> dict[str, Any]:
    """How fast jobs run; empty where no site slows them."""
    power = world.power
    slows = power is not None and power.level_w.size > 0
    n_slots, kinds = (n_slots, power.kind_w.shape) if power is not None and slows else (0, (0, 0))
    return {
        "level": np.full(len(power.most_w) if power else 0, FULL_LEVEL, np.int64),
        "unsettled": np.zeros(len(power.most_w) if power else 0, np.int64),
        "kind_gpus": np.zeros(kinds, np.int64),
        **{name: np.zeros(n_slots, np.int64) for name in ("left", "paced", "slowed")},
    }
