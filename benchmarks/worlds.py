"""Random worlds against the plain-Python oracle."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Final

from benchmarks.machine import cores
from benchmarks.measure import Row

TITLE: Final = "Answers: random worlds against the oracle"
ABOUT: Final = """\
Small worlds in which events collide often: over all valid combinations of order, backfill, placement and
strictness; and with trees of quotas that lend, preemption, fair sharing and wishes of topology. Every number
of every job and every bin of the timeline must be what the oracle in `tests/oracle`, written in plain Python
from the [definitions](../explanation/engine.md), says."""
CHUNK: Final = 80
Search = Callable[[int, int], tuple[list[str], int]]


def rows(quick: bool) -> Iterator[Row]:
    """How many worlds differ: without cycles, and where queues lend to each other."""
    yield _row(400 if quick else 10_000, disagreements, "worlds")
    yield _row(400 if quick else 50_000, lending_disagreements, "worlds of lending and preemption")


def _row(n: int, search: Search, what: str) -> Row:
    starts = range(0, n, CHUNK)
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(search, starts, [min(CHUNK, n - first) for first in starts]))
    found = [line for lines, _ in parts for line in lines]
    for line in found[:20]:
        print(line, file=sys.stderr)
    jobs = sum(count for _, count in parts)
    return Row(
        what=f"{n:,} {what}, {jobs:,} jobs: worlds in which anything differs",
        target="0",
        measured=f"{len(found):,}",
        met=not found,
        exact=True,
    )


def combinations() -> list[tuple[int, int, int, int]]:
    """Order, backfill, placement and strictness; SRTF takes no backfill."""
    from gpufleet.world.layout import BACKFILLS, NO_BACKFILL, ORDERS, PLACEMENTS, SRTF

    codes = product(range(len(ORDERS)), range(len(BACKFILLS)), range(len(PLACEMENTS)), (0, 1))
    return [rules for rules in codes if rules[0] != SRTF or rules[1] == NO_BACKFILL]


def disagreements(first: int, count: int) -> tuple[list[str], int]:
    """Worlds of these seeds that differ, a line each, and the jobs of all."""
    from tests.oracle.compare import differences
    from tests.oracle.worlds import random_world

    found, n_jobs, every = [], 0, combinations()
    for seed in range(first, first + count):
        rules = every[seed % len(every)]
        world, jobs = random_world(seed, *rules)
        n_jobs += len(jobs.gpus)
        if lines := differences(world, jobs):
            found.append(
                f"random_world({seed}, {', '.join(map(str, rules))}): {lines[0]} ({len(lines)} lines)"
            )
    return found, n_jobs


def lending_disagreements(first: int, count: int) -> tuple[list[str], int]:
    """The same for worlds in which queues lend to each other."""
    from tests.oracle.compare import differences
    from tests.oracle.lending_worlds import lending_world

    found, n_jobs = [], 0
    for seed in range(first, first + count):
        world, jobs = lending_world(seed)
        n_jobs += len(jobs.gpus)
        if lines := differences(world, jobs):
            found.append(f"lending_world({seed}): {lines[0]} ({len(lines)} lines)")
    return found, n_jobs
