"""Which job of one run is which in another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from gpufleet.results.match import matched
from gpufleet.world.names import Names

START = datetime(2026, 1, 5, tzinfo=UTC)
COLUMNS = ("job", "workload", "name", "start_s", "end_s", "state")
KINDS = dict(zip(COLUMNS, (pl.Int64, pl.String, pl.String, pl.Int64, pl.Int64, pl.String), strict=True))
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Fake:
    """What of a run is looked at."""

    rows: list[Row]
    workloads: tuple[str, ...] = ("a", "b")
    start: datetime = START

    @property
    def names(self) -> Names:
        return Names((), (), (), (), self.workloads, ())

    def scan_jobs(self) -> pl.LazyFrame:
        return pl.LazyFrame(self.rows, schema=KINDS, orient="row")


def pairs(a: Fake, b: Fake) -> dict[str, list[tuple[int | None, int | None]]]:
    found: Any = matched(a, b)  # type: ignore[arg-type]
    return {workload: frame.select("job", "job_b").rows() for workload, frame in found}


def row(job: int, workload: str = "a", name: str | None = None, start_s: int = 0) -> Row:
    return (job, workload, name, start_s, start_s + 10, "done")


def test_generated_jobs_are_matched_by_their_number_within_the_workload() -> None:
    a = Fake([row(3), row(0), row(2, "b"), row(1)])
    b = Fake([row(0, "b"), row(5), row(1), row(2, "b")])
    assert pairs(a, b) == {"a": [(0, 1), (1, 5), (3, None)], "b": [(2, 0), (None, 2)]}


def test_named_jobs_are_matched_by_name_and_like_names_in_their_order() -> None:
    a = Fake([row(0, name="x"), row(1, name="y"), row(2, name="x"), row(3)])
    b = Fake([row(0), row(1, name="x"), row(4, name="x"), row(2, name="z")])
    assert sorted(pairs(a, b)["a"], key=str) == sorted(
        [(3, 0), (0, 1), (2, 4), (1, None), (None, 2)], key=str
    )


def test_a_workload_that_only_one_run_has() -> None:
    assert pairs(Fake([row(0)], ("a",)), Fake([row(0, "c")], ("c",))) == {"a": [(0, None)], "c": [(None, 0)]}


def test_times_of_the_second_run_count_from_the_first_ones_start() -> None:
    later = Fake([row(0, start_s=5)], start=START + timedelta(hours=1))
    found: Any = matched(Fake([row(0, start_s=7)]), later)  # type: ignore[arg-type]
    (_, frame), _ = found
    assert frame.select("start_s", "start_s_b", "end_s_b").row(0) == (7, 3605, 3615)
