"""A run that was broken off goes on from its last checkpoint and ends with the bytes of an unbroken one."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from streamed import PART_ROWS, built, contents, small_steps, stream, write
from tests.oracle.own import with_own
from tests.oracle.test_worlds import RULES

from gpufleet.base.errors import Finding, GpufleetError
from gpufleet.results import checkpoint, parquet
from gpufleet.results.checkpoint import PARTS, Checkpoint, find
from gpufleet.results.folder import MARK, is_complete
from gpufleet.results.run import Run
from gpufleet.stream import Watcher
from gpufleet.world.layout import BACKFILLS, EASY, FIFO, ORDERS, PLACEMENTS

JOBS = 40
FIFO_RULES = (FIFO, EASY, PLACEMENTS.index("best-fit"), 1)


def name(rules: tuple[int, int, int, int]) -> str:
    order, backfill, _, strict = rules
    return f"{ORDERS[order]}-{BACKFILLS[backfill]}-{'strict' if strict else 'best-effort'}"


@pytest.fixture(autouse=True)
def _small_steps() -> Any:
    with small_steps():
        yield


class Ear:
    """Hears what the stream tells, and breaks it off after so many rows."""

    def __init__(self, stop_at: int = 1 << 60) -> None:
        self.resumed: list[Checkpoint] = []
        self.damaged: list[Finding] = []
        self.stop_at = stop_at
        self.watcher = Watcher(self.rows, self.resumed.append, self.damaged.append)

    def rows(self, rows: int) -> None:
        if rows >= self.stop_at:
            raise KeyboardInterrupt


def broken_off(out: Path, of: Any, rows: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(out, of, Ear(rows).watcher)


@pytest.mark.parametrize("rules", [rules for rules in RULES if PLACEMENTS[rules[2]] == "best-fit"], ids=name)
def test_broken_off_and_gone_on_with(tmp_path: Path, rules: tuple[int, int, int, int]) -> None:
    of = built(3, JOBS, rules)
    write(tmp_path / "unbroken", of)
    whole = contents(tmp_path / "unbroken")
    went_on = []
    for stop_at in (12, 30):
        out = tmp_path / f"at-{stop_at}"
        broken_off(out, of, stop_at)
        ear = Ear()
        write(out, of, ear.watcher)
        assert contents(out) == whole
        went_on += [found.rows for found in ear.resumed]
    assert went_on
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_broken_off_again_and_again(tmp_path: Path) -> None:
    of = built(3, JOBS, FIFO_RULES)
    write(tmp_path / "unbroken", of)
    resumed = []
    for stop_at in range(8, JOBS, 4):
        ear = Ear(stop_at)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "run", of, ear.watcher)
        resumed += [found.rows for found in ear.resumed]
    write(tmp_path / "run", of)
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")
    assert resumed == sorted(resumed)
    assert len(set(resumed)) > 2


def test_parts_have_a_fixed_number_of_rows(tmp_path: Path) -> None:
    write(tmp_path / "run", built(3, JOBS, FIFO_RULES))
    run = Run(tmp_path / "run")
    parts = sorted((run.path / "jobs.parquet").iterdir())
    assert [p.name for p in parts] == [f"part-0000{i}.parquet" for i in range(6)]
    assert [pl.read_parquet(p).height for p in parts] == [*[PART_ROWS] * 5, JOBS - 5 * PART_ROWS]
    assert run.scan_jobs().select("job").collect().to_series().sort().to_list() == list(range(JOBS))
    assert pl.read_parquet(run.path / "jobs.parquet").equals(run.scan_jobs().collect())
    assert is_complete(run.path)


@pytest.mark.parametrize("n", [0, 1, PART_ROWS])
def test_one_part_is_a_file(tmp_path: Path, n: int) -> None:
    write(tmp_path / "run", built(3, n, FIFO_RULES))
    assert sorted(contents(tmp_path / "run")) == [MARK, "jobs.parquet"]
    assert Run(tmp_path / "run").scan_jobs().collect().height == n


def test_a_part_that_is_missing_or_cut_is_no_result(tmp_path: Path) -> None:
    write(tmp_path / "run", built(3, JOBS, FIFO_RULES))
    part = tmp_path / "run" / "jobs.parquet" / "part-00002.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(GpufleetError, match=r"jobs\.parquet/part-00002\.parquet is not as the run wrote it"):
        Run.load(tmp_path / "run")


def test_files_that_somebody_put_among_the_parts_are_not_lost(tmp_path: Path) -> None:
    of = built(3, JOBS, FIFO_RULES)
    write(tmp_path / "run", of)
    (tmp_path / "run" / "jobs.parquet" / "mine.parquet").write_text("mine")
    with pytest.raises(GpufleetError, match=r"jobs\.parquet/mine\.parquet") as error:
        write(tmp_path / "run", of)
    assert error.value.findings[0].code == "R005"


def test_a_run_of_one_part_replaces_one_of_many_and_the_other_way_round(tmp_path: Path) -> None:
    few, many = (built(3, n, FIFO_RULES) for n in (5, JOBS))
    for of in (few, many, few):
        write(tmp_path / "run", of)
        assert Run(tmp_path / "run").scan_jobs().collect().height == len(of.demand.jobs.gpus)
    assert os.listdir(tmp_path) == ["run"]


def test_what_another_plan_left_is_of_no_use_and_goes(tmp_path: Path) -> None:
    of = built(3, JOBS, FIFO_RULES)
    broken_off(tmp_path / "run", of, 16)
    ear = Ear()
    write(tmp_path / "run", of, ear.watcher, mark="other")
    assert not ear.resumed
    assert os.listdir(tmp_path) == ["run"]


def test_without_a_checkpoint_nothing_stays(tmp_path: Path) -> None:
    broken_off(tmp_path / "run", built(3, JOBS, FIFO_RULES), 2)
    assert os.listdir(tmp_path) == []


def test_a_run_that_is_alive_is_left_alone(tmp_path: Path) -> None:
    of = built(3, JOBS, FIFO_RULES)
    inner = Ear()

    class Nested(Ear):
        def rows(self, rows: int) -> None:
            if rows >= 20 and inner.stop_at:
                inner.stop_at = 0
                write(tmp_path / "run", of, Ear().watcher)

    nested = Nested()
    write(tmp_path / "run", of, nested.watcher)
    write(tmp_path / "unbroken", of)
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")


@pytest.mark.parametrize("file", [checkpoint.STATE, checkpoint.LIVING, checkpoint.TAIL])
def test_a_damaged_checkpoint_is_said_and_the_run_starts_anew(tmp_path: Path, file: str) -> None:
    of = built(3, JOBS, FIFO_RULES)
    write(tmp_path / "unbroken", of)
    broken_off(tmp_path / "run", of, 16)
    (left,) = tmp_path.glob(f".run.part-*/{PARTS}")
    kept = find(left)
    assert kept is not None
    (kept.path / file).write_bytes(b"PK\x03\x04 nonsense")
    ear = Ear()
    write(tmp_path / "run", of, ear.watcher)
    assert [(warning.code, warning.severity) for warning in ear.damaged] == [("R010", "warning")]
    assert f"{file}" in ear.damaged[0].says or kept.path.name in ear.damaged[0].says
    assert "starts anew" in ear.damaged[0].says
    assert not ear.resumed
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")


def test_a_checkpoint_whose_part_is_cut_is_none(tmp_path: Path) -> None:
    broken_off(tmp_path / "run", built(3, JOBS, FIFO_RULES), 16)
    (left,) = tmp_path.glob(f".run.part-*/{PARTS}")
    assert find(left) is not None
    (left / "part-00000.parquet").write_bytes(b"PAR1")
    assert find(left) is None


def test_a_full_disk_in_a_later_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = built(3, JOBS, FIFO_RULES)
    write(tmp_path / "unbroken", of)
    opened = parquet.TableWriter.__init__

    def full(self: Any, path: Path, columns: Any) -> None:
        if path.name == "part-00003.parquet":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        opened(self, path, columns)

    with monkeypatch.context() as patch:
        patch.setattr(parquet.TableWriter, "__init__", full)
        with pytest.raises(GpufleetError) as error:
            write(tmp_path / "run", of)
    (found,) = error.value.findings
    assert found.code == "R003"
    assert "it goes on after the first 14 jobs" in found.fix
    ear = Ear()
    write(tmp_path / "run", of, ear.watcher)
    assert [at.rows >= 14 for at in ear.resumed] == [True]
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")


def test_a_table_of_its_own_needs_no_mark(tmp_path: Path) -> None:
    stream(tmp_path / "jobs.parquet", built(3, JOBS, FIFO_RULES))
    assert len(contents(tmp_path)) == 6


def test_killed_at_any_moment() -> None:
    """Moments are calls that reach the run's folders, some of them; see killed_stream.py."""
    here = Path(__file__).parent
    folders = [str(here), str(here.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, here / "killed_stream.py"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    moments, resumed = (int(word) for word in done.stdout.split()[:2])
    assert moments >= 10
    assert resumed >= 4


def test_own_policies_go_on(tmp_path: Path) -> None:
    of = built(3, JOBS, FIFO_RULES)
    of = dataclasses.replace(of, world=with_own(of.world, "come_back", "away"))
    write(tmp_path / "unbroken", of)
    broken_off(tmp_path / "run", of, 20)
    ear = Ear()
    write(tmp_path / "run", of, ear.watcher)
    assert ear.resumed
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")
