"""Run folders on disk: written beside their place, moved there in one step, results only with a closing mark.

A run is written to ``.NAME.part-...`` beside NAME. When all files are on the disk, the mark `complete.json`
is written, and the folder takes NAME; an earlier run there goes away only after that. Whatever happens in
between, NAME is the earlier run or the new one, whole. Parts of killed runs are removed by the next run.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gpufleet.results.codes import DISK_FULL, EXTRA_FILES, NO_RUN, NOT_A_RUN, NOT_WRITABLE, fail
from gpufleet.results.swap import exchange, lock_folder, sync_file, sync_folder

MARK: Final = "complete.json"
SCHEMA: Final = "gpufleet.complete/1"
LOCK, WORLD, JOBS, TIMELINE = "plan.lock.yaml", "world.npz", "jobs.parquet", "timeline.parquet"
MEASURES, LEDGER, ENVIRONMENT, REPORT = "measures.json", "ledger.json", "environment.json", "report.html"
FILES: Final = (LOCK, WORLD, JOBS, TIMELINE, MEASURES, LEDGER, ENVIRONMENT, REPORT)
"""What a run folder holds beside the mark. All but environment.json are the same bytes for the same plan."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_SHUT: Final = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)


@contextlib.contextmanager
def new_run(out: Path) -> Iterator[Path]:
    """Write a run folder; it is in place, whole, when the block ends without an error, and else not at all.

    Args:   out: where the run is to be; its parents are made. An earlier run there is replaced.
    Yields: the folder to write the files of the run to.
    Raises: GpufleetError R001 or R005 if something else than a run is there, R002 if nothing can be written
            there, R003 if the disk is full or fails.

    >>> with tempfile.TemporaryDirectory() as home:
    ...     with new_run(Path(home) / "first") as folder:
    ...         _ = (folder / "measures.json").write_text("{}")
    ...     is_complete(Path(home) / "first")
    True
    """
    target = Path(os.path.realpath(out))
    part, lock = _prepare(target, out)
    try:
        yield part
        _close(part)
        _put_in_place(part, target)
    except OSError as error:
        if not _no_room(error):
            raise
        free = shutil.disk_usage(target.parent).free
        says = f"{error.strerror or error} at {out} ({free / 1e6:,.0f} MB free); what was there is unchanged"
        fail(DISK_FULL, says, "make room, or choose another --out")
    finally:
        shutil.rmtree(part, ignore_errors=True)  # the part that failed, or the earlier run
        if lock is not None:
            os.close(lock)


def is_complete(path: Path) -> bool:
    """Whether a folder is a whole run: it has the mark, and every file has the size that the mark says."""
    listed = _marked(path)
    return listed is not None and not _damaged(path, listed)


def open_run(path: Path) -> Path:
    """The folder of a whole run; one that a killed run left between two names is put in place first.

    Raises: GpufleetError R004.
    """
    target = Path(os.path.realpath(path))
    _recover(target)
    listed = _marked(target)
    if listed is None:
        there = "there is no such folder" if not target.exists() else f"it has no {MARK}"
        fail(NO_RUN, f"{path}: {there}", "run the plan first: gpufleet run PLAN --out DIR")
    damaged = _damaged(target, listed)
    if damaged:
        fail(NO_RUN, f"{path}: {', '.join(damaged)} is not as the run wrote it", "run the plan again")
    return target


def dump_json(value: Any) -> str:
    """JSON with sorted keys, floats of 12 significant digits, and a newline at the end.

    >>> dump_json({"b": 0.1 + 0.2, "a": 1})
    '{\\n "a": 1,\\n "b": 0.3\\n}\\n'
    """
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file as `dump_json` formats it."""
    path.write_text(dump_json(value), encoding="utf-8", newline="\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}") + 0.0  # no -0.0
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


# --- the mark -----------------------------------------------------------------------------------------------


def _close(part: Path) -> None:
    """Bring everything to the disk, then say in the mark what there is, then bring the mark to the disk."""
    files = sorted(p for p in part.iterdir() if p.name != MARK)
    for file in files:
        sync_file(file)
    # environment.json differs from run to run, and the mark must not
    listed = {
        f.name: {"bytes": f.stat().st_size, "sha256": _sha256(f)} for f in files if f.name != ENVIRONMENT
    }
    write_json(part / MARK, {"schema": SCHEMA, "files": listed})
    sync_file(part / MARK)
    sync_folder(part)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _marked(path: Path) -> dict[str, dict[str, Any]] | None:
    """The files that the mark lists, or None if the folder has no mark of a run."""
    try:
        mark = json.loads((path / MARK).read_text(encoding="utf-8"))
        files: dict[str, dict[str, Any]] = mark["files"]
        return files if mark["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _damaged(path: Path, listed: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Files that are missing or of another size. The report is nobody's input: it may be remade or gone."""

    def size(name: str) -> int:
        try:
            return (path / name).stat().st_size
        except OSError:
            return -1

    return [name for name, facts in listed.items() if name != REPORT and size(name) != facts["bytes"]]


# --- the place ----------------------------------------------------------------------------------------------


def _prepare(target: Path, out: Path) -> tuple[Path, int | None]:
    """Tidy up, refuse what must not be replaced, and make the folder beside the target, with its lock.

    Making it is also the test that one can write there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _tidy(target)
        _check_target(target, out)
        return _make_part(target)
    except OSError as error:
        if _no_room(error):
            fail(DISK_FULL, f"{error.strerror} at {out}", "make room, or choose another --out")
        if error.errno not in _SHUT:
            raise
        says = f"{out}: {(error.strerror or 'cannot be used').lower()} ({error.filename or target.parent})"
        fail(NOT_WRITABLE, says, "choose another --out, or make the folder writable")


def _check_target(target: Path, out: Path) -> None:
    """Refuse to replace what is not a run."""
    if not target.exists():
        return
    if not target.is_dir():
        fail(NOT_A_RUN, f"{out} is a file", "choose another --out")
    there = {p.name for p in target.iterdir()}
    listed = _marked(target)
    if listed is None and there:
        says = f"{out} holds other things (e.g. {min(there)}) and no {MARK}; it is left alone"
        fail(NOT_A_RUN, says, f"choose another --out, e.g. {out / 'run'}, or empty the folder yourself")
    extra = sorted(there - {*(listed or {}), *FILES, MARK})
    if extra:
        fail(EXTRA_FILES, f"{out}: {', '.join(extra[:5])}", "move them elsewhere, or choose another --out")


def _make_part(target: Path) -> tuple[Path, int | None]:
    """Make and lock the part. Another run that tidies up may be quicker than the lock: then make another."""
    while True:
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.part-", dir=target.parent))
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = lock_folder(part)
            part.chmod(0o777 & ~_umask())  # mkdtemp makes it private
            return part, lock


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _put_in_place(part: Path, target: Path) -> None:
    """Give the part the target's name. Afterwards the part's name is free, or that of the earlier run."""
    if not target.exists() or not any(target.iterdir()):
        part.replace(target)
    elif not exchange(part, target):
        # two steps: if the process dies between them, `_recover` takes the second
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
        target.replace(old)
        part.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(target.parent)


def _leftovers(target: Path) -> list[Path]:
    """Parts (first) and old runs that stand beside the target under temporary names."""
    left = re.compile(rf"\.{re.escape(target.name)}\.(part|old)-[a-z0-9_]{{8}}")
    if not target.parent.is_dir():
        return []
    return sorted((p for p in target.parent.iterdir() if left.fullmatch(p.name)), key=_parts_first)


def _parts_first(path: Path) -> tuple[bool, str]:
    return ".part-" not in path.name, path.name


def _recover(target: Path) -> None:
    """If a run died after its mark, before it was in place, put it in place; failing that, the one before."""
    if target.exists():
        return
    for left in _leftovers(target):
        try:
            lock = lock_folder(left)
        except OSError:
            return  # its run is alive
        if lock is not None:
            os.close(lock)
        if is_complete(left):
            with contextlib.suppress(OSError):
                left.replace(target)
            return


def _tidy(target: Path) -> None:
    """Remove what killed runs left here. Parts of runs that are alive are locked and stay."""
    _recover(target)
    for left in _leftovers(target):
        with contextlib.suppress(OSError):
            lock = lock_folder(left)
            shutil.rmtree(left, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _no_room(error: OSError) -> bool:
    """Whether this is the disk; NumPy says it in words only."""
    return error.errno in _NO_ROOM or (error.errno is None and "requested and" in str(error))
