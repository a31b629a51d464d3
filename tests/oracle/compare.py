"""The engine beside its slow twin, on one world: every number of every job, and every bin of the books."""

from __future__ import annotations

import numpy as np
from tests.oracle import oracle

from gpufleet.engine import run as engine
from gpufleet.world.layout import Jobs, Outcomes, World


def differences(world: World, jobs: Jobs, *, debug: bool = False) -> list[str]:
    """What differs, a line each; empty when the two agree."""
    fast = engine.simulate(world, jobs, debug=debug)
    slow = oracle.simulate(world, jobs)
    eligible = jobs.submit_s < world.clock.end_s
    lines = []
    if fast.end_s != slow.end_s:
        lines.append(f"end_s: engine {fast.end_s}, oracle {slow.end_s}")
    expected = Outcomes(*(column[eligible] for column in slow.outcomes))
    if fast.outcomes.id.tolist() != expected.id.tolist():
        return [*lines, f"ids: engine {fast.outcomes.id.tolist()}, oracle {expected.id.tolist()}"]
    for name, ours, theirs in zip(Outcomes._fields, fast.outcomes, expected, strict=True):
        for row in np.flatnonzero(np.any(np.atleast_2d((ours != theirs).T), axis=0)):
            lines.append(f"job {expected.id[row]} {name}: engine {ours[row]}, oracle {theirs[row]}")
    for name, ours, theirs in zip(fast.tallies._fields, fast.tallies, slow.tallies, strict=True):
        if ours.shape != theirs.shape or (ours != theirs).any():
            lines.append(
                f"tally {name}: sums {ours.sum()} and {theirs.sum()}, shapes {ours.shape}, {theirs.shape}"
            )
    if fast.preemptions.tolist() != [list(row) for row in slow.preemptions]:
        lines.append(f"preemptions: engine {fast.preemptions.tolist()}, oracle {slow.preemptions}")
    return lines
