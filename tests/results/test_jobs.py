"""jobs.parquet: the columns of the table, exact sums, and bytes that depend on the rows alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small import STORIES, Small, Story, small

from gpufleet.results import parquet
from gpufleet.results.column import markdown
from gpufleet.results.columns import ROOTS, TABLES, WAITS
from gpufleet.results.jobs import JobsWriter
from gpufleet.results.run import Run
from gpufleet.world.layout import BETWEEN_PASSES, NO_FREE, ORDER, OWN_QUOTA, RESERVATION, Outcomes

KINDS = {"i64": pl.Int64, "i32": pl.Int32, "f64": pl.Float64, "str": pl.String, "bool": pl.Boolean}


def test_columns_are_those_of_the_table(run: Run) -> None:
    for name, columns in TABLES.items():
        frame = getattr(run, name)
        assert dict(frame.schema) == {c.name: KINDS[c.dtype] for c in columns}
        for column in columns:
            assert column.nullable or frame[column.name].null_count() == 0, column.name


def test_every_column_has_a_unit_where_its_name_says_so_and_a_meaning() -> None:
    for columns in TABLES.values():
        for column in columns:
            assert column.meaning
            if column.name.endswith("_s"):
                assert column.unit == ("GPU·s" if column.name.endswith("gpu_s") else "s")
        assert len(markdown(columns).splitlines()) == len(columns) + 2


def test_rows_say_what_became_of_each_job(run: Run) -> None:
    wanted = [
        "name",
        "tenant",
        "queue",
        "user",
        "state",
        "start_s",
        "end_s",
        "product",
        "site",
        "last_refusal",
        "behind",
    ]
    rows = run.jobs.select(wanted).rows()
    assert rows[0] == ("a", "research", "research", "ann", "done", 0, 3600, "P100-like", "lab", None, None)
    assert rows[3] == ("d", "vision", "train", "bob", "done", 800, 900, "P100-like", "lab", "order", 2)
    assert rows[4] == ("big", "vision", "train", None, "refused", None, None, None, None, "not_online", None)
    assert rows[6] == ("big", "vision", "train", None, "waiting", None, None, None, None, "no_free", None)
    assert run.jobs["recorded_start_s"].to_list() == [0, 600, None, 200, None, None, None]
    assert run.jobs["workload"].to_list() == ["history"] * 6 + ["big"]


def test_waits_sum_to_the_wait_by_refusal_and_by_root(run: Run) -> None:
    for names in ([f"wait_{w}_s" for w in WAITS], [f"root_{r}_s" for r in ROOTS]):
        assert run.jobs.select(pl.sum_horizontal(names)).to_series().to_list() == run.jobs["wait_s"].to_list()


def bytes_of(told: Small, path: Path, cuts: list[int], rows: int = 1 << 17) -> bytes:
    bounds = [0, *sorted(cuts), len(told.outcomes.id)]
    with JobsWriter(path, told.built.world, told.built.names) as writer:
        for batch in told.built.demand.batches(rows):
            writer.add(batch)
        for low, high in pairwise(bounds):
            writer.write(Outcomes._make(column[low:high] for column in told.outcomes))
    return path.read_bytes()


@given(st.lists(st.integers(0, 7), max_size=5))
@settings(max_examples=20, deadline=None)
def test_bytes_do_not_depend_on_batches(
    told: Small, tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    assert bytes_of(told, folder / "a", cuts) == bytes_of(told, folder / "b", [])


def test_row_groups_are_bounded(told: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP", 3)
    bytes_of(told, tmp_path / "jobs.parquet", [1, 5])
    meta = pq.ParquetFile(tmp_path / "jobs.parquet").metadata
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [3, 3, 1]


def test_rows_in_the_order_of_ends_come_back_by_number(told: Small, tmp_path: Path, run: Run) -> None:
    mixed = told.write(tmp_path / "run", batches=(slice(4, None), slice(3, None, -1)))
    assert mixed.scan_jobs().select("job").collect().to_series().to_list() == [4, 5, 6, 3, 2, 1, 0]
    assert mixed.jobs.equals(run.jobs)
    assert (mixed.path / "measures.json").read_bytes() == (run.path / "measures.json").read_bytes()


def test_jobs_that_come_in_chunks_while_others_end(told: Small, tmp_path: Path) -> None:
    whole = bytes_of(told, tmp_path / "whole", [])
    assert bytes_of(told, tmp_path / "small", [], rows=2) == whole
    with JobsWriter(tmp_path / "chunks", told.built.world, told.built.names) as writer:
        for at, batch in zip(range(0, 7, 2), told.built.demand.batches(2), strict=True):
            writer.add(batch)
            writer.write(Outcomes._make(column[at : at + 2] for column in told.outcomes))
            assert writer.living.n == 0
        assert writer.rows == 7
    assert (tmp_path / "chunks").read_bytes() == whole


@pytest.mark.parametrize("wrong", ["refusal", "root", "order"])
def test_waits_that_do_not_sum_are_refused(told: Small, tmp_path: Path, wrong: str) -> None:
    out = Outcomes(*(column.copy() for column in told.outcomes))
    if wrong == "refusal":
        out.wait_by_refusal_s[1, NO_FREE] += 1
    elif wrong == "root":
        out.wait_by_root_s[1, NO_FREE] += 1
    else:
        out.wait_by_root_s[3, [NO_FREE, ORDER]] = [0, 600]
    with pytest.raises(ValueError, match=f"job {3 if wrong == 'order' else 1}"):
        bytes_of(told_with(told, out), tmp_path / "jobs.parquet", [])


def told_with(told: Small, out: Outcomes) -> Small:
    return Small(told.plan, told.built, out, told.tallies)


WAIT = st.tuples(
    st.sampled_from([OWN_QUOTA, NO_FREE, ORDER, RESERVATION, BETWEEN_PASSES]),
    st.sampled_from([OWN_QUOTA, NO_FREE, BETWEEN_PASSES]),
    st.integers(1, 5000),
).map(lambda w: w if w[0] in (ORDER, RESERVATION) else (w[0], w[0], w[2]))
STORY = st.builds(
    lambda waits, run_s: Story(waits, run_s), st.lists(WAIT, max_size=4), st.integers(1, 90_000)
)


@given(st.lists(STORY, min_size=len(STORIES), max_size=len(STORIES)))
@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_books_of_any_run_balance(tmp_path_factory: pytest.TempPathFactory, stories: list[Story]) -> None:
    folder = tmp_path_factory.mktemp("any")
    run = small(folder / "plan", stories).write(folder / "run")
    gpus = pl.col("gpus").cast(pl.Int64)
    held, waited = run.jobs.select(a=(gpus * pl.col("run_s")).sum(), b=(gpus * pl.col("wait_s")).sum()).row(0)
    by_kind = dict(run.timeline.group_by("kind").agg(pl.col("gpu_s").sum()).iter_rows())
    assert by_kind.get("busy", 0) == held
    assert by_kind.get("waiting", 0) == waited
    for root in ROOTS:
        of_jobs = run.jobs.select((gpus * pl.col(f"root_{root}_s")).sum()).item()
        assert run.timeline.filter(pl.col("cause") == root)["gpu_s"].sum() == of_jobs
        assert run.measure("waiting_gpu_h", cause=root) == pytest.approx(of_jobs / 3600)
    assert run.measure("busy_gpu_h") == run.measure("busy_gpu_h", site="lab")
