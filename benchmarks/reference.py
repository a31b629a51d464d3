"""The real jobs that a published simulator scheduled: time taken, and starts and ends that differ."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.measure import ROOT, Row, Sample, in_child, interleaved, times, wall_s
from benchmarks.start import GPUFLEET

TITLE: Final = "A published simulator's schedules"
ABOUT: Final = """\
10,650 real jobs of the Philly trace on 88 nodes in 11 virtual clusters, through `plans/philly-quarter`. The
seconds of the simulator (Lucid, commit 63685a3) are from a run of it at another time on a machine of this
kind."""
PUBLISHED_S: Final = {"fifo": 211, "sjf": 156}
N_JOBS: Final = 10_650


def rows(quick: bool) -> Iterator[Row]:
    """Engine time, wall time of the whole command and mismatches, for FIFO and SJF."""
    shared = Path(os.environ.get("GPUFLEET_SHARED", ROOT.parent / "shared"))
    folder = shared / "data" / "traces" / "reference-helios-sim"
    if not folder.is_dir():
        yield Row("FIFO and SJF", "< 0.5 s", "skipped: needs third-party data (set GPUFLEET_SHARED)")
        return
    sets = {order: _sets(folder, order) for order in PUBLISHED_S}
    engine = {order: partial(_engine, sets[order]) for order in PUBLISHED_S}
    whole = {f"{order} run": partial(_command, sets[order]) for order in PUBLISHED_S}
    taken = interleaved(engine | whole, 1 if quick else 3)
    for order, published in PUBLISHED_S.items():
        yield from _rows(order, taken[order], taken[f"{order} run"]["s"], published)


def _rows(order: str, engine: Sample, whole_s: float, published_s: int) -> Iterator[Row]:
    name, said = order.upper(), f"published simulator {published_s} s"
    engine_s = engine["s"]
    yield Row(
        f"{name}, engine, after compile",
        "< 0.5 s",
        f"{engine_s:.3f} s",
        said,
        times(engine_s, published_s),
        engine_s < 0.5,
    )
    yield Row(
        f"{name}, whole `gpufleet run`, report included",
        "",
        f"{whole_s:.2f} s",
        said,
        times(whole_s, published_s),
    )
    yield Row(
        what=f"{name}, jobs whose start or end differs",
        target=f"0 of {N_JOBS:,}",
        measured=f"{engine['mismatches']:,.0f} of {engine['jobs']:,.0f}",
        met=engine["mismatches"] == 0 and engine["jobs"] == N_JOBS,
        exact=True,
    )


def _sets(folder: Path, order: str) -> list[str]:
    trace = folder / f"philly_2017-10-01_2017-10-07_quarter88nodes_{order}.csv.gz"
    return [f"policy.order={order}", f"files.trace={trace}", f"files.nodes={folder / 'vc_nodes_quarter.csv'}"]


def _engine(sets: list[str]) -> Sample:
    sample: Sample = in_child("reference:simulate_here", sets=sets)
    return sample


def simulate_here(sets: list[str]) -> Sample:
    """Seconds in the engine, jobs, and jobs whose start or end is not the recorded one."""
    from gpufleet.engine.run import simulate
    from gpufleet.plan.load import load_plan
    from gpufleet.world.build import build

    built = build(load_plan(ROOT / "plans" / "philly-quarter", sets=sets))
    jobs, recorded = built.demand.jobs(), built.demand.frame
    outcomes = simulate(built.world, jobs).outcomes
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        simulate(built.world, jobs)
        seconds.append(time.perf_counter() - start)
    same = (outcomes.start_s == recorded["recorded_start_s"].to_numpy()) & (
        outcomes.end_s == recorded["recorded_end_s"].to_numpy()
    )
    return {"s": median(seconds), "jobs": len(same), "mismatches": int((~same).sum())}


def _command(sets: list[str]) -> Sample:
    options = [word for each in sets for word in ("--set", each)]
    with tempfile.TemporaryDirectory() as folder:
        command = [*GPUFLEET, "run", "plans/philly-quarter", *options, "--out", f"{folder}/run"]
        return {"s": wall_s(command)}
