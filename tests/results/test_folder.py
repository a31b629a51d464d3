"""Run folders: whole or not there, whatever happens."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.results import folder
from gpufleet.results.folder import MARK, dump_json, is_complete, new_run, open_run


def written(out: Path, text: str) -> Path:
    with new_run(out) as path:
        (path / "measures.json").write_text(text)
        (path / "environment.json").write_text("{}")
    return out


def code_of(error: pytest.ExceptionInfo[GpufleetError]) -> str:
    assert error.value.findings[0].fix
    return error.value.findings[0].code


def test_a_run_appears_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    out = written(tmp_path / "deep" / "runs" / "first", "one")
    assert is_complete(out)
    assert open_run(out) == out.resolve()
    assert [p.name for p in out.parent.iterdir()] == ["first"]


def test_a_run_replaces_the_run_before_it(tmp_path: Path) -> None:
    written(tmp_path / "run", "one")
    written(tmp_path / "run", "two")
    assert (tmp_path / "run" / "measures.json").read_text() == "two"
    assert os.listdir(tmp_path) == ["run"]


def test_it_also_does_where_folders_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "exchange", lambda a, b: False)
    test_a_run_replaces_the_run_before_it(tmp_path)


def test_an_empty_folder_and_a_link_to_a_folder_are_fine(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    written(tmp_path / "link", "one")
    assert (tmp_path / "link").is_symlink()
    assert is_complete(tmp_path / "empty")


@pytest.mark.parametrize("fault", [ValueError("engine"), KeyboardInterrupt()])
def test_a_fault_leaves_what_was_there(tmp_path: Path, fault: BaseException) -> None:
    out = written(tmp_path / "run", "one")

    def fails() -> None:
        with new_run(out) as path:
            (path / "measures.json").write_text("half")
            raise fault

    with pytest.raises(type(fault)):
        fails()
    assert (out / "measures.json").read_text() == "one"
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path, number: int) -> None:
    out = written(tmp_path / "run", "one")
    with pytest.raises(GpufleetError) as error, new_run(out):
        raise OSError(number, os.strerror(number))
    assert code_of(error) == "R003"
    assert is_complete(out)
    assert os.listdir(tmp_path) == ["run"]


def test_a_file_that_cannot_grow_is_a_full_disk(tmp_path: Path) -> None:
    script = (
        "import resource, sys, numpy as np; from pathlib import Path\n"
        "from gpufleet.results.folder import new_run\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "with new_run(Path(sys.argv[1])) as path:\n"
        "    np.savez(path / 'world.npz', a=np.zeros(100_000))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "run"], capture_output=True, text=True)
    assert "R003" in done.stderr
    assert os.listdir(tmp_path) == []


def test_other_faults_of_the_system_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_run(tmp_path / "run"):
        (tmp_path / "no trace").read_text()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(GpufleetError) as error, new_run(tmp_path):
        pass
    assert code_of(error) == "R001"
    with pytest.raises(GpufleetError) as error, new_run(tmp_path / "thesis.txt"):
        pass
    assert code_of(error) == "R001"
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_files_that_somebody_put_into_a_run_are_not_lost(tmp_path: Path) -> None:
    out = written(tmp_path / "run", "one")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(GpufleetError, match=r"notes\.txt") as error, new_run(out):
        pass
    assert code_of(error) == "R005"
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("out", ["/proc/run", "/dev/null/run", "x" * 300])
def test_a_place_that_cannot_be_written_is_said_before_anything_runs(out: str) -> None:
    with pytest.raises(GpufleetError) as error, new_run(Path(out)):
        pytest.fail("the block must not run")
    assert code_of(error) == "R002"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(GpufleetError) as error, new_run(tmp_path / "run"):
        pass
    tmp_path.chmod(0o755)
    assert code_of(error) == "R002"


def test_no_mark_or_a_file_of_another_size_is_no_result(tmp_path: Path) -> None:
    out = written(tmp_path / "run", "one")
    (out / "measures.json").write_text("on")
    with pytest.raises(GpufleetError, match="not as the run wrote it") as error:
        open_run(out)
    assert code_of(error) == "R004"
    (out / MARK).unlink()
    with pytest.raises(GpufleetError, match="no complete"):
        open_run(out)
    with pytest.raises(GpufleetError, match="no such folder"):
        open_run(tmp_path / "other")


def test_the_report_may_be_made_anew(tmp_path: Path) -> None:
    with new_run(tmp_path / "run") as path:
        (path / "report.html").write_text("old")
    (tmp_path / "run" / "report.html").write_text("a new one")
    assert is_complete(tmp_path / "run")


def test_parts_of_dead_runs_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    (tmp_path / ".run.part-deadbeef").mkdir()
    (tmp_path / ".run.part-deadbeef" / "jobs.parquet").write_text("half")
    (tmp_path / ".run.part-x.part-deadbeef").mkdir()  # of a run with another name
    with new_run(tmp_path / "run") as alive:
        assert not (tmp_path / ".run.part-deadbeef").exists()
        written(tmp_path / "run", "quick")
        assert alive.is_dir()
        (alive / "measures.json").write_text("slow")
    assert (tmp_path / "run" / "measures.json").read_text() == "slow"
    assert sorted(os.listdir(tmp_path)) == [".run.part-x.part-deadbeef", "run"]


def test_killed_at_any_moment_the_old_run_or_the_new_one_is_whole() -> None:
    """Every call that reaches the file system is a moment; see killed.py."""
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "killed.py"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    moments = int(done.stdout.split()[0])
    assert moments > 60


def test_json_is_the_same_bytes_and_nothing_that_json_cannot_hold() -> None:
    assert (
        dump_json({"b": (1, -0.0), "a": 1 / 3}) == '{\n "a": 0.333333333333,\n "b": [\n  1,\n  0.0\n ]\n}\n'
    )
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_json({"a": float("nan")})
