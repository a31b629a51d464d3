"""Write jobs.csv: 400 made-up jobs of three teams over two weeks, for a cluster of 64 GPUs.

Nothing here is recorded. The shapes are those that job logs of GPU clusters show: most jobs are small and
short, few large ones use most GPU hours; run times are log-normal; people submit in office hours; time limits
are rounded up and too long. To get the same file again: ``python plans/one-cluster/make_jobs.py``.
"""

from __future__ import annotations

import csv
import math
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

SEED = 46
FIRST_DAY = datetime(2026, 1, 5)  # a Monday, local time of the cluster
WORKDAY_JOBS, WEEKEND_JOBS = 36, 10
DAYS = 14
MIN_S, MAX_S = 120, 86_400
LIMITS_H = (0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 96)


class Team(NamedTuple):
    """How one team uses the cluster."""

    share: float  # of all jobs
    gpus: dict[int, int]  # size -> weight
    median_s: float
    spread: float  # sigma of log(run time)
    users: tuple[str, ...]


TEAMS = {
    "llm": Team(0.22, {4: 2, 8: 8, 16: 7, 32: 3}, 7.0 * 3600, 0.8, ("ana", "bo", "chen")),
    "vision": Team(0.45, {1: 6, 2: 6, 4: 6, 8: 3}, 3.0 * 3600, 1.0, ("dara", "emil", "fumi", "gwen", "hana")),
    "robotics": Team(0.33, {1: 8, 2: 5, 4: 3, 6: 1}, 1.5 * 3600, 1.2, ("ines", "jun", "kofi", "lena")),
}


def main() -> None:
    """Draw the jobs and write them beside this file, sorted by submit time."""
    draw = random.Random(SEED)
    jobs = sorted(job for day in range(DAYS) for job in day_of_jobs(day, draw))
    with Path(__file__).with_name("jobs.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["job", "submit", "gpus", "duration_s", "limit_s", "priority", "queue", "user"])
        for number, (submit, *rest) in enumerate(jobs, 1):
            rows.writerow([f"j{number:03d}", submit.isoformat(), *rest])


def day_of_jobs(day: int, draw: random.Random) -> list[tuple[datetime, int, int, int, int, str, str]]:
    """Jobs submitted on one day: submit time, GPUs, run time (s), limit (s), priority, queue, user."""
    midnight = FIRST_DAY + timedelta(days=day)
    count = WEEKEND_JOBS if midnight.weekday() >= 5 else WORKDAY_JOBS
    return [one_job(midnight, draw) for _ in range(count)]


def one_job(midnight: datetime, draw: random.Random) -> tuple[datetime, int, int, int, int, str, str]:
    """One job of a random team."""
    name = draw.choices(list(TEAMS), [team.share for team in TEAMS.values()])[0]
    team = TEAMS[name]
    gpus = draw.choices(list(team.gpus), list(team.gpus.values()))[0]
    run_s = round(min(max(team.median_s * math.exp(team.spread * draw.gauss(0, 1)), MIN_S), MAX_S))
    urgent = draw.random() < 0.08
    submit = midnight + timedelta(seconds=time_of_day(draw))
    return submit, gpus, run_s, time_limit(run_s, draw), 10 if urgent else 0, name, draw.choice(team.users)


def time_of_day(draw: random.Random) -> int:
    """Seconds after midnight: four of five jobs come around 10:30 and 15:00, the others at any time."""
    if draw.random() < 0.2:
        return draw.randrange(86_400)
    hour = draw.gauss(10.5, 1.2) if draw.random() < 0.5 else draw.gauss(15.0, 1.6)
    return round(min(max(hour, 7.0), 21.0) * 3600)


def time_limit(run_s: int, draw: random.Random) -> int:
    """What a user asks for: 1.2 to 4 times the run time, rounded up to a customary limit."""
    wanted_h = run_s * draw.uniform(1.2, 4.0) / 3600
    return round(next(limit for limit in LIMITS_H if limit >= min(wanted_h, LIMITS_H[-1])) * 3600)


if __name__ == "__main__":
    main()
