"""Write jobs.csv: four days of made-up jobs of three teams that lend each other GPUs, on a cluster of 64.

Nothing here is recorded. Each day shows one thing: borrowing, taking back, fair shares, a busy lender.
To get the same file again: ``python plans/kueue-cohort/make_jobs.py``.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

SEED = 7
FIRST_DAY = datetime(2026, 1, 5)  # a Monday, local time of the cluster
GPUS = 8  # of each job: a whole node


class Wave(NamedTuple):
    """Jobs of one team that come within a quarter of an hour."""

    day: int  # from 0
    hour: int
    queue: str
    jobs: int
    hours: float  # that a job runs, on average
    user: str


WAVES = (
    # Monday: only llm works, and borrows
    Wave(0, 9, "llm", 8, 36.0, "ana"),
    # Tuesday: the others want their own back
    Wave(1, 9, "serving", 3, 6.0, "dev"),
    Wave(1, 14, "vision", 2, 4.0, "fumi"),
    # Wednesday: serving is away; llm and vision both want more than their own
    Wave(2, 8, "vision", 10, 10.0, "gwen"),
    Wave(2, 10, "llm", 10, 10.0, "bo"),
    # Thursday: serving is busy, and llm and vision come back for more
    Wave(3, 9, "serving", 3, 2.5, "eli"),
    Wave(3, 9, "llm", 3, 8.0, "chen"),
    Wave(3, 9, "vision", 2, 8.0, "hana"),
)


def main() -> None:
    """Draw the jobs and write them beside this file, sorted by submit time."""
    draw = random.Random(SEED)
    jobs = sorted(job for wave in WAVES for job in jobs_of(wave, draw))
    with Path(__file__).with_name("jobs.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["job", "submit", "gpus", "duration_s", "queue", "user"])
        for number, (submit, *rest) in enumerate(jobs, 1):
            rows.writerow([f"j{number:02d}", submit.isoformat(), *rest])


def jobs_of(wave: Wave, draw: random.Random) -> Iterator[tuple[datetime, int, int, str, str]]:
    """Submit time, GPUs, run time (s), queue and user of the jobs of a wave: up to 15 % longer or shorter."""
    start = FIRST_DAY + timedelta(days=wave.day, hours=wave.hour)
    for _ in range(wave.jobs):
        run_s = round(wave.hours * 3600 * draw.uniform(0.85, 1.15))
        yield start + timedelta(seconds=draw.randrange(900)), GPUS, run_s, wave.queue, wave.user


if __name__ == "__main__":
    main()
